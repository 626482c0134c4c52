"""`saformer eval`: how many images of a data set a checkpoint classifies correctly."""

from dataclasses import dataclass
from typing import Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.data import DataOptions
from saformer.cli.options.groups import Panel
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Format, Json, Spikes
from saformer.cli.options.run import BatchSize, DType, Kind, RunOptions
from saformer.cli.resolve.data import data_for, default_dataset
from saformer.cli.resolve.device import choose_device
from saformer.cli.resolve.fold import fold_for
from saformer.cli.resolve.model import check_fit, load_for, read_for
from saformer.cli.terminal.console import progress
from saformer.cli.terminal.outputs import plan
from saformer.errors import InputError


@dataclass(frozen=True, kw_only=True)
class _CheckpointOptions(ModelOptions):
    """A checkpoint, and settings that its file does not hold."""

    # No options: only a trained network of ours is worth a test.
    model: str | None = None
    arguments: list[str] | None = None
    input_shape: list[str] | None = None
    input_type: str | None = None
    high: int | None = None
    time_first: int | None = None
    time_axis: int | None = None
    loop: int | None = None
    neurons: list[str] | None = None


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
    model: _CheckpointOptions,
    data: DataOptions,
    run: _RunOptions,
    spikes: Spikes = False,
    format: Format = None,
    json: Json = None,
) -> None:
    """Accuracy of a checkpoint on a data set: all of its test images unless told otherwise.

      saformer eval --ckpt run/best.safetensors --dataset cifar10 --data-dir ./data

    A static image can be shown for another number of steps than the network was trained with: -T 2.
    """
    from saformer.distributed import is_main, own_device
    from saformer.reports.document.blocks import Report, note
    from saformer.reports.tables.evaluation import evaluation_report
    from saformer.training import evaluate as count_right

    if model.checkpoint is None:
        raise InputError("say which network: --ckpt FILE, such as run/best.safetensors")
    outputs = plan(format, json, inputs=[model.checkpoint, data.input])
    raw = read_for(model)
    opened = data_for(model, data, default_dataset([model.checkpoint]), raw)
    network, remarks = load_for(model, opened, raw)
    del raw  # a second copy of the weights
    check_fit(network, opened)
    if run.fold:
        example, _ = next(opened.batches(1, 1, run.seed))
        network, remark = fold_for(network, example)
        remarks = [*remarks, remark]
    device = own_device(choose_device(run.device))
    images = min(run.limit, len(opened)) if run.limit else len(opened)
    with progress(f"evaluating {network.config.name} on {opened.name}", images) as advance:
        found = count_right(
            network.to(device),
            opened,
            batch_size=run.batch_size,
            device=device,
            limit=run.limit or None,
            seed=run.seed,
            on_batch=advance,
        )
    if is_main():
        report = evaluation_report(found, network, opened, neurons=spikes)
        outputs.emit(report + Report([note(remark) for remark in remarks]))
