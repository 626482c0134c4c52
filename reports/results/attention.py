"""Attention maps of one image as one object for JSON, with every value."""

from collections.abc import Mapping

from saformer.analysis.accounting.account import SCHEMA
from saformer.analysis.diagnostics.attention_maps import Inspection


def attention_data(inspections: Mapping[str, Inspection], image: str, label: int | None) -> dict[str, object]:
    """Every map of each network, and the class that it predicts, schema 1; `label` is the true class, if known."""
    return {
        "schema": SCHEMA,
        "image": image,
        "label": label,
        "networks": [
            {
                "name": name,
                "predicted": inspection.predicted,
                "maps": [
                    {
                        "name": found.name,
                        "attention": found.kind,
                        "value": found.meaning,
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
