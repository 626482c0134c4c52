"""Named configurations: the networks of the papers, and NAME-DEPTH-DIM for any other size. Needs no torch."""

import re
from typing import Any

from saformer.errors import InputError

FAMILIES = {
    "saformer": "SAFormer, SASA attention",
    "spikformer": "Spikformer, SSA attention",
    "spikingformer": "Spikingformer, SSA attention",
    "sdt": "Spike-driven Transformer, SDSA attention",
    "vit": "softmax-attention transformer, not spiking",
}

_EVENTS = {"in_channels": 2, "image_size": 128, "time_steps": 16}

# Settings of the published configurations that differ from the families' defaults.
PRESETS: dict[str, dict[str, Any]] = {
    "saformer-4-384": {},
    "saformer-2-512": {},
    "saformer-2-256": _EVENTS,
    "spikformer-4-384": {"heads": 12},
    "spikformer-2-256": {
        **_EVENTS,
        "heads": 16,
        "scale": 0.25,
        "projection": "conv1d",
        "mlp_projection": "conv1d",
    },
    "spikingformer-4-384": {"heads": 12},
    "spikingformer-8-512": {
        "image_size": 224,
        "num_classes": 1000,
        "heads": 8,
        "pooling": "1111",
        "keys_first": True,
        "embedding": "proj",
    },
    "spikingformer-2-256": {**_EVENTS, "heads": 16, "embedding": "proj", "tau": 1.5},
    "sdt-4-384": {"heads": 8},
    "sdt-2-512": {"heads": 8},
    "sdt-2-256": {**_EVENTS, "heads": 8},
    "vit-4-384": {"heads": 12, "time_steps": 1},
    "vit-2-512": {"heads": 8, "time_steps": 1},
}


def parse_name(name: str) -> tuple[str, int, int]:
    """FAMILY-DEPTH-DIM into its parts.

    Raises:
        InputError: the name has another form or an unknown family.
    """
    match = re.fullmatch(r"([a-z][a-z0-9]*)-([0-9]{1,4})-([0-9]{1,6})", name)
    if match is None or match[1] not in FAMILIES:
        raise InputError(
            f"unknown model {name!r}: give one of {', '.join(PRESETS)}, "
            f"or FAMILY-DEPTH-DIM with a family of {', '.join(FAMILIES)}"
        )
    return match[1], int(match[2]), int(match[3])


def default_heads(dim: int) -> int:
    """Heads of 32 channels where D allows, else the largest divisor of D below that number of heads."""
    heads = max(dim // 32, 1)
    while dim % heads:
        heads -= 1
    return heads
