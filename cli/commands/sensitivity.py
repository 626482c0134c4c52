"""`saformer sensitivity`: which firing rates move the energy most."""

from dataclasses import replace

from saformer.cli.options import groups as opt
from saformer.cli.resolve.rates import profile_for
from saformer.cli.terminal.outputs import emit
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
    graded: opt.GradedSpikes = opt.Graded.mac,
) -> None:
    """Which layers' firing rates move the energy most: where fewer spikes would save most.

    saformer sensitivity --model spikingformer-8-512 --rates published.csv
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import get_accounting
    from saformer.analysis.statistics.sensitivity import sensitivities
    from saformer.reports.document.blocks import Line, Report, note
    from saformer.reports.tables.sensitivity import SensitivityRow, sensitivity_table

    get_accounting(accounting)
    table = load_hardware(hardware)
    if top < 0:
        raise InputError(f"--top must be at least 1, or 0 for all operations, got {top}")
    unroll = graded is opt.Graded.unroll
    profile = profile_for(model, data, replace(run, graded=unroll), instead)
    once = first_layer is opt.FirstLayer.once
    account = profile.account(accounting, table, first_layer_once=once, unroll=unroll)
    rows = [
        SensitivityRow(s.name, s.firing_rate, s.energy_mj, s.per_point_mj, s.per_tenth_mj)
        for s in sensitivities(profile, accounting, table, once, unroll)
    ]
    heading = (
        f"{account.model.name} on {account.data.name}: {account.energy_mj:.4g} mJ per image "
        f"(accounting {accounting}, on {table.name})"
    )
    ranking = sensitivity_table(rows, account.energy_mj, top or len(rows))
    emit(Report([Line(heading), ranking, *map(note, account.notes)]), format)
