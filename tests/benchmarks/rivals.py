"""SpikingJelly's neurons and networks as the benchmarks measure them; versions from 2 and before differ."""

import copy
import importlib.util
import math
from collections.abc import Callable
from importlib import metadata

import torch
from torch import Tensor, nn

from saformer.neurons import LIF
from saformer.pooling import MaxPool2d


def version() -> str:
    """As a figure names it."""
    return f"SpikingJelly {metadata.version('spikingjelly')}"


def backends(device: str) -> list[str]:
    """What computes its multi-step LIF on the device; from version 2, which chooses itself, the one that it chose."""
    from spikingjelly.activation_based import functional, neuron

    if hasattr(neuron.LIFNode, "supported_backends"):
        kernels = ("cupy", "triton") if device == "cuda" else ()
        known = neuron.LIFNode(step_mode="m").supported_backends
        return ["torch", *(name for name in kernels if name in known and importlib.util.find_spec(name))]
    return [functional.neuron_implementation("lif", torch.device(device))["implementation"]]


def lif(backend: str, tau: float = 2.0, threshold: float = 1.0) -> nn.Module:
    """The LIF of Eqs. 1-3 with the surrogate gradient of ours; `backend` is one of `backends`."""
    from spikingjelly.activation_based import neuron, surrogate

    node = neuron.LIFNode(
        tau=tau,
        v_threshold=threshold,
        v_reset=0.0,
        detach_reset=True,
        step_mode="m",
        surrogate_function=surrogate.Sigmoid(alpha=4.0),
    )
    if hasattr(neuron.LIFNode, "supported_backends"):
        node.backend = backend
    return node


def with_spikingjelly_neurons(model: nn.Module, backend: str = "torch") -> nn.Module:
    """The same network and weights with SpikingJelly's multi-step LIF in place of ours."""
    return with_neurons(model, lambda child: lif(backend, child.tau, child.threshold))


def with_neurons(model: nn.Module, make: Callable[[LIF], nn.Module]) -> nn.Module:
    """The same network and weights with other neurons in place of ours, and layers by PyTorch's operators alone."""
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, LIF):
                setattr(module, name, make(child).train(child.training))
            elif type(child) is MaxPool2d:
                pool = nn.MaxPool2d(child.kernel_size, child.stride, child.padding)
                setattr(module, name, pool.train(child.training))
    for module in model.modules():  # what somebody watches is not run by operators of ours
        module.register_forward_hook(_watch)
    return model


def _watch(module: nn.Module, args: object, output: object) -> None:
    """Look, and change nothing."""


class SnnTorchLIF(nn.Module):
    """The LIF of Eqs. 1-3 in snnTorch's words: a decay of 1 - 1/tau, and a current divided by tau."""

    def __init__(self, tau: float, threshold: float) -> None:
        super().__init__()
        import snntorch

        self.tau = tau
        self.leaky = snntorch.Leaky(beta=1 - 1 / tau, threshold=threshold, reset_mechanism="zero", reset_delay=False)

    def forward(self, x: Tensor) -> Tensor:
        """Spikes, T x B x ..., step by step."""
        membrane, spikes = self.leaky.reset_mem(), []
        for current in x:
            fired, membrane = self.leaky(current / self.tau, membrane)
            spikes.append(fired)
        return torch.stack(spikes)


def with_snntorch_neurons(model: nn.Module) -> nn.Module:
    """The same network and weights with snnTorch's LIF in place of ours."""
    return with_neurons(model, lambda child: SnnTorchLIF(child.tau, child.threshold))


def called(model: nn.Module, compiled: Callable[[Tensor], Tensor] | None = None) -> Callable[[Tensor], Tensor]:
    """Its forward pass, which may be compiled, from rest."""
    from spikingjelly.activation_based import functional

    def run(x: Tensor) -> Tensor:
        functional.reset_net(model)
        return model(x) if compiled is None else compiled(x)

    return run


def fastest(device: str, shape: tuple[int, ...], seconds: Callable[[Callable[[], object]], float]) -> str:
    """The backend whose neurons take the shortest time for a current of this shape, forwards and backwards."""
    x = torch.randn(shape, device=device, requires_grad=True)

    def time(backend: str) -> float:
        neurons = called(lif(backend))
        try:
            # The first time a backend compiles.
            return min([seconds(lambda: neurons(x).sum().backward()) for _ in range(6)][1:])
        except Exception:
            return math.inf  # it refuses; the part `neurons` says so

    return min(backends(device), key=time)
