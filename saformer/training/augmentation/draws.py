"""Random numbers of the samples of a batch, drawn chunk by chunk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Chunk:
    """Samples that follow each other in a batch, and share a source of random numbers.

    Args:
        size: how many samples.
        random: what is drawn for them comes from here.
    """

    size: int
    random: np.random.Generator


def drawn(chunks: Sequence[Chunk], draw: Callable[[int, np.random.Generator], Sequence[np.ndarray]]) -> list[Tensor]:
    """What `draw` finds for each chunk (arrays, ... x its size), joined: CPU tensors, ... x all sizes."""
    arrays = zip(*(draw(chunk.size, chunk.random) for chunk in chunks), strict=True)
    return [torch.from_numpy(np.concatenate(parts, axis=-1)) for parts in arrays]
