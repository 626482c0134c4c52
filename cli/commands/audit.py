"""`saformer audit`: is this network spike-driven?"""

from dataclasses import replace

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions, SavedOptions
from saformer.cli.options.energy import ChargeOptions, HardwareName, file_of
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Format, Json
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.profile import profile_for
from saformer.cli.resolve.source import source_of
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
    *,
    charge: ChargeOptions,
) -> None:
    """Is this network spike-driven? Inputs that are not spikes, where they come from, and what equations leave out.

    saformer audit --ckpt digits/spikformer
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.diagnostics.spike_driven import audit as examine
    from saformer.reports.document.blocks import Line, Report, note
    from saformer.reports.tables.audit import audit_report
    from saformer.reports.tables.what_was_run import what_was_read

    table = load_hardware(hardware)
    source = source_of(model, instead.from_profile)
    outputs = plan(format, json, inputs=[*source.files, data.input, file_of(hardware)])
    profile = profile_for(source, data, replace(run, graded=charge.unroll), instead)
    account = profile.account("paper", table, **charge.choices)
    title = Line(f"{profile.model.title} on {profile.data.name}, {profile.images} images")
    heading = Report([title, *what_was_read(account), Line()])
    outputs.emit(
        heading
        + audit_report(examine(profile, table, **charge.choices))
        + Report([note(text) for text in account.notes])
    )
