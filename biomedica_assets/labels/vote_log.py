"""All votes of a store, read once and then followed; old ones packed into Parquet so that this stays quick.

A pack is ``votes_packed/<SHA-256>.parquet``: written once, read back and compared, and only then are the files of its
votes deleted. Packs are never rewritten; two packers at once write some votes twice, which readers do not count twice.
Readers list single files before packs, so that a vote which is packed meanwhile is seen in one of the two.
What does not belong here: what a vote is (`votes`).
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from biomedica_assets import schemas
from biomedica_assets.labels.votes import FOLDER, MAX_BYTES, Vote, VoteError, current_votes, loose_votes
from biomedica_assets.schemas import Row
from biomedica_assets.store.files import Files, TooLargeError
from biomedica_assets.store.manifests import StoreError
from biomedica_assets.store.shards import put_once
from biomedica_assets.store.tables import TableWriter

PACKED = "votes_packed"
PACK_AT = 1000
"""So many single files are worth a pack: reading them from an object store takes seconds."""
_TRIES = 5
_READERS = 32
_BATCH = 1024
_FIELDS = set(Vote.model_fields)

_Key = tuple[str, str]


class VoteLog:
    """Every vote, kept in memory; `refresh` reads only what is new. Safe to use from many threads.

    ``damaged`` holds, by path, why a file is no vote: such files are passed over and left where they are.
    """

    def __init__(self, files: Files) -> None:
        self.files = files
        self.damaged: dict[str, str] = {}
        self._votes: dict[_Key, Vote] = {}
        self._packs: set[str] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._votes)

    @property
    def votes(self) -> list[Vote]:
        """All votes known, by annotator and time."""
        with self._lock:
            return [self._votes[key] for key in sorted(self._votes)]

    def current(self) -> list[Vote]:
        """The votes that count, see `votes.current_votes`."""
        return current_votes(self.votes)

    def refresh(self) -> int:
        """Read what is new; how many votes that are.

        Raises:
            StoreError: a pack is damaged, or files vanish all the time.
        """
        with self._lock:
            before = len(self._votes)
            for _ in range(_TRIES):
                found = [((annotator, vote_id), path) for vote_id, annotator, path in loose_votes(self.files)]
                self._read_packs()
                new = [(key, path) for key, path in found if key not in self._votes and path not in self.damaged]
                if self._read_loose(new):
                    return len(self._votes) - before
            raise StoreError(f"{self.files.url}: votes vanish while they are read")

    def _read_packs(self) -> None:
        for path in sorted(path for path, _ in self.files.list(PACKED) if path.endswith(".parquet")):
            if path not in self._packs:
                self._votes.update({(vote.annotator, vote.vote_id): vote for vote in read_pack(self.files, path)})
                self._packs.add(path)

    def _read_loose(self, new: Sequence[tuple[_Key, str]]) -> bool:
        """Whether all of them were there; they are packed and deleted meanwhile otherwise."""
        whole = True
        for (key, path), result in zip(new, _read_many(self.files, [path for _, path in new]), strict=True):
            if isinstance(result, FileNotFoundError):
                whole = False
            elif isinstance(result, Exception):
                self.damaged[path] = str(result)
            elif (result.annotator, result.vote_id) != key:
                self.damaged[path] = f"it says that it is vote {result.vote_id} of {result.annotator}"
            else:
                self._votes[key] = result
        return whole


def _read_many(files: Files, paths: Sequence[str]) -> Iterator[Vote | Exception]:
    def read(path: str) -> Vote | Exception:
        try:
            return Vote.from_json(files.fetch(path, max_bytes=MAX_BYTES).data)
        except (VoteError, FileNotFoundError, TooLargeError) as error:
            return error

    if files.local_path("") is not None or len(paths) < 2:
        yield from map(read, paths)  # a local disk needs no threads
        return
    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(read, paths)


def find_vote(files: Files, annotator: str, vote_id: str) -> Vote | None:
    """One vote, without reading all; None when there is none. Raises `VoteError` when its file is damaged."""
    try:
        return Vote.from_json(files.fetch(f"{FOLDER}/{annotator}/{vote_id}.json", max_bytes=MAX_BYTES).data)
    except FileNotFoundError:
        wanted = (pc.field("annotator") == annotator) & (pc.field("vote_id") == vote_id)
        packs = (path for path, _ in files.list(PACKED))
        return next((vote for path in packs for vote in read_pack(files, path, wanted)), None)


def votes_digest(files: Files) -> str:
    """Differs when a vote was added; also when votes were packed. Reads no vote."""
    names = sorted(path for folder in (FOLDER, PACKED) for path, _ in files.list(folder))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def pack_votes(files: Files, *, at_least: int = PACK_AT, scratch: str | None = None) -> int:
    """Move the votes that are single files into one new pack, if they are many; how many were moved.

    Raises:
        StoreError: the pack does not read back as the votes it was made of; nothing was deleted.
    """
    paths = [path for *_, path in loose_votes(files)]
    if len(paths) < at_least:
        return 0
    read = zip(paths, _read_many(files, paths), strict=True)
    votes = {path: vote for path, vote in read if isinstance(vote, Vote) and vote.path == path}
    if not votes:
        return 0
    ordered = sorted(votes.values(), key=lambda vote: (vote.vote_id, vote.annotator))
    with tempfile.TemporaryDirectory(prefix="votes-", dir=scratch) as folder:
        writer = TableWriter(schemas.VOTES, Path(folder) / "votes.parquet")
        writer.add(map(to_row, ordered))
        written = writer.close()
        pack = f"{PACKED}/{written.sha256}.parquet"
        put_once(files, written.path, pack, written.bytes)
    if list(read_pack(files, pack)) != ordered:
        raise StoreError(f"{files.url}: {pack} is not what was written; no vote was deleted")
    for path in votes:
        files.remove(path)
    return len(votes)


def to_row(vote: Vote) -> Row:
    """The vote as a row of table `votes`."""
    answers = [{"axis": axis, "labels": list(labels)} for axis, labels in vote.answers.items()]
    return {**vote.model_dump(), "shown": list(vote.shown), "answers": answers}


def to_table(votes: Iterable[Vote]) -> pa.Table:
    """The votes as table `votes`, for queries and reports."""
    return schemas.rows_to_table(schemas.VOTES, [to_row(vote) for vote in votes])


def read_pack(files: Files, path: str, where: Any = None) -> Iterator[Vote]:
    """The votes of a pack, perhaps only those that an expression holds for.

    Raises:
        StoreError: it is not what was packed.
    """
    data = files.read(path)
    if path != f"{PACKED}/{hashlib.sha256(data).hexdigest()}.parquet":
        raise StoreError(f"{files.url}: {path} is damaged; take it from a copy of the store")
    for batch in pq.ParquetFile(pa.BufferReader(data)).iter_batches(_BATCH):
        rows = pa.Table.from_batches([batch])
        yield from map(from_row, (rows if where is None else rows.filter(where)).to_pylist())


def from_row(row: Row) -> Vote:
    """A vote from a row of table `votes` that was one. Not validated again; what repeats is kept in memory once."""
    row["answers"] = _answers(tuple((answer["axis"], tuple(answer["labels"])) for answer in row["answers"]))
    row["shown"] = tuple(row["shown"])
    for name in ("annotator", "taxonomy"):
        row[name] = sys.intern(row[name])
    return Vote.model_construct(_FIELDS, **row)


@lru_cache(maxsize=10_000)
def _answers(pairs: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, tuple[str, ...]]:
    return dict(pairs)
