"""The partitions of the whole graph: chunks of PMC file lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import dagster as dg

PMC_CHUNK = "pmc_chunk"

# One object and one policy for every chunk asset: only then does Dagster fuse a backfill of several assets into runs.
pmc_chunks = dg.DynamicPartitionsDefinition(name=PMC_CHUNK)


def backfill_policy(chunks_per_run: int) -> dg.BackfillPolicy:
    """Ten chunks per run keep the cost of starting a process (about 5 CPU seconds) near one percent."""
    return dg.BackfillPolicy.multi_run(max_partitions_per_run=chunks_per_run)


def register_chunks(instance: dg.DagsterInstance, keys: Iterable[str]) -> list[str]:
    """Add the keys that the instance does not know yet, in order; returns them. Safe to repeat."""
    known = set(instance.get_dynamic_partitions(PMC_CHUNK))
    new = [key for key in keys if key not in known]
    if new:
        instance.add_dynamic_partitions(PMC_CHUNK, new)
    return new


def contiguous_ranges(ordered: Sequence[str], wanted: set[str], longest: int) -> Iterator[list[str]]:
    """Cut the wanted keys into runs of neighbours in ``ordered``: a Dagster run covers one contiguous range.

    >>> list(contiguous_ranges(["a", "b", "c", "d", "e"], {"a", "b", "c", "e"}, 2))
    [['a', 'b'], ['c'], ['e']]
    """
    current: list[str] = []
    for key in ordered:
        if key in wanted and len(current) < longest:
            current.append(key)
            continue
        if current:
            yield current
        current = [key] if key in wanted else []
    if current:
        yield current
