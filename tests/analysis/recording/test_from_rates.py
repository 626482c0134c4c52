import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import saformer
from saformer.analysis import profile
from saformer.analysis.profiles import Profile
from saformer.analysis.recording.beforehand.random_spikes import foreign_shapes_of
from saformer.analysis.recording.rates.from_rates import IMAGES, profile_from_rates
from saformer.analysis.recording.rates.rates_table import Quantity, Rates, read_rates
from saformer.errors import InputError

PUBLISHED = Path(__file__).resolve().parents[2] / "data" / "published" / "spikingformer_8_512_imagenet.csv"
HEADER = "layer,input_firing_rate\n"


def refusal(call: Any, *args: Any, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **settings)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- Reading ---


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_two_columns_are_read_and_others_ignored(tmp_path):
    path = written(tmp_path, "type,layer,x,input_firing_rate\nConv2d, a.b ,1, 0.25\nLinear,head,2,1\n")
    assert read_rates(path) == Rates((("a.b", 0.25), ("head", 1.0)))


def test_the_published_file_is_read():
    rates = read_rates(PUBLISHED).rows
    assert len(rates) == 54
    assert rates[0] == ("patch_embed.proj_conv", 1.0)
    assert dict(rates)["block.7.mlp.fc2_conv"] == 0.0137684836


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("layer,rate\na,0.1\n", "'input_firing_rate'"),
        ("a,input_firing_rate\na,0.1\n", "'layer'"),
        ("", "'layer'"),
        (HEADER, "no layer in the file"),
        (HEADER + "a,0.1\nb,x\n", "line 3: a firing rate is a number from 0 to 1, found 'x'"),
        (HEADER + "a,1.5\n", "line 2"),
        (HEADER + "a,-0.1\n", "line 2"),
        (HEADER + "a,nan\n", "line 2"),
        (HEADER + "a,\n", "line 2"),
        (HEADER + "a\n", "line 2"),
        (HEADER + ",0.1\n", "line 2: the layer has no name"),
        (HEADER + "a,0.1\n\na,0.2\n", "layer a has a rate already"),
        (HEADER + "[" * 50_000 + ",0.1\n", "line 2: a layer's name of 50,000 characters"),
    ],
)
def test_files_at_fault(tmp_path, text, named):
    path = written(tmp_path, text)
    message = refusal(read_rates, path)
    assert named in message and str(path) in message


def test_files_that_cannot_be_read(tmp_path):
    assert "there is no such file" in refusal(read_rates, tmp_path / "none.csv")
    assert "it is a folder" in refusal(read_rates, tmp_path)
    (tmp_path / "b.csv").write_bytes(b"layer,input_firing_rate\n\xff\xfe,0.1\n")
    assert "it is no text (UTF-8)" in refusal(read_rates, tmp_path / "b.csv")


# --- The published sum ---


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return json.loads(PUBLISHED.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def imagenet(published: dict[str, Any]) -> Profile:
    """Spikingformer-8-512 at 224 pixels with the rates that its authors published."""
    rates = list(read_rates(PUBLISHED).rows)
    for block, of_block in enumerate(published["qkv_firing_rates"]):
        rates += [(f"block.{block}.attn.{name}", rate) for name, rate in zip("qkv", of_block, strict=True)]
    return profile_from_rates(saformer.build("spikingformer-8-512"), Rates(tuple(rates)), name=PUBLISHED.name)


def test_published_rates_give_the_published_operations_and_energy(imagenet, published):
    macs = acs = 0.0
    for operation in imagenet.operations:
        dense = operation.dense / imagenet.images
        if operation.module:
            # Biases are counted as one more operation per output, and gated like the others.
            with_bias = dense + (operation.outputs / imagenet.images if operation.bias else 0)
            if operation.gate.binary:
                acs += operation.gate.firing_rate * with_bias
            else:
                macs += with_bias
        elif operation.name.endswith(".kv"):
            acs += dense * min(operand.firing_rate for operand in operation.operands)
        else:
            acs += dense * operation.gate.firing_rate
    assert macs == published["gmacs"] * 1e9 == 347_329_512
    assert acs == pytest.approx(published["gacs"] * 1e9, rel=1e-9)
    assert (4.6 * macs + 0.9 * acs) * 1e-9 == pytest.approx(published["energy_mj"], rel=1e-9)


def test_the_accounting_of_that_name_gives_the_published_sum(imagenet, published):
    account = imagenet.account("spikingformer", "45nm-fp32")
    assert account.macs == published["gmacs"] * 1e9
    assert account.acs == pytest.approx(published["gacs"] * 1e9, rel=1e-9)
    assert account.energy_mj == pytest.approx(published["energy_mj"], rel=1e-9)


def test_dense_operations_are_the_published_ones_less_the_biases(imagenet):
    with PUBLISHED.open(newline="") as file:
        rows = list(csv.DictReader(file))
    modules = [operation for operation in imagenet.operations if operation.module]
    assert len(rows) == len(modules)
    for row, operation in zip(rows, modules, strict=True):
        outputs = operation.outputs if operation.bias else 0
        # Published with nine digits.
        assert (operation.dense + outputs) / IMAGES == pytest.approx(float(row["dense_ops_per_image"]), rel=5e-9)
        assert operation.gate.firing_rate == pytest.approx(float(row["input_firing_rate"]), abs=1e-11)


def test_rates_of_q_k_and_v_reach_the_products(imagenet, published):
    operations = {operation.name: operation for operation in imagenet.operations}
    for block, (q, k, v) in enumerate(published["qkv_firing_rates"]):
        first, second = (operations[f"block.{block}.attn.{name}"] for name in ("kv", "qkv"))
        assert [x.firing_rate for x in first.operands] == pytest.approx([k, v], abs=1e-9)
        assert second.gate.firing_rate == pytest.approx(q, abs=1e-9)
        assert first.dense / IMAGES == second.dense / IMAGES == 4 * 196 * 64 * 64 * 8


def test_neurons_fire_at_the_rate_that_operations_read(imagenet, published):
    neurons = {neuron.name: neuron for neuron in imagenet.neurons}
    neuron = neurons["block.3.attn.q_lif"]
    assert neuron.spikes / neuron.elements == pytest.approx(published["qkv_firing_rates"][3][0], abs=1e-9)
    assert len(neuron.per_step) == 4 and max(neuron.per_step) - min(neuron.per_step) <= 1
    # What the neurons of the patch embedding fire is pooled before a layer reads it: nothing says how much it was.
    assert not [name for name in neurons if name.startswith("patch_embed")]
    assert any("4 of 60 spiking layers" in note for note in imagenet.notes)


def test_it_is_a_profile_like_any_other(imagenet, tmp_path):
    imagenet.save(tmp_path / "p.json")
    assert Profile.load(tmp_path / "p.json") == imagenet
    assert imagenet.data.name == f"rates: {PUBLISHED.name}" and imagenet.hits is None
    account = imagenet.account()
    assert account.energy_mj_ci95 is None
    # Eq. 19: MACs for the first layer; and for the head, which reads membranes, as published.
    assert account.macs == 346_816_512 + 1000 * 512
    assert str(imagenet.operations[-1].gate.kind) == "real"
    assert account.energy_mj == pytest.approx(7.459, abs=1e-3)


# --- Names, patterns and defaults ---


def rates_of(
    name: str, rates: list[tuple[str, float]] | None, uniform: float | None = None, **settings: Any
) -> Profile:
    return profile_from_rates(saformer.build(name, **settings), None if rates is None else Rates(tuple(rates)), uniform)


def found(profile: Profile) -> dict[str, float]:
    return {operation.name: operation.gate.firing_rate for operation in profile.operations}


def test_a_name_wins_over_a_pattern_and_a_later_pattern_over_an_earlier_one():
    rates = [("*", 0.1), ("block.0.mlp.mlp1_conv", 0.2), ("block.0.mlp.*", 0.3)]
    result = found(rates_of("spikingformer-1-16", rates))
    assert result["block.0.mlp.mlp1_conv"] == pytest.approx(0.2, abs=1e-6)
    assert result["block.0.mlp.mlp2_conv"] == pytest.approx(0.3, abs=1e-6)
    assert result["block.0.attn.q_conv"] == pytest.approx(0.1, abs=1e-6)


def test_a_row_for_q_wins_over_a_pattern_that_matches_the_product():
    result = found(rates_of("spikingformer-1-16", [("*", 0.2), ("block.*.attn.v", 0.4), ("block.0.attn.q", 0.1)]))
    assert result["block.0.attn.qk"] == pytest.approx(0.1, abs=1e-6)
    assert result["block.0.attn.qkv"] == pytest.approx(0.4, abs=1e-6)


def test_a_row_may_name_the_neurons_that_an_operation_reads():
    rates = [("block.0.mlp.mlp1_lif", 0.4), ("block.0.attn.v_lif", 0.3)]
    result = rates_of("spikingformer-1-16", rates, 0.1)
    assert found(result)["block.0.mlp.mlp1_conv"] == pytest.approx(0.4, abs=1e-6)
    product = next(operation for operation in result.operations if operation.name == "block.0.attn.qkv")
    assert product.gate is product.operands[1]
    assert product.gate.firing_rate == pytest.approx(0.3, abs=1e-6)
    assert product.operands[0].firing_rate == 1.0  # Q K^T: nothing says


def test_a_row_with_the_name_of_a_product_sets_its_gate():
    result = rates_of("sdt-1-16", [("block.0.attn.kv", 0.4)], 0.1)
    product = next(operation for operation in result.operations if operation.name == "block.0.attn.kv")
    assert [x.firing_rate for x in product.operands] == pytest.approx([0.4, 0.1], abs=1e-6)
    assert product.events == pytest.approx(product.dense * 0.04, rel=1e-5)


@pytest.mark.parametrize("name", ["saformer-1-16", "spikformer-1-16", "sdt-1-16", "spikingformer-1-16"])
def test_one_rate_for_all_inputs(name):
    result = rates_of(name, None, 0.2)
    first, *rest = result.operations
    assert first.gate.firing_rate == 1.0 and not first.gate.binary
    assert all(operation.gate.firing_rate == pytest.approx(0.2, abs=1e-6) for operation in rest)
    at_rate = [o for o in rest if not (name == "spikingformer-1-16" and o.name == "head")]  # that reads membranes
    assert result.account().acs == pytest.approx(sum(0.2 * o.dense for o in at_rate) / IMAGES, rel=1e-6)
    assert result.account().macs == (first.dense + sum(o.dense for o in rest if o not in at_rate)) / IMAGES
    assert result.neurons and result.data.name == "uniform rate 0.2"


def test_event_frames_have_a_rate_in_the_first_layer_too():
    result = rates_of("saformer-1-16", None, 0.2, in_channels=2, image_size=32, time_steps=3)
    assert result.data.kind == "events"
    assert result.operations[0].gate.firing_rate == pytest.approx(0.2, abs=1e-6)


def test_what_holds_other_values_than_spikes_is_known_from_the_architecture():
    result = rates_of("spikformer-1-16", None, 0.3)
    blurred = {operation.name for operation in result.operations if not operation.gate.binary}
    assert blurred == {
        *("patch_embed.proj_conv", "head", "block.0.mlp.fc1_linear"),
        *(f"block.0.attn.{name}_linear" for name in "qkv"),
    }


def test_the_weights_do_not_matter():
    first, second = (rates_of("saformer-1-16", None, 0.25) for _ in range(2))
    assert first.operations == second.operations and first.neurons == second.neurons


def test_layers_that_do_not_exist_are_named():
    message = refusal(rates_of, "spikingformer-1-16", [("*", 0.1), ("block.7.mlp.mlp1_conv", 0.2), ("blok.*", 0.1)])
    assert "block.7.mlp.mlp1_conv, blok.*" in message and "spikingformer-1-16" in message


def test_operations_without_a_rate_are_named():
    message = refusal(rates_of, "spikingformer-1-16", [("*_conv", 0.1), ("block.0.attn.q", 0.1)])
    assert "block.0.attn.v, head" in message
    message = refusal(rates_of, "spikingformer-1-16", [("head", 1.0)])
    assert "patch_embed.block0_conv" in message and "more" in message


def test_what_makes_no_sense_is_refused():
    assert "no spiking neurons" in refusal(rates_of, "vit-1-16", None, 0.2)
    assert "from 0 to 1" in refusal(rates_of, "saformer-1-16", None, 1.2)
    assert "give firing rates" in refusal(rates_of, "saformer-1-16", None)


# --- Means, accumulates, neurons before pools, models of others ---


def table(quantity: Quantity, *rows: tuple[str, float]) -> Rates:
    return Rates(rows, quantity)


@pytest.mark.parametrize("quantity", ["mean_spikes", "acs", "sops"])
def test_other_quantities_are_read(tmp_path, quantity):
    path = written(tmp_path, f"layer,{quantity}\na,1.5\n")
    assert read_rates(path) == Rates((("a", 1.5),), Quantity(quantity))
    assert "line 2" in refusal(read_rates, written(tmp_path, f"layer,{quantity}\na,-1\n"))


def test_two_of_the_columns_at_once_are_refused(tmp_path):
    message = refusal(read_rates, written(tmp_path, "layer,input_firing_rate,mean_spikes\na,0.1,0.2\n"))
    assert "input_firing_rate and mean_spikes" in message


def test_a_mean_above_one_is_charged_as_many_accumulates():
    model = saformer.build("sdt-1-16")
    found = profile_from_rates(model, table(Quantity.mean, ("block.0.mlp.fc1_conv", 1.5)), 0.2)
    layer = next(o for o in found.operations if o.name == "block.0.mlp.fc1_conv")
    assert str(layer.gate.kind) == "graded" and layer.gate.total == 1.5 * layer.gate.elements
    charged = {row.name: row for row in found.account("integer-spikes").layers}
    assert charged[layer.name].acs == pytest.approx(1.5 * layer.dense / IMAGES)
    assert any("means above 1" in note for note in found.notes)


def test_accumulates_become_rates_of_their_operation():
    model = saformer.build("sdt-1-16")
    base = profile_from_rates(model, None, 0.2)
    layer = next(o for o in base.operations if o.name == "block.0.mlp.fc1_conv")
    given = table(Quantity.acs, (layer.name, 0.3 * layer.dense / IMAGES))
    found = {o.name: o for o in profile_from_rates(model, given, 0.2).operations}
    assert found[layer.name].gate.firing_rate == pytest.approx(0.3, abs=1e-6)
    much = table(Quantity.sops, (layer.name, 2 * layer.dense / IMAGES))
    assert "mean_spikes" in refusal(profile_from_rates, model, much, 0.2)
    assert "accumulates" in refusal(profile_from_rates, model, table(Quantity.acs, ("block.0.attn.q_lif", 1)), 0.2)


def test_neurons_before_a_pool_need_the_rate_behind_it_or_the_option():
    model = saformer.build("sdt-1-16", image_size=64, pooling="1111")
    rows = table(Quantity.rate, ("patch_embed.proj_lif", 0.1))
    message = refusal(profile_from_rates, model, rows, 0.2)
    assert "pooled before patch_embed.proj_conv1" in message and "--rate-at output" in message
    found = profile_from_rates(model, rows, 0.2, rate_at="output")
    neuron = next(layer for layer in found.neurons if layer.name == "patch_embed.proj_lif")
    assert neuron.spikes == pytest.approx(0.1 * neuron.elements)
    layers = {row.name: row for row in found.account("paper", rate_at="output").layers}
    layer = layers["patch_embed.proj_conv1"]
    assert layer.acs == pytest.approx(0.1 * layer.flops)


class Rounding(nn.Module):
    def forward(self, x):
        return torch.clamp(torch.round(x), 0, 4)


class Strange(nn.Module):
    """Integer neurons, one of them dead, between layers that nobody registered."""

    def __init__(self):
        super().__init__()
        self.conv, self.lif, self.pool = nn.Conv2d(3, 4, 3), Rounding(), nn.MaxPool2d(2)
        self.conv2, self.lif2, self.fc = nn.Conv2d(4, 4, 3), Rounding(), nn.Linear(64, 5)
        nn.init.constant_(self.conv2.weight, 0.0)
        nn.init.constant_(self.conv2.bias, -1.0)

    def forward(self, x):
        return self.fc(self.lif2(self.conv2(self.pool(self.lif(self.conv(x))))).flatten(1))


def test_a_model_of_others_takes_rates():
    model, image = Strange(), torch.randn(1, 3, 14, 14)
    shapes = foreign_shapes_of(model, lambda: profile(model, [image], check_flops=False, name="Strange"))
    rates = table(Quantity.mean, ("conv", 1.0), ("conv2", 1.25), ("fc", 0.5))
    found = profile_from_rates(None, rates, shapes=shapes)
    charged = {row.name: (row.macs, row.acs) for row in found.account("integer-spikes").layers}
    assert charged["conv"] == (3 * 4 * 9 * 144, 0)
    assert charged["conv2"] == (0, pytest.approx(1.25 * 4 * 4 * 9 * 16))
    assert charged["fc"] == (0, pytest.approx(0.5 * 64 * 5))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(588, 2))
    assert "no spiking neurons" in refusal(foreign_shapes_of, flat, lambda: profile(flat, [image], check_flops=False))
