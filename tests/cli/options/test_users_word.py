"""What a user says of a network wins over what was seen: time, kind of input, neurons, and what is charged how."""

import importlib
import json
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

NETWORKS = """
    import torch
    from torch import nn


    class Fire(nn.Module):
        def forward(self, x):
            return (x > 0.5).to(x.dtype)


    class IF(nn.Module):
        def __init__(self):
            super().__init__()
            self.v = 0.0

        def forward(self, x):
            v = self.v + x
            spikes = (v >= 1.0).to(x.dtype)
            self.v = v - v * spikes
            return spikes


    class Step(nn.Module):  # one step of a network: the loop over time is its owner's
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.a, self.lif, self.b, self.out = nn.Linear(64, 32), IF(), nn.Linear(32, 10), IF()

        def forward(self, x):
            return self.out(self.b(self.lif(self.a(x))))


    class Axis(nn.Module):  # time on an axis of the input
        def __init__(self, axis=0):
            super().__init__()
            torch.manual_seed(0)
            self.axis, self.a, self.fire, self.b = axis, nn.Linear(48, 20), Fire(), nn.Linear(20, 10)

        def forward(self, x):
            found = [self.b(self.fire(self.a(one.flatten(1)))) for one in x.unbind(self.axis)]
            return torch.stack(found).mean(0)


    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.fire, self.pool = nn.Conv2d(3, 4, 3, padding=1), Fire(), nn.AvgPool2d(2)
            self.then, self.fire2, self.head = nn.Conv2d(4, 4, 3, padding=1), Fire(), nn.Linear(64, 10)

        def forward(self, x):
            x = self.then(self.pool(self.fire(self.conv(x))))
            return self.head(self.fire2(x).flatten(1))


    class Cell(nn.Module):  # weights and a threshold in one module
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(64, 32)

        def forward(self, x):
            return (self.fc(x) > 0.5).to(x.dtype)


    class Cells(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.cell, self.b = Cell(), nn.Linear(32, 10)

        def forward(self, x):
            return self.b(self.cell(x))


    class Rep(nn.Module):  # conv - BN - conv with nothing between
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem, self.fire, self.one = nn.Conv2d(3, 8, 3, padding=1), Fire(), nn.Conv2d(8, 8, 1, bias=False)
            self.bn, self.two = nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, bias=False)

        def forward(self, x):
            return self.two(self.bn(self.one(self.fire(self.stem(x))))).mean((2, 3))
"""
EVENTS = (np.random.default_rng(0).random((5, 3, 1, 6, 8)) < 0.3).astype(np.float32) * 2


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(textwrap.dedent(NETWORKS))
    np.savez(tmp_path / "events.npz", x=EVENTS)
    np.savez(tmp_path / "vectors.npz", x=np.random.default_rng(1).random((4, 64)).astype(np.float32) * 4)
    np.savez(tmp_path / "trains.npz", x=(np.random.default_rng(2).random((4, 3, 48)) < 0.2).astype(np.float32))
    np.savez(tmp_path / "images.npz", x=np.random.default_rng(3).random((4, 3, 8, 8)).astype(np.float32) * 2)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("nets", None)


@pytest.fixture
def asked(saformer):
    def ask(*options, command="energy"):
        result = saformer(command, *options, "--json", "-")
        assert result.code == 0, result.err
        return json.loads(result.out)

    return ask


def layer(found, name):
    (row,) = (row for row in found["layers"] if row["name"] == name)
    return row


# --- Time ---


def test_a_network_of_one_step_is_called_in_a_loop(asked, folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    net, x = importlib.import_module("nets").Step(), torch.from_numpy(np.load("vectors.npz")["x"])
    spikes = 0
    with torch.no_grad():
        for _ in range(6):
            spikes += int(net.lif(net.a(x)).sum())
    own = ("--model", "nets:Step", "--input", "vectors.npz")
    alone, looped = asked(*own), asked(*own, "--loop", "6")
    assert alone["layers"][0]["macs"] == 64 * 32
    assert looped["layers"][0]["macs"] == 6 * 64 * 32
    assert layer(looped, "b")["acs"] == spikes * 10 / 4
    nanojoules = (6 * 64 * 32 * 4.6 + spikes * 10 / 4 * 0.9) / 1000
    assert looped["totals"]["energy_mj"] * 1e6 == pytest.approx(nanojoules)
    assert (looped["model"]["time_steps"], looped["model"]["time_steps_from"]) == (6, "given")
    assert alone["totals"]["energy_mj"] < looped["totals"]["energy_mj"] / 5


def test_t_that_nobody_knows_is_no_number(saformer, asked):
    own = ("--model", "nets:Step", "--input", "vectors.npz")
    assert asked(*own)["model"]["time_steps"] is None
    assert "static images of 64, T = - (not seen: --time-steps T says it)" in saformer("energy", *own).out
    assert "T = 6 as given" in saformer("energy", *own, "--loop", "6").out


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_time_stands_where_the_user_says(asked, axis):
    own = ("--model", "nets:Axis", "--model-arg", f"axis={axis}", "--time-axis", axis)
    found = asked(*own, "--input", "events.npz")
    assert (found["model"]["time_steps"], found["model"]["time_steps_from"]) == (3, "frames")
    assert found["data"]["kind"] == "events"
    assert layer(found, "a")["sops"] == pytest.approx((EVENTS != 0).sum() * 20 / 5)
    images = asked(*own, "--time-steps", "3", "--input-shape", "1,6,8")
    assert layer(images, "a")["flops"] == 3 * 48 * 20
    assert (images["model"]["time_steps"], images["data"]["kind"]) == (3, "static")


def test_the_axis_before_all_others_is_time_first(asked):
    own = ("--model", "nets:Axis", "--input-shape", "1,6,8")
    assert asked(*own, "--time-axis", "0", "-T", "3")["layers"] == asked(*own, "--time-first", "3")["layers"]


def test_t_of_a_network_of_ones_own(asked):
    own = ("--model", "nets:Axis", "--model-arg", "axis=1", "--input", "events.npz")
    assert asked(*own)["model"]["time_steps_from"] == "layers"
    found = asked(*own, "--time-steps", "3")
    assert (found["model"]["time_steps"], found["model"]["time_steps_from"]) == (3, "given")


def test_t_is_read_from_where_it_stands(saformer):
    assert "T = 4 from the checkpoint" in saformer("energy", "--limit", "4").out
    assert "T = 2 as given" in saformer("energy", "--limit", "4", "-T", "2").out
    untrained = saformer("energy", "--model", "saformer-1-16", "--dataset", "digits", "--limit", "4")
    assert "T = 4 from its settings" in untrained.out
    rates = saformer("energy", "--model", "saformer-1-16", "--uniform-rate", "0.2", "-T", "3")
    assert "T = 3 as given" in rates.out


# --- What the input is, and what is a neuron ---


def test_the_kind_of_input(saformer, asked):
    own = ("--model", "nets:Axis", "--model-arg", "axis=1", "--input", "events.npz")
    seen, said = asked(*own), asked(*own, "--kind", "static")
    assert (seen["data"]["taken_for"], said["data"]["taken_for"]) == ("event frames", "static images (given)")
    assert layer(seen, "a")["macs"] == 0 and layer(seen, "a")["acs"] == layer(seen, "a")["sops"]
    assert layer(said, "a")["macs"] == layer(said, "a")["flops"] and layer(said, "a")["class"] == "real"
    assert "static images (given) of 3 x 1 x 6 x 8, T = 3" in saformer("energy", *own, "--kind", "static").out


def test_spike_trains(saformer):
    result = saformer("energy", "--model", "nets:Axis", "--model-arg", "axis=1", "--input", "trains.npz")
    assert "spike trains of 3 x 48, T = 3 as its layers ran; dense operations: spikes 100.0%" in result.out


def test_modules_that_are_neurons(asked):
    own = ("--model", "nets:Cells", "--input", "vectors.npz")
    assert [neurons["name"] for neurons in asked(*own)["neurons"]] == ["b (input)"]
    found = asked(*own, "--neurons", "ce*")
    assert [neurons["name"] for neurons in found["neurons"]] == ["cell"]
    assert [row["name"] for row in found["layers"]] == ["cell.fc", "b"]


# --- What is charged, from a profile as from a run ---


@pytest.fixture
def pooled(saformer):
    saved = ("--save-profile", "p.json", "--graded", "unroll")
    assert saformer("energy", "--model", "nets:Pooled", "--input", "images.npz", *saved).code == 0
    return ("--from-profile", "p.json")


def test_what_is_left_out(saformer, asked, pooled):
    whole, less = asked(*pooled), asked(*pooled, "--leave-out", "head", "--leave-out", "con*")
    assert [row["name"] for row in less["layers"]] == ["then"]
    assert less["layers"][0] == layer(whole, "then")
    assert any("left out by --leave-out: conv, head" in note for note in less["notes"])
    complaint = saformer("energy", *pooled, "--leave-out", "nothing").complaint
    assert "--leave-out nothing matches no operation" in complaint
    memory = ("--memory", "lemaire")
    rows = asked(*pooled, *memory, "--leave-out", "head")["memory"]["layers"]
    assert "head" in [row["name"] for row in asked(*pooled, *memory)["memory"]["layers"]]
    assert "head" not in [row["name"] for row in rows]


def test_where_the_rate_is_taken(asked, pooled):
    read, fired = asked(*pooled), asked(*pooled, "--rate-at", "output")
    neurons = {row["name"]: row["firing_rate"] for row in read["neurons"]}
    assert layer(read, "then")["acs"] == layer(read, "then")["sops"]
    assert layer(fired, "then")["acs"] == pytest.approx(neurons["fire"] * layer(read, "then")["flops"])
    assert layer(fired, "then")["acs"] < layer(read, "then")["acs"]
    assert layer(fired, "head") == layer(read, "head")


def test_how_whole_multiples_are_charged(asked, pooled):
    read = layer(asked(*pooled), "then")
    assert (read["class"], read["unit"], read["levels"]) == ("graded", 0.25, 3)
    rate, unrolled, macs = (layer(asked(*pooled, "--graded", how), "then") for how in ("rate", "unroll", "mac"))
    assert rate["acs"] == read["acs"]
    assert (macs["macs"], macs["acs"]) == (read["sops"], 0)
    fired = {row["name"]: row["spikes"] for row in asked(*pooled)["neurons"]}["fire"]
    assert unrolled["acs"] == pytest.approx(fired / (4 * 16) * read["flops"])
    assert layer(asked(*pooled, "--accounting", "integer-spikes"), "then")["acs"] == unrolled["acs"]


def test_the_first_layer(asked, saformer):
    own = ("--model", "nets:Axis", "--model-arg", "axis=1", "--input", "events.npz")
    saformer("energy", *own, "--save-profile", "e.json")
    events = layer(asked("--from-profile", "e.json", "--first-layer", "mac"), "a")
    assert (events["macs"], events["acs"]) == (events["sops"], 0)
    images = ("--model", "nets:Axis", "--input-shape", "1,6,8", "--time-axis", "0", "-T", "3")
    once = layer(asked(*images, "--first-layer", "once"), "a")
    assert once["macs"] * 3 == once["flops"]


@pytest.mark.parametrize("command", ["audit", "sensitivity", "compare", "report"])
def test_every_command_that_accounts_takes_them(saformer, pooled, command):
    out = ("--out", "page") if command == "report" else ()
    profile = ("p.json",) if command in ("compare", "report") else pooled
    how = ("--leave-out", "head", "--graded", "mac", "--rate-at", "input", "--first-layer", "once")
    result = saformer(command, *profile, *how, *out)
    assert result.code == 0, result.err
    shown = Path("page/report.md").read_text() if command == "report" else result.out
    assert "left out by --leave-out: head" in shown or command == "audit"
    assert not any(line.startswith("head ") for line in shown.splitlines())
    assert saformer(command, *profile, *out, "--leave-out", "nowhere").complaint


def test_a_sweep_and_an_ablation_take_them(saformer):
    for command in (("sweep", "time-steps", "1,2"), ("ablate", "--model", "saformer-1-8")):
        result = saformer(*command, "--limit", "4", "--leave-out", "head", "--kind", "static")
        assert result.code == 0, result.err
        assert "left out by --leave-out: head" in " ".join(result.out.split())
        assert "static images (given)" in result.out


# --- What does not fit together ---


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--from-profile", "p.json", "--kind", "static"), "leave out --kind"),
        (("--from-profile", "p.json", "--loop", "2"), "leave out --loop"),
        (("--from-profile", "p.json", "--neurons", "a"), "leave out --neurons"),
        (("--from-profile", "p.json", "--time-axis", "0"), "leave out --time-axis"),
        (("--model", "saformer-1-16", "--loop", "2", "--dataset", "digits"), "goes with a model of your own"),
        (("--time-axis", "0"), "goes with a model of your own"),
        (("--model", "nets:Step", "--input", "vectors.npz", "--loop", "0"), "--loop takes a number of time steps >= 1"),
        (("--model", "nets:Step", "--input", "vectors.npz", "--loop", "2", "-T", "2"), "leave out what else says"),
        (("--model", "nets:Step", "--input", "vectors.npz", "--neurons", "nowhere"), "matches no module"),
        (("--model", "nets:Step", "--input", "vectors.npz", "--neurons", "--layers"), "spiking layers is --spikes"),
        (("--model", "nets:Axis", "--input-shape", "1,6,8", "--time-axis", "0"), "say how often, --time-steps T"),
        (("--model", "nets:Axis", "--input", "events.npz", "--time-axis", "9"), "--time-axis 9: the input with time"),
        (("--model", "nets:Axis", "--input", "events.npz", "--time-axis", "0", "-T", "4"), "the events have 3 frames"),
        (("--model", "nets:Axis", "--input-shape", "1,6,8", "--time-axis", "0", "--time-first", "2"), "leave out the"),
    ],
)
def test_questions_that_contradict_themselves(saformer, options, words):
    assert words in saformer("energy", *options).complaint


# --- The audit judges by class ---


def test_chains_of_linear_layers_are_said_in_one_line(saformer, asked):
    own = ("--model", "nets:Rep", "--input", "images.npz")
    (chain,) = asked(*own, command="audit")["chains"]
    assert (chain["first"], chain["then"], chain["on_spikes"]) == ("one", ["two"], True)
    lines = " ".join(saformer("audit", *own).out.split())
    assert "linear layers with nothing between: two follow one, 53.6% of the dense" in lines
    assert "folding them (--fold) makes one layer on spikes" in lines
    assert "two: " in saformer("energy", *own).out  # the line on real values


def test_classes_in_an_audit(saformer, asked):
    own = ("--model", "nets:Pooled", "--input", "images.npz")
    items = {item["name"]: item for item in asked(*own, command="audit")["not_binary"]}
    then = items["then"]
    assert (then["class"], then["unit"], then["levels"]) == ("graded", 0.25, 3)
    assert (then["charged"]["paper"], then["charged"]["spike-driven"]) == ("ACs", "MACs")
    assert items.keys() == {"conv", "then"}
    out = saformer("audit", *own).out
    assert "then: multiples of 0.25 up to 3; averaging or summing of spikes" in out
    assert "graded: ACs by paper, integer-spikes; MACs by spike-driven" in out


def test_t_set_as_a_setting_is_given(asked):
    for how in (("--set", "time_steps=2"), ("-T", "2")):
        found = asked("--ckpt", "digits/saformer", "--limit", "4", *how)
        assert (found["model"]["time_steps"], found["model"]["time_steps_from"]) == (2, "given")
