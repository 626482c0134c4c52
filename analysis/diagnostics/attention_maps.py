"""What one image does inside a network: where its attentions look, and which neurons fire when.

Forward hooks on the modules themselves write down what they put out; a forward pass without them is as it was.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from saformer.attention.registry import MAP_PARTS
from saformer.errors import InputError
from saformer.models import Model
from saformer.neurons import Neuron


@dataclass(frozen=True, eq=False)
class AttentionMap:
    """Where one attention looks.

    Args:
        name: path of the module.
        kind: name of the class, such as SASA.
        meaning: what a value is, in a few words.
        values: T x heads x h x w, what each token gets.
    """

    name: str
    kind: str
    meaning: str
    values: Tensor

    @property
    def mean(self) -> Tensor:
        """Over time steps and heads, h x w."""
        return self.values.mean((0, 1))

    @property
    def per_step(self) -> Tensor:
        """Over heads, T x h x w."""
        return self.values.mean(1)

    @property
    def silent(self) -> float:
        """Share of the tokens that get nothing at any step, 0 to 1."""
        return float((self.mean == 0).double().mean())

    @property
    def spread(self) -> float:
        """How evenly the tokens share the attention: exp(entropy) / N, 1 if all get the same, 1/N if one gets all.

        NaN if no token gets any.
        """
        weights = self.mean.double().flatten()
        if not weights.sum():
            return float("nan")
        weights = weights / weights.sum()
        entropy = -torch.special.xlogy(weights, weights).sum()
        return float(entropy.exp() / weights.numel())


@dataclass(frozen=True, eq=False)
class SpikeTrain:
    """The spikes of one layer of neurons: its path, and T x neurons of zeros and ones."""

    name: str
    spikes: Tensor

    @property
    def firing_rate(self) -> float:
        """Spikes over neurons and steps."""
        return float(self.spikes.double().mean())


@dataclass(frozen=True, eq=False)
class Inspection:
    """One image through one network: attention maps, spike trains in the order of execution, and class scores, which
    are empty where the network gives none.
    """

    maps: tuple[AttentionMap, ...]
    trains: tuple[SpikeTrain, ...]
    scores: Tensor

    @property
    def predicted(self) -> int | None:
        """The class with the highest score."""
        return int(self.scores.argmax()) if self.scores.numel() else None


@contextmanager
def outputs_of(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, list[Tensor]]]:
    """What each of the modules puts out, call by call, by name in the order in which they ran."""
    found: dict[str, list[Tensor]] = {}

    def hook(name: str) -> torch.utils.hooks.RemovableHandle:
        def keep(_module: nn.Module, _inputs: object, output: Any) -> None:
            first = output[0] if isinstance(output, tuple | list) and output else output  # snnTorch: spikes, membrane
            if isinstance(first, Tensor):
                found.setdefault(name, []).append(first.detach().cpu().clone())

        return modules[name].register_forward_hook(keep)

    handles = [hook(name) for name in modules]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def check_one(images: int) -> None:
    """Raise InputError unless it is one image."""
    if images != 1:
        raise InputError(f"one image is inspected at a time, got {images}")


def with_maps(modules: Mapping[str, nn.Module]) -> dict[str, Any]:
    """Those that say what their map is; they need not be registered. Any, for they are of no common class."""
    return {name: one for name, one in modules.items() if all(hasattr(type(one), part) for part in MAP_PARTS)}


def inspect_image(model: Model, image: Tensor) -> Inspection:
    """Run one image and write down its attention maps and spikes.

    Args:
        model: one of the networks here, in evaluation mode.
        image: normalised, 1 x C x H x W, or 1 x T x C x H x W event frames.

    Raises:
        InputError: it is not one image, or does not fit the model.
    """
    check_one(len(image))
    attentions = with_maps(dict(model.named_modules()))
    neurons = {name: module for name, module in model.named_modules() if isinstance(module, Neuron)}
    parts = {f"{name}.{part}" for name, attention in attentions.items() for part in attention.map_inputs}
    watched = {**neurons, **{part: model.get_submodule(part) for part in parts}}
    with outputs_of(watched) as found, torch.inference_mode():
        scores = model(image)[0].cpu()
    maps = []
    for name, attention in attentions.items():
        by_image = attention.attention_map(*(found[f"{name}.{part}"][-1] for part in attention.map_inputs))
        if by_image.shape[:2] != (model.config.time_steps, 1):
            continue  # of the windows of an image, each of which is a row of its own
        by_token = by_image[:, 0]
        side = math.isqrt(by_token.shape[-1])  # our models take square images
        maps.append(
            AttentionMap(name, type(attention).__name__, attention.map_meaning, by_token.unflatten(-1, (side, side)))
        )
    trains = tuple(SpikeTrain(name, outputs[-1].flatten(1)) for name, outputs in found.items() if name in neurons)
    return Inspection(tuple(maps), trains, scores)
