"""`saformer flops`: dense operations, by the recorder and by fvcore."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from saformer.cli.commands import command
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Format
from saformer.cli.options.run import Fold, Seed
from saformer.cli.resolve.fold import fold_for
from saformer.cli.resolve.foreign import model_input, own_errors
from saformer.cli.resolve.layouts import layout_advice
from saformer.cli.resolve.network import check_reach, check_runs, network_of
from saformer.cli.resolve.random_inputs import described, random_data, random_inputs
from saformer.cli.resolve.source import Source, source_of
from saformer.cli.terminal.outputs import emit
from saformer.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from saformer.analysis.recording.flop_check import ModuleFlops


@dataclass(frozen=True, kw_only=True)
class _OneCall(ModelOptions):
    """Which model, for one call of it: dense operations need no spikes."""

    loop: int | None = None
    neurons: list[str] | None = None


@command("flops")
def flops(model: _OneCall, fold: Fold = False, seed: Seed = 0, format: Format = None) -> None:
    """Dense multiply-accumulates of one image over all time steps, module by module, beside fvcore's count.

    Needs no data.

      saformer flops saformer-4-384
    """
    from saformer.reports.document.blocks import Line, Report, note
    from saformer.reports.tables.flops import FlopsRow, flops_table

    source = source_of(model)
    check_runs([source], "flops")
    check_reach([source], model)
    heading, found, remarks = _counted(source, fold, seed)
    rows = [FlopsRow(row.module, row.op, row.recorder, row.fvcore) for row in found]
    lines = [] if any(row.fvcore is not None for row in rows) else [Line("fvcore cannot trace this model", "warning")]
    emit(Report([Line(heading), flops_table(rows), *lines, *map(note, remarks)]), format)


def _counted(source: Source, fold: bool, seed: int) -> "tuple[str, list[ModuleFlops], list[str]]":
    """Heading, counts and remarks."""
    from saformer.analysis.recording.run import dense_operations
    from saformer.models import Model
    from saformer.models.config import example_input

    options, shape = source.options, ""
    if source.foreign:
        if not options.input_shape:
            raise InputError("say what your model takes: --input-shape C,H,W, or T,C,H,W for event frames")
        inputs = random_inputs(options)
        shape = (
            f"one {'image' if len(inputs) == 1 else 'sample'} of {', '.join(described(one, ' x ') for one in inputs)}"
        )
    found = network_of(source, None, seed=seed)
    network: nn.Module = found.module
    if isinstance(network, Model):
        config, example, given, remarks = network.config, example_input(network), None, []
        what = "sequence" if config.input_kind == "tokens" else "image"
        heading = f"{source.label or config.name}, one {what} of {config.input_size}, T = {config.time_steps}"
    else:
        example, _ = next(random_data(options, seed=0).batches(1))
        given, remarks = model_input(options), found.remarks
        heading = f"{source.label or type(network).__name__}, {shape}"
    if fold:
        network, remark = fold_for(network, example if source.foreign else None, options)
        remarks = [*remarks, remark]
    with own_errors(network, advice=layout_advice(network, options, lambda _: example)):
        return heading, dense_operations(network, example, options.steps if source.foreign else None, given), remarks
