"""Whatever is wrong with the input: exit status 1, one line that says what and where, nothing written."""

import json
import os
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from saformer.checkpoints import load, read_checkpoint, save

NAME = "spikformer_2_64_cifar"


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture
def weights(oracle):
    return read_checkpoint(oracle(f"{NAME}.pth.tar")).weights


@pytest.fixture
def energy(saformer, oracle, tmp_path):
    """`saformer energy` on the oracle's input, with outputs asked for that must not appear."""

    def run(ckpt, *more, input=None):
        outputs = [tmp_path / "o.json", tmp_path / "o.csv", tmp_path / "o.png", tmp_path / "o.profile"]
        options = [
            x for pair in zip(["--json", "--csv", "--plot", "--save-profile"], outputs, strict=True) for x in pair
        ]
        source = [] if input is False else ["--input", input or oracle(f"{NAME}.input.npz")]
        result = saformer("energy", "--ckpt", ckpt, *source, *options, *more)
        assert not [path for path in outputs if path.exists()]
        return result

    return run


def test_the_oracle_itself_is_accepted(saformer, oracle):
    result = saformer("energy", "--ckpt", oracle(f"{NAME}.pth.tar"), "--input", oracle(f"{NAME}.input.npz"))
    assert result.code == 0, result.err


# -- checkpoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello, I am text\n" * 30, "not"),
        (b"{}\n", "not"),
    ],
)
def test_a_file_that_is_no_checkpoint(energy, tmp_path, content, words):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    complaint = energy(path).complaint
    assert "x.pt" in complaint and words in complaint


def test_missing_checkpoint_and_directory(energy, tmp_path):
    assert "nowhere.pt" in energy(tmp_path / "nowhere.pt").complaint
    assert str(tmp_path) in energy(tmp_path).complaint


def test_truncated_checkpoint(energy, oracle, tmp_path):
    content = oracle(f"{NAME}.pth.tar").read_bytes()
    for length in (5, 1000, len(content) // 2, len(content) - 10):
        path = tmp_path / "cut.pt"
        path.write_bytes(content[:length])
        assert "cut.pt" in energy(path).complaint


def test_zip_that_is_no_checkpoint(energy, tmp_path):
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    assert "photos.zip" in energy(path).complaint


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_that_would_run_code_does_not(energy, tmp_path, legacy):
    sentinel, path = tmp_path / "sentinel", tmp_path / "evil.pt"
    if legacy:
        path.write_bytes(pickle.dumps({"state_dict": _Evil(sentinel)}, protocol=2))
    else:
        torch.save({"state_dict": {"a": torch.zeros(1)}, "args": _Evil(sentinel)}, path)
    assert "evil.pt" in energy(path).complaint
    assert not sentinel.exists()


def test_nan_in_the_weights(energy, weights, tmp_path):
    weights["block.0.attn.q_linear.weight"][3, 4] = float("nan")
    torch.save({"state_dict": weights}, tmp_path / "nan.pt")
    assert "block.0.attn.q_linear.weight" in energy(tmp_path / "nan.pt").complaint


def test_missing_key_wrong_shape_unknown_architecture(energy, weights, tmp_path):
    path = tmp_path / "x.pt"
    torch.save({k: v for k, v in weights.items() if k != "block.1.mlp.fc2_linear.weight"}, path)
    assert "block.1.mlp.fc2_linear.weight is missing" in energy(path).complaint
    torch.save({**weights, "block.1.mlp.fc2_linear.weight": torch.zeros(3, 4)}, path)
    assert "block.1.mlp.fc2_linear.weight has shape 3x4" in energy(path).complaint
    torch.save({"features.0.weight": torch.zeros(3, 4)}, path)
    assert "features.0.weight" in energy(path).complaint


def test_both_a_checkpoint_and_a_model(saformer, oracle):
    assert "--ckpt or --model" in saformer("energy", "--ckpt", "a", "--model", "saformer-2-64").complaint


# -- data --------------------------------------------------------------------------------------------------------------


def test_data_folder_missing_empty_or_damaged(energy, oracle, tmp_path):
    ckpt = oracle(f"{NAME}.pth.tar")
    options = ("--dataset", "cifar10", "--data-dir")
    assert "nowhere" in energy(ckpt, *options, tmp_path / "nowhere", input=False).complaint
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "cifar-10-python.tar.gz" in energy(ckpt, *options, empty, input=False).complaint
    folder = empty / "cifar-10-batches-py"
    folder.mkdir()
    batch = {b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 3]}
    (folder / "test_batch").write_bytes(pickle.dumps(batch)[:-2000])
    assert "test_batch" in energy(ckpt, *options, empty, input=False).complaint
    sentinel = tmp_path / "sentinel"
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": _Evil(sentinel), b"labels": []}))
    assert "test_batch" in energy(ckpt, *options, empty, input=False).complaint
    assert not sentinel.exists()


def test_unknown_data_set_names_the_known_ones(energy, oracle):
    complaint = energy(oracle(f"{NAME}.pth.tar"), "--dataset", "mnist", input=False).complaint
    assert "mnist" in complaint and "cifar10" in complaint


def test_wrong_class_count(energy, tmp_path, saformer, oracle):
    archive = tmp_path / "cifar-100-python"
    archive.mkdir()
    batch = {b"data": np.zeros((4, 3072), np.uint8), b"fine_labels": [0, 1, 2, 99]}
    (archive / "test").write_bytes(pickle.dumps(batch))
    ckpt = oracle(f"{NAME}.pth.tar")
    complaint = energy(ckpt, "--dataset", "cifar100", "--data-dir", tmp_path, input=False).complaint
    assert "10 classes" in complaint and "100" in complaint


def _npz(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.zeros((3, 32, 32), np.float32), "3 x 32 x 32"),
        (np.zeros((2, 1, 32, 32), np.float32), "1 x 32 x 32"),
        (np.zeros((2, 3, 16, 16), np.float32), "3 x 16 x 16"),
        (np.zeros((2, 3, 32, 32), np.uint8), "uint8"),
        (np.full((2, 3, 32, 32), np.nan, np.float32), "nan"),
        (np.zeros((0, 3, 32, 32), np.float32), "0"),
    ],
)
def test_input_of_a_wrong_kind(energy, oracle, tmp_path, x, words):
    complaint = energy(oracle(f"{NAME}.pth.tar"), input=_npz(tmp_path / "in.npz", x=x)).complaint
    assert words in complaint


def test_input_labels_that_do_not_fit(energy, oracle, tmp_path):
    x, ckpt = np.zeros((2, 3, 32, 32), np.float32), oracle(f"{NAME}.pth.tar")
    assert "label" in energy(ckpt, input=_npz(tmp_path / "in.npz", x=x, y=np.array([1, 10]))).complaint
    assert "y" in energy(ckpt, input=_npz(tmp_path / "in.npz", x=x, y=np.array([1]))).complaint


def test_both_input_and_data_set(energy, oracle):
    assert "not both" in energy(oracle(f"{NAME}.pth.tar"), "--dataset", "digits").complaint


# -- how to run --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--batch-size", "0"), "--batch-size"),
        (("--batch-size", "-3"), "--batch-size"),
        (("--limit", "-1"), "--limit"),
        (("--heads", "5"), "heads"),
        (("--heads", "0"), "heads"),
        (("--time-steps", "0"), "time_steps"),
        (("--pooling", "2"), "pooling"),
        (("--image-size", "0"), "image_size"),
        (("--aggregated", "3"), "aggregated"),
        (("--accounting", "guess"), "paper"),
        (("--hardware", "abacus"), "45nm-fp32"),
        (("--hardware", "/nowhere/x.toml"), "x.toml"),
        (("--device", "abacus"), "abacus"),
        (("--device", "cuda:99"), "cuda:99"),
        (("--weights", "model_ema"), "model_ema"),
    ],
)
def test_options_that_make_no_sense(energy, oracle, options, words):
    assert words in energy(oracle(f"{NAME}.pth.tar"), *options).complaint


def test_usage_errors_exit_with_two(saformer):
    assert saformer("energy", "--no-such-flag").code == 2
    assert saformer("energy", "--batch-size", "many").code == 2
    assert saformer("no-such-command").code == 2


@pytest.mark.parametrize("option", ["--json", "--csv", "--plot", "--save-profile"])
def test_outputs_that_cannot_be_written_are_refused_before_the_run(saformer, tmp_path, option, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("the model was run")

    monkeypatch.setattr("saformer.analysis.recording.run.profile", never)
    assert "nowhere" in saformer("energy", option, tmp_path / "nowhere" / "o.png").complaint
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert "folder" in saformer("energy", option, folder).complaint


def test_plot_of_an_unknown_format(saformer, tmp_path):
    assert ".png, .pdf or .svg" in saformer("energy", "--plot", tmp_path / "o.jpg").complaint


def test_out_of_memory_says_which_batch_size_to_try(saformer, monkeypatch):
    def exhaust(self, *args, **kwargs):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("saformer.models.saformer.SAFormer.forward", exhaust)
    assert "--batch-size 8" in saformer("energy").complaint
    assert "even one image" in saformer("energy", "--batch-size", "1").complaint


def test_an_interrupt_ends_in_one_line(saformer, monkeypatch):
    def interrupt(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("saformer.models.saformer.SAFormer.forward", interrupt)
    result = saformer("energy")
    assert result.code != 0 and "Traceback" not in result.err
    assert [line for line in result.err.splitlines() if line] == ["saformer: interrupted, nothing was written"]


def test_profiles_that_are_cut_edited_or_of_another_kind(saformer, tmp_path):
    saved = tmp_path / "p.json"
    assert saformer("energy", "--limit", "16", "--save-profile", saved).code == 0
    text = saved.read_text()
    for name, content in {
        "cut": text[: len(text) // 2],
        "other": '{"kind": "something"}',
        "schema": text.replace('"schema":1', '"schema":99'),
        "edited": text.replace('"images":16', '"images":17'),
        "list": "[]",
    }.items():
        path = tmp_path / f"{name}.json"
        path.write_text(content)
        assert f"{name}.json" in saformer("energy", "--from-profile", path).complaint
    assert "--from-profile" in saformer("energy", "--from-profile", saved, "--dataset", "digits").complaint


def test_compare_with_something_unknown(saformer):
    assert "nothing-9" in saformer("compare", "digits/saformer", "nothing-9").complaint
    assert "--ours" in saformer("compare", "digits/saformer", "--ours", "else").complaint
    assert "--dataset" in saformer("compare", "spikformer-2-64").complaint


def test_an_output_is_no_input_and_no_other_output(saformer, tmp_path):
    saved = tmp_path / "p.json"
    assert saformer("energy", "--limit", "16", "--save-profile", saved).code == 0
    before = saved.read_bytes()
    assert "p.json" in saformer("energy", "--from-profile", saved, "--json", saved).complaint
    assert saved.read_bytes() == before
    twice = tmp_path / "twice.out"
    assert "twice.out" in saformer("energy", "--limit", "16", "--json", twice, "--csv", twice).complaint
    assert not twice.exists()


def test_seeds_and_settings_out_of_range(saformer):
    assert "--seed" in saformer("energy", "--seed", 2**70).complaint
    assert "--seed" in saformer("energy", "--seed", "-1").complaint
    assert "heads" in saformer("energy", "--heads", "7").complaint


def test_weights_that_are_no_real_numbers_or_no_variances(energy, weights, tmp_path):
    path = tmp_path / "x.pt"
    torch.save({**weights, "head.weight": weights["head.weight"].to(torch.complex64)}, path)
    assert "head.weight" in energy(path).complaint
    name = "patch_embed.proj_bn.running_var"
    torch.save({**weights, name: -weights[name]}, path)
    assert name in energy(path).complaint


# -- advice that names the flag, the class or the file -----------------------------------------------------------------


def test_a_flipped_byte_in_a_tensor_is_noticed(energy, oracle, tmp_path):
    content = bytearray(oracle(f"{NAME}.pth.tar").read_bytes())
    with zipfile.ZipFile(oracle(f"{NAME}.pth.tar")) as archive:
        entry = max(archive.infolist(), key=lambda info: info.file_size)
    content[entry.header_offset + entry.file_size // 2] ^= 0x01
    path = tmp_path / "flipped.pth.tar"
    path.write_bytes(content)
    complaint = energy(path).complaint
    assert "flipped.pth.tar" in complaint and "checksum" in complaint and entry.filename.partition("/")[2] in complaint


def test_a_checkpoint_without_checksums_is_read(saformer, oracle, weights, tmp_path):
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"state_dict": weights}, tmp_path / "x.pt")
    finally:
        torch.serialization.set_crc32_options(before)
    assert saformer("energy", "--ckpt", tmp_path / "x.pt", "--input", oracle(f"{NAME}.input.npz")).code == 0


@pytest.mark.parametrize(
    "option",
    [
        ("--limit", "4"),
        ("--precision", "5%"),
        ("--time-steps", "2"),
        ("--seed", "0"),
        ("--batch-size", "16"),
        ("--dtype", "float32"),
        ("--device", "cpu"),
        ("--split", "test"),
        ("--data-dir", "."),
        ("--weights", "model"),
        ("-T", "2"),
    ],
)
def test_a_saved_profile_takes_no_option_of_a_run(saformer, tmp_path, option):
    complaint = saformer("energy", "--from-profile", tmp_path / "p.json", *option).complaint
    flag = {"-T": "--time-steps"}.get(option[0], option[0])
    assert complaint.endswith(f"leave out {flag}")
    if option[0] != "--precision":
        for command in ("audit", "sensitivity"):
            assert flag in saformer(command, "--from-profile", tmp_path / "p.json", *option).complaint


@pytest.mark.parametrize("name", ["mps", "banana", "cuda:99", "privateuseone", "xla", ""])
def test_a_device_that_is_not_here_names_those_that_are(saformer, name):
    complaint = saformer("energy", "--device", name).complaint
    if not torch.backends.mps.is_available() or name != "mps":
        assert complaint.startswith(f"saformer: --device {name}: there is no such device here, choose one of auto, cpu")
        assert len(complaint) < 120 + 10 * torch.cuda.device_count()


def test_a_precision_that_could_be_one_per_cent_or_all(saformer):
    assert saformer("energy", "--precision", "1").complaint.endswith("got '1': for 1 per cent write 1%")


@pytest.mark.parametrize(("option", "value"), [("--ckpt", ""), ("--model", " ")])
def test_an_empty_name(saformer, option, value):
    assert f"{option} is empty" in saformer("energy", option, value).complaint


def test_a_file_called_all_is_not_taken_for_hardware(saformer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all").write_text("not hardware")
    assert saformer("energy", "--limit", "8", "--hardware", "all", "--json", "all").code == 0
    assert (tmp_path / "all").read_text().startswith("{")
    assert "./all" in saformer("energy", "--hardware", "./all").complaint


def test_a_flag_at_fault_is_named_and_the_checkpoint_is_not_blamed(saformer, oracle):
    complaint = saformer("energy", "--time-steps", "0").complaint
    assert complaint.startswith("saformer: --time-steps 0: ") and "checkpoint saformer.safetensors" in complaint
    path = oracle(f"{NAME}.pth.tar")
    complaint = saformer("energy", "--ckpt", path, "--time-steps", "2", "--heads", "5").complaint
    assert complaint.startswith("saformer: --heads 5: ")
    built = saformer("energy", "--model", "spikformer-2-64", "--dataset", "digits", "--heads", "5").complaint
    assert built.startswith("saformer: --heads 5: ")


def test_a_checkpoint_at_fault_is_blamed_whatever_the_flags(saformer, weights, tmp_path):
    path = tmp_path / "x.pt"
    torch.save({key: value for key, value in weights.items() if key != "head.weight"}, path)
    assert saformer("energy", "--ckpt", path, "--time-steps", "2").complaint.startswith("saformer: checkpoint ")


def test_images_that_are_not_square(energy, oracle, tmp_path):
    path = _npz(tmp_path / "wide.npz", x=np.zeros((2, 3, 32, 48), np.float32))
    complaint = energy(oracle(f"{NAME}.pth.tar"), input=path).complaint
    assert "3 x 32 x 48" in complaint and "square" in complaint and "crop or pad them to 3 x 32 x 32" in complaint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--time-steps", "1000000000000"), "try fewer (--time-steps"),
        (("--time-steps", "1000000000000", "--limit", "1"), "try fewer (--time-steps"),
    ],
)
def test_too_many_steps_are_not_the_fault_of_the_batch(saformer, options, words):
    assert words in saformer("energy", *options).complaint


def test_a_setting_that_the_file_stores_and_a_flag_replaces_is_noted(saformer, oracle):
    found = json.loads(saformer("energy", "--limit", "4", "--time-steps", "2", "--json", "-").out)
    assert "--time-steps 2 was given; the checkpoint stores time_steps = 4" in found["notes"]
    source = ("--ckpt", oracle(f"{NAME}.pth.tar"), "--input", oracle(f"{NAME}.input.npz"))
    for options, noted in (((), False), (("--time-steps", "4"), False), (("--time-steps", "3"), True)):
        notes = json.loads(saformer("energy", *source, *options, "--json", "-").out)["notes"]
        assert any("the checkpoint stores time_steps = 4" in note for note in notes) is noted


def test_a_checkpoint_is_read_once(saformer, oracle, monkeypatch):
    from saformer.checkpoints import reading

    read = []
    monkeypatch.setattr(reading, "sha256_of", lambda path: read.append(path) or "0" * 64)
    source = (oracle("spikformer_2_32_cifar10dvs.pth.tar"), "--input", oracle("spikformer_2_32_cifar10dvs.input.npz"))
    assert saformer("energy", "--ckpt", *source).code == 0
    assert len(read) == 1


def test_text_of_a_file_cannot_steer_the_terminal(saformer, tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('title = "\\u001b]0;owned\\u0007"\nsource = "\\u001b[2J\\u202e"\n[energy_pj]\nac = 0.5\n')
    for command in (("hardware", path), ("hardware", path, "--format", "markdown"), ("energy", "--hardware", path)):
        result = saformer(*command)
        assert result.code == 0
        assert not [c for c in result.out + result.err if not c.isprintable() and c != "\n"]
    path.write_text('[energy_pj]\nac = 0.5\n"a\\u001b[2J" = 1\n')
    assert saformer("hardware", path).complaint.isprintable()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_output_that_lacks_a_character_gets_a_plain_one(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "90"}
    command = [sys.executable, "-m", "saformer.cli", "energy", "--limit", "8"]
    done = subprocess.run(command, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert "?" not in text and ("†" in text) is (encoding == "utf-8")
    assert ("±" if encoding != "ascii" else "+/-") in text


def test_a_label_that_the_network_has_no_class_for(saformer, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 8, 8), np.float32), y=np.array([0, 10]))
    for command in ("eval", "energy"):
        complaint = saformer(command, "--ckpt", "digits/saformer", "--input", tmp_path / "x.npz").complaint
        assert "the data has a label 10, the model only 10 classes (0 to 9)" in complaint


@pytest.mark.parametrize("training", [[1], "x", 3, {"dataset": [1]}, {"dataset": {"a": []}}, None])
def test_a_checkpoint_that_tells_nonsense_of_its_training(saformer, tmp_path, training):
    network = load("digits/saformer")
    save(network, tmp_path / "n.safetensors", training=training)
    options = ("--ckpt", tmp_path / "n.safetensors", "--dataset", "digits", "--limit", "4")
    for command in ("energy", "eval"):
        assert saformer(command, *options).code == 0
    assert saformer("attention", "--ckpt", tmp_path / "n.safetensors", "--dataset", "digits", "--image", "1").code == 0


def test_options_of_other_data(saformer, tmp_path):
    assert "leave out --data-dir" in saformer("energy", "--data-dir", tmp_path).complaint
    assert "leave out --cache-dir" in saformer("energy", "--dataset", "digits", "--cache-dir", tmp_path).complaint
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 8, 8), np.float32))
    data = ("energy", "--ckpt", "digits/saformer", "--input", tmp_path / "x.npz")
    assert "--input is all the data there is: leave out --split" in saformer(*data, "--split", "train").complaint


def test_a_name_too_long_is_no_fault_of_the_output(saformer):
    assert "File name too long" in (complaint := saformer("energy", "--from-profile", "x" * 5000).complaint)
    assert "cannot write" not in complaint


@pytest.mark.parametrize("variables", [{"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, {"COLUMNS": "0"}])
def test_what_a_notebook_or_a_pseudo_terminal_says(tmp_path, variables):
    command = [sys.executable, "-m", "saformer.cli", "energy", "--limit", "4", "--plot", "e.png"]
    done = subprocess.run(command, env={**os.environ, **variables}, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "wrote e.png\n")
    assert "patch_embed" in done.stdout and (tmp_path / "e.png").exists()
