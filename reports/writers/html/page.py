"""A document as one HTML page that needs no network and allows none: style, script and figures are inside it."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from saformer.reports.document.blocks import Facts, Heading, Line, Part, Picture, Report, Verbatim
from saformer.reports.document.drawing import Drawing
from saformer.reports.document.table import Table
from saformer.reports.writers.html.svg import InlineFigures
from saformer.reports.writers.html.tables import table_html
from saformer.reports.writers.html.text import escaped


def html_text(report: Report, title: str, drawings: Mapping[str, Drawing]) -> str:
    """The page: what stands before the first section is open, and sections fold, the parts of a section in it, too.

    Its tables sort and fold and its figures enlarge with a short script; without it all is there, in order.

    Args:
        report: what to write.
        title: of the page.
        drawings: of its pictures, by their names.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    import saformer

    here = resources.files("saformer.reports.writers.html")
    read = lambda name: here.joinpath(name).read_text(encoding="utf-8")  # noqa: E731
    writer = _Writer(drawings, _identifiers(report.parts))
    opening, sections = writer.sections(list(report.parts))
    css, js = read("page.css") + writer.figures.css, read("page.js")
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(read("page.html.jinja"))
    return template.render(
        title=title,
        opening=Markup(opening),
        sections=sections,
        shapes=Markup(writer.figures.shapes),
        version=saformer.__version__,
        css=Markup(css),
        js=Markup(js),
        css_hash=_hash(css),
        js_hash=_hash(js),
    )


def _hash(text: str) -> str:
    """What a Content-Security-Policy calls a style or a script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _identifiers(parts: Sequence[Part]) -> dict[int, str]:
    """An identifier of its own for each heading, by its place."""
    found: dict[int, str] = {}
    for i, part in enumerate(parts):
        if isinstance(part, Heading):
            name, more = part.anchor or "section", 1
            while (unique := name if more == 1 else f"{name}-{more}") in found.values():
                more += 1
            found[i] = unique
    return found


@dataclass
class _Writer:
    drawings: Mapping[str, Drawing]
    identifiers: Mapping[int, str]
    figures: InlineFigures = field(default_factory=InlineFigures)

    def sections(self, parts: Sequence[Part]) -> tuple[str, list[dict[str, Any]]]:
        """What stands before the first heading, and the sections below it."""
        from markupsafe import Markup

        self._links = {
            part.text: self.identifiers[i] for i, part in reversed(list(enumerate(parts))) if isinstance(part, Heading)
        }
        starts = [i for i, part in enumerate(parts) if isinstance(part, Heading) and part.level == 2]
        first = starts[0] if starts else len(parts)
        sections = []
        for start, end in zip(starts, [*starts[1:], len(parts)], strict=True):
            inner = [i for i in range(start + 1, end) if isinstance(parts[i], Heading)]
            edges = [*inner, end]
            written = self._parts(parts[start + 1 : edges[0]])
            for i, stop in zip(inner, edges[1:], strict=True):
                heading = parts[i]
                assert isinstance(heading, Heading)
                written += (
                    f'<details class="part" id="{self.identifiers[i]}"><summary><h3>{escaped(heading.text)}</h3>'
                    f"{_gist(heading)}</summary>{self._parts(parts[i + 1 : stop])}</details>"
                )
            heading = parts[start]
            assert isinstance(heading, Heading)
            sections.append(
                {
                    "id": self.identifiers[start],
                    "heading": heading,
                    "gist": Markup(_gist(heading)),
                    "content": Markup(written),
                }
            )
        return self._parts(parts[:first]), sections

    def _parts(self, parts: Sequence[Part]) -> str:
        return "\n".join(self._part(part) for part in parts)

    def _part(self, part: Part) -> str:
        match part:
            case Table():
                return table_html(part, self._links.get)
            case Picture():
                return self._picture(part)
            case Heading():
                return f"<h3>{escaped(part.text)}</h3>"
            case Verbatim():
                code = "\n".join(escaped(line) for line in part.lines)
                return f'<pre tabindex="0"><code>{code}</code></pre>'
            case Facts():
                pairs = "".join(f"<dt>{escaped(label)}</dt><dd>{escaped(text)}</dd>" for label, text in part.facts)
                return f'<dl class="facts">{pairs}</dl>'
            case Line():
                return _line(part)

    def _picture(self, picture: Picture) -> str:
        drawing = self.drawings[picture.name]
        svg = self.figures.inline(drawing.svg, " ".join(picture.alt.split()), drawing.marks)
        values = drawing.table("Values of the figure above")
        table = (
            ""
            if values is None
            else f'<details class="values"><summary>Values as a table</summary>{table_html(values, self._links.get)}'
            "</details>"
        )
        return (
            f'<figure><div class="frame">{svg}</div><figcaption>{escaped(picture.caption)}</figcaption>{table}</figure>'
        )


def _gist(heading: Heading) -> str:
    return f' <span class="gist">{escaped(heading.gist)}</span>' if heading.gist else ""


def _line(line: Line) -> str:
    if not line.text:
        return ""
    text = escaped(line.text)
    if line.style in ("strong", "warning"):
        text = f"<strong>{text}</strong>"
    label = f"{escaped(line.label.strip())} " if line.label else ""
    kind = ' class="note"' if line.style in ("dim", "note") else ""
    return f"<p{kind}>{label}{text}{escaped(line.after)}</p>"
