"""`saformer sweep`: one setting of a network at several values."""

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.energy import AccountingName, ChargeOptions, HardwareName, file_of
from saformer.cli.options.model import ModelOptions, Untrained, Weights, checkpoints
from saformer.cli.options.output import Csv, Format, Json, PlotOptions
from saformer.cli.options.run import BatchSize, RunOptions
from saformer.cli.resolve.data import data_for, default_dataset
from saformer.cli.resolve.model import DEFAULT_CHECKPOINT
from saformer.cli.resolve.sweep import Parameter, swept
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError


@dataclass(frozen=True, kw_only=True)
class SweepRunOptions(RunOptions):
    """How to run; batches of 64 as in the paper's section 4.5."""

    batch_size: BatchSize = 64
    fold: bool = False  # no option: time and memory are those of the network as it is


@command("sweep")
def sweep(
    parameter: Annotated[Parameter, typer.Argument(metavar="time-steps|aggregated", help="What to vary.")],
    values: Annotated[str, typer.Argument(metavar="A,B,...", help="Its values, such as 1,2,4,6.")],
    data: DataOptions,
    run: SweepRunOptions,
    ckpt: Annotated[list[str] | None, checkpoints("Checkpoint; repeat it for one per value, in their order.")] = None,
    model: Untrained = None,
    weights: Weights = None,
    accounting: AccountingName = "paper",
    hardware: HardwareName = "45nm-fp32",
    format: Format = None,
    json: Json = None,
    csv: Csv = None,
    *,
    drawn: PlotOptions,
    charge: ChargeOptions,
) -> None:
    """Vary a setting: accuracy, operations, energy, time and memory at each value (Figures 5 and 6).

    saformer sweep time-steps 1,2,4,6 --ckpt digits/saformer

    saformer sweep aggregated 1,2,4,8,16,64 --ckpt digits/saformer
    """
    from saformer.analysis.accounting.hardware import load_hardware
    from saformer.analysis.accounting.rules import get_accounting
    from saformer.reports.figures.sweep import sweep_figure
    from saformer.reports.tables.sweep import sweep_report

    get_accounting(accounting)
    table = load_hardware(hardware)
    wanted = _values(parameter, values)
    drawn.check()
    outputs = plan(
        format, json, csv, files={"--plot": drawn.plot}, inputs=[*(ckpt or []), data.input, file_of(hardware)]
    )
    options = _sources(wanted, ckpt, model, weights)
    opened = data_for(options[0], data, default_dataset(one.checkpoint for one in options))
    run = replace(run, graded=charge.unroll)
    result = swept(parameter, dict(zip(wanted, options, strict=True)), opened, run, accounting, table, charge.choices)
    drawn.write(lambda width: sweep_figure(result, width=width))
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


def _sources(values: list[int], ckpt: list[str] | None, model: str | None, weights: str | None) -> list[ModelOptions]:
    """The model of each value: one checkpoint for all, one each, or an untrained network."""
    if model is not None:
        if ckpt:
            raise InputError("give either --ckpt or --model, not both: a checkpoint shows its own architecture")
        if weights is not None:
            raise InputError("--weights chooses among the weights of a checkpoint: give --ckpt, not --model")
        return [ModelOptions(model=model)] * len(values)
    ckpt = ckpt or [DEFAULT_CHECKPOINT]
    if len(ckpt) not in (1, len(values)):
        raise InputError(f"{len(values)} values and {len(ckpt)} checkpoints: give one --ckpt, or one for each value")
    return [ModelOptions(checkpoint=one, weights=weights) for one in (ckpt if len(ckpt) > 1 else ckpt * len(values))]
