"""The small trained checkpoints that come with the package: `digits/saformer` and so on. Needs no torch."""

from importlib import resources
from pathlib import Path

# Name on the command line -> file in the package.
SHIPPED = {
    "digits/saformer": "saformer.safetensors",
    "digits/spikformer": "spikformer.safetensors",
    "digits/sdt": "sdt.safetensors",
}


def shipped_path(name: str) -> Path | None:
    """The file of a shipped checkpoint, or None if there is none of that name."""
    if name not in SHIPPED:
        return None
    return Path(str(resources.files("saformer.checkpoints").joinpath("digits", SHIPPED[name])))
