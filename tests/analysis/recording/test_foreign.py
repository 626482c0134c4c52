"""Networks of other libraries and of users: neurons recognised, everything counted, state left at rest."""

import sys
import types
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn
from torch.nn import functional as F

from saformer.analysis import Profile, profile
from saformer.analysis.diagnostics.spike_driven import audit
from saformer.analysis.profiles import Operand
from saformer.errors import InputError
from saformer.neurons import LIF

spikingjelly = pytest.importorskip("spikingjelly.activation_based")
snn = pytest.importorskip("snntorch")
from spikingjelly.activation_based import functional, layer, neuron, surrogate  # noqa: E402

STEPS = 4


def expand(x: Tensor) -> Tensor:
    return x.expand(STEPS, *x.shape)


class Loop(nn.Module):
    """A user's own loop over time around a single-step network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return sum(self.net(x) for _ in range(STEPS)) / STEPS


def jelly(mode: str) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.LIFNode(),
        layer.MaxPool2d(2),
        layer.Conv2d(4, 8, 3, padding=1, stride=2),
        neuron.IFNode(surrogate_function=surrogate.ATan()),
        layer.Dropout(0.3),
        layer.Flatten(),
        layer.Linear(32, 5),
        neuron.ParametricLIFNode(),
    )
    for index, gain in ((0, 6), (4, 4), (8, 6)):
        net[index].weight.data *= gain
    functional.set_step_mode(net, mode)
    return net


NEURONS = ("2", "5", "9")
X = torch.randn(6, 2, 8, 8, generator=torch.Generator().manual_seed(1))


def of_hooks(model: nn.Module, kinds: type | tuple[type, ...], run: Callable[[], Any]) -> dict[str, list[Tensor]]:
    """Outputs of modules of these kinds, call by call."""
    seen: dict[str, list[Tensor]] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, out: Any) -> None:
            seen.setdefault(name, []).append((out[0] if isinstance(out, tuple) else out).detach().clone())

        return hook

    hooks = [m.register_forward_hook(keep(name)) for name, m in model.named_modules() if isinstance(m, kinds)]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    return seen


def spikes_of(p: Profile) -> dict[str, tuple[int, ...]]:
    return {n.name: n.per_step for n in p.neurons}


def counts(p: Profile, prefix: str = "") -> list[Any]:
    def inner(x: Operand) -> Operand:
        return replace(x, neurons=x.neurons.removeprefix(prefix))

    return [
        (o.name.removeprefix(prefix), o.op, o.dense, [*map(inner, o.operands)], o.events, o.first, o.effective)
        for o in p.operations
    ]


# --- SpikingJelly ---


@pytest.fixture(scope="module")
def several() -> Profile:
    return profile(jelly("m"), X.split(4), time_steps=STEPS, to_input=expand)


def test_multi_step_neurons_are_seen_step_by_step(several: Profile) -> None:
    net = jelly("m").eval()
    seen = of_hooks(net, neuron.BaseNode, lambda: net(expand(X)))
    assert spikes_of(several) == {n: tuple(int(s.sum()) for s in seen[n][0]) for n in NEURONS}
    assert all(sum(steps) for steps in spikes_of(several).values())
    assert {n.name: n.elements for n in several.neurons} == {n: seen[n][0].numel() for n in NEURONS}
    assert several.uncounted == () and several.notes == ()
    assert several.unit == "image"
    assert several.model.time_steps == STEPS


def test_a_loop_over_single_steps_gives_the_same(several: Profile) -> None:
    model = Loop(jelly("s"))
    single = profile(model, X.split(4))
    assert single.model.time_steps == STEPS  # nobody said; the neurons show it
    assert counts(single, "net.") == counts(several)
    assert {k.removeprefix("net."): v for k, v in spikes_of(single).items()} == spikes_of(several)
    assert single.moments == several.moments
    assert single.uncounted == () and single.notes == ()
    for accounting in ("paper", "exact", "spike-driven", "syops"):
        assert single.account(accounting).energy_mj == pytest.approx(several.account(accounting).energy_mj, rel=1e-12)
        assert single.account(accounting).energy_mj_ci95 == pytest.approx(several.account(accounting).energy_mj_ci95)


def test_without_a_word_on_the_layout_images_are_told_apart_all_the_same(several: Profile) -> None:
    p = profile(jelly("m"), X.split(3), to_input=expand)
    assert p.unit == "image" and p.moments == several.moments
    assert counts(p) == counts(several)
    assert spikes_of(p) == spikes_of(several)
    assert p.model.time_steps == STEPS


def test_dense_and_synaptic_operations_of_a_spikingjelly_network(several: Profile) -> None:
    net = jelly("m").eval()
    with torch.no_grad():
        inputs: dict[str, Tensor] = {}
        hooks = [
            net[int(n)].register_forward_pre_hook(lambda m, a, n=n: inputs.update({n: a[0].clone()})) for n in "048"
        ]
        net(expand(X))
        for hook in hooks:
            hook.remove()
        functional.set_step_mode(net, "s")
        functional.reset_net(net)
        one = FlopCountAnalysis(net, X[:1]).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        dense = one.by_module()
    operations = {o.name: o for o in several.operations}
    assert operations.keys() == inputs.keys()
    for name, x in inputs.items():
        o, flat = operations[name], x.flatten(0, 1)
        assert o.dense == dense[name] * len(X) * STEPS
        assert (o.gate.elements, o.gate.nonzero) == (x.numel(), int(x.ne(0).sum()))
        module = net[int(name)]
        ones = torch.ones_like(module.weight)
        if name == "8":
            reached = F.linear(flat.ne(0).float(), ones)
        else:
            reached = F.conv2d(flat.ne(0).float(), ones, None, module.stride, module.padding)
        assert o.events == int(reached.sum())
        assert o.gate.binary is (name != "0")
    account = several.account()
    assert account.macs == operations["0"].dense / len(X)
    rates = sum(o.dense * o.gate.nonzero / o.gate.elements for o in operations.values() if o.name != "0")
    assert account.acs == pytest.approx(rates / len(X))


def test_state_is_reset_between_batches_and_after(several: Profile) -> None:
    net = jelly("m")
    with torch.no_grad():
        net.eval()(expand(X * 3))  # state from before
    again = profile(net, [X], time_steps=STEPS, to_input=expand)
    assert spikes_of(again) == spikes_of(several)
    for name in NEURONS:
        assert net[int(name)].v == 0.0


@pytest.mark.parametrize("mode", ["m", "s"])
def test_a_silent_step_is_a_step(mode: str) -> None:
    # No bias and no spike yet: the second layer of neurons reads zeros, and is a layer of neurons all the same.
    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Linear(8, 6, bias=False),
        neuron.LIFNode(v_threshold=3.0),
        layer.Linear(6, 5, bias=False),
        neuron.LIFNode(v_threshold=3.0),
    )
    net[0].weight.data *= 8
    functional.set_step_mode(net, mode)
    x = 0.8 * torch.randn(4, 8, generator=torch.Generator().manual_seed(2))
    model = net if mode == "m" else Loop(net)
    options: dict[str, Any] = {"time_steps": STEPS, "to_input": expand} if mode == "m" else {}
    for batches in ([x], [torch.zeros(4, 8)], [torch.zeros(4, 8), x]):
        p = profile(model, batches, **options)
        assert [len(n.per_step) for n in p.neurons] == [STEPS, STEPS]
        assert [n.elements for n in p.neurons] == [STEPS * 6 * p.images, STEPS * 5 * p.images]
        assert p.uncounted == ()
        assert p.operations[1].sources == (f"spikes of {p.neurons[0].name}",)
        assert p.account().macs == STEPS * 8 * 6


def test_spikes_that_go_straight_into_neurons() -> None:
    net = nn.Sequential(neuron.IFNode(v_threshold=2.0, step_mode="m"), layer.Linear(8, 3, step_mode="m"))
    x = (torch.rand(5, 8, generator=torch.Generator().manual_seed(0)) < 0.5).float()
    p = profile(net, [x], time_steps=STEPS, to_input=expand)
    spikes = int(x.sum())
    assert spikes_of(p) == {"0": (0, spikes, 0, spikes)}
    assert p.operations[0].gate.nonzero == 2 * spikes


def test_what_goes_around_neurons_is_no_neuron() -> None:
    class SpikesAndPool(nn.Module):
        def __init__(self, lif: nn.Module) -> None:
            super().__init__()
            self.lif, self.pool = lif, nn.MaxPool1d(2)

        def forward(self, x: Tensor) -> Tensor:
            return self.pool(self.lif(x))

    for lif in (neuron.LIFNode(step_mode="m"), LIF()):
        net = nn.Sequential(nn.Linear(8, 8), SpikesAndPool(lif))
        net[0].weight.data *= 5
        net.eval()
        seen = of_hooks(net, type(lif), lambda net=net: net(expand(X[:, 0, 0])))["1.lif"][0]
        p = profile(net, [X[:, 0, 0]], time_steps=STEPS, to_input=expand, check_flops=False)
        (found,) = p.neurons
        assert (found.name, found.elements, found.spikes) == ("1.lif", seen.numel(), int(seen.sum()))


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Any:
    """SpikingJelly's networks import torchvision, to download weights; none are, so an empty one will do."""
    for name in ("torchvision", "torchvision.models", "torchvision.models.utils"):
        module = types.ModuleType(name)
        module.__path__ = []  # type: ignore[attr-defined]
        module.load_state_dict_from_url = None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    from spikingjelly.activation_based.model import sew_resnet, spikformer

    return types.SimpleNamespace(sew_resnet=sew_resnet, spikformer=spikformer)


def awaken(model: nn.Module, x: Tensor, bias: float = 0.4) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
            nn.init.constant_(module.bias, bias)
    model.train()
    with torch.no_grad():
        model(x)
    functional.reset_net(model)
    return model.eval()


def check_zoo(model: nn.Module, p: Profile, run: Callable[[], Any]) -> None:
    """Spikes and dense operations against hooks."""
    seen = of_hooks(model, neuron.BaseNode, run)
    functional.reset_net(model)
    assert spikes_of(p) == {n: tuple(int(s.sum()) for s in out[0]) for n, out in seen.items()}
    assert all(sum(v) for v in spikes_of(p).values())
    kinds = (nn.Conv1d, nn.Conv2d, nn.Linear)
    modules = dict(model.named_modules())
    outputs = of_hooks(model, kinds, run)
    functional.reset_net(model)
    operations = {o.name: o for o in p.operations if len(o.operands) == 1}
    assert operations.keys() == outputs.keys()
    for name, (out,) in outputs.items():
        assert operations[name].dense == out.numel() * modules[name].weight[0].numel(), name
    assert p.uncounted == ()
    assert p.unit == "image"


def test_a_sew_resnet(zoo: Any) -> None:
    torch.manual_seed(0)
    model = zoo.sew_resnet.sew_resnet18(
        pretrained=False, cnf="ADD", spiking_neuron=neuron.IFNode, num_classes=10, detach_reset=True
    )
    functional.set_step_mode(model, "m")
    x = torch.randn(2, 3, 32, 32)
    two = x.expand(2, *x.shape)
    awaken(model, two)
    p = profile(model, [x], time_steps=2, to_input=lambda x: x.expand(2, *x.shape), check_flops=False)
    check_zoo(model, p, lambda: model(two))
    result = audit(p)
    assert not result.spike_driven
    causes = {item.name: item.cause for item in result.not_binary}
    # The first convolution of each block but the first reads a sum of spikes; the second reads spikes.
    assert causes["layer1.1.conv1"] == "a shortcut that added spikes (layer1.0)"
    assert not [name for name in causes if name.endswith("conv2")]
    assert "layer1.0.conv1" not in causes  # spikes, max-pooled


def test_a_spikformer_of_spikingjelly(zoo: Any) -> None:
    torch.manual_seed(0)
    model = zoo.spikformer.Spikformer(
        T=3, img_size_h=32, img_size_w=32, num_classes=10, embed_dims=32, num_heads=2, mlp_ratio=2.0, depths=1
    )
    x = torch.randn(2, 3, 32, 32)
    awaken(model, x, bias=2.0)  # sixteen tokens have few spikes to multiply
    p = profile(model, [x], time_steps=3, check_flops=False)
    check_zoo(model, p, lambda: model(x))
    products = [o for o in p.operations if len(o.operands) == 2]
    assert [o.op for o in products] == ["matmul", "matmul"]
    (tokens,) = {round((o.dense / (3 * 2 * 32)) ** 0.5) for o in products}
    assert all(o.dense in (3 * 2 * tokens**2 * 32, 3 * 2 * tokens * 32 * 16) for o in products)
    assert not audit(p).spike_driven


# --- snnTorch ---


class Leaky(nn.Module):
    """The loop of snnTorch's tutorials; `hidden` keeps the membranes in the neurons."""

    def __init__(self, hidden: bool, bias: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.fc2 = nn.Linear(8, 6, bias=bias), nn.Linear(6, 4, bias=bias)
        self.fc1.weight.data *= 4
        self.fc2.weight.data *= 4
        self.lif1 = snn.Leaky(beta=0.9, init_hidden=hidden)
        self.lif2 = snn.Leaky(beta=0.9, init_hidden=hidden, output=hidden)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        out = []
        if not self.hidden:
            first, second = self.lif1.init_leaky(), self.lif2.init_leaky()
        for _ in range(5):
            if self.hidden:
                spikes, _ = self.lif2(self.fc2(self.lif1(self.fc1(x))))
            else:
                between, first = self.lif1(self.fc1(x), first)
                spikes, second = self.lif2(self.fc2(between), second)
            out.append(spikes)
        return torch.stack(out)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("hidden", [False, True])
def test_leaky_neurons_of_snntorch(hidden: bool, bias: bool) -> None:
    x = torch.randn(7, 8, generator=torch.Generator().manual_seed(0))
    plain = Leaky(hidden, bias).eval()
    seen = of_hooks(plain, snn.Leaky, lambda: plain(x))
    model = Leaky(hidden, bias)
    p = profile(model, x.split(4))
    assert spikes_of(p) == {name: tuple(int(s.sum()) for s in steps) for name, steps in seen.items()}
    assert all(sum(v) for v in spikes_of(p).values())
    assert p.model.time_steps == 5
    first, second = p.operations
    assert (first.name, first.dense) == ("fc1", 7 * 5 * 8 * 6)
    assert (second.name, second.dense) == ("fc2", 7 * 5 * 6 * 4)
    assert second.gate.binary and second.gate.nonzero == sum(spikes_of(p)["lif1"])
    assert second.events == 4 * second.gate.nonzero
    assert p.uncounted == ()
    assert p.account().acs == pytest.approx(second.events / 7)
    if hidden:
        assert not model.lif1.mem.any() and not model.lif2.mem.any()


def test_hidden_or_not_makes_no_difference() -> None:
    x = torch.randn(7, 8, generator=torch.Generator().manual_seed(0))
    assert counts(profile(Leaky(False), [x])) == counts(profile(Leaky(True), [x]))


@pytest.mark.parametrize("kind", [snn.RLeaky, snn.RSynaptic])
def test_neurons_of_snntorch_that_are_connected_among_themselves(kind: Any) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            decays = {"beta": 0.9} if kind is snn.RLeaky else {"alpha": 0.9, "beta": 0.8}
            self.fc1, self.fc2 = nn.Linear(8, 6), nn.Linear(6, 4)
            self.lif = kind(**decays, linear_features=6, init_hidden=True, threshold=0.3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.fc2(self.lif(self.fc1(x))) for _ in range(5)])

    torch.manual_seed(0)
    p = profile(Net(), [torch.randn(7, 8)])
    assert [neurons.name for neurons in p.neurons] == ["lif"] and len(p.neurons[0].per_step) == 5
    dense = {o.name: o.dense for o in p.operations}
    assert dense == {"fc1": 7 * 5 * 48, "lif.recurrent": 7 * 5 * 36, "fc2": 7 * 5 * 24}
    assert all(o.gate.binary for o in p.operations if not o.first)
    assert p.notes == ()


@pytest.mark.parametrize("mode", ["s", "m"])
def test_ternary_neurons_of_spikingjelly_are_neurons(mode: str) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2, self.ternary = nn.Linear(8, 32), nn.Linear(32, 4), neuron.TernaryIFNode(step_mode=mode)

        def forward(self, x: Tensor) -> Tensor:
            if mode == "m":
                return self.fc2(self.ternary(3 * self.fc1(x.expand(4, *x.shape))))
            return torch.stack([self.fc2(self.ternary(3 * self.fc1(x))) for _ in range(4)])

    torch.manual_seed(0)
    p = profile(Net(), [torch.randn(7, 8)], check_flops=False)
    assert [o.name for o in p.operations] == ["fc1", "fc2"]
    (neurons,) = p.neurons
    fc2 = p.operations[1].gate
    assert (neurons.name, len(neurons.per_step), neurons.spikes) == ("ternary", STEPS, fc2.nonzero)
    assert (str(fc2.kind), fc2.unit, fc2.neurons) == ("ternary", 1.0, "ternary") and fc2.ones < fc2.nonzero
    assert p.notes == ("1 layer (ternary) of neurons put out spikes of both signs: each is one AC",)
    assert p.account().macs == p.operations[0].dense / 7
    assert p.account().acs == pytest.approx(fc2.nonzero * 4 / 7)


# --- What cannot be watched ---


class Vectorised(nn.Module):
    """A layer for one image, applied to many."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(self.fc)(x)


UNWATCHABLE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "scripted": (lambda: nn.Sequential(torch.jit.script(nn.Linear(4, 3))), "0 was compiled by torch.jit.script"),
    "lazy": (lambda: nn.LazyLinear(3), "lazy layers without weights"),
    "sparse": (lambda: Call(lambda x: torch.sparse.mm(x.to_sparse(), torch.ones(4, 3))), "sparse tensors"),
    "vmap": (lambda: Vectorised(), "tensors of torch.vmap"),
}


@pytest.mark.parametrize("what", UNWATCHABLE)
def test_what_cannot_be_watched_is_said_in_words(what: str) -> None:
    make, words = UNWATCHABLE[what]
    with pytest.raises(InputError, match=words):
        profile(make(), [torch.randn(2, 4)])


@pytest.mark.parametrize("first", [True, False])
def test_event_frames_that_neurons_get_in_one_call_leave_t_open(first: bool) -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        frames = x.flatten(2)
        return (
            m.b(m.fire(m.a(frames))).mean(1) if first else torch.stack([m.b(m.fire(m.a(f))) for f in frames.unbind(1)])
        )

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.fire = nn.Linear(8, 6), nn.Linear(6, 3), Call(lambda x: (x > 0.2).float())

        def forward(self, x: Tensor) -> Tensor:
            return forward(self, x)

    x = torch.randint(0, 3, (3, 4, 2, 2, 2), generator=torch.Generator().manual_seed(0)).float()
    p = profile(Net(), [x])
    assert p.data.kind == "events"
    open_ = "the input has 4 frames, and the layers were seen to run once: T is not known, and --time-steps says it"
    assert p.notes == ((open_,) if first else ())
    assert p.model.time_steps == (None if first else 4)
    if first:
        said = profile(Net(), [x], time_steps=4)
        assert said.notes == () and said.model.time_steps == 4


def test_what_is_no_batch() -> None:
    for batch, words in (
        ((torch.ones(2, 3), 1, 2), "Linear takes input; the batch holds 2 inputs"),
        ({"x": 1}, "no tensor"),
        ([1.0, 2.0], "no tensor"),
    ):
        with pytest.raises(InputError, match=words):
            profile(nn.Linear(3, 2), [batch])  # type: ignore[list-item]
    assert profile(nn.Linear(3, 2), [(torch.ones(2, 3), [0, 1])]).hits.labelled == 2  # type: ignore[list-item]


# --- A user's own modules ---


class Wrap(nn.Module):
    """A layer, the module in question, a layer."""

    def __init__(self, inner: nn.Module, bias: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.before, self.inner, self.after = nn.Linear(8, 8), inner, nn.LazyLinear(3)
        nn.init.constant_(self.before.bias, bias)
        with torch.no_grad():
            self(torch.zeros(1, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.inner(self.before(x)))


class Squash(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0, 1)


@pytest.mark.parametrize(
    ("inner", "bias"),
    [
        (nn.ReLU(), 0.0),
        (nn.ReLU(), -100.0),  # dead: all zeros
        (nn.Dropout(), 0.0),
        (nn.Identity(), 0.0),
        (nn.MaxPool1d(2), 0.0),
        (nn.Hardtanh(0, 1), -100.0),
        (nn.Sigmoid(), 200.0),  # saturated: all ones
        (nn.Sequential(nn.ReLU(), nn.Dropout()), -100.0),
        (Squash(), 0.0),
        (nn.LayerNorm(8), 0.0),
    ],
    ids=str,
)
def test_what_is_no_neuron(inner: nn.Module, bias: float) -> None:
    p = profile(Wrap(inner, bias).eval(), [torch.randn(5, 8)], check_flops=False)
    assert p.neurons == ()
    assert [o.name for o in p.operations] == ["before", "after"]
    assert p.account().acs == 0  # a network without spikes multiplies
    after = p.operations[1]
    assert str(after.gate.kind) == ("real" if after.gate.nonzero else "silent")  # and what is silent costs nothing
    assert p.account().macs == (p.account().flops if after.gate.nonzero else p.operations[0].dense / 5)


@pytest.mark.parametrize("inner", [nn.MaxPool1d(2), nn.Identity(), nn.Dropout(), nn.ReLU(), nn.Flatten()], ids=str)
def test_what_hands_on_spikes_is_no_neuron(inner: nn.Module) -> None:
    class Handed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x).clone()

    model = Wrap(nn.Sequential(neuron.IFNode(v_threshold=0.1), Handed()))
    p = profile(model, [torch.randn(5, 8)], check_flops=False)
    assert [n.name for n in p.neurons] == ["inner.0"]
    assert p.operations[1].gate.binary


def test_a_step_function_of_ones_own_is_a_neuron() -> None:
    class Fire(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x >= 0.2).to(x)

    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fire = Fire()

        def forward(self, x: Tensor) -> Tensor:
            return self.fire(x * torch.sigmoid(x))

    model, x = Wrap(Mine()), torch.randn(5, 8)
    p = profile(model, [x], check_flops=False)
    with torch.no_grad():
        spikes = int(model.inner(model.before(x)).sum())
    assert spikes_of(p) == {"inner": (spikes,)}  # the outermost, with its arithmetic
    assert [o.name for o in p.operations] == ["before", "after"]
    assert p.operations[1].sources == ("spikes of inner",)


# --- Whatever else a network may hold ---


class Call(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any], **modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


@pytest.mark.parametrize("batch_first", [True, False])
def test_multi_head_attention(batch_first: bool) -> None:
    tokens, dim, batch = 6, 8, 3
    attention = nn.MultiheadAttention(dim, 2, batch_first=batch_first)
    x = torch.randn(*((batch, tokens) if batch_first else (tokens, batch)), dim)
    p = profile(Call(lambda x: attention(x, x, x)[0], attention=attention), [x], check_flops=False, kind="static")
    wanted = batch * (3 * tokens * dim * dim + 2 * tokens**2 * dim + tokens * dim * dim)
    assert sum(o.dense for o in p.operations) == wanted
    assert p.uncounted == ()


def test_a_transformer_encoder_layer_has_no_fused_fast_path() -> None:
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    p = profile(encoder, [torch.randn(3, 6, 8)], check_flops=False)
    assert sum(o.dense for o in p.operations) == 3 * (4 * 6 * 64 + 2 * 36 * 8 + 2 * 6 * 8 * 16)
    assert p.uncounted == ()


@pytest.mark.parametrize("causal", [False, True])
def test_scaled_dot_product_attention(causal: bool) -> None:
    x = torch.randn(3, 2, 6, 4)
    model = Call(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=causal))
    p = profile(model, [x], check_flops=False)
    first, second = p.operations
    assert (first.op, first.dense, second.op, second.dense) == ("matmul", 3 * 2 * 36 * 4, "matmul", 3 * 2 * 36 * 4)
    # The softmax of a causal map is zero above the diagonal.
    assert second.operands[0].nonzero == 3 * 2 * (21 if causal else 36)
    assert second.events == 3 * 2 * (21 if causal else 36) * 4
    assert p.uncounted == ()


@pytest.mark.parametrize(
    ("equation", "dense"),
    [("bnd,bmd->bnm", 3 * 5 * 5 * 4), ("bnd,bne->bde", 3 * 5 * 4 * 4), ("bnd,bnd->bd", 3 * 5 * 4)],
)
def test_einsum(equation: str, dense: int) -> None:
    p = profile(Call(lambda x: torch.einsum(equation, x, x.relu())), [torch.randn(3, 5, 4)], check_flops=False)
    (o,) = p.operations
    assert o.dense == dense
    assert p.uncounted == ()


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_recurrent_layers(kind: Any, gates: int) -> None:
    steps, batch, size, hidden = 5, 3, 4, 6
    rnn = kind(size, hidden, batch_first=True)
    p = profile(Call(lambda x: rnn(x)[0], rnn=rnn), [torch.randn(batch, steps, size)], check_flops=False, kind="static")
    weights = sum(o.dense for o in p.operations if o.op == "linear")
    reads = steps * batch * gates * hidden * size
    # The state at the first step is zeros that do not depend on the input: no work for whoever looks at it.
    remembers = {steps * batch * gates * hidden * hidden, (steps - 1) * batch * gates * hidden * hidden}
    assert weights - reads in remembers
    assert p.uncounted == ()
    assert p.neurons == ()


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Conv1d(4, 6, 3, padding=2, dilation=2, groups=2), (4, 9)),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4), (4, 7, 7)),
        (nn.Conv2d(4, 6, 3, dilation=2), (4, 7, 7)),
        (nn.Conv3d(2, 3, 3, padding=1), (2, 4, 4, 4)),
        (nn.ConvTranspose1d(4, 6, 3, stride=2), (4, 5)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (4, 5, 5)),
        (nn.ConvTranspose3d(2, 3, 2, stride=2), (2, 3, 3, 3)),
    ],
    ids=str,
)
def test_convolutions_of_all_kinds(module: Any, shape: tuple[int, ...]) -> None:
    x = (torch.rand(3, *shape) < 0.4).float()
    (o,) = profile(nn.Sequential(module), [x], check_flops=False, kind="static").operations
    layer_of_ones = type(module)(
        *(module.in_channels, module.out_channels, module.kernel_size, module.stride, module.padding),
        **({"output_padding": module.output_padding} if module.transposed else {}),
        dilation=module.dilation,
        groups=module.groups,
        bias=False,
    )
    nn.init.ones_(layer_of_ones.weight)
    with torch.no_grad():
        reached, out = int(layer_of_ones(x).sum()), module(x)
    taps = module.weight[0, 0].numel()
    per_group = module.weight.shape[1]
    assert o.dense == (x.numel() if module.transposed else out.numel()) * per_group * taps
    assert o.events == reached
    assert o.gate.nonzero == int(x.sum())


def test_a_compiled_network_is_counted_as_it_was_written() -> None:
    net = Wrap(nn.ReLU())
    x = torch.randn(5, 8)
    plain, compiled = (profile(m, [x], check_flops=False) for m in (net, torch.compile(net)))
    assert compiled.operations == plain.operations and compiled.model.name == "Wrap"
    net.inner = torch.compile(nn.Sequential(nn.ReLU(), nn.Linear(8, 8)))
    inner = profile(net, [x], check_flops=False)
    assert sum(o.dense for o in inner.operations) == sum(o.dense for o in plain.operations) + 5 * 64
    assert inner.uncounted == ()


def test_what_is_not_understood_is_named() -> None:
    class Fourier(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.fft(x).real

    p = profile(Wrap(Fourier()), [torch.randn(5, 8)], check_flops=False)
    assert len(p.uncounted) == 1
    assert "fft" in p.uncounted[0] and p.uncounted[0].endswith(" in inner")
    assert p.account().uncounted == p.uncounted
    assert audit(p).uncounted == p.uncounted
