"""`saformer audit` as its users see it."""

import json

import pytest

ORACLES = [
    ("spikformer_2_64_cifar", False),
    ("spikformer_2_32_cifar10dvs", False),
    ("sdt_2_64_cifar", True),
]


@pytest.mark.parametrize(("name", "driven"), [("digits/saformer", True), ("digits/spikformer", False)])
def test_the_verdict_comes_last_and_is_no_error(saformer, name, driven):
    result = saformer("audit", "--ckpt", name, "--limit", "6")
    assert result.code == 0, result.err
    lines = [line for line in result.out.splitlines() if line.strip()]
    assert max(map(len, lines)) <= 100
    verdict = next(i for i, line in enumerate(lines) if "spike-driven: " in line and not line.startswith(" "))
    assert lines[verdict].startswith("spike-driven: " if driven else "not spike-driven: ")
    assert all(line.startswith(("note: ", " ")) or i <= verdict + 1 for i, line in enumerate(lines) if i > verdict)
    assert "what Eqs. 18-20 leave out" in result.out
    assert "every operation was counted" in result.out
    assert ("a shortcut that added spikes" in result.out) is not driven
    assert "the image itself" in result.out


def test_without_a_model_the_shipped_saformer_is_audited(saformer):
    result = saformer("audit", "--limit", "8")
    assert result.code == 0, result.err
    assert "spike-driven: every operation" in result.out
    assert "no --ckpt given" in result.out


@pytest.mark.parametrize(("name", "driven"), ORACLES)
def test_published_networks(saformer, oracle, name, driven):
    args = ("--ckpt", oracle(f"{name}.pth.tar"), "--input", oracle(f"{name}.input.npz"))
    result = saformer("audit", *args, "--json", "-")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    expected = json.loads(oracle(f"{name}.expected.json").read_text())
    layers = {item["name"] for item in found["not_binary"]}
    assert {path for path, layer in expected["layers"].items() if not layer["binary"]} <= layers
    assert not layers & {path for path, layer in expected["layers"].items() if layer["binary"]}
    assert found["spike_driven"] is driven or "head" in layers


def test_json_on_standard_output_and_in_a_file(saformer, tmp_path):
    args = ("audit", "--ckpt", "digits/spikformer", "--limit", "6")
    found = json.loads(saformer(*args, "--json", "-").out)
    wanted = {"schema", "spike_driven", "verdict", "operations", "not_binary", "left_out", "energy_mj", "uncounted"}
    assert found.keys() >= wanted
    assert (found["schema"], found["spike_driven"]) == (1, False)
    path = tmp_path / "audit.json"
    result = saformer(*args, "--json", path)
    assert result.code == 0, result.err
    assert "spike-driven" in result.out
    assert json.loads(path.read_text()) == found


def test_a_saved_profile_gives_the_same(saformer, tmp_path):
    path = tmp_path / "p.json"
    run = ("--ckpt", "digits/spikformer", "--limit", "6")
    assert saformer("energy", *run, "--dataset", "digits", "--save-profile", path).code == 0
    direct, again = saformer("audit", *run, "--json", "-"), saformer("audit", "--from-profile", path, "--json", "-")
    assert json.loads(direct.out) == json.loads(again.out)
    assert "--from-profile" in saformer("audit", "--from-profile", path, "--ckpt", "digits/spikformer").complaint


def test_narrow_terminals(saformer, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = saformer("audit", "--ckpt", "digits/spikformer", "--limit", "8")
    assert result.code == 0, result.err
    assert max(map(len, result.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--ckpt", "nosuch.pt"), "nosuch.pt"),
        (("--hardware", "nosuch"), "nosuch"),
        (("--hardware", "all"), "all"),
        (("--from-profile", "nosuch.json"), "nosuch.json"),
        (("--model", "nosuch:Net", "--input-shape", "3,8,8"), "nosuch"),
        (("--json", "no/such/folder/a.json"), "no/such/folder"),
    ],
)
def test_what_cannot_be_answered(saformer, args, words):
    assert words in saformer("audit", *args).complaint
