"""CPU and bytes per article and per image, stage by stage: the measured numbers of ``docs/scale.md``.

    python -m benchmarks.item_costs [--quick]

CPU is process time after the imports, of stages of one process; articles are the corpus as it comes, images those of
its articles that have some (both repeated under new ids). Without the corpus the sample release takes its place.
"""

from __future__ import annotations

import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.chunk_pass import _workspace, list_chunks, make
from benchmarks.measure import SHARED, Row, Table, main, run, served
from benchmarks.synthetic import ROWS, make_store

MODULE = "benchmarks.item_costs"
PUBMED_REPEATS = 3
NEAR_PASSES = 4


def chunk(store: str, size: str, key: str) -> dict[str, Any]:
    """Stages of the chunk pass in CPU seconds; bytes and rows of what it wrote."""
    from benchmarks.stages import Stages
    from biomedica_assets.ingest.chunk import ingest_chunk

    stages, workspace = Stages(), _workspace(store, size)
    stages.install()
    started = time.process_time()
    manifest, _ = ingest_chunk(workspace, key)
    spent = time.process_time() - started
    return {
        "cpu": spent,
        "stages": {name: seconds for name, seconds, _ in stages.shares(spent)},
        "tables": {name: [data_file.bytes, data_file.rows] for name, data_file in manifest.tables.items()},
        "shards": sum(shard.bytes for shard in manifest.own_shards),
        "run": manifest.run,
    }


def dataset(store: str, target: str) -> dict[str, float]:
    """CPU seconds of catalogue, duplicates, subset and export of a store with image bytes, after the imports."""
    from biomedica_assets.dataset.duplicates import build_duplicates
    from biomedica_assets.dataset.exports import export
    from biomedica_assets.dataset.recipes import load_recipes
    from biomedica_assets.dataset.subsets import build_subset
    from biomedica_assets.store.catalogue import build_generation
    from biomedica_assets.store.files import Files

    files, spent = Files(store), {}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        started = time.process_time()
        made = function()
        spent[name] = time.process_time() - started
        return made

    timed("catalogue", lambda: build_generation(files))
    timed("duplicates", lambda: build_duplicates(files))
    recipe = load_recipes()["commercial"]
    subset = timed("subset", lambda: build_subset(files, recipe))
    made = timed("export", lambda: export(files, subset, target=Files(target)))
    return spent | {"images": subset.counts["images"], "bytes": sum(shard["bytes"] for shard in _shards(made))}


def _shards(made: Any) -> list[dict[str, Any]]:
    from dataclasses import asdict, is_dataclass

    return [asdict(s) if is_dataclass(s) and not isinstance(s, type) else s for s in made.shards]


def wide(folder: str) -> dict[str, float]:
    """CPU seconds to build the catalogue of a synthetic store from nothing, a subset of it; bytes of the catalogue."""
    from biomedica_assets.dataset.recipes import load_recipes
    from biomedica_assets.dataset.subsets import build_subset
    from biomedica_assets.store.catalogue import build_generation
    from biomedica_assets.store.files import Files

    store = Path(folder, "store")
    shutil.rmtree(store / "catalogue")
    files, recipe = Files(str(store)), load_recipes()["commercial"]
    started = time.process_time()
    generation = build_generation(files)
    built = time.process_time()
    subset = build_subset(files, recipe)
    return {
        "catalogue": built - started,
        "subset": time.process_time() - built,
        "images": subset.counts["images"],
        "articles": generation.counts["current"],
        "bytes": sum(data_file.bytes for data_file in generation.files.values()),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def pubmed() -> dict[str, float]:
    """CPU seconds to read real efetch replies and write their rows; bytes of replies and of the table."""
    from biomedica_assets import schemas
    from biomedica_assets.pmc.pubmed import UnreadableReply, read_pubmed
    from biomedica_assets.store.tables import TableWriter

    replies = sorted((SHARED / "corpus" / "entrez" / "pubmed_efetch").rglob("*.xml"))
    records = size = 0
    known = set(schemas.METADATA.names)
    with tempfile.TemporaryDirectory() as scratch:
        writer = TableWriter(schemas.METADATA, Path(scratch, "metadata.parquet"))
        started = time.process_time()
        for _ in range(PUBMED_REPEATS):
            for path in replies:
                try:
                    found = read_pubmed(path.read_bytes()).records
                except UnreadableReply:
                    continue
                records, size = records + len(found), size + path.stat().st_size
                facts = {"partition": "x", "outcome": "found"}
                writer.add(
                    {k: v for k, v in {**r, **facts, "pmid": r["record_pmid"]}.items() if k in known} for r in found
                )
        written = writer.close()
        spent = time.process_time() - started
        return {"records": records, "cpu": spent, "reply": size, "table": Path(written.path).stat().st_size}


def near(rows: str) -> dict[str, float]:
    """CPU seconds of a few passes of the search among so many even hashes, and how many passes a search has."""
    from collections import Counter
    from itertools import combinations, islice
    from math import comb

    import numpy as np

    from biomedica_assets.dataset.duplicates import DISTANCE
    from biomedica_assets.dataset.near import WINDOW, _agreeing, _bands, _Layout, _spread

    hashes = np.unique(np.random.default_rng(1).integers(0, 2**64, int(rows), dtype=np.uint64))
    bands, kept = _bands(len(hashes), DISTANCE)
    stats: Counter[str] = Counter()
    started, spread = time.process_time(), _spread(hashes)
    for chosen in islice(combinations(range(bands), kept), NEAR_PASSES):
        layout = _Layout(bands, chosen)
        values = layout.apply(spread)
        values.sort()
        stats["pairs"] += sum(len(left) for left, _ in _agreeing(values, layout, DISTANCE, WINDOW, stats))
    return {
        "rows": len(hashes),
        "pass_cpu": (time.process_time() - started) / NEAR_PASSES,
        "passes": comb(bands, kept),
        "compared": stats["compared"] / NEAR_PASSES,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


STEPS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (make, list_chunks, make_store, chunk, dataset, wide, pubmed, near)
}


def step(name: str, *arguments: object, environment: dict[str, str] | None = None) -> Any:
    return run(MODULE, "--step", name, *arguments, environment=environment).answer


def benchmark(quick: bool) -> Iterator[Table]:
    """The chunk pass of two mixes, then the dataset's steps."""
    mixes = {"all": 100 if quick else 532, "images": 31 if quick else 248}
    for which, versions in mixes.items():
        table = Table(f"Chunk pass, {which}: {versions} articles")
        with tempfile.TemporaryDirectory() as folder:
            step("make", folder, versions, which)
            store = Path(folder, "store")
            with served(Path(folder, "release")) as environment:
                (key,) = step("list_chunks", store, versions, environment=environment)
                done = step("chunk", store, versions, key, environment=environment)
            images = done["tables"]["images"][1]
            table.add(Row("CPU", f"{done['cpu']:.2f} s", notes=f"{images} images, {json.dumps(done['run'])}"))
            for name, seconds in done["stages"].items():
                each = f"{1000 * seconds / versions:.2f} ms an article"
                table.add(Row(name, each, notes=f"{1000 * seconds / max(1, images):.2f} ms an image"))
            for name, (size, rows) in done["tables"].items():
                each = f"{size / versions:,.0f} bytes an article"
                table.add(Row(f"table {name}", each, notes=f"{rows} rows, {size / max(1, rows):,.0f} bytes a row"))
            table.add(Row("shards", f"{done['shards'] / max(1, images):,.0f} bytes an image"))
            if which == "images":
                table.add(Row("dataset", json.dumps(step("dataset", store, Path(folder, "exported")))))
        yield table
    table = Table("Dataset")
    with tempfile.TemporaryDirectory() as folder:
        chunks = 50 if quick else 500
        step("make_store", folder, chunks)
        table.add(Row(f"{chunks} chunks of {ROWS}", json.dumps(step("wide", folder))))
    rows = 1_000_000 if quick else 8_000_000
    table.add(Row(f"near duplicates, passes over {rows:,} hashes", json.dumps(step("near", rows))))
    if SHARED.exists():
        table.add(Row("PubMed", json.dumps(step("pubmed"))))
    yield table


if __name__ == "__main__":
    main(benchmark, STEPS, __doc__)
