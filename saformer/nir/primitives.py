"""The primitives of NIR in PyTorch, one time step at a call."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saformer.errors import InputError
from saformer.nir.neurons import IF, LI, LIF, CubaLI, CubaLIF, I, Stateful, hold

_LONGEST_DELAY = 100_000  # steps


class Threshold(nn.Module):
    """1 where the input is above the threshold."""

    threshold: Tensor

    def __init__(self, threshold: Any) -> None:
        super().__init__()
        hold(self, threshold=threshold)

    def forward(self, x: Tensor) -> Tensor:
        """One step."""
        return (x > self.threshold).to(x.dtype)


class Scale(nn.Module):
    """Multiplies by constants."""

    scale: Tensor

    def __init__(self, scale: Any) -> None:
        super().__init__()
        hold(self, scale=scale)

    def forward(self, x: Tensor) -> Tensor:
        """One step."""
        return x * self.scale


class Delay(Stateful):
    """Puts out what it read some steps before, zeros at first: round(delay / dt) steps, for each element its own."""

    steps: Tensor

    def __init__(self, steps: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("steps", torch.from_numpy(np.array(steps, np.int64)))
        self._longest = int(steps.max(initial=0))
        self.rest()

    def rest(self) -> None:
        """Nothing was read."""
        self._past: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """One step."""
        self._past = [x, *self._past[: self._longest]]
        result = torch.zeros_like(x)
        for age, read in enumerate(self._past):
            result = torch.where(self.steps == age, read, result)
        return result


class StackedLinear(nn.Module):
    """A linear layer for each element of leading dimensions: ... x in -> ... x out."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """One step."""
        y = torch.matmul(self.weight, x.unsqueeze(-1)).squeeze(-1)
        return y if self.bias is None else y + self.bias


class SumPool2d(nn.Module):
    """Sums of windows."""

    def __init__(self, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """One step."""
        return F.avg_pool2d(x, self.kernel, self.stride, self.padding, divisor_override=1)


def pair(value: Any, name: str, least: int = 1) -> tuple[int, int]:
    """Height and width, of one whole number or two.

    Raises:
        InputError: they are something else.
    """
    numbers = np.atleast_1d(np.asarray(value)).ravel()
    whole = [int(n) for n in numbers if n == int(n) and n >= least]
    if len(whole) != len(numbers) or len(whole) not in (1, 2):
        raise InputError(f"{name} must be one or two whole numbers from {least}, got {numbers.tolist()}")
    return whole[0], whole[-1]


def _float(value: Any) -> Tensor:
    return torch.from_numpy(np.array(value, np.float32))


def _bias(value: Any) -> Tensor | None:
    """A bias; None where all of it is 0: who exports a layer without one has to write zeros."""
    return None if value is None or not np.any(value) else _float(value)


def _filled(module: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    module.weight = nn.Parameter(weight)
    if bias is not None:
        module.bias = nn.Parameter(bias)
    return module


def _linear(node: Any) -> nn.Module:
    weight, bias = _float(node.weight), _bias(getattr(node, "bias", None))
    if weight.ndim > 2:
        return StackedLinear(weight, bias)
    outputs, inputs = weight.shape
    return _filled(nn.Linear(inputs, outputs, bias=bias is not None, device="meta"), weight, bias)


def _conv(node: Any, dimensions: int) -> nn.Module:
    weight, bias, groups = _float(node.weight), _bias(node.bias), int(node.groups)
    if weight.ndim != dimensions + 2:
        raise InputError(f"its weight has {weight.ndim} dimensions, not {dimensions + 2}")

    def sizes(value: Any, name: str, least: int = 1) -> tuple[int, ...]:
        return pair(value, name, least)[:dimensions]

    padding = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    kind: type[nn.Module] = nn.Conv1d if dimensions == 1 else nn.Conv2d
    made = kind(
        weight.shape[1] * groups,
        weight.shape[0],
        tuple(weight.shape[2:]),
        stride=sizes(node.stride, "stride"),
        padding=padding if isinstance(padding, str) else sizes(padding, "padding", 0),
        dilation=sizes(node.dilation, "dilation"),
        groups=groups,
        bias=bias is not None,
        device="meta",
    )
    return _filled(made, weight, bias)


def _flatten(node: Any) -> nn.Module:
    """NIR counts dimensions of one sample; some exporters count those of a batch, and then the input type shows it."""
    start, end = int(node.start_dim), int(node.end_dim)
    return _Flatten(start, end, node.input_type.get("input"))


class _Flatten(nn.Module):
    def __init__(self, start: int, end: int, recorded: Any) -> None:
        super().__init__()
        self.start, self.end = start, end
        self.recorded = None if recorded is None else len(recorded)

    def forward(self, x: Tensor) -> Tensor:
        """One step."""
        shift = 0 if self.recorded == x.ndim else 1
        start, end = (d + shift if d >= 0 else d for d in (self.start, self.end))
        return torch.flatten(x, max(start, 1), end)


def _share(dt: float, tau: Any) -> np.ndarray:
    tau = np.asarray(tau, np.float64)
    if not (tau > 0).all() or not np.isfinite(tau).all():
        raise InputError("its time constants must be positive")
    if (dt > tau).any():
        raise InputError(f"a time constant of {float(tau.min()):g} s is shorter than dt = {dt:g} s: give +dt=SECONDS")
    return dt / tau


def _delay(node: Any, dt: float) -> nn.Module:
    delay = np.asarray(node.delay, np.float64)
    if not (delay >= 0).all() or not np.isfinite(delay).all():
        raise InputError("its delay must not be negative")
    steps = np.rint(delay / dt)
    if steps.max(initial=0) > _LONGEST_DELAY:
        raise InputError(
            f"its delay is more than {_LONGEST_DELAY:,} steps of {dt:g} s: say what a step is, +dt=SECONDS"
        )
    return Delay(steps)


def module_of(node: Any, dt: float) -> nn.Module:
    """The module that runs a node of a NIR graph.

    Args:
        node: a primitive of NIR, not a graph.
        dt: seconds of a step.

    Raises:
        InputError: it is of a kind that is not known here, or its numbers make no sense.
    """
    kind = type(node).__name__
    if kind in ("Input", "Output"):
        return nn.Identity()
    if kind in ("Affine", "Linear"):
        return _linear(node)
    if kind in ("Conv1d", "Conv2d"):
        return _conv(node, int(kind[4]))
    if kind in ("LI", "LIF"):
        made = {"LI": LI, "LIF": LIF}[kind]
        return made(k=_share(dt, node.tau), r=node.r, v_leak=node.v_leak, **_firing(node))
    if kind in ("CubaLI", "CubaLIF"):
        made = {"CubaLI": CubaLI, "CubaLIF": CubaLIF}[kind]
        shares = {"k": _share(dt, node.tau_mem), "k_syn": _share(dt, node.tau_syn)}
        return made(**shares, r=node.r, v_leak=node.v_leak, w_in=node.w_in, **_firing(node))
    if kind in ("I", "IF"):
        return {"I": I, "IF": IF}[kind](r=node.r, **_firing(node))
    if kind == "Threshold":
        return Threshold(threshold=node.threshold)
    if kind == "Scale":
        return Scale(scale=node.scale)
    if kind == "Delay":
        return _delay(node, dt)
    if kind == "Flatten":
        return _flatten(node)
    if kind in ("SumPool2d", "AvgPool2d"):
        window = pair(node.kernel_size, "kernel_size"), pair(node.stride, "stride"), pair(node.padding, "padding", 0)
        return SumPool2d(*window) if kind == "SumPool2d" else nn.AvgPool2d(*window)
    raise InputError(f"nodes of type {kind} are not known here")


def _firing(node: Any) -> dict[str, Any]:
    if not hasattr(node, "v_threshold"):
        return {}
    reset = node.v_reset
    return {"v_threshold": node.v_threshold, "v_reset": np.zeros_like(node.v_threshold) if reset is None else reset}
