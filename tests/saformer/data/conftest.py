"""Small event sets, written byte by byte in the formats in which their publishers ship them."""

import re
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
AEDAT2_HEADER = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n# Timestamps in us\r\n"
AEDAT3_HEADER = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n#!END-HEADER\r\n"


def aedat2(t, column, row, on) -> bytes:
    """Events of a DVS128 as jAER writes them: 32 bits of address and of microseconds, big-endian."""
    address = np.asarray(row, np.uint32) << 8 | np.asarray(column, np.uint32) << 1 | np.asarray(on, np.uint32)
    return AEDAT2_HEADER + np.stack([address, np.asarray(t, np.uint32)], 1).astype(">u4").tobytes()


def aedat3_packet(t, x, y, p, kind=1, overflow=0, size=8) -> bytes:
    """A packet of polarity events as cAER writes it, little-endian."""
    n = len(t)
    head = struct.pack("<hhiiiiii", kind, 1, size, 4, overflow, n, n, n)
    data = np.asarray(x, np.uint32) << 17 | np.asarray(y, np.uint32) << 2 | np.asarray(p, np.uint32) << 1 | 1
    return head + np.stack([data, np.asarray(t, np.uint32)], 1).astype("<u4").tobytes()


def random_events(rng, count, start=0, stop=1_000_000):
    """t, x, y, p of so many events."""
    t = np.sort(rng.integers(start, stop, count))
    return t, rng.integers(0, 128, count), rng.integers(0, 128, count), rng.integers(0, 2, count)


@pytest.fixture(scope="session")
def formats() -> SimpleNamespace:
    """The writers, for tests to use."""
    return SimpleNamespace(
        aedat2=aedat2, packet=aedat3_packet, events=random_events, header2=AEDAT2_HEADER, header3=AEDAT3_HEADER
    )


def write_cifar10dvs(root: Path, per_class: int, count: int = 300) -> None:
    rng = np.random.default_rng(1)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(per_class):
            content = aedat2(*random_events(rng, count + number))
            (root / name / f"cifar10_{name}_{number}.aedat").write_bytes(content)


def write_gesture(root: Path) -> None:
    """Two trials for training and one for testing, each with all 11 gestures, two of them made twice."""
    rng = np.random.default_rng(2)
    root.mkdir(parents=True)
    lists = {"train": ["user01_fluorescent", "user01_led"], "test": ["user24_led"]}
    for split, trials in lists.items():
        (root / f"trials_to_{split}.txt").write_text("".join(f"{trial}.aedat\n" for trial in trials) + "\n")
        for trial in trials:
            rows = [(gesture, 1000 * gesture, 1000 * gesture + 900) for gesture in range(1, 12)]
            rows += [(8, 12_000, 12_800), (11, 12_700, 13_900)]
            lines = ["class,startTime_usec,endTime_usec", *(",".join(map(str, row)) for row in rows)]
            (root / f"{trial}_labels.csv").write_text("\n".join(lines) + "\n")
            packets = [AEDAT3_HEADER]
            for start in range(0, 14_000, 500):
                packets.append(aedat3_packet(*random_events(rng, 150, start, start + 500)))
                if start % 2000 == 0:  # a special event, which is no event of a pixel
                    packets.append(aedat3_packet([start], [3], [0], [1], kind=0))
            (root / f"{trial}.aedat").write_bytes(b"".join(packets))


@pytest.fixture
def cifar10dvs_root(tmp_path) -> Path:
    """Twelve recordings per class, so that names sort otherwise as text than as numbers."""
    write_cifar10dvs(tmp_path / "cifar", 12)
    return tmp_path / "cifar"


@pytest.fixture
def gesture_root(tmp_path) -> Path:
    write_gesture(tmp_path / "gesture" / "DvsGesture")
    return tmp_path / "gesture"


@pytest.fixture(scope="session")
def torchvision():
    """torchvision, whose compiled part does not load beside a torch for CPUs; its Python needs the names from there."""
    names = torch.library.Library("torchvision", "FRAGMENT")
    for _ in range(50):
        try:
            import torchvision
        except RuntimeError as error:
            missing = re.search(r"operator torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            names.define(f"{missing[1]}(Tensor x) -> Tensor")
        else:
            torchvision.names = names  # dropped, it would take the names away again
            return torchvision
    raise AssertionError("torchvision wants ever more names")
