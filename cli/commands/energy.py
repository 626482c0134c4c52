"""`saformer energy`: what one inference costs, layer by layer."""

from dataclasses import replace

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions, InsteadOptions
from saformer.cli.options.energy import AccountingOrAll, ChargeOptions, HardwareOrAll, Memory, file_of
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Csv, Format, Json, Layers, PlotOptions, SaveProfile, Spikes
from saformer.cli.options.run import PreciseRunOptions
from saformer.cli.resolve.profile import profile_for
from saformer.cli.resolve.source import source_of
from saformer.cli.terminal.console import tell
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError


@command("energy", several_processes=True)
def energy(
    model: ModelOptions,
    data: DataOptions,
    instead: InsteadOptions,
    run: PreciseRunOptions,
    layers: Layers = False,
    spikes: Spikes = False,
    format: Format = None,
    json: Json = None,
    csv: Csv = None,
    save_profile: SaveProfile = None,
    accounting: AccountingOrAll = "paper",
    hardware: HardwareOrAll = "45nm-fp32",
    *,
    drawn: PlotOptions,
    charge: ChargeOptions,
    memory: Memory = None,
) -> None:
    """Energy of one inference, layer by layer, with an error bar.

    Runs a checkpoint on data, counts every synaptic operation exactly and charges it by Eqs. 18-20. Without
    a network and data, a small SAFormer trained on digits is shown.

      saformer energy --ckpt spikformer.pth.tar --dataset cifar10 --data-dir ./data

    Where somebody published firing rates, no data and no weights are needed:

      saformer energy --model spikingformer-8-512 --rates published.csv
    """
    from saformer.analysis.accounting.hardware import hardware_names, load_hardware
    from saformer.analysis.accounting.memory_access import load_memory_model, memory_energy
    from saformer.analysis.accounting.rules import ACCOUNTINGS, get_accounting
    from saformer.reports.document.blocks import Line, Report
    from saformer.reports.document.numbers import energy_unit
    from saformer.reports.tables.accountings import accountings_report
    from saformer.reports.tables.energy import energy_report, energy_table
    from saformer.reports.tables.hardware import hardware_report
    from saformer.reports.tables.memory import memory_report
    from saformer.reports.tables.neurons import neuron_table

    # Whatever can be wrong with the question is said before the run, not after.
    everywhere, every_way = hardware == "all", accounting == "all"
    if everywhere and every_way:
        raise InputError("--accounting all and --hardware all are two tables: ask for one at a time")
    accountings = list(ACCOUNTINGS) if every_way else [accounting]
    for name in accountings:
        get_accounting(name)
    tables = [load_hardware(name) for name in (hardware_names() if everywhere else [hardware])]
    for option, given in (
        ("--layers", layers and everywhere),
        ("--csv", csv),
        ("--plot", drawn.plot),
        ("--memory", memory),
    ):
        if (everywhere or every_way) and given:
            which = "hardware" if everywhere else "accounting"
            advice = "; --format csv writes that table" if option == "--csv" else ""
            raise InputError(f"{option} shows one {which}: it cannot go with --{which} all{advice}")
    source = source_of(model, instead.from_profile)
    memory_model = None if memory is None else load_memory_model(memory)
    drawn.check()
    outputs = plan(
        format,
        json,
        csv,
        files={"--plot": drawn.plot, "--save-profile": save_profile},
        inputs=[*source.files, data.input, instead.rates, file_of(hardware)],
    )

    # What is to be precise is the energy that is shown; of several, the first.
    shown = tables[0].name if everywhere else hardware
    run = replace(run, graded=charge.unroll, accounting=accountings[0], hardware=shown, choices=charge.choices)
    profile = profile_for(source, data, run, instead)
    accounts = [profile.account(name, table, **charge.choices) for name in accountings for table in tables]
    account = accounts[0]
    unit = energy_unit(*(account.energy_mj for account in accounts))
    if memory_model is not None:
        cost = memory_energy(
            profile,
            memory_model,
            first_layer_once=charge.choices["first_layer"] == "once",
            leave_out=charge.choices["leave_out"],
        )
        unit = energy_unit(account.energy_mj, cost.total_mj)  # of both tables
    if everywhere:
        report = hardware_report(accounts)
    elif every_way:
        report = accountings_report(accounts, layers=layers, unit=unit)
    else:
        report = energy_report(account, layers=layers, unit=unit)
    if memory_model is not None:
        report += Report([Line()]) + memory_report(cost, account, layers=layers, unit=unit)
    if spikes:
        report += Report([Line(), neuron_table(account)])

    if save_profile is not None:
        profile.save(save_profile)
        tell(f"wrote {save_profile}")
    if drawn.plot is not None:
        from saformer.reports.figures.energy import energy_figure

        drawn.write(lambda width: energy_figure(account, unit, width))
    outputs.emit(report, csv=Report([energy_table(account, layers=True)]))
