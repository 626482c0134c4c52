import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from awake_models import awake
from torch import Tensor, nn

import saformer
from saformer.analysis import Profile, profile, relative_difference
from saformer.analysis.accounting.account import DataInfo, ModelInfo
from saformer.analysis.accounting.energy import account_for
from saformer.analysis.accounting.hardware import Hardware, hardware_names, load_hardware
from saformer.analysis.accounting.rules import ACCOUNTINGS, Charge, Context, register_rule
from saformer.analysis.profiles import Correct, Neurons, Operand, Operation, Values
from saformer.analysis.profiles.moments import Moments
from saformer.attention import SSA
from saformer.errors import InputError
from saformer.neurons import LIF

REAL = Values("real", False, magnitudes=2, multiples=False)


def real(elements: int, nonzero: int, ones: int) -> Operand:
    return Operand(elements, nonzero, ones, REAL)


def whole(elements: int, nonzero: int, ones: int) -> Operand:
    """Spikes; twos, too, where not all are ones."""
    levels = 0 if not nonzero else 1 if nonzero == ones else 2
    total = 2 * nonzero - ones
    return Operand(
        elements, nonzero, ones, Values(unit=1.0 if nonzero else None, levels=levels, magnitudes=levels, total=total)
    )


# Two images, T = 4. Each operation: name, op, dense, operands (elements, nonzeros, ones), events.
TINY = (
    Operation("stem", "conv2d", 1000, (real(200, 150, 10),), 700, first=True),
    Operation("fc", "linear", 4000, (whole(100, 25, 25),), 1000),
    Operation("sums", "linear", 3000, (whole(100, 40, 30),), 1200),
    Operation("attn.real", "product", 500, (real(50, 20, 3), real(50, 30, 4)), 90),
    Operation("attn.second", "matmul", 800, (real(50, 20, 3), whole(80, 10, 10)), 60),
    Operation("attn.both", "matmul", 600, (whole(60, 12, 12), whole(50, 30, 30)), 80),
    Operation("silent", "linear", 900, (whole(90, 0, 0),), 0),
)
# The same integers in a network that knows no spikes.
WITHOUT_SPIKES = tuple(replace(o, operands=tuple(replace(x, values=REAL) for x in o.operands)) for o in TINY)


def tiny(kind: str = "static", spiking: bool = True, hits: Correct | None = None) -> Profile:
    totals = [n for o in TINY for n in (*(x.nonzero for x in o.operands), o.events)]
    first = [n // 3 for n in totals]
    z = np.array([[1, *first], [1, *(n - f for n, f in zip(totals, first, strict=True))]], dtype=np.int64)
    return Profile(
        model=ModelInfo("tiny", 77, 4, "tiny.pt", "ab" * 32),
        data=DataInfo("toy", "test", 2, kind),
        operations=TINY if spiking else WITHOUT_SPIKES,
        neurons=(Neurons("lif", 80, (1, 2, 3, 14)),) if spiking else (),
        free=(),
        uncounted=("erfinv in fc",),
        hits=hits,
        unit="image",
        moments=Moments.of(z),
        notes=("a note",),
    )


# --- Eqs. 18-20 by hand ---


def test_static_images_by_hand() -> None:
    account = tiny().account("paper", hardware="45nm-fp32")
    macs = {"stem": 1000, "attn.real": 500 * 20 / 50}  # (19); a product of real values multiplies
    acs = {
        "fc": 4000 * 25 / 100,  # (18)
        "sums": 3000 * 40 / 100,  # whole multiples too, under this accounting
        "attn.second": 800 * 10 / 80,  # the spikes are the second operand's
        "attn.both": 600 * 12 / 60,  # both are spikes: the first gates
        "silent": 0,
    }
    assert {layer.name: layer.macs for layer in account.layers if layer.macs} == {k: v / 2 for k, v in macs.items()}
    assert {layer.name: layer.acs for layer in account.layers if layer.name in acs} == {
        k: v / 2 for k, v in acs.items()
    }
    assert account.macs == sum(macs.values()) / 2
    assert account.acs == sum(acs.values()) / 2
    picojoules = (4.6 * sum(macs.values()) + 0.9 * sum(acs.values())) / 2
    assert account.energy_mj == pytest.approx(picojoules * 1e-9, rel=1e-14)
    assert sum(layer.energy_mj for layer in account.layers) == pytest.approx(account.energy_mj, rel=1e-14)
    assert account.flops == (1000 + 4000 + 3000 + 500 + 800 + 600 + 900) / 2
    assert account.sops == (750 + 1000 + 1200 + 200 + 100 + 120) / 2


def test_event_data_by_hand() -> None:
    account = tiny("events").account()
    stem = account.layers[0]
    assert (stem.macs, stem.acs) == (0, 1000 * 150 / 200 / 2)  # (20): the first layer, too
    assert account.macs == 200 / 2
    assert account.acs == (750 + 1000 + 1200 + 100 + 120) / 2


def test_a_network_without_spikes_multiplies_everywhere() -> None:
    # Layers densely, silent ones not at all; products of real values where the sparser is not zero, or the first.
    products = 500 * 20 / 50 + 800 * 20 / 50 + 600 * 12 / 60
    layers = 4000 + 3000
    static, events = tiny(spiking=False).account(), tiny("events", spiking=False).account()
    assert (static.macs, static.acs) == ((1000 + layers + products) / 2, 0)
    assert (events.macs, events.acs) == ((layers + products) / 2, 750 / 2)  # event frames are never real
    assert static.notes == events.notes == ("a note",)


def test_no_charge_hangs_on_whether_neurons_are_listed() -> None:
    for accounting in ("paper", "integer-spikes", "spike-driven", "exact", "neurobench"):
        one, other = tiny().account(accounting), replace(tiny(), neurons=()).account(accounting)
        assert one.layers == other.layers and one.energy_mj_ci95 == other.energy_mj_ci95


def test_operations_may_be_left_out_by_name_and_by_module() -> None:
    account, less = tiny().account(), tiny().account(leave_out=["stem", "attn"])
    assert [layer.name for layer in less.layers] == ["fc", "sums", "silent"]
    rows = {layer.name: layer for layer in account.layers}
    assert all(layer == rows[layer.name] for layer in less.layers)
    assert less.energy_mj == pytest.approx(sum(layer.energy_mj for layer in less.layers))
    # The interval is that of a profile without them.
    p = tiny()
    kept = [0, 3, 4, 5, 6, 16, 17]
    sums = tuple(p.moments.sums[i] for i in kept)
    gram = tuple(tuple(p.moments.gram[i][j] for j in kept) for i in kept)
    alone = replace(p, operations=(TINY[1], TINY[2], TINY[6]), moments=Moments(2, sums, gram)).account()
    assert less.energy_mj_ci95 == alone.energy_mj_ci95 > 0
    share = (1000 + 500 + 800 + 600) / 10800
    wanted = f"left out by --leave-out: stem, attn.real, attn.second and 1 more, {share:.1%} of the dense operations"
    assert less.notes == ("a note", wanted)
    assert tiny().account(leave_out=["attn.*"]).layers == tiny().account(leave_out=["attn"]).layers
    with pytest.raises(InputError, match="--leave-out head matches no operation") as caught:
        tiny().account(leave_out=["stem", "head"])
    assert "\n" not in str(caught.value)


def test_what_the_user_says_reaches_the_accounting() -> None:
    integers = replace(tiny(), run={"graded": True})
    rows = {how: {r.name: r for r in integers.account(graded=how).layers} for how in ("rate", "unroll", "mac")}
    assert rows["rate"]["sums"].acs == 3000 * 40 / 100 / 2
    assert rows["unroll"]["sums"].acs == 3000 * 50 / 100 / 2  # ten of the forty are twos
    assert rows["mac"]["sums"].macs == 3000 * 40 / 100 / 2
    assert integers.account(unroll=True).to_json() == integers.account(graded="unroll").to_json()
    assert tiny().account("integer-spikes").layers[2].acs == 3000 * 50 / 100 / 2
    fc = replace(TINY[1], operands=(replace(TINY[1].gate, neurons="lif"),))
    pooled = replace(tiny(), operations=(TINY[0], fc, *TINY[2:]))
    assert pooled.account(rate_at="output").layers[1].acs == 4000 * 20 / 80 / 2
    assert tiny("events").account(first_layer="mac").layers[0].macs == 750 / 2
    assert tiny().account(first_layer="once").to_json() == tiny().account(first_layer_once=True).to_json()


def test_rows_say_class_unit_and_levels() -> None:
    rows = {layer.name: (str(layer.kind), layer.unit, layer.levels) for layer in tiny().account().layers}
    assert rows == {
        "stem": ("real", None, None),
        "fc": ("spikes", 1.0, 1),
        "sums": ("graded", 1.0, 2),
        "attn.real": ("real", None, None),
        "attn.second": ("spikes", 1.0, 1),
        "attn.both": ("spikes", 1.0, 1),
        "silent": ("silent", None, None),
    }


def test_the_first_layer_can_be_charged_once() -> None:
    account, once = tiny().account(), tiny().account(first_layer_once=True)
    assert once.layers[0].macs == account.layers[0].macs / 4
    assert [layer.macs for layer in once.layers[1:]] == [layer.macs for layer in account.layers[1:]]
    assert once.energy_mj == pytest.approx(account.energy_mj - 4.6e-9 * 500 * 3 / 4, rel=1e-14)
    assert any("first layer" in note for note in once.notes)
    assert account.notes == ("a note",)
    events = tiny("events").account(first_layer_once=True)
    assert events.to_json() == tiny("events").account().to_json()  # frames differ: nothing to save


def test_what_a_layer_says_of_its_input() -> None:
    rows = {layer.name: layer for layer in tiny().account().layers}
    fc, second, stem = rows["fc"], rows["attn.second"], rows["stem"]
    assert (fc.op, fc.flops, fc.input_elements, fc.input_nonzero, fc.firing_rate) == ("linear", 2000, 50, 12.5, 0.25)
    assert (fc.binary, stem.binary, rows["sums"].binary, rows["silent"].binary) == (True, False, False, True)
    assert (fc.sops, fc.sops_exact) == (500, 500)
    assert (stem.sops, stem.sops_exact) == (375, 350)
    assert (second.input_elements, second.input_nonzero, second.firing_rate, second.binary) == (40, 5, 0.125, True)
    assert rows["attn.real"].binary is False
    assert rows["silent"].energy_mj == 0


def test_what_a_neuron_layer_says() -> None:
    (neuron,) = tiny().account().neurons
    assert (neuron.name, neuron.elements, neuron.spikes, neuron.firing_rate) == ("lif", 40, 10, 0.25)
    assert neuron.per_step == (0.5, 1, 1.5, 7)


def test_an_operation_without_elements_costs_nothing() -> None:
    p = tiny()
    empty = Operation("empty", "linear", 0, (Operand(0, 0, 0),), 0)
    z = Moments.of(np.array([[1, 0, 0], [1, 0, 0]], dtype=np.int64))
    account = replace(p, operations=(empty,), moments=z).account()
    assert (account.energy_mj, account.layers[0].firing_rate) == (0, 0)


def test_the_rate_is_that_of_all_images_not_a_mean_of_rates() -> None:
    # One image of the first profile is busy, three of the second are calm.
    def part(images: int, nonzero: int) -> Profile:
        o = Operation("fc", "linear", 100 * images, (Operand(10 * images, nonzero, nonzero),), 10 * nonzero)
        z = np.array([[1, nonzero // images, 10 * (nonzero // images)]] * images, dtype=np.int64)
        return replace(
            tiny("events"), operations=(o,), moments=Moments.of(z), data=DataInfo("toy", "test", images, "events")
        )

    total = part(1, 8) + part(3, 3)
    assert total.account().layers[0].firing_rate == 11 / 40
    assert total.account().acs == 100 * 11 / 40


# --- Networks ---


def by_name(p: Profile, **options: Any) -> dict[str, Any]:
    return {layer.name: layer for layer in p.account(**options).layers}


def spikes(p: Profile) -> dict[str, float]:
    return {n.name: n.spikes / p.images for n in p.neurons}


def test_saformer_charges_macs_to_the_first_layer_alone() -> None:
    model, x = awake("saformer-2-16", image_size=16)
    p = profile(model, [x], check_flops=False)
    rows = by_name(p)
    assert [name for name, layer in rows.items() if layer.macs] == ["patch_embed.proj_conv"]
    first = rows["patch_embed.proj_conv"]
    assert first.macs == first.flops == 4 * 16 * 16 * 2 * 3 * 9
    assert all(layer.acs == layer.sops for name, layer in rows.items() if name != "patch_embed.proj_conv")
    assert all(layer.binary for name, layer in rows.items() if name != "patch_embed.proj_conv")


def test_saformer_on_events_charges_no_macs() -> None:
    model, x = awake("saformer-1-16", in_channels=2, image_size=16, time_steps=3)
    account = profile(model, [x], check_flops=False).account()
    assert account.macs == 0
    assert account.acs == account.sops > 0


@pytest.mark.parametrize("aggregated", [4, None])
def test_products_of_sasa_are_charged_as_the_table_says(aggregated: int | None) -> None:
    model, x = awake("saformer-1-16", image_size=16, time_steps=3, aggregated=aggregated)
    p = profile(model, [x], check_flops=False)
    rows, fired = by_name(p), spikes(p)
    steps, tokens, dim = 3, 64, 16
    n = aggregated or tokens
    qk, ka, dwc = (rows[f"block.0.attn.{what}"] for what in ("qk", "ka", "dwc_conv"))
    assert (qk.flops, ka.flops, dwc.flops) == (steps * n * dim, steps * tokens * dim, steps * 9 * tokens * dim)
    assert qk.acs == pytest.approx(fired["block.0.attn.q_lif"])
    assert ka.acs == pytest.approx(fired["block.0.attn.k_lif"])
    assert dwc.acs == pytest.approx(9 * fired["block.0.attn.k_lif"])
    assert qk.macs == ka.macs == dwc.macs == 0
    # Eq. 19 leaves phi(q) and phi(k) out; the profile does not.
    pooled = {(f.name, f.op) for f in p.free if "avg_pool" in f.op}
    assert bool(pooled) == (aggregated is not None)
    assert all(name == "block.0.attn" for name, _ in pooled)


def test_pooled_spikes_are_whole_multiples_of_a_share() -> None:
    model, x = awake("saformer-1-16", image_size=16, aggregate="spikes", aggregated=4)
    p = profile(model, [x], check_flops=False)
    rows = by_name(p)
    assert {name for name, layer in rows.items() if layer.macs} == {"patch_embed.proj_conv"}
    qk = rows["block.0.attn.qk"]
    assert (qk.binary, str(qk.kind), qk.unit) == (False, "graded", 1 / 16)  # of 64 tokens 16 make one
    assert 1 < qk.levels <= 16
    assert (qk.acs, qk.macs) == (qk.sops, 0)
    assert 0 < qk.acs < qk.flops
    # Where multiples are no spikes, they multiply.
    strict = by_name(p, accounting="spike-driven")["block.0.attn.qk"]
    assert (strict.acs, strict.macs) == (0, qk.sops)
    assert strict.energy_mj == pytest.approx(4.6e-9 * qk.sops)


def test_products_of_sdsa_are_charged_as_the_table_says() -> None:
    model, x = awake("sdt-1-16", image_size=16, time_steps=3)
    p = profile(model, [x], check_flops=False)
    rows, fired = by_name(p), spikes(p)
    for what, neuron in (("kv", "k_lif"), ("qg", "q_lif")):
        assert rows[f"block.0.attn.{what}"].flops == 3 * 64 * 16
        assert rows[f"block.0.attn.{what}"].acs == pytest.approx(fired[f"block.0.attn.{neuron}"])


def test_products_of_ssa_are_charged_as_the_table_says() -> None:
    model, x = awake("spikformer-1-16", image_size=16, heads=2)
    p = profile(model, [x], check_flops=False)
    rows, fired = by_name(p), spikes(p)
    for what, neuron in (("qk", "q_lif"), ("qkv", "v_lif")):
        row = rows[f"block.0.attn.{what}"]
        assert row.flops == 4 * 64**2 * 16
        assert row.acs == pytest.approx(64 * fired[f"block.0.attn.{neuron}"])
        assert row.macs == 0


def test_the_second_product_of_ssa_is_gated_by_v_even_where_the_map_is_binary() -> None:
    # With sparse spikes every number in Q K^T can be 0 or 1 by chance, in one image and not in the next.
    class OneChannel(LIF):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return y * (torch.arange(y.shape[-1]) % 4 == 0)  # one channel of each head

    torch.manual_seed(0)
    attention = SSA(8, 2).eval()
    for bn in (attention.q_bn, attention.k_bn, attention.v_bn):
        nn.init.constant_(bn.bias, 1.5)
    attention.q_lif = OneChannel()
    p = profile(attention, [torch.randn(4, 3, 6, 8)], check_flops=False, kind="static")
    row = by_name(p)["qkv"]
    (neuron,) = [n for n in p.neurons if n.name == "v_lif"]
    map_, v = next(o for o in p.operations if o.name == "qkv").operands
    assert map_.binary
    assert map_.nonzero / map_.elements != v.nonzero / v.elements
    assert row.input_nonzero * p.images == neuron.spikes


def test_softmax_attention_is_charged_dense_macs() -> None:
    model, x = awake("vit-1-16", image_size=16, heads=2)
    account = profile(model, [x]).account()
    assert account.acs == 0
    assert account.macs == account.flops
    rows = {layer.name: layer for layer in account.layers}
    assert rows["block.0.attn.qk"].macs == rows["block.0.attn.qkv"].macs == 64**2 * 16
    assert account.energy_mj == pytest.approx(4.6e-9 * account.flops)
    assert account.energy_mj_ci95 == 0


def test_dense_operations_of_the_published_spikformer() -> None:
    # From the method page: the first convolution, the head (with its 10 biases) and every q, k, v and fc1 layer.
    model = saformer.build("spikformer-4-384")
    p = profile(model, [torch.zeros(1, 3, 32, 32)], check_flops=False)
    blurred = ("proj_conv", "head", "q_linear", "k_linear", "v_linear", "fc1_linear")
    assert sum(o.dense for o in p.operations if o.name.rpartition(".")[2] in blurred) + 10 == 1_062_276_874
    assert p.model.parameters == 9_330_874 - 6_144


# --- Table lookups ---


def test_an_accounting_is_one_function() -> None:
    seen: list[Context] = []
    with ACCOUNTINGS.temporary():

        @register_rule("half")
        def half(item: Any, context: Context) -> Charge:
            seen.append(context)
            return Charge(acs=item.dense / 2) if isinstance(item, Operation) else Charge()

        account = tiny().account("half")
    assert "half" not in ACCOUNTINGS
    assert account.accounting == "half"
    assert account.acs == account.flops / 2
    assert (seen[0].static, seen[0].time_steps, seen[0].first_layer, seen[0].graded) == (True, 4, "repeat", None)
    assert (seen[0].rate_at, seen[0].images, seen[0].passes) == ("input", 2, 1)
    assert set(seen[0].operations) == {o.name for o in TINY} and set(seen[0].neurons) == {"lif"}


def test_an_accounting_that_does_not_exist() -> None:
    with pytest.raises(InputError, match="unknown accounting 'none': choose one of paper") as caught:
        tiny().account("none")
    assert "\n" not in str(caught.value)


def test_the_default_is_the_paper_at_45_nm() -> None:
    assert account_for(tiny()).to_json() == tiny().account("paper", "45nm-fp32").to_json()
    hardware = load_hardware("45nm-fp32")
    assert (hardware.mac_pj, hardware.ac_pj, hardware.multiply_pj) == (4.6, 0.9, 3.7)
    assert "Horowitz" in hardware.source


@pytest.mark.parametrize("name", hardware_names())
def test_shipped_hardware_reads(name: str) -> None:
    hardware = load_hardware(name)
    assert hardware.name == name
    assert hardware.ac_pj > 0
    assert hardware.mac_pj is None or hardware.mac_pj > hardware.ac_pj
    assert hardware.title
    assert hardware.source
    assert hardware.leaves_out


def test_hardware_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[energy_pj]\nmac = 2\nac = 0\n")
    hardware = load_hardware(path)
    assert (hardware.name, hardware.mac_pj, hardware.ac_pj, hardware.multiply_pj) == ("mine", 2.0, 0.0, None)
    assert load_hardware(str(path)) == hardware
    account = tiny().account(hardware=str(path))
    assert account.energy_mj == pytest.approx(2e-9 * account.macs)
    assert tiny().account(hardware=hardware).to_json() == account.to_json()
    direct = Hardware("h", "", "", "", mac_pj=10, ac_pj=1)
    account = tiny().account(hardware=direct)
    assert account.energy_mj == pytest.approx(1e-9 * (10 * account.macs + account.acs))
    assert account.to_json()["hardware"] == {"name": "h", "mac_pj": 10, "ac_pj": 1}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "[energy_pj]"),
        ("energy_pj = 3", "[energy_pj]"),
        ("[energy_pj]\n", "energy_pj.ac"),
        ("[energy_pj]\nmac = 4.6\n", "energy_pj.ac"),
        ("[energy_pj]\nmac = 4.6\nac = -0.1\n", "energy_pj.ac"),
        ("[energy_pj]\nmac = '4.6'\nac = 0.9\n", "energy_pj.mac"),
        ("[energy_pj]\nmac = true\nac = 0.9\n", "energy_pj.mac"),
        ("[energy_pj]\nmac = nan\nac = 0.9\n", "energy_pj.mac"),
        ("[energy_pj]\nmac = inf\nac = 0.9\n", "energy_pj.mac"),
        ("[energy_pj]\nmac = [4.6]\nac = 0.9\n", "energy_pj.mac"),
        ("[energy_pj]\nmac = 4.6\nac = 0.9\nmultiply = 'x'\n", "energy_pj.multiply"),
        ("name = 3\n[energy_pj]\nmac = 4.6\nac = 0.9\n", "name must be text"),
        ("[energy_pj\nmac = 4.6\n", "not valid TOML"),
        ("mac = 4,6\n", "not valid TOML"),
        ("[energy_pj]\nmac = 1\nmac = 2\n", "not valid TOML"),
    ],
)
def test_hardware_files_that_do_not_fit(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_hardware(path)
    message = str(caught.value)
    assert named in message
    assert str(path) in message
    assert "\n" not in message


def test_hardware_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.toml").mkdir()
    for path in (tmp_path / "no.toml", tmp_path / "binary.toml", tmp_path / "folder.toml"):
        with pytest.raises(InputError) as caught:
            load_hardware(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "7nm", "45nm", "../45nm-fp32", "45nm-fp32.json"])
def test_hardware_that_does_not_exist(name: str) -> None:
    with pytest.raises(InputError, match="unknown hardware") as caught:
        tiny().account(hardware=name)
    assert "45nm-fp32" in str(caught.value)
    assert "\n" not in str(caught.value)


# --- The JSON object ---

KEYS: dict[str, set[str]] = {
    "model": {"name", "parameters", "time_steps", "checkpoint", "sha256"},
    "data": {"name", "split", "images"},
    "hardware": {"name", "mac_pj", "ac_pj"},
    "accuracy": {"top1", "top5"},
    "totals": {"flops", "macs", "acs", "sops", "energy_mj", "energy_mj_ci95"},
    "layers": {
        *("name", "op", "flops", "input_elements", "input_nonzero", "firing_rate", "binary"),
        *("sops", "sops_exact", "macs", "acs", "energy_mj", "class", "unit", "levels"),
    },
    "neurons": {"name", "elements", "spikes", "firing_rate", "per_step"},
}


def test_the_json_object_has_the_documented_keys() -> None:
    plain = tiny(hits=Correct(2, 1, 2)).account().to_json()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert {"schema", "accounting", *KEYS} <= set(plain)
    assert plain["schema"] == 1
    assert plain["accounting"] == "paper"
    for key, names in KEYS.items():
        for entry in plain[key] if isinstance(plain[key], list) else [plain[key]]:
            assert names <= set(entry), key


def test_the_json_object_says_what_was_run() -> None:
    account = tiny(hits=Correct(2, 1, 2)).account()
    plain = account.to_json()
    assert plain["model"] == {
        "name": "tiny",
        "label": None,
        "parameters": 77,
        "time_steps": 4,
        "time_steps_from": None,
        "checkpoint": "tiny.pt",
        "sha256": "ab" * 32,
        "classes": None,
    }
    assert plain["data"] == {
        "name": "toy",
        "split": "test",
        "images": 2,
        "kind": "static",
        "taken_for": "static images",
        "shape": None,
    }
    assert plain["accuracy"] == {"top1": 0.5, "top5": 1.0}
    assert plain["uncounted"] == ["erfinv in fc"]
    assert plain["notes"] == ["a note"]
    assert plain["totals"]["ci_unit"] == "image"
    for key in ("flops", "macs", "acs", "sops"):
        assert plain["totals"][key] == getattr(account, key) == sum(layer[key] for layer in plain["layers"])
    assert plain["totals"]["energy_mj"] == pytest.approx(sum(layer["energy_mj"] for layer in plain["layers"]))
    assert tiny().account().to_json()["accuracy"] is None


def test_a_single_image_has_no_interval() -> None:
    model, x = awake("saformer-1-16", image_size=16)
    plain = profile(model, [x[:1]], check_flops=False).account().to_json()
    assert plain["totals"]["energy_mj_ci95"] is None
    assert plain["totals"]["ci_unit"] is None


# --- Eq. 21 ---


def test_relative_difference() -> None:
    assert relative_difference(5.0, 4.0) == pytest.approx(0.2)  # ours is lower: positive
    assert relative_difference(4.0, 5.0) == pytest.approx(-0.25)
    assert relative_difference(4.0, 4.0) == 0
    assert relative_difference(0.0, 1.0) != relative_difference(0.0, 1.0)  # not a number
