"""Bytes of runs, in the order asked for, with bounded memory: from local files, or from an object store by requests.

Batches are taken one ahead of what the reader takes, never more. What does not belong here: which runs (`plan`).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from biomedica_assets.dataset.reading import Span, plan_reads
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import SpanError, read_span
from biomedica_assets.streaming.order import WINDOW
from biomedica_assets.streaming.plan import Run

Block = bytes | memoryview

BLOCK_BYTES = 1 << 20
"""About the size of one block."""
_OPEN_FILES = 32
_REQUEST_BYTES = 4 << 20


class Source(Protocol):
    """Reads batches of runs. A batch has so many bytes at most, unless one sample has more, and ends with a window."""

    batch_bytes: int
    window: int

    def read(self, batches: Iterable[list[Run]]) -> Iterator[Block]: ...


def open_source(files: Files, *, requests: int = 8, batch_bytes: int = 64 << 20) -> Source:
    """The source that suits a store.

    Args:
        files: the store.
        requests: at the same time, where it is not local.
        batch_bytes: of one batch there; two are in memory.
    """
    root = files.local_path()
    return LocalSource(root) if root else RemoteSource(files, requests, batch_bytes)


class LocalSource:
    """Files of this machine: one system call a run, straight into the block that is handed out."""

    batch_bytes, window = 16 << 20, WINDOW // 2

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, batches: Iterable[list[Run]]) -> Iterator[Block]:
        """Blocks of about `BLOCK_BYTES`. While a batch is read, the kernel is told of the next one."""
        opened: OrderedDict[str, int] = OrderedDict()
        try:
            waiting: list[Run] = []
            for batch in batches:
                if len(batch) > 1:  # a single run is read ahead by the kernel itself
                    self._announce(batch, opened)
                yield from self._blocks(waiting, opened)
                waiting = batch
            yield from self._blocks(waiting, opened)
        finally:
            for descriptor in opened.values():
                os.close(descriptor)

    def _descriptor(self, shard: str, opened: OrderedDict[str, int]) -> int:
        if shard in opened:
            opened.move_to_end(shard)
            return opened[shard]
        opened[shard] = os.open(self._root / shard, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        if len(opened) > _OPEN_FILES:
            os.close(opened.popitem(last=False)[1])
        return opened[shard]

    def _announce(self, batch: list[Run], opened: OrderedDict[str, int]) -> None:
        if not hasattr(os, "posix_fadvise"):
            return
        for run in sorted(batch):
            descriptor = self._descriptor(run.shard, opened)
            os.posix_fadvise(descriptor, run.offset, run.length, os.POSIX_FADV_WILLNEED)

    def _blocks(self, runs: list[Run], opened: OrderedDict[str, int]) -> Iterator[Block]:
        for group in _groups(runs):
            block = np.empty(sum(run.length for run in group), np.uint8).data
            filled = 0
            for shard, offset, length in group:
                descriptor = self._descriptor(shard, opened)
                done = 0
                while done < length:  # a read may stop early; at the end of the file it gives nothing
                    got = os.preadv(descriptor, [block[filled + done : filled + length]], offset + done)
                    if not got:
                        raise SpanError(f"{shard} holds {done} of {length} bytes at {offset}")
                    done += got
                filled += length
            yield block


def _groups(runs: list[Run]) -> Iterator[list[Run]]:
    """Runs for one block each; long ones are cut."""
    group: list[Run] = []
    size = 0
    for part in (part for run in runs for part in _cut(run, BLOCK_BYTES)):
        if group and size + part.length > BLOCK_BYTES:
            yield group
            group, size = [], 0
        group.append(part)
        size += part.length
    if group:
        yield group


def _cut(run: Run, most: int) -> list[Run]:
    """A run in parts of at most so many bytes."""
    if run.length <= most:
        return [run]
    end = run.offset + run.length
    return [Run(run.shard, start, min(most, end - start)) for start in range(run.offset, end, most)]


class RemoteSource:
    """An object store: a batch's runs are read in the archive's order, neighbours in one request, several at a time."""

    window = WINDOW

    def __init__(self, files: Files, requests: int, batch_bytes: int) -> None:
        self._files, self._requests, self.batch_bytes = files, requests, batch_bytes

    def read(self, batches: Iterable[list[Run]]) -> Iterator[Block]:
        """A block per run."""
        with ThreadPoolExecutor(self._requests) as pool:
            waiting: list[Future[bytes]] = []
            plan: _Batch | None = None
            try:
                for batch in batches:
                    following = _Batch(batch)
                    requests = [pool.submit(read_span, self._files, *read[:3]) for read in following.reads]
                    if plan:
                        yield from plan.cut(waiting)
                    plan, waiting = following, requests
                if plan:
                    yield from plan.cut(waiting)
            finally:
                for future in waiting:
                    future.cancel()


class _Batch:
    """The requests for a batch, and how its runs are cut out of their answers."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = [part for run in runs for part in _cut(run, _REQUEST_BYTES)]
        self.reads = plan_reads([Span(*run) for run in self._runs])
        self._read_of = {index: number for number, read in enumerate(self.reads) for index in read.spans}

    def cut(self, answers: list[Future[bytes]]) -> Iterator[Block]:
        """The runs' bytes in their order."""
        for index, run in enumerate(self._runs):
            number = self._read_of[index]
            start = run.offset - self.reads[number].offset
            yield memoryview(answers[number].result())[start : start + run.length]
