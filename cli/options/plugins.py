"""`--plugin FILE.py`: an option of the program and, by `opened`, of each of its commands."""

from pathlib import Path
from typing import Annotated

import typer

from saformer.cli.options.panels import Panel


def _load(context: typer.Context, files: list[Path] | None) -> list[Path] | None:
    if files and not context.resilient_parsing:  # while a shell completes a line, nothing is run
        from saformer import plugins

        for file in files:
            plugins.load(file)
    return files


# Eager: what is registered must be known when the other options are read.
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="A file that registers models, attentions, data sets, accountings; repeat it.",
        is_eager=True,
        callback=_load,
        show_default=False,
        rich_help_panel=Panel.general,
    ),
]
