"""`saformer eval`: how many images of a data set a network classifies correctly."""

from dataclasses import dataclass
from typing import Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Format, Json, Spikes
from saformer.cli.options.panels import Panel
from saformer.cli.options.run import BatchSize, DType, Kind, RunOptions
from saformer.cli.resolve.network import check_reach, check_runs, checkpoint_of, data_of, default_data, network_of
from saformer.cli.resolve.source import source_of
from saformer.cli.resolve.testing import tested_on
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError


@dataclass(frozen=True, kw_only=True)
class _RunOptions(RunOptions):
    """How to run; all images unless told otherwise, as an accuracy is quoted on the whole test set."""

    limit: Annotated[
        int,
        typer.Option("--limit", metavar="N", help="Images to draw at random; 0 for all.", rich_help_panel=Panel.data),
    ] = 0
    batch_size: BatchSize = 64
    dtype: DType = DType.float32  # no option: a test is in the type of the training
    kind: Kind | None = None  # no option: nothing is charged


@command("eval", several_processes=True)
def evaluate(
    model: ModelOptions,
    data: DataOptions,
    run: _RunOptions,
    spikes: Spikes = False,
    format: Format = None,
    json: Json = None,
) -> None:
    """Accuracy of a network on a data set: all of its test images unless told otherwise.

      saformer eval run/best.safetensors --dataset cifar10 --data-dir ./data

    A checkpoint of `saformer train` knows its data set. A static image can be shown for another number of steps than
    the network was trained with: -T 2.
    """
    from saformer.distributed import is_main
    from saformer.reports.document.blocks import Report, note
    from saformer.reports.tables.evaluation import evaluation_report

    source = source_of(model)
    if source.implied:
        raise InputError("say which network: --ckpt FILE, such as run/best.safetensors")
    outputs = plan(format, json, inputs=[*source.files, data.input])
    check_runs([source], "eval")
    check_reach([source], model)
    raw = checkpoint_of(source)
    opened = data_of(source, data, default_data([source], data), raw, seed=run.seed)
    network = network_of(source, opened, raw, run.seed)
    del raw  # a second copy of the weights
    tested = tested_on(source, network, opened, run)
    if is_main():
        report = evaluation_report(tested.found, tested.model, opened, neurons=spikes)
        outputs.emit(report + Report([note(remark) for remark in tested.remarks]))
