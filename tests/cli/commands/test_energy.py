"""`saformer energy` as its users see it."""

import csv
import json

import pytest

ORACLES = ["spikformer_2_64_cifar", "spikformer_2_32_cifar10dvs", "spikformer_2_32_imagenet", "sdt_2_64_cifar"]


@pytest.mark.parametrize("name", ORACLES)
def test_json_gives_the_integers_of_the_published_implementation(saformer, oracle, name):
    result = saformer(
        *("energy", "--ckpt", oracle(f"{name}.pth.tar"), "--input", oracle(f"{name}.input.npz")),
        *("--dtype", "float64", "--json", "-"),
    )
    assert result.code == 0, result.err
    found, expected = json.loads(result.out), json.loads(oracle(f"{name}.expected.json").read_text())
    images = found["data"]["images"]
    assert images == expected["batch"]

    def total(value):
        assert abs(value * images - round(value * images)) < 1e-6 * max(value, 1)
        return round(value * images)

    layers = {layer["name"]: layer for layer in found["layers"]}
    for path, layer in expected["layers"].items():
        assert total(layers[path]["input_elements"]) == layer["numel"]
        assert total(layers[path]["input_nonzero"]) == layer["nonzero"]
        assert layers[path]["binary"] is layer["binary"]
        assert total(layers[path]["sops_exact"]) == expected["exact_sops"][path]
    neurons = {neuron["name"]: neuron for neuron in found["neurons"]}
    assert neurons.keys() == expected["neurons"].keys()
    for path, neuron in expected["neurons"].items():
        assert total(neurons[path]["elements"]) == neuron["numel"]
        assert total(neurons[path]["spikes"]) == neuron["spikes"]
        assert [total(value) for value in neurons[path]["per_step"]] == neuron["per_step"]
    assert found["uncounted"] == []
    assert not [note for note in found["notes"] if "fvcore" in note]


def test_json_has_the_documented_schema(saformer):
    found = json.loads(saformer("energy", "--limit", "20", "--json", "-").out)
    assert found["schema"] == 1
    assert found["model"].keys() >= {"name", "parameters", "time_steps", "checkpoint", "sha256"}
    assert found["data"].keys() >= {"name", "split", "images"}
    assert found["accounting"] == "paper"
    assert found["hardware"] == {"name": "45nm-fp32", "mac_pj": 4.6, "ac_pj": 0.9}
    assert found["accuracy"].keys() == {"top1", "top5"}
    assert found["totals"].keys() >= {"flops", "macs", "acs", "sops", "energy_mj", "energy_mj_ci95"}
    wanted = {"name", "op", "flops", "input_elements", "input_nonzero", "firing_rate", "binary"}
    wanted |= {"sops", "sops_exact", "macs", "acs", "energy_mj"}
    assert all(layer.keys() >= wanted for layer in found["layers"])
    assert all(n.keys() >= {"name", "elements", "spikes", "firing_rate", "per_step"} for n in found["neurons"])
    totals = found["totals"]
    assert totals["energy_mj"] == pytest.approx((4.6 * totals["macs"] + 0.9 * totals["acs"]) * 1e-9, rel=1e-12)
    assert totals["energy_mj"] == pytest.approx(sum(layer["energy_mj"] for layer in found["layers"]), rel=1e-12)


def test_nothing_given_shows_the_shipped_saformer_and_says_so(saformer):
    result = saformer("energy")
    assert result.code == 0
    assert "saformer-2-64" in result.out and "digits" in result.out
    assert "no --ckpt given" in " ".join(result.out.split())
    assert "360 images" in result.out and "every operation was counted" in result.out
    assert max(map(len, result.out.splitlines())) <= 100


def test_layers_open_every_block(saformer):
    result = saformer("energy", "--limit", "20", "--layers", "--spikes")
    for name in ("proj_conv1", "attn.q_linear", "attn.qk", "attn.ka", "attn.dwc_conv", "mlp.fc2_linear"):
        assert name in result.out
    assert "attn.mix_lif" in result.out


def test_files_hold_what_is_printed(saformer, tmp_path):
    paths = {name: tmp_path / f"o.{name}" for name in ("json", "csv", "png", "pdf", "svg")}
    for name in ("png", "pdf", "svg"):
        result = saformer(
            "energy", "--limit", "20", "--plot", paths[name], "--csv", paths["csv"], "--json", paths["json"]
        )
        assert result.code == 0, result.err
    assert paths["png"].read_bytes().startswith(b"\x89PNG")
    assert paths["pdf"].read_bytes().startswith(b"%PDF")
    assert "<svg" in paths["svg"].read_text()
    layers = json.loads(paths["json"].read_text())["layers"]
    rows = list(csv.DictReader(paths["csv"].read_text().splitlines()))
    assert len(rows) == len(layers)
    assert not [path for path in tmp_path.iterdir() if path not in paths.values()]


def test_a_shipped_checkpoint_that_is_none_has_a_nearest_one(saformer):
    complaint = saformer("energy", "--ckpt", "digits/spikfromer").complaint
    assert "digits/spikfromer: there is no such file (did you mean digits/spikformer?)" in complaint
