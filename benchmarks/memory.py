"""Peak memory and CPU per article of the chunk pass, from 100 to 10,000 articles in one chunk.

    python -m benchmarks.memory [--quick]

The bound is on memory: 600 MB, and flat; the ratio of CPU is that of one article in the largest chunk to one in the
middle one (in the smallest, starting Python weighs most).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.chunk_pass import step
from benchmarks.measure import Row, Table, main, mib, served

BOUND = 600e6
SIZES, QUICK_SIZES = (100, 1000, 10_000), (100, 300)


def benchmark(quick: bool) -> Iterator[Table]:
    """One row per chunk size."""
    table = Table("Memory of the chunk pass, from small to large chunks")
    sizes = QUICK_SIZES if quick else SIZES
    with tempfile.TemporaryDirectory() as folder:
        step("make", folder, max(sizes), "all")
        with served(Path(folder, "release")) as environment:
            used = []
            for size in sizes:
                store = Path(folder, "store")
                chunk, *_ = step("list_chunks", store, size, environment=environment).answer
                used.append(step("ingest", store, size, chunk, environment=environment))
                shutil.rmtree(store)
    for size, cost in zip(sizes, used, strict=True):
        notes = f"{1000 * cost.cpu / size:.1f} ms CPU an article, {cost.answer['bytes_fetched'] / 1e6:.0f} MB fetched"
        table.add(Row(f"{size:,} articles", mib(cost.memory), mib(BOUND), cost.memory / BOUND, 1.0, notes))
    middle, largest = (cost.cpu / size for cost, size in zip(used[-2:], sizes[-2:], strict=True))
    name = f"CPU of an article: {sizes[-1]:,} against {sizes[-2]:,}"
    table.add(Row(name, f"{1000 * largest:.1f} ms", f"{1000 * middle:.1f} ms", largest / middle, 1.1))
    table.add(Row("memory: largest against middle", "", "", used[-1].memory / used[-2].memory, 1.5))
    yield table


if __name__ == "__main__":
    main(benchmark, {}, __doc__)
