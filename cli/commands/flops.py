"""`saformer flops`: dense operations, by the recorder and by fvcore."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from saformer.cli.commands import command
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Format
from saformer.cli.options.run import Fold
from saformer.cli.resolve.fold import fold_for
from saformer.cli.resolve.foreign import foreign_model, model_input, own_errors
from saformer.cli.resolve.model import DEFAULT_CHECKPOINT, check_ours, load_for
from saformer.cli.resolve.random_inputs import described, random_data, random_inputs
from saformer.cli.terminal.outputs import emit
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.recording.flop_check import ModuleFlops


@dataclass(frozen=True, kw_only=True)
class _OneCall(ModelOptions):
    """Which model, for one call of it: dense operations need no spikes."""

    loop: int | None = None
    neurons: list[str] | None = None


@command("flops")
def flops(model: _OneCall, fold: Fold = False, format: Format = None) -> None:
    """Dense multiply-accumulates of one image over all time steps, module by module, beside fvcore's count.

    Needs no data.

      saformer flops --model saformer-4-384
    """
    from saformer.reports.document.blocks import Line, Report, note
    from saformer.reports.tables.flops import FlopsRow, flops_table

    if model.checkpoint is None and model.model is None:
        model = replace(model, checkpoint=DEFAULT_CHECKPOINT)
    heading, found, remarks = _foreign(model, fold) if model.foreign else _ours(model, fold)
    rows = [FlopsRow(row.module, row.op, row.recorder, row.fvcore) for row in found]
    lines = [] if any(row.fvcore is not None for row in rows) else [Line("fvcore cannot trace this model", "warning")]
    emit(Report([Line(heading), flops_table(rows), *lines, *map(note, remarks)]), format)


def _ours(options: ModelOptions, fold: bool) -> "tuple[str, list[ModuleFlops], list[str]]":
    from saformer.analysis.recording.run import dense_operations
    from saformer.models.config import example_input

    check_ours(options)
    network, _ = load_for(options, None)
    config = network.config
    what = "sequence" if config.input_kind == "tokens" else "image"
    heading = f"{config.name}, one {what} of {config.input_size}, T = {config.time_steps}"
    example = example_input(network)
    folded, remark = fold_for(network, None) if fold else (network, "")
    return heading, dense_operations(folded, example), [remark] if fold else []


def _foreign(options: ModelOptions, fold: bool) -> "tuple[str, list[ModuleFlops], list[str]]":
    from saformer.analysis.recording.run import dense_operations

    if not options.input_shape:
        raise InputError("say what your model takes: --input-shape C,H,W, or T,C,H,W for event frames")
    inputs = random_inputs(options)
    example, _ = next(random_data(options, seed=0).batches(1))
    network, remarks = foreign_model(options)
    if fold:
        network, remark = fold_for(network, example, options)
        remarks = [*remarks, remark]
    with own_errors(network):
        found = dense_operations(network, example, options.steps, model_input(options))
    shape = ", ".join(described(one, " x ") for one in inputs)
    return f"{type(network).__name__}, one {'image' if len(inputs) == 1 else 'sample'} of {shape}", found, remarks
