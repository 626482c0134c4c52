"""`--model package.module:factory`: a user's own network, from the folder the user is in."""

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


    class Net(nn.Module):
        def __init__(self, channels=3, width=4, name="plain"):
            super().__init__()
            self.conv = nn.Conv2d(channels, width, 3, padding=1)
            self.fire = Fire()
            self.head = nn.Linear(width, 10)
            self.label = name

        def forward(self, x):
            return self.head(self.fire(self.conv(x)).flatten(2).mean(2))


    class InTime(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.fire = nn.Linear(8, 5), Fire()

        def forward(self, x):  # T x B x C x H x W
            return self.fire(self.fc(x)).mean((0, 2, 3))


    class Shelf:
        Net = Net


    ready = Net(width=2)


    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(7, 1)

        def forward(self, x):
            return self.fc(x)


    class Loud(nn.Module):
        def forward(self, x):
            raise KeyError("two\\nlines")


    def angry(**settings):
        raise RuntimeError("cannot be built\\nat all")


    def number():
        return 7


    def fft():
        class Fourier(nn.Module):
            def forward(self, x):
                return torch.fft.fft(x).real

        return nn.Sequential(Fourier(), nn.Flatten(), nn.Linear(192, 2))


    constant = 3
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with a package of networks; its modules are forgotten afterwards."""
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "__init__.py").write_text(textwrap.dedent(NETWORKS))
    (tmp_path / "mypkg" / "deep.py").write_text("from mypkg import Net\n")
    (tmp_path / "mypkg" / "bad.py").write_text("def broken(:\n")
    (tmp_path / "mypkg" / "rude.py").write_text("raise ValueError('not\\ntoday')\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    assert sys.path == path  # the current folder is looked at and not kept
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypkg"]:
        del sys.modules[name]


def network(**settings):
    from saformer.cli.resolve.foreign import load_foreign

    return load_foreign("mypkg:Net", [f"{key}={value}" for key, value in settings.items()], None, None)[0]


def measured(result):
    assert result.code == 0, result.err
    return json.loads(result.out)


RANDOM = ("--input-shape", "3,8,8", "--json", "-")


@pytest.mark.parametrize("name", ["mypkg:Net", "mypkg.deep:Net", "mypkg:Shelf.Net"])
def test_a_class_of_ones_own(saformer, name):
    found = measured(saformer("energy", "--model", name, *RANDOM))
    assert found["model"]["name"] == "Net"
    assert found["model"]["parameters"] == 3 * 4 * 9 + 4 + 4 * 10 + 10
    assert found["model"]["checkpoint"] is None
    assert found["data"]["images"] == 16
    assert [(layer["name"], layer["flops"]) for layer in found["layers"]] == [
        ("conv", 64 * 4 * 27),
        ("head", 40),
    ]
    assert [neuron["name"] for neuron in found["neurons"]] == ["fire"]
    assert any("inputs are random" in note for note in found["notes"])
    assert any("untrained" in note for note in found["notes"])


def test_arguments_are_literals_or_text(saformer):
    arguments = ("--model-arg", "width=6", "--model-arg", "name=fancy,one=two", "--model-arg", "channels=2")
    found = measured(saformer("energy", "--model", "mypkg:Net", *arguments, "--input-shape", "2x8x8", "--json", "-"))
    assert found["layers"][0]["flops"] == 64 * 6 * 18


def test_an_instance_will_do(saformer):
    found = measured(saformer("energy", "--model", "mypkg:ready", *RANDOM))
    assert found["layers"][0]["flops"] == 64 * 2 * 27


def test_data_of_ones_own(saformer, folder):
    np.savez(folder / "x.npz", x=np.ones((5, 3, 8, 8), np.float32), y=np.arange(5))
    found = measured(saformer("energy", "--model", "mypkg:Net", "--input", folder / "x.npz", "--json", "-"))
    assert found["data"]["images"] == 5
    assert found["accuracy"]["top1"] is not None
    assert not any("random" in note and "inputs" in note for note in found["notes"])


def test_time_first(saformer):
    found = measured(saformer("energy", "--model", "mypkg:InTime", "--time-first", "4", *RANDOM))
    assert found["model"]["time_steps"] == 4
    assert found["layers"][0]["flops"] == 4 * 24 * 8 * 5
    assert len(found["neurons"][0]["per_step"]) == 4


def test_time_first_is_the_number_of_frames(saformer, folder):
    np.savez(folder / "x.npz", x=np.ones((5, 4, 3, 8, 8), np.float32))
    command = ("energy", "--model", "mypkg:InTime", "--input", folder / "x.npz", "--json", "-", "--time-first")
    assert "the events have 4 frames, not 8: --time-first 4" in saformer(*command, "8").complaint
    assert measured(saformer(*command, "4"))["model"]["time_steps"] == 4


def test_a_checkpoint_of_ones_own(saformer, folder):
    torch.manual_seed(1)
    weights = network(width=6).state_dict()
    torch.save(weights, folder / "mine.pt")
    arguments = ("--model-arg", "width=6", "--ckpt", folder / "mine.pt")
    found = measured(saformer("energy", "--model", "mypkg:Net", *arguments, *RANDOM))
    assert found["model"]["checkpoint"] == "mine.pt"
    assert len(found["model"]["sha256"]) == 64
    assert not any("untrained" in note for note in found["notes"])
    # The weights are those of the file: twice the same spikes, whatever the factory draws.
    torch.manual_seed(2)
    again = measured(saformer("energy", "--model", "mypkg:Net", *arguments, *RANDOM))
    assert again["neurons"] == found["neurons"]
    torch.save({name: 0 * value - float(value.ndim == 1) for name, value in weights.items()}, folder / "mine.pt")
    silent = measured(saformer("energy", "--model", "mypkg:Net", *arguments, *RANDOM))
    assert sum(found["neurons"][0]["per_step"]) > 0 == sum(silent["neurons"][0]["per_step"])


@pytest.mark.parametrize("command", ["energy", "audit"])
def test_what_is_not_counted_is_named(saformer, command):
    found = measured(saformer(command, "--model", "mypkg:fft", *RANDOM))
    (operator,) = found["uncounted"]
    assert "fft" in operator


# --- Errors: one line, with the user's own words ---


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nosuchpkg:Net", ("nosuchpkg", "ModuleNotFoundError")),
        ("mypkg.nosuch:Net", ("mypkg.nosuch", "ModuleNotFoundError")),
        ("mypkg.bad:Net", ("mypkg.bad", "SyntaxError")),
        ("mypkg.rude:Net", ("mypkg.rude", "ValueError", "not today")),
        ("mypkg:Nosuch", ("no class or function 'Nosuch'",)),
        ("mypkg:Net.nosuch", ("no class or function 'Net.nosuch'",)),
        ("mypkg:constant", ("no class or function 'constant'",)),
        ("mypkg:", ("mypkg:",)),
        (":Net", (":Net",)),
        ("mypkg:angry", ("angry failed", "RuntimeError", "cannot be built at all")),
        ("mypkg:number", ("returned a int", "not a torch.nn.Module")),
        ("mypkg:Broken", ("Broken failed on the data", "RuntimeError", "shapes cannot be multiplied")),
        ("mypkg:Loud", ("Loud failed on the data", "KeyError")),
    ],
)
def test_errors_of_the_users_code_are_one_line(saformer, name, words):
    complaint = saformer("energy", "--model", name, "--input-shape", "3,8,8").complaint
    for word in words:
        assert word in complaint


@pytest.mark.parametrize("argument", ["width", "=3", "wi dth=3", "3=4", ""])
def test_arguments_that_are_none(saformer, argument):
    complaint = saformer("energy", "--model", "mypkg:Net", "--model-arg", argument, *RANDOM).complaint
    assert "--model-arg takes name=value" in complaint
    assert repr(argument) in complaint


def test_arguments_that_the_factory_does_not_take(saformer):
    complaint = saformer("energy", "--model", "mypkg:Net", "--model-arg", "depth=3", *RANDOM).complaint
    assert "Net failed: TypeError" in complaint
    assert "depth" in complaint


def test_a_factory_that_calls_exit_is_one_line(saformer, folder):
    (folder / "quits.py").write_text("import sys\n\n\ndef net(code=3):\n    sys.exit(code)\n")
    assert "net failed: SystemExit: 3" in saformer("energy", "--model", "quits:net", *RANDOM).complaint
    (folder / "gone.py").write_text("import sys\n\nsys.exit('no licence')\n")
    assert "cannot import gone: SystemExit: no licence" in saformer("energy", "--model", "gone:net", *RANDOM).complaint


def test_a_model_without_any_operation_does_not_claim_to_have_counted_some(saformer, folder):
    (folder / "empty.py").write_text("from torch import nn\n\nNet = nn.Identity\n")
    for command in ("energy", "audit"):
        result = saformer(command, "--model", "empty:Net", "--input-shape", "3,8,8")
        assert result.code == 0, result.err
        assert "there was no operation to count" in result.out
        assert "every operation was counted" not in result.out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("head.bias"), "parameter head.bias is missing from the checkpoint"),
        (
            lambda w: w.update({"head.bias": torch.zeros(3)}),
            "parameter head.bias has shape 3, the model needs 10",
        ),
        (lambda w: w.update({"tail.bias": torch.zeros(3)}), "parameter tail.bias (1 in all) has no place"),
    ],
)
def test_checkpoints_of_other_networks(saformer, folder, change, words):
    weights = dict(network().state_dict())
    change(weights)
    torch.save(weights, folder / "other.pt")
    complaint = saformer("energy", "--model", "mypkg:Net", "--ckpt", folder / "other.pt", *RANDOM).complaint
    assert words in complaint
    assert "other.pt" in complaint


def test_checkpoints_that_are_none(saformer, folder):
    (folder / "junk.pt").write_bytes(b"junk")
    for name in ("junk.pt", "nosuch.pt"):
        assert name in saformer("energy", "--model", "mypkg:Net", "--ckpt", folder / name, *RANDOM).complaint


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--model", "mypkg:Net"), "--input-shape"),
        (("--model", "mypkg:Net", "--input-shape", "3,8,8", "--dataset", "digits"), "leave them out"),
        (("--model", "mypkg:Net", "--input-shape", "3,8,8", "-T", "4"), "--time-steps is for our own models"),
        (("--model", "mypkg:InTime", "--input-shape", "3,8,8", "--time-first", "0"), "--time-first"),
        (("--model", "saformer-1-16", "--input-shape", "3,8,8"), "a model of your own"),
        (("--model", "saformer-1-16", "--model-arg", "a=1"), "a model of your own"),
        (("--time-first", "4"), "a model of your own"),
    ],
)
def test_questions_that_make_no_sense(saformer, args, words):
    assert words in saformer("energy", *args).complaint


def test_a_label_beyond_the_classes_of_ones_own_model(saformer, folder):
    np.savez(folder / "x.npz", x=np.ones((2, 3, 8, 8), np.float32), y=np.array([3, 10]))
    complaint = saformer("energy", "--model", "mypkg:Net", "--input", folder / "x.npz").complaint
    assert "label 10" in complaint
