"""Projection and BatchNorm under the published names: linear layers on tokens, or 1x1 convolutions on channels."""

from collections.abc import Callable

from torch import Tensor, nn

from saformer.neurons.after_norm import normalised, per_step_weighed, spikes_of

# kind -> (layer, BatchNorm, suffix of the published name)
_KINDS: dict[str, tuple[Callable[..., nn.Module], Callable[..., nn.Module], str]] = {
    "linear": (nn.Linear, nn.BatchNorm1d, "linear"),
    "conv1d": (lambda i, o, bias: nn.Conv1d(i, o, 1, bias=bias), nn.BatchNorm1d, "conv"),
    "conv2d": (lambda i, o, bias: nn.Conv2d(i, o, 1, bias=bias), nn.BatchNorm2d, "conv"),
}
PROJECTION_KINDS = tuple(_KINDS)


def add_projection(owner: nn.Module, name: str, kind: str, inputs: int, outputs: int, bias: bool | None = None) -> None:
    """Register `{name}_linear` or `{name}_conv`, and `{name}_bn`, on `owner`.

    Args:
        owner: the attention or MLP that holds them.
        name: q, k, v, proj, fc1 or fc2.
        kind: "linear" (input T x B x N x D), "conv1d" (T x B x D x N) or "conv2d" (T x B x D x h x w).
        inputs: input channels.
        outputs: output channels.
        bias: default as published: linear layers have one; of the convolutions q, k and v have none.
    """
    layer, norm, suffix = _KINDS[kind]
    if bias is None:
        bias = kind == "linear" or name not in ("q", "k", "v")
    owner.add_module(f"{name}_{suffix}", layer(inputs, outputs, bias=bias))
    owner.add_module(f"{name}_bn", norm(outputs))


def project_and_fire(owner: nn.Module, name: str, kind: str, x: Tensor, neuron: nn.Module) -> Tensor:
    """Spikes of neurons that read BN(x W); the layout stays that of `kind`."""
    layer, norm = (owner.get_submodule(f"{name}_{part}") for part in (_KINDS[kind][2], "bn"))
    return spikes_of(neuron, norm, layer, x, -1 if kind == "linear" else 2)


def project(owner: nn.Module, name: str, kind: str, x: Tensor) -> Tensor:
    """BN(x W) with the layers registered by `add_projection`; the layout stays that of `kind`."""
    layer, norm = (owner.get_submodule(f"{name}_{part}") for part in (_KINDS[kind][2], "bn"))
    return normalised(norm, per_step_weighed(layer, x), -1 if kind == "linear" else 2)


def split_heads(x: Tensor, heads: int, kind: str) -> Tensor:
    """Tokens by head, T x B x heads x N x D/heads, from any of the three layouts (a view)."""
    if kind == "linear":
        return x.unflatten(-1, (heads, -1)).transpose(2, 3)
    return x.flatten(3).unflatten(2, (heads, -1)).transpose(3, 4)


def merge_heads(x: Tensor, kind: str, like: Tensor) -> Tensor:
    """Inverse of `split_heads`, in the shape of `like`."""
    if kind == "linear":
        return x.transpose(2, 3).reshape(like.shape)
    return x.transpose(3, 4).reshape(like.shape)
