"""Writes a checkpoint file whole or not at all."""

import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from saformer.files import write_atomic

if TYPE_CHECKING:
    import torch

#: Tensors under this name are a run's own, beside the weights: what it needs to go on. Models are built without them.
RUN_PREFIX = "training."


def save_safetensors(path: str | Path, weights: "dict[str, torch.Tensor]", metadata: dict[str, str]) -> None:
    """Saves tensors, from any device and in any memory layout, and text about them as a safetensors file.

    The same weights and metadata give the same bytes, so that files can be told apart by their SHA-256.
    Raises InputError, in one line, where the file cannot be written.
    """
    import torch
    from safetensors.torch import save

    # Copies, because safetensors refuses tensors that share memory, as tied weights and slices do.
    copies = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()
    }
    packed = memoryview(save(copies, metadata=metadata))
    del copies

    # The library writes the metadata in a different order each time. Offsets in the header count from its
    # end, so a header of another length fits as well.
    (length,) = struct.unpack("<Q", packed[:8])
    header = json.loads(bytes(packed[8 : 8 + length]))
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the data after the header must start at a multiple of 8 bytes

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(struct.pack("<Q", len(text)))
            file.write(text)
            file.write(packed[8 + length :])

    write_atomic(path, write)
