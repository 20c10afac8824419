"""The tables of the two benchmarks that are commands of their own: `jats_speed` and `inventory_diff`.

Belongs here: running their steps and setting the results against the bounds. Not here: the steps.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import SHARED, Row, Table, Used, mib, run

DELTA = 3000
"""Changes of the second day: PMC grows by about as many articles."""


def jats(quick: bool) -> Iterator[Table]:
    """All records of every article of the corpus against bare lxml; of the sample release where there is no corpus."""
    with tempfile.TemporaryDirectory() as root:
        folder = SHARED / "corpus"
        if not folder.exists():
            folder = Path(root, "base")
            run("benchmarks.chunk_pass", "--step", "make", root, 0, "all")
        ratios: list[float] = []
        bare: list[dict[str, float]] = []
        ours: list[dict[str, float]] = []
        for _ in range(1 if quick else 5):
            for variant, found in (("lxml", bare), ("jats", ours)):
                found.append(run("benchmarks.jats_speed", folder, "--variant", variant).answer)
            ratios.append(ours[-1]["seconds"] / bare[-1]["seconds"])
    seconds = [statistics.median(each["seconds"] for each in found) for found in (ours, bare)]
    articles = bare[0]["articles"]
    cost, floor = (f"{1000 * value / articles:.2f} ms an article" for value in seconds)
    notes = f"{articles:.0f} articles, {bare[0]['bytes'] / 1e6:.0f} MB; ratios {min(ratios):.2f} to {max(ratios):.2f}"
    table = Table("JATS to records, CPU")
    row = Row(
        "`parse_article`, all records, against `lxml.etree.parse`", cost, floor, statistics.median(ratios), 3.0, notes
    )
    table.add(row)
    yield table


def inventory(quick: bool) -> Iterator[Table]:
    """The first file list and a day's, for an inventory of nine million versions."""
    rows = 200_000 if quick else 9_000_000
    table = Table(f"Inventory of {rows:,} versions against all file lists before it, in processes of their own")
    with tempfile.TemporaryDirectory() as root:
        source, store = Path(root, "source"), Path(root, "store")
        source.mkdir()
        store.mkdir()

        def step(name: str, *arguments: object) -> Used:
            return run("benchmarks.inventory_diff", "--step", name, source, *arguments)

        step("inventory", "2026-11-20", rows, 0)
        bare = step("floor")
        first = step("compare", store)
        step("inventory", "2026-11-21", rows, DELTA)
        delta = step("compare", store)
    for name, used in (("first load", first), (f"a day of {DELTA:,} changes", delta)):
        floor = f"{bare.cpu:.0f} s CPU: unzip and count"
        table.add(Row(name, f"{used.cpu:.0f} s CPU", floor, used.cpu / bare.cpu))
        table.add(Row(f"{name}: wall time", f"{used.wall:.0f} s", "300 s", used.wall / 300, 1.0))
        table.add(Row(f"{name}: peak memory", mib(used.memory), mib(2e9), used.memory / 2e9, 1.0))
    yield table
