"""Ways to spoil a file: bytes of any kind, numbers, and what is built by the grammar of its format."""

import gzip
import io
import json
import pickle
import pickletools
import random
import re
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

NUMBERS = (0, 1, -1, 2, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**63, 2**64, 10**30)
TEXTS = (
    "",
    "x" * 5000,
    "\x00",
    "\x1b[2J",
    "nan",
    "-inf",
    "1e400",
    "../../etc/passwd",
    "=1+1",
    "*" * 60,
    "é",
    "\ud800",
    "[" * 3000,
)


def some_bytes(content: bytes, chance: random.Random) -> bytes:
    """One to four changes that know nothing of the format."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        length = min(len(data) - at, 2 ** chance.randrange(12))
        match chance.randrange(8):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at:]
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length]
            case 4:
                data[at:at] = bytes([chance.choice((0, 255, 46, chance.randrange(256)))]) * length
            case 5:
                other = chance.randrange(len(data) + 1)
                data[at : at + length] = data[other : other + length]
            case 6 | 7:
                size = chance.choice("BHIQ")
                number = chance.choice(NUMBERS) % 2 ** (8 * struct.calcsize(size))
                packed = struct.pack(chance.choice("<>") + size, number)
                data[at : at + len(packed)] = packed
    return bytes(data)


def text(content: bytes, chance: random.Random) -> bytes:
    """Lines, words and numbers of a text."""
    lines = content.decode("utf-8", "replace").split("\n")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(lines))
        match chance.randrange(7):
            case 0:
                del lines[at:][: chance.randint(1, 3)]
                lines = lines or [""]
            case 1:
                lines[at:at] = [lines[at]] * chance.choice((1, 2, 3000))
            case 2:
                lines[at] = re.sub(r"-?\d[\d.e+-]*", lambda _: str(chance.choice(NUMBERS)), lines[at], count=1)
            case 3:
                lines[at] = re.sub(r"\w+", lambda _: chance.choice(TEXTS), lines[at], count=1)
            case 4:
                lines[at] += chance.choice(TEXTS)
            case 5:
                other = chance.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 6:
                lines[at] = chance.choice(('"', "'", "[", "{", ",", "=", "#", "\\u", '"""')) + lines[at]
    spoilt = "\n".join(lines).encode("utf-8", "surrogatepass")
    return spoilt if chance.random() < 0.9 else some_bytes(spoilt, chance)


def _value(chance: random.Random, depth: int = 0) -> Any:
    if depth < 2 and chance.random() < 0.3:
        items = [_value(chance, depth + 1) for _ in range(chance.randrange(4))]
        return items if chance.random() < 0.5 else {str(i): item for i, item in enumerate(items)}
    return chance.choice((*NUMBERS, *TEXTS, None, True, 0.5, -1e308, float("inf"), float("nan")))


def _spoil(plain: Any, chance: random.Random) -> Any:
    """A plain value with something in it replaced, removed or repeated."""
    if not isinstance(plain, dict | list) or not plain or chance.random() < 0.1:
        return plain + chance.choice((1, -1)) if type(plain) is int and chance.random() < 0.5 else _value(chance)
    if isinstance(plain, list):
        at = chance.randrange(len(plain))
        match chance.randrange(5):
            case 0:
                return plain[:at] + plain[at + 1 :]
            case 1:
                return plain[:at] + [plain[at]] * chance.choice((2, 1000)) + plain[at:]
        return [*plain[:at], _spoil(plain[at], chance), *plain[at + 1 :]]
    key = chance.choice(list(plain))
    match chance.randrange(8):
        case 0:
            return {name: value for name, value in plain.items() if name != key}
        case 1:
            return {chance.choice(TEXTS) if name == key else name: value for name, value in plain.items()}
    return {**plain, key: _spoil(plain[key], chance)}


def json_text(content: bytes, chance: random.Random) -> bytes:
    """JSON with other values, or a spoilt text of it."""
    if chance.random() < 0.2:
        return text(content, chance)
    plain = json.loads(content)
    for _ in range(chance.randint(1, 3)):
        plain = _spoil(plain, chance)
    return json.dumps(plain).encode("utf-8", "surrogatepass")


# --- pickles -----------------------------------------------------------------------------------------------

_BY_NAME = {code.name: code for code in pickletools.opcodes}
_GLOBALS = (
    "collections OrderedDict", "collections Counter", "builtins bytearray", "builtins set", "_codecs encode",
    "torch Size", "torch FloatStorage", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_qtensor",
    "torch._utils _rebuild_sparse_tensor", "torch._utils _rebuild_parameter", "torch Tensor", "torch device",
    "torch._tensor _rebuild_from_type_v2", "torch.storage UntypedStorage", "argparse Namespace", "os system",
    "pathlib PosixPath", "numpy dtype", "numpy ndarray", "numpy.core.multiarray _reconstruct",
    "numpy._core.numeric _frombuffer", "numpy._core.multiarray scalar", "builtins int", "builtins complex",
)  # fmt: skip


def _instruction(chance: random.Random) -> bytes:
    """One instruction with an argument."""
    code = chance.choice(pickletools.opcodes)
    head = code.code.encode("latin-1")
    raw = chance.choice((b"a", b"latin1", b"storage", b"cpu", b"data", b"x" * 200))
    small = chance.choice((0, 1, 2, 3, 7, 200))
    match code.name:
        case "GLOBAL" | "INST":
            return head + "\n".join((*chance.choice(_GLOBALS).split(" "), "")).encode()
        case "INT" | "LONG" | "FLOAT" | "PUT" | "GET" | "PERSID":
            return head + str(chance.choice(NUMBERS)).encode() + b"\n"
        case "STRING":
            return head + b"'" + raw + b"'\n"
        case "UNICODE":
            return head + raw + b"\n"
    if code.arg is None:
        return head
    size = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT4: 4}.get(code.arg.n)
    size = size or {pickletools.TAKEN_FROM_ARGUMENT4U: 4, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(code.arg.n)
    if size:
        length = len(raw) if chance.random() < 0.9 else chance.choice(NUMBERS) % 2 ** (8 * size)
        return head + length.to_bytes(size, "little") + raw
    number = small if chance.random() < 0.8 else chance.choice(NUMBERS)
    return head + (number % 2 ** (8 * code.arg.n)).to_bytes(code.arg.n, "little")


def pickled(content: bytes, chance: random.Random) -> bytes:
    """Instructions of a pickle removed, repeated, moved and added; or one of instructions by chance."""
    if chance.random() < 0.15:
        return b"\x80\x02" + b"".join(_instruction(chance) for _ in range(chance.randrange(40))) + b"."
    if chance.random() < 0.15:
        return pickle.dumps(_value(chance), chance.choice((0, 1, 2, 2, 4)))
    try:
        places = [at for _, _, at in pickletools.genops(content)]
    except Exception:
        return some_bytes(content, chance)
    parts = [content[a:b] for a, b in zip(places, [*places[1:], len(content)], strict=True)]
    for _ in range(chance.randint(1, 4)):
        at, other = chance.randrange(len(parts)), chance.randrange(len(parts))
        match chance.randrange(6):
            case 0:
                del parts[at : at + chance.randint(1, 3)]
                parts = parts or [b"."]
            case 1:
                parts[at:at] = parts[at : at + chance.randint(1, 5)] * chance.choice((1, 2, 200))
            case 2:
                parts[at], parts[other] = parts[other], parts[at]
            case 3 | 4:
                parts[at:at] = [_instruction(chance) for _ in range(chance.randint(1, 3))]
            case 5:
                # A tuple that doubles, as a key.
                doubled = b"K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(chance.choice((3, 40))))
                parts[at:at] = [chance.choice((b"}", b"", b"(")), doubled, chance.choice((b"Ns", b"Q", b"\x85R", b"d"))]
    return b"".join(parts)


# --- archives ----------------------------------------------------------------------------------------------


def zipped(inner: Callable[[str], Mutation]) -> Mutation:
    """A zip archive with spoilt files in it, and sound checksums."""

    def mutate(content: bytes, chance: random.Random) -> bytes:
        if chance.random() < 0.25:
            return some_bytes(content, chance)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = [(name, archive.read(name)) for name in archive.namelist()]
        at = chance.randrange(len(files))
        name, data = files[at]
        match chance.randrange(8):
            case 0:
                del files[at]
            case 1:
                files.append((name.swapcase() if chance.random() < 0.5 else name, data))
            case 2:
                files[at] = (chance.choice((name + "x", "../" + name, "constants.pkl", "a\x00b", "x" * 3000)), data)
            case _:
                # The one that is read as a program is the most rewarding.
                at = next((i for i, (n, _) in enumerate(files) if n.endswith("data.pkl")), at)
                files[at] = (files[at][0], inner(files[at][0])(files[at][1], chance))
        method = zipfile.ZIP_STORED if chance.random() < 0.9 else chance.choice((8, 12, 14))
        out = io.BytesIO()
        with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(out, "w", method) as archive:
            for name, data in files:
                archive.writestr(name, data)
        return out.getvalue()

    return mutate


def torch_zip(content: bytes, chance: random.Random) -> bytes:
    return zipped(lambda name: pickled if name.endswith("data.pkl") else some_bytes)(content, chance)


def array(content: bytes, chance: random.Random) -> bytes:
    """An .npy file with another header, or other bytes."""
    if chance.random() < 0.3:
        return some_bytes(content, chance)
    length = struct.unpack("<H", content[8:10])[0]
    plain = content[10 : 10 + length]
    match chance.randrange(4):
        case 0:
            kind = chance.choice((b"|O", b"<f8", b">u2", b"<M8[s]", b"<U9", b"|V8"))
            header = re.sub(rb"'descr': '[^']*'", b"'descr': '%s'" % kind, plain)
        case 1:
            shape = "(" + ", ".join(str(chance.choice(NUMBERS)) for _ in range(chance.randint(1, 6))) + ",)"
            header = re.sub(rb"\([^)]*\)", shape.encode(), plain)
        case _:
            header = text(plain, chance)
    data = content[10 + length :]
    if chance.random() < 0.3:
        data = chance.choice((b"\xff", b"\x7f\xf0\x00\x00", bytes(4))) * (len(data) // 4)
    return content[:8] + struct.pack("<H", len(header) % 2**16) + header + data


def npz(content: bytes, chance: random.Random) -> bytes:
    return zipped(lambda name: array)(content, chance)


def frames(content: bytes, chance: random.Random) -> bytes:
    """An array of event frames, or its index of checksums; either may be none at all."""
    if chance.random() < 0.05:
        return b""
    return (json_text if content.startswith(b"{") else some_of(array, some_bytes))(content, chance)


def tar(inner: Mutation) -> Mutation:
    """A .tar.gz archive with spoilt headers and files."""

    def mutate(content: bytes, chance: random.Random) -> bytes:
        if chance.random() < 0.2:
            return some_bytes(content, chance)
        out = io.BytesIO()
        with tarfile.open(fileobj=io.BytesIO(content)) as before, tarfile.open(fileobj=out, mode="w") as after:
            for member in before:
                stream = before.extractfile(member)
                data = inner(stream.read(), chance) if stream and chance.random() < 0.3 else stream and stream.read()
                match chance.randrange(8):
                    case 0:
                        member.name = chance.choice(("x" * 300, "/" + member.name, "../" + member.name, "é" * 60))
                    case 1:
                        member.type = chance.choice((tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE))
                        data = b""
                member.size = len(data or b"")
                after.addfile(member, io.BytesIO(data or b""))
        plain = out.getvalue()
        if chance.random() < 0.5:
            blocks = bytearray(plain)
            at = 512 * chance.randrange(len(blocks) // 512)
            sizes = (b"77777777777\0", b"\x80" + bytes(10) + b"\xff", b"\xff" * 12, b"-1\0" * 4)
            blocks[at + 124 : at + 136] = chance.choice(sizes)
            total = sum(blocks[at : at + 148]) + 256 + sum(blocks[at + 156 : at + 512])
            blocks[at + 148 : at + 156] = b"%06o\0 " % total
            plain = bytes(blocks)
        return gzip.compress(plain, 1)

    return mutate


def safetensors(content: bytes, chance: random.Random) -> bytes:
    """Another header, or other bytes."""
    if chance.random() < 0.3:
        return some_bytes(content, chance)
    (length,) = struct.unpack("<Q", content[:8])
    plain = json.loads(content[8 : 8 + length])
    settings = plain.get("__metadata__", {}).get("saformer")
    if settings and chance.random() < 0.6:
        plain["__metadata__"]["saformer"] = json_text(settings.encode(), chance).decode("utf-8", "replace")
    else:
        plain = _spoil(plain, chance)
    header = json.dumps(plain).encode("utf-8", "surrogatepass")
    size = len(header) if chance.random() < 0.95 else chance.choice(NUMBERS) % 2**64
    return struct.pack("<Q", size) + header + content[8 + length :]


def some_of(*mutations: Mutation) -> Mutation:
    """One of them."""
    return lambda content, chance: chance.choice(mutations)(content, chance)
