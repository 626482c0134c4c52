"""The small trained checkpoints that come with the package: `digits/saformer` and so on. Needs no torch."""

from importlib import resources
from pathlib import Path

from saformer.errors import InputError
from saformer.text import nearest

# Name -> file in the package.
SHIPPED = {
    "digits/saformer": "saformer.safetensors",
    "digits/spikformer": "spikformer.safetensors",
    "digits/sdt": "sdt.safetensors",
}


def resolve_checkpoint(name: str | Path) -> Path:
    """A checkpoint file, or the shipped checkpoint of that name where there is no such file.

    Raises:
        InputError: it would be a shipped one, and there is none of that name.
    """
    path, file = Path(name), SHIPPED.get(str(name))
    if file is None and path.parent == Path("digits") and not path.exists():
        raise InputError(
            f"cannot read the checkpoint {name}: there is no such file{nearest(str(name), SHIPPED)}; "
            f"the program comes with {', '.join(SHIPPED)}"
        )
    if file is None or (path.exists() and not path.is_dir()):  # a folder, perhaps of a run, is no checkpoint
        return path
    return Path(str(resources.files("saformer.checkpoints").joinpath("digits", file)))
