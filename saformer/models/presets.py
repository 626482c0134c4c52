"""Names of models: FAMILY-DEPTH-DIM, and those of them that are networks of the papers."""

import re
from collections.abc import Mapping
from typing import Any

from saformer.errors import InputError
from saformer.models.registry import MODELS
from saformer.registry import View

#: Titles by family.
FAMILIES: Mapping[str, str] = View(lambda: {name: family.title for name, family in MODELS.items()})

#: Settings of published networks that differ from the families' defaults, by name.
PRESETS: Mapping[str, Mapping[str, Any]] = View(
    lambda: {name: settings for family in MODELS.values() for name, settings in family.presets.items()}
)

#: Settings that event data has in the published configurations.
EVENTS = {"in_channels": 2, "image_size": 128, "time_steps": 16}


def parse_name(name: str) -> tuple[str, int, int]:
    """FAMILY-DEPTH-DIM into its parts.

    Raises:
        InputError: the name has another form or an unknown family.
    """
    match = re.fullmatch(r"([a-z][a-z0-9]*)-([0-9]{1,4})-([0-9]{1,6})", name)
    if match is None or match[1] not in MODELS:
        raise InputError(
            f"unknown model {name!r}: give one of {', '.join(PRESETS)}, "
            f"or FAMILY-DEPTH-DIM with a family of {', '.join(MODELS)}"
        )
    return match[1], int(match[2]), int(match[3])


def default_heads(dim: int) -> int:
    """Heads of 32 channels where D allows, else the largest divisor of D below that number of heads."""
    heads = max(dim // 32, 1)
    while dim % heads:
        heads -= 1
    return heads
