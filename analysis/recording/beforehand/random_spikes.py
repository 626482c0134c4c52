"""A network whose neurons fire at random: its shapes and what its operations read, whatever its weights are."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from saformer.analysis.profiles import Profile
from saformer.errors import InputError
from saformer.models.config import Model
from saformer.neurons import IntegerLIF, Neuron


@contextmanager
def random_spikes(model: nn.Module, neurons: Iterable[str] = ()) -> Iterator[None]:
    """Every neuron fires at random, whatever it gets: what follows sees spikes, sums of spikes or means as in use.

    Args:
        model: whose neurons are driven: our own by a current beyond any threshold.
        neurons: paths of further modules, whose output is replaced.
    """
    generator = torch.Generator().manual_seed(0)
    heights: dict[str, Tensor] = {}

    def drive(neuron: nn.Module, args: tuple[Tensor, ...]) -> Tensor:
        if isinstance(neuron, IntegerLIF):  # every multiple in turn
            return torch.rand(args[0].shape, generator=generator).to(args[0]) * neuron.threshold * neuron.rule.levels
        current = torch.bernoulli(args[0], p=0.5, generator=generator)
        # Far beyond any threshold; the neurons without a current stay at rest.
        return current.masked_fill_(current != 0, 1e6)

    def put_out(path: str) -> Any:
        def spikes(_: nn.Module, args: tuple[Any, ...], out: Any) -> Any:
            if not isinstance(out, Tensor):
                return None
            if bool(out.any()):  # the height of its spikes, once it was seen to fire
                heights[path] = out.abs().max()
            fires = torch.rand(out.shape, generator=generator) < 0.5
            return fires.to(out) * heights.get(path, torch.ones(()).to(out))

        return spikes

    modules = dict(model.named_modules())
    hooks = [m.register_forward_pre_hook(drive) for m in modules.values() if isinstance(m, Neuron)]
    hooks += [
        modules[path].register_forward_hook(put_out(path))
        for path in neurons
        if path in modules and not isinstance(modules[path], Neuron)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def shapes_of(model: Model) -> Profile:
    """The profile of one image of noise with neurons that fire at random.

    Dense operations and elements are those of any image; where each operand comes from, and whether it holds values
    other than 0 and 1, is that of the architecture and of no trained weight.

    Raises:
        InputError: the network has no spiking neurons.
    """
    from saformer.analysis.recording.run import profile

    config = model.config
    if not any(isinstance(module, Neuron) for module in model.modules()):
        raise InputError(f"{config.name} has no spiking neurons: no firing rates apply to it")
    generator = torch.Generator().manual_seed(0)
    shape, kind = (1, *config.input_shape), "static"
    if config.input_kind == "events":
        image, kind = torch.poisson(torch.full(shape, 2.0), generator=generator), "events"
    elif config.input_kind == "tokens":
        image = torch.randint(0, config.num_classes, shape, generator=generator)
    else:
        image = torch.randn(shape, generator=generator)
    with random_spikes(model):
        return profile(model, [image], kind=kind, check_flops=False)


def foreign_shapes_of(model: nn.Module, record: Callable[[], Profile]) -> Profile:
    """The same of a model that is not ours: its neurons are those modules that a first run shows to be some.

    Neurons that are functions keep their own spikes: what reads them has the class of this run.

    Args:
        model: any module.
        record: runs it on one input and returns the profile.

    Raises:
        InputError: it has no spiking neurons.
    """
    first = record()
    if not first.neurons:
        raise InputError(
            f"{first.model.name} has no spiking neurons: no firing rates apply to it (--neurons says which they are)"
        )
    with random_spikes(model, [layer.name for layer in first.neurons]):
        return record()
