"""Archive shards: tar files that are valid WebDatasets and in which every sample is one byte range.

A sample is three members side by side: the image as published, ``.txt`` its caption, ``.json`` ids and source facts.
Spans start and end on 512-byte boundaries, so the bytes of any selection of spans, two zero blocks after the
last, are again a valid tar. Headers carry no times, owners or machine names: the same samples give the same bytes.
What does not belong here: which images are stored, tables, manifests.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote_to_bytes

from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import DataFile, StoreError

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
"""Two zero blocks: the end of a tar file."""

_ARTICLE_ID = re.compile(r"(PMC\d+)\.(\d+)", re.ASCII)
_KEY = re.compile(r"(PMC\d+)-(\d+)-((?:[A-Za-z0-9-]|_[0-9A-F]{2})+)", re.ASCII)
_UNSAFE = re.compile(rb"[^A-Za-z0-9-]")


class SpanError(StoreError):
    """A shard does not hold the bytes that a row says it holds."""


class Span(NamedTuple):
    """Where a sample lies: number of the shard within the chunk, then bytes."""

    shard_index: int
    offset: int
    length: int
    image_offset: int


@dataclass(frozen=True, slots=True)
class WrittenShard:
    """A finished shard in the scratch folder."""

    path: Path
    index: int
    bytes: int
    sha256: str
    samples: int


class Sample(NamedTuple):
    """One sample of a shard: its key, and its members' bytes by extension ('jpg', 'txt', 'json')."""

    key: str
    parts: dict[str, bytes]


def sample_key(article_id: str, file_name: str) -> str:
    """WebDataset key of an image file: no dots, since WebDataset cuts keys at the first one; reversible.

    All bytes of the name's UTF-8 but letters, digits and hyphens become ``_XX``.

    >>> sample_key("PMC11370360.1", "gr_1.jpg")
    'PMC11370360-1-gr_5F1_2Ejpg'

    Raises:
        ValueError: not an article_id, or no name.
    """
    match = _ARTICLE_ID.fullmatch(article_id)
    if not match or not file_name:
        raise ValueError(f"no sample key for {article_id!r}, {file_name!r}")
    name = _UNSAFE.sub(lambda m: b"_%02X" % m[0][0], file_name.encode("utf-8", "surrogateescape"))
    return f"{match[1]}-{match[2]}-{name.decode('ascii')}"


def parse_sample_key(key: str) -> tuple[str, str]:
    """(article_id, file name) of a sample key.

    Raises:
        ValueError: not a key made by `sample_key`.
    """
    match = _KEY.fullmatch(key)
    if not match:
        raise ValueError(f"not a sample key: {key!r}")
    name = unquote_to_bytes(match[3].replace("_", "%")).decode("utf-8", "surrogateescape")
    return f"{match[1]}.{match[2]}", name


class ShardWriter:
    """Writes a chunk's samples to numbered tar files in a scratch folder, a new one when the next would be too long.

    ``finished`` lists the shards that are complete; a caller short of scratch space may commit and delete them while
    writing goes on.

    Args:
        scratch: folder for the files; must exist.
        chunk: key of the chunk.
        max_bytes: length that a shard only exceeds when a single sample does.
    """

    def __init__(self, scratch: Path, chunk: str, max_bytes: int) -> None:
        self.finished: list[WrittenShard] = []
        self._scratch, self._chunk, self._max_bytes = scratch, chunk, max_bytes
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._offset = self._samples = 0

    def add(self, key: str, extension: str, image: bytes | None, caption: str, facts: Mapping[str, Any]) -> Span:
        """Append one sample; facts must be JSON values. Keys must not repeat within a chunk (not checked).

        A sample without an image has only its text and facts.
        """
        sample, head = tar_sample(key, extension, image, caption, facts)
        if self._samples and self._offset + len(sample) + len(END) > self._max_bytes:
            self._finish()
        span = Span(len(self.finished), self._offset, len(sample), self._offset + head)
        self._write(sample)
        self._samples += 1
        return span

    def close(self) -> list[WrittenShard]:
        """Finish the last shard; all shards in order, none when there were no samples."""
        if self._samples:
            self._finish()
        return self.finished

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._path(len(self.finished)).open("wb")
        self._file.write(data)
        self._digest.update(data)
        self._offset += len(data)

    def _finish(self) -> None:
        self._write(END)
        assert self._file is not None
        self._file.close()
        index = len(self.finished)
        self.finished.append(
            WrittenShard(self._path(index), index, self._offset, self._digest.hexdigest(), self._samples)
        )
        self._file, self._digest = None, hashlib.sha256()
        self._offset = self._samples = 0

    def _path(self, index: int) -> Path:
        return self._scratch / f"{self._chunk}-{index:04d}.tar"


def tar_sample(
    key: str, extension: str, image: bytes | None, caption: str, facts: Mapping[str, Any]
) -> tuple[bytes, int]:
    """The members of a sample as they stand in a tar, and the place of the image's first byte among them."""
    head = _header(f"{key}.{extension}", len(image)) if image is not None else b""
    image = image or b""
    words = json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    text = caption.encode("utf-8", "replace")
    sample = b"".join(
        (
            *(head, image, _padding(len(image))),
            *(_header(f"{key}.json", len(words)), words, _padding(len(words))),
            *(_header(f"{key}.txt", len(text)), text, _padding(len(text))),
        )
    )
    return sample, len(head)


def _header(name: str, size: int) -> bytes:
    """USTAR header; a name of more than 100 bytes gets a PAX record in front, as POSIX has it."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def commit_shard(files: Files, chunk: str, shard: WrittenShard) -> DataFile:
    """Put a finished shard into the store under its content's name, once; the scratch file is gone afterwards."""
    path = f"shards/{chunk}-{shard.index:04d}-{shard.sha256[:16]}.tar"
    put_once(files, shard.path, path, shard.bytes)
    return DataFile(path, shard.bytes, shard.sha256, shard.samples)


def put_once(files: Files, local: Path, path: str, size: int) -> None:
    """Move a local file to a content-hashed path, unless a file of that name and size is there already."""
    try:
        present = files.size(path) == size
    except FileNotFoundError:
        present = False
    if present:
        local.unlink()
    else:
        files.put_file(local, path, move=True)


def read_span(files: Files, shard: str, offset: int, length: int) -> bytes:
    """``length`` bytes of a shard, verbatim.

    Raises:
        FileNotFoundError: no such shard.
        SpanError: the shard ends before the span does.
    """
    data = files.read_range(shard, offset, length)
    if len(data) != length:
        raise SpanError(f"{shard} holds {len(data)} of {length} bytes at {offset}")
    return data


def read_image(files: Files, row: Row) -> bytes:
    """The image of a row of table ``images``: the published bytes.

    Raises:
        FileNotFoundError, SpanError: as for `read_span`; also when the bytes are not those the row's MD5 names.
    """
    data = read_span(files, row["shard"], row["image_offset"], row["bytes"])
    if row.get("md5") and hashlib.md5(data, usedforsecurity=False).hexdigest() != row["md5"]:
        raise SpanError(f"{row['shard']} holds other bytes than {row['md5']} at {row['image_offset']}")
    return data


def iter_samples(data: bytes) -> Iterator[Sample]:
    """Samples of a span, of several spans one after the other, or of a whole shard.

    Raises:
        tarfile.ReadError: not whole tar members.
    """
    current: Sample | None = None
    with tarfile.open(fileobj=BytesIO(data), mode="r:") as archive:
        for member in archive:
            key, _, extension = member.name.partition(".")
            if current is None or current.key != key:
                if current is not None:
                    yield current
                current = Sample(key, {})
            body = archive.extractfile(member)
            current.parts[extension] = body.read() if body else b""
    if current is not None:
        yield current
