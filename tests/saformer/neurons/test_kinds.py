import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import saformer.analysis
from saformer.errors import InputError
from saformer.neurons import (
    IF,
    LIAF,
    LIF,
    NEURONS,
    PLIF,
    AdaptiveLIF,
    IntegerLIF,
    LearnableLIF,
    Neuron,
    TernaryLIF,
    make_neuron,
)


def current(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return (2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 0.6).to(dtype)


class Step(torch.autograd.Function):
    """1 where v >= 0 (v > 0 if strict), with the slope of sigmoid(alpha v)."""

    @staticmethod
    def forward(ctx, v: Tensor, alpha: float, strict: bool) -> Tensor:
        ctx.save_for_backward(v)
        ctx.alpha = alpha
        return (v > 0 if strict else v >= 0).to(v)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (v,) = ctx.saved_tensors
        s = 1 / (1 + torch.exp(-ctx.alpha * v))
        return gradient * ctx.alpha * s * (1 - s), None, None


class Rounded(torch.autograd.Function):
    """round(clamp(x, 0, levels)), whose gradient passes inside."""

    @staticmethod
    def forward(ctx, x: Tensor, levels: int) -> Tensor:
        ctx.inside = (x >= 0) & (x <= levels)
        return x.clamp(0, levels).round()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.inside, None


@dataclass
class Loop:
    """The equations, one step after the other, in plain autograd; spikes in the reset are detached.

    `charge` makes U of H and X; all else is as in the docstrings of the layers.
    """

    charge: Callable[[Tensor, Tensor], Tensor]
    threshold: float | Tensor = 1.0
    reset: float | None = 0.0
    alpha: float = 4.0
    strict: bool = False
    height: float = 1.0
    start: float = 0.0
    kind: str = "spikes"
    levels: int = 4
    beta: float = 0.0
    rho: float = 0.0
    activation: Callable[[Tensor], Tensor] = torch.relu

    def __call__(self, x: Tensor) -> Tensor:
        h, a, outputs = torch.full_like(x[0], self.start), torch.zeros_like(x[0]), []
        for step in x:
            u = self.charge(h, step)
            v = self.threshold + self.beta * a
            if self.kind == "integer":
                s = Rounded.apply(u / v, self.levels)
            elif self.kind == "ternary":
                s = Ternary.apply(u, u.sign() * Step.apply(u.abs() - v, self.alpha, self.strict), v, self.alpha)
            else:
                s = Step.apply(u - v, self.alpha, self.strict)
            fired = s.detach()
            h = u - v * fired if self.reset is None else torch.where(fired != 0, self.reset, u)
            a = self.rho * a + s
            outputs.append(self.height * (self.activation(u) if self.kind == "analog" else s))
        return torch.stack(outputs)


class Ternary(torch.autograd.Function):
    """Given spikes of both signs, with the slope of the sigmoid at the nearer threshold."""

    @staticmethod
    def forward(ctx, u: Tensor, s: Tensor, v: Tensor, alpha: float) -> Tensor:
        ctx.save_for_backward(u, v)
        ctx.alpha = alpha
        return s.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        u, v = ctx.saved_tensors
        p = torch.sigmoid(ctx.alpha * (u.abs() - v))
        return gradient * ctx.alpha * p * (1 - p), None, None, None


def leaky(tau: float, rest: float = 0.0, decay_input: bool = True) -> Callable[[Tensor, Tensor], Tensor]:
    if decay_input:
        return lambda h, x: h + (x - (h - rest)) / tau
    leak = 1.0 - 1.0 / tau
    if not rest:
        return lambda h, x: leak * h + x
    return lambda h, x: leak * (h - rest) + rest + x


def no_leak(h: Tensor, x: Tensor) -> Tensor:
    return h + x


def cases() -> list:
    found = [
        (LIF(0.8, 3.0, None), Loop(leaky(3.0), 0.8, None)),
        (LIF(strict=True, start=0.5), Loop(leaky(2.0), strict=True, start=0.5)),
        (LIF(0.7, 2.0, 0.2, height="threshold"), Loop(leaky(2.0, 0.2), 0.7, 0.2, height=0.7)),
        (LIF(1.0, 4 / 3, decay_input=False), Loop(leaky(4 / 3, 0.0, False))),
        (LIF(1.0, 3.0, -0.3, decay_input=False), Loop(leaky(3.0, -0.3, False), reset=-0.3)),
        (LIF(1.0, 1.0, None, decay_input=False, strict=True), Loop(leaky(1.0, 0.0, False), reset=None, strict=True)),
        (
            LIF(1.0, 2.0, None, 2.5, decay_input=False, start=0.4),
            Loop(leaky(2.0, 0.0, False), 1.0, None, 2.5, start=0.4),
        ),
        (LIF(0.5, 1.5, 0.1, strict=True, height=0.25), Loop(leaky(1.5, 0.1), 0.5, 0.1, strict=True, height=0.25)),
        (IF(), Loop(no_leak)),
        (IF(0.9, None, start=0.45, height="threshold"), Loop(no_leak, 0.9, None, start=0.45, height=0.9)),
        (IF(1.0, 0.3, strict=True), Loop(no_leak, 1.0, 0.3, strict=True)),
        (TernaryLIF(), Loop(leaky(2.0), kind="ternary")),
        (TernaryLIF(0.5, 4 / 3, decay_input=False), Loop(leaky(4 / 3, 0.0, False), 0.5, kind="ternary")),
        (TernaryLIF(0.9, 3.0, 0.2, strict=True), Loop(leaky(3.0, 0.2), 0.9, 0.2, strict=True, kind="ternary")),
        (TernaryLIF(reset=None, height=0.5), Loop(leaky(2.0), reset=None, height=0.5, kind="ternary")),
        (IntegerLIF(), Loop(leaky(4 / 3, 0.0, False), reset=None, kind="integer")),
        (
            IntegerLIF(8, tau=2.0, height=1 / 8),
            Loop(leaky(2.0, 0.0, False), 1.0, None, height=1 / 8, kind="integer", levels=8),
        ),
        (
            IntegerLIF(3, threshold=0.6, decay_input=True, tau=3.0, start=0.3),
            Loop(leaky(3.0), 0.6, None, start=0.3, kind="integer", levels=3),
        ),
        (IntegerLIF(reset=0.1), Loop(leaky(4 / 3, 0.1, False), reset=0.1, kind="integer")),
        (LIAF(), Loop(leaky(2.0), kind="analog")),
        (LIAF(0.7, 3.0, None, height=0.5), Loop(leaky(3.0), 0.7, None, height=0.5, kind="analog")),
        (LIAF(0.7, 3.0, 0.1, strict=True), Loop(leaky(3.0, 0.1), 0.7, 0.1, strict=True, kind="analog")),
        (LIAF(activation=torch.tanh, height=2.0), Loop(leaky(2.0), height=2.0, kind="analog", activation=torch.tanh)),
        (AdaptiveLIF(), Loop(leaky(2.0), beta=0.2, rho=0.9)),
        (AdaptiveLIF(0.8, 3.0, None, beta=0.3, rho=0.7), Loop(leaky(3.0), 0.8, None, beta=0.3, rho=0.7)),
        (
            AdaptiveLIF(0.8, 2.0, 0.1, strict=True, height="threshold", beta=0.5, rho=0.5, decay_input=False),
            Loop(leaky(2.0, 0.1, False), 0.8, 0.1, strict=True, height=0.8, beta=0.5, rho=0.5),
        ),
    ]
    return [pytest.param(*case, id=f"{type(case[0]).__name__}({case[0].extra_repr()})") for case in found]


@pytest.mark.parametrize(("neuron", "loop"), cases())
def test_every_kind_is_its_equations_bit_for_bit_with_the_gradient_of_autograd(neuron: Neuron, loop: Loop) -> None:
    x = current(7, 3, 5, 11).requires_grad_()
    y = x.detach().clone().requires_grad_()
    found, expected = neuron(x), loop(y)
    assert torch.equal(found, expected)
    assert found.count_nonzero() > found.numel() / 20
    assert torch.equal(neuron(x.detach()), expected)  # without gradients
    weights = current(7, 3, 5, 11, seed=4)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert y.grad.abs().max() > 0.1
    assert torch.allclose(x.grad, y.grad, rtol=0, atol=1e-11)


@pytest.mark.parametrize("decay_input", [True, False])
@pytest.mark.parametrize("reset", [0.0, 0.2, None])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_the_leak_of_plif_is_learned(decay_input: bool, reset: float | None, start: float) -> None:
    neuron = PLIF(0.8, 2.5, reset, decay_input=decay_input, start=start).double()
    w, rest = nn.Parameter(neuron.w.detach().clone()), reset or 0.0
    assert w.shape == () and math.isclose(w.sigmoid().item(), 1 / 2.5, rel_tol=1e-6)

    def charge(h: Tensor, x: Tensor) -> Tensor:
        if decay_input:
            return h + (x - (h - rest)) * w.sigmoid()
        return (h - rest) * (1.0 - w.sigmoid()) + rest + x

    x = current(6, 4, 30, seed=1).requires_grad_()
    y = x.detach().clone().requires_grad_()
    found, expected = neuron(x), Loop(charge, 0.8, reset, start=start)(y)
    assert torch.equal(found, expected)
    weights = current(6, 4, 30, seed=2)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.allclose(x.grad, y.grad, rtol=0, atol=1e-11)
    assert abs(w.grad) > 0.1
    assert torch.allclose(neuron.w.grad, w.grad, rtol=1e-9)


@pytest.mark.parametrize("reset", [None, 0.0])
@pytest.mark.parametrize("height", [1.0, "threshold"])
def test_leak_and_threshold_are_learned(reset: float | None, height: float | str) -> None:
    # mem = leak mem + x; spike where mem / threshold - 1 > 0; mem = mem - threshold spike.
    neuron = LearnableLIF(0.9, 0.7, reset, height=height).double()
    assert sorted(neuron.state_dict()) == ["leak", "threshold"]
    leak, threshold = (nn.Parameter(neuron.state_dict()[name].clone()) for name in ("leak", "threshold"))
    loop = Loop(lambda h, x: leak * h + x, threshold, reset, strict=True)
    x = current(6, 4, 30, seed=1).requires_grad_()
    y = x.detach().clone().requires_grad_()
    found, expected = neuron(x), loop(y) * (threshold if height == "threshold" else 1.0)
    assert torch.equal(found, expected)
    weights = current(6, 4, 30, seed=2)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.allclose(x.grad, y.grad, rtol=0, atol=1e-11)
    for mine, theirs in ((neuron.leak, leak), (neuron.threshold, threshold)):
        assert abs(theirs.grad) > 0.1
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-9)


def test_the_ratio_of_diet_snn_is_the_comparison() -> None:
    # fl(U / V) > 1 exactly where U > V: no rounding comes between.
    threshold = torch.rand(1000, generator=torch.Generator().manual_seed(0)) * 3 + 0.1
    for u in (threshold, threshold.nextafter(torch.tensor(9.0)), threshold.nextafter(torch.tensor(0.0))):
        assert torch.equal(u / threshold - 1.0 > 0, u > threshold)


KINDS = sorted(NEURONS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("settings", [{}, {"reset": None, "height": 0.5}, {"reset": 0.1, "start": 0.3}])
def test_half_precision_is_float32_rounded_once(kind: str, dtype: torch.dtype, settings: dict) -> None:
    narrow = current(5, 3, 40, seed=6, dtype=dtype).requires_grad_()
    wide = narrow.detach().float().requires_grad_()
    neuron, weights = make_neuron(kind, **settings), current(5, 3, 40, seed=7, dtype=dtype)
    found, expected = neuron(narrow), neuron(wide)
    assert found.dtype == dtype
    assert torch.equal(found, expected.to(dtype))
    found.backward(weights)
    by_narrow = [parameter.grad.clone() for parameter in neuron.parameters()]
    neuron.zero_grad()
    expected.backward(weights.float())
    assert torch.equal(narrow.grad, wide.grad.to(dtype))
    assert all(torch.allclose(a, b.grad, rtol=1e-5) for a, b in zip(by_narrow, neuron.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_any_layout_and_number_of_steps(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saformer.neurons.integrate_and_fire.CPU_BLOCK", 7)
    neuron = make_neuron(kind).double()
    x = current(12, 5, 6, 7).contiguous(memory_format=torch.channels_last).unflatten(0, (4, 3))
    weights = current(4, 3, 5, 6, 7, seed=1)
    for view in (x, x[:1], x.transpose(0, 2), x[:, :0], x[:, :, ::2]):
        theirs, mine = view.contiguous().requires_grad_(), view.detach().requires_grad_()
        found, expected = neuron(mine), neuron(theirs)
        assert torch.equal(found, expected)
        by = weights.flatten()[: found.numel()].view(found.shape)
        found.backward(by)
        expected.backward(by)
        assert torch.allclose(mine.grad, theirs.grad, rtol=0, atol=1e-12)
        meta = torch.empty_strided(view.shape, view.stride(), dtype=view.dtype, device="meta")
        foretold = make_neuron(kind).to("meta")(meta)
        assert not found.numel() or foretold.stride() == found.stride()
    assert neuron(x).stride() == x.stride()


@pytest.mark.parametrize("kind", KINDS)
def test_without_data_gradients_have_their_shapes(kind: str) -> None:
    neuron = make_neuron(kind).to("meta")
    x = torch.empty(4, 3, 5, device="meta", requires_grad=True)
    neuron(x).sum().backward()
    assert x.grad.shape == x.shape
    assert all(parameter.grad.shape == () for parameter in neuron.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiler_takes_every_kind_whole(kind: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 7), make_neuron(kind), nn.Linear(7, 3))
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    x, found = current(4, 6, 5, dtype=torch.float32), []
    for called in (network, compiled):
        network.zero_grad()
        scores = called(x)
        scores.square().sum().backward()
        found.append([scores.detach(), *(parameter.grad.clone() for parameter in network.parameters())])
    assert all(torch.equal(mine, other) for mine, other in zip(*found, strict=True))


def test_one_step_of_an_integer_neuron_is_a_quantised_relu() -> None:
    x = torch.tensor([[-1.0, 0.4, 0.5, 1.5, 2.5, 3.6, 9.0]])
    assert IntegerLIF(4)(x).flatten().tolist() == [0.0, 0.0, 0.0, 2.0, 2.0, 4.0, 4.0]  # halves to even
    assert IntegerLIF(4, height=0.25)(x).flatten().tolist() == [0.0, 0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    edges = torch.tensor([[0.0, 4.0, -1e-3, 4.001]], requires_grad=True)
    IntegerLIF(4)(edges).sum().backward()
    assert edges.grad.flatten().tolist() == [1.0, 1.0, 0.0, 0.0]


def test_strict_is_beyond_the_threshold_in_every_type() -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        x = torch.tensor([[1.0, 1.0078125, -1.0, -1.0078125]], dtype=dtype)
        assert IF(strict=True)(x).flatten().tolist() == [0.0, 1.0, 0.0, 0.0]
        assert IF()(x).flatten().tolist() == [1.0, 1.0, 0.0, 0.0]
        assert TernaryLIF(tau=1.0, strict=True)(x).flatten().tolist() == [0.0, 1.0, 0.0, -1.0]
        assert TernaryLIF(tau=1.0)(x).flatten().tolist() == [1.0, 1.0, -1.0, -1.0]


@pytest.mark.parametrize("decay_input", [True, False])
@pytest.mark.parametrize("reset", [0.0, None])
def test_spikes_and_gradients_are_those_of_spikingjelly(decay_input: bool, reset: float | None) -> None:
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, neuron, surrogate

    common = {
        "v_threshold": 1.0,
        "v_reset": reset,
        "surrogate_function": surrogate.Sigmoid(alpha=4.0),
        "detach_reset": True,
        "step_mode": "m",
    }
    pairs = [
        (LIF(tau=3.0, reset=reset, decay_input=decay_input), neuron.LIFNode(3.0, decay_input, **common)),
        (
            PLIF(init_tau=3.0, reset=reset, decay_input=decay_input),
            neuron.ParametricLIFNode(3.0, decay_input, **common),
        ),
        (IF(reset=reset), neuron.IFNode(**common)),
    ]
    for ours, theirs in pairs:
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        theirs.load_state_dict(ours.state_dict())
        x = current(5, 4, 50, dtype=torch.float32).requires_grad_()
        y = x.detach().clone().requires_grad_()
        functional.reset_net(theirs)
        found, expected = ours(x), theirs(y)
        assert torch.equal(found, expected)
        found.square().sum().backward()
        expected.square().sum().backward()
        assert torch.allclose(x.grad, y.grad, atol=1e-5)
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(mine.grad, other.grad, rtol=1e-3, atol=1e-4)


class Net(nn.Module):
    """Linear, neurons, Linear, over four steps."""

    def __init__(self, neurons: nn.Module) -> None:
        super().__init__()
        self.before, self.neurons, self.after = nn.Linear(12, 20), neurons, nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.neurons(self.before(x).expand(4, -1, -1))).mean(0)


CLASSES = {"ilif": "graded", "ternary": "ternary", "liaf": "real"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{}, {"reset": None}, {"height": 0.25}])
def test_the_recorder_lists_every_kind_and_knows_the_class_of_its_output(kind: str, settings: dict) -> None:
    torch.manual_seed(0)
    net, seen = Net(make_neuron(kind, **settings)), []
    x = torch.randn(8, 12).mul(4)
    profile = saformer.analysis.profile(net, [(x, torch.zeros(8, dtype=torch.long))])
    net.neurons.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        net(x)
    (layer,), after = profile.neurons, next(o for o in profile.operations if o.name == "after")
    assert layer.name == "neurons"
    assert layer.per_step == tuple(int(step.count_nonzero()) for step in seen[0])
    assert layer.elements == seen[0].numel()
    assert after.gate.kind == CLASSES.get(kind, "spikes")
    assert after.gate.nonzero == layer.spikes > 0


def test_bad_settings_are_one_line_that_names_the_nearest() -> None:
    for make, words in (
        (lambda: make_neuron("plf"), "did you mean plif"),
        (lambda: make_neuron("if", tau=2.0), "has no setting 'tau'"),
        (lambda: make_neuron("lif", treshold=2.0), "did you mean threshold"),
        (lambda: LIF(tau=0.5), "tau must be 1 or more"),
        (lambda: LIF(height="half"), "'threshold'"),
        (lambda: PLIF(init_tau=1.0), "above 1"),
        (lambda: IntegerLIF(0), "levels"),
        (lambda: IntegerLIF(threshold=0.0), "above 0"),
        (lambda: TernaryLIF(-1.0), "above 0"),
    ):
        with pytest.raises(InputError) as raised:
            make()
        assert words in str(raised.value)
        assert "\n" not in str(raised.value)


def test_printing_shows_what_is_not_the_default() -> None:
    assert repr(IF(reset=None, start=0.5)) == "IF(threshold=1.0, reset=None, decay_input=False, start=0.5)"
    assert repr(LIF(strict=True)) == "LIF(threshold=1.0, tau=2.0, reset=0.0, strict=True)"
    assert repr(LearnableLIF(leak=0.5)) == "LearnableLIF(leak=0.5, threshold=1, reset=None, strict=True)"
