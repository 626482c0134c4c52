"""Spoils HDF5 files by what their format can hold: links, types, claims, filters and storage of any kind."""

import contextlib
import io
import random
import zlib
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

Make = Callable[[Any, str], object]


def _array(shape: tuple[int, ...] = (3, 2), dtype: Any = "f4", fill: float = 1.0, **options: Any) -> Make:
    return lambda file, path: file.create_dataset(path, data=np.full(shape, fill).astype(dtype), **options)


def _claimed(shape: tuple[int, ...], **options: Any) -> Make:
    """An array that is declared, with a value for all of it, and has nothing written."""
    chunks = tuple(min(64, size) for size in shape)
    return lambda file, path: file.create_dataset(path, shape, "f4", chunks=chunks, fillvalue=1.0, **options)


def _typed(dtype: Any) -> Make:
    return lambda file, path: file.create_dataset(path, (3, 2), dtype=dtype)


def _link(target: Any) -> Make:
    def make(file: Any, path: str) -> None:
        file[path] = target(file, path)

    return make


def _bomb(file: Any, path: str) -> None:
    """128 MiB of zeros in 128 KiB."""
    packed = zlib.compress(bytes(2**24), 9)
    made = file.create_dataset(path, (2**14, 2**11), "f4", chunks=(2**11, 2**11), compression="gzip")
    for row in range(0, 2**14, 2**11):
        made.id.write_direct_chunk((row, 0), packed)


def _virtual(shape: tuple[int, ...], itself: bool) -> Make:
    def make(file: Any, path: str) -> None:
        layout = h5py.VirtualLayout(shape, "f4")
        if itself:
            layout[:] = h5py.VirtualSource(".", path, shape)
        file.create_virtual_dataset(path, layout, fillvalue=1)

    return make


_MAKES: tuple[Make, ...] = (
    *(_array(dtype=dtype) for dtype in ("f2", ">f8", "i1", "?", "c16", "V9", np.longdouble)),
    _array(dtype=[("a", "f4"), ("b", "i4")]),
    *(_array(fill=value) for value in (np.nan, np.inf, 1e38, -1.0, 0.0)),
    *(_array(shape) for shape in ((), (0, 2), (2, 0), (1,) * 32, (300, 200), (4096, 4))),
    _array(fill=1e307, dtype="f8"),
    _bomb,
    _array((300, 200), compression="lzf"),
    _array((3, 2), shuffle=True, fletcher32=True, chunks=(3, 2)),
    _array((3, 2), "i4", scaleoffset=4, chunks=(3, 2)),
    _array((3, 2), maxshape=(None, None)),
    *(_claimed(shape) for shape in ((10**6, 10**6), (2**31, 2**31), (10**4, 10**4), (10**9,))),
    *map(_typed, (h5py.vlen_dtype("f4"), h5py.ref_dtype, h5py.enum_dtype({"A": 1}), h5py.string_dtype())),
    _typed(np.dtype(("f4", (2,)))),
    lambda file, path: file.create_dataset(path, data=h5py.Empty("f4")),
    lambda file, path: file.create_dataset(path, data="x" * 1000),
    lambda file, path: file.create_dataset(path, (3, 2), "f4", external=[("/etc/passwd", 0, 24)]),
    lambda file, path: file.create_group(path),
    _virtual((3, 2), itself=True),
    _virtual((10**6, 10**6), itself=False),
    _link(lambda file, path: file["/"]),
    _link(lambda file, path: file[path.rpartition("/")[0] or "/"]),
    _link(lambda file, path: h5py.SoftLink("/" + path)),
    _link(lambda file, path: h5py.SoftLink("/nowhere")),
    _link(lambda file, path: h5py.ExternalLink("/etc/passwd", "/x")),
    _link(lambda file, path: h5py.ExternalLink("g.nir", "/" + path)),
)  # fmt: skip


def _spoil(file: Any, path: str, paths: list[str], chance: random.Random) -> None:
    match chance.randrange(8):
        case 0:
            del file[path]
        case 1:
            file.move(path, path + chance.choice(("x", "\x1b[31m", "\u202e", "/y", "z" * 300)))
        case 2:
            file.copy(path, f"{chance.choice(paths)}/copy" if chance.random() < 0.5 else "copy")
        case _:
            del file[path]
            chance.choice(_MAKES)(file, path)


def hdf5(content: bytes, chance: random.Random) -> bytes:
    """The file with one or two of its items gone, renamed, copied, or others in their place."""
    spoilt = io.BytesIO(content)
    with h5py.File(spoilt, "r+") as file:
        for _ in range(chance.randint(1, 2)):
            paths: list[str] = []
            file.visit(paths.append)
            if not paths:
                break
            path = chance.choice(paths)
            with contextlib.suppress(RuntimeError, ValueError, OSError, KeyError):  # what the library will not make
                _spoil(file, path, paths, chance)
    return spoilt.getvalue()
