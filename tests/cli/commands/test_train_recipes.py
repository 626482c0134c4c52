"""Each recipe, followed for an epoch on a few samples in a real format, ends in a checkpoint that `energy` reads."""

import json

import numpy as np
import pytest

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def images(count: int, classes: int, coarse: bool, rng: np.random.Generator) -> bytes:
    """Records of CIFAR's binary layout: label bytes, then 3 x 32 x 32 pixels."""
    labels = np.arange(count, dtype=np.uint8)[:, None] % classes
    pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
    return np.hstack([labels // 5, labels, pixels] if coarse else [labels, pixels]).tobytes()


def write_cifar10(root, rng) -> None:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(images(8, 10, False, rng))
    (folder / "test_batch.bin").write_bytes(images(20, 10, False, rng))


def write_cifar100(root, rng) -> None:
    folder = root / "cifar-100-binary"
    folder.mkdir(parents=True)
    (folder / "train.bin").write_bytes(images(40, 100, True, rng))
    (folder / "test.bin").write_bytes(images(20, 100, True, rng))


def events(path, rng) -> None:
    """Events as SpikingJelly keeps them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y, p = rng.integers(0, 128, 60), rng.integers(0, 128, 60), rng.integers(0, 2, 60)
    np.savez(path, t=np.sort(rng.integers(0, 10**6, 60)), x=x, y=y, p=p)


def write_cifar10dvs(root, rng) -> None:
    for name in CIFAR10_CLASSES:
        for i in range(11):  # nine tenths, rounded up, are for training
            events(root / "events_np" / name / f"cifar10_{name}_{i}.npz", rng)


def write_dvs128gesture(root, rng) -> None:
    for split in ("train", "test"):
        for gesture in range(11):
            events(root / "events_np" / split / str(gesture) / "user24_led_0.npz", rng)


@pytest.mark.parametrize(
    ("data", "write", "kind"),
    [
        ("cifar10", write_cifar10, "static"),
        ("cifar100", write_cifar100, "static"),
        ("cifar10dvs", write_cifar10dvs, "events"),
        ("dvs128gesture", write_dvs128gesture, "events"),
    ],
)
def test_a_recipe_ends_in_a_checkpoint_that_energy_reads(saformer, tmp_path, data, write, kind) -> None:
    write(tmp_path / "data", np.random.default_rng(0))
    options = ("--dataset", data, "--data-dir", tmp_path / "data")
    size = ("--model", "saformer-1-16", "-T", "2", "--epochs", "1", "--batch-size", "16")
    trained = saformer("train", *options, *size, "--out", tmp_path / "run")
    assert trained.code == 0, trained.err
    best = tmp_path / "run" / "best.safetensors"
    result = saformer("energy", "--ckpt", best, *options, "--limit", "0", "--json", "-")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert (found["model"]["time_steps"], found["data"]["kind"]) == (2, kind)
    assert (found["totals"]["macs"] > 0) is (kind == "static")  # Eq. 19 against Eq. 20
    evaluated = json.loads(saformer("eval", "--ckpt", best, *options, "--json", "-").out)
    assert evaluated["accuracy"] == found["accuracy"]
