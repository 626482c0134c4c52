"""Draws docs/images/way_of_the_data.svg: the folders in the order of the data. `make picture` runs it.

One column of 360 units, so that text is readable on a phone, on a ground of its own, light or dark as the reader asks.
"""

import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, MARGIN, INSET = 360, 8, 20
LINE, GAP = 18, 22  # height of a line of text; room for an arrow between two bands
LIGHT = {"ground": "#ffffff", "band": "#eef2f7", "edge": "#8a97a8", "text": "#1b2430", "soft": "#56637a"}
DARK = {"ground": "#0d1117", "band": "#1a222d", "edge": "#6b7a90", "text": "#e6edf3", "soft": "#a3b1c4"}
FONTS = """
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; text-anchor: middle }
.folder { font: 600 13.5px ui-monospace, "DejaVu Sans Mono", monospace; text-anchor: start }
.name { font-size: 14px; font-weight: 600 } .says { font-size: 12.5px } .arrow { stroke-width: 2; fill: none }
"""


def style() -> str:
    """Fonts and colours; no CSS variables, which some viewers do not know."""

    def colours(of: dict[str, str]) -> str:
        return (
            f".ground, .box {{ fill: {of['ground']} }} .band {{ fill: {of['band']} }} .says {{ fill: {of['soft']} }}\n"
            f".folder, .name {{ fill: {of['text']} }} .head {{ fill: {of['edge']} }} "
            f".box, .arrow {{ stroke: {of['edge']} }}\n"
        )

    return f"{FONTS}{colours(LIGHT)}@media (prefers-color-scheme: dark) {{\n{colours(DARK)}}}\n"


@dataclass(frozen=True)
class Box:
    """What lies in a folder: a name, and what is said of it, a line each."""

    name: str
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Band:
    """A folder with its boxes side by side; `arrow`: what leaves it goes on below."""

    folder: str
    boxes: tuple[Box, ...]
    arrow: bool = True

    @property
    def height(self) -> int:
        """In units, of the folder's name and the tallest box."""
        return 30 + LINE * (1 + max(len(box.says) for box in self.boxes)) + 22


BANDS = (
    Band(
        "saformer/",
        (
            Box("model", ("checkpoint, settings,", "or any nn.Module")),
            Box("data set", ("images or events,", "in batches")),
        ),
    ),
    Band(
        "analysis/recording/",
        (
            Box("recorder", ("runs the model once", "and counts")),
            Box("given rates", ("a table: nothing", "is run")),
        ),
    ),
    Band("analysis/profiles/", (Box("Profile", ("integers, and what was run;", "a file, if it is kept")),)),
    Band(
        "analysis/accounting/",
        (
            Box("rule", ("to MACs", "and ACs")),
            Box("hardware", ("picojoules", "of each")),
            Box("Account", ("numbers", "per image")),
        ),
    ),
    Band(
        "analysis/",
        (
            Box("statistics", ("when to stop",)),
            Box("diagnostics", ("spike-driven?",)),
            Box("complexity", ("formulas",)),
        ),
    ),
    Band(
        "reports/",
        (
            Box("results", ("rows, Eq. 21",)),
            Box("tables", ("and figures",)),
            Box("writers", ("of formats",)),
        ),
    ),
    Band(
        "cli/",
        (Box("commands", ("parse, call, print: terminal, LaTeX,", "Markdown, CSV, JSON, HTML, PNG, PDF")),),
        False,
    ),
)


def picture() -> str:
    """The picture as SVG."""
    parts, top = [], MARGIN
    for band in BANDS:
        parts.append(
            f'<rect class="band" x="{MARGIN}" y="{top}" width="{WIDTH - 2 * MARGIN}" height="{band.height}" rx="8"/>'
        )
        parts.append(f'<text class="folder" x="{INSET}" y="{top + 20}">{escape(band.folder)}</text>')
        parts += _boxes(band, top + 30)
        top += band.height
        if band.arrow:
            parts += _arrow(top, top + GAP)
            top += GAP
    height = top + MARGIN
    title = "The way of the data: from a model and a data set to a table, a figure or a file"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'role="img" aria-label="{title}">',
            f"<title>{title}</title>",
            f"<style>{style()}</style>",
            f'<rect class="ground" width="{WIDTH}" height="{height}" rx="10"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _boxes(band: Band, top: int) -> list[str]:
    room = WIDTH - 2 * INSET
    width = (room - 10 * (len(band.boxes) - 1)) / len(band.boxes)
    height = band.height - 40
    parts = []
    for i, box in enumerate(band.boxes):
        left = INSET + i * (width + 10)
        parts.append(f'<rect class="box" x="{left:g}" y="{top}" width="{width:g}" height="{height}" rx="6"/>')
        middle = left + width / 2
        parts.append(f'<text class="name" x="{middle:g}" y="{top + 20}">{escape(box.name)}</text>')
        for line, text in enumerate(box.says, 1):
            parts.append(f'<text class="says" x="{middle:g}" y="{top + 20 + LINE * line}">{escape(text)}</text>')
    return parts


def _arrow(start: int, end: int) -> list[str]:
    x = WIDTH / 2
    return [
        f'<path class="arrow" d="M{x:g} {start + 2}V{end - 7}"/>',
        f'<path class="head" d="M{x - 6:g} {end - 9}h12l-6 8z"/>',
    ]


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg")
    target.write_text(picture(), encoding="utf-8")
