"""Reads a checkpoint file safely: tensors and settings, never code."""

import hashlib
import io
import os
import pickle
import re
import struct
import threading
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from saformer.errors import InputError
from saformer.files import check_file, open_file
from saformer.locks import scratch_folder
from saformer.pickles import UnsafePickle, check_pickle
from saformer.text import printable

_LONGEST_SETTING = 10_000  # characters of a text, or items of a list
_MOST_TENSORS = 10_000  # those of a network and of its optimiser are a thousand or two
_WHAT = "the checkpoint"
_WEIGHTS_KEYS = ("state_dict", "model", "net", "model_ema", "state_dict_ema")
_SETTINGS_KEYS = ("args", "config", "hyper_parameters")
_PREFIXES = ("module.", "_orig_mod.")  # left by DistributedDataParallel and torch.compile

# The most that the format allows; what looks like a longer header is a file of another kind.
_LONGEST_SAFETENSORS_HEADER = 100_000_000

# The pickles of torch's old files stand before the weights.
_LONGEST_PICKLES = 2**26

# What the parsers of torch, safetensors, zipfile and pickle are known to raise for a damaged file.
# MemoryError is not among them: it says nothing about the file.
_PARSER_ERRORS = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    zipfile.BadZipFile,
    ValueError,  # UnicodeDecodeError is one
    LookupError,  # KeyError, IndexError, and an unknown text encoding
    AttributeError,
    OSError,
    TypeError,
    ArithmeticError,  # a length that overflows
    AssertionError,
    struct.error,
    SafetensorError,
)


@dataclass(frozen=True)
class RawCheckpoint:
    """Tensors and settings of a checkpoint file; which model they belong to is not decided here."""

    path: Path
    sha256: str
    format: str  # "safetensors" or "torch"
    weights: dict[str, torch.Tensor]  # contiguous CPU tensors, by name without "module." and the like
    weights_key: str  # the entry the weights were under, "" for the top level
    settings: dict[str, Any]  # from stored args: str, int, float, bool, None and lists of these
    metadata: dict[str, str]  # of a safetensors file
    other: dict[str, Any]  # the same kinds of value, found beside the weights


def read_checkpoint(path: str | Path, weights_key: str | None = None) -> RawCheckpoint:
    """Reads the weights and the settings of a .safetensors file or of one that torch.save wrote.

    The kind of file is told by its contents. Weights are looked for under "state_dict", "model", "net",
    "model_ema" and "state_dict_ema", in this order, then at the top level (""); `weights_key` names
    another entry. No code that the file names is ever run.

    Raises InputError, in one line, for everything that is wrong with the file.
    """
    path = Path(path)
    before = _checked(path)
    sha256 = sha256_of(path)
    metadata: dict[str, str] = {}
    kind = _kind(path, before.st_size)
    if kind == "safetensors":
        stored: Any
        stored, metadata = _load_safetensors(path)
    else:
        stored = _load_torch(path, kind)
    found, key = _find_weights(path, stored, weights_key)
    weights = _own_copies(path, found, before.st_size)
    after = _checked(path)
    if (after.st_size, after.st_mtime_ns, after.st_ino) != (
        before.st_size,
        before.st_mtime_ns,
        before.st_ino,
    ):
        _refuse(path, "it changed while it was being read; try again once nothing writes to it")
    return RawCheckpoint(
        path=path,
        sha256=sha256,
        format="safetensors" if kind == "safetensors" else "torch",
        weights=_without_prefixes(weights),
        weights_key=key,
        settings=_settings(stored),
        metadata=metadata,
        other=_other(stored, key),
    )


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal, without holding the file in memory."""
    with open_file(path, _WHAT) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- The file and its kind -------------------------------------------------------------------------------


def _checked(path: Path) -> os.stat_result:
    found = check_file(path, _WHAT)
    if found.st_size == 0:
        _refuse(path, "the file is empty; copy or download it again")
    return found


def _kind(path: Path, size: int) -> str:
    """Which reader the file is for: "safetensors", "zip" or "legacy"."""
    with open_file(path, _WHAT) as file:
        start = file.read(2**16)
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    if len(start) >= 9 and start[8:9] == b"{":
        (length,) = struct.unpack("<Q", start[:8])
        if length <= _LONGEST_SAFETENSORS_HEADER:
            if 8 + length > size:
                _refuse(path, "the safetensors file is cut short; copy or download it again")
            return "safetensors"
    if not (start[:1] == b"\x80" and start[1:2] <= bytes([pickle.HIGHEST_PROTOCOL])):
        _refuse_unknown(path, start)
    return "legacy"


def _refuse_unknown(path: Path, start: bytes) -> NoReturn:
    expected = "expected a .safetensors file or one that torch.save wrote"
    if start.startswith(b"version https://git-lfs"):
        _refuse(path, "it is a Git LFS pointer, not the file itself; run git lfs pull")
    if start[257:262] == b"ustar":
        _refuse(path, f"it is a tar archive, {expected}; unpack it, or save the weights again")
    # Pickle's first protocols begin without a mark of their own.
    names: list[str] = []
    with suppress(ValueError):
        check_pickle(start, names.append)
        names.append("")  # it was followed to its end
    if len(names) > 1 and not names[-1]:
        _refuse_global(path, names[0])
    if all(byte >= 32 or byte in b"\t\n\r\f" for byte in start):
        _refuse(path, f"it is a text file, {expected}")
    _refuse(path, f"its contents are of no known kind, {expected}")


# --- safetensors -----------------------------------------------------------------------------------------


def _load_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    try:
        with safe_open(os.fspath(path), framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except _PARSER_ERRORS as error:
        reason = _first_line(error)
        if re.search("IncompleteBuffer|InvalidHeaderLength|incomplete metadata|not fully covered", reason):
            _refuse(path, "the safetensors file is cut short or damaged; copy or download it again")
        _refuse(path, reason)


# --- torch.save ------------------------------------------------------------------------------------------

# The unpickler of torch, with weights_only=True, calls nothing that is not on its list. Nothing that we add
# to the list is the thing that the file names: each name stands for one of the plain functions and classes
# below, so that no code of numpy, pathlib or argparse runs on what a stranger wrote.


class _Namespace:
    """Stands for argparse.Namespace."""

    entries: Mapping[Any, Any] = MappingProxyType({})  # pickle gives an empty one no state

    def __setstate__(self, state: Any) -> None:
        self.entries = dict(state) if isinstance(state, Mapping) else {}


class _NumberType:
    """Stands for numpy.dtype: remembers the code of a type and its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


class _Opaque:
    """Stands for a value that is neither text nor a number; settings leave it out."""


def _number(kind: Any, raw: Any) -> Any:
    """Stands for the function with which numpy scalars are rebuilt; the result is Python's own number."""
    if not (isinstance(kind, _NumberType) and isinstance(raw, bytes)):
        return _Opaque()
    if not re.fullmatch(r"[biuf]\d{1,2}", str(kind.code)) or kind.order not in ("<", ">", "=", "|"):
        return _Opaque()
    type_ = np.dtype(f"{kind.order}{kind.code}")
    if len(raw) != type_.itemsize:
        raise pickle.UnpicklingError("a number of another size than its type")
    return np.frombuffer(raw, type_)[0].item()


def _path_text(*parts: Any) -> str:
    """Stands for the path classes, whose Windows kind cannot be made anywhere else."""
    return str(PurePosixPath(*(str(part).replace("\\", "/") for part in parts)))


def _dictionary(*_: Any) -> "OrderedDict[Any, Any]":
    """Stands for defaultdict, which torch makes but refuses to fill."""
    return OrderedDict()


_STAND_INS: dict[str, Any] = {
    "argparse.Namespace": _Namespace,
    "collections.OrderedDict": OrderedDict,
    "collections.defaultdict": _dictionary,
    "yacs.config.CfgNode": OrderedDict,  # a dictionary of settings
    "numpy._core.multiarray.scalar": _number,
    "numpy.core.multiarray.scalar": _number,
    "numpy.dtype": _NumberType,
    **{
        f"{module}.{name}": _path_text
        for module in ("pathlib", "pathlib._local")  # the latter in Python 3.13
        for name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
    },
    # What a defaultdict makes its new entries with, if anything.
    **{f"builtins.{kind.__name__}": _Opaque for kind in (int, float, str, list, dict)},
}

_LOCK = threading.Lock()


@contextmanager
def _only_our_globals() -> Iterator[None]:
    """Torch's list of further globals holds exactly ours inside, and afterwards what it held before.

    Other libraries in the process add to that list; what they trust is not what we trust.
    """
    with _LOCK:
        before = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        try:
            with torch.serialization.safe_globals([(made, name) for name, made in _STAND_INS.items()]):
                yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(before)


def _load_torch(path: Path, kind: str) -> Any:
    try:
        if kind == "zip":
            _check_archive(path)
        else:
            _check_legacy(path)
        with warnings.catch_warnings(), _only_our_globals():
            warnings.simplefilter("ignore")
            return _load_zip(path) if kind == "zip" else _load_legacy(path)
    except InputError:
        raise
    except UnsafePickle as error:
        _refuse(path, f"{error}; the file is damaged, or was made to do harm")
    except _PARSER_ERRORS as error:
        if "Unsupported operand" in str(error):
            _refuse(
                path,
                "its pickle is damaged, or of a protocol that cannot be read safely; "
                "save the weights again with torch.save(model.state_dict(), ...) and its default protocol",
            )
        _refuse(path, _reason(error))


def _load_zip(path: Path) -> Any:
    if path.suffix != ".safetensors":
        return _load_mapped(path)
    # Torch goes by that suffix, not by the contents.
    with scratch_folder() as folder:
        link = folder / "checkpoint.pth"
        link.symlink_to(path.absolute())
        return _load_mapped(link)


def _load_mapped(path: Path) -> Any:
    # Mapped, so that the state of the optimizer, twice the size of the weights, need never be read, and so
    # that no version of torch can be led past the end of a buffer by the sizes that a file claims.
    try:
        return torch.load(os.fspath(path), map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
    # Not every file system can map a file.
    return torch.load(os.fspath(path), map_location="cpu", weights_only=True)


def _load_legacy(path: Path) -> Any:
    with _BoundedReader(open_file(path, _WHAT).detach()) as file:
        return torch.load(file, map_location="cpu", weights_only=True)


# What torch itself takes, apart from functions that may copy a tensor to another type, however large it claims to be.
_TORCH = re.compile(
    r"torch\.(cuda\.)?\w+|torch\.storage\.\w+|torch\.nn\.parameter\.Parameter|torch\.serialization\._get_layout"
    r"|torch\._utils\._rebuild_(?!device)\w+|torch\._tensor\._rebuild_from_type_v2"
    r"|collections\.Counter|_codecs\.encode|builtins\.(bytearray|set|complex)"
)


class _BoundedReader(io.BufferedReader):
    """Sets no more memory aside than the file can fill, whatever length a damaged file claims."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > 2**16:
            size = min(size, max(0, os.fstat(self.fileno()).st_size - self.tell()))
        return super().read(size)


def _check_archive(path: Path) -> None:
    """Refuses a zip archive that torch.save did not write, and one whose pickle would take more than its size."""
    with open_file(path, _WHAT) as file, zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        inside = [entry.filename.partition("/")[2] for entry in entries]
        if "data.pkl" not in inside:
            shown = _listed([entry.filename for entry in entries])
            _refuse(path, f"it is a zip archive, but no checkpoint; it holds {shown}")
        if "constants.pkl" in inside:
            _refuse(path, "it is a TorchScript archive, which holds code; save model.state_dict() instead")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            # The map would show the compressed bytes in place of the weights.
            _refuse(path, "it has been compressed since torch.save wrote it; load it with torch and save it again")
        # Torch looks for names without regard to case: it must find the pickle that is looked through here.
        if len({name.casefold() for name in inside}) < len(inside):
            _refuse(path, "two files in it have one name; the file is damaged, or torch.save did not write it")
        if sum(entry.file_size for entry in entries) > file.seek(0, os.SEEK_END):
            _refuse(path, "the files in it claim more bytes than it has; copy or download it again")
        check_pickle(_stored(file, entries[inside.index("data.pkl")]), _GlobalsOf(path))
        # Whoever told torch to leave the checksums out finds zeros in their place, and nothing to check.
        damaged = archive.testzip() if any(entry.CRC for entry in entries) else None
        if damaged is not None:
            inner = damaged.partition("/")[2]
            _refuse(path, f"its checksum says that {_shown(inner)} in it is damaged; copy or download it again")


def _stored(file: io.BufferedReader, entry: zipfile.ZipInfo) -> bytes:
    """The bytes of an entry as torch reads them: whatever checksum it has, or none."""
    file.seek(entry.header_offset)
    name, more = struct.unpack("<26xHH", file.read(30))
    file.seek(name + more, os.SEEK_CUR)
    return file.read(entry.file_size)


def _check_legacy(path: Path) -> None:
    """Looks through the five pickles of torch's old files: a number, a version, the machine, the tensors, the keys."""
    with open_file(path, _WHAT) as file:
        content = file.read(_LONGEST_PICKLES)
    end = 0
    for _ in range(5):
        end = check_pickle(content, _GlobalsOf(path), end)


class _GlobalsOf:
    """Refuses a file that names a global which no checkpoint needs, in any protocol of pickle."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, name: str) -> None:
        # A damaged pickle can name anything; what could be imported is a dotted name.
        if name not in _STAND_INS and not _TORCH.fullmatch(name) and re.fullmatch(r"\w+(\.\w+)+", name):
            _refuse_global(self._path, name)


# --- What the file held ----------------------------------------------------------------------------------


def _find_weights(path: Path, stored: Any, wanted: str | None) -> tuple[dict[str, torch.Tensor], str]:
    if not isinstance(stored, Mapping):
        kind = "a tensor" if isinstance(stored, torch.Tensor) else f"a value of type {type(stored).__name__}"
        _refuse(path, f"it holds {kind}, not a dictionary of weights; save model.state_dict()")
    entries = {name: entry for name, entry in stored.items() if isinstance(name, str)} | {"": stored}
    places = {
        name: entry
        for name, entry in entries.items()
        if isinstance(entry, Mapping) and any(isinstance(value, torch.Tensor) for value in entry.values())
    }
    if wanted is not None:
        if wanted not in places:
            there = _listed(["the top level" if name == "" else name for name in places])
            place = "at the top level" if wanted == "" else f"under {_shown(wanted)}"
            _refuse(path, f"there are no weights {place}; it has weights under: {there or 'nothing'}")
        key = wanted
    elif places:
        key = next((name for name in (*_WEIGHTS_KEYS, "") if name in places), None) or ""
        if key not in places:
            _refuse(path, f"its weights are in no usual place; choose one of these keys: {_listed(list(places))}")
    else:
        found = _listed(list(stored)) or "nothing"
        _refuse(path, f"it holds no weights; at its top level it has: {found}")
    weights = {name: value for name, value in places[key].items() if isinstance(value, torch.Tensor)}
    if len(weights) > _MOST_TENSORS:
        _refuse(path, f"it holds {len(weights):,} tensors, and no network has more than {_MOST_TENSORS:,}")
    for name in weights:
        if not isinstance(name, str):
            _refuse(path, f"the weights have the name {_shown(name)}, where every name must be text")
    return weights, key


def _own_copies(path: Path, found: dict[str, torch.Tensor], size: int) -> dict[str, torch.Tensor]:
    """Copies that no longer depend on the file.

    The tensors as read are a view of the file itself: were it shortened while they are in use, as a training
    run does that writes over its last checkpoint, the process would die.
    """
    for name, tensor in found.items():
        kind = _unsupported(tensor)
        if kind is not None:
            _refuse(path, f"the tensor {_shown(name)} is {kind}, which is not supported; save it dense")
    # A tensor can repeat the same bytes without end, and weights can share them, but only a file made to
    # fill the memory does so to this extent.
    claimed = sum(tensor.numel() * tensor.element_size() for tensor in found.values())
    if claimed > 8 * size + 2**28:
        _refuse(path, f"its tensors claim {claimed} bytes, which a file of {size} bytes cannot hold")
    copies: dict[str, torch.Tensor] = {}
    faulty: list[tuple[str, int]] = []
    try:
        with torch.no_grad():
            for name, tensor in found.items():
                copy = tensor.detach().clone(memory_format=torch.contiguous_format)
                if copy.is_floating_point() or copy.is_complex():
                    # Not every operation exists for floating point numbers of one byte.
                    finite = torch.isfinite(copy if copy.element_size() > 1 else copy.float())
                    count = copy.numel() - int(finite.sum())
                    if count:
                        faulty.append((name, count))
                copies[name] = copy
    except _PARSER_ERRORS as error:
        _refuse(path, f"the tensor {_shown(name)} cannot be used: {_reason(error)}")
    if faulty:
        name, count = faulty[0]
        _refuse(
            path,
            f"the tensor {_shown(name)} has NaN or infinity in {count} of its {copies[name].numel()} values, "
            f"as have {len(faulty)} of {len(found)} tensors in all; use a checkpoint from before it diverged",
        )
    return copies


def _unsupported(tensor: torch.Tensor) -> str | None:
    if tensor.is_nested:
        return "nested"
    if tensor.is_quantized:
        return "quantised"
    if tensor.layout != torch.strided:
        return "sparse"
    if tensor.device.type == "meta":
        return "a meta tensor without values"
    if tensor.device.type != "cpu":
        return f"on the device {tensor.device}"
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return f"a {type(tensor).__name__}"
    return None


def _without_prefixes(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    stripped = True
    while stripped:
        stripped = False
        for prefix in _PREFIXES:
            if weights and all(name.startswith(prefix) and name != prefix for name in weights):
                weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
                stripped = True
    return weights


def _settings(stored: Mapping[Any, Any]) -> dict[str, Any]:
    for key in _SETTINGS_KEYS:
        entries = stored.get(key)
        if isinstance(entries, _Namespace):
            entries = entries.entries
        if isinstance(entries, Mapping):
            plain = {
                name: value
                for name, value in ((name, _plain(value)) for name, value in entries.items())
                if isinstance(name, str) and not isinstance(value, _Opaque)
            }
            if plain:
                return plain
    return {}


def _other(stored: Mapping[Any, Any], weights_key: str) -> dict[str, Any]:
    other: dict[str, Any] = {}
    for name, value in stored.items():
        if isinstance(value, torch.Tensor):
            # PyTorch's own example scripts store the best accuracy as a tensor.
            if weights_key == "" or _unsupported(value) is not None or value.numel() != 1:
                continue
            try:
                value = value.item()
            except RuntimeError:  # a type that torch stores but cannot compute with
                continue
        plain = _plain(value)
        if isinstance(name, str) and not isinstance(plain, _Opaque):
            other[name] = plain
    return other


def _plain(value: Any) -> Any:
    """The value, if it is text, a number, a truth value, None or a list of these; otherwise _Opaque."""
    if isinstance(value, list | tuple | str) and len(value) > _LONGEST_SETTING:
        return _Opaque()  # of a file in which it stands a thousand times, it would be copied as often
    if isinstance(value, list | tuple):
        items = [item if isinstance(item, list | tuple) else _plain(item) for item in value]
        if any(isinstance(item, list | tuple | _Opaque) for item in items):
            return _Opaque()
        return items
    if isinstance(value, str):
        # Pickle lets half characters through, which no file of ours could hold.
        return value.encode("utf-8", errors="replace").decode()
    if value is None or type(value) in (int, float, bool):
        return value
    return _Opaque()


# --- Refusals --------------------------------------------------------------------------------------------


def _refuse(path: Path, reason: str) -> NoReturn:
    raise InputError(f"cannot read the checkpoint {_shown(path, 4096)}: {reason}") from None


def _refuse_global(path: Path, name: str) -> NoReturn:
    _refuse(
        path,
        f"it asks for {_shown(name)}, and a file may not name code to run; the file was not executed; "
        "save model.state_dict() with plain settings instead",
    )


def _reason(error: Exception) -> str:
    """What torch found wrong, without its advice to load the file in the unsafe way."""
    message = str(error)
    if "central directory" in message or isinstance(error, zipfile.BadZipFile | EOFError | struct.error):
        return "the file is cut short or damaged; copy or download it again"
    damaged = "the file is damaged, or torch.save did not write it"
    if "not resizable" in message:
        return "a tensor claims more bytes than are there; the file is damaged, copy or download it again"
    if not isinstance(error, RuntimeError | OSError):
        return damaged  # what the others say is about the inside of a parser
    reason = _first_line(message)
    if reason == "" or re.search(r"weights_only|torch\.(load|serialization)|safe_globals|%ld", reason):
        return damaged  # advice to load the file in the unsafe way, or a message that torch left unfinished
    return f"{reason}; {damaged}"


def _first_line(reason: object) -> str:
    lines = str(reason).strip().splitlines()
    line = re.sub(r"^\[enforce fail at [^\]]*\]\s*[.:]?\s*", "", lines[0]) if lines else ""
    return _shown(re.split(r"\.\s", line)[0].rstrip("."), 200)


def _listed(names: list[Any]) -> str:
    shown = ", ".join(_shown(name) for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"


def _shown(text: object, longest: int = 100) -> str:
    """Text from the file as one line of printable characters, cut after `longest` of them."""
    line = printable(str(text)[: longest + 1])
    return line if len(line) <= longest else f"{line[:longest]}..."
