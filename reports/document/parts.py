"""A document: sections of tables, figures, facts and lines, before anybody has chosen a format."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saformer.reports.records import Facts, Line, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure with its words.

    Args:
        name: of its files, without a suffix.
        figure: the figure itself.
        alt: what it shows, for a reader who cannot see it.
        caption: stands below it.
    """

    name: str
    figure: "Figure"
    alt: str
    caption: str


@dataclass(frozen=True)
class Source:
    """Text that is shown as it is, such as a command."""

    text: str


Part = Table | Line | Facts | Picture | Source


@dataclass(frozen=True)
class Section:
    """A heading (`id` is its anchor) and what stands below it."""

    id: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Document:
    """Title, a summary of a few sentences, and sections."""

    title: str
    summary: Sequence[str]
    sections: Sequence[Section]

    @property
    def pictures(self) -> list[Picture]:
        """Every figure, in the order in which they stand."""
        return [part for section in self.sections for part in section.parts if isinstance(part, Picture)]
