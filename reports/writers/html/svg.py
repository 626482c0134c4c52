"""A figure's SVG as part of a page: nothing in it can load, run or collide, and its colours follow the page's.

Matplotlib writes a colour wherever something is drawn. Each becomes a variable of the page's style, `--f-0072b2`, which
has another value where the page is dark. `style` attributes become attributes of SVG: a page whose policy allows no
styles but its own would drop them.
"""

import colorsys
import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from saformer.reports.document.drawing import KEPT, Mark

_HREF = "{http://www.w3.org/1999/xlink}href"
_ELEMENTS = {
    "svg",
    "g",
    "defs",
    "path",
    "use",
    "rect",
    "circle",
    "line",
    "text",
    "tspan",
    "clipPath",
    "pattern",
    "image",
}
_ATTRIBUTES = {
    *("id", "d", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "rx", "ry", "width", "height", "transform", "href"),
    *("clip-path", "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-dashoffset", "stroke-linejoin"),
    *("stroke-linecap", "stroke-opacity", "fill-opacity", "fill-rule", "opacity", "font-size", "font-weight"),
    *("font-style", "text-anchor", "dominant-baseline", "patternUnits", "patternTransform", "preserveAspectRatio"),
    "viewBox",
}
_GEOMETRY = {"d", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "width", "height"}
_OWN = re.compile(r"url\(#([^()]+)\)")
_TRANSLATE = re.compile(r"translate\([^)]*\)")
_ALONG = re.compile(r"translate\((-?[\d.]+) 0\)")
_LONG = 1000
# The page and its text where they are dark, as in the style.
_PAPER, _INK = (0.071, 0.086, 0.106), (0.902, 0.929, 0.953)
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_NUMBER = re.compile(r"-?\d+\.\d+")
_FONT = re.compile(r"(?:^|\s)([\d.]+px)\b")


class InlineFigures:
    """Figures of one page, as SVG to stand in it."""

    def __init__(self) -> None:
        self._figures = 0
        self._colours: dict[str, None] = {}
        self._shapes: dict[str, str] = {}  # letters and hatches of all figures, with what they are called

    def inline(self, svg: bytes, label: str, marks: Iterable[Mark]) -> str:
        """One figure: an image with the name `label` for readers of screens, with a title for each mark."""
        root = ElementTree.fromstring(svg)
        self._figures += 1
        self._prefix = f"f{self._figures}-"
        self._used = set(_referred(root))
        self._shared: dict[str, str] = {}
        # The size in points, by which the places of the marks are known; the page says how large it is shown.
        *_, width, height = map(float, root.get("viewBox", "0 0 1 1").split())
        inside = "".join(self._written(child) for child in root)
        over = "".join(_over(mark, width, height) for mark in marks)
        over = f'<g class="marks">{over}</g>' if over else ""
        return (
            f'<svg role="img" aria-label="{_escaped(label)}" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}" height="{height:g}" fill="{self._colour("#000000")}" stroke-linejoin="round">'
            f"{inside}{over}</svg>"
        )

    @property
    def shapes(self) -> str:
        """What the figures share, to stand before them."""
        paths = "".join(f'<path id="{name}" {inside}/>' for inside, name in self._shapes.items())
        return (
            f'<svg class="shapes" aria-hidden="true" width="0" height="0"><defs>{paths}</defs></svg>' if paths else ""
        )

    @property
    def css(self) -> str:
        """The colours that were used, on a light and on a dark page."""
        light = "".join(f"--f-{colour[1:]}:{colour};" for colour in self._colours)
        dark = "".join(
            f"--f-{colour[1:]}:{'var(--page)' if colour == '#ffffff' else on_dark(colour)};" for colour in self._colours
        )
        return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}"

    def _colour(self, colour: str) -> str:
        colour = colour.lower()
        self._colours[colour] = None
        return f"var(--f-{colour[1:]})"

    def _written(self, element: Element, kept: bool = False, ground: str | None = None) -> str:
        """An element with all that is in it; `ground` is the colour below the hatch of a pattern."""
        name = element.tag.rpartition("}")[2]
        if name not in _ELEMENTS or (name == "path" and self._is_letter(element)):
            return ""
        opens = element.get("id", "").startswith(KEPT)
        kept = kept or opens
        # A hatch stays dark where what it lies on stays light.
        hatched = name == "path" and ground is not None and _weight(on_dark(ground)) > 0.4
        attributes = dict(self._attributes(element, kept or hatched))
        if opens:
            attributes.setdefault("fill", "#000")  # text of the figure's own black, not of the page's
        if name == "pattern":
            ground = next((fill for child in element if _HEX.fullmatch(fill := child.get("fill", ""))), "#ffffff")
        inside = "".join(self._written(child, kept, ground) for child in element)
        text = _escaped(element.text) if name in ("text", "tspan") and element.text else ""
        tail = _escaped(element.tail) if name == "tspan" and element.tail else ""
        if name in ("g", "defs") and (not inside or not attributes):
            return inside if name == "g" else f"<defs>{inside}</defs>" if inside else ""
        if ground is not None and len(attributes.get("d", "")) > _LONG:
            return self._hatch(attributes)
        shown = "".join(f" {key}={_quoted(value)}" for key, value in attributes.items())
        return f"<{name}{shown}>{text}{inside}</{name}>{tail}" if inside or text else f"<{name}{shown}/>{tail}"

    def _is_letter(self, element: Element) -> bool:
        """A shape that is only referred to, such as a letter, is written once for all figures."""
        if set(element.attrib) - {"id", "d", "transform"} or "id" not in element.attrib:
            return False
        transform = element.get("transform", "")
        inside = f'd="{_rounded(" ".join(element.get("d", "").split()))}"'
        self._shared[element.get("id", "")] = self._shape(f"{inside} transform={_quoted(transform)}")
        return True

    def _hatch(self, attributes: dict[str, str]) -> str:
        """The lines of a hatch, which are written once for all colours and figures."""
        name = self._shape(f'd="{attributes.pop("d")}"')
        shown = "".join(f" {key}={_quoted(value)}" for key, value in attributes.items())
        return f'<use href="#{name}"{shown}/>'

    def _shape(self, inside: str) -> str:
        return self._shapes.setdefault(inside, f"_{len(self._shapes) + 1}")

    def _attributes(self, element: Element, kept: bool) -> Iterator[tuple[str, str]]:
        given = {("href" if key == _HREF else key): value for key, value in element.attrib.items()}
        for declaration in given.pop("style", "").split(";"):
            key, _, value = declaration.partition(":")
            if key.strip() == "font" and (size := _FONT.search(value)):
                given["font-size"] = size[1]
                if "bold" in value:
                    given["font-weight"] = "bold"
            given[key.strip()] = value.strip()
        if element.tag.endswith("}use") and (along := _ALONG.fullmatch(given.get("transform", ""))):
            given["x"] = along[1]  # a line of letters, in a third of the characters
            del given["transform"]
        for key, value in given.items():
            if key in _ATTRIBUTES and (written := self._value(key, value, kept)):
                yield key, written

    def _value(self, key: str, value: str, kept: bool) -> str:
        """An attribute as it stands in the page; empty for one that is left out."""
        if key == "id":
            return self._prefix + value if value in self._used else ""
        if key == "href":
            inside = value.startswith("data:image/png;base64,")
            if inside or not value.startswith("#"):
                return value if inside else ""
            return f"#{self._shared.get(value[1:]) or self._prefix + value[1:]}"
        if "(" in value and key != "transform":
            own = _OWN.fullmatch(value.strip())
            return f"url(#{self._prefix}{own[1]})" if own else ""
        if key == "transform":
            still = value.startswith(("rotate(-0 ", "rotate(0 ")) or value == "translate(0 0)"
            return "" if still else _TRANSLATE.sub(lambda found: _rounded(found[0]), value)
        if key in _GEOMETRY:
            return _rounded(" ".join(value.split()))
        if key in ("fill", "stroke") and _HEX.fullmatch(value) and not kept:
            return self._colour(value)
        return value


def on_dark(colour: str) -> str:
    """What a colour of a figure on white becomes on a dark page.

    Greys change places, so that white is the page and black the text; colours keep their hue and their order in
    lightness, and become light enough to be told from the page; pale ones, which stand for the page with a tint, become
    dark ones.
    """
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    hue, light, saturation = colorsys.rgb_to_hls(red, green, blue)
    spread = max(red, green, blue) - min(red, green, blue)
    if spread < 0.06:
        return _hex(*(paper + (1 - light) * (ink - paper) for paper, ink in zip(_PAPER, _INK, strict=True)))
    weight = _weight(colour)
    if weight > 0.8 and spread < 0.45:
        return _hex(*colorsys.hls_to_rgb(hue, 0.12 + 1.2 * (1 - weight), min(saturation, 0.6)))
    return _hex(*colorsys.hls_to_rgb(hue, 0.5 + 0.38 * weight if light < 0.75 else light, saturation))


def _weight(colour: str) -> float:
    """How light a colour looks, from 0 to 1."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _hex(*parts: float) -> str:
    return "#" + "".join(f"{round(255 * min(max(part, 0.0), 1.0)):02x}" for part in parts)


def _referred(root: Element) -> Iterator[str]:
    """The identifiers that something in the figure points to."""
    for element in root.iter():
        for value in element.attrib.values():
            yield from re.findall(r"url\(#([^)]+)\)", value)
        if element.get(_HREF, "").startswith("#"):
            yield element.get(_HREF, "")[1:]


def _over(mark: Mark, width: float, height: float) -> str:
    left, top, right, bottom = mark.box
    # A bar of no length is still one that can be pointed at.
    across, down = max((right - left) * width, 6.0), max((bottom - top) * height, 4.0)
    return (
        f'<rect x="{left * width:.1f}" y="{top * height:.1f}" width="{across:.1f}" height="{down:.1f}">'
        f"<title>{_escaped(mark.text)}</title></rect>"
    )


def _rounded(text: str) -> str:
    """Coordinates in tenths of a point."""
    return _NUMBER.sub(lambda found: f"{float(found[0]):.1f}".removesuffix(".0"), text)


def _escaped(text: str) -> str:
    from markupsafe import escape

    return str(escape(" ".join(text.split()) if "\n" in text else text))


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'
