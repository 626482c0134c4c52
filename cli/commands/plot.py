"""`saformer plot`: how a run went, as a figure."""

from pathlib import Path
from typing import Annotated

import typer

from saformer.cli.commands import command
from saformer.cli.options.output import FigureWidth
from saformer.cli.terminal.console import tell
from saformer.errors import InputError
from saformer.reports.figures.style import Width


@command("plot")
def plot(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, as `saformer train --out` made it.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Figure to write, .pdf, .svg or .png. Default: RUN/curves.png."),
    ] = None,
    width: FigureWidth = Width.page,
) -> None:
    """Loss, accuracy, learning rate and the firing rate of each layer, epoch by epoch.

      saformer plot run --out curves.pdf

    The numbers are those of run/metrics.csv, which a run writes after each epoch.
    """
    from saformer.files import check_target
    from saformer.reports.figures.saving import check_format, save_figure
    from saformer.reports.figures.training import training_figure
    from saformer.training import read_metrics
    from saformer.training.folder import METRICS

    if not run.is_dir():
        raise InputError(f"there is no folder {run}: name one that `saformer train --out` made")
    table = run / METRICS
    if not table.exists():
        raise InputError(f"{run} has no {METRICS} yet: a run writes it after its first epoch")
    target = out or run / "curves.png"
    check_format(target, pixels=True)
    check_target(target)
    save_figure(training_figure(read_metrics(table), width), target)
    tell(f"wrote {target}")
