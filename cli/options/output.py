"""What is shown, and where it is written."""

from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo

from saformer.cli.options.groups import Panel
from saformer.reports.document.blocks import Format as TableFormat


def figure_file(help: str, flag: str = "--plot") -> OptionInfo:
    """A figure to write; `help` says what it shows."""
    return typer.Option(flag, metavar="FILE.{png,pdf,svg}", help=help, rich_help_panel=Panel.output)


Format = Annotated[
    TableFormat | None,
    typer.Option(
        "--format", help="How tables are written.", show_default="rich, for terminals", rich_help_panel=Panel.output
    ),
]
Json = Annotated[
    str | None,
    typer.Option(
        "--json", metavar="FILE", help="Write everything as JSON; - for standard output.", rich_help_panel=Panel.output
    ),
]
Csv = Annotated[
    str | None,
    typer.Option(
        "--csv",
        metavar="FILE",
        help="Write plain rows as CSV; - for standard output.",
        rich_help_panel=Panel.output,
    ),
]
Plot = Annotated[Path | None, figure_file("Draw what the table shows.")]
SaveProfile = Annotated[
    Path | None,
    typer.Option(
        "--save-profile",
        metavar="FILE",
        help="Keep the recorded integers for later questions.",
        rich_help_panel=Panel.output,
    ),
]
Top = Annotated[int, typer.Option("--top", metavar="N", help="Rows to show; 0 for all.", rich_help_panel=Panel.output)]
Layers = Annotated[
    bool, typer.Option("--layers", help="Open every block to its operations.", rich_help_panel=Panel.output)
]
Spikes = Annotated[
    bool, typer.Option("--spikes", help="Add a table of spiking layers, step by step.", rich_help_panel=Panel.output)
]
Ours = Annotated[
    list[str] | None,
    typer.Option("--ours", metavar="NAME", help="Whom Eq. 21 compares with, one per data set. Default: the first."),
]
