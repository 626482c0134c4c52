"""`saformer sensitivity`: which firing rates move the energy most."""

from dataclasses import replace

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions, InsteadOptions
from saformer.cli.options.energy import AccountingName, ChargeOptions, HardwareName
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Format, Top
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.profile import profile_for
from saformer.cli.resolve.source import source_of
from saformer.cli.terminal.outputs import emit
from saformer.errors import InputError


@command("sensitivity")
def sensitivity(
    model: ModelOptions,
    data: DataOptions,
    instead: InsteadOptions,
    run: RunOptions,
    top: Top = 20,
    format: Format = None,
    accounting: AccountingName = "paper",
    hardware: HardwareName = "45nm-fp32",
    *,
    charge: ChargeOptions,
) -> None:
    """Which layers' firing rates move the energy most: where fewer spikes would save most.

    saformer sensitivity --model spikingformer-8-512 --rates published.csv
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import get_accounting
    from saformer.analysis.statistics.sensitivity import sensitivities
    from saformer.reports.document.blocks import Line, Report, note
    from saformer.reports.document.numbers import energy_unit
    from saformer.reports.tables.sensitivity import SensitivityRow, sensitivity_table
    from saformer.reports.tables.what_was_run import what_was_read

    get_accounting(accounting)
    table = load_hardware(hardware)
    if top < 0:
        raise InputError(f"--top must be at least 1, or 0 for all operations, got {top}")
    source = source_of(model, instead.from_profile)
    profile = profile_for(source, data, replace(run, graded=charge.unroll, choices=charge.choices), instead)
    account = profile.account(accounting, table, **charge.choices)
    rows = [
        SensitivityRow(s.name, s.firing_rate, s.energy_mj, s.per_point_mj, s.per_tenth_mj)
        for s in sensitivities(profile, accounting, table, **charge.choices)
    ]
    energy = energy_unit(account.energy_mj).text(account.energy_mj)
    heading = (
        f"{account.model.title} on {account.data.name}: {energy} per image (accounting {accounting}, on {table.name})"
    )
    ranking = sensitivity_table(rows, account.energy_mj, top or len(rows))
    emit(Report([Line(heading), *what_was_read(account), ranking, *map(note, account.notes)]), format)
