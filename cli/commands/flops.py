"""`saformer flops`: dense operations, by the recorder and by fvcore."""

from dataclasses import replace
from typing import TYPE_CHECKING

from saformer.cli.commands import command
from saformer.cli.options.model import ModelOptions
from saformer.cli.options.output import Format
from saformer.cli.resolve.foreign import foreign_model, own_errors, time_first_input
from saformer.cli.resolve.model import DEFAULT_CHECKPOINT, check_ours, load_for
from saformer.cli.resolve.random_inputs import described, random_data, random_inputs
from saformer.cli.terminal.outputs import emit
from saformer.errors import InputError

if TYPE_CHECKING:
    from saformer.analysis.recording.flop_check import ModuleFlops


@command("flops")
def flops(model: ModelOptions, format: Format = None) -> None:
    """Dense multiply-accumulates of one image over all time steps, module by module, beside fvcore's count.

    Needs no data.

      saformer flops --model saformer-4-384
    """
    from saformer.reports.document.blocks import Line, Report, note
    from saformer.reports.tables.flops import FlopsRow, flops_table

    if model.checkpoint is None and model.model is None:
        model = replace(model, checkpoint=DEFAULT_CHECKPOINT)
    heading, found, remarks = _foreign(model) if model.foreign else _ours(model)
    rows = [FlopsRow(row.module, row.op, row.recorder, row.fvcore) for row in found]
    lines = [] if any(row.fvcore is not None for row in rows) else [Line("fvcore cannot trace this model", "warning")]
    emit(Report([Line(heading), flops_table(rows), *lines, *map(note, remarks)]), format)


def _ours(options: ModelOptions) -> "tuple[str, list[ModuleFlops], list[str]]":
    from saformer.analysis.recording.run import dense_operations, example_input

    check_ours(options)
    network, _ = load_for(options, None)
    config = network.config
    size = f"{config.in_channels} x {config.image_size} x {config.image_size}"
    heading = f"{config.name}, one image of {size}, T = {config.time_steps}"
    return heading, dense_operations(network, example_input(network)), []


def _foreign(options: ModelOptions) -> "tuple[str, list[ModuleFlops], list[str]]":
    from saformer.analysis.recording.run import dense_operations

    if not options.input_shape:
        raise InputError("say what your model takes: --input-shape C,H,W, or T,C,H,W for event frames")
    inputs = random_inputs(options)
    example, _ = next(random_data(options, seed=0).batches(1))
    network, remarks = foreign_model(options)
    steps = options.time_first
    with own_errors(network):
        found = dense_operations(network, example, steps, None if steps is None else time_first_input(steps))
    shape = ", ".join(described(one, " x ") for one in inputs)
    return f"{type(network).__name__}, one {'image' if len(inputs) == 1 else 'sample'} of {shape}", found, remarks
