"""`saformer audit`: is this network spike-driven?"""

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions, SavedOptions
from saformer.cli.options.energy import HardwareName, file_of
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Format, Json
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.profile import profile_for
from saformer.cli.terminal.outputs import plan


@command("audit")
def audit(
    model: ModelOptions,
    data: DataOptions,
    instead: SavedOptions,
    run: RunOptions,
    hardware: HardwareName = "45nm-fp32",
    format: Format = None,
    json: Json = None,
) -> None:
    """Is this network spike-driven? Inputs that are not binary, where they come from, and what equations leave out.

    saformer audit --ckpt digits/spikformer
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.diagnostics.spike_driven import audit as examine
    from saformer.reports.document.blocks import Line, Report, note
    from saformer.reports.tables.audit import audit_report

    table = load_hardware(hardware)
    outputs = plan(format, json, inputs=[model.checkpoint, data.input, instead.from_profile, file_of(hardware)])
    profile = profile_for(model, data, run, instead)
    heading = Report([Line(f"{profile.model.name} on {profile.data.name}, {profile.images} images"), Line()])
    outputs.emit(heading + audit_report(examine(profile, table)) + Report([note(text) for text in profile.notes]))
