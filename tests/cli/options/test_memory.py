"""`--memory`, as users see it."""

import json

import pytest


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    from saformer.cli.options.data import DataOptions, SavedOptions
    from saformer.cli.options.model import ModelOptions
    from saformer.cli.options.run import RunOptions
    from saformer.cli.resolve.profile import profile_for
    from saformer.cli.resolve.source import source_of

    path = tmp_path_factory.mktemp("memory") / "digits.json"
    profile = profile_for(source_of(ModelOptions()), DataOptions(), RunOptions(limit=16, device="cpu"), SavedOptions())
    profile.save(path)
    return path


def test_a_table_and_the_assumptions_follow_the_report(saformer, saved):
    plain, result = (
        saformer("energy", "--from-profile", saved),
        saformer("energy", "--from-profile", saved, "--memory", "lemaire"),
    )
    assert result.code == 0, result.err
    assert result.out.startswith(plain.out.rstrip())
    added = result.out[len(plain.out.rstrip()) :]
    assert "lemaire" not in plain.out
    header = next(line for line in added.splitlines() if line.startswith("memory ("))
    assert header.split()[2:] == ["weights", "inputs", "membranes", "addressing", "total", "share"]
    for block in ("patch_embed", "block.0", "block.1", "head", "total"):
        assert any(line.startswith(f"{block} ") for line in added.splitlines()), block
    assert "arXiv 2210.13107" in added.replace("\n", " ")
    assert added.count("assumed: ") >= 5


def test_with_layers_every_operation_has_a_row(saformer, saved):
    out = saformer("energy", "--from-profile", saved, "--memory", "lemaire", "--layers").out
    assert "block.0.mlp.fc1_linear" in out.partition("memory (")[2]


@pytest.mark.parametrize("where", ["-", "file"])
def test_json_has_the_object_only_when_asked(saformer, saved, tmp_path, where):
    target = "-" if where == "-" else tmp_path / "out.json"

    def document(*more):
        result = saformer("energy", "--from-profile", saved, "--json", target, *more)
        assert result.code == 0, result.err
        return json.loads(result.out if where == "-" else target.read_text())

    plain, found = document(), document("--memory", "lemaire")
    memory = found.pop("memory")
    assert found == plain
    assert "memory" not in plain
    assert memory.keys() == {"model", "source", "totals", "layers", "assumptions"}
    assert memory["model"] == "lemaire"
    assert {layer["name"] for layer in memory["layers"]} == {
        entry["name"] for entry in (*plain["layers"], *plain["neurons"])
    }
    for key, total in memory["totals"].items():
        assert total == pytest.approx(sum(layer[key] for layer in memory["layers"]))
    assert memory["totals"]["total_mj"] > plain["totals"]["energy_mj"]


def test_the_first_layer_once(saformer, saved):
    def first(*more):
        out = saformer("energy", "--from-profile", saved, "--memory", "lemaire", "--json", "-", *more).out
        return json.loads(out)["memory"]["layers"][0]["total_mj"]

    assert first("--first-layer", "once") == pytest.approx(first() / 4)


def test_a_name_that_does_not_exist_is_refused_before_the_run(saformer):
    complaint = saformer("energy", "--memory", "dram").complaint
    assert complaint == "saformer: unknown memory model 'dram': choose one of lemaire"


@pytest.mark.parametrize("which", ["hardware", "accounting"])
def test_it_does_not_go_with_all(saformer, saved, which):
    result = saformer("energy", "--from-profile", saved, f"--{which}", "all", "--memory", "lemaire")
    assert result.complaint == f"saformer: --memory shows one {which}: it cannot go with --{which} all"
