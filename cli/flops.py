"""`saformer flops`: dense operations, by the recorder and by fvcore."""

from saformer.cli import options as opt
from saformer.cli.sources import DEFAULT_CHECKPOINT, ModelOptions, load_for
from saformer.cli.terminal import show


def flops(
    ckpt: opt.Checkpoint = None,
    model: opt.Model = None,
    weights: opt.Weights = None,
    time_steps: opt.TimeSteps = None,
    heads: opt.Heads = None,
    pooling: opt.Pooling = None,
    image_size: opt.ImageSize = None,
    aggregated: opt.Aggregated = None,
) -> None:
    """Dense multiply-accumulates of one image over all time steps, module by module, beside fvcore's count.

    Needs no data.

      saformer flops --model saformer-4-384
    """
    from saformer.analysis.profiling import dense_operations
    from saformer.reports.tables import FlopsRow, flops_table

    settings = {
        "time_steps": time_steps,
        "heads": heads,
        "pooling": pooling,
        "image_size": image_size,
        "aggregated": aggregated,
    }
    if ckpt is None and model is None:
        ckpt = DEFAULT_CHECKPOINT
    network, _ = load_for(ModelOptions(ckpt, model, weights, settings), None)
    rows = [FlopsRow(row.module, row.op, row.recorder, row.fvcore) for row in dense_operations(network)]
    config = network.config
    size = f"{config.in_channels} x {config.image_size} x {config.image_size}"
    show(f"{config.name}, one image of {size}, T = {config.time_steps}", flops_table(rows))
