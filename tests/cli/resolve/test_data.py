"""Data: event sets and image folders, and what is wrong with a folder, a file or a shape."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

import saformer as package

NAME = "spikformer_2_64_cifar"


@pytest.fixture
def gestures(tmp_path):
    """Events as SpikingJelly writes them: 40 per sample, one sample per class."""
    rng = np.random.default_rng(0)
    for split, gesture in [(split, gesture) for split in ("train", "test") for gesture in range(11)]:
        folder = tmp_path / "data" / "events_np" / split / str(gesture)
        folder.mkdir(parents=True)
        x, y, p = rng.integers(0, 128, 40), rng.integers(0, 128, 40), rng.integers(0, 2, 40)
        np.savez(folder / "user24_led_0.npz", t=np.sort(rng.integers(0, 10**6, 40)), x=x, y=y, p=p)
    return tmp_path / "data"


def checkpoint(path, **settings):
    settings = {"in_channels": 2, "image_size": 128, "num_classes": 11, **settings}
    package.save(package.build("saformer-1-16", **settings), path)
    return path


def test_the_frames_are_those_that_the_checkpoint_takes(saformer, gestures, tmp_path) -> None:
    ckpt = checkpoint(tmp_path / "two.safetensors", time_steps=2, image_size=64, pooling="0111")
    result = saformer("energy", "--ckpt", ckpt, "--dataset", "dvs128gesture", "--data-dir", gestures, "--json", "-")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert (found["model"]["time_steps"], found["data"]["kind"], found["data"]["images"]) == (2, "events", 11)
    (path,) = (gestures / ".saformer").glob("*.npy")
    frames = np.load(path)
    assert frames.shape == (11, 2, 2, 64, 64) and frames.sum() == 11 * 40
    first = found["layers"][0]
    assert first["input_elements"] == frames.size / 11
    assert round(first["input_nonzero"] * 11) == np.count_nonzero(frames)
    assert found["totals"]["macs"] == 0  # Eq. 20


def test_models_of_different_time_are_compared_on_their_own_frames(saformer, gestures, tmp_path) -> None:
    ckpt = checkpoint(tmp_path / "two.safetensors", time_steps=2)
    options = ("--dataset", "dvs128gesture", "--data-dir", gestures, "--limit", "2", "--cache-dir", tmp_path / "kept")
    result = saformer("compare", ckpt, "saformer-1-16", *options, "--split-by", "time")
    assert result.code == 0, result.err
    assert sorted(path.name.rpartition("-")[0] for path in (tmp_path / "kept").glob("*.npy")) == [
        "dvs128gesture-test-T16-time-128",
        "dvs128gesture-test-T2-time-128",
    ]


def test_a_folder_of_images_is_profiled(saformer, tmp_path) -> None:
    for name in ("n01", "n02"):
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.new("RGB", (80, 60), "red").save(tmp_path / "val" / name / "a.png")
    options = ("--dataset", "imagefolder", "--data-dir", tmp_path, "--image-size", "32")
    result = saformer("energy", "--model", "saformer-1-16", *options, "--split", "val", "--json", "-")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert (found["data"]["name"], found["data"]["images"]) == ("imagefolder", 2)
    said = saformer("energy", "--model", "saformer-1-16", *options).complaint
    assert said == f"saformer: {tmp_path} has no folder test, but val: give --split val"


def test_what_does_not_fit_is_said_in_one_line(saformer, gestures) -> None:
    assert "--split-by is for dvs128gesture and cifar10dvs" in saformer("energy", "--split-by", "time").complaint
    events = ("energy", "--model", "saformer-1-16", "--dataset", "dvs128gesture", "--data-dir", gestures)
    assert "choose number or time" in saformer(*events, "--split-by", "count").complaint
    assert "--image-size must be one of 128, 64" in saformer(*events, "--image-size", "100").complaint
    path = gestures / "events_np" / "test" / "0" / "user24_led_0.npz"
    path.write_bytes(path.read_bytes()[:100])
    assert str(path) in saformer(*events).complaint


class _Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


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


def test_images_that_are_not_square(energy, oracle, tmp_path):
    path = _npz(tmp_path / "wide.npz", x=np.zeros((2, 3, 32, 48), np.float32))
    complaint = energy(oracle(f"{NAME}.pth.tar"), input=path).complaint
    assert "3 x 32 x 48" in complaint and "square" in complaint and "crop or pad them to 3 x 32 x 32" in complaint


def test_a_label_that_the_network_has_no_class_for(saformer, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 8, 8), np.float32), y=np.array([0, 10]))
    for command in ("eval", "energy"):
        complaint = saformer(command, "--ckpt", "digits/saformer", "--input", tmp_path / "x.npz").complaint
        assert "the data has a label 10, the model only 10 classes (0 to 9)" in complaint


def test_options_of_other_data(saformer, tmp_path):
    assert "leave out --data-dir" in saformer("energy", "--data-dir", tmp_path).complaint
    assert "leave out --cache-dir" in saformer("energy", "--dataset", "digits", "--cache-dir", tmp_path).complaint
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 8, 8), np.float32))
    data = ("energy", "--ckpt", "digits/saformer", "--input", tmp_path / "x.npz")
    assert "--input is all the data there is: leave out --split" in saformer(*data, "--split", "train").complaint
