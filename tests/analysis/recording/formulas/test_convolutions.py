"""Convolutions, against loops over nonzeros and taps."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from exact_counts import (
    KINDS,
    assert_counts,
    assert_images,
    layer_of_ones,
    nonzeros,
    only,
    random_convolution,
    run,
    values,
)
from function_net import Net
from torch import Tensor, nn


def convolution_events(layer: Any, image: Tensor, out_size: Sequence[int], transposed: bool) -> int:
    """Outputs that the nonzeros of one image (C x ...) reach, one nonzero and one tap after the other."""
    fan_channels = layer.out_channels // layer.groups
    events = 0
    flat = image.flatten().tolist()
    for value, (_, *position) in zip(flat, itertools.product(*map(range, image.shape)), strict=True):
        if value == 0:
            continue
        for tap in itertools.product(*map(range, layer.kernel_size)):
            reached = True
            for i, t, s, p, d, out in zip(
                position, tap, layer.stride, layer.padding, layer.dilation, out_size, strict=True
            ):
                if transposed:
                    place, remainder = i * s + t * d - p, 0
                else:
                    place, remainder = divmod(i - t * d + p, s)
                reached &= remainder == 0 and 0 <= place < out
            events += fan_channels * reached
    return events


@pytest.mark.parametrize("transposed", [False, True], ids=["", "transposed"])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("seed", range(12))
def test_convolutions(seed: int, dims: int, transposed: bool) -> None:
    layer, x = random_convolution(seed, dims, transposed)
    with torch.no_grad():
        out_size = layer(x).shape[2:]
    events = [convolution_events(layer, image, out_size, transposed) for image in x]
    assert layer_of_ones(layer, x).flatten(1).sum(1).tolist() == events  # the two brute forces agree
    places = math.prod(x.shape[2:] if transposed else out_size)
    dense = 3 * places * math.prod(layer.kernel_size) * layer.in_channels * layer.out_channels // layer.groups
    p = run(Net(lambda m, y: m.layer(y), layer=layer), x)
    o = only(p, "layer")
    assert o.op == f"conv{'_transpose' if transposed else ''}{dims}d"
    assert_counts(o, dense, [x], sum(events))
    assert_images(p, [(nonzeros(image), count) for image, count in zip(x, events, strict=True)])


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_convolutions_in_short_passes(pass_size: None, seed: int, dims: int) -> None:
    layer, x = random_convolution(seed + 50, dims, False)
    assert only(run(Net(lambda m, y: m.layer(y), layer=layer), x)).events == layer_of_ones(layer, x).sum()


@pytest.mark.parametrize("settings", [{}, {"stride": 2}, {"padding": 1}, {"stride": 2, "padding": 2}, {"dilation": 3}])
@pytest.mark.parametrize("transposed", [False, True], ids=["", "transposed"])
def test_kernels_of_one_pixel(transposed: bool, settings: dict[str, int]) -> None:
    layer = (nn.ConvTranspose2d if transposed else nn.Conv2d)(4, 6, 1, groups=2, **settings)
    x = values("real", 3, 4, 5, 4)
    o = only(run(Net(lambda m, y: m.layer(y), layer=layer), x))
    assert o.events == layer_of_ones(layer, x).sum()


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_padding_by_name(padding: str, kernel: int) -> None:
    layer = nn.Conv2d(2, 3, kernel, padding=padding, dilation=2)
    x = values("real", 3, 2, 9, 8)
    o = only(run(Net(lambda m, y: m.layer(y), layer=layer), x), "layer")
    assert o.events == layer_of_ones(layer, x).sum()
    with torch.no_grad():
        assert o.dense == layer(x).numel() * 2 * kernel**2
    assert o.operands[0].nonzero == nonzeros(x)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_that_repeats_the_image(mode: str) -> None:
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode)
    x = values("real", 3, 2, 6, 5)
    o = only(run(Net(lambda m, y: m.layer(y), layer=layer), x), "layer")
    assert o.events == layer_of_ones(layer, x).sum()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_other_number_formats(kind: str, dtype: torch.dtype) -> None:
    conv, linear = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Linear(4, 3)
    x = values(kind, 3, 2, 5, 5, dtype=dtype)
    net = Net(lambda m, y: (m.conv(y), m.linear(y.flatten(1)[:, :4])), conv=conv, linear=linear).to(dtype)
    p = run(net, x)
    assert_counts(only(p, "conv"), 3 * 9 * 4 * 2 * 9, [x], layer_of_ones(conv, x).sum())
    part = x.flatten(1)[:, :4]
    assert_counts(only(p, "linear"), 3 * 4 * 3, [part], 3 * nonzeros(part))


def test_an_image_without_a_batch() -> None:
    layer = nn.Conv2d(2, 3, 3, padding=1)
    x = values("real", 1, 2, 5, 4)
    p = run(Net(lambda m, y: m.layer(y[0]), layer=layer), x)
    assert_counts(only(p, "layer"), 5 * 4 * 3 * 2 * 9, [x], layer_of_ones(layer, x).sum())


@pytest.mark.parametrize("contiguous", [True, False])
def test_channels_last(contiguous: bool) -> None:
    layer, x = nn.Conv2d(3, 4, 3, padding=1), values("real", 3, 3, 6, 5)
    y = x.to(memory_format=torch.channels_last) if contiguous else x.transpose(2, 3).contiguous().transpose(2, 3)
    o = only(run(Net(lambda m, z: m.layer(z), layer=layer), y))
    assert o.events == layer_of_ones(layer, x).sum()
