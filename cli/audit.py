"""`saformer audit`: is this network spike-driven?"""

from saformer.cli import options as opt
from saformer.cli.outputs import plan
from saformer.cli.rates import profile_for


def audit(
    model: opt.ModelOptions,
    data: opt.DataOptions,
    instead: opt.SavedOptions,
    run: opt.RunOptions,
    hardware: opt.HardwareName = "45nm-fp32",
    format: opt.Format = None,
    json: opt.Json = None,
) -> None:
    """Is this network spike-driven? Inputs that are not binary, where they come from, and what equations leave out.

    saformer audit --ckpt digits/spikformer
    """
    from saformer.analysis.audit import audit as examine
    from saformer.analysis.hardware import load_hardware
    from saformer.reports.audit_report import audit_report
    from saformer.reports.records import Line, Report, note

    table = load_hardware(hardware)
    outputs = plan(format, json, inputs=[model.checkpoint, data.input, instead.from_profile, hardware])
    profile = profile_for(model, data, run, instead)
    heading = Report([Line(f"{profile.model.name} on {profile.data.name}, {profile.images} images"), Line()])
    outputs.emit(heading + audit_report(examine(profile, table)) + Report([note(text) for text in profile.notes]))
