"""What a stream sends, worked out beforehand: the samples of one part of an epoch in order, and where each begins.

A pure function of the selection, the part, what is withdrawn and the place to begin at. Withdrawn samples are left out
after the order is made: everyone else keeps place and part. Positions count within the part, withdrawn ones included,
so that they mean the same whatever the withdrawal list says; bytes count in the tar. What does not belong here: bytes
of samples (`tar`), what is written into cursors (`cursor`).
"""

from __future__ import annotations

import hashlib
from typing import Annotated, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from biomedica_assets.streaming.order import Positions, bounds, order
from biomedica_assets.streaming.selection import Samples

_STEP = 4096  # samples between two remembered offsets

_Seed = Annotated[int, Field(ge=0, lt=2**53)]


class Part(BaseModel):
    """Which epoch, and whose share of it. A rank's share is that of all its workers, however many they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: _Seed = Field(0, description="of the shuffle; another seed is another order")
    epoch: int = Field(0, ge=0, lt=2**31, description="every epoch has an order of its own")
    rank: int = Field(0, ge=0, lt=2**16, description="which of `world` processes this is")
    world: int = Field(1, ge=1, le=2**16, description="how many processes share the epoch")
    worker: int = Field(0, ge=0, lt=2**10, description="which of the rank's `workers` this is")
    workers: int = Field(1, ge=1, le=2**10, description="how many workers share a rank's part")
    shuffle: bool = Field(True, description="false: the archive's order, whatever the seed and the epoch")
    limit: int | None = Field(None, ge=1, lt=2**31, description="so many samples at most, of all parts together")

    @model_validator(mode="after")
    def _counted_from_zero(self) -> Self:
        for name, all_of in (("rank", "world"), ("worker", "workers")):
            if getattr(self, name) >= getattr(self, all_of):
                raise ValueError(f"{name} {getattr(self, name)} is not below {all_of} {getattr(self, all_of)}")
        return self

    @property
    def alone(self) -> bool:
        """Whether it is the whole epoch."""
        return self.world * self.workers == 1

    def bounds(self, samples: int) -> tuple[int, int]:
        """First and last (exclusive) place in the epoch's order, of a selection of so many samples."""
        total = samples if self.limit is None else min(samples, self.limit)
        return bounds(total, self.rank * self.workers + self.worker, self.world * self.workers)


class Run(NamedTuple):
    """Bytes of a shard that are sent one after the other."""

    shard: str
    offset: int
    length: int


def part_order(samples: Samples, part: Part) -> Positions:
    """Which sample stands at each position of the part."""
    first, last = part.bounds(len(samples))
    return order(len(samples), first, last, seed=part.seed, epoch=part.epoch, shuffle=part.shuffle)


class Plan:
    """The samples to send, in order.

    Args:
        samples: the selection.
        places: `part_order`.
        withdrawn: rows of the state's ``sample_index`` that must not be sent, sorted.
        start: position to begin at.
    """

    def __init__(self, samples: Samples, places: Positions, withdrawn: npt.NDArray[np.int32], start: int = 0) -> None:
        self.samples, self.start, self.end = samples, start, len(places)
        rest = places[start:]
        hidden = np.isin(samples.row[rest], withdrawn) if len(withdrawn) else np.zeros(0, bool)
        self._gone = np.flatnonzero(hidden)
        self.kept: Positions = rest[~hidden] if len(self._gone) else rest
        # The number of samples sent before each one that is left out.
        self._before_gone = self._gone - np.arange(len(self._gone))
        self._marks = self._offsets()

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def bytes(self) -> int:
        """Bytes of all samples."""
        return int(self._marks[-1])

    @property
    def nbytes(self) -> int:
        """Memory of its own arrays."""
        return self.kept.nbytes + self._marks.nbytes + 2 * self._gone.nbytes

    def checksum(self) -> str:
        """SHA-256 over the first 8 bytes of each image's SHA-256, in the order sent."""
        digest = hashlib.sha256()
        for first in range(0, len(self), 1 << 20):
            digest.update(self.samples.check[self.kept[first : first + (1 << 20)]].astype(">u8").data)
        return digest.hexdigest()

    def position(self, number: int) -> int:
        """The position of the n-th sample that is sent; of all of them, the part's end."""
        if number >= len(self):
            return self.end
        return self.start + number + int(np.searchsorted(self._before_gone, number, side="right"))

    def find(self, offset: int) -> tuple[int, int]:
        """Number of the sample that holds this byte, and the byte it begins at; behind the last: their count."""
        if offset >= self.bytes:
            return len(self), self.bytes
        mark = int(np.searchsorted(self._marks, offset, side="right")) - 1
        lengths = self.samples.length[self.kept[mark * _STEP : (mark + 1) * _STEP]]
        ends = int(self._marks[mark]) + np.cumsum(lengths, dtype=np.int64)
        number = int(np.searchsorted(ends, offset, side="right"))
        return mark * _STEP + number, int(ends[number] - lengths[number])

    def offset(self, number: int) -> int:
        """First byte of the n-th sample."""
        mark = number // _STEP
        lengths = self.samples.length[self.kept[mark * _STEP : number]]
        return int(self._marks[mark]) + int(lengths.sum(dtype=np.int64))

    def holds(self, rows: npt.NDArray[np.int32], number: int) -> bool:
        """Whether one of these rows of the state's ``sample_index`` is sent as the n-th sample or later."""
        return bool(len(rows)) and bool(np.isin(self.samples.row[self.kept[number:]], rows).any())

    def runs(self, first: int, last: int) -> list[Run]:
        """The bytes of the samples ``first`` to ``last`` (exclusive), those that lie side by side taken together."""
        chosen = self.kept[first:last]
        if not len(chosen):
            return []
        shard, offset, length = (
            array[chosen] for array in (self.samples.shard, self.samples.offset, self.samples.length)
        )
        ends = offset + length
        breaks = np.flatnonzero((shard[1:] != shard[:-1]) | (offset[1:] != ends[:-1])) + 1
        heads, tails = np.append(0, breaks), np.append(breaks, len(chosen)) - 1
        names = self.samples.shards
        found = zip(shard[heads].tolist(), offset[heads].tolist(), (ends[tails] - offset[heads]).tolist(), strict=True)
        return [Run(names[code], start, size) for code, start, size in found]

    def batches(self, first: int, most_bytes: int, window: int) -> list[int]:
        """Numbers that cut some thousand samples from ``first`` on into batches.

        A batch has at most so many bytes, unless a single sample has more, and ends where a window of so many
        positions does: the samples of a window lie in whole blocks of neighbours.
        """
        last = min(first + _STEP, len(self))
        ends = np.cumsum(self.samples.length[self.kept[first:last]], dtype=np.int64)
        begin, end = self.position(first), self.position(last)
        inner = [self._number(place) for place in range((begin // window + 1) * window, end, window)]
        boundaries = [number for number in inner if first < number < last]
        if last == len(self) or not boundaries:
            boundaries.append(last)
        cuts = [first]
        for boundary in boundaries:
            while cuts[-1] < boundary:
                before = int(ends[cuts[-1] - first - 1]) if cuts[-1] > first else 0
                fitting = first + int(np.searchsorted(ends, before + most_bytes, side="right"))
                cuts.append(max(cuts[-1] + 1, min(boundary, fitting)))
        return cuts

    def _number(self, position: int) -> int:
        """How many samples are sent before a position."""
        place = position - self.start
        return place - int(np.searchsorted(self._gone, place))

    def _offsets(self) -> npt.NDArray[np.int64]:
        sums = [
            self.samples.length[self.kept[first : first + _STEP]].sum(dtype=np.int64)
            for first in range(0, len(self), _STEP)
        ]
        return np.cumsum([0, *sums], dtype=np.int64)
