"""Data sets of a few random samples, written in real formats."""

from pathlib import Path

import numpy as np

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def cifar_records(count: int, classes: int, coarse: bool, rng: np.random.Generator) -> bytes:
    """Records of CIFAR's binary layout: label bytes, then 3 x 32 x 32 pixels."""
    labels = np.arange(count, dtype=np.uint8)[:, None] % classes
    pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
    return np.hstack([labels // 5, labels, pixels] if coarse else [labels, pixels]).tobytes()


def write_cifar10(root: Path, rng: np.random.Generator) -> None:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(cifar_records(8, 10, False, rng))
    (folder / "test_batch.bin").write_bytes(cifar_records(20, 10, False, rng))


def write_cifar100(root: Path, rng: np.random.Generator) -> None:
    folder = root / "cifar-100-binary"
    folder.mkdir(parents=True)
    (folder / "train.bin").write_bytes(cifar_records(40, 100, True, rng))
    (folder / "test.bin").write_bytes(cifar_records(20, 100, True, rng))


def write_events(path: Path, rng: np.random.Generator) -> None:
    """Events as SpikingJelly keeps them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y, p = rng.integers(0, 128, 60), rng.integers(0, 128, 60), rng.integers(0, 2, 60)
    np.savez(path, t=np.sort(rng.integers(0, 10**6, 60)), x=x, y=y, p=p)


def write_cifar10dvs(root: Path, rng: np.random.Generator) -> None:
    for name in CIFAR10_CLASSES:
        for i in range(11):  # nine tenths, rounded up, are for training
            write_events(root / "events_np" / name / f"cifar10_{name}_{i}.npz", rng)


def write_dvs128gesture(root: Path, rng: np.random.Generator) -> None:
    for split in ("train", "test"):
        for gesture in range(11):
            write_events(root / "events_np" / split / str(gesture) / "user24_led_0.npz", rng)
