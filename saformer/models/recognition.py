"""What a family reads off the weights of a published checkpoint."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from saformer.errors import InputError

#: Tensors that published spiking transformers carry, and no forward pass of theirs uses.
UNUSED = r"block\.\d+\.norm[12]\.(weight|bias)|norm\.(weight|bias)|pos_embed|block\.\d+\.attn\.talking_heads\.weight"

_NONE = r"(?!)"  # no name at all: an empty pattern fits the empty name


@dataclass(frozen=True)
class Published:
    """The settings of a published checkpoint, as far as its family can tell.

    Args:
        shown: settings that names and shapes of the weights show.
        defaults: those of the published variant for what the weights do not show.
        unused: a pattern of the names of tensors that no forward pass uses.
        repeated: a pattern of the names under which the file holds a tensor again, for a layer with two names.
        renamed: our name of a parameter by that in the file, where the published code keeps it outside its layer.
        timed: a pattern of our names of weights of convolutions that the published code slides over time, too, with a
            kernel of 1, as their last dimension.
        ignored: settings that the published code fixes, whatever its training script stores.
        notes: what to know of a setting that is taken by default, a few words by setting.
    """

    shown: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    unused: str = _NONE
    repeated: str = _NONE
    renamed: Mapping[str, str] = field(default_factory=dict)
    timed: str = _NONE
    ignored: frozenset[str] = frozenset()
    notes: Mapping[str, str] = field(default_factory=dict)

    def is_repeated(self, name: str) -> bool:
        """Whether the tensor of this name is there under another one, too."""
        return re.fullmatch(self.repeated, name) is not None

    def is_timed(self, name: str) -> bool:
        """Whether the tensor that has this name here has a last dimension of time in the file."""
        return re.fullmatch(self.timed, name) is not None

    def is_unused(self, name: str) -> bool:
        """Whether no forward pass uses the tensor of this name."""
        return re.fullmatch(self.unused, name) is not None


def rank(weights: Mapping[str, Tensor], name: str) -> int:
    """Number of dimensions of a tensor; 0 where there is none of this name."""
    return weights[name].ndim if name in weights else 0


def holds(weights: Mapping[str, Tensor], prefix: str) -> bool:
    """Whether some tensor's name begins so."""
    return any(name.startswith(prefix) for name in weights)


def common_settings(weights: Mapping[str, Tensor], stem: str, hidden: str) -> dict[str, Any]:
    """Depth, D, classes, input channels and width of the MLP, which every family of the package keeps alike.

    Args:
        weights: parameter name -> tensor.
        stem: the first convolution, D' x C x 3 x 3.
        hidden: the first layer of the first block's MLP, hidden x D (x 1 (x 1)).

    Raises:
        InputError: one of them, or the head, is missing or has another rank.
    """
    for name in (stem, "head.weight", hidden):
        if name not in weights:
            raise InputError(f"parameter {name} is missing from the checkpoint")
    first, head, mlp = weights[stem], weights["head.weight"], weights[hidden]
    if first.ndim != 4 or head.ndim != 2 or mlp.ndim < 2:
        raise InputError(f"{stem}, head.weight or the first layer of the MLP has a wrong shape")
    depth = 0
    while holds(weights, f"block.{depth}."):
        depth += 1
    return {
        "dim": head.shape[1],
        "depth": depth,
        "num_classes": head.shape[0],
        "in_channels": first.shape[1],
        "mlp_ratio": mlp.shape[0] / head.shape[1],
    }
