"""Attention maps of one image as a table: what `saformer attention` prints."""

from collections.abc import Mapping

from saformer.analysis.diagnostics.attention_maps import Inspection
from saformer.reports.document.blocks import Report
from saformer.reports.document.numbers import percent, significant
from saformer.reports.document.table import Column, Row, Table, number
from saformer.reports.results.attention import attention_data


def attention_report(inspections: Mapping[str, Inspection], image: str, label: int | None = None) -> Report:
    """A row for each attention of each network.

    Args:
        inspections: of the same image, by network.
        image: what the image is called.
        label: its class, if it is known.
    """
    columns = [
        Column("network"),
        Column("block"),
        Column("attention"),
        number("mean", write=significant),
        number("largest", write=significant),
        number("silent tokens", key="silent_share", write=percent),
        number("spread", write=significant),
    ]
    rows = []
    for name, inspection in inspections.items():
        for found in inspection.maps:
            mean = found.mean
            values = [float(mean.mean()), float(mean.max()), found.silent, found.spread]
            rows.append(Row([name, found.name, found.kind, *values], rule=found is inspection.maps[-1]))
    if rows:
        rows[-1] = Row(rows[-1].cells)
    kinds = {found.kind: found.meaning for inspection in inspections.values() for found in inspection.maps}
    predictions = ", ".join(f"{name}: {int(one.scores.argmax())}" for name, one in inspections.items())
    without = [name for name, inspection in inspections.items() if not inspection.maps]
    notes = [
        f"predicted class: {predictions}" + ("" if label is None else f" (label {label})"),
        *(f"{kind}: {meaning}, at each token, averaged over time steps and heads." for kind, meaning in kinds.items()),
        "silent tokens: get nothing at any step; spread: exp(entropy) / N, 1 if all tokens get the same.",
        *([f"no attention with maps: {', '.join(without)}"] if without else []),
    ]
    table = Table(f"Attention maps of {image}", columns, rows, notes)
    return Report([table], data=attention_data(inspections, image, label))
