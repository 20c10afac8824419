"""Two engines for vectors: our segments (faiss codes over mapped half floats) and LanceDB (IVF_RQ), on real vectors.

    pip install 'biomedica_assets[bench]'
    python -m benchmarks.search_engines [--quick]
    BIOMEDICA_BENCH_VECTORS=200000 python -m benchmarks.search_engines

Vectors of varied captions by wordllama; queries are phrases, titles and sentences of real articles. Each engine works
in processes of its own, one query at a time. Recall is against a scan of everything, by similarity: of equal captions
any will do. Filters are a column (LanceDB, with its scalar index) or a mask (ours) that keeps 1, 10 or 50 % at random.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Table, main, mib, run
from benchmarks.search_captions import BLOCK, caption_block
from benchmarks.search_scale import resident, texts

VECTORS, QUICK_VECTORS = int(os.environ.get("BIOMEDICA_BENCH_VECTORS", "1000000")), 20_000
QUERIES = 60
SHARES = (0, 1, 10, 50)
PROBED = ((20, 10), (100, 10), (300, 30))
"""LanceDB: how many of its lists are read, and how many times the wanted ones are measured exactly."""


def make(folder: str, count: str) -> dict[str, float]:
    """Vectors, queries, what each mask keeps, and the true tenth similarities."""
    from biomedica_assets.models.encoders import load_encoder

    place, rows = Path(folder), int(count)
    encoder = load_encoder("wordllama")
    out = np.lib.format.open_memmap(place / "vectors.npy", "w+", np.float16, (rows + BLOCK, encoder.dimensions))
    for block in range(rows // BLOCK + 1):
        out[block * BLOCK : (block + 1) * BLOCK] = encoder.encode_texts(list(caption_block(block)))
    np.save(place / "queries.npy", encoder.encode_texts(texts(QUERIES)))
    keys = np.random.default_rng(1).random(rows + BLOCK)
    np.save(place / "keys.npy", keys)
    _truth(place, rows)
    return {"rows": rows}


def _truth(place: Path, rows: int) -> None:
    vectors, keys = np.load(place / "vectors.npy", mmap_mode="r")[:rows], np.load(place / "keys.npy")[:rows]
    queries = np.load(place / "queries.npy")
    best = {share: np.full((len(queries), 10), -2.0, np.float32) for share in SHARES}
    for start in range(0, rows, 50_000):
        scores = queries @ vectors[start : start + 50_000].astype(np.float32).T
        for share, held in best.items():
            kept = scores if not share else scores[:, keys[start : start + 50_000] < share / 100]
            both = np.concatenate([held, kept], axis=1)
            best[share] = -np.partition(-both, 9, axis=1)[:, :10]
    np.savez(place / "truth.npz", **{str(share): held.min(axis=1) for share, held in best.items()})


def _measured(place: Path, rows: int, ask: Callable[[np.ndarray, int], list[int]]) -> dict[str, list[float]]:
    """By share of the filter: recall@10, CPU and wall milliseconds a query."""
    vectors = np.load(place / "vectors.npy", mmap_mode="r")
    truth, queries = np.load(place / "truth.npz"), np.load(place / "queries.npy")
    found = {}
    for share in SHARES:
        for query in queries[:5]:
            ask(query, share)
        cpu, wall = time.process_time(), time.monotonic()
        answers = [ask(query, share) for query in queries]
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        hits = [
            (vectors[answer].astype(np.float32) @ query >= least - 1e-3).sum() / 10
            for answer, query, least in zip(answers, queries, truth[str(share)], strict=True)
        ]
        found[str(share)] = [float(np.mean(hits)), 1e3 * cpu / len(queries), 1e3 * wall / len(queries)]
    return found


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def build_segments(folder: str, count: str) -> dict[str, Any]:
    """Our segment of all, and one of a day's delta."""
    from biomedica_assets.search.vectors import build_segment

    place, rows = Path(folder), int(count)
    vectors = np.load(place / "vectors.npy", mmap_mode="r")

    def part(start: int, end: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for at in range(start, end, 50_000):
            last = min(at + 50_000, end)
            yield np.arange(at, last), vectors[at:last]

    cpu = time.process_time()
    record = build_segment(place / "segments", part(0, rows), vectors.shape[1])
    between = time.process_time()
    added = build_segment(place / "segments", part(rows, rows + BLOCK), vectors.shape[1])
    assert record is not None
    assert added is not None
    delta = time.process_time() - between
    return {"cpu": between - cpu, "delta": delta, "bytes": _bytes(place / "segments"), "record": record.to_json()}


def ask_segments(folder: str, count: str, record: str) -> dict[str, Any]:
    """Queries to our segment."""
    import json

    from biomedica_assets.search.vectors import SegmentRecord, VectorIndex

    place, rows = Path(folder), int(count)
    index = VectorIndex(place / "segments", [SegmentRecord.from_json(json.loads(record))])
    keys = np.load(place / "keys.npy")[:rows]
    masks = {share: keys < share / 100 if share else None for share in SHARES}
    measured = _measured(place, rows, lambda query, share: index.search(query, 10, masks[share])[0].tolist())
    return {"measured": measured, "memory": resident()["all"]}


def _lance_rows(place: Path, start: int, end: int) -> Iterator[Any]:
    import pyarrow as pa

    vectors, keys = np.load(place / "vectors.npy", mmap_mode="r"), np.load(place / "keys.npy")
    for at in range(start, end, 50_000):
        part = slice(at, min(at + 50_000, end))
        flat = pa.array(np.asarray(vectors[part]).reshape(-1))
        arrays = [
            pa.array(np.arange(part.start, part.stop, dtype=np.int64)),
            pa.array(keys[part]),
            pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        ]
        yield pa.record_batch(arrays, names=["row", "key", "vector"])


def build_lance(folder: str, count: str) -> dict[str, Any]:
    """LanceDB's table with IVF_RQ and an index of the filter's column, and a day's delta with deletions."""
    import lancedb
    import pyarrow as pa
    from lancedb.index import BTree, IvfRq

    place, rows = Path(folder), int(count)
    schema = next(_lance_rows(place, 0, 1)).schema
    cpu = time.process_time()
    reader = pa.RecordBatchReader.from_batches(schema, _lance_rows(place, 0, rows))
    table = lancedb.connect(place / "lance").create_table("captions", reader)
    lists = max(16, round(rows**0.5 / 2))
    config = IvfRq(distance_type="cosine", num_partitions=lists, num_bits=1, max_iterations=15, sample_rate=128)
    _create_index(table, "vector", config)
    _create_index(table, "key", BTree())
    between = time.process_time()
    table.add(pa.RecordBatchReader.from_batches(schema, _lance_rows(place, rows, rows + BLOCK)))
    table.delete("row < 500")
    table.optimize()
    return {"cpu": between - cpu, "delta": time.process_time() - between, "bytes": _bytes(place / "lance")}


def _create_index(table: Any, column: str, config: Any) -> None:
    """The synchronous table takes other arguments from release to release; the asynchronous one takes a config."""
    import asyncio

    import lancedb

    async def create() -> None:
        connection = await lancedb.connect_async(str(Path(table._conn.uri)))
        opened = await connection.open_table(table.name)
        await opened.create_index(column, config=config)

    asyncio.run(create())
    table.checkout_latest()


def ask_lance(folder: str, count: str, probes: str, refine: str) -> dict[str, Any]:
    """Queries to LanceDB; a filter that keeps few rows by a scan of those, as its users are told to."""
    import lancedb

    place, rows = Path(folder), int(count)
    table = lancedb.connect(place / "lance").open_table("captions")

    def ask(query: np.ndarray, share: int) -> list[int]:
        search = table.search(query).distance_type("cosine").limit(10).select(["row"])
        search = search.nprobes(int(probes)).refine_factor(int(refine))
        if share:
            search = search.where(f"key < {share / 100}", prefilter=True)
            if rows * share <= 2_000_000:
                search = search.bypass_vector_index()
        return search.to_arrow()["row"].to_pylist()

    return {"measured": _measured(place, rows, ask), "memory": resident()["all"]}


def benchmark(quick: bool) -> Iterator[Table]:
    """One row per engine and setting."""
    import json

    count, me = QUICK_VECTORS if quick else VECTORS, "benchmarks.search_engines"
    table = Table(f"Engines for {count:,} caption vectors (256 dimensions): recall@10, CPU ms a query")
    table.header = ("engine", *(f"{share} % kept" if share else "all" for share in SHARES))
    table.header += ("resident", "build CPU s", "peak of the build", "on disk", "delta CPU s")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BIOMEDICA_BENCH_FOLDER")) as folder:
        run(me, "--step", "make", folder, count)
        built = run(me, "--step", "build_segments", folder, count)
        asked = run(me, "--step", "ask_segments", folder, count, json.dumps(built.answer["record"])).answer
        _row(table, "segments", asked, built)
        try:
            import lancedb  # noqa: F401
        except ImportError:
            table.rows.append(("LanceDB is not installed: pip install 'biomedica_assets[bench]'", *[""] * 9))
            yield table
            return
        built = run(me, "--step", "build_lance", folder, count)
        for probes, refine in PROBED:
            asked = run(me, "--step", "ask_lance", folder, count, probes, refine).answer
            _row(table, f"LanceDB IVF_RQ, {probes} probes, refine {refine}", asked, built)
    yield table


def _row(table: Table, name: str, asked: Any, built: Any) -> None:
    cells = (f"{recall:.3f}, {cpu:.1f}" for recall, cpu, _ in asked["measured"].values())
    costs = (
        f"{built.answer['cpu']:.0f}",
        mib(built.memory),
        mib(built.answer["bytes"]),
        f"{built.answer['delta']:.2f}",
    )
    table.rows.append((name, *cells, mib(asked["memory"]), *costs))


STEPS = {
    "make": make,
    "build_segments": build_segments,
    "ask_segments": ask_segments,
    "build_lance": build_lance,
    "ask_lance": ask_lance,
}

if __name__ == "__main__":
    main(benchmark, STEPS, __doc__)
