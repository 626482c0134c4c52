"""Accountings against the published counters, against brute force, and by hand."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from awake_models import calibrated
from scipy import stats
from torch import Tensor, nn

import saformer
from saformer.analysis import Profile, profile
from saformer.analysis.accounting.rules import (
    ACCOUNTINGS,
    FREE,
    Charge,
    Context,
    get_accounting,
    summary,
)
from saformer.analysis.profiles import FreeArithmetic, Neurons, Operand, Operation, ValueClass, Values
from saformer.errors import InputError
from saformer.models.config import Model

ORACLES = Path(__file__).parent.parent.parent / "data" / "oracles"
NAMES = [
    "spikformer_2_64_cifar",
    "spikformer_2_32_cifar10dvs",
    "spikformer_2_32_imagenet",
    "sdt_2_64_cifar",
    "spikingformer_1_48_cifar",
]


def awake(name: str, batch: int = 4, seed: int = 0, **settings: Any) -> tuple[Model, Tensor]:
    """A model whose BatchNorm is calibrated, so that every layer fires, and a batch of its input."""
    torch.manual_seed(seed)
    model = saformer.build(name, **settings)
    config = model.config
    x = torch.randn(batch, config.in_channels, config.image_size, config.image_size)
    calibrated(model, x)
    return model, x


def layers(p: Profile, accounting: str, **options: Any) -> dict[str, Any]:
    return {row.name: row for row in p.account(accounting, **options).layers if row.flops}


# --- The published implementations and counters ---


@pytest.fixture(scope="module")
def oracles() -> Any:
    """Profiles of the published networks in float32, run once each."""
    known: dict[str, tuple[Profile, dict[str, Any]]] = {}

    def get(name: str) -> tuple[Profile, dict[str, Any]]:
        if name not in known:
            x = torch.from_numpy(np.load(ORACLES / f"{name}.input.npz")["x"])
            model = saformer.load(ORACLES / f"{name}.pth.tar")
            p = profile(model, [x], run={"batch_size": len(x)}, check_flops=False)
            known[name] = p, json.loads((ORACLES / f"{name}.expected.json").read_text())
        return known[name]

    return get


@pytest.mark.parametrize("name", NAMES)
def test_syops_is_what_syops_prints(oracles: Any, name: str) -> None:
    p, expected = oracles(name)
    account = p.account("syops")
    assert account.macs == expected["syops_per_image"]["macs"]
    assert account.acs == pytest.approx(expected["syops_per_image"]["acs"], rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_exact_is_the_true_fan_out_of_every_module(oracles: Any, name: str) -> None:
    p, expected = oracles(name)
    rows = layers(p, "exact")
    assert expected["exact_sops"].keys() <= rows.keys()
    for path, events in expected["exact_sops"].items():
        binary = expected["layers"][path]["binary"]
        charged = rows[path].acs if binary else rows[path].macs
        assert charged * p.images == pytest.approx(events, rel=1e-12), path
        assert (rows[path].macs if binary else rows[path].acs) == 0, path


def test_the_batch_size_decides_how_often_biases_of_linear_layers_count(oracles: Any) -> None:
    p, _ = oracles("spikformer_2_64_cifar")
    assert p.passes == 1
    singly = replace(p, passes=p.images).account("syops")
    # q, k, v and fc1 of two blocks, and the head: dense MACs; six passes instead of one.
    biases = 2 * (3 * 64 + 256) + 10
    assert (singly.macs - p.account("syops").macs) * p.images == pytest.approx(biases * (p.images - 1), rel=1e-12)


@pytest.mark.parametrize(
    ("images", "batch_size", "passes"),
    [(6, 6, 1), (6, 4, 2), (6, 1, 6), (6, None, 1), (6, 0, 1), (6, "x", 1), (6, True, 1), (6, 99, 1)],
)
def test_the_passes_of_a_profile_of_an_earlier_version(oracles: Any, images: int, batch_size: Any, passes: int) -> None:
    p, _ = oracles("spikformer_2_64_cifar")
    assert p.images == images
    plain = p.to_json()
    del plain["passes"], plain["checksum"]
    assert Profile.from_json({**plain, "run": {"batch_size": batch_size}}).passes == passes


def test_passes_are_counted_and_add_up() -> None:
    model, x = awake("spikformer-1-16", image_size=16, batch=7)
    parts = [profile(model, part.split(2), check_flops=False) for part in (x[:3], x[3:])]
    whole = profile(model, [x[:2], x[2:3], x[3:5], x[5:]], check_flops=False)
    assert [p.passes for p in parts] == [2, 2]
    assert (parts[0] + parts[1]).passes == whole.passes == 4
    assert (parts[0] + parts[1]).account("syops").to_json() == whole.account("syops").to_json()


@pytest.mark.parametrize("batch", [1, 2])
def test_the_price_of_spikformer_without_training(batch: int) -> None:
    # The method page: 1,073,090,314 MACs (the ten biases of the head among them) plus each bias once per call.
    model, x = awake("spikformer-4-384", batch=2)
    p = profile(model, [x[:batch]], run={"batch_size": batch}, check_flops=False)
    blurred = ("q_linear", "k_linear", "v_linear", "fc1_linear")
    sums = [o for o in p.operations if o.name.rpartition(".")[2] in blurred]
    assert len(sums) == 16
    assert all(0 < o.gate.ones < o.gate.nonzero < o.gate.elements for o in sums)
    assert all(o.sources[0].startswith("add in ") for o in sums)
    account = p.account("syops")
    biases = sum(o.bias for o in sums)
    assert biases == 4 * (3 * 384 + 4 * 384)
    assert account.macs * batch == pytest.approx((1_073_090_314 - 10) * batch + 10 + biases, rel=1e-13)
    assert sum(row.macs for row in account.layers if row.op.endswith("batch_norm")) == 10_813_440
    everything_else = account.macs * batch - 10_813_440 * batch - biases - 10
    assert everything_else == pytest.approx((1_062_276_874 - 10) * batch, rel=1e-13)
    # The same network under Eq. 19: MACs in the first convolution alone.
    assert p.account("paper").macs == 4 * 32 * 32 * 48 * 27


# --- spike-driven, neurobench, unroll: against brute force on a small Spikformer ---


def record(model: nn.Module, x: Tensor) -> dict[str, list[Tensor]]:
    """Inputs of all convolutions and linear layers, by hooks of our own."""
    seen: dict[str, list[Tensor]] = {}
    hooks = [
        module.register_forward_pre_hook(lambda m, args, name=name: seen.setdefault(name, []).append(args[0].clone()))
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return seen


def effect(module: Any, x: Tensor, weight: Tensor) -> float:
    """Sum of what the layer gives for these inputs and weights, without its bias."""
    x, weight = x.double(), weight.double()
    if isinstance(module, nn.Conv2d):
        y = nn.functional.conv2d(x, weight, None, module.stride, module.padding, module.dilation, module.groups)
    else:
        y = nn.functional.linear(x, weight)
    return y.sum().item()


@pytest.fixture(scope="module")
def pruned() -> tuple[Model, Tensor, Profile]:
    model, x = awake("spikformer-2-16", image_size=16, heads=2, batch=3)
    generator = torch.Generator().manual_seed(3)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight[torch.rand(module.weight.shape, generator=generator) < 0.3] = 0
    return model, x, profile(model, [x[:2], x[2:]], graded=True, check_flops=False)


def is_binary(x: Tensor) -> bool:
    return bool(((x == 0) | (x == 1)).all())


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("accounting", ["exact", "neurobench", "spike-driven"])
def test_every_layer_of_a_pruned_spikformer(
    pruned: tuple[Model, Tensor, Profile], accounting: str, unroll: bool
) -> None:
    model, x, p = pruned
    rows, modules = layers(p, accounting, unroll=unroll), dict(model.named_modules())
    kinds = set()
    first = "patch_embed.proj_conv"
    for name, inputs in record(model, x).items():
        read, module = torch.cat(inputs), modules[name]
        binary, ones = is_binary(read), torch.ones_like(module.weight)
        gate = next(o for o in p.operations if o.name == name).gate
        unit = None if gate.values is None or name == first else gate.values.unit
        assert (gate.kind is ValueClass.AVERAGED) == (name == "head")
        integers = read if unit is None else read / unit
        whole = unit is not None and bool((integers == integers.round()).all())
        assert whole == (name != first), name
        spikes = read.ne(0)
        macs, acs = 0.0, 0.0
        if accounting == "spike-driven":
            dense = rows[name].flops * p.images
            rate = spikes.sum().item() / read.numel()
            macs, acs = (dense, 0.0) if name == first else (0.0, dense * rate) if binary else (dense * rate, 0.0)
            if unroll and name != first:
                macs, acs = 0.0, dense * integers.sum().item() / read.numel()
        else:
            met = module.weight.ne(0) if accounting == "neurobench" else ones
            unrolled = unroll and not binary and whole
            if unrolled and accounting == "neurobench":
                # By its docstring: the share of events that meet a weight stands for that of integers.
                share = effect(module, spikes, met) / effect(module, spikes, ones)
                acs = effect(module, integers, ones) * share
            elif unrolled:
                acs = effect(module, integers, ones)
            elif binary:
                acs = effect(module, spikes, met)
            else:
                macs = effect(module, spikes, met)
        kinds.add((binary, unit))
        assert rows[name].macs * p.images == pytest.approx(macs, rel=1e-9), name
        assert rows[name].acs * p.images == pytest.approx(acs, rel=1e-9), name
    # Spikes, sums of spikes, the image, and the mean over tokens and steps, which is a multiple of its share.
    assert kinds == {(True, 1.0), (False, 1.0), (False, None), (False, 1 / (4 * 64))}


def test_zero_weights_are_left_out_by_neurobench_alone(pruned: tuple[Model, Tensor, Profile]) -> None:
    _, _, p = pruned
    exact, effective = layers(p, "exact"), layers(p, "neurobench")
    for name in exact:
        product = ".attn.qk" in name
        total, less = exact[name].macs + exact[name].acs, effective[name].macs + effective[name].acs
        assert (less == total) if product else (0.5 * total < less < 0.9 * total), name


def test_products_are_the_pairs_that_meet(pruned: tuple[Model, Tensor, Profile]) -> None:
    _, _, p = pruned
    for accounting in ("exact", "neurobench"):
        rows = layers(p, accounting, unroll=True)
        for o in p.operations:
            if len(o.operands) > 1:
                assert (rows[o.name].macs, rows[o.name].acs * p.images) == (0, pytest.approx(o.events))


def test_unrolling_needs_a_profile_that_knows() -> None:
    model, x = awake("spikformer-1-16", image_size=16, heads=2, batch=2)
    with pytest.raises(InputError, match="--graded unroll"):
        profile(model, [x], check_flops=False).account("exact", unroll=True)


# --- One layer of each kind, by hand ---

STATIC = Context(static=True, time_steps=4, passes=3)
CONV: dict[str, Any] = {
    "outputs": 80,
    "bias": 5,
    "inner": 9,
    "effective": 60,
    "graded": 200,
    "sources": ("add in block",),
}
SPIKES = Operation("a.conv", "conv2d", 1000, (Operand(100, 20, 20),), 180, **CONV)
SUMS = Operation("a.conv", "conv2d", 1000, (Operand(100, 20, 5),), 180, **CONV)
IMAGE = replace(SUMS, first=True, graded=None)
LINEAR = replace(SPIKES, name="a.fc", op="linear")
FUNCTION = replace(LINEAR, name="a.linear", module=False)
QK = Operation(
    *("attn.qk", "matmul", 6400, (Operand(200, 50, 50), Operand(200, 20, 20)), 321),
    outputs=320,
    inner=20,
    module=False,
    effective=321,
    sources=("spikes of q", "spikes of k"),
)
QKV = Operation(
    *("attn.qkv", "matmul", 6400, (Operand(320, 90, 40, product="attn.qk"), Operand(200, 30, 30)), 500),
    outputs=200,
    inner=32,
    module=False,
    effective=500,
    sources=("result of attn.qk", "spikes of v"),
)
MASK = Operation(
    *("attn.ka", "product", 300, (Operand(300, 60, 60), Operand(300, 30, 30)), 7), module=False, effective=7
)
NORM = FreeArithmetic("a.bn", "_native_batch_norm_legit_no_training", 80, foldable=True)
POOL = FreeArithmetic("a.pool", "max_pool2d_with_indices", 20, Operand(80, 16, 16), module=True)
LIF = Neurons("a.lif", 80, (4, 6, 3, 3))
GRADED_VALUES = Values(unit=0.25, levels=4, magnitudes=2, total=50)
ADD = FreeArithmetic("a", "add", 80)


@pytest.mark.parametrize(
    ("accounting", "item", "macs", "acs"),
    [
        ("paper", IMAGE, 1000, 0),
        ("paper", SPIKES, 0, 200),
        ("paper", SUMS, 0, 200),
        ("paper", QK, 0, 1600),
        ("paper", QKV, 0, 960),
        ("paper", MASK, 0, 30),  # of two alike the sparser gates
        ("paper", replace(MASK, summed=True), 0, 60),  # attention as mask and sum: the first
        ("spike-driven", IMAGE, 1000, 0),
        ("spike-driven", SPIKES, 0, 200),
        ("spike-driven", SUMS, 200, 0),
        ("spike-driven", QK, 0, 1600),
        ("spike-driven", QKV, 0, 960),
        ("exact", IMAGE, 180, 0),
        ("exact", SPIKES, 0, 180),
        ("exact", SUMS, 180, 0),
        ("exact", QK, 0, 321),
        ("neurobench", SPIKES, 0, 60),
        ("neurobench", SUMS, 60, 0),
        ("neurobench", QK, 0, 321),
        ("syops", IMAGE, 1080, 0),
        ("syops", SPIKES, 0, 1080 * 0.2),
        ("syops", SUMS, 1080, 0),
        ("syops", replace(SPIKES, bias=0), 0, 200),
        ("syops", LINEAR, 0, 1015 * 0.2),
        ("syops", FUNCTION, 0, 0),
        ("syops", QK, 0, 0),
        ("syops", QKV, 0, 0),
        ("syops", MASK, 0, 0),
        ("syops", NORM, 160, 0),
        ("syops", POOL, 0, 16),
        ("syops", replace(POOL, operand=Operand(80, 16, 3)), 80, 0),
        ("syops", replace(POOL, module=False), 0, 0),
        ("syops", LIF, 0, 80),
        ("syops", ADD, 0, 0),
        ("spikingformer", IMAGE, 1080, 0),
        ("spikingformer", SPIKES, 0, 1080 * 0.2),
        ("spikingformer", SUMS, 1080, 0),
        ("spikingformer", LINEAR, 0, 0),
        ("spikingformer", replace(LINEAR, name="head"), 0, 1080 * 0.2),
        ("spikingformer", MASK, 0, 30),
        # Elements of Q times d is T N (D/h)^2 h; gated by Q, then by the sparser of K and V.
        ("spikingformer", QK, 0, 200 * 20 * 0.25),
        ("spikingformer", QKV, 0, 200 * 20 * 0.1),
        *((name, item, 0, 0) for name in ("paper", "spike-driven", "exact") for item in (NORM, POOL, LIF, ADD)),
        *((name, item, 0, 0) for name in ("neurobench", "spikingformer") for item in (NORM, POOL, LIF, ADD)),
    ],
)
def test_one_layer_of_each_kind(accounting: str, item: Any, macs: float, acs: float) -> None:
    context = replace(STATIC, operations={o.name: o for o in (QK, QKV)})
    charged = get_accounting(accounting)(item, context)
    assert (charged.macs, charged.acs) == (pytest.approx(macs), pytest.approx(acs))


def test_the_first_layer_once_is_a_quarter_wherever_it_is_charged() -> None:
    once = replace(STATIC, first_layer="once")
    for name, macs in (("paper", 250), ("spike-driven", 250), ("exact", 45), ("neurobench", 15)):
        assert get_accounting(name)(IMAGE, once) == Charge(macs=macs)
        assert get_accounting(name)(SPIKES, once) == get_accounting(name)(SPIKES, STATIC)
        frames = replace(once, static=False)
        assert get_accounting(name)(IMAGE, frames) == get_accounting(name)(IMAGE, replace(STATIC, static=False))


def test_integers_unrolled_by_hand() -> None:
    unrolled = replace(STATIC, graded="unroll")
    integers = replace(SUMS, operands=(replace(SUMS.gate, values=GRADED_VALUES),))
    assert get_accounting("exact")(integers, unrolled) == Charge(acs=200)
    assert get_accounting("exact")(SUMS, unrolled) == Charge(macs=180)  # of an earlier version: no unit is known
    assert get_accounting("exact")(SPIKES, unrolled) == Charge(acs=180)
    assert get_accounting("exact")(IMAGE, unrolled) == Charge(macs=180)  # no integers
    assert get_accounting("neurobench")(integers, unrolled) == Charge(acs=pytest.approx(200 / 3))


# --- By the class of the operand: the table of the method, cell by cell ---

READ: dict[str, Operand] = {  # one of a hundred elements, twenty of them nonzero
    "silent": Operand(100, 0, 0, Values()),
    "spikes": Operand(100, 20, 20, Values(unit=1.0, levels=1, magnitudes=1, total=20)),
    "spikes of a threshold": Operand(100, 20, 0, Values(unit=0.3, levels=1, magnitudes=1, total=20)),
    "spikes by channel": Operand(100, 20, 0, Values(magnitudes=2, multiples=False, channels=(0.3, 0.7))),
    "ternary": Operand(100, 20, 11, Values(unit=1.0, levels=1, magnitudes=1, negative=True, total=20)),
    "graded": Operand(100, 20, 3, GRADED_VALUES),
    "averaged": Operand(100, 20, 0, Values(magnitudes=2, multiples=False)),
    "unproven": Operand(100, 20, 20, Values("none", False, unit=1.0, levels=1, magnitudes=1, total=20)),
    "real": Operand(100, 20, 0, Values("real", False, magnitudes=2, multiples=False)),
}
KINDS = {name: ValueClass(name.partition(" ")[0]) for name in READ}
RULED = ("paper", "integer-spikes", "spike-driven", "exact", "neurobench")
# (MACs, ACs) for 1000 dense operations, 180 events, 60 of them at weights that are not zero.
NOTHING, AC_AT_RATE, MAC_AT_RATE, DENSE, UNITS = (0, 0), (0, 200), (200, 0), (1000, 0), (0, 500)
AC_PER_EVENT, MAC_PER_EVENT, AC_EFFECTIVE, MAC_EFFECTIVE = (0, 180), (180, 0), (0, 60), (60, 0)
CHARGES: dict[str, tuple[tuple[int, int], ...]] = {
    "silent": (NOTHING,) * 5,
    "spikes": (AC_AT_RATE, AC_AT_RATE, AC_AT_RATE, AC_PER_EVENT, AC_EFFECTIVE),
    "spikes of a threshold": (AC_AT_RATE, AC_AT_RATE, AC_AT_RATE, AC_PER_EVENT, AC_EFFECTIVE),
    "spikes by channel": (AC_AT_RATE, AC_AT_RATE, AC_AT_RATE, AC_PER_EVENT, AC_EFFECTIVE),
    "ternary": (AC_AT_RATE, AC_AT_RATE, AC_AT_RATE, AC_PER_EVENT, AC_EFFECTIVE),
    "graded": (AC_AT_RATE, UNITS, MAC_AT_RATE, MAC_PER_EVENT, MAC_EFFECTIVE),
    "averaged": (AC_AT_RATE, AC_AT_RATE, MAC_AT_RATE, MAC_PER_EVENT, MAC_EFFECTIVE),
    "unproven": (MAC_AT_RATE, MAC_AT_RATE, MAC_AT_RATE, MAC_PER_EVENT, MAC_EFFECTIVE),
    "real": (DENSE, DENSE, MAC_AT_RATE, MAC_PER_EVENT, MAC_EFFECTIVE),
}


def layer(kind: str, **changes: Any) -> Operation:
    """A layer that reads values of this kind."""
    events, effective, graded = (0, 0, 0) if kind == "silent" else (180, 60, 450)
    read = (READ[kind],)
    o = Operation("a.fc", "linear", 1000, read, events, effective=effective, graded=graded, weights=50)
    return replace(o, **changes)


def charged(accounting: str, operation: Operation, **context: Any) -> tuple[float, float]:
    found = get_accounting(accounting)(operation, replace(STATIC, **context))
    return pytest.approx(found.macs), pytest.approx(found.acs)


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("accounting", RULED)
def test_what_each_class_is_charged(accounting: str, kind: str) -> None:
    assert READ[kind].kind is KINDS[kind]
    assert charged(accounting, layer(kind)) == CHARGES[kind][RULED.index(accounting)]
    # Whether the input is an image or event frames says nothing of later layers.
    assert charged(accounting, layer(kind), static=False) == CHARGES[kind][RULED.index(accounting)]
    for options in ({"first_layer": "once"}, {"first_layer": "mac"}, {"rate_at": "output"}):
        assert charged(accounting, layer(kind), **options) == CHARGES[kind][RULED.index(accounting)]


@pytest.mark.parametrize("kind", READ)
def test_a_static_image_is_one_whatever_its_values(kind: str) -> None:
    # The row of the image comes before that of silent values.
    image = layer(kind, first=True)
    events, effective = image.events, image.effective
    for accounting, dense in (("paper", 1000), ("integer-spikes", 1000), ("spike-driven", 1000)):
        assert charged(accounting, image) == (dense, 0)
        assert charged(accounting, image, first_layer="once") == (dense / 4, 0)
        assert charged(accounting, image, first_layer="mac") == (dense, 0)
        assert charged(accounting, image, graded="unroll") == (dense, 0)
    for accounting, counted in (("exact", events), ("neurobench", effective)):
        assert charged(accounting, image) == (counted, 0)
        assert charged(accounting, image, first_layer="once") == (counted / 4, 0)


@pytest.mark.parametrize("kind", READ)
def test_event_frames_are_never_real(kind: str) -> None:
    frames = layer(kind, first=True)
    rate, events, effective = frames.sops, frames.events, frames.effective
    for accounting in ("paper", "integer-spikes", "spike-driven"):
        assert charged(accounting, frames, static=False) == (0, rate)
        assert charged(accounting, frames, static=False, first_layer="once") == (0, rate)
        assert charged(accounting, frames, static=False, first_layer="mac") == (rate, 0)
    for accounting, counted in (("exact", events), ("neurobench", effective)):
        few = KINDS[kind] in (ValueClass.SILENT, ValueClass.SPIKES, ValueClass.TERNARY)
        assert charged(accounting, frames, static=False) == ((0, counted) if few else (counted, 0))
        assert charged(accounting, frames, static=False, first_layer="mac") == (counted, 0)


@pytest.mark.parametrize("accounting", RULED)
@pytest.mark.parametrize(
    ("how", "at_rate", "per_event", "effective"),
    [
        ("rate", (0, 200), (0, 180), (0, 60)),
        ("unroll", (0, 500), (0, 450), (0, 150)),
        ("mac", (200, 0), (180, 0), (60, 0)),
    ],
)
def test_graded_values_are_charged_as_the_user_says(
    accounting: str, how: str, at_rate: tuple[int, int], per_event: tuple[int, int], effective: tuple[int, int]
) -> None:
    wanted = {"exact": per_event, "neurobench": effective}.get(accounting, at_rate)
    assert charged(accounting, layer("graded"), graded=how) == wanted
    for kind in READ:
        if kind != "graded":
            assert charged(accounting, layer(kind), graded=how) == CHARGES[kind][RULED.index(accounting)]


@pytest.mark.parametrize("kind", READ)
def test_the_rate_may_be_that_of_the_neurons_before_a_pool(kind: str) -> None:
    lif = Neurons("lif", 400, (10, 10, 10, 10))  # a tenth; a fifth of what the layer reads
    read = replace(READ[kind], neurons="lif")
    o = layer(kind, operands=(read,))
    context = {"neurons": {"lif": lif}}
    half = {"silent": (0, 100), "real": (1000, 0), "unproven": (100, 0)}  # spikes that a pool lost are charged too
    assert charged("paper", o, rate_at="output", **context) == half.get(kind, (0, 100))
    assert charged("spike-driven", o, rate_at="output", **context)[0] in (0, 100)
    if kind == "graded":
        assert charged("integer-spikes", o, rate_at="output", **context) == (0, 250)
    for accounting in ("exact", "neurobench"):  # events were counted where they were read
        assert charged(accounting, o, rate_at="output", **context) == charged(accounting, o)
    for accounting in RULED:
        assert charged(accounting, o, **context) == CHARGES[kind][RULED.index(accounting)]
        unknown = charged(accounting, o, rate_at="output")
        assert unknown == CHARGES[kind][RULED.index(accounting)]  # of no layer that is listed


def product(op: str, one: str, other: str, **changes: Any) -> Operation:
    """A product of two activations; a tenth of the second is not zero."""
    second = READ[other]
    less = replace(second.at(second.nonzero // 2), elements=100) if second.nonzero else second
    return replace(Operation("a.qk", op, 1000, (READ[one], less), 70, effective=70, module=False), **changes)


@pytest.mark.parametrize(
    ("one", "other", "macs", "acs"),
    [
        ("spikes", "spikes", 0, 200),  # of two alike the first of a matrix product gates
        ("spikes", "graded", 0, 200),
        ("graded", "spikes", 0, 100),
        ("real", "spikes", 0, 100),
        ("spikes", "real", 0, 200),
        ("averaged", "ternary", 0, 100),
        ("averaged", "averaged", 200, 0),  # neither is spikes: it multiplies, at the rate of the gate
        ("real", "averaged", 100, 0),
        ("real", "real", 200, 0),
        ("unproven", "real", 200, 0),
        ("silent", "real", 0, 0),
        ("real", "silent", 0, 0),
    ],
)
def test_products_need_one_operand_of_spikes(one: str, other: str, macs: int, acs: int) -> None:
    o = product("matmul", one, other)
    assert charged("paper", o) == (macs, acs)
    assert charged("integer-spikes", o) == (macs, acs)
    assert charged("spike-driven", o) == (macs, acs)
    spikes = bool(acs) or "silent" in (one, other)
    assert charged("exact", o) == charged("neurobench", o) == ((0, 70) if spikes else (70, 0))


@pytest.mark.parametrize("accounting", RULED)
@pytest.mark.parametrize("spikes", ["spikes", "spikes of a threshold", "spikes by channel", "ternary"])
def test_spikes_times_real_values_element_by_element_select(accounting: str, spikes: str) -> None:
    for o in (product("product", spikes, "real"), product("product", "real", spikes)):
        assert get_accounting(accounting)(o, STATIC) == FREE
    # As a matrix product they accumulate.
    assert charged(accounting, product("matmul", spikes, "real"))[1] != 0


def test_of_two_masks_alike_the_sparser_gates_unless_they_are_summed() -> None:
    mask = product("product", "spikes", "spikes")
    assert charged("paper", mask) == (0, 100)
    assert charged("paper", replace(mask, summed=True)) == (0, 200)
    assert charged("exact", mask) == (0, 70)
    # Integers times real values multiply; sums of spikes among themselves add.
    assert charged("paper", product("product", "graded", "real")) == (0, 200)
    assert charged("paper", product("product", "averaged", "real")) == (200, 0)


def test_what_a_product_made_or_broadcasts_gates_where_there_is_nothing_better() -> None:
    # (Q K^T) V, where Q K^T happens to hold ones alone, and a gate of one number per head.
    first, second = product("matmul", "spikes", "spikes").operands
    for other in (replace(first, product="attn.qk"), replace(first, broadcast=True)):
        o = replace(product("matmul", "spikes", "spikes"), operands=(other, second))
        assert charged("paper", o) == (0, 100)
        alone = replace(o, operands=(other, READ["real"]))
        assert charged("paper", alone) == (0, 200)


def test_integer_spikes_of_products() -> None:
    assert charged("integer-spikes", product("matmul", "graded", "real")) == (0, 500)
    assert charged("integer-spikes", product("matmul", "graded", "graded")) == (0, 500)


def test_accountings_of_other_tools_know_zeros_and_ones_alone() -> None:
    for kind, read in READ.items():
        o = layer(kind, op="conv2d", name="a.conv", outputs=80, bias=0)
        binary = read.nonzero == read.ones
        for accounting in ("syops", "spikingformer"):
            wanted = (0, 10 * read.nonzero) if binary else (1000, 0)
            assert charged(accounting, o) == charged(accounting, o, graded="unroll") == wanted


def test_the_formula_of_spikingformer_on_the_published_network(oracles: Any) -> None:
    p, expected = oracles("spikingformer_1_48_cifar")
    rates = {n: v["spikes"] / v["numel"] for n, v in expected["neurons"].items()}
    attn = "block.0.attn"
    charged = sum(layers(p, "spikingformer")[f"{attn}.{what}"].acs for what in ("qk", "qkv"))
    q, k, v = (rates[f"{attn}.{x}_lif"] for x in "qkv")
    steps, tokens, dim, heads = 4, 64, 48, 3
    assert charged == pytest.approx(steps * tokens * (dim / heads) ** 2 * heads * (min(k, v) + q), rel=1e-9)


# --- All of them ---


def test_all_are_registered_and_say_what_they_do() -> None:
    names = {"paper", "integer-spikes", "spike-driven", "exact", "neurobench", "syops", "spikingformer"}
    assert set(ACCOUNTINGS) == names
    for name in ACCOUNTINGS:
        assert len(summary(name)) > 20
        assert "\n" not in summary(name)
    with pytest.raises(InputError, match="unknown accounting 'nosuch'") as caught:
        get_accounting("nosuch")
    assert all(name in str(caught.value) for name in ACCOUNTINGS)


@pytest.mark.parametrize("accounting", ACCOUNTINGS)
@pytest.mark.parametrize("name", NAMES)
def test_pure_and_never_negative(oracles: Any, name: str, accounting: str) -> None:
    p, _ = oracles(name)
    before = json.dumps(p.to_json())
    first, second = p.account(accounting).to_json(), p.account(accounting).to_json()
    assert first == second
    assert json.dumps(p.to_json()) == before
    assert first["accounting"] == accounting
    assert all(row["macs"] >= 0 and row["acs"] >= 0 and row["energy_mj"] >= 0 for row in first["layers"])
    assert first["totals"]["energy_mj"] > 0


@pytest.mark.parametrize("accounting", ACCOUNTINGS)
def test_nothing_costs_nothing(accounting: str) -> None:
    silent = replace(SPIKES, operands=(Operand(0, 0, 0),), dense=0, events=0, effective=0, outputs=0, bias=0)
    assert get_accounting(accounting)(silent, STATIC) == FREE


# --- The error bar: from the moments, and from one profile per image ---


@cache
def whole_and_one_by_one(name: str, **settings: Any) -> tuple[Profile, list[Profile]]:
    """The profile of seven images, and one of each."""
    model, x = awake(name, image_size=16, batch=7, **settings)
    run = {"batch_size": 1}
    whole = profile(model, x.split(1), run=run, check_flops=False)
    return whole, [profile(model, [x[i : i + 1]], run=run, check_flops=False) for i in range(len(x))]


@pytest.mark.parametrize("accounting", ACCOUNTINGS)
@pytest.mark.parametrize(
    ("name", "settings"),
    [("spikingformer-1-16", {"heads": 2}), ("saformer-1-16", {"aggregated": 4}), ("sdt-1-16", {"heads": 2})],
)
def test_the_error_bar_is_that_of_images_one_by_one(name: str, settings: dict[str, Any], accounting: str) -> None:
    whole, parts = whole_and_one_by_one(name, **settings)
    kinds = [[o.gate.binary for o in p.operations] for p in (whole, *parts)]
    assert all(kind == kinds[0] for kind in kinds)  # else a layer is charged MACs for some images alone
    energies = np.array([p.account(accounting).energy_mj for p in parts])
    account = whole.account(accounting)
    pools = [row for row in account.layers if "max_pool" in row.op and row.acs]  # of spikes, whose rates differ
    assert bool(pools) == (accounting == "syops" and name.startswith("spikingformer"))
    half_width = stats.t.ppf(0.975, len(parts) - 1) * energies.std(ddof=1) / np.sqrt(len(parts))
    assert half_width > 0
    crossed = accounting == "spikingformer"  # min(fr_K, fr_V) is not linear where some images have it the other way
    assert account.energy_mj_ci95 == pytest.approx(half_width, rel=2e-2 if crossed else 1e-6)
    assert account.energy_mj == pytest.approx(energies.mean(), rel=2e-2 if crossed else 1e-9)


@pytest.mark.parametrize("lower", ["k", "v"])
def test_the_error_bar_sees_both_products_of_the_formula_of_spikingformer(lower: str) -> None:
    # fr_K and fr_V meet in one term: the images must be felt through whichever is lower.
    model, x = awake("spikingformer-1-16", image_size=16, heads=2, batch=6)
    higher = "v" if lower == "k" else "k"
    norms = dict(model.named_modules())
    nn.init.constant_(next(m for n, m in norms.items() if n.endswith(f"attn.{higher}_bn")).bias, 2.0)
    whole = profile(model, x.split(1), run={"batch_size": 1}, check_flops=False)
    neurons = {n.name: n.spikes / n.elements for n in whole.neurons}
    assert neurons[f"block.0.attn.{lower}_lif"] < 0.8 * neurons[f"block.0.attn.{higher}_lif"]
    parts = [profile(model, [x[i : i + 1]], run={"batch_size": 1}, check_flops=False) for i in range(len(x))]
    energies = np.array([p.account("spikingformer").energy_mj for p in parts])
    half_width = stats.t.ppf(0.975, len(x) - 1) * energies.std(ddof=1) / np.sqrt(len(x))
    assert whole.account("spikingformer").energy_mj_ci95 == pytest.approx(half_width, rel=1e-6)
