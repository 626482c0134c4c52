"""`saformer sensitivity`: which firing rates move the energy most."""

from saformer.cli import options as opt
from saformer.cli.outputs import emit
from saformer.cli.rates import profile_for
from saformer.errors import InputError


def sensitivity(
    model: opt.ModelOptions,
    data: opt.DataOptions,
    instead: opt.InsteadOptions,
    run: opt.RunOptions,
    top: opt.Top = 20,
    format: opt.Format = None,
    accounting: opt.AccountingName = "paper",
    hardware: opt.HardwareName = "45nm-fp32",
    first_layer: opt.FirstLayerCharge = opt.FirstLayer.repeat,
) -> None:
    """Which layers' firing rates move the energy most: where fewer spikes would save most.

    saformer sensitivity --model spikingformer-8-512 --rates published.csv
    """
    from saformer.analysis.accountings import get_accounting
    from saformer.analysis.hardware import load_hardware
    from saformer.analysis.sensitivity import sensitivities
    from saformer.reports.records import Line, Report, note
    from saformer.reports.tables import SensitivityRow, sensitivity_table

    get_accounting(accounting)
    table = load_hardware(hardware)
    if top < 0:
        raise InputError(f"--top must be at least 1, or 0 for all operations, got {top}")
    profile = profile_for(model, data, run, instead)
    once = first_layer is opt.FirstLayer.once
    account = profile.account(accounting, table, first_layer_once=once)
    rows = [
        SensitivityRow(s.name, s.firing_rate, s.energy_mj, s.per_point_mj, s.per_tenth_mj)
        for s in sensitivities(profile, accounting, table, once)
    ]
    heading = (
        f"{account.model.name} on {account.data.name}: {account.energy_mj:.4g} mJ per image "
        f"(accounting {accounting}, on {table.name})"
    )
    ranking = sensitivity_table(rows, account.energy_mj, top or len(rows))
    emit(Report([Line(heading), ranking, *map(note, account.notes)]), format)
