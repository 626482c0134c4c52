"""CIFAR-10 and CIFAR-100, in both layouts their publisher ships, unpacked or straight from the archive."""

import os
import posixpath
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from saformer.data.registry import DATASETS, DatasetInfo, Request, register_dataset
from saformer.data.tar_gz import members
from saformer.errors import InputError, brief
from saformer.files import open_file, read_bytes

if TYPE_CHECKING:
    from saformer.data.dataset import Dataset


_LARGEST = 2**29  # bytes of a file, or of an archive and of what is unpacked from it; the real ones have 186 MB


@dataclass(frozen=True)
class CifarLayout:
    """One way the publisher ships a data set.

    `label_key` is where a Python batch keeps the labels that are wanted (None in a binary batch);
    `label_bytes` is how many label bytes open a binary record, the last of them being the wanted one.
    """

    folder: str
    archive: str
    files: Mapping[str, tuple[str, ...]]
    label_key: bytes | None = None
    label_bytes: int = 0


LAYOUTS: dict[str, tuple[CifarLayout, ...]] = {
    "cifar10": (
        CifarLayout(
            "cifar-10-batches-py",
            "cifar-10-python.tar.gz",
            {"train": tuple(f"data_batch_{n}" for n in range(1, 6)), "test": ("test_batch",)},
            label_key=b"labels",
        ),
        CifarLayout(
            "cifar-10-batches-bin",
            "cifar-10-binary.tar.gz",
            {"train": tuple(f"data_batch_{n}.bin" for n in range(1, 6)), "test": ("test_batch.bin",)},
            label_bytes=1,
        ),
    ),
    "cifar100": (
        CifarLayout(
            "cifar-100-python",
            "cifar-100-python.tar.gz",
            {"train": ("train",), "test": ("test",)},
            label_key=b"fine_labels",
        ),
        CifarLayout(
            "cifar-100-binary",
            "cifar-100-binary.tar.gz",
            {"train": ("train.bin",), "test": ("test.bin",)},
            label_bytes=2,
        ),
    ),
}


@register_dataset(
    DatasetInfo(
        name="cifar10",
        title="CIFAR-10",
        classes=10,
        shape=(3, 32, 32),
        kind="static",
        train=50_000,
        test=10_000,
        expected=("cifar-10-batches-py/, cifar-10-batches-bin/, cifar-10-python.tar.gz or cifar-10-binary.tar.gz"),
        download="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        # As in the published training configurations of Spikformer and the Spike-driven Transformer.
        normalisation=((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ),
    DatasetInfo(
        name="cifar100",
        title="CIFAR-100",
        classes=100,
        shape=(3, 32, 32),
        kind="static",
        train=50_000,
        test=10_000,
        expected="cifar-100-python/, cifar-100-binary/, cifar-100-python.tar.gz or cifar-100-binary.tar.gz",
        download="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        normalisation=((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    ),
)
def open_cifar(request: Request) -> "Dataset":
    """Read one split of "cifar10" or "cifar100" from whatever form of it lies in the data directory."""
    import numpy as np
    import torch

    from saformer.data.cifar_batches import binary_batch, python_batch
    from saformer.data.dataset import Dataset

    name, split = request.name, request.split
    classes, normalisation = DATASETS[name].classes, DATASETS[name].normalisation
    assert classes is not None and normalisation is not None
    layout, files = _find(name, request.data_dir, split)
    images, labels = [], []
    for where, content in files:
        if layout.label_key is not None:
            batch_images, batch_labels = python_batch(content, where, layout.label_key, classes)
        else:
            batch_images, batch_labels = binary_batch(content, where, layout.label_bytes, classes)
        images.append(batch_images)
        labels.append(batch_labels)
    mean, std = normalisation
    return Dataset(
        name=name,
        split=split,
        kind="static",
        images=torch.from_numpy(np.concatenate(images)),
        labels=torch.from_numpy(np.concatenate(labels)),
        classes=classes,
        mean=mean,
        std=std,
    )


def _find(name: str, data_dir: Path, split: str) -> tuple[CifarLayout, Iterable[tuple[str, bytes]]]:
    """Return the layout found and, for each batch wanted, what to call it in an error and its bytes."""
    info, layouts = DATASETS[name], LAYOUTS[name]
    fetch = f"download {info.download} and put it there (it need not be unpacked)"
    if not data_dir.exists():
        raise InputError(
            f"the data directory {data_dir} does not exist: to use {info.title}, make it, {fetch}, "
            "or name another one with --data-dir"
        )
    if not data_dir.is_dir():
        raise InputError(f"{data_dir} is not a directory: give --data-dir the directory that holds {info.title}")

    incomplete: Path | None = None
    folders = [(layout, data_dir / layout.folder) for layout in layouts]
    unpacked_here = [(layout, data_dir) for layout in layouts]
    archives = [(layout, data_dir / layout.archive) for layout in layouts]
    # The unpacked folders come first: reading them is several times quicker than reading an archive.
    for layout, folder in folders + unpacked_here:
        paths = [folder / file for file in layout.files[split]]
        absent = [path for path in paths if not os.path.isfile(path)]
        if not absent:
            return layout, ((str(path), read_bytes(path, most=_LARGEST)) for path in paths)
        begun = len(absent) < len(paths) if folder == data_dir else folder.is_dir()
        if begun and incomplete is None:
            incomplete = absent[0]
    for layout, archive in archives:
        if os.path.isfile(archive):
            return layout, _read_archive(archive, layout, split)
    if incomplete is not None:
        raise InputError(
            f"{incomplete} is missing from the {split} split of {info.title}: unpack the archive again, "
            f"or download {info.download} and put it in {data_dir}"
        )
    raise InputError(
        f"{info.title} ({split} split) is not in {data_dir}: looked there for {info.expected}, and for "
        f"{' or '.join(layout.files[split][0] for layout in layouts)} itself; {fetch}"
    )


def _read_archive(archive: Path, layout: CifarLayout, split: str) -> list[tuple[str, bytes]]:
    """Read the wanted members of an archive into memory; nothing is extracted to disk."""
    wanted = layout.files[split]
    found: dict[str, tuple[str, bytes]] = {}

    def is_wanted(name: str) -> bool:
        folder, file = posixpath.split(posixpath.normpath(name))
        return file in wanted and folder in (layout.folder, "")

    with open_file(archive, most=_LARGEST) as packed:
        try:
            for name, content in members(packed, is_wanted, _LARGEST):
                path = posixpath.normpath(name)
                found[posixpath.basename(path)] = (f"{archive} ({path})", content)
                if len(found) == len(wanted):
                    break
        except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
            raise InputError(
                f"{archive} is truncated or not a .tar.gz archive ({brief(error)}): download it again"
            ) from error
    for file in wanted:
        if file not in found:
            raise InputError(
                f"{archive} holds no file {layout.folder}/{file}: it is truncated, or not the publisher's "
                "archive; download it again"
            )
    return [found[file] for file in wanted]
