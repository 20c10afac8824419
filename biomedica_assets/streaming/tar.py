"""The tar of a plan: samples copied verbatim from the archive, one closing member, the end blocks. Any range of it.

The closing member, ``__end__``, is JSON that readers of WebDataset skip by its name: how many samples came before it,
their bytes, a checksum over their images and a cursor behind the last. Whoever has not seen it has not seen the whole
stream, even where the cut fell between two samples. The checksum comes from the tables, not from the bytes sent: it
holds from the archive to the reader's hands, and any range of the tar can be sent without reading what is before it.
What does not belong here: which samples (`plan`), reading shards (`reading`).
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from biomedica_assets.store.shards import BLOCK, END
from biomedica_assets.streaming.cursor import Cursor
from biomedica_assets.streaming.plan import Plan, Run
from biomedica_assets.streaming.reading import Block, Source

END_NAME = "__end__"


def closing_member(facts: Mapping[str, Any]) -> bytes:
    """Closing member and end blocks."""
    body = json.dumps(facts, sort_keys=True).encode()
    info = tarfile.TarInfo(END_NAME)
    info.size = len(body)
    head = info.tobuf(tarfile.USTAR_FORMAT)
    return b"".join((head, body, bytes(-len(body) % BLOCK), END))


@dataclass(frozen=True, eq=False)
class Tar:
    """A stream as bytes. ``cursor`` is its beginning."""

    cursor: Cursor
    plan: Plan

    @cached_property
    def closing(self) -> bytes:
        """Closing member and end blocks."""
        facts = {
            "samples": len(self.plan),
            "bytes": self.plan.bytes,
            "checksum": self.plan.checksum(),
            "cursor": self.cursor.at(self.plan.end).encode(),
        }
        return closing_member(facts)

    @cached_property
    def size(self) -> int:
        """Bytes of the whole tar."""
        return self.plan.bytes + len(self.closing)

    @cached_property
    def etag(self) -> str:
        """32 hex digits that name these bytes: samples and their order are in the closing member's checksum."""
        digest = hashlib.sha256(self.cursor.digest.encode())
        digest.update(self.closing)
        return digest.hexdigest()[:32]

    def number_at(self, place: int) -> int:
        """The number of the sample that holds a byte of the stream."""
        return self.plan.find(place)[0]

    def behind(self, place: int, block: Block) -> int:
        """The byte behind a block that begins at this one."""
        return place + len(block)

    def read(self, source: Source, first: int = 0, last: int | None = None) -> Iterator[Block]:
        """The bytes from ``first`` to ``last`` (exclusive), in blocks; read only as they are taken.

        Raises:
            FileNotFoundError, SpanError: the store does not hold what it should.
        """
        last = self.size if last is None else min(last, self.size)
        if first < (stop := min(last, self.plan.bytes)):
            yield from source.read(_batches(self.plan, first, stop, source.batch_bytes, source.window))
        begin = max(0, first - self.plan.bytes)
        if last > self.plan.bytes + begin:
            yield self.closing[begin : last - self.plan.bytes]


def _batches(plan: Plan, first: int, stop: int, most_bytes: int, window: int) -> Iterator[list[Run]]:
    """Runs of the samples' bytes from ``first`` to ``stop``, batch by batch."""
    number, begin = plan.find(first)
    skip = first - begin
    while begin < stop:
        cuts = plan.batches(number, most_bytes, window)
        for low, high in pairwise(cuts):
            runs = plan.runs(low, high)
            begin += sum(run.length for run in runs)
            if skip:
                head = runs[0]
                runs[0] = Run(head.shard, head.offset + skip, head.length - skip)
                skip = 0
            surplus = begin - stop
            while surplus > 0:
                tail = runs.pop()
                if tail.length > surplus:
                    runs.append(Run(tail.shard, tail.offset, tail.length - surplus))
                surplus -= tail.length
            yield runs
            if begin >= stop:
                return
        number = cuts[-1]
