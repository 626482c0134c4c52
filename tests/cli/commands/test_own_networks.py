"""Networks of the user's own, of SpikingJelly and snnTorch, in every command beside ours."""

import json
import sys
import textwrap

import pytest
import torch

NETWORKS = '''
    import snntorch
    import torch
    from spikingjelly.activation_based import functional, layer, neuron
    from torch import nn


    def jelly(channels=4, loop=False):
        net = nn.Sequential(
            layer.Conv2d(1, channels, 3, padding=1, bias=False),
            layer.BatchNorm2d(channels),
            neuron.IFNode(),
            layer.Flatten(),
            layer.Linear(64 * channels, 10),
            neuron.IFNode(),
        )
        functional.set_step_mode(net, "s" if loop else "m")
        return net


    class Torch(nn.Module):
        def __init__(self, steps=4):
            super().__init__()
            self.steps = steps
            self.fc1, self.fc2 = nn.Linear(64, 16), nn.Linear(16, 10)
            self.lif1, self.lif2 = snntorch.Leaky(beta=0.9), snntorch.Leaky(beta=0.9)

        def forward(self, x):
            mem1, mem2, out = self.lif1.init_leaky(), self.lif2.init_leaky(), []
            for _ in range(self.steps):
                spikes, mem1 = self.lif1(4 * self.fc1(x.flatten(1)), mem1)
                spikes, mem2 = self.lif2(self.fc2(spikes), mem2)
                out.append(spikes)
            return torch.stack(out)


    def maps(net, x):
        """Spikes of the first layer."""
        return {"first": net[:3](x)[:, 0].sum(1), "still": torch.ones(8, 8)}


    def below_zero(net, x):
        return {"first": -torch.ones(8, 8)}
'''
DIGITS = ("--dataset", "digits", "--limit", "8")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "own_nets.py").write_text(textwrap.dedent(NETWORKS))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_nets", None)


def measured(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_a_comparison_of_every_kind(saformer, folder):
    saved = folder / "my.json"
    assert saformer("energy", "own_nets:Torch", *DIGITS, "--label", "Saved", "--save-profile", saved).code == 0
    figure = folder / "c.svg"
    result = saformer(
        *("compare", "SAFormer (ours)=digits/saformer", "My & Net=own_nets:jelly+channels=2", "sdt-1-8", saved),
        *("--time-first", "4", *DIGITS, "--plot", figure, "--format", "latex"),
    )
    assert result.code == 0, result.err
    assert "SAFormer (ours)" in result.out and r"My \& Net" in result.out and "my.json" in result.out
    assert "SAFormer (ours)" in figure.read_text()
    # Random weights on both sides have no relative difference.
    untrained = ("compare", "Mine=own_nets:jelly", "sdt-1-8", "--time-first", "2")
    (table,) = measured(saformer(*untrained, *DIGITS, "--format", "json"))["tables"]
    assert [row["relative_difference_energy"] for row in table["rows"]] == [None, None]


def test_random_inputs_go_to_all_or_to_none(saformer):
    shape = ("--input-shape", "1,8,8")
    result = saformer("compare", "own_nets:Torch", "digits/sdt", *shape)
    assert result.code == 0, result.err
    assert "Energy per image on random 1x8x8" in result.out and "the inputs are random" in " ".join(result.out.split())
    assert (
        "takes images of 1 x 8 x 8"
        in saformer("compare", "digits/sdt", "own_nets:Torch", "--input-shape", "1,6,6").complaint
    )
    assert "takes images of" in saformer("compare", "sdt-1-8", "own_nets:Torch", "--input-shape", "64").complaint
    assert "leave them out where data is" in saformer("compare", "own_nets:Torch", *shape, *DIGITS).complaint
    assert "say what to run your model on" in saformer("compare", "own_nets:Torch", "own_nets:jelly").complaint


@pytest.mark.parametrize(
    "option", [("--loop", "2"), ("--model-arg", "a=1"), ("--time-axis", "1"), ("--input-shape", "1,8,8")]
)
def test_an_option_that_reaches_no_network_is_refused(saformer, option):
    for command in (
        ("compare", "digits/sdt", "sdt-1-8"),
        ("energy", "sdt-1-8"),
        ("sweep", "time-steps", "1", "digits/sdt"),
    ):
        assert f"{option[0]} goes with a model of your own" in saformer(*command, *option).complaint


def test_networks_that_take_time_differently_stand_in_one_table(saformer):
    own = "own_nets:jelly+channels=2+--time-first=3", "own_nets:jelly+loop=True+--loop=2"
    found = json.loads(saformer("compare", *own, "digits/sdt", *DIGITS, "--format", "json").out)
    assert [row["time_steps"] for row in found["tables"][0]["rows"]] == [3, 2, 4]
    assert "did you mean --time-first" in saformer("energy", "own_nets:jelly+--time-frist=3", *DIGITS).complaint
    assert "whole number" in saformer("energy", "own_nets:jelly+--time-first=all", *DIGITS).complaint
    assert "digits/sdt is none" in saformer("energy", "digits/sdt+--time-first=3").complaint


def test_a_test_of_the_accuracy(saformer, folder):
    torch.manual_seed(0)
    weights = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(4),
        *(torch.nn.Identity(), torch.nn.Flatten()),
        torch.nn.Linear(256, 10),
    )
    torch.save(weights.state_dict(), folder / "weights.pt")
    network = ("own_nets:jelly+loop=True", "--ckpt", "weights.pt", "--loop", "2", *DIGITS, "--json", "-")
    found, profiled = measured(saformer("eval", *network)), measured(saformer("energy", *network))
    assert found["accuracy"] == profiled["accuracy"] and found["loss"] is None
    assert [neuron["name"] for neuron in found["neurons"]] == ["2", "5"]
    assert "has no labels" in saformer("eval", "own_nets:jelly", "--input-shape", "1,8,8").complaint
    (folder / "p.json").write_text("{}")
    assert "holds no network to run" in saformer("eval", "p.json").complaint


def test_the_accuracy_of_random_weights_is_shown_where_it_is_asked_for_and_nowhere_else(saformer, folder):
    network = ("own_nets:jelly+loop=True", "--loop", "2", *DIGITS)
    assert "the accuracy is that of random weights" in saformer("eval", *network).out
    assert measured(saformer("energy", *network, "--json", "-"))["accuracy"] is None
    assert "top-1" not in saformer("energy", *network).out + saformer("summary", *network).out


def test_a_sweep_of_networks_of_ones_own(saformer):
    found = measured(
        saformer(
            *("sweep", "time-steps", "1,3", "own_nets:Torch+steps={T}", "Ours=sdt-1-8"),
            *("--dataset", "digits", "--limit", "4", "--batch-size", "4", "--format", "json"),
        )
    )
    assert found["networks"] == ["own_nets:Torch+steps={T}", "Ours"]
    assert [p["totals"]["flops"] // (64 * 16 + 160) for p in found["points"][:2]] == [1, 3]
    swept = ("sweep", "time-steps", "1,2", "own_nets:jelly", "--dataset", "digits")
    assert "say how T reaches your model" in saformer(*swept).complaint
    options = ("--loop", "9", "--limit", "4", "--format", "json")
    looped = measured(saformer(*swept[:3], "own_nets:jelly+loop=True", *swept[4:], *options))
    assert [p["model"]["time_steps"] for p in looped["points"]] == [1, 2]


def test_rasters_and_maps(saformer, folder):
    image = ("--dataset", "digits", "--image", "3")
    torch_raster = saformer("attention", "own_nets:Torch", *image, "--raster", folder / "r.png")
    assert torch_raster.code == 0, torch_raster.err
    assert "lif1" in torch_raster.out and "lif2" in torch_raster.out and "(label 7)" in torch_raster.out
    mine = ("attention", "own_nets:jelly", "--time-first", "3", *image)
    assert "has no attention with maps" in saformer(*mine).complaint
    found = measured(saformer(*mine, "--maps", "own_nets:maps", "--plot", folder / "m.png", "--json", "-"))
    assert [(one["name"], len(one["per_step"]), one["value"]) for one in found["networks"][0]["maps"]] == [
        ("first", 3, "Spikes of the first layer"),
        ("still", 1, "Spikes of the first layer"),
    ]
    assert "not negative" in saformer(*mine, "--maps", "own_nets:below_zero").complaint
    assert "no class or function" in saformer(*mine, "--maps", "own_nets:nothing").complaint
    assert (
        "there is none here" in saformer("attention", "digits/sdt", "--image", "3", "--maps", "own_nets:maps").complaint
    )


def test_a_network_that_an_accounting_does_not_know_has_a_dash(saformer):
    result = saformer("compare", "digits/sdt", "Mine=own_nets:Torch", *DIGITS, "--accounting", "all")
    assert "spikingformer (-) knows no operation of Mine" in " ".join(result.out.split())
    alone = measured(saformer("energy", "own_nets:Torch", *DIGITS, "--accounting", "spikingformer", "--json", "-"))
    assert any("knows no operation" in note for note in alone["notes"])


@pytest.mark.parametrize("command", ["audit", "sensitivity", "flops"])
def test_commands_of_one_network(saformer, command):
    given = ("--input-shape", "1,8,8")
    result = saformer(command, "Mine=own_nets:jelly", "--time-first", "2", *given)
    assert result.code == 0, result.err
    assert "Mine" in result.out
