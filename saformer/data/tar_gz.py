"""Files of a .tar.gz archive, read one after another in bounded memory and time."""

import gzip
import tarfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 2**20
# The images of CIFAR shrink by a tenth, and plain ones made for tests a thousandfold: those are small.
_GROWTH, _ALLOWANCE = 20, 2**26


def members(file: BinaryIO, wanted: Callable[[str], bool], most: int) -> Iterator[tuple[str, bytes]]:
    """Name and contents of each regular file whose name is wanted.

    The module tarfile takes a long name, or the attributes of a member, into memory at whatever size the archive
    claims. Here they are passed over, as are links and devices: names of more than 100 characters are not found.

    Args:
        file: the archive.
        wanted: whether a name is.
        most: bytes that the archive may have when it is unpacked; fewer where the file is small.

    Raises:
        tarfile.TarError, OSError, EOFError, ValueError, zlib.error: the archive is damaged, or unpacks to more.
    """
    size = file.seek(0, 2)
    file.seek(0)
    left = min(most, _GROWTH * size + _ALLOWANCE)
    with gzip.GzipFile(fileobj=file) as stream:
        while True:
            header = stream.read(_BLOCK)
            if not header.strip(b"\0"):  # the mark of the end, or the end itself
                return
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
            blocks = -(-member.size // _BLOCK) * _BLOCK
            left -= _BLOCK + blocks
            if member.size < 0 or left < 0:
                raise ValueError("it unpacks to more than its size allows")
            if member.isreg() and wanted(member.name):
                content = stream.read(member.size)
                if len(content) < member.size:
                    raise EOFError("it ends within a file")
                yield member.name, content
                blocks -= member.size
            while blocks > 0:
                passed = len(stream.read(min(blocks, _CHUNK)))
                if not passed:
                    raise EOFError("it ends within a file")
                blocks -= passed
