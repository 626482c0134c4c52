"""What a command answers before a format is chosen: a report of tables, lines, facts, headings and figures.

A command makes a `Report` and hands it on. `saformer.reports.writers` turns it into Markdown, LaTeX, CSV, JSON or HTML,
or into what a terminal shows.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from saformer.reports.document.table import Table
from saformer.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Format(StrEnum):
    """How a report is written."""

    rich = "rich"
    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    json = "json"


@dataclass(frozen=True)
class Line:
    """A line of text.

    Args:
        text: the line; it wraps.
        style: strong for results, dim for explanations, warning for what a reader must not miss.
        label: stands before the text, which wraps beside it, not under it.
        after: plain text that goes on in the line.
    """

    text: str = ""
    style: Literal["", "strong", "dim", "warning", "note"] = ""
    label: str = ""
    after: str = ""


def note(text: str, about: str = "") -> Line:
    """What a reader of the numbers should know; `about` names which of several things it is about."""
    return Line(text, "note", f"{about}: " if about else "note: ")


@dataclass(frozen=True)
class Facts:
    """Labels with a text each."""

    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Heading:
    """The title of a page (level 1), of a section (2), or of a part of one (3).

    Args:
        text: the title.
        level: see above.
        gist: what the section comes to, for where it is folded.
        open: it is not folded at first.
    """

    text: str
    level: Literal[1, 2, 3] = 2
    gist: str = ""
    open: bool = False

    @property
    def anchor(self) -> str:
        """What a link to it ends in."""
        return re.sub(r"[^a-z0-9]+", "-", self.text.lower()).strip("-")


@dataclass(frozen=True)
class Verbatim:
    """Text that is shown as it is, such as a command."""

    text: str

    @property
    def lines(self) -> list[str]:
        """Its lines, without what could steer a terminal."""
        return [printable(line) for line in self.text.splitlines()]


@dataclass(frozen=True)
class Picture:
    """A figure with its words.

    Args:
        name: of its files, without folder and suffix.
        draw: makes the figure, when it is needed: those of many networks would fill the memory together.
        alt: what it shows, for a reader who cannot see it.
        caption: stands below it.
    """

    name: str
    draw: Callable[[], "Figure"]
    alt: str
    caption: str


Part = Table | Line | Facts | Heading | Verbatim | Picture


@dataclass(frozen=True)
class Report:
    """Tables, lines, facts and figures in the order in which they are read.

    Args:
        parts: of the report; an empty `Line` is a blank line on a terminal.
        data: the JSON object, where it is documented by itself; else it is made from the parts.
    """

    parts: Sequence[Part] = field(default_factory=tuple)
    data: Mapping[str, Any] | None = None

    def __add__(self, other: "Report") -> "Report":
        """One report after the other; their objects for JSON in one."""
        return Report((*self.parts, *other.parts), {**(self.data or {}), **(other.data or {})} or None)

    @property
    def tables(self) -> list[Table]:
        """The tables alone."""
        return [part for part in self.parts if isinstance(part, Table)]

    @property
    def pictures(self) -> list[Picture]:
        """The figures alone."""
        return [part for part in self.parts if isinstance(part, Picture)]
