"""`saformer sweep`: one setting of networks at several values, a curve for each network."""

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.energy import AccountingName, ChargeOptions, HardwareName, file_of
from saformer.cli.options.model import NetworksOptions
from saformer.cli.options.output import Csv, Format, Json, PlotOptions
from saformer.cli.options.run import BatchSize, RunOptions
from saformer.cli.resolve.network import check_reach, check_runs, data_of, default_data
from saformer.cli.resolve.source import DEFAULT_CHECKPOINT, files_of, sources_of
from saformer.cli.resolve.sweep import Parameter, curves_of, swept
from saformer.cli.terminal.console import tell
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SweepRunOptions(RunOptions):
    """How to run; batches of 64 as in the paper's section 4.5."""

    batch_size: BatchSize = 64
    fold: bool = False  # no option: time and memory are those of the network as it is


@dataclass(frozen=True, kw_only=True)
class _Networks(NetworksOptions):
    """What is swept has no option of its own; a profile has one value."""

    profiles: list[str] | None = None


@command("sweep")
def sweep(
    parameter: Annotated[Parameter, typer.Argument(metavar="time-steps|aggregated", help="What to vary.")],
    values: Annotated[str, typer.Argument(metavar="A,B,...", help="Its values, such as 1,2,4,6.")],
    networks: _Networks,
    data: DataOptions,
    run: SweepRunOptions,
    accounting: AccountingName = "paper",
    hardware: HardwareName = "45nm-fp32",
    format: Format = None,
    json: Json = None,
    csv: Csv = None,
    published: Annotated[
        bool, typer.Option("--published", help="Draw the paper's numbers for this data beside, at their T.")
    ] = False,
    *,
    drawn: PlotOptions,
    charge: ChargeOptions,
) -> None:
    """Vary a setting: accuracy, operations, energy, time and memory at each value (Figures 5 and 6).

      saformer sweep time-steps 1,2,4,6 digits/saformer

      saformer sweep aggregated 1,2,4,8,16,64 digits/saformer

    Several networks are a curve each; checkpoints that differ in the setting alone, one for each value, are one curve:

      saformer sweep time-steps 1,4 digits/saformer digits/sdt "MyNet=net:factory+steps={T}" --plot t.pdf
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import get_accounting
    from saformer.reports.figures.sweep import sweep_figure
    from saformer.reports.results.comparison import published_rows
    from saformer.reports.tables.sweep import sweep_report

    get_accounting(accounting)
    table = load_hardware(hardware)
    wanted = _values(parameter, values)
    drawn.check()
    if published and (drawn.plot is None or parameter is not Parameter.time_steps):
        raise InputError("--published is about the figure of a sweep of time-steps: add --plot FILE, or leave it out")
    sources = sources_of(networks, [DEFAULT_CHECKPOINT])
    check_runs(sources, "sweep")
    check_reach(sources, networks)
    outputs = plan(
        format, json, csv, files={"--plot": drawn.plot}, inputs=[*files_of(sources), data.input, file_of(hardware)]
    )
    curves = curves_of(sources, parameter, wanted)
    opened = data_of(sources[0], data, default_data(sources, data), seed=run.seed)
    run = replace(run, graded=charge.unroll)
    result = swept(parameter, curves, opened, run, accounting, table, charge.choices)
    beside = published_rows([opened.name]) if published else []
    if published and not beside:
        tell(f"note: the SAFormer paper published nothing for {opened.name}")
    drawn.write(lambda width: sweep_figure(result, published=beside, width=width))
    outputs.emit(sweep_report(result))


def _values(parameter: Parameter, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    for part in parts:
        if not part.isdecimal() or int(part) < 1:
            raise InputError(f"{parameter} takes whole numbers >= 1 with commas between, such as 1,2,4; got {part!r}")
    found = [int(part) for part in parts]
    if len(set(found)) < len(found):
        raise InputError(f"{parameter}: each value once, got {text}")
    return found
