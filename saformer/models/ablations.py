"""The networks of the paper's Table 3: SAFormer, SAFormer without its parts, and SDSA. Needs no torch."""

from typing import Any

from saformer.errors import InputError
from saformer.models.names import parse_name

# What the table calls it -> family, and settings that differ from the family's own.
ABLATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "SDSA": ("sdt", {}),
    "w/o D": ("saformer", {"depthwise": False}),
    "w/o A": ("saformer", {"aggregated": None}),
    "w/o D+A": ("saformer", {"aggregated": None, "depthwise": False}),
    "SAFormer": ("saformer", {}),
}


def ablation_model(ablation: str, size: str) -> str:
    """The name of the ablation's network in the size of `size`, such as `saformer-2-64`.

    Raises:
        InputError: `size` is the name of no model, or of another family than SAFormer.
    """
    family, settings = parse_name(size)
    if family.name != "saformer":
        raise InputError(f"the ablation is of a saformer, such as saformer-2-512; {size} is none")
    return f"{ABLATIONS[ablation][0]}-{settings['depth']}-{settings['dim']}"


def ablation_of(settings: dict[str, Any], tokens: int | None) -> str | None:
    """Which row of the table a network is, by its settings (with their family) and its number of tokens.

    None for a network that is not in the table.
    """
    if settings["family"] == "sdt":
        return "SDSA"
    if settings["family"] != "saformer" or settings["aggregate"] != "membrane":
        return None
    aggregates, depthwise = settings["aggregated"] not in (None, tokens), settings["depthwise"]
    return {(True, True): "SAFormer", (True, False): "w/o D", (False, True): "w/o A", (False, False): "w/o D+A"}[
        aggregates, depthwise
    ]
