"""Event sets and image folders on the command line."""

import json

import numpy as np
import pytest
from PIL import Image

import saformer as package


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
    assert (found["data"]["name"], found["data"]["images"], found["accuracy"]["top1"]) == ("imagefolder", 2, 0.5)
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
