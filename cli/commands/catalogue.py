"""`saformer models` and `saformer datasets`: what there is."""

from saformer.cli.options import groups as opt
from saformer.cli.terminal.outputs import emit


def models(format: opt.Format = None) -> None:
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
        image = f"{config.in_channels} x {config.image_size} x {config.image_size}"
        rows.append([name, FAMILIES[config.family], parameters, config.time_steps, image, config.tokens])
    steps = number("T", key="time_steps", write=str)
    columns = [
        *map(Column, ("preset", "architecture")),
        number("parameters"),
        steps,
        Column("input"),
        number("tokens", write=str),
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


def datasets(data_dir: opt.DataDir = None, format: opt.Format = None) -> None:
    """List data sets: size, where they are looked for, and where to get them."""
    from pathlib import Path

    from saformer.data import DATASETS, EVENT_TIME_STEPS
    from saformer.reports.document.blocks import Line, Report
    from saformer.reports.document.table import Column, hidden, number
    from saformer.reports.tables.catalogue import catalogue_table

    columns = [
        Column("name"),
        number("classes", write=lambda classes: "by folder" if classes is None else str(classes)),
        Column("image"),
        Column("train / test", data=False),
        hidden("train_images"),
        hidden("test_images"),
    ]
    rows = []
    lines = [
        Line(f"T x ...: event frames; T from --time-steps or the checkpoint, else {EVENT_TIME_STEPS}.", "dim"),
    ]
    for info in DATASETS.values():
        image = " x ".join(map(str, info.shape))
        counts = None if info.train is None else f"{info.train:,} / {info.test:,}"
        shape = f"T x {image}" if info.kind == "events" else image
        rows.append([info.name, info.classes, shape, counts, info.train, info.test])
        where = f"looked for in {data_dir or Path('data')}: {info.expected}"
        lines += [Line(), Line(f"{info.name}: {info.title}"), Line(where, label="  ")]
        if info.download:
            lines.append(Line(f"get it from {info.download}", label="  "))
    end = Line("Anything else: --input FILE.npz with an array x, already normalised, and optional labels y.")
    emit(Report([catalogue_table("Data sets (--dataset NAME)", columns, rows), *lines, Line(), end]), format)
