"""What a profile wrote down of an operation, set against brute force; inputs and layers to try it on."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from saformer.analysis import Profile, profile
from saformer.analysis.profiles import Operation

KINDS = ["spikes", "integers", "real", "zeros", "negative zeros"]


def values(kind: str, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = {
        "spikes": lambda: (torch.rand(shape, generator=generator) < 0.3).float(),
        "integers": lambda: torch.randint(-2, 4, shape, generator=generator).float(),
        "real": lambda: torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) < 0.6),
        "zeros": lambda: torch.zeros(shape),
        "negative zeros": lambda: torch.where(torch.rand(shape, generator=generator) < 0.5, -0.0, 1.0),
        "ones": lambda: torch.ones(shape),
        "no ones": lambda: -(torch.rand(shape, generator=generator) < 0.5).float(),
        "not finite": lambda: torch.tensor([math.nan, math.inf, -math.inf, 0.0, 1.0])[
            torch.randint(0, 5, shape, generator=generator)
        ],
    }[kind]()
    return x.to(dtype)


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def indicator(x: Tensor) -> Tensor:
    """1 where `x` is nonzero, in float64."""
    return torch.tensor([1.0 if v != 0 else 0.0 for v in x.flatten().tolist()], dtype=torch.float64).view(x.shape)


def run(model: nn.Module, x: Tensor, **options: Any) -> Profile:
    return profile(model, [x], check_flops=False, **options)


def only(p: Profile, name: str | None = None) -> Operation:
    """The one operation of a profile, or the one of that name."""
    found = [o for o in p.operations if name is None or o.name == name]
    assert len(found) == 1, [o.name for o in p.operations]
    return found[0]


def assert_counts(o: Operation, dense: int, operands: Sequence[Tensor], events: float) -> None:
    assert type(o.dense) is int
    assert o.dense == dense
    found = [(x.elements, x.nonzero, x.ones) for x in o.operands]
    flat = [x.flatten().tolist() for x in operands]
    assert found == [(len(v), sum(1 for a in v if a != 0), sum(1 for a in v if a == 1)) for v in flat]
    assert o.events == events


def assert_images(p: Profile, per_image: Sequence[Sequence[float]]) -> None:
    """The exact moments are those of these counters, one row per image: nonzeros of operands, then events."""
    assert p.unit == "image"
    z = [[1, *map(int, row)] for row in per_image]
    assert p.moments.units == len(z)
    assert p.moments.sums == tuple(map(sum, zip(*z, strict=True)))
    columns = list(zip(*z, strict=True))
    assert p.moments.gram == tuple(
        tuple(sum(a * b for a, b in zip(u, v, strict=True)) for v in columns) for u in columns
    )


def nonzeros(x: Tensor) -> int:
    return int(indicator(x).sum())


_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def random_convolution(seed: int, dims: int, transposed: bool) -> tuple[nn.Module, Tensor]:
    """A convolution with random settings, and an input for it."""
    generator = torch.Generator().manual_seed(1000 * seed + 10 * dims + transposed)

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    groups = pick(1, 3)
    inputs, outputs = groups * pick(1, 2), groups * pick(1, 2)
    kernel = [pick(1, 3) for _ in range(dims)]
    stride, dilation = [pick(1, 3) for _ in range(dims)], [pick(1, 2) for _ in range(dims)]
    settings: dict[str, Any] = {
        "stride": stride,
        "padding": [pick(0, 2) for _ in range(dims)],
        "dilation": dilation,
        "groups": groups,
        "bias": bool(pick(0, 1)),
    }
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    if transposed:
        settings["output_padding"] = [pick(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)]
        settings["padding"] = [min(p, (r - 1) // 2) for p, r in zip(settings["padding"], reach, strict=True)]
        size = [pick(1, 4) for _ in range(dims)]
    else:
        size = [r + pick(0, 3) for r in reach]
    layer = (_TRANSPOSED if transposed else _CONV)[dims](inputs, outputs, kernel, **settings)
    return layer, values(KINDS[seed % len(KINDS)], 3, inputs, *size, seed=seed)


def layer_of_ones(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer with all weights 1 and no bias, on the indicator of the nonzeros."""
    ones = {name: torch.ones_like(p, dtype=torch.float64) for name, p in layer.named_parameters()}
    if "bias" in ones:
        ones["bias"].zero_()
    with torch.no_grad():
        return torch.func.functional_call(layer, ones, indicator(x)).round()


def names(p: Profile) -> list[str]:
    return [o.name for o in p.operations]
