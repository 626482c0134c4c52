"""AEDAT files: version 2.0 of a DVS128 (CIFAR10-DVS) and polarity events of version 3.1 (DVS128 Gesture).

https://docs.inivation.com/software/software-advanced-usage/file-formats/ describes both. No library reads them as
they are needed here: tonic's readers leave out the flips, the polarity and the overflow of the clock, and bring
numba and librosa along; SpikingJelly's unpacks event by event. The readers below give the same events as
SpikingJelly's, in the same order; a test compares them on the same bytes.
"""

import struct

import numpy as np

from saformer.data.frames import SENSOR, Events
from saformer.errors import InputError

_AGAIN = "copy or download it again"

# Version 2.0: address, then microseconds, both big-endian.
_RECORD = np.dtype([("address", ">u4"), ("t", ">u4")])
# A DVS128 has 15 bits of address. Bit 15, or 31, marks a synchronisation pulse, which SpikingJelly counts as well.
_NOT_DVS128 = 0x7FFF0000

# Version 3.1: type, source, size of an event, offset of its timestamp, overflow of the clock, capacity, number, valid.
_PACKET = struct.Struct("<hhiiiiii")
_POLARITY = 1
_END_OF_HEADER = b"#!END-HEADER"


def read_aedat2(content: bytes, where: str) -> Events:
    """Read the events of a DVS128 from the bytes of an AEDAT 2.0 file.

    The sensor was mounted turned; x and y are given as SpikingJelly writes them (x = 127 - row address,
    y = 127 - column address, p = 1 - polarity bit), so that the picture stands upright.

    Args:
        content: the whole file.
        where: what to call it in an error.

    Raises:
        InputError: it is not such a file, or is damaged; the message gives the byte.
    """
    start = _header(content, where, b"2")
    left = (len(content) - start) % _RECORD.itemsize
    if left:
        raise InputError(
            f"{where} is truncated: at byte {len(content) - left} an event of {_RECORD.itemsize} bytes begins and "
            f"{left} are left; {_AGAIN}"
        )
    records = np.frombuffer(content, _RECORD, offset=start)
    address = records["address"].astype(np.uint32)
    _refuse(address & _NOT_DVS128 != 0, where, "address of a DVS128", [(start, len(records))])
    x, y = SENSOR - 1 - (address >> 8 & 0x7F), SENSOR - 1 - (address >> 1 & 0x7F)
    return Events(
        records["t"].astype(np.int64), x.astype(np.uint8), y.astype(np.uint8), (1 - (address & 1)).astype(np.uint8)
    )


def read_aedat3(content: bytes, where: str) -> Events:
    """Read the polarity events of an AEDAT 3.1 file of a sensor of 128 x 128; packets of other types are passed over.

    Args:
        content: the whole file.
        where: what to call it in an error.

    Raises:
        InputError: it is not such a file, or is damaged; the message gives the byte.
    """
    at = _header(content, where, b"3")
    packets, places = [], []
    while at < len(content):
        if len(content) - at < _PACKET.size:
            raise InputError(f"{where} is truncated: the header of the packet at byte {at} is cut short; {_AGAIN}")
        kind, _, size, offset, overflow, capacity, number, _ = _PACKET.unpack_from(content, at)
        if size < 8 or overflow < 0 or not 0 <= number <= capacity or (kind == _POLARITY and (size, offset) != (8, 4)):
            raise InputError(f"{where} is damaged: at byte {at} there is no header of a packet of events; {_AGAIN}")
        begin, at = at + _PACKET.size, at + _PACKET.size + size * capacity
        if at > len(content):
            raise InputError(
                f"{where} is truncated: the packet at byte {begin - _PACKET.size} holds {size * capacity} bytes of "
                f"events, the file has {len(content) - begin} left; {_AGAIN}"
            )
        if kind == _POLARITY and number:
            events = np.frombuffer(content, "<u4", 2 * number, begin).reshape(-1, 2)
            packets.append(events.astype(np.int64))
            packets[-1][:, 1] |= overflow << 31
            places.append((begin, number))
    if not packets:
        raise InputError(f"{where} holds no polarity events: {_AGAIN}")
    events = np.concatenate(packets)
    data = events[:, 0]
    x, y, p = data >> 17 & 0x7FFF, data >> 2 & 0x7FFF, data >> 1 & 1
    _refuse((x >= SENSOR) | (y >= SENSOR), where, f"pixel of {SENSOR} x {SENSOR}", places)
    return Events(events[:, 1], x.astype(np.uint8), y.astype(np.uint8), p.astype(np.uint8))


def _header(content: bytes, where: str, version: bytes) -> int:
    """Check the version and return the byte after the lines of text that begin with #."""
    if not content:
        raise InputError(f"{where} is empty: {_AGAIN}")
    if not content.startswith(b"#!AER-DAT" + version):
        raise InputError(
            f"{where} is not an AEDAT {version.decode()} file: at byte 0 there is no #!AER-DAT{version.decode()}"
        )
    at = 0
    while content.startswith(b"#", at):
        end = content.find(b"\n", at)
        if end < 0:
            raise InputError(f"{where} is truncated: the line of its header at byte {at} does not end; {_AGAIN}")
        line, at = content[at:end], end + 1
        if line.startswith(_END_OF_HEADER):
            break
    if at == len(content):
        raise InputError(f"{where} is truncated: it ends at byte {at}, after its header, without events; {_AGAIN}")
    return at


def _refuse(wrong: np.ndarray, where: str, what: str, places: list[tuple[int, int]]) -> None:
    """Name the first event that is wrong; `places` are the first byte and the number of events of each packet."""
    if not wrong.any():
        return
    first = before = int(wrong.argmax())
    for begin, number in places:
        if before < number:
            raise InputError(
                f"{where} is damaged: event {first}, at byte {begin + 8 * before}, has no {what}; {_AGAIN}"
            )
        before -= number
