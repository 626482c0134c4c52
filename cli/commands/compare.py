"""`saformer compare`: several models side by side."""

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.energy import AccountingOrAll, ChargeOptions, HardwareName, file_of
from saformer.cli.options.model import NetworksOptions
from saformer.cli.options.output import Format, Ours, PlotOptions
from saformer.cli.options.run import RunOptions
from saformer.cli.resolve.network import check_reach
from saformer.cli.resolve.profile import check_run_options, profiles_of
from saformer.cli.resolve.source import files_of, names_of, ours_of, sources_of
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from saformer.reports.figures.style import Width
    from saformer.reports.results.comparison import ComparisonRow


class Figure(StrEnum):
    """What `--plot` draws."""

    values = "values"
    relative = "relative"
    energy = "energy"
    accuracy = "accuracy"


@command("compare")
def compare(
    networks: NetworksOptions,
    data: DataOptions,
    run: RunOptions,
    ours: Ours = None,
    published: Annotated[
        bool,
        typer.Option("--published", help="Lay the paper's own numbers beside; without networks, show these alone."),
    ] = False,
    accounting: AccountingOrAll = "paper",
    hardware: HardwareName = "45nm-fp32",
    format: Format = None,
    figure: Annotated[
        Figure,
        typer.Option(
            "--figure",
            help="What --plot draws: values; Eq. 21 of energy and accuracy (relative), or of one of them.",
        ),
    ] = Figure.values,
    *,
    drawn: PlotOptions,
    charge: ChargeOptions,
) -> None:
    """Compare models: parameters, operations, energy, accuracy and relative difference (Eq. 21).

      saformer compare digits/saformer digits/sdt digits/spikformer

    Networks of any kind, each with a name of its own if you like:

      saformer compare "SAFormer (ours)=digits/saformer" "MyNet=net:factory" spikformer-2-64 --dataset digits
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import ACCOUNTINGS, get_accounting
    from saformer.reports.document.blocks import Report, note
    from saformer.reports.document.numbers import energy_unit
    from saformer.reports.results.comparison import comparison_rows, published_rows
    from saformer.reports.tables.comparison import accountings_comparison_table, comparison_table
    from saformer.reports.tables.what_was_run import remarks_of_several, what_each_read

    accountings = list(ACCOUNTINGS) if accounting == "all" else [accounting]
    for name in accountings:
        get_accounting(name)
    table = load_hardware(hardware)
    sources = sources_of(networks)
    if not sources and not published:
        raise InputError(
            "say what to compare: checkpoints, models by name, saved profiles or package.module:factory, "
            "or --published alone"
        )
    check_run_options(sources, networks, data, run, also=() if sources else ("--dataset",))
    check_reach(sources, networks)
    if ours and not sources:
        raise InputError("--ours names one of the models compared, and there are none: leave it out")
    if figure is not Figure.values and accounting == "all":
        raise InputError(f"--figure {figure} draws one accounting: leave out --accounting all")
    if figure is not Figure.values and drawn.plot is None:
        raise InputError(f"--figure {figure} is about the figure: add --plot FILE")
    drawn.check()
    outputs = plan(format, files={"--plot": drawn.plot}, inputs=[*files_of(sources), data.input, file_of(hardware)])
    names = names_of(sources)
    wanted = ours_of(ours, sources, names)
    profiles = profiles_of(sources, data, replace(run, graded=charge.unroll), {})
    data_sets = list(dict.fromkeys(profile.data.name for profile in profiles))
    if not data_sets and data.dataset:
        data_sets = [data.dataset]
    beside = published_rows(data_sets or None) if published else []
    if not profiles and not beside:
        raise InputError(
            f"the paper published nothing for {data.dataset}: leave out --dataset, or give models to compare"
        )
    accounts = {name: [profile.account(name, table, **charge.choices) for profile in profiles] for name in accountings}
    by_accounting = {
        name: comparison_rows(list(zip(names, each, strict=True)), wanted) + beside for name, each in accounts.items()
    }
    rows = by_accounting[accountings[0]]
    saved = {
        name: profile.notes for name, source, profile in zip(names, sources, profiles, strict=True) if source.earlier
    }
    notes = remarks_of_several(zip(names, accounts[accountings[0]], strict=True), saved)
    if published:
        missing = [name for name in data_sets or [] if name not in {row.data for row in beside}]
        notes += [note(f"the SAFormer paper published nothing for {name}") for name in missing]
    drawn.write(lambda width: _figure(figure, by_accounting, width))
    unit = energy_unit(*(row.energy_mj for each in by_accounting.values() for row in each))
    one = len(accountings) == 1
    shown = comparison_table(rows, unit) if one else accountings_comparison_table(by_accounting, unit)
    read = what_each_read(zip(names, accounts[accountings[0]], strict=True), unit)
    outputs.emit(Report([shown, *read, *notes]))


def _figure(figure: Figure, by_accounting: "dict[str, list[ComparisonRow]]", width: "Width") -> "MatplotlibFigure":
    from saformer.reports.figures.accountings import accountings_figure
    from saformer.reports.figures.comparison import comparison_figure
    from saformer.reports.figures.relative_difference import QUANTITIES, relative_figure

    rows = next(iter(by_accounting.values()))
    if len(by_accounting) > 1:
        return accountings_figure(by_accounting, width=width)
    if figure is Figure.values:
        return comparison_figure(rows, width=width)
    quantities = tuple(QUANTITIES) if figure is Figure.relative else (figure.value,)
    return relative_figure(rows, quantities, width=width)
