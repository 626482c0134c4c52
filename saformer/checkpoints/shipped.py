"""The small trained checkpoints that come with the package: `digits/saformer` and so on. Needs no torch."""

from importlib import resources
from pathlib import Path

# Name -> file in the package.
SHIPPED = {
    "digits/saformer": "saformer.safetensors",
    "digits/spikformer": "spikformer.safetensors",
    "digits/sdt": "sdt.safetensors",
}


def resolve_checkpoint(name: str | Path) -> Path:
    """A checkpoint file, or the shipped checkpoint of that name where there is no such file."""
    path, file = Path(name), SHIPPED.get(str(name))
    if file is None or (path.exists() and not path.is_dir()):  # a folder, perhaps of a run, is no checkpoint
        return path
    return Path(str(resources.files("saformer.checkpoints").joinpath("digits", file)))
