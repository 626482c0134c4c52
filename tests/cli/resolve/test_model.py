"""Checkpoints: what is wrong with a file, what it leaves open, what the user sets instead."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch

from saformer.checkpoints import load, save

NAME = "spikformer_2_64_cifar"


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_the_oracle_itself_is_accepted(saformer, oracle):
    result = saformer("energy", "--ckpt", oracle(f"{NAME}.pth.tar"), "--input", oracle(f"{NAME}.input.npz"))
    assert result.code == 0, result.err


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


def test_weights_that_are_no_real_numbers_or_no_variances(energy, weights, tmp_path):
    path = tmp_path / "x.pt"
    torch.save({**weights, "head.weight": weights["head.weight"].to(torch.complex64)}, path)
    assert "head.weight" in energy(path).complaint
    name = "patch_embed.proj_bn.running_var"
    torch.save({**weights, name: -weights[name]}, path)
    assert name in energy(path).complaint


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


def test_a_checkpoint_at_fault_is_blamed_whatever_the_flags(saformer, weights, tmp_path):
    path = tmp_path / "x.pt"
    torch.save({key: value for key, value in weights.items() if key != "head.weight"}, path)
    assert saformer("energy", "--ckpt", path, "--time-steps", "2").complaint.startswith("saformer: checkpoint ")


def test_a_checkpoint_is_read_once(saformer, oracle, monkeypatch):
    from saformer.checkpoints import reading

    read = []
    monkeypatch.setattr(reading, "sha256_of", lambda path: read.append(path) or "0" * 64)
    source = (oracle("spikformer_2_32_cifar10dvs.pth.tar"), "--input", oracle("spikformer_2_32_cifar10dvs.input.npz"))
    assert saformer("energy", "--ckpt", *source).code == 0
    assert len(read) == 1


@pytest.mark.parametrize("training", [[1], "x", 3, {"dataset": [1]}, {"dataset": {"a": []}}, None])
def test_a_checkpoint_that_tells_nonsense_of_its_training(saformer, tmp_path, training):
    network = load("digits/saformer")
    save(network, tmp_path / "n.safetensors", training=training)
    options = ("--ckpt", tmp_path / "n.safetensors", "--dataset", "digits", "--limit", "4")
    for command in ("energy", "eval"):
        assert saformer(command, *options).code == 0
    assert saformer("attention", "--ckpt", tmp_path / "n.safetensors", "--dataset", "digits", "--image", "1").code == 0


def test_a_setting_that_the_file_stores_and_a_flag_replaces_is_noted(saformer, oracle):
    found = json.loads(saformer("energy", "--limit", "4", "--time-steps", "2", "--json", "-").out)
    assert "--time-steps 2 was given; the checkpoint stores time_steps = 4" in found["notes"]
    source = ("--ckpt", oracle(f"{NAME}.pth.tar"), "--input", oracle(f"{NAME}.input.npz"))
    for options, noted in (((), False), (("--time-steps", "4"), False), (("--time-steps", "3"), True)):
        notes = json.loads(saformer("energy", *source, *options, "--json", "-").out)["notes"]
        assert any("the checkpoint stores time_steps = 4" in note for note in notes) is noted


def test_a_folder_with_the_name_of_the_shipped_saformer_does_not_hide_it(saformer, monkeypatch, tmp_path):
    (tmp_path / "digits" / "saformer").mkdir(parents=True)  # such as the folder of a run
    monkeypatch.chdir(tmp_path)
    result = saformer("energy", "--limit", "8")
    assert result.code == 0
    assert "is the network in the package, not the folder of that name here" in " ".join(result.out.split())


def test_an_untrained_model_is_marked_as_such(saformer, oracle):
    source = oracle("spikformer_2_64_cifar.input.npz")
    result = saformer("energy", "--model", "saformer-2-64", "--input", source)
    assert result.code == 0 and "untrained" in result.out


def test_what_the_checkpoint_does_not_hold_is_printed_and_can_be_set(saformer, oracle):
    base = ("energy", "--ckpt", oracle("spikformer_2_32_cifar10dvs.pth.tar"), "--input")
    source = oracle("spikformer_2_32_cifar10dvs.input.npz")
    assert "scale = 0.25" in " ".join(saformer(*base, source).out.split())
    changed = saformer(*base, source, "--heads", "4", "--json", "-")
    assert changed.code == 0


def test_the_published_t_is_said_where_the_events_have_another(saformer, tmp_path):
    np.savez(tmp_path / "frames.npz", x=np.ones((1, 2, 2, 32, 32), np.float32))
    said = saformer(
        "energy", "--model", "tdbn-resnet-19-gesture+widths=8,8,8+image_size=32", "--input", tmp_path / "frames.npz"
    )
    assert "T = 2 frames" in said.out
    assert "was published with T = 40; the data has 2 frames" in " ".join(said.out.split())


def test_a_name_may_say_an_attention_of_ones_own(saformer):
    name = "saformer-1-16+attention=saformer.attention.sdsa:SDSA"
    said = saformer("energy", "--model", name, "--dataset", "digits", "--limit", "1")
    assert "block.0" in said.out, said.err
