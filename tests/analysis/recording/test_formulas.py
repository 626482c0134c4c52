"""What the recorder writes down, against brute force: Python loops, and layers of ones over indicators of nonzeros."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from function_net import Net
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.analysis import Profile, profile
from saformer.analysis.profiles import Operation
from saformer.analysis.recording import looks as counting
from saformer.naming import named
from saformer.neurons import LIF

KINDS = ["spikes", "integers", "real", "zeros", "negative zeros"]


@pytest.fixture(params=[None, 5], ids=["long passes", "short passes"])
def pass_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is not None:
        monkeypatch.setattr(counting, "CPU_PASS", request.param)
        monkeypatch.setattr(counting, "DEVICE_PASS", request.param)


def values(kind: str, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = {
        "spikes": lambda: (torch.rand(shape, generator=generator) < 0.3).float(),
        "integers": lambda: torch.randint(-2, 4, shape, generator=generator).float(),
        "real": lambda: torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) < 0.6),
        "zeros": lambda: torch.zeros(shape),
        "negative zeros": lambda: torch.where(torch.rand(shape, generator=generator) < 0.5, -0.0, 1.0),
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


# --- Convolutions ---

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


def layer_of_ones(layer: nn.Module, x: Tensor) -> Tensor:
    """The layer with all weights 1 and no bias, on the indicator of the nonzeros."""
    ones = {name: torch.ones_like(p, dtype=torch.float64) for name, p in layer.named_parameters()}
    if "bias" in ones:
        ones["bias"].zero_()
    with torch.no_grad():
        return torch.func.functional_call(layer, ones, indicator(x)).round()


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
    layer = (_TRANSPOSED if transposed else _CONV)[2](4, 6, 1, groups=2, **settings)
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


# --- Linear layers ---


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(3, 6), (3, 5, 6), (3, 2, 5, 6)])
@pytest.mark.parametrize("kind", KINDS)
def test_linear_layers(pass_size: None, kind: str, shape: tuple[int, ...], bias: bool) -> None:
    x = values(kind, *shape, seed=len(shape))
    p = run(Net(lambda m, y: m.fc(y), fc=nn.Linear(6, 4, bias=bias)), x)
    o = only(p, "fc")
    assert o.op == "linear"
    assert_counts(o, x.numel() * 4, [x], 4 * nonzeros(x))
    assert_images(p, [(nonzeros(image), 4 * nonzeros(image)) for image in x])


def test_a_linear_layer_on_a_vector() -> None:
    x = values("real", 1, 6)
    p = run(Net(lambda m, y: m.fc(y[0]), fc=nn.Linear(6, 4)), x)
    assert_counts(only(p, "fc"), 24, [x], 4 * nonzeros(x))


def test_one_output() -> None:
    x = values("integers", 3, 6)
    assert_counts(only(run(nn.Sequential(nn.Linear(6, 1)), x)), 18, [x], nonzeros(x))


FUNCTIONAL: dict[str, tuple[Callable[[Net, Tensor], Tensor], tuple[int, ...], int]] = {
    # expression, shape of the weight, outputs that an input element reaches
    "F.linear(x, w)": (lambda m, x: F.linear(x, m.w), (4, 6), 4),
    "F.linear(x, w.t())": (lambda m, x: F.linear(x, m.w.t()), (6, 4), 4),
    "x @ w": (lambda m, x: x @ m.w, (6, 4), 4),
    "x @ w.t()": (lambda m, x: x @ m.w.t(), (4, 6), 4),
    "x.mm(w)": (lambda m, x: x.mm(m.w), (6, 4), 4),
    "w @ x.t()": (lambda m, x: m.w @ x.t(), (4, 6), 4),
    "x @ vector": (lambda m, x: x @ m.w, (6,), 1),
    "x.mv(vector)": (lambda m, x: x.mv(m.w), (6,), 1),
    "addmm": (lambda m, x: torch.addmm(m.w[0], x, m.w), (6, 6), 6),
    "addmv": (lambda m, x: torch.addmv(torch.zeros(3), x, m.w), (6,), 1),
    "stack of weights": (lambda m, x: x @ m.w, (5, 6, 4), 20),
    "einsum": (lambda m, x: torch.einsum("bi,io->bo", x, m.w), (6, 4), 4),
    "tensordot": (lambda m, x: torch.tensordot(x, m.w, 1), (6, 4), 4),
    "weight standardisation": (lambda m, x: F.linear(x, (m.w - m.w.mean()) / m.w.std()), (4, 6), 4),
    "scaled weight": (lambda m, x: F.linear(x, m.w * m.w.abs().mean()), (4, 6), 4),
    "product of weights": (lambda m, x: x @ (m.w.t() @ m.w), (4, 6), 6),
}


@pytest.mark.parametrize("expression", FUNCTIONAL)
@pytest.mark.parametrize("kind", ["spikes", "real", "zeros"])
def test_functional_calls_with_weights_made_on_the_fly(kind: str, expression: str) -> None:
    function, shape, fan_out = FUNCTIONAL[expression]
    x = values(kind, 3, 6)
    o = only(run(Net(function, w=weight(*shape), inner=nn.Identity()), x))
    assert o.op == "linear"
    assert_counts(o, x.numel() * fan_out, [x], fan_out * nonzeros(x))


def test_a_convolution_with_standardised_weights() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1)

    def standardised(m: Net, x: Tensor) -> Tensor:
        w = m.w - m.w.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, w / w.std((1, 2, 3), keepdim=True), padding=1)

    x = values("real", 3, 2, 5, 5)
    o = only(run(Net(standardised, w=weight(3, 2, 3, 3), inner=nn.Identity()), x))
    assert (o.name, o.op) == ("w", "conv2d")  # the weight keeps the name of the parameter it was computed from
    assert_counts(o, 3 * 25 * 3 * 2 * 9, [x], layer_of_ones(conv, x).sum())


def test_a_batch_of_inputs_under_one_stack_of_weights() -> None:
    # ... x n x k times h x k x m: an element meets m weights in each of the h matrices.
    x = values("real", 3, 2, 4, 5)
    p = run(Net(lambda m, y: y @ m.w, w=weight(2, 5, 6), inner=nn.Identity()), x)
    assert_counts(only(p), 3 * 2 * 4 * 5 * 6, [x], 6 * nonzeros(x))
    assert_images(p, [(nonzeros(image), 6 * nonzeros(image)) for image in x])
    wide = run(Net(lambda m, y: y[:, None] @ m.w, w=weight(7, 5, 6), inner=nn.Identity()), x[:, 0])
    assert_counts(only(wide), 3 * 4 * 5 * 6 * 7, [x[:, 0]], 42 * nonzeros(x[:, 0]))


# --- Products of activations ---

SHAPES = [
    ((3, 4, 5), (3, 5, 6)),
    ((3, 2, 4, 5), (3, 2, 5, 6)),
    ((3, 1, 4, 5), (3, 2, 5, 6)),
    ((3, 2, 4, 5), (3, 1, 5, 6)),
    ((3, 2, 1, 5), (3, 2, 5, 1)),
]


def halves(x: Tensor, left: tuple[int, ...], right: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Two activations of those shapes, cut out of one input B x ...."""
    size = math.prod(left[1:])
    return x[:, :size].reshape(left), x[:, size:].reshape(right)


@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_matrix_products(pass_size: None, kind: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    x = values(kind, 3, math.prod(left[1:]) + math.prod(right[1:]), seed=2)
    a, b = halves(x, left, right)
    p = run(Net(lambda m, y: torch.matmul(*halves(y, left, right))), x)
    events = (indicator(a) @ indicator(b)).flatten(1).sum(1)
    lead = torch.broadcast_shapes(left[:-2], right[:-2])
    o = only(p)
    assert (o.name, o.op) == ("matmul", "matmul")
    assert_counts(o, math.prod(lead) * left[-2] * left[-1] * right[-1], [a, b], events.sum())
    assert_images(p, [(nonzeros(u), nonzeros(v), e) for u, v, e in zip(a, b, events.tolist(), strict=True)])


PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "@": lambda a, b: a @ b,
    "bmm": lambda a, b: a.bmm(b),
    "baddbmm": lambda a, b: torch.baddbmm(torch.ones(3, 4, 6), a, b, alpha=0.5),
    "einsum": lambda a, b: torch.einsum("bnk,bkm->bnm", a, b),
    "einsum turned": lambda a, b: torch.einsum("bnk,bkm->bmn", a, b),
    "matmul of a transpose": lambda a, b: (b.transpose(1, 2) @ a.transpose(1, 2)).transpose(1, 2),
}


@pytest.mark.parametrize("kind", ["spikes", "integers", "real"])
@pytest.mark.parametrize("expression", PRODUCTS)
def test_all_ways_to_multiply_matrices(expression: str, kind: str) -> None:
    x = values(kind, 3, 50, seed=4)
    shapes = ((3, 4, 5), (3, 5, 6))
    a, b = halves(x, *shapes)
    o = only(run(Net(lambda m, y: PRODUCTS[expression](*halves(y, *shapes))), x))
    assert o.op == "matmul"
    operands = [b, a] if "transpose" in expression else [a, b]
    found = [(v.elements, v.nonzero) for v in o.operands]
    assert found in ([(v.numel(), nonzeros(v)) for v in operands], [(v.numel(), nonzeros(v)) for v in operands[::-1]])
    assert o.dense == 3 * 4 * 5 * 6
    assert o.events == (indicator(a) @ indicator(b)).sum()


def test_a_product_of_an_activation_with_itself() -> None:
    x = values("real", 3, 4, 5)
    p = run(Net(lambda m, y: y @ y.transpose(1, 2)), x)
    assert_counts(only(p), 3 * 4 * 5 * 4, [x, x], (indicator(x) @ indicator(x).transpose(1, 2)).sum())


def test_dot_products_of_one_image() -> None:
    x = values("integers", 1, 9)
    p = run(Net(lambda m, y: y[0].dot(y[0].flip(0))), x)
    assert_counts(only(p), 9, [x, x.flip(1)], (indicator(x) * indicator(x.flip(1))).sum())


MASKS = [
    ((3, 4, 5), (3, 4, 5)),
    ((3, 4, 5), (3, 1, 5)),
    ((3, 1, 5), (3, 4, 5)),
    ((3, 4, 1), (3, 1, 5)),
    ((3, 2, 4, 5), (3, 1, 4, 5)),
]


@pytest.mark.parametrize(("left", "right"), MASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_masks(pass_size: None, kind: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    x = values(kind, 3, math.prod(left[1:]) + math.prod(right[1:]), seed=6)
    a, b = halves(x, left, right)
    p = run(Net(lambda m, y: torch.mul(*halves(y, left, right)).sum(-2)), x)
    both = indicator(a) * indicator(b)
    o = only(p)
    assert (o.name, o.op) == ("product", "product")
    assert_counts(o, both.numel(), [a, b], both.sum())
    counts = both.flatten(1).sum(1).tolist()
    assert_images(p, [(nonzeros(u), nonzeros(v), e) for u, v, e in zip(a, b, counts, strict=True)])


def test_a_mask_of_one_number_per_image_is_booked_for_any_batch() -> None:
    # One image makes a tensor of one element, which is still a mask.
    x = values("real", 4, 6)
    net = Net(lambda m, y: y * m.gate(y).sigmoid(), gate=nn.Linear(6, 1))
    parts = [run(net, image[None]) for image in x]
    whole = run(net, x)
    assert only(whole, "product").dense == 24
    total = parts[0] + parts[1] + parts[2] + parts[3]
    assert total.operations == whole.operations
    assert total.moments == whole.moments


@pytest.mark.parametrize("gate", [lambda y: y.mean(1, keepdim=True), torch.sigmoid, lambda y: (y > 0).float()])
def test_a_value_times_what_was_computed_from_itself_is_no_operation(gate: Callable[[Tensor], Tensor]) -> None:
    x = values("real", 4, 6)
    assert run(Net(lambda m, y: y * gate(y)), x).operations == ()
    after = run(Net(lambda m, y: m.fc(y) * gate(m.fc(y)), fc=nn.Linear(6, 5)), x)
    assert [o.op for o in after.operations] == ["linear"]


def test_the_image_times_a_mask_that_a_layer_made_is_a_product() -> None:
    x = values("real", 4, 6)
    o = only(run(Net(lambda m, y: y * m.fc(y).sigmoid(), fc=nn.Linear(6, 6)), x), "product")
    assert_counts(o, 24, [x, torch.full((4, 6), 0.5)], nonzeros(x))

    # Two inputs are two things.
    class Two(nn.Module):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            return x * mask

    p = profile(Two(), [(x, x > 0)], check_flops=False)
    assert [(o.op, o.events) for o in p.operations] == [("product", int((x > 0).sum()))]


@pytest.mark.parametrize("factor", [0.125, torch.tensor(0.5)], ids=["number", "scalar tensor"])
def test_scaling_is_free(factor: Any) -> None:
    p = run(Net(lambda m, y: y * factor), values("real", 3, 6))
    assert p.operations == ()
    assert [(f.name, f.op, f.elements) for f in p.free] == [("", "mul", 18)]


def test_a_constant_factor_is_free_whatever_its_shape() -> None:
    p = run(Net(lambda m, y: m.w * y, w=weight(6)), values("real", 3, 6))
    assert p.operations == ()
    assert [(f.op, f.elements) for f in p.free] == [("mul", 18)]


# --- What else is written down of an operation ---


def pruned(layer: nn.Module, seed: int = 0) -> nn.Module:
    """The layer with half of its weights zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight *= torch.rand(layer.weight.shape, generator=generator) < 0.5
    return layer


def indicator_layer(layer: nn.Module, x: Tensor) -> float:
    """Events that meet a nonzero weight: indicators of both."""
    weights = {name: indicator(p.detach()) for name, p in layer.named_parameters()}
    if "bias" in weights:
        weights["bias"].zero_()
    with torch.no_grad():
        return float(torch.func.functional_call(layer, weights, indicator(x)).sum().round())


@pytest.mark.parametrize("transposed", [False, True], ids=["", "transposed"])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_events_that_meet_a_weight_of_a_pruned_convolution(seed: int, dims: int, transposed: bool) -> None:
    layer, x = random_convolution(seed + 30, dims, transposed)
    o = only(run(Net(lambda m, y: m.layer(y), layer=layer), x))
    assert o.effective == o.events
    pruned(layer, seed)
    o = only(run(Net(lambda m, y: m.layer(y), layer=layer), x))
    assert o.events == layer_of_ones(layer, x).sum()
    assert o.effective == indicator_layer(layer, x)


def test_events_that_meet_a_weight_of_a_pruned_linear_layer() -> None:
    layer, x = pruned(nn.Linear(6, 5)), values("real", 3, 4, 6)
    p = profile(Net(lambda m, y: m.fc(m.fc(y)[..., :1] * 0 + y), fc=layer), [x, x[:2]], check_flops=False)
    with torch.no_grad():
        second = layer(x)[..., :1] * 0 + x
    for name, y in (("fc", x), ("fc:2", second)):  # the image, then what was made of it
        o = only(p, name)
        assert o.effective == sum(indicator_layer(layer, part) for part in (y, y[:2]))
        assert o.effective < o.events


def test_zero_weights_in_one_part_of_a_parameter() -> None:
    # As of the joint projection of q, k and v: parts of one tensor, of which only some are pruned.
    w = weight(8, 6)
    with torch.no_grad():
        w[4:] *= torch.rand(4, 6) < 0.5
    x = values("real", 3, 6)
    o = only(run(Net(lambda m, y: F.linear(y, m.w[:4]) + F.linear(y, m.w[4:]), w=w, inner=nn.Identity()), x))
    assert o.effective == float((indicator(x) @ indicator(w.detach()).t()).sum())


@pytest.mark.parametrize("kind", ["spikes", "integers", "zeros"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_an_integer_input_can_count_as_so_many_events(dims: int, kind: str) -> None:
    layer, x = random_convolution(7 + dims, dims, False)
    x = values(kind, *x.shape, seed=dims)
    o = only(run(Net(lambda m, y: m.layer(y), layer=layer), x, graded=True))
    ones = {name: torch.zeros_like(p) if name == "bias" else torch.ones_like(p) for name, p in layer.named_parameters()}
    with torch.no_grad():
        assert o.graded == torch.func.functional_call(layer, ones, x.abs()).sum().round()
    assert o.events == layer_of_ones(layer, x).sum()


def test_graded_events_of_products_and_of_real_values() -> None:
    x = values("integers", 3, 4, 5)

    def both(m: Net, y: Tensor) -> Tensor:
        return (y @ y.transpose(1, 2)).sum() + (y * y.flip(0)).sum() + m.fc(y * 0.5).sum()

    net = Net(both, fc=nn.Linear(5, 2))
    p = run(net, x, graded=True)
    sizes = x.abs()
    assert only(p, "matmul").graded == int((sizes @ sizes.transpose(1, 2)).sum())
    assert only(p, "product").graded == int((sizes * sizes.flip(0)).sum())
    assert only(p, "fc").graded == 2 * int(sizes.sum())  # multiples of a half
    fractions = run(Net(lambda m, y: m.fc(y.sigmoid()), fc=nn.Linear(5, 2)), values("real", 3, 4, 5), graded=True)
    assert only(fractions).graded is None
    assert all(o.graded is None for o in run(net, x).operations)


def test_where_an_input_comes_from() -> None:
    net = Net(
        lambda m, y: m.b(m.lif(m.a(y))) + m.c(m.lif2(y).flatten(1).view_as(y) + y),
        a=nn.Linear(6, 6),
        b=nn.Linear(6, 2),
        c=nn.Linear(6, 2),
        lif=LIF(),
        lif2=LIF(),
    )
    p = run(net, values("real", 3, 6))
    assert {o.name: o.sources for o in p.operations} == {"a": ("the input",), "b": ("spikes of lif",), "c": ("add",)}


def test_sizes_of_outputs_biases_and_inner_dimensions() -> None:
    conv, fc = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(5, 4)
    net = Net(lambda m, y: (m.conv(y), m.fc(y), y @ y.transpose(2, 3), y * y.flip(0)), conv=conv, fc=fc)
    x = values("real", 3, 2, 4, 5)
    found = {o.name: (o.outputs, o.bias, o.inner, o.module) for o in run(net, x).operations}
    assert found == {
        "conv": (3 * 3 * 4 * 5, 3, 0, True),
        "fc": (3 * 2 * 4 * 4, 4, 5, True),
        "matmul": (3 * 2 * 4 * 4, 0, 5, False),
        "product": (3 * 2 * 4 * 5, 0, 0, False),
    }


# --- Operators that write into their arguments ---


def test_multiplication_in_place_is_counted_on_what_it_read() -> None:
    x = values("real", 3, 4, 5)

    def gated(m: Net, y: Tensor) -> Tensor:
        z = y.clone()
        z.mul_(m.gate(y.sum(1, keepdim=True)).relu())
        return m.fc(z)

    net = Net(gated, fc=nn.Linear(5, 2), gate=nn.Linear(5, 5))
    with torch.no_grad():
        gate = net.gate(x.sum(1, keepdim=True)).relu()
    p = run(net, x)
    assert_counts(only(p, "product"), 60, [x, gate], (indicator(x) * indicator(gate)).sum())
    assert_counts(only(p, "fc"), 120, [x * gate], 2 * nonzeros(x * gate))


def test_scaling_in_place_is_free() -> None:
    p = run(Net(lambda m, y: y.clone().mul_(2.0)), values("real", 3, 4))
    assert p.operations == ()
    assert [(f.op, f.elements) for f in p.free] == [("mul_", 12)]


def test_multiplication_into_a_third_tensor() -> None:
    x = values("real", 3, 4, 5)

    def into(m: Net, y: Tensor) -> Tensor:
        return torch.mul(y[:, :1], y, out=torch.empty(3, 4, 5))

    both = indicator(x[:, :1]) * indicator(x)
    assert_counts(only(run(Net(into), x)), 60, [x[:, :1], x], both.sum())


def test_what_is_written_into_is_counted_again() -> None:
    x = values("real", 3, 8)

    def twice(m: Net, y: Tensor) -> Tensor:
        z = y.clone()
        a = m.first(z)
        z.relu_()
        return a + m.second(z)

    p = run(Net(twice, first=nn.Linear(8, 2), second=nn.Linear(8, 2)), x)
    assert only(p, "first").operands[0].nonzero == nonzeros(x)
    assert only(p, "second").operands[0].nonzero == nonzeros(x.relu())


def test_spikes_that_are_written_into_are_spikes_no_more() -> None:
    x = values("spikes", 2, 3, 8) * 4

    def scaled(m: Net, y: Tensor) -> Tensor:
        z = m.lif(y)
        a = m.first(z)
        z.mul_(2.0)
        return a + m.second(z)

    p = run(Net(scaled, lif=LIF(), first=nn.Linear(8, 2), second=nn.Linear(8, 2)), x)
    before, after = only(p, "first").operands[0], only(p, "second").operands[0]
    assert before.binary
    assert before.nonzero == after.nonzero > 0
    assert after.ones == 0


def test_a_constant_that_takes_in_an_activation_is_one() -> None:
    def memory(m: Net, y: Tensor) -> Tensor:
        m.state.copy_(y)
        return m.state @ m.w

    net = Net(memory, w=weight(6, 2), inner=nn.Identity())
    net.register_buffer("state", torch.zeros(3, 6))
    x = values("real", 3, 6)
    assert_counts(only(run(net, x)), 36, [x], 2 * nonzeros(x))


def test_max_pools_keep_spikes_spikes() -> None:
    x = 2 * values("spikes", 3, 2, 6, 6)
    net = Net(lambda m, y: m.conv(F.max_pool2d(m.lif(y), 3, 2, 1)), lif=LIF(), conv=nn.Conv2d(2, 3, 3, padding=1))
    pooled = F.max_pool2d(LIF()(x), 3, 2, 1)
    assert_counts(only(run(net, x)), 3 * 9 * 3 * 2 * 9, [pooled], layer_of_ones(net.conv, pooled).sum())


# --- Constants ---


def test_constants_times_constants_are_not_booked() -> None:
    def constants(m: Net, y: Tensor) -> Tensor:
        square = m.w @ m.w.t()
        other = F.linear(square, m.w.t()) * m.w
        F.conv1d(m.w[None], m.w[:, :, None])
        torch.bmm(square[None], square[None])
        filled = torch.ones(4, 4) * m.w
        filled.mul_(m.w)
        return y + other.sum() + filled.sum()

    p = run(Net(constants, w=weight(4, 4)), values("real", 3, 6))
    assert p.operations == ()
    assert p.uncounted == ()


def test_a_random_tensor_is_a_constant() -> None:
    p = run(Net(lambda m, y: y + torch.rand(6, 6) @ torch.rand(6, 1).flatten()), values("real", 3, 6))
    assert p.operations == ()


def test_the_shape_of_the_input_alone_makes_no_activation() -> None:
    p = run(Net(lambda m, y: y + torch.ones_like(y[0]) * torch.zeros(6)), values("real", 3, 6))
    assert all(o.op != "linear" for o in p.operations)


# --- Steps in time ---


@pytest.mark.parametrize("layout", ["T x B", "T*B"])
def test_images_are_told_apart_in_time(pass_size: None, layout: str) -> None:
    steps, batch = 2, 3
    conv, x = nn.Conv2d(2, 3, 3, padding=1), values("real", batch, steps, 2, 5, 4)

    def network(m: Net, y: Tensor) -> Tensor:
        z = y.transpose(0, 1)
        if layout == "T*B":
            return m.fc(m.conv(z.flatten(0, 1)).flatten(1)[:, :7].relu())
        hidden = m.conv(z.flatten(0, 1)).unflatten(0, (steps, batch))
        return m.fc(hidden.flatten(2)[:, :, :7].relu())

    net = Net(network, conv=conv, fc=nn.Linear(7, 5))
    p = run(net, x, time_steps=steps)
    rows = []
    for image in x:
        with torch.no_grad():
            hidden = conv(image).flatten(1)[:, :7].relu()
        rows.append((nonzeros(image), layer_of_ones(conv, image).sum(), nonzeros(hidden), 5 * nonzeros(hidden)))
    assert_images(p, rows)


@pytest.mark.parametrize("turned", [False, True])
def test_products_of_a_step_with_all_steps(turned: bool) -> None:
    """Left and right factor differ in whether they have a time axis."""
    steps, batch = 4, 3
    x = values("real", batch, 5, 6)

    def network(m: Net, y: Tensor) -> Tensor:
        every = torch.stack([y.roll(t, 1) for t in range(steps)])
        return every * y if turned else y * every

    every = torch.stack([x.roll(t, 1) for t in range(steps)])
    both = (indicator(x) * indicator(every)).transpose(0, 1).flatten(1).sum(1)
    single = [nonzeros(image) for image in x]
    rows = [(n, n * steps, e) for n, e in zip(single, both.tolist(), strict=True)]
    p = run(Net(network), x, time_steps=steps)
    assert only(p).events == both.sum()
    assert_images(p, [(b, a, e) for a, b, e in rows] if turned else rows)


def test_a_layer_before_time_begins_with_as_many_channels_as_images_and_steps() -> None:
    # B x C x H x W with B = C = T could be taken for T x B x H x W.
    conv, x = nn.Conv2d(3, 2, 3, padding=1), values("real", 3, 3, 5, 5)
    p = run(Net(lambda m, y: m.conv(y), conv=conv), x, time_steps=3)
    assert only(p).events == layer_of_ones(conv, x).sum()
    assert_images(p, [(nonzeros(image), layer_of_ones(conv, image[None]).sum()) for image in x])


def test_where_images_mix_the_batch_is_the_unit() -> None:
    # Tokens first, then images, then halves, in one dimension.
    x = values("real", 3, 5, 6)
    net = Net(lambda m, y: m.fc(y.unflatten(2, (2, 3)).transpose(0, 1).flatten(0, 2)), fc=nn.Linear(3, 2))
    p = profile(net, [x, x[:2]], check_flops=False)
    assert p.unit == "batch"
    z = [(3, nonzeros(x), 2 * nonzeros(x)), (2, nonzeros(x[:2]), 2 * nonzeros(x[:2]))]
    columns = list(zip(*z, strict=True))
    assert p.moments.sums == tuple(map(sum, columns))
    assert p.moments.gram == tuple(
        tuple(sum(a * b for a, b in zip(u, v, strict=True)) for v in columns) for u in columns
    )


def test_an_operation_that_some_batches_lack() -> None:
    x = values("real", 6, 4)
    x[:3, 0], x[3:, 0] = 1.0, -1.0
    net = Net(lambda m, y: m.b(y) if y[0, 0] < 0 else m.a(y), a=nn.Linear(4, 2), b=nn.Linear(4, 3))
    p = profile(net, [x[:3], x[3:]], check_flops=False)
    rows = [(nonzeros(i), 2 * nonzeros(i), 0, 0) for i in x[:3]] + [(0, 0, nonzeros(i), 3 * nonzeros(i)) for i in x[3:]]
    assert_images(p, rows)


# --- Names ---


class Leaf(nn.Module):
    """Functional calls in a module without parts of its own."""

    def __init__(self, *shapes: tuple[int, int]) -> None:
        super().__init__()
        for i, shape in enumerate(shapes):
            setattr(self, f"w{i}", weight(*shape))
        self.count = len(shapes)

    def forward(self, x: Tensor) -> Tensor:
        for i in range(self.count):
            x = F.linear(x, getattr(self, f"w{i}"))
        return x


def names(p: Profile) -> list[str]:
    return [o.name for o in p.operations]


def test_leaf_modules_have_their_path() -> None:
    net = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)))
    assert names(run(net, values("real", 3, 6))) == ["0", "2.0", "2.1"]
    assert [o.first for o in run(net, values("real", 3, 6)).operations] == [True, False, False]


def test_module_lists_and_dictionaries_have_their_paths() -> None:
    net = Net(
        lambda m, y: m.heads["a"](m.layers[1](m.layers[0](y))),
        layers=nn.ModuleList([nn.Linear(6, 5), nn.Linear(5, 4)]),
        heads=nn.ModuleDict({"a": nn.Linear(4, 3)}),
    )
    assert names(run(net, values("real", 3, 6))) == ["layers.0", "layers.1", "heads.a"]


def test_a_parameter_of_a_module_of_ones_own_has_its_path() -> None:
    assert names(run(nn.Sequential(Leaf((5, 6))), values("real", 3, 6))) == ["0.w0"]


def test_several_weights_in_one_module_are_kept_apart() -> None:
    # Eq. 18 multiplies a rate with the operations of one layer: two layers under one name would mix both.
    p = run(nn.Sequential(Leaf((5, 6), (2, 5))), values("real", 3, 6))
    assert names(p) == ["0.w0", "0.w1"]
    assert [o.dense for o in p.operations] == [3 * 6 * 5, 3 * 5 * 2]


def test_the_two_matrices_of_a_recurrent_cell_are_kept_apart() -> None:
    net = Net(lambda m, y: m.cell(y, m.start(y)), cell=nn.RNNCell(6, 3), start=nn.Linear(6, 3))
    p = run(net, values("real", 2, 6))
    assert sorted(o.dense for o in p.operations if o.name.startswith("cell")) == [2 * 3 * 3, 2 * 6 * 3]


def test_functional_calls_are_named_after_what_they_are_and_counted() -> None:
    class Functional(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x @ x.transpose(1, 2)
            z = y @ x
            return (z * x) @ torch.ones(6, 2)

    p = run(nn.ModuleDict({"f": Functional()})["f"], values("real", 3, 4, 6))
    assert names(p) == ["matmul", "matmul_2", "product", "linear"]
    q = run(nn.Sequential(nn.Sequential(Functional())), values("real", 3, 4, 6))
    assert names(q) == ["0.0.matmul", "0.0.matmul_2", "0.0.product", "0.0.linear"]


def test_products_take_the_name_they_are_given() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with named("qk"):
                y = x @ x.transpose(1, 2)
            with named("outer"), named("qkv"):
                z = y @ x
            return z @ z.transpose(1, 2)

    p = run(nn.Sequential(Attention(), Attention()), values("real", 3, 6, 6))
    assert names(p) == [f"{i}.{what}" for i in (0, 1) for what in ("qk", "qkv", "matmul")]


def test_a_name_does_not_outlive_an_error() -> None:
    with pytest.raises(ZeroDivisionError), named("qk"):
        _ = 1 / 0
    assert names(run(Net(lambda m, y: y @ y.transpose(1, 2)), values("real", 3, 4, 6))) == ["matmul"]


def test_a_module_that_is_used_twice_has_one_entry() -> None:
    net = Net(lambda m, y: m.fc(m.fc(m.first(y))), first=nn.Linear(6, 6), fc=nn.Linear(6, 6))
    x = values("real", 3, 6)
    with torch.no_grad():
        y = net.first(x)
        z = net.fc(y)
    p = run(net, x)
    o = only(p, "fc")
    assert (o.dense, o.operands[0].elements) == (216, 36)
    assert o.operands[0].nonzero == nonzeros(y) + nonzeros(z)
    counted = [(nonzeros(a), 6 * nonzeros(a), nonzeros(b) + nonzeros(c)) for a, b, c in zip(x, y, z, strict=True)]
    assert_images(p, [(*first, both, 6 * both) for *first, both in counted])


def test_a_module_under_two_paths_has_the_first() -> None:
    shared = nn.Linear(6, 6)
    net = nn.Sequential(nn.Linear(6, 6), shared, nn.ReLU(), shared)
    assert names(run(net, values("real", 3, 6))) == ["0", "1"]


def test_a_layer_that_reads_the_image_and_then_spikes_has_two_entries() -> None:
    fire = nn.Threshold(0.1, 0.0)
    net = Net(lambda m, y: m.fc((m.fire(m.fc(y)) > 0).float()), fc=nn.Linear(6, 6), fire=fire)
    x = values("real", 3, 6)
    p = profile(net, [x, x[:2]])
    first, second = p.operations
    assert (first.name, first.dense, first.first) == ("fc", 180, True)
    assert (second.name, second.dense, second.first) == ("fc:2", 180, False)
    assert second.gate.binary and not any("fvcore counts" in note for note in p.notes)


def test_one_module_that_multiplies_anything_has_an_entry_for_each_product() -> None:
    class Multiply(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x @ y

    def attention(m: Any, x: Tensor) -> Tensor:
        return torch.stack([m.multiply(m.multiply(m.q(t), m.k(t).transpose(1, 2)), m.v(t)) for t in x])

    parts = {name: Net(lambda m, y: (y > 0.5).float()) for name in "qkv"}
    p = run(Net(attention, multiply=Multiply(), **parts), values("real", 4, 3, 5, 6), time_steps=4)
    first, second = p.operations
    assert [o.name for o in p.operations] == ["multiply.matmul", "multiply.matmul:2"]
    assert first.sources == ("spikes of q", "spikes of k") and second.sources[1] == "spikes of v"
    assert first.dense == second.dense == 4 * 3 * 5 * 5 * 6


def test_cross_attention_projects_queries_and_keys_at_rates_of_their_own() -> None:
    def attention(m: Any, x: Tensor) -> Tensor:
        return m.attn((x > 0.5).float(), *[(x[:, :3] > -0.5).float()] * 2)[0]

    x = values("real", 2, 5, 8)
    p = run(Net(attention, attn=nn.MultiheadAttention(8, 2, batch_first=True)), x)
    queries, keys = (o for o in p.operations if "in_proj_weight" in o.name)
    assert (queries.dense, keys.dense) == (2 * 5 * 8 * 8, 2 * 3 * 8 * 16)
    assert queries.events == 8 * nonzeros(x > 0.5) and keys.events == 16 * nonzeros(x[:, :3] > -0.5)


def test_calls_of_other_sizes_are_one_entry() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3, stride=2, padding=1))
    small, large, nothing = (values("real", n, 2, size, size) for n, size in ((3, 8), (2, 9), (0, 8)))
    together = profile(net, [small, large], check_flops=False)
    apart = profile(net, [small], check_flops=False) + profile(net, [large], check_flops=False)
    assert names(together) == ["0"] and together.operations == apart.operations
    expert = Net(lambda m, y: m.e(y[:0]).sum() + m.e(m.first(y)), e=nn.Linear(6, 6), first=nn.Linear(6, 6))
    assert len(nothing) == 0 and "e" in names(run(expert, values("real", 3, 6)))


def test_functions_keep_clear_of_modules_with_their_names() -> None:
    def run_all(m: Any, x: Tensor) -> Tensor:
        y = m.linear(x)
        return F.linear(y, torch.ones(3, 6)) + (m.matmul(y) @ m.matmul(y).t()).sum() + m.product(y).mul(y).sum()

    layers = {name: nn.Linear(6, 6) for name in ("linear", "matmul", "product")}
    assert names(run(Net(run_all, **layers), values("real", 3, 6))) == [
        *("linear", "functional_linear", "matmul", "functional_matmul", "product", "functional_product")
    ]


def test_entries_of_several_batches_are_one() -> None:
    x = values("real", 7, 6)
    net = Net(lambda m, y: m.fc(y) @ m.w, fc=nn.Linear(6, 6), w=weight(6, 2))
    p = profile(net, [x[:3], (x[3:5], None), x[5:]], check_flops=False)
    assert names(p) == ["fc", "w"]
    assert only(p, "fc").operands[0].nonzero == nonzeros(x)
    assert p.images == 7


def test_neurons_free_arithmetic_and_unknown_operators_have_their_module() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.i0(x.clamp(-0.5, 0.5))

    net = nn.Sequential(nn.BatchNorm1d(4), Odd(), LIF())
    p = run(net, values("real", 3, 5, 4).transpose(1, 2).contiguous())
    assert [n.name for n in p.neurons] == ["2"]
    assert ("0", 60) in [(f.name, f.elements) for f in p.free]
    assert ("1", "clamp", 60) in [(f.name, f.op, f.elements) for f in p.free]
    assert p.uncounted == ("i0 in 1",)


MOVED_OR_FREE: dict[str, Callable[[Tensor], Tensor]] = {
    "unfold": lambda x: F.unfold(x, 3),
    "fold": lambda x: F.fold(F.unfold(x, 2, stride=2), (8, 8), 2, stride=2),
    "interpolate 1d": lambda x: F.interpolate(x[:, :, 0], scale_factor=2),
    "interpolate exactly": lambda x: F.interpolate(x, size=4, mode="nearest-exact"),
    "glu": lambda x: F.glu(x.repeat(1, 2, 1, 1), 1),
    "threshold": lambda x: F.threshold(x, 0.0, 0.0),
    "celu": F.celu,
    "logsigmoid": F.logsigmoid,
    "erf": torch.erf,
    "nan_to_num": torch.nan_to_num,
    "rot90": lambda x: torch.rot90(x, 1, (2, 3)),
    "index_add": lambda x: x.index_add(0, torch.tensor([0]), x[:1]),
    "masked_scatter": lambda x: x.masked_scatter(x > 0, x),
    "channel_shuffle": lambda x: F.channel_shuffle(x.repeat(1, 2, 1, 1), 2),
    "in place": lambda x: (x + 0).clamp_min_(0).sqrt_().abs_().round_().floor_().sign_().cumsum_(1),
    "threshold in place": lambda x: (x + 0).ge_(0.1),
}


@pytest.mark.parametrize("what", MOVED_OR_FREE)
def test_moves_and_free_arithmetic_are_no_lower_bound(what: str) -> None:
    p = run(Net(lambda m, y: MOVED_OR_FREE[what](y)), values("real", 2, 4, 8, 8))
    assert (p.uncounted, p.operations) == ((), ())


def test_unknown_operators_on_constants_are_no_news() -> None:
    assert run(Net(lambda m, y: y + torch.i0(torch.tensor([0.1]))), values("real", 3, 5)).uncounted == ()


def test_fused_attention_is_not_skipped_in_silence() -> None:
    p = run(Net(lambda m, y: F.scaled_dot_product_attention(y, y, y)), values("real", 3, 2, 4, 5))
    counted = sum(o.dense for o in p.operations)
    assert counted == 2 * 3 * 2 * 4 * 4 * 5 or any("attention" in entry for entry in p.uncounted)


def test_fused_attention_on_spikes_accumulates() -> None:
    x = torch.randn(4, 3, 2, 5, 6, generator=torch.Generator().manual_seed(2))
    fire = {name: Net(lambda m, y: (y > 0.4).float()) for name in "qkv"}

    def fused(m: Any, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(m.q(x), m.k(x.roll(1, 1)), m.v(x.roll(2, 1)))

    def written(m: Any, x: Tensor) -> Tensor:
        scores = m.q(x) @ m.k(x.roll(1, 1)).transpose(-2, -1) * 6**-0.5
        return scores.softmax(-1) @ m.v(x.roll(2, 1))

    one, other = (run(Net(how, **fire), x, time_steps=4) for how in (fused, written))
    assert [(o.name, o.dense, o.operands, o.events) for o in one.operations] == [
        (o.name, o.dense, o.operands, o.events) for o in other.operations
    ]
    assert all(o.gate.binary for o in one.operations)
    assert one.account().macs == 0 < one.account().acs


@pytest.mark.parametrize(
    "options", [{}, {"is_causal": True}, {"scale": 0.3}, {"mask": "bool"}, {"mask": "float"}], ids=str
)
@pytest.mark.parametrize("grouped", [False, True])
def test_fused_attention_gives_what_it_gives_without_the_recorder(options: dict[str, Any], grouped: bool) -> None:
    given = dict(options)
    if kind := given.pop("mask", None):
        allowed = torch.ones(5, 5, dtype=torch.bool).tril()
        given["attn_mask"] = allowed if kind == "bool" else torch.zeros(5, 5).double().masked_fill(~allowed, -torch.inf)
    seen = []

    def forward(m: Any, x: Tensor) -> Tensor:
        key = x[:, :2] if grouped else x
        seen.append(F.scaled_dot_product_attention(x, key, key + 1, enable_gqa=grouped, **given))
        return seen[-1]

    x = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(1)).double()
    net = Net(forward)
    alone = net(x)
    seen.clear()
    run(net, x)
    torch.testing.assert_close(seen[-1], alone, rtol=0, atol=1e-12)


def test_attention_may_rule_out_keys_by_minus_infinity() -> None:
    padded = torch.tensor([[False] * 4 + [True]] * 3)
    attend = nn.MultiheadAttention(8, 2, batch_first=True)
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    p = run(Net(lambda m, y: m.attend(y, y, y, key_padding_mask=padded)[0], attend=attend), values("real", 3, 5, 8))
    q = run(Net(lambda m, y: m.attend(y, y, y, attn_mask=causal)[0], attend=attend), values("real", 3, 5, 8))
    assert p.operations and q.operations


def test_products_over_nothing() -> None:
    p = run(Net(lambda m, y: y[:, :, :0] @ y[:, :0]), values("real", 3, 4, 4))
    assert_counts(only(p), 0, [torch.zeros(3, 4, 0), torch.zeros(3, 0, 4)], 0)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_whose_kernel_is_computed_from_the_image(both: bool, transposed: bool) -> None:
    template = values("real", 1, 2, 7, 7, seed=3)
    options: dict[str, Any] = {"stride": 2, "padding": 1}
    convolve = F.conv_transpose2d if transposed else F.conv2d

    def forward(m: Any, y: Tensor) -> Tensor:
        kernel = y[0, :, :3, :3].unflatten(0, (2, 2))
        return convolve(y[1:, :2] if both else m.template, kernel, **options)

    x = values("real", 3, 4, 7, 7)
    p = run(Net(forward, template=nn.Parameter(template)), x)
    kernel, read = x[0, :, :3, :3].unflatten(0, (2, 2)), x[1:, :2] if both else torch.ones(1, 2, 7, 7)
    met = convolve(indicator(read), indicator(kernel), **options)
    o = only(p)
    assert o.op == ("conv_transpose2d" if transposed else "conv2d")
    assert_counts(o, o.dense, [read, kernel] if both else [kernel], met.sum())
    assert o.dense == (read.numel() * 2 * 9 if transposed else met.numel() * 2 * 9)


def test_a_recorder_leaves_the_model_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Dropout(0.5)).train()
    net[2].eval()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    run(net, values("real", 3, 6))
    assert [m.training for m in net.modules()] == [True, True, True, False]
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_an_error_in_the_model_leaves_no_hooks_behind() -> None:
    net = nn.Sequential(nn.Linear(6, 6), nn.Linear(5, 5)).train()
    with pytest.raises(RuntimeError):
        run(net, values("real", 3, 6))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert net.training


# --- Masks that are not written as products, and einsum ---


def two_trains(x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes as truth values, and others as numbers, of two parts of an image."""
    return x[:, 0] > 0.3, (x[:, 1] > -0.2).float()


MASKS_IN_OTHER_WORDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "where": lambda s, v: torch.where(s, v, 0.0),
    "where, tensor": lambda s, v: torch.where(s, v, torch.zeros_like(v)),
    "where not": lambda s, v: torch.where(~s, torch.zeros(()), v),
    "masked_fill": lambda s, v: v.masked_fill(~s, 0.0),
    "masked_fill_": lambda s, v: v.clone().masked_fill_(~s, 0),
    "index": lambda s, v: _with_zeros(v, ~s),
    "addcmul": lambda s, v: torch.addcmul(torch.zeros(()), s.float(), v),
    "product": lambda s, v: s.float() * v,
}


def _with_zeros(x: Tensor, where: Tensor) -> Tensor:
    x = x.clone()
    x[where] = 0
    return x


@pytest.mark.parametrize("words", MASKS_IN_OTHER_WORDS)
def test_a_selection_of_spikes_or_zero_is_a_product(words: str) -> None:
    x = values("real", 3, 2, 4, 5, seed=9)
    spikes, v = two_trains(x)
    p = run(Net(lambda m, y: MASKS_IN_OTHER_WORDS[words](*two_trains(y))), x)
    both = indicator(spikes) * indicator(v)
    o = only(p)
    assert o.op == "product"
    assert_counts(o, 60, [spikes.float(), v], both.sum())
    assert o.gate.binary and "a constant" not in o.sources
    assert_images(p, [(nonzeros(s), nonzeros(u), int(e.sum())) for s, u, e in zip(spikes, v, both, strict=True)])


@pytest.mark.parametrize("words", MASKS_IN_OTHER_WORDS)
def test_a_selection_of_real_values_or_zero_is_free(words: str) -> None:
    x = values("real", 3, 2, 4, 5, seed=9)
    net = Net(lambda m, y: MASKS_IN_OTHER_WORDS[words](y[:, 0] > 0.3, m.fc(y[:, 1])), fc=nn.Linear(5, 5))
    p = run(net, x)
    # A row that says how much is chosen, and costs nothing.
    with torch.no_grad():
        both = indicator(x[:, 0] > 0.3) * indicator(net.fc(x[:, 1]))
    o = only(p, "product")
    assert (o.dense, o.events) == (60, both.sum())
    for accounting in ("paper", "integer-spikes", "spike-driven", "exact", "neurobench"):
        (row,) = [row for row in p.account(accounting).layers if row.name == "product"]
        assert (row.macs, row.acs) == (0, 0)

    def rectified(m: Any, y: Tensor) -> Tensor:
        v = m.fc(y[:, 1])
        return MASKS_IN_OTHER_WORDS[words](v > 0.1, v)

    p = run(Net(rectified, fc=nn.Linear(5, 5)), x)  # by the values themselves: a rectifier
    assert names(p) == ["fc"]
    assert [
        f.elements for f in p.free if f.op in ("where", "masked_fill", "masked_fill_", "index_put_", "addcmul", "mul")
    ]


@pytest.mark.parametrize("both", [torch.logical_and, torch.bitwise_and, lambda a, b: a & b], ids=["and", "bit", "&"])
def test_spikes_as_truth_values_are_multiplied_by_and(both: Callable[[Tensor, Tensor], Tensor]) -> None:
    x = values("real", 3, 2, 4, 5, seed=9)
    a, b = x[:, 0] > 0.3, x[:, 1] > 0.3
    net = Net(lambda m, y: m.fc(both(y[:, 0] > 0.3, y[:, 1] > 0.3).float()), fc=nn.Linear(5, 2))
    p = run(net, x, graded=True)
    assert_counts(only(p, "product"), 60, [a.float(), b.float()], int((a & b).sum()))
    assert only(p, "product").graded == int((a & b).sum())


def test_a_selection_of_one_value_or_another_is_free_and_listed() -> None:
    x = values("real", 3, 4)
    p = run(Net(lambda m, y: torch.where(y > 0, y, 0.1 * y)), x)
    assert p.operations == ()
    assert ("where", 12) in [(f.op, f.elements) for f in p.free]
    masked = run(Net(lambda m, y: y.masked_fill(torch.eye(4)[:3] > 0, -1e9) + (y > 0).logical_or(y < -1)), x)
    assert masked.operations == ()
    assert {"masked_fill", "logical_or"} <= {f.op for f in masked.free}


def test_scaling_by_einsum_is_scaling() -> None:
    x = values("real", 3, 5, 6)
    for equation, shape in (("bnd,d->bnd", (6,)), ("bnd,nd->bnd", (5, 6)), ("nd,bnd->bnd", (5, 6))):
        net = Net(
            lambda m, y, e=equation: torch.einsum(e, *((m.w, y) if e.startswith("n") else (y, m.w))), w=weight(*shape)
        )
        p = run(net, x)
        assert p.operations == () and p.uncounted == ()


SHARED = [
    ("bnd,de->bne", (6, 3), 3),
    ("bnd,ed->bne", (3, 6), 3),
    ("...d,ed->...e", (3, 6), 3),
    ("bnd,hde->bhne", (2, 6, 3), 6),
    ("bnd,nd->bn", (5, 6), 1),
    ("bnd,d", (6,), 1),
    ("bnd,m->bnm", (2,), 2),
]


@pytest.mark.parametrize(("equation", "shape", "fan_out"), SHARED)
@pytest.mark.parametrize("turned", [False, True])
def test_einsum_with_a_shared_weight_tells_images_apart(
    equation: str, shape: tuple[int, ...], fan_out: int, turned: bool
) -> None:
    x, w = values("real", 3, 5, 6), weight(*shape)
    left, arrow, right = equation.partition("->")
    if turned:
        left = ",".join(left.split(",")[::-1])
    x[:, 0] = 0
    with torch.no_grad():
        w.view(-1)[0] = 0
    net = Net(lambda m, y: torch.einsum(left + arrow + right, *((m.w, y) if turned else (y, m.w))), w=w)
    p = run(net, x)
    o = only(p)
    assert (o.name, o.op) == ("w", "linear")
    assert_counts(o, 90 * fan_out, [x], fan_out * nonzeros(x))
    assert_images(p, [(nonzeros(image), fan_out * nonzeros(image)) for image in x])
    with torch.no_grad():
        met = torch.einsum(equation, indicator(x), indicator(w).view(shape))
    assert o.effective == int(met.sum())


PAIRS = [
    ("bnd,bmd->bnm", (3, 5, 6), (3, 4, 6)),
    ("bhnd,bhmd->bhnm", (3, 2, 5, 6), (3, 2, 4, 6)),
    ("bhnm,bhmd->bnhd", (3, 2, 5, 4), (3, 2, 4, 6)),
    ("bnd,bne->bde", (3, 5, 6), (3, 5, 4)),
    ("bnd,bnd->bd", (3, 5, 6), (3, 5, 6)),
    ("bnd,bnd->bnd", (3, 5, 6), (3, 5, 6)),
    ("bd,be->bde", (3, 6), (3, 4)),
    ("b...d,b...d->b...", (3, 5, 6), (3, 1, 6)),
]


@pytest.mark.parametrize(("equation", "left", "right"), PAIRS)
@pytest.mark.parametrize("kind", ["spikes", "integers"])
def test_einsum_of_two_activations_counts_pairs_that_meet(
    kind: str, equation: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    x = values(kind, 3, math.prod(left[1:]) + math.prod(right[1:]), seed=4)
    cut = math.prod(left[1:])

    def parts(y: Tensor) -> tuple[Tensor, Tensor]:
        return y[:, :cut].reshape(-1, *left[1:]), y[:, cut:].reshape(-1, *right[1:])

    p = run(Net(lambda m, y: torch.einsum(equation, *parts(y))), x, graded=True)
    a, b = parts(x)
    met = torch.einsum(equation, indicator(a), indicator(b))
    dense = torch.einsum(equation, torch.ones_like(a), torch.ones_like(b)).sum()
    o = only(p)
    assert_counts(o, int(dense), [a, b], int(met.sum()))
    assert o.graded == int(torch.einsum(equation, a.abs(), b.abs()).sum())
    rows = [met[i].sum() for i in range(3)]
    assert_images(p, [(nonzeros(u), nonzeros(v), int(e)) for u, v, e in zip(a, b, rows, strict=True)])


def test_einsum_that_has_no_formula_is_seen_in_its_parts() -> None:
    x = values("real", 3, 4, 4)
    p = run(Net(lambda m, y: torch.einsum("bij,jk,kl->bil", y, m.w, m.v), w=weight(4, 4), v=weight(4, 2)), x)
    assert sum(o.dense for o in p.operations) >= 3 * 4 * 4 * 2
    assert p.uncounted == ()
    assert run(Net(lambda m, y: torch.einsum("bii->bi", y)), x).operations == ()
