"""The other commands: compare, flops, models, datasets, and the program itself."""

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


def test_version_and_help(saformer):
    assert saformer("--version").out.startswith("saformer ")
    for command in ("energy", "compare", "flops", "train", "eval", "plot", "models", "datasets"):
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


def test_flops_of_a_model_of_ones_own(saformer, tmp_path, monkeypatch):
    (tmp_path / "flopsnet.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, width=5):\n        super().__init__()\n        self.fc = nn.Linear(12, width)\n"
        "    def forward(self, x):\n        return self.fc(x.flatten(-3)).mean(0)\n\n"
    )
    monkeypatch.chdir(tmp_path)
    command = ("flops", "--model", "flopsnet:Net", "--input-shape", "3,2,2", "--time-first", "2", "--format", "csv")
    assert saformer(*command).out.splitlines()[1] == "fc,linear,120,120,False"
    assert saformer(*command, "--model-arg", "width=7").out.splitlines()[1] == "fc,linear,168,168,False"
    assert "--input-shape" in saformer("flops", "--model", "flopsnet:Net").complaint
    assert "failed on the data" in saformer("flops", "--model", "flopsnet:Net", "--input-shape", "3,9,9").complaint
    assert "--input-shape" in saformer("flops", "--input-shape", "3,9,9").complaint


def test_notes_of_a_saved_profile_are_not_taken_for_remarks_on_the_comparison(saformer, tmp_path):
    saved = tmp_path / "p.json"
    saformer("energy", "--limit", "16", "--save-profile", saved)
    result = saformer("compare", saved, "digits/sdt", "--limit", "16")
    text = " ".join(result.out.split())
    assert "p.json, when it was saved: no --ckpt given" in text and "digits/sdt: 16 of 360 images" in text
