"""Reads NIR graphs from HDF5 files: what a file holds is looked at before anything of it is read.

A graph is data. Nothing in a file is executed, no other file is opened for it (links and external storage are refused),
and no more is read than follows from its size.
"""

from pathlib import Path
from typing import Any

from saformer.errors import InputError
from saformer.files import check_file, open_file
from saformer.text import briefly

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MOST_BYTES = 2**32
_MOST_TIMES, _FREE_BYTES = 100, 2**26  # what it unpacks to, over its size, beyond what every file may
_DEFLATED = 1040  # no byte of deflate unpacks to more
_MOST_ITEMS = 100_000
_DEEPEST = 32
# deflate, shuffle, checksum, szip, lzf: those that h5py itself brings.
_FILTERS = {1, 2, 3, 4, 32000}


def is_hdf5(path: str | Path) -> bool:
    """The file begins as HDF5 files do, which NIR graphs are."""
    try:
        with open_file(path) as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except (OSError, ValueError):
        return False


def read_graph(path: str | Path) -> Any:
    """The `nir.NIRGraph` in a file.

    Raises:
        InputError: nir is not installed, or the file is none, damaged, or holds what a graph does not.
    """
    path = Path(path)
    try:
        import h5py
        import nir
    except ImportError:
        raise InputError(
            f"{path.name} is a NIR graph, which the package nir reads: pip install 'saformer[nir]'"
        ) from None
    check_file(path, "the NIR graph")
    if not is_hdf5(path):
        raise InputError(f"{path}: this is no NIR graph, which is an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            if "node" not in file:
                raise InputError(f"{path}: an HDF5 file without the group `node`, so no NIR graph")
            _Look(path, h5py).at(file, "", 0)
            kind = file["node/type"].asstr()[()]
            if kind != "NIRGraph":
                raise InputError(f"{path} holds a single {kind}, no NIR graph: put it between Input and Output")
        return nir.read(path, type_check=False)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # h5py and nir fail in any way on a file that is damaged
        words = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: the NIR graph cannot be read: {briefly(words, quoted=False)}") from None


class _Look:
    """Walks through a file and refuses what is no part of a graph, or too much of it."""

    def __init__(self, path: Path, h5py: Any) -> None:
        self._path, self._h5py, self._size = path, h5py, path.stat().st_size
        self._items = self._bytes = 0

    def at(self, group: Any, name: str, depth: int) -> None:
        """Look at all that a group holds."""
        if depth > _DEEPEST:
            self._refuse(f"groups lie more than {_DEEPEST} deep")
        for key in group:
            self._items += 1
            if self._items > _MOST_ITEMS:
                self._refuse(f"more than {_MOST_ITEMS:,} items")
            where = f"{name}/{key}"
            if not isinstance(group.get(key, getlink=True), self._h5py.HardLink):
                self._refuse(f"{where} is a link to elsewhere")
            item = group[key]
            if isinstance(item, self._h5py.Group):
                self.at(item, where, depth + 1)
            elif isinstance(item, self._h5py.Dataset):
                self._dataset(item, where)
            else:
                self._refuse(f"{where} is neither a group nor an array")

    def _dataset(self, item: Any, where: str) -> None:
        if item.external or item.is_virtual:
            self._refuse(f"the numbers of {where} lie in another file")
        text = self._h5py.check_string_dtype(item.dtype) is not None
        if not text and item.dtype.kind not in "biuf":
            self._refuse(f"{where} holds {item.dtype}, neither numbers nor text")
        properties = item.id.get_create_plist()
        if not {properties.get_filter(i)[0] for i in range(properties.get_nfilters())} <= _FILTERS:
            self._refuse(f"{where} is compressed in a way of its own")
        size = (item.size or 0) * max(item.dtype.itemsize, 1)
        if size > 2**16 + _DEFLATED * min(item.id.get_storage_size(), self._size):
            self._refuse(f"{where} claims {size:,} bytes, which the file does not hold")
        self._bytes += size
        most = min(_MOST_TIMES * self._size + _FREE_BYTES, _MOST_BYTES)
        if self._bytes > most:
            self._refuse(f"it unpacks to more than {most >> 20:,} MiB")

    def _refuse(self, why: str) -> None:
        raise InputError(f"{self._path}: the NIR graph is not read: {briefly(why, quoted=False)}")
