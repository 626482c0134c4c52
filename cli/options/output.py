"""What is shown, and where it is written."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import OptionInfo

from saformer.cli.options.groups import Options
from saformer.cli.options.panels import Panel
from saformer.cli.terminal.console import tell
from saformer.errors import InputError
from saformer.reports.document.blocks import Format as TableFormat
from saformer.reports.figures.style import Width

if TYPE_CHECKING:
    from matplotlib.figure import Figure


#: In the help of every option that takes a figure to write, and in no other.
AS_FIGURE = "As .pdf, .pgf, .svg or .png."


def figure_file(help: str, flag: str = "--plot") -> OptionInfo:
    """A figure to write; `help` says what it shows."""
    return typer.Option(flag, metavar="FILE", help=f"{help} {AS_FIGURE}", rich_help_panel=Panel.output)


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
FigureWidth = Annotated[
    Width,
    typer.Option(
        "--width",
        help="Of a figure in print: a page (7.2 in) or a column of two (3.5 in).",
        rich_help_panel=Panel.output,
    ),
]


@dataclass(frozen=True, kw_only=True)
class PlotOptions(Options):
    """A figure of what a command found."""

    plot: Annotated[Path | None, figure_file("Draw what the table shows.")] = None
    width: FigureWidth = Width.page

    def check(self, *others: Path | None, pixels: bool = False) -> None:
        """Refuse what cannot be drawn before the run.

        Args:
            others: further figures of the command.
            pixels: they have maps.

        Raises:
            InputError: a format is none, or there is a width and no figure.
        """
        from saformer.reports.figures.saving import check_format

        paths = [path for path in (self.plot, *others) if path is not None]
        for path in paths:
            check_format(path, pixels)
        if "--width" in self.flags and not paths:
            raise InputError("--width is about the figure: add --plot FILE")

    def write(self, draw: "Callable[[Width], Figure]", path: Path | None = None) -> None:
        """Draw and write the figure, or another one of the command with its `path`, where it was asked for."""
        from saformer.reports.figures.saving import save_figure

        target = path or self.plot
        if target is not None:
            save_figure(draw(self.width), target)
            tell(f"wrote {target}")


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
    typer.Option(
        "--ours",
        metavar="NAME",
        help="The network that Eq. 21 sets others against, one per data set. Default: the first.",
    ),
]
