"""What lies inside of a backup: named parts one after the other, each as long as it turns out to be.

length of name (4 bytes), name, then blocks of length (4 bytes) and data; a
block of length 0 ends the part, a name of length 0 ends the whole.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Protocol

from .envelope import EnvelopeProblem

BLOCK = 256 * 1024
LONGEST_NAME = 4_000
_LENGTH = struct.Struct(">I")


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def write_part(target: _Writable, name: str, blocks: Iterable[bytes]) -> None:
    """One part. Blocks may have any length; empty ones are left out."""
    _write(target, name.encode())
    for block in blocks:
        for start in range(0, len(block), BLOCK):
            _write(target, block[start : start + BLOCK])
    _write(target, b"")


def write_end(target: _Writable) -> None:
    _write(target, b"")


def read_parts(source: _Readable) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and blocks of each part. What is not read of one is passed over before the next comes."""
    while name := _read(source, LONGEST_NAME):
        blocks = _blocks(source)
        yield name.decode(), blocks
        for _left in blocks:
            pass
    if source.read(1):
        raise EnvelopeProblem("Something follows the end of the backup.")


def _blocks(source: _Readable) -> Iterator[bytes]:
    while block := _read(source, BLOCK):
        yield block


def _write(target: _Writable, data: bytes) -> None:
    target.write(_LENGTH.pack(len(data)) + data)


def _read(source: _Readable, longest: int) -> bytes:
    length = _LENGTH.unpack(_exactly(source, _LENGTH.size))[0]
    if length > longest:
        raise EnvelopeProblem("The backup is not in order inside.")
    return _exactly(source, length)


def _exactly(source: _Readable, size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise EnvelopeProblem("The backup ends too early.")
    return data
