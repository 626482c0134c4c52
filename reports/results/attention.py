"""Attention maps of one image as one object for JSON, with every value."""

from collections.abc import Mapping

from saformer.analysis.accounting.account import SCHEMA
from saformer.analysis.diagnostics.attention_maps import Inspection

# What a value of a map is, by attention.
MEANINGS = {
    "SASA": "share of channels with A * S(k) = 1",
    "SDSA": "share of channels with Q * g = 1",
    "SSA": "column of Q K^T s, mean over queries",
    "VSA": "softmax weight, mean over queries",
}


def attention_data(inspections: Mapping[str, Inspection], image: str, label: int | None) -> dict[str, object]:
    """Every map of each network, and the class that it predicts, schema 1; `label` is the true class, if known."""
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
