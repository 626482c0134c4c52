"""`saformer models` and `saformer datasets`: what there is."""

from saformer.cli import options as opt
from saformer.cli.terminal import show


def models() -> None:
    """List models: presets with parameters and input, shipped checkpoints, and how to name any other size."""
    import torch

    from saformer.checkpoints import load
    from saformer.checkpoints.shipped import SHIPPED, shipped_path
    from saformer.models import FAMILIES, PRESETS, configure, from_config
    from saformer.reports.format import si
    from saformer.reports.tables import catalogue_table

    rows = []
    for name in PRESETS:
        config = configure(name)
        with torch.device("meta"):
            parameters = sum(p.numel() for p in from_config(config).parameters())
        image = f"{config.in_channels} x {config.image_size} x {config.image_size}"
        rows.append([name, FAMILIES[config.family], si(parameters), config.time_steps, image, config.tokens])
    columns = ["preset", "architecture", "parameters", "T", "input", "tokens"]
    show(catalogue_table("Models (--model NAME, untrained)", columns, rows))
    show(
        "Any other size: FAMILY-DEPTH-DIM, for instance saformer-6-256; families: " + ", ".join(FAMILIES) + ".",
        "Two input channels stand for event frames.",
        "",
    )
    rows = []
    for name in SHIPPED:
        path = shipped_path(name)
        if path is None or not path.exists():
            continue
        model = load(path)
        training = ((model.origin and model.origin.details) or {}).get("training", {})
        accuracy = training.get("accuracy")
        parameters = sum(p.numel() for p in model.parameters())
        rows.append(
            [
                name,
                model.config.name,
                si(parameters),
                model.config.time_steps,
                "-" if accuracy is None else f"{accuracy:.1%}",
            ]
        )
    show(
        catalogue_table(
            "Trained checkpoints in the package (--ckpt NAME)",
            ["checkpoint", "model", "parameters", "T", "accuracy"],
            rows,
        )
    )


def datasets(data_dir: opt.DataDir = None) -> None:
    """List data sets: size, where they are looked for, and where to get them."""
    from pathlib import Path

    from rich.padding import Padding
    from rich.table import Table

    from saformer.data import DATASETS, EVENT_TIME_STEPS
    from saformer.reports.tables import catalogue_table

    rows = []
    for info in DATASETS.values():
        image = " x ".join(map(str, info.shape))
        if info.kind == "events":
            image = f"T x {image}"
        counts = None if info.train is None else f"{info.train:,} / {info.test:,}"
        rows.append([info.name, info.classes, image, counts])
    show(catalogue_table("Data sets (--dataset NAME)", ["name", "classes", "image", "train / test"], rows))
    show(f"T x ...: event frames; T from --time-steps or the checkpoint, else {EVENT_TIME_STEPS}.")
    for info in DATASETS.values():
        about = Table.grid(padding=(0, 2))
        about.add_column(no_wrap=True)
        about.add_column()
        about.add_row(f"looked for in {data_dir or Path('data')}", info.expected)
        if info.download:
            about.add_row("get it from", info.download)
        show("", f"{info.name}: {info.title}", Padding(about, (0, 0, 0, 2)))
    show("", "Anything else: --input FILE.npz with an array x, already normalised, and optional labels y.")
