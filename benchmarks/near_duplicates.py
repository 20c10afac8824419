"""Near duplicates among a million 64-bit hashes: time, memory, and recall against brute force on a sample.

    python -m benchmarks.near_duplicates [--quick]
    BIOMEDICA_BENCH_HASHES=24000000 python -m benchmarks.near_duplicates

Hashes have 32 set bits, as those of real pictures do. Even ones are random; skewed ones lie around 2,000 centres, up to
16 bits away, as pictures of a few kinds look alike. One in twenty has a neighbour planted 2, 4 or 6 bits away.
"""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.measure import Row, Table, main, mib, run
from biomedica_assets.dataset.duplicates import DISTANCE
from biomedica_assets.dataset.near import near_pairs, star_clusters

ROWS, QUICK_ROWS = int(os.environ.get("BIOMEDICA_BENCH_HASHES", "1000000")), 50_000
BLOCK = 1_000_000
"""Hashes planted at a time: bounds the memory of making them (1 kB each)."""
SAMPLE = 300
MEMORY_BOUND = 1e9
"""Of the search among a million; larger searches are shown without a bound."""


def make(rows: int, kind: str) -> np.ndarray:
    """Distinct hashes, ascending, planted neighbours included."""
    random = np.random.default_rng(11)
    fresh = rows - rows // 20
    if kind == "even":
        base = balanced(random, fresh)
    else:
        centres = balanced(random, 2_000)
        base = swapped(random, centres[random.integers(0, len(centres), fresh)], 8)
    planted = base[: rows // 20].copy()
    for swaps in (1, 2, 3):
        planted[swaps - 1 :: 3] = swapped(random, planted[swaps - 1 :: 3], swaps)
    return np.unique(np.concatenate([base, planted]))


def balanced(random: np.random.Generator, rows: int) -> np.ndarray:
    """Hashes of 32 set bits."""
    made = np.empty(rows, np.uint64)
    for start in range(0, rows, BLOCK):
        order = np.argsort(random.random((min(BLOCK, rows - start), 64), dtype=np.float32), axis=1)
        bits = np.uint64(1) << order[:, :32].astype(np.uint64)
        made[start : start + BLOCK] = np.bitwise_or.reduce(bits, axis=1)
    return made


def swapped(random: np.random.Generator, hashes: np.ndarray, swaps: int) -> np.ndarray:
    """Hashes with so many set bits cleared and as many others set."""
    made = hashes.copy()
    for start in range(0, len(made), BLOCK):
        block = made[start : start + BLOCK]
        for _ in range(swaps):
            for value in (1, 0):
                keys = random.random((len(block), 64), dtype=np.float32)
                bits = (block[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
                keys[bits != value] = -1
                block ^= np.uint64(1) << keys.argmax(axis=1).astype(np.uint64)
    return made


def search(path: str) -> dict[str, Any]:
    """Pairs and clusters of the hashes in a file, and how many of a sample's neighbours brute force finds besides."""
    hashes = np.load(path)
    stats: Counter[str] = Counter()
    started, cpu = time.monotonic(), time.process_time()
    pairs = [
        (left.astype(np.int32), right.astype(np.int32)) for left, right in near_pairs(hashes, DISTANCE, stats=stats)
    ]
    left, right = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
    leader = star_clusters(len(hashes), np.minimum(left, right), np.maximum(left, right))
    wall, cpu = time.monotonic() - started, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # before brute force adds its own
    found = wanted = 0
    # Half of the sample from among hashes that have neighbours, lest it hold next to none.
    random = np.random.default_rng(5)
    sample = np.concatenate([random.choice(left, SAMPLE // 2), random.integers(0, len(hashes), SAMPLE // 2)])
    mine = np.isin(left, sample) | np.isin(right, sample)
    known = set(zip(left[mine].tolist(), right[mine].tolist(), strict=True))
    for one in sample.tolist():
        near = np.flatnonzero(np.bitwise_count(hashes ^ hashes[one]) <= DISTANCE)
        others = [int(other) for other in near if other != one]
        wanted += len(others)
        found += sum((one, other) in known or (other, one) in known for other in others)
    followers = int((leader != np.arange(len(leader))).sum())
    return {
        "rows": len(hashes),
        "wall": wall,
        "cpu": cpu,
        "memory": memory,
        "found": found,
        "wanted": wanted,
        "followers": followers,
        **stats,
    }


def write(path: str, rows: str, kind: str) -> int:
    """Make the hashes in a process of their own: planting them takes more memory than finding them."""
    made = make(int(rows), kind)
    np.save(path, made)
    return len(made)


def benchmark(quick: bool) -> Iterator[Table]:
    """One row per kind of hashes."""
    import tempfile

    table = Table("Near duplicates of 64-bit hashes within 6 bits")
    for kind in ("even", "skewed"):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/hashes.npy"
            run("benchmarks.near_duplicates", "--step", "write", path, QUICK_ROWS if quick else ROWS, kind)
            said = run("benchmarks.near_duplicates", "--step", "search", path).answer
        notes = (
            f"{said['cpu']:.1f} s CPU, {said['wall']:.1f} s wall; {said['passes']} passes, "
            f"{said['compared'] / 1e6:.0f}M comparisons, {said['pairs']:,} pairs, {said['followers']:,} duplicates, "
            f"cut {said['cut']}"
        )
        row = Row(f"{said['rows']:,} {kind} hashes: memory", mib(said["memory"]), notes=notes)
        if said["rows"] <= 1_000_000:
            row.floor, row.ratio, row.bound = mib(MEMORY_BOUND), said["memory"] / MEMORY_BOUND, 1.0
        table.add(row)
        missed = 1 - said["found"] / (said["wanted"] or 1)
        table.add(
            Row(f"{kind}: neighbours missed, of {said['wanted']} by brute force", f"{missed:.2%}", "", missed, 0.001)
        )
    yield table


if __name__ == "__main__":
    main(benchmark, {"search": search, "write": write}, __doc__)
