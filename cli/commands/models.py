"""`saformer models`: presets, shipped checkpoints, and how to name any other size."""

from saformer.cli.commands import command
from saformer.cli.options.output import Format
from saformer.cli.terminal.outputs import emit


@command("models")
def models(format: Format = None) -> None:
    """List models: presets with parameters and input, shipped checkpoints, and how to name any other size."""
    import torch

    from saformer.checkpoints import load
    from saformer.checkpoints.shipped import SHIPPED, resolve_checkpoint
    from saformer.models import FAMILIES, PRESETS, configure, from_config
    from saformer.reports.document.blocks import Line, Report
    from saformer.reports.document.numbers import percent
    from saformer.reports.document.table import Column, number
    from saformer.reports.tables.catalogue import catalogue_table

    rows = []
    for name in PRESETS:
        config = configure(name)
        with torch.device("meta"):
            parameters = sum(p.numel() for p in from_config(config).parameters())
        rows.append([name, FAMILIES[config.family], parameters, config.time_steps, config.input_size, config.tokens])
    steps = number("T", key="time_steps", write=str)
    columns = [
        *map(Column, ("preset", "architecture")),
        number("parameters"),
        steps,
        Column("input"),
        number("tokens", write=lambda tokens: "-" if tokens is None else str(tokens)),
    ]
    notes = [
        "Any other size: FAMILY-DEPTH-DIM, for instance saformer-6-256; families: " + ", ".join(FAMILIES) + ".",
        "Two input channels stand for event frames.",
    ]
    presets = catalogue_table("Models (--model NAME, untrained)", columns, rows, notes)
    rows = []
    for name in SHIPPED:
        path = resolve_checkpoint(name)
        if not path.exists():
            continue
        model = load(path)
        accuracy = model.origin.training.get("accuracy") if model.origin else None
        parameters = sum(p.numel() for p in model.parameters())
        rows.append([name, model.config.name, parameters, model.config.time_steps, accuracy])
    columns = [
        *map(Column, ("checkpoint", "model")),
        number("parameters"),
        steps,
        number("accuracy", write=percent),
    ]
    shipped = catalogue_table("Trained checkpoints in the package (--ckpt NAME)", columns, rows)
    emit(Report([presets, Line(), shipped]), format)
