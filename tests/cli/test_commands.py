"""The other commands: compare, flops, models, datasets, train, and the program itself."""

import json
import subprocess
import sys
import time


def test_compare_has_a_row_each_and_the_relative_difference(saformer, tmp_path):
    saved = tmp_path / "sdt.json"
    saformer("energy", "--ckpt", "digits/sdt", "--limit", "40", "--save-profile", saved)
    figure = tmp_path / "c.png"
    result = saformer(
        *(
            "compare",
            "digits/saformer",
            saved,
            "saformer-2-32",
            "--dataset",
            "digits",
            "--limit",
            "40",
            "--plot",
            figure,
        )
    )
    assert result.code == 0, result.err
    assert "digits/saformer" in result.out and "sdt.json" in result.out and "saformer-2-32" in result.out
    assert "untrained" in result.out
    assert figure.stat().st_size > 1000


def test_compare_with_another_reference(saformer):
    result = saformer("compare", "digits/saformer", "digits/sdt", "--limit", "40", "--ours", "digits/sdt")
    row = next(line for line in result.out.splitlines() if line.startswith("digits/saformer"))
    assert row.rstrip().endswith("%")
    assert "ours: digits/sdt." in result.out


def test_profiles_of_one_name_are_told_apart(saformer, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        saformer("energy", "--limit", "16", "--save-profile", tmp_path / folder / "p.json")
    result = saformer(
        "compare", tmp_path / "a" / "p.json", tmp_path / "b" / "p.json", "--ours", tmp_path / "b" / "p.json"
    )
    assert result.code == 0, result.err


def test_flops_agree_with_fvcore_and_need_no_data(saformer):
    for model in ("saformer-1-32", "spikformer-1-32", "sdt-1-32", "vit-1-32"):
        result = saformer("flops", "--model", model)
        assert result.code == 0, result.err
        assert "Both counters agree" in result.out


def test_lists(saformer):
    models = saformer("models").out
    assert "saformer-4-384" in models and "8.75M" in models and "digits/spikformer" in models
    datasets = saformer("datasets").out
    assert "cifar100" in datasets and "cifar-10-python.tar.gz" in datasets


def test_training_ends_in_a_checkpoint_that_energy_reads(saformer, tmp_path):
    target = tmp_path / "small.safetensors"
    result = saformer(
        *("train", "--dataset", "digits", "--model", "saformer-1-16", "--epochs", "1", "--out", target, "--seed", "3")
    )
    assert result.code == 0, result.err
    found = json.loads(saformer("energy", "--ckpt", target, "--dataset", "digits", "--limit", "20", "--json", "-").out)
    assert found["model"]["name"] == "saformer-1-16"


def test_training_refuses_bad_input(saformer, tmp_path):
    assert "--dataset" in saformer("train").complaint
    assert "mnist" in saformer("train", "--dataset", "mnist").complaint
    assert "epochs" in saformer("train", "--dataset", "digits", "--epochs", "0").complaint
    assert "nothing-9" in saformer("train", "--dataset", "digits", "--model", "nothing-9").complaint
    missing = tmp_path / "no" / "x.safetensors"
    assert "no" in saformer("train", "--dataset", "digits", "--out", missing).complaint


def test_version_and_help(saformer):
    assert saformer("--version").out.startswith("saformer ")
    for command in ("energy", "compare", "flops", "train", "models", "datasets"):
        result = saformer(command, "--help")
        assert result.code == 0 and max(map(len, result.out.splitlines())) <= 100


def test_help_does_not_import_torch():
    code = (
        "import sys; sys.argv = ['saformer', '--help']\n"
        "from saformer.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pandas', 'matplotlib', 'sklearn', 'scipy', 'fvcore'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - start < 20  # a hang, not a speed


def test_it_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "saformer.cli", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("saformer ")
