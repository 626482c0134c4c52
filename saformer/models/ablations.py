"""Networks that differ in one part: those of the paper's Table 3, and one body with several attentions. No torch."""

from collections.abc import Mapping, Sequence
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

#: What a row with the attention of the body's own family is called.
OWN = "its own"

#: A network of each row: the name of its model, and further settings.
Variants = Mapping[str, tuple[str, Mapping[str, Any]]]


def table_3(size: str) -> Variants:
    """The networks of Table 3 in the size of `size`, such as `saformer-2-64`.

    Raises:
        InputError: `size` is the name of no model, or of another family than SAFormer.
    """
    family, settings = parse_name(size)
    if family.name != "saformer":
        raise InputError(f"the ablation is of a saformer, such as saformer-2-512; {size} is none")
    numbers = f"{settings['depth']}-{settings['dim']}"
    return {row: (f"{family}-{numbers}", said) for row, (family, said) in ABLATIONS.items()}


def with_attentions(body: str, attentions: Sequence[str]) -> Variants:
    """One body with its own attention and with others, by the attention's name.

    Raises:
        InputError: `body` is the name of no transformer whose attention can be another.
    """
    family, settings = parse_name(body)
    if "attention" not in family.config.types() or "attention" in settings:
        raise InputError(f"attentions are compared in a body such as saformer-2-64, named without one; got {body}")
    return {OWN: (body, {}), **{name: (f"{body}+attention={name}", {}) for name in attentions}}


def row_of(settings: dict[str, Any], tokens: int | None, attentions: bool) -> str | None:
    """Which row a network is, by its settings (with their family) and its number of tokens; None for none of them.

    Args:
        settings: of the network.
        tokens: N.
        attentions: the rows are attentions, not those of Table 3.
    """
    other = settings.get("attention")
    if attentions:
        return OWN if other is None else str(other)
    if other is not None:
        return None
    if settings["family"] == "sdt":
        return "SDSA"
    if settings["family"] != "saformer" or settings["aggregate"] != "membrane":
        return None
    aggregates, depthwise = settings["aggregated"] not in (None, tokens), settings["depthwise"]
    return {(True, True): "SAFormer", (True, False): "w/o D", (False, True): "w/o A", (False, False): "w/o D+A"}[
        aggregates, depthwise
    ]
