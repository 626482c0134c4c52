"""`saformer audit`: is this network spike-driven?"""

from saformer.cli.options import groups as opt
from saformer.cli.resolve.rates import profile_for
from saformer.cli.terminal.outputs import plan


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
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.diagnostics.spike_driven import audit as examine
    from saformer.reports.document.blocks import Line, Report, note
    from saformer.reports.tables.audit import audit_report

    table = load_hardware(hardware)
    outputs = plan(format, json, inputs=[model.checkpoint, data.input, instead.from_profile, opt.file_of(hardware)])
    profile = profile_for(model, data, run, instead)
    heading = Report([Line(f"{profile.model.name} on {profile.data.name}, {profile.images} images"), Line()])
    outputs.emit(heading + audit_report(examine(profile, table)) + Report([note(text) for text in profile.notes]))
