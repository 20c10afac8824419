"""Samples out of the bytes of a tar, as they come: an iterator over blocks of any size.

Quicker than `tarfile` since it expects what our archives hold: regular files, maybe with PAX names. It says where each
sample ends, so that a cut stream can go on there. What does not belong here: where the blocks come from (`client`).
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from biomedica_assets.store.shards import BLOCK
from biomedica_assets.streaming.reading import Block
from biomedica_assets.streaming.tar import END_NAME


class TarError(ValueError):
    """The bytes are no tar of samples."""


class CutError(TarError):
    """The stream ended before its closing member, or is not what that member says."""


class Found(NamedTuple):
    """A sample: its key, members by extension, and the byte of the tar behind it."""

    key: str
    members: dict[str, bytes]
    end: int


class Closing(NamedTuple):
    """What the closing member says."""

    samples: int
    bytes: int
    checksum: str
    cursor: str


def read_samples(blocks: Iterable[Block], begin: int = 0) -> Iterator[Found | Closing]:
    """The samples of a tar, then its closing member.

    Args:
        blocks: its bytes from ``begin`` on.
        begin: first byte of a sample.

    Raises:
        CutError: the blocks end before the closing member; all samples that were whole have been given.
        TarError: the bytes are no tar.
    """
    tar = _Buffer(iter(blocks))
    place, key, members = begin, "", dict[str, bytes]()
    name = None  # what a PAX record calls the next member
    head_at = begin  # where that record, or the member's own header, begins
    while True:
        head = tar.take(BLOCK)
        if not any(head[:100]):
            raise TarError("the tar ends without a closing member")
        kind, size = head[156:157], _number(head[124:136])
        body = tar.take(size + -size % BLOCK)[:size]
        place += BLOCK + size + -size % BLOCK
        if kind == b"x":
            name = _pax_name(body)
            continue
        if kind not in (b"0", b"\0"):
            raise TarError(f"a member of type {kind!r}")
        full = name or _text(head[:100])
        name = None
        prefix, _, extension = full.partition(".")
        if members and prefix != key:
            yield Found(key, members, head_at)
            members = {}
        if full == END_NAME:
            yield _closing(body)
            return
        key, head_at = prefix, place
        members[extension.lower()] = bytes(body)


def _closing(body: Block) -> Closing:
    try:
        return Closing(**json.loads(bytes(body)))
    except (ValueError, TypeError) as error:
        raise TarError("a closing member that says something else") from error


def _number(field: Block) -> int:
    try:
        return tarfile.nti(bytes(field))  # type: ignore[attr-defined]
    except tarfile.HeaderError as error:
        raise TarError("no tar header") from error


def _text(field: Block) -> str:
    return bytes(field).partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _pax_name(body: Block) -> str | None:
    """The path in a PAX record: lines of length, blank, key=value."""
    data = bytes(body)
    while data:
        length, _, _ = data.partition(b" ")
        line, data = data[: int(length)], data[int(length) :]
        field, _, value = line.partition(b" ")[2].rstrip(b"\n").partition(b"=")
        if field == b"path":
            return value.decode("utf-8", "surrogateescape")
    return None


class _Buffer:
    """Takes bytes off blocks; copies only what spans two of them."""

    def __init__(self, blocks: Iterator[Any]) -> None:
        self._blocks = blocks
        self._block = memoryview(b"")
        self._at = 0

    def take(self, size: int) -> Block:
        """Exactly so many bytes. Raises `CutError`."""
        at = self._at
        if at + size <= len(self._block):
            self._at = at + size
            return self._block[at : at + size]
        parts = [self._block[at:]]
        missing = size - len(parts[0])
        while missing > 0:
            block = next(self._blocks, None)
            if block is None:
                raise CutError("the stream was cut")
            self._block = memoryview(block)
            parts.append(self._block[:missing])
            self._at = len(parts[-1])
            missing -= self._at
        return b"".join(parts)
