"""What the bars of models beside each other share: panels by data set, the look of an origin, the legend."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from saformer.analysis.profiles.origin import Origin
from saformer.errors import InputError
from saformer.reports.figures.style import EDGE, WIDTH_INCHES, Look, figure_style, model_looks
from saformer.reports.results.comparison import IMPLIED, ORIGINS, PUBLISHED, ComparisonRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Draw = Callable[["Axes", Sequence[ComparisonRow], Mapping[str, Look]], None]


def panels_by_data_set(
    groups: Mapping[str, Sequence[ComparisonRow]],
    columns: Sequence[tuple[float, Draw]],
    titles: Mapping[str, str] | None = None,
    label_last: bool = False,
) -> "Figure":
    """A row of panels for each data set, a column for each quantity (its width, what draws it), and the legend.

    With `label_last` the axes of a column say the same, and only the lowest is labelled.
    """
    rows = [row for group in groups.values() for row in group]
    if not rows:
        raise InputError("nothing to draw: no models to compare")
    with figure_style():
        from matplotlib.figure import Figure

        heights = [
            (0.26 if len(group) <= 8 else 0.19) * len(group) + (0.5 if label_last else 0.75)
            for group in groups.values()
        ]
        figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 0.75), layout="constrained")
        panels = figure.subplots(
            len(groups),
            len(columns),
            squeeze=False,
            sharey="row",
            width_ratios=[width for width, _ in columns],
            height_ratios=heights,
        )
        # Ours first: it has the plain look of its family.
        ours_first = sorted(rows, key=lambda row: not row.reference)
        looks = model_looks({row.name: row.family_name for row in ours_first})
        for line, (data, group) in zip(panels, groups.items(), strict=True):
            for axes, (_, draw) in zip(line, columns, strict=True):
                draw(axes, group, looks)
                axes.grid(axis="x")
                axes.set_ylim(len(group) - 0.4, -0.6)
                if label_last and data != list(groups)[-1]:
                    axes.set_xlabel("")
            line[0].set_yticks(range(len(group)), [_label(row) for row in group])
            line[0].set_title((titles or {}).get(data, data), loc="left")
        handles = _legend(rows)
        if handles:
            figure.legend(handles=handles, loc="outside upper center", ncols=2)
        return figure


def _label(row: ComparisonRow) -> str:
    return f"{row.name} (untrained)" if row.origin == Origin.UNTRAINED else row.name


def _legend(rows: Sequence[ComparisonRow]) -> list[Any]:
    """What filled, pale and hollow bars stand for; nothing where all rows are measured ones."""
    from matplotlib.patches import Patch

    used = [origin for origin in ORIGINS if any(row.origin == origin for row in rows)]
    if used == [Origin.MEASURED]:
        return []
    texts = {
        Origin.MEASURED: "measured here",
        Origin.UNTRAINED: "measured here, random weights",
        Origin.RATES: "from given firing rates",
        PUBLISHED: "published in the SAFormer paper",
        IMPLIED: "published; energy solved by Eq. 21 from a stated reduction",
    }
    return [Patch(**_face(origin, Look("#888888", "", "o")), label=texts[origin]) for origin in used]


def _face(origin: str, look: Look) -> dict[str, Any]:
    """How a bar is filled: measured ones solid, those of random weights pale and dashed, published ones hollow."""
    if origin in (PUBLISHED, IMPLIED):
        hatch = "////" if origin == PUBLISHED else "...."
        return {"facecolor": "white", "edgecolor": look.colour, "hatch": hatch, "linewidth": 0.9}
    if origin in (Origin.UNTRAINED, Origin.RATES):
        from matplotlib.colors import to_rgb

        pale = tuple(1 - 0.35 * (1 - part) for part in to_rgb(look.colour))
        style = "--" if origin == Origin.UNTRAINED else ":"
        return {"facecolor": pale, "edgecolor": EDGE, "hatch": look.hatch, "linestyle": style}
    return {"facecolor": look.colour, "edgecolor": EDGE, "hatch": look.hatch}


def draw_bars(axes: "Axes", widths: Sequence[float], rows: Sequence[ComparisonRow], looks: Mapping[str, Look]) -> None:
    """Horizontal bars of these widths, a row each, filled by origin."""
    bars = axes.barh(range(len(rows)), widths, height=0.62)
    for bar, row in zip(bars, rows, strict=True):
        bar.set(**_face(row.origin, looks[row.name]))
