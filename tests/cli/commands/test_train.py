"""`train`, `eval` and `plot`: a run from the first command to the figure."""

import json
import os
import shutil
import signal
import threading
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from small_data import write_cifar10

from saformer.training import Recipe, RunFolder, load_recipe, read_metrics

TINY = ("--dataset", "digits", "--model", "saformer-1-16", "-T", "2", "--epochs", "1", "--seed", "3")


pytestmark = pytest.mark.usefixtures("few_digits_in_module")


@pytest.fixture(scope="module")
def trained(prepared, few_digits_in_module, tmp_path_factory) -> Path:
    """The folder of a run of one epoch, which stays as it is."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    prepared("train", *TINY, "--out", folder)
    return folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of it."""
    return shutil.copytree(trained, tmp_path / "run")


def test_training_ends_in_checkpoints_that_energy_reads(saformer, run):
    for name in ("best.safetensors", "last-00000002.safetensors"):
        result = saformer("energy", "--ckpt", run / name, "--dataset", "digits", "--limit", "20", "--json", "-")
        assert json.loads(result.out)["model"]["name"] == "saformer-1-16"


def test_the_same_command_again_says_that_the_run_is_done_and_changes_nothing(saformer, run):
    before = (run / "best.safetensors").read_bytes()
    for command in (("train", *TINY), ("train",)):  # the folder alone says which run it is
        result = saformer(*command, "--out", run)
        assert result.code == 0, result.err
        assert "going on from last-00000002.safetensors" in " ".join(result.out.split())
        assert "epoch   1" not in result.out
    assert (run / "best.safetensors").read_bytes() == before


def test_other_options_in_the_folder_of_a_run_are_told_what_differs(saformer, run):
    said = saformer("train", *TINY, "--out", run, "--epochs", "2", "--mixup", "0.5").complaint
    assert "epochs 1 (now 2), mixup 0.0 (now 0.5)" in said and "--out" in said


def test_every_field_of_a_recipe_is_an_option_that_reaches_it(saformer, tmp_path, monkeypatch):
    given = {
        "model": ("sdt-1-16", "sdt-1-16"),
        "dataset": ("digits", "digits"),
        "split_by": ("time", "time"),
        "epochs": ("1", 1),
        "batch_size": ("33", 33),
        "learning_rate": ("0.01", 0.01),
        "weight_decay": ("0.5", 0.5),
        "warmup_epochs": ("1", 1),
        "label_smoothing": ("0.2", 0.2),
        "time_steps": ("3", 3),
        "shift": ("2", 2),
        "flip": (None, True),
        "randaugment": ("1", 1),
        "erasing": ("0.1", 0.1),
        "mixup": ("0.3", 0.3),
        "mixup_off_epoch": ("1", 1),
        "event_flip": (None, True),
        "event_roll": ("1", 1),
        "event_rotation": ("2", 2),
        "event_shear": ("3", 3),
        "event_cutout": ("4", 4),
        "min_learning_rate": ("0.001", 0.001),
        "accumulate": ("2", 2),
        "clip_gradient": ("1", 1),
        "ema": ("0.9", 0.9),
        "autocast": ("bf16", "bf16"),
        "compile": (None, True),
        "channels_last": (None, True),
        "seed": ("5", 5),
        "settings": ("heads=4", {"heads": 4}),
    }
    assert given.keys() == {entry.name for entry in fields(Recipe)}
    options: list[str] = []
    for name, (text, _) in given.items():
        flag = "--set" if name == "settings" else f"--{name.replace('_', '-')}"
        options += [flag] if text is None else [flag, text]
    seen: list[Recipe] = []
    monkeypatch.setattr(RunFolder, "check", lambda self, recipe: seen.append(recipe))
    # Digits are no events, so it ends there.
    assert (
        "does not apply to digits, which holds static images"
        in saformer("train", *options, "--out", tmp_path / "run").err
    )
    assert seen[0].to_dict() == {name: value for name, (_, value) in given.items()}


def test_a_recipe_from_a_file_and_options_that_win_over_it(saformer, run, tmp_path):
    result = saformer("train", "--recipe", run / "recipe.toml", "--seed", "4", "--out", tmp_path / "second")
    assert result.code == 0, result.err
    first, second = (load_recipe(file=folder / "recipe.toml") for folder in (run, tmp_path / "second"))
    assert first.differences(second) == [("seed", 3, 4)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read the recipe"),
        ("epochs = ", "is not a TOML file"),
        ("epochs = 3\n", "the recipe does not say model"),
        ('dataset = "digits"\nmodel = "saformer-1-16"\nspeed = 3\n', "has no key 'speed'"),
        ('dataset = "digits"\nmodel = 3\n', "the recipe does not say epochs"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_named(saformer, tmp_path, text, said):
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    complaint = saformer("train", "--recipe", path, "--out", tmp_path / "run").complaint
    assert said in complaint and str(path) in complaint
    assert not (tmp_path / "run").exists()


def test_a_command_that_was_refused_can_be_given_again_corrected(saformer, tmp_path):
    short = (*TINY, "--epochs", "1", "--out", tmp_path / "run")
    refused = saformer("train", *short, "--shift", "9")
    assert refused.code == 1 and "shift must be" in refused.err
    assert saformer("train", *short, "--shift", "2").code == 0


def test_training_refuses_bad_input(saformer, tmp_path):
    assert "--dataset" in saformer("train").complaint
    assert "mnist" in saformer("train", "--dataset", "mnist").complaint
    assert "epochs" in saformer("train", "--dataset", "digits", "--epochs", "0").complaint
    assert "nothing-9" in saformer("train", "--dataset", "digits", "--model", "nothing-9").complaint
    file = tmp_path / "file"
    file.write_text("mine")
    assert "there is a file in its place" in saformer("train", *TINY, "--out", file / "run").complaint
    assert file.read_text() == "mine"
    assert saformer("train", *TINY, "--out", " ").complaint == "saformer: --out needs the name of a folder, got ' '"
    assert "folder of the run" in saformer("train", *TINY, "--out", tmp_path / "x.safetensors").complaint
    assert "--set takes KEY=VALUE" in saformer("train", *TINY, "--set", "heads").complaint
    assert "did you mean aggregated?" in saformer("train", *TINY, "--set", "aggregatd=2").complaint
    assert "--keep must be at least 1" in saformer("train", *TINY, "--keep", "0", "--out", tmp_path / "r").complaint
    for wrong in (("--shift", "9"), ("--event-flip",), ("--device", "abacus")):
        assert saformer("train", *TINY, *wrong, "--out", tmp_path / "made" / "r").complaint
    assert {entry.name for entry in tmp_path.iterdir()} == {"file"}


def test_ctrl_c_leaves_a_run_that_the_same_command_finishes(saformer, tmp_path):
    undisturbed = saformer("train", *TINY, "--epochs", "3", "--out", tmp_path / "whole")
    assert undisturbed.code == 0, undisturbed.err
    command = ("train", *TINY, "--epochs", "3", "--out", tmp_path / "run")

    def interrupt() -> None:
        while not stop.wait(0.001):
            if (tmp_path / "run" / "recipe.toml").exists():
                os.kill(os.getpid(), signal.SIGINT)
                return

    stop = threading.Event()
    watcher = threading.Thread(target=interrupt)
    watcher.start()
    result = saformer(*command)
    stop.set()
    watcher.join()
    assert result.code == 130
    assert "the same command goes on from there" in result.err and "Traceback" not in result.err
    finished = saformer(*command)
    assert finished.code == 0, finished.err
    best = [(tmp_path / name / "metrics.csv") for name in ("whole", "run")]
    whole, run = ([(e.loss, e.test_loss) for e in read_metrics(path)] for path in best)
    assert whole == run


def test_silent_layers_are_named_while_the_network_learns(saformer, tmp_path):
    # Weights that decay to nothing: no layer gets any current but by BatchNorm.
    result = saformer("train", *TINY, "--learning-rate", "1e-6", "--warmup-epochs", "0", "--out", tmp_path / "run")
    assert result.code == 0, result.err
    assert "warning: after epoch 1, silent (firing rate below 0.1%): " in result.err
    rates = read_metrics(tmp_path / "run" / "metrics.csv")[0].firing_rates
    silent = [name for name, rate in rates.items() if rate < 0.001]
    assert silent and all(name in result.err for name in silent)


def test_eval_counts_all_images_and_energy_agrees(saformer, run):
    result = saformer("eval", "--ckpt", run / "best.safetensors", "--dataset", "digits", "--json", "-")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    energy = json.loads(
        saformer("energy", "--ckpt", run / "best.safetensors", "--dataset", "digits", "--limit", "0", "--json", "-").out
    )
    assert found["data"] == {"name": "digits", "split": "test", "images": 64, "kind": "static"}
    assert found["accuracy"] == energy["accuracy"]
    rates = {neurons["name"]: neurons["firing_rate"] for neurons in energy["neurons"]}
    assert {neurons["name"]: neurons["firing_rate"] for neurons in found["neurons"]} == pytest.approx(rates)
    assert read_metrics(run / "metrics.csv")[0].test_accuracy == found["accuracy"]["top1"]


def test_eval_for_another_number_of_steps_and_as_text(saformer, run, tmp_path):
    target = tmp_path / "e.json"
    options = ("-T", "3", "--spikes", "--limit", "16", "--json", target)
    result = saformer("eval", "--ckpt", run / "best.safetensors", "--dataset", "digits", *options)
    assert result.code == 0, result.err
    assert "saformer-1-16, T = 3, on digits, test split: 16 images" in result.out
    assert "top-1" in result.out and "top-5" in result.out and "head_lif" in result.out
    assert json.loads(target.read_text())["model"]["time_steps"] == 3


def test_a_card_is_measured_on_what_the_network_was_trained_on(saformer, run, tmp_path):
    result = saformer("card", "--ckpt", run / "best.safetensors", "--out", tmp_path / "a.safetensors", "--limit", "16")
    assert result.code == 0, result.err
    assert "data: digits, test split" in (tmp_path / "a.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["eval", "energy"])
def test_a_trained_checkpoint_knows_its_data(saformer, run, command):
    result = saformer(command, run / "best.safetensors", "--limit", "16")
    assert result.code == 0, result.err
    assert "digits, test split" in " ".join(result.out.split())


def test_data_that_lies_elsewhere_is_found_again(saformer, tmp_path, monkeypatch):
    write_cifar10(tmp_path / "elsewhere", np.random.default_rng(0))
    best = tmp_path / "run" / "best.safetensors"
    trained = saformer(
        *("train", "--dataset", "cifar10", "--data-dir", tmp_path / "elsewhere", "--model", "saformer-1-8"),
        *("--epochs", "1", "--time-steps", "1", "--out", best.parent),
    )
    assert trained.code == 0, trained.err
    monkeypatch.chdir(tmp_path)
    result = saformer("eval", best)
    assert result.code == 0, result.err
    assert "on cifar10, test split: 20 images" in result.out
    best.rename(tmp_path / "alone.safetensors")
    assert "--data-dir" in saformer("eval", tmp_path / "alone.safetensors").complaint


def test_eval_refuses_bad_input(saformer, run):
    best = run / "best.safetensors"
    assert "--ckpt" in saformer("eval").complaint
    assert "no.safetensors" in saformer("eval", "--ckpt", "no.safetensors", "--dataset", "digits").complaint
    assert "--limit" in saformer("eval", "--ckpt", best, "--dataset", "digits", "--limit", "-1").complaint
    both = ("--ckpt", best, "--dataset", "digits", "--json", best)
    assert "cannot write" in saformer("eval", *both).complaint


def test_plot_draws_the_run(saformer, run, tmp_path):
    assert saformer("plot", run).code == 0
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    result = saformer("plot", run, "--out", tmp_path / "c.pdf")
    assert result.code == 0 and "wrote" in result.err
    assert (tmp_path / "c.pdf").read_bytes().startswith(b"%PDF")


def test_plot_refuses_bad_input(saformer, run, tmp_path):
    assert "there is no folder" in saformer("plot", tmp_path / "none").complaint
    (tmp_path / "empty").mkdir()
    assert "no metrics.csv yet" in saformer("plot", tmp_path / "empty").complaint
    assert "must end in .png" in saformer("plot", run, "--out", tmp_path / "c.jpg").complaint
    (run / "metrics.csv").write_text("epoch\n1\n")
    assert "line 2" in saformer("plot", run).complaint


def test_torchrun_trains_in_two_processes_and_prints_once(tmp_path, forked_in):
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone")
    options = ("--epochs", "1", "--batch-size", "512", "-T", "1", "--device", "cpu")
    (done,) = forked_in(
        tmp_path, *torchrun, "-m", "saformer.cli", "train", *TINY, *options, "--out", "run", seconds=300
    )
    assert done.code == 0, done.err
    assert done.out.count("epoch   1/1") == 1 and done.out.count("next: saformer energy") == 1
    assert (tmp_path / "run" / "best.safetensors").exists()
