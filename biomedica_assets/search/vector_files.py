"""One immutable segment of a vector index on disk: which file holds what, how it is written and opened.

Belongs here: the files. Not here: the search in one segment (`vector_segment`), in several and when they are merged
(`vectors`), the compressed codes of a large one (`vector_codes`).

A segment is two or three files, written once and named by their content:

* ``<hash>.rows.npy``: uint32 [n], the row of each vector, ascending; a row may own several (pictures of a figure);
* ``<hash>.vectors.faiss``: the matrix as half floats: faiss' ``IndexScalarQuantizer``, which is a header and then row
  after row, two little-endian bytes a number, to the end of the file (`open_matrix` maps just that);
* ``<hash>.codes.faiss``, for large segments: half a byte for every two numbers, with which faiss finds candidates.

All are memory-mapped: opening reads a few kilobytes, and what queries touch is the system's cache, shared by processes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

try:
    import faiss
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ImportError("vector search needs faiss: pip install 'biomedica_assets[search]'") from error

HALF = np.dtype("<f2")
_NEAR_ONE = 2e-3
"""How far from 1 the length of a vector may be that was of length 1 before it was rounded to half floats."""

Batch = tuple[np.ndarray, np.ndarray]
"""Rows (integers, ascending) and their vectors (floats [n, dimensions])."""


class VectorFileError(OSError):
    """A file of a segment is missing or not what its record says."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path, self.why = path, why


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """What a manifest says about a segment. The names are of files in one folder; ``codes`` is null for a small one.

    ``lists`` is into how many lists the codes are cut, ``probes`` how many of them a query reads.
    """

    count: int
    dimensions: int
    rows: str
    vectors: str
    codes: str | None = None
    lists: int = 0
    probes: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the segment's files."""
        return tuple(name for name in (self.rows, self.vectors, self.codes) if name)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        return cls(**fields)


def write_vectors(folder: Path, batches: Iterable[Batch], dimensions: int) -> SegmentRecord | None:
    """Write rows and vectors; vectors are made length 1, those of length 0 (nothing to encode) left out.

    Args:
        batches: in ascending order of rows, also from batch to batch.

    Returns:
        The record, without codes; None when there is no vector.

    Raises:
        ValueError: rows not ascending or beyond 32 bits, vectors of another width or not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    matrix, rows, last = folder / "writing.vectors", [], 0
    with matrix.open("wb") as out:
        out.write(_header(0, dimensions))
        for numbers, vectors in batches:
            numbers = np.asarray(numbers, np.int64)
            if vectors.shape != (len(numbers), dimensions):
                raise ValueError(f"vectors of shape {vectors.shape} for {len(numbers)} rows of {dimensions} dimensions")
            if not len(numbers):
                continue
            if numbers[0] < last or numbers[-1] >= 1 << 32 or (np.diff(numbers) < 0).any():
                raise ValueError("rows must be ascending numbers of 32 bits")
            last = int(numbers[-1])
            some, halves = _unit_halves(np.asarray(vectors, np.float32))
            out.write(halves.tobytes())
            rows.append(numbers[some].astype(np.uint32))
        count = sum(map(len, rows))
        out.seek(0)
        out.write(_header(count, dimensions))
    if not count:
        matrix.unlink()
        return None
    listed = folder / "writing.rows"
    with listed.open("wb") as out:
        np.save(out, np.concatenate(rows))
    return SegmentRecord(count, dimensions, settle(listed, "rows.npy"), settle(matrix, "vectors.faiss"))


def _unit_halves(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which vectors say something, and those at length 1 as half floats; merged ones keep their very bytes."""
    if not np.isfinite(vectors).all():
        raise ValueError("a vector holds what is no number")
    lengths = np.linalg.norm(vectors, axis=1)
    some = lengths > 1e-6
    scale = np.where(np.abs(lengths - 1) < _NEAR_ONE, 1, lengths)
    return some, (vectors[some] / scale[some, None]).astype(HALF)


def _header(count: int, dimensions: int) -> bytes:
    """What faiss writes before the numbers of an ``IndexScalarQuantizer``, so that it reads the file as its own.

    Written by faiss for a matrix without rows; the number of rows is put in, and their size in bytes, which comes last.
    """
    empty = faiss.IndexScalarQuantizer(dimensions, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    empty.ntotal = count
    header: bytes = faiss.serialize_index(empty).tobytes()
    return header[:-8] + struct.pack("<Q", count * dimensions * HALF.itemsize)


def settle(path: Path, kind: str) -> str:
    """Rename a finished file to its checksum; the new name."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path.rename(path.with_name(f"{digest[:32]}.{kind}")).name


def open_rows(folder: Path, record: SegmentRecord) -> np.ndarray:
    """uint32 [n], mapped. Raises `VectorFileError`."""
    path = folder / record.rows
    try:
        rows: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise VectorFileError(path, f"cannot be read: {error}") from error
    if rows.dtype != np.uint32 or rows.shape != (record.count,):
        raise VectorFileError(path, f"holds {rows.dtype} {rows.shape} instead of {record.count} rows")
    return rows


def open_matrix(folder: Path, record: SegmentRecord) -> np.ndarray:
    """float16 [n, dimensions], mapped; not aligned. Raises `VectorFileError`."""
    path, shape = folder / record.vectors, (record.count, record.dimensions)
    offset = len(_header(*shape))
    try:
        if path.stat().st_size != offset + record.count * record.dimensions * HALF.itemsize:
            raise VectorFileError(path, f"has {path.stat().st_size} bytes, which is not a matrix of {shape}")
        return np.memmap(path, HALF, "r", offset, shape)
    except FileNotFoundError as error:
        raise VectorFileError(path, "is missing") from error


def open_index(folder: Path, name: str, record: SegmentRecord) -> Any:
    """A faiss index over a segment's vectors, mapped. Raises `VectorFileError`."""
    path = folder / name
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except (RuntimeError, MemoryError) as error:  # all that faiss throws; a cut file may ask for absurd sizes
        raise VectorFileError(path, f"cannot be read: {str(error).splitlines()[-1]}") from error
    if (index.ntotal, index.d, index.metric_type) != (record.count, record.dimensions, faiss.METRIC_INNER_PRODUCT):
        raise VectorFileError(path, f"holds {index.ntotal} x {index.d}, not {record.count} x {record.dimensions}")
    return index
