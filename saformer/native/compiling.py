"""Small libraries in C or C++: compiled at first use where there is a compiler, and kept in the user's cache.

`SAFORMER_NATIVE=0` in the environment leaves them out.
"""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from ctypes import CDLL
from hashlib import sha256
from pathlib import Path

from saformer.locks import scratch_folder

_SECONDS = 60  # for the compiler


def library(
    name: str, variable: str, default: str, sources: Sequence[Path], flags: Sequence[str], depends_on: bytes = b""
) -> CDLL | None:
    """The library made of these sources; None without a compiler, or where its result cannot be kept or loaded.

    Args:
        name: what its file is called by.
        variable: of the environment, which names another compiler.
        default: the compiler.
        sources: what is compiled, and headers.
        flags: of the compiler, behind the sources.
        depends_on: what else it depends on.
    """
    if os.environ.get("SAFORMER_NATIVE") == "0" or os.name != "posix":
        return None
    compiler = shutil.which(os.environ.get(variable) or default)
    if compiler is None:
        return None
    try:
        return CDLL(str(_compiled(name, compiler, sources, flags, depends_on)))
    except (OSError, subprocess.SubprocessError):
        return None


def _compiled(name: str, compiler: str, sources: Sequence[Path], flags: Sequence[str], depends_on: bytes) -> Path:
    """The library for this machine, compiled unless it has been.

    Raises:
        OSError: the folder is not ours alone, or cannot be written to.
        subprocess.SubprocessError: the compiler fails.
    """
    texts = [source.read_bytes() for source in sources]
    made_of = [*texts, " ".join((compiler, *flags)).encode(), platform.platform().encode(), _processor(), depends_on]
    folder = _folder()
    path = folder / f"{name}-{sha256(b'|'.join(made_of)).hexdigest()[:24]}.so"
    if not path.exists():
        with scratch_folder(folder) as scratch:
            made = scratch / "made.so"
            files = [str(source) for source in sources if source.suffix != ".h"]
            command = [compiler, *files, *flags, "-fPIC", "-shared", "-o", str(made)]
            subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS, stdin=subprocess.DEVNULL)
            made.replace(path)
    return path


def _folder() -> Path:
    """Where libraries are kept: a folder that nobody else may write to, for what lies there is run.

    Raises:
        OSError: others may.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base) / "saformer"
    if not folder.is_absolute():
        raise FileNotFoundError("the user has no home")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = folder.stat()
    if seen.st_uid != os.getuid() or seen.st_mode & 0o022:
        raise PermissionError(f"{folder} can be written to by others")
    return folder


def _processor() -> bytes:
    """What tells one kind of processor from another: a home may be shared by several machines."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    return b"".join(line for line in dict.fromkeys(lines) if line.startswith((b"flags", b"Features", b"model")))
