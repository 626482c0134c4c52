"""Attention maps of one image as a table, and as JSON with every value."""

from collections.abc import Mapping

from saformer.analysis.accounting.account import SCHEMA
from saformer.analysis.diagnostics.attention_maps import Inspection
from saformer.reports.document.blocks import Report
from saformer.reports.document.numbers import percent, significant
from saformer.reports.document.table import Column, Row, Table, number

# What a value of a map is, by attention.
MEANINGS = {
    "SASA": "share of channels with A * S(k) = 1",
    "SDSA": "share of channels with Q * g = 1",
    "SSA": "column of Q K^T s, mean over queries",
    "VSA": "softmax weight, mean over queries",
}


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
    kinds = dict.fromkeys(found.kind for inspection in inspections.values() for found in inspection.maps)
    predictions = ", ".join(f"{name}: {int(one.scores.argmax())}" for name, one in inspections.items())
    notes = [
        f"predicted class: {predictions}" + ("" if label is None else f" (label {label})"),
        *(f"{kind}: {MEANINGS[kind]}, at each token, averaged over time steps and heads." for kind in kinds),
        "silent tokens: get nothing at any step; spread: exp(entropy) / N, 1 if all tokens get the same.",
    ]
    return Report([Table(f"Attention maps of {image}", columns, rows, notes)], data=_object(inspections, image, label))


def _object(inspections: Mapping[str, Inspection], image: str, label: int | None) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "image": image,
        "label": label,
        "networks": [
            {
                "name": name,
                "predicted": int(inspection.scores.argmax()),
                "maps": [
                    {
                        "name": found.name,
                        "attention": found.kind,
                        "value": MEANINGS[found.kind],
                        "silent_share": found.silent,
                        "spread": None if found.spread != found.spread else found.spread,
                        "per_step": found.per_step.tolist(),
                    }
                    for found in inspection.maps
                ],
            }
            for name, inspection in inspections.items()
        ],
    }
