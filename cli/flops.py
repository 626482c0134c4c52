"""`saformer flops`: dense operations, by the recorder and by fvcore."""

from dataclasses import replace

from saformer.cli import options as opt
from saformer.cli.outputs import emit
from saformer.cli.sources import DEFAULT_CHECKPOINT, load_for


def flops(model: opt.ModelOptions, format: opt.Format = None) -> None:
    """Dense multiply-accumulates of one image over all time steps, module by module, beside fvcore's count.

    Needs no data.

      saformer flops --model saformer-4-384
    """
    from saformer.analysis.witness import dense_operations
    from saformer.reports.records import Line, Report
    from saformer.reports.tables import FlopsRow, flops_table

    if model.checkpoint is None and model.model is None:
        model = replace(model, checkpoint=DEFAULT_CHECKPOINT)
    network, _ = load_for(model, None)
    rows = [FlopsRow(row.module, row.op, row.recorder, row.fvcore) for row in dense_operations(network)]
    config = network.config
    size = f"{config.in_channels} x {config.image_size} x {config.image_size}"
    emit(
        Report([Line(f"{config.name}, one image of {size}, T = {config.time_steps}"), flops_table(rows)]),
        format,
    )
