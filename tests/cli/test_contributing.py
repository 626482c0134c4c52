"""The recipes of CONTRIBUTING.md, followed as they stand there: each block becomes a file of a user's own."""

import ast
import json
import re
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

import saformer.analysis
from saformer import plugins
from saformer.analysis.accounting.rules import ACCOUNTINGS
from saformer.analysis.profiles import Profile
from saformer.analysis.recording.operations import operators
from saformer.attention.registry import ATTENTIONS
from saformer.cli.commands import COMMANDS
from saformer.data import DATASETS
from saformer.models.registry import MODELS

CONTRIBUTING = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = {
    title: (language, text)
    for title, language, text in re.findall(
        r"^### \.\.\. (.+?)\n.*?^```(python|toml)\n(.*?)^```", CONTRIBUTING, re.S | re.M
    )
}
REGISTRIES = (ACCOUNTINGS, ATTENTIONS, COMMANDS, DATASETS, MODELS)


@pytest.fixture(autouse=True)
def forgotten():
    """What a plugin registers is gone after the test."""
    with ExitStack() as stack:
        for registry in REGISTRIES:
            stack.enter_context(registry.temporary())
        yield


@pytest.fixture
def recipe(tmp_path):
    """Writes the block of a recipe into a file, and returns its path."""

    def write(title: str) -> Path:
        language, text = RECIPES[title]
        path = tmp_path / f"{title.split()[-1]}.{'py' if language == 'python' else 'toml'}"
        path.write_text(text)
        return path

    return write


def data(outcome):
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def compared(saformer, *arguments):
    """The rows of the table of `compare`."""
    return data(saformer("compare", *arguments, "--format", "json"))["tables"][0]["rows"]


def test_there_is_a_recipe_for_everything_that_can_be_added():
    assert list(RECIPES) == [
        "a model",
        "an attention",
        "a data set",
        "an accounting",
        "the formula of an operator",
        "a hardware",
        "a figure",
        "a table or a command",
    ]


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_has_at_most_ten_statements(title):
    language, text = RECIPES[title]
    if language == "toml":
        assert len([line for line in text.splitlines() if line.strip()]) <= 10
        return
    statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]
    docstrings = [node for node in statements if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    imports = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(statements) - len(docstrings) - len(imports) <= 10


def test_a_model(saformer, recipe, tmp_path):
    mine = recipe("a model")
    found = data(
        saformer("energy", "--plugin", mine, "--model", "tiny-1-16", "--dataset", "digits", "--limit", 4, "--json", "-")
    )
    assert found["model"]["name"] == "tiny-1-16"
    assert [layer["name"] for layer in found["layers"]] == ["conv", "head"]
    both = compared(saformer, "--plugin", mine, "tiny-1-16", "sdt-1-16", "--dataset", "digits", "--limit", 4)
    assert [row["model"] for row in both] == ["tiny-1-16", "sdt-1-16"]
    assert saformer("complexity", "--plugin", mine).code == 0
    assert "tiny" in saformer("models", "--plugin", mine).out
    run = ("--model", "tiny-1-16", "-T", 2, "--dataset", "digits", "--epochs", 1, "--out", tmp_path / "run")
    assert saformer("train", "--plugin", mine, *run).code == 0
    best = tmp_path / "run" / "best.safetensors"
    found = data(
        saformer("energy", "--plugin", mine, "--ckpt", best, "--dataset", "digits", "--limit", 4, "--json", "-")
    )
    assert (found["model"]["name"], found["model"]["time_steps"]) == ("tiny-1-16", 2)


def test_an_attention(saformer, recipe):
    mine = recipe("an attention")
    found = saformer("complexity", "--plugin", mine, "--verify", "--attention", "gate,ssa", "--dim", 32, "--tokens", 16)
    assert found.code == 0, found.err
    assert "Gate" in found.out
    assert "the recorder counts the same on the real modules: 17 terms of 2 attentions" in " ".join(found.out.split())
    sizes = ("--over-tokens", "16,32", "--over-dim", "-", "--seconds", 0.01)
    measured = data(saformer("complexity", "--plugin", mine, "--attention", "gate", "--measure", *sizes, "--json", "-"))
    assert {point["attention"] for point in measured["measured"]["points"]} == {"gate"}
    assert "Gate" in saformer("complexity", "--plugin", mine).out
    run = ("--model", "sdt-1-16+attention=gate", "--dataset", "digits", "--limit", 4)
    layers = data(saformer("energy", "--plugin", mine, *run, "--json", "-"))["layers"]
    assert any(layer["name"].endswith("gate") for layer in layers)
    for command in ("energy", "compare"):
        assert saformer(command, "--plugin", mine, "--help").code == 0


def test_a_data_set(saformer, recipe):
    mine = recipe("a data set")
    run = ("--plugin", mine, "--dataset", "stripes", "--limit", 4)
    found = data(saformer("energy", "--model", "saformer-1-16", *run, "--json", "-"))["data"]
    assert found == {**found, "name": "stripes", "split": "test", "images": 4, "kind": "static"}
    assert [row["data"] for row in compared(saformer, "saformer-1-16", "sdt-1-16", *run)] == ["stripes", "stripes"]
    assert saformer("complexity", "--plugin", mine).code == 0
    assert "Stripes" in saformer("datasets", "--plugin", mine).out


def test_an_accounting(saformer, recipe):
    mine = recipe("an accounting")
    run = ("--plugin", mine, "--dataset", "digits", "--limit", 4)
    totals = data(saformer("energy", "--model", "sdt-1-16", "--accounting", "dense", *run, "--json", "-"))["totals"]
    assert totals["macs"] == totals["flops"] and totals["acs"] == 0
    every = saformer("energy", "--model", "sdt-1-16", "--accounting", "all", *run)
    assert "a processor that skips nothing" in " ".join(every.out.split())
    dear, cheap = (
        compared(saformer, "sdt-1-16", *run, "--accounting", name)[0]["energy_mj_per_image"]
        for name in ("dense", "paper")
    )
    assert dear > cheap
    assert saformer("complexity", "--plugin", mine).code == 0


def test_the_formula_of_an_operator(recipe, monkeypatch):
    monkeypatch.setattr(operators, "OPERATORS", dict(operators.OPERATORS))
    torch.library.define("mylib::spike_linear", "(Tensor spikes, Tensor weight) -> Tensor")
    torch.library.impl("mylib::spike_linear", "cpu", lambda spikes, weight: spikes @ weight.T)

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(8, 4)

        def forward(self, x):
            return torch.ops.mylib.spike_linear((x > 0).float(), self.fc.weight)

    with torch.random.fork_rng():
        network, images = Network(), torch.randn(16, 8)
    without = saformer.analysis.profile(network, [images], check_flops=False)
    assert (without.operations, without.uncounted) == ((), ("spike_linear in the model",))
    plugins.load(recipe("the formula of an operator"))
    (fc,) = saformer.analysis.profile(network, [images], check_flops=False).operations
    assert (fc.name, fc.dense, fc.events) == ("fc", 16 * 8 * 4, 4 * int((images > 0).sum()))


def test_a_hardware(saformer, recipe):
    mine = recipe("a hardware")
    assert "our measurement, 2025" in saformer("hardware", mine).out
    run = ("--dataset", "digits", "--limit", 4, "--hardware", mine)
    found = data(saformer("energy", "--model", "sdt-1-16", *run, "--json", "-"))
    assert found["hardware"] == {"name": "mine", "mac_pj": 1.2, "ac_pj": 0.3}
    rows = compared(saformer, "saformer-1-16", "sdt-1-16", *run)
    assert rows[1]["energy_mj_per_image"] == found["totals"]["energy_mj"]
    assert saformer("complexity", "--hardware", mine).code == 0


@pytest.fixture
def profile(saformer, tmp_path):
    path = tmp_path / "profile.json"
    run = ("--model", "sdt-1-16", "--dataset", "digits", "--limit", 4, "--save-profile", path)
    assert saformer("energy", *run).code == 0
    return path


def test_a_figure(recipe, profile, tmp_path):
    from saformer.reports.figures.saving import save_figure

    figure = plugins.load(recipe("a figure")).spikes_figure(Profile.load(profile))
    save_figure(figure, tmp_path / "spikes.png")
    assert (tmp_path / "spikes.png").read_bytes().startswith(b"\x89PNG")


def test_a_command(saformer, recipe):
    mine = recipe("a table or a command")
    found = data(saformer("--plugin", mine, "parameters", "--model", "saformer-1-16", "--format", "json"))
    assert {"weight": "head.weight", "parameters": 160} in found["tables"][0]["rows"]
    assert "parameters" in saformer("--plugin", mine, "--help").out
