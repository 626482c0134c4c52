"""`saformer datasets`: which data sets there are, and where to get them."""

from pathlib import Path

from saformer.cli.commands import command
from saformer.cli.options.data import DataDir
from saformer.cli.options.output import Format
from saformer.cli.terminal.outputs import emit


@command("datasets")
def datasets(data_dir: DataDir = None, format: Format = None) -> None:
    """List data sets: size, where they are looked for, and where to get them."""
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
        Line("T tokens: sequences for a language model; T from --time-steps or the checkpoint, else 1024.", "dim"),
    ]
    for info in DATASETS.values():
        image = " x ".join(map(str, info.shape)) if info.kind != "tokens" else "T tokens"
        counts = None if info.train is None else f"{info.train:,} / {info.test:,}"
        shape = f"T x {image}" if info.kind == "events" else image
        rows.append([info.name, info.classes, shape, counts, info.train, info.test])
        where = f"looked for in {data_dir or Path('data')}: {info.expected}"
        lines += [Line(), Line(f"{info.name}: {info.title}"), Line(where, label="  ")]
        if info.download:
            lines.append(Line(f"get it from {info.download}", label="  "))
    end = Line("Anything else: --input FILE.npz with an array x, already normalised, and optional labels y.")
    emit(Report([catalogue_table("Data sets (--dataset NAME)", columns, rows), *lines, Line(), end]), format)
