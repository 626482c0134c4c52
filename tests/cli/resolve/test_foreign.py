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
    tested = measured(saformer("eval", "mypkg:Net", "--input", folder / "x.npz", "--json", "-"))
    assert tested["accuracy"]["top1"] is not None
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
    complaint = saformer("energy", "--model", "mypkg:Net", "--model-arg", "widht=3", *RANDOM).complaint
    assert complaint.endswith("Net has no argument 'widht' (did you mean width?): it takes channels, width, name")


def test_a_factory_that_is_not_there_has_a_nearest_one(saformer):
    assert "no class or function 'Nte' (did you mean Net?)" in saformer("energy", "mypkg:Nte", *RANDOM).complaint


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
        (("--model", "mypkg:Net", "--input-shape", "3,8,8", "--heads", "4"), "--heads 4 is for our own models"),
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


# --- Loading what nobody wrote for this program ---


def test_a_module_that_parses_arguments_sees_an_empty_command_line(saformer, folder):
    (folder / "script.py").write_text(
        "import argparse, sys\nfrom torch import nn\n\n"
        "settings = argparse.ArgumentParser()\nsettings.add_argument('--width', type=int, default=4)\n"
        "width = settings.parse_args().width\nassert len(sys.argv) == 1\n\n\n"
        "def net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(192, settings.parse_args().width))\n"
    )
    before = list(sys.argv)
    assert measured(saformer("energy", "--model", "script:net", *RANDOM))["layers"][0]["flops"] == 192 * 4
    assert sys.argv == before  # only while the module ran
    (folder / "wants.py").write_text(
        "import argparse\n\nsettings = argparse.ArgumentParser()\nsettings.add_argument('--data', required=True)\n"
        "settings.parse_args()\n"
    )
    complaint = saformer("energy", "--model", "wants:net", *RANDOM).complaint
    assert "cannot import wants: it parses a command line and got an empty one" in complaint
    assert "--data" in complaint


def test_what_ones_own_code_prints_stays_out_of_the_results(saformer, folder):
    (folder / "noisy.py").write_text(
        "import os\nfrom torch import nn\n\nprint('importing')\n\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        print('building')\n"
        "        self.fc = nn.Linear(192, 2)\n\n"
        "    def forward(self, x):\n        print('running')\n        os.write(1, b'below')\n"
        "        return self.fc(x.flatten(1))\n\n"
        "    def eval(self):\n        print('evaluating')\n"
    )
    result = saformer("energy", "--model", "noisy:Net", *RANDOM)
    assert measured(result)["layers"][0]["flops"] == 384
    for word in ("importing", "building", "evaluating", "running"):
        assert word in result.err


@pytest.mark.parametrize("wrap", ["nn.DataParallel({})", "torch.compile({})", "{}"])
@pytest.mark.parametrize("stored", ["{}", "module.{}", "_orig_mod.{}", "module._orig_mod.{}"])
def test_prefixes_of_wrappers_on_either_side(saformer, folder, wrap, stored):
    inner = wrap.format("nn.Linear(192, 2)")
    (folder / "wrapped.py").write_text(
        "import torch\nfrom torch import nn\n\n\n"
        f"def net():\n    return {wrap.format(f'nn.Sequential(nn.Flatten(), {inner})')}\n"
    )
    sys.modules.pop("wrapped", None)
    weights = {"1.weight": torch.full((2, 192), 7.0), "1.bias": torch.zeros(2)}
    torch.save({stored.format(name): value for name, value in weights.items()}, folder / "w.pt")
    from saformer.cli.resolve.foreign import load_foreign

    model, _ = load_foreign("wrapped:net", [], str(folder / "w.pt"), None)
    assert float(model.state_dict()[next(n for n in model.state_dict() if n.endswith("weight"))][0, 0]) == 7


def test_a_part_of_the_network_may_be_called_module():
    from saformer.cli.resolve.foreign import named_as

    one, other = torch.zeros(1), torch.ones(1)
    assert named_as(["module.a", "a"], {"module.a": one, "a": other}) == {"module.a": one, "a": other}
    assert named_as(["net.module.a"], {"net.a": one}) == {"net.module.a": one}
    assert named_as(["net.a"], {"net.module.a": one, "x": other}) == {"net.a": one, "x": other}


def test_text_stays_text_where_the_factory_takes_text():
    from typing import Literal

    from saformer.cli.resolve.foreign import parse_argument

    def factory(a: str, b: "str | None", c: Literal["11", "01"], f: int | str, d="0011", e=3, **more):
        return a, b, c, d, e, f, more

    for key in "abcd":
        assert parse_argument(f"{key}=1111", "--model-arg", factory) == (key, "1111")
        assert parse_argument(f"{key}='1111'", "--model-arg", factory) == (key, "1111")
    for key in ("e", "f", "g"):
        assert parse_argument(f"{key}=1111", "--model-arg", factory) == (key, 1111)
        assert parse_argument(f"{key}='1111'", "--model-arg", factory) == (key, "1111")
    assert parse_argument("b=None", "--model-arg", factory) == ("b", None)


def test_an_eval_that_returns_nothing(saformer, folder):
    (folder / "bare.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n"
        "    def __init__(self):\n        super().__init__(nn.Flatten(), nn.Linear(192, 2))\n\n"
        "    def eval(self):\n        super().eval()\n\n\n"
        "class Stubborn(Net):\n    def train(self):\n        pass\n"
    )
    from saformer.cli.resolve.foreign import load_foreign

    for name in ("Net", "Stubborn"):
        model, _ = load_foreign(f"bare:{name}", [], None, None)
        assert model is not None and not model.training


def test_an_old_spikingjelly_without_cupy_runs_on_its_torch_backend(saformer, folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (folder / "clock_driven").mkdir()
    (folder / "clock_driven" / "neuron.py").write_text(
        "from torch import nn\n\n\ndef check_backend(backend):\n    assert backend == 'torch', 'no CuPy'\n\n\n"
        "class LIF(nn.Module):\n    def __init__(self, backend):\n        super().__init__()\n"
        "        check_backend(backend)\n        self.backend = backend\n\n"
        "    def forward(self, x):\n        assert self.backend == 'torch'\n        return (x > 0.5).float()\n"
    )
    (folder / "former.py").write_text(
        "from torch import nn\nfrom clock_driven.neuron import LIF\n\n"
        "net = nn.Sequential(nn.Flatten(), nn.Linear(192, 9), LIF('cupy'), nn.Linear(9, 2))\n"
    )
    found = measured(saformer("energy", "--model", "former:net", *RANDOM))
    (note,) = [note for note in found["notes"] if "CuPy" in note]
    assert note.startswith("LIF: ") and "its torch backend" in note
    assert [neuron["name"] for neuron in found["neurons"]] == ["2"]


# --- Inputs of every kind ---

SEVERAL = """
    from types import SimpleNamespace

    from torch import nn


    class Vectors(nn.Sequential):
        def __init__(self, width=784):
            super().__init__(nn.Linear(width, 10))


    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.fc = nn.Embedding(100, 8), nn.Linear(8, 3)

        def forward(self, ids, mask=None):
            x = self.table(ids)
            x = x if mask is None else x * mask[..., None]
            return SimpleNamespace(logits=self.fc(x.mean(1)))


    class Both(Words):
        def forward(self, ids, mask):
            return super().forward(ids, mask)
"""


@pytest.fixture
def several(folder):
    (folder / "several.py").write_text(textwrap.dedent(SEVERAL))
    yield folder
    sys.modules.pop("several", None)


def test_vectors_series_and_tokens(saformer, several):
    def flops(*options):
        return measured(saformer("energy", *options, "--json", "-"))["layers"][-1]["flops"]

    assert flops("--model", "several:Vectors", "--input-shape", "784") == 7840
    assert flops("--model", "several:Vectors", "--model-arg", "width=40", "--input-shape", "100,40") == 40000
    tokens = ("--input-shape", "12", "--input-dtype", "int64", "--high", "100")
    assert flops("--model", "several:Words", *tokens) == 24


def test_several_inputs_by_name(saformer, several):
    shapes = ("--input-shape", "ids=12:int64:100", "--input-shape", "mask=12")
    found = measured(saformer("energy", "--model", "several:Both", *shapes, "--json", "-"))
    assert found["layers"][-1]["flops"] == 24 and found["data"]["name"] == "random ids 12, mask 12"
    result = saformer("flops", "--model", "several:Both", *shapes)
    assert result.code == 0 and "one sample of ids 12, mask 12" in result.out
    complaint = saformer("energy", "--model", "several:Both", "--input-shape", "12", "--input-dtype", "int64").complaint
    assert "Both takes ids, mask; the batch holds 1 input" in complaint


def test_a_file_with_an_array_for_each_input(saformer, several):
    rng = np.random.default_rng(0)
    arrays = {"ids": rng.integers(0, 100, (20, 12)), "mask": np.ones((20, 12), np.float32), "labels": np.arange(20) % 3}
    np.savez(several / "words.npz", **arrays)
    found = measured(saformer("energy", "--model", "several:Both", "--input", several / "words.npz", "--json", "-"))
    assert found["data"]["images"] == 20
    tested = measured(saformer("eval", "several:Both", "--input", several / "words.npz", "--json", "-"))
    assert found["accuracy"] is None and tested["accuracy"]["top1"] is not None
    complaint = saformer(
        "energy", "--model", "several:Both", "--input", several / "words.npz", "--high", "3", "--input-dtype", "int64"
    ).complaint
    assert "--high" in complaint


# --- Layouts, weights and seeds ---

LAYOUTS = """
    import io
    import random

    import numpy
    import snntorch
    import torch
    from spikingjelly.activation_based import functional, layer, neuron
    from torch import nn


    def single():
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 5), neuron.IFNode())


    def multi():
        net = nn.Sequential(layer.Flatten(), layer.Linear(12, 5), neuron.IFNode())
        functional.set_step_mode(net, "m")
        return net


    def stateful():
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 5), snntorch.Leaky(beta=0.9, init_hidden=True))


    class EveryStep(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(12, 5), snntorch.Leaky(beta=0.9)

        def forward(self, x):
            membrane, steps = self.lif.init_leaky(), []
            for _ in range(6):
                spikes, membrane = self.lif(self.fc(x.flatten(1)), membrane)
                steps.append(spikes)
            return torch.stack(steps)


    class BatchFirst(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.lif = nn.Linear(12, 5), neuron.LIFNode(step_mode="m")

        def forward(self, x):
            b, t, c, h, w = x.shape
            return self.lif(self.fc(x.flatten(2)).transpose(0, 1)).mean(0)


    class Unbatched(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(12, 5)

        def forward(self, x):
            c, h, w = x.shape
            return self.fc(x.flatten())


    def loaded():
        net = single()
        net[1].load_state_dict({"weight": torch.ones(5, 12), "bias": torch.zeros(5)})
        return net


    def whole():
        file = io.BytesIO()
        torch.save(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), file)
        file.seek(0)
        return torch.load(file, weights_only=False)


    def drawn():
        return nn.Sequential(nn.Flatten(), nn.Linear(12, random.randint(9, 99) * numpy.random.randint(9, 99)))
"""


@pytest.fixture
def layouts(folder):
    (folder / "mypkg" / "layouts.py").write_text(textwrap.dedent(LAYOUTS))
    return lambda name: ("energy", f"mypkg.layouts:{name}", "--input-shape", "3,2,2")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("multi", (), "given B x 3 x 2 x 2, and runs with --time-first 4 or with --time-axis 1 --time-steps 4"),
        ("BatchFirst", (), "runs with --time-axis 1 --time-steps 4"),
        ("BatchFirst", ("--loop", "2"), "runs with --time-axis 1 --time-steps 2"),
        ("single", ("--time-first", "3"), "given T x B x 3 x 2 x 2, and runs with --loop 3"),
        ("EveryStep", ("--time-first", "3"), "runs without --time-first or with --loop 3"),
        ("stateful", ("--time-axis", "-1", "-T", "2"), "given B x 3 x 2 x 2 x T, and runs with --loop 2"),
        ("Unbatched", (), "no other layout runs: does it take a batch B"),
    ],
)
def test_a_layout_that_would_run_is_named(saformer, layouts, name, options, words):
    complaint = saformer(*layouts(name), *options).complaint
    assert "failed on the data" in complaint and complaint.endswith(words) is ("batch B" not in words), complaint
    assert words in complaint


@pytest.mark.parametrize("factory", ["loaded", "whole"])
def test_weights_that_a_factory_loads_are_trained_ones(saformer, layouts, factory):
    found = measured(saformer(*layouts(factory), "--loop", "2", "--json", "-"))
    assert any("its factory loaded weights" in note for note in found["notes"])
    assert not any("untrained" in note for note in found["notes"])


def test_the_same_seed_draws_the_same_network_whatever_draws_it(saformer, layouts):
    command = (*layouts("drawn"), "--json", "-")
    first, again, other = (measured(saformer(*command, "--seed", seed)) for seed in (0, 0, 1))
    assert first == again and first["totals"] != other["totals"]


def test_an_instance_takes_no_arguments(saformer):
    assert "takes no arguments" in saformer("energy", "mypkg:ready+width=2", *RANDOM[:2]).complaint
