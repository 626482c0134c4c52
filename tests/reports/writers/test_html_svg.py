"""A figure's SVG in a page: inert, apart from other figures, in colours of the page."""

import re

import pytest

from saformer.reports.document.drawing import KEPT, Mark
from saformer.reports.writers.html.svg import InlineFigures, on_dark

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 100 50">'


def inline(inside: str, figures: InlineFigures | None = None, marks=()) -> str:
    return (figures or InlineFigures()).inline(f"{HEAD}{inside}</svg>".encode(), "a figure", marks)


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<path d="M 0 0" onload="alert(1)"/>',
        '<image href="https://example.org/x.png"/>',
        '<use xlink:href="https://example.org/x.svg#a"/>',
        '<path d="M 0 0" style="fill: url(https://example.org/x)"/>',
        '<path d="M 0 0" fill="url(//example.org#x)"/>',
        '<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">example.org</p></foreignObject>',
        '<a href="javascript:alert(1)"><text>x</text></a>',
        '<style>@import "https://example.org"</style>',
        '<path d="M 0 0" style="background: red; behavior: url(example.org)"/>',
    ],
)
def test_nothing_in_it_loads_or_runs(hostile):
    made = inline(hostile)
    assert not re.search(r"example|alert|script|style|onload|behavior", made)


def test_text_stays_text():
    made = inline("<text>&lt;b&gt; &amp; &quot;</text>", marks=[Mark("", "<i>", "q", '"', (0, 0, 1, 1))])
    assert "&lt;b&gt; &amp;" in made and "<title>&lt;i&gt;: &#34;, q</title>" in made


def test_identifiers_of_two_figures_do_not_meet():
    shape = '<defs><path id="m" d="M 0 0" stroke="#000000"/></defs><use xlink:href="#m" clip-path="url(#m)"/>'
    shape += '<g id="unused"><text>x</text></g>'
    figures = InlineFigures()
    first, second = inline(shape, figures), inline(shape, figures)
    for made, prefix in ((first, "f1-"), (second, "f2-")):
        assert made.count(f"{prefix}m") == 3 and "unused" not in made


def test_colours_are_the_pages_but_for_maps():
    figures = InlineFigures()
    made = inline(
        f'<path d="M 0 0" style="fill: #0072B2; stroke: #ffffff; stroke-width: 0.25"/>'
        f'<g id="{KEPT}0"><path d="M 0 0" style="fill: #123456"/></g>',
        figures,
    )
    assert 'fill="var(--f-0072b2)"' in made and 'stroke-width="0.25"' in made
    assert 'fill="#123456"' in made and "--f-123456" not in figures.css
    assert "--f-0072b2:#0072b2" in figures.css and "--f-ffffff:var(--page)" in figures.css


def lightness(colour: str) -> float:
    return sum(w * int(colour[i : i + 2], 16) for w, i in ((0.299, 1), (0.587, 3), (0.114, 5))) / 255


def test_on_a_dark_page_greys_change_places_and_colours_stay_apart():
    assert lightness(on_dark("#000000")) > 0.85 and lightness(on_dark("#f2f2f2")) < 0.2
    family = ["#004c78", "#d55e00", "#56b4e9"]  # from dark to light
    dark = [lightness(on_dark(colour)) for colour in family]
    assert dark == sorted(dark) and dark[0] > 0.3
    assert lightness(on_dark("#f5d9c2")) < 0.4  # a tint stays near the page


def test_a_letter_is_written_once_for_all_figures():
    letter = '<defs><path id="Font-61" d="M 0 0 L 1 1" transform="scale(0.015625)"/></defs><use xlink:href="#Font-61"/>'
    figures = InlineFigures()
    made = [inline(letter, figures) for _ in range(2)]
    assert all('<use href="#_1"/>' in each and "L 1 1" not in each for each in made)
    assert figures.shapes.count("L 1 1") == 1 and 'transform="scale(0.015625)"' in figures.shapes


def test_a_long_hatch_is_written_once():
    lines = " ".join(f"M {i} 0 L 0 {i}" for i in range(300))
    pattern = '<defs><pattern id="{0}"><rect fill="{1}"/><path d="{2}" style="stroke: #222222"/></pattern></defs>'
    hatch = pattern + '<path fill="url(#{0})"/>'
    figures = InlineFigures()
    made = inline(hatch.format("a", "#56b4e9", lines) + hatch.format("b", "#d55e00", lines), figures)
    assert "L 0 299" not in made and made.count('href="#_1"') == 2 and figures.shapes.count("L 0 299") == 1
    assert 'stroke="#222222"' in made  # dark on a bar that stays light
