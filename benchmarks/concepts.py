"""Concepts: CPU and memory of fitting the space, assigning images, choosing contact sheets and measuring drift.

    python -m benchmarks.concepts [--quick]

Vectors are synthetic, 1,280 wide as those of the default image encoder, around 3,000 directions of unequal frequency;
2,000 concepts on 50 axes. Everything runs on one thread, as in the pipeline. The catalogue is a stand-in that holds
every article, so that only what belongs to concepts is measured.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.measure import Row, Table, main, mib, run

WIDE, AXES, CONCEPTS, DIRECTIONS = 1280, 50, 2000, 3000
CHUNK = 14_300
"""Images of a chunk of 5,000 articles."""
FITTED, QUICK_FITTED = (50_000, 500_000), (4_000,)
CHUNKS, QUICK_CHUNKS = 14, 1
LISTED, QUICK_LISTED = (70, 1680), (2,)
"""Chunks among which contact sheets are chosen: one and 24 million images."""
CURRENT = "catalogue/current.parquet"
ALL = 24_000_000


def fit(count: str, concepts: str) -> dict[str, float]:
    """Step: fit a space on so many vectors."""
    from biomedica_assets.labels.fitting import StoredVectors
    from biomedica_assets.labels.space import fit_space

    with tempfile.TemporaryDirectory() as folder:
        with Path(folder, "vectors").open("wb") as file:
            for block in _blocks(int(count)):
                file.write(block.tobytes())
        vectors = StoredVectors(Path(folder, "vectors"), int(count), WIDE)
        cpu = time.process_time()
        fitted = fit_space(vectors, components=AXES, clusters=int(concepts), seed=20)
        return {"cpu": time.process_time() - cpu, "kept": fitted.kept}


def make(folder: str, chunks: str, count: str) -> None:
    """Step: the vectors of so many chunks with so many images each, and a catalogue."""
    files = _files(folder)
    for number in range(int(chunks)):
        _write_features(files, _chunk(number), number, int(count))
    _write_current(files, int(chunks))


def gather(folder: str) -> dict[str, float]:
    """Step: choose a sample of a tenth among the vectors that `make` made, and gather it."""
    from biomedica_assets.labels import fitting
    from biomedica_assets.store.derived import read_derived

    files = _files(folder)
    features = read_derived(files, "image_features")
    rows = sum(manifest.file.rows for manifest in features.values())
    with tempfile.TemporaryDirectory() as scratch:
        cpu = time.process_time()
        _, sample = fitting._sample(files, features, Path(scratch), rows // 10, 20)
        chosen = time.process_time()
        fitting._gather(files, features, sample, Path(scratch, "sample"))
        return {"choose": chosen - cpu, "gather": time.process_time() - chosen, "rows": rows}


def assign(folder: str) -> dict[str, float]:
    """Step: the concepts of one of the chunks that `make` made, reading and writing Parquet included."""
    from biomedica_assets.labels.concepts import build_concepts
    from biomedica_assets.labels.space import Fit, one_thread, save_space

    files, space = _files(folder), _space()
    record = save_space(files, Fit(space, 1.0, [1] * CONCEPTS, 0.5, 1.0), **_about())
    block = next(_blocks(4096))
    with one_thread():
        space.assign(block[:1])  # what is done once
        cpu = time.process_time()
        space.assign(block)
        bare = (time.process_time() - cpu) / len(block)
    cpu = time.process_time()
    made, _ = build_concepts(files, _chunk(0), record, space)
    return {"cpu": time.process_time() - cpu, "bare": bare, "bytes": made.file.bytes, "rows": made.file.rows}


def list_concepts(folder: str, chunks: str) -> None:
    """Step: concepts of so many chunks at random, and a catalogue."""
    from biomedica_assets.labels.space import Fit, save_space

    files = _files(folder)
    record = save_space(files, Fit(_space(), 1.0, [1] * CONCEPTS, 0.5, 1.0), **_about())
    for number in range(int(chunks)):
        _write_concepts(files, _chunk(number), number, record.id)
    _write_current(files, int(chunks))


def sheets(folder: str) -> dict[str, float]:
    """Step: contact sheets chosen among what `list_concepts` made, then their drift, as if all were new."""
    from biomedica_assets.labels.drift import measure_drift
    from biomedica_assets.labels.sheets import publish_sheets
    from biomedica_assets.labels.space import load_space
    from biomedica_assets.settings import Settings

    files = _files(folder)
    record, _ = load_space(files)
    cpu = time.process_time()
    made = publish_sheets(files, record)
    chosen = time.process_time()
    drift = measure_drift(files, Settings(_env_file=None), record)
    assert drift.pictures == sum(made.pictures)
    return {"sheets": chosen - cpu, "drift": time.process_time() - chosen, "images": sum(made.images)}


def _chunk(number: int) -> str:
    return f"2026-01-01-{number:05}"


def _files(folder: str) -> Any:
    """The store in a folder; what asks for the newest catalogue gets the stand-in."""
    from biomedica_assets.labels import fitting
    from biomedica_assets.store.files import Files

    generation = SimpleNamespace(files={"current": SimpleNamespace(path=CURRENT)})
    fitting.refresh_generation = lambda _: generation  # type: ignore[assignment,return-value]
    return Files(folder)


def _blocks(count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Vectors of length 1 as half floats, 4,096 at a time, around directions that are rarer the later they come."""
    random = np.random.default_rng(1)
    directions = random.normal(size=(DIRECTIONS, WIDE)).astype(np.float32)
    shares = 1 / np.arange(10, DIRECTIONS + 10)
    random = np.random.default_rng(seed + 2)
    for start in range(0, count, 4096):
        chosen = random.choice(DIRECTIONS, min(4096, count - start), p=shares / shares.sum())
        block = directions[chosen] + random.normal(size=(len(chosen), WIDE)).astype(np.float32)
        yield (block / np.linalg.norm(block, axis=1, keepdims=True)).astype(np.float16)


def _space() -> Any:
    from biomedica_assets.labels.space import ConceptSpace

    random = np.random.default_rng(3)
    axes = np.linalg.qr(random.normal(size=(WIDE, AXES)))[0].astype(np.float32)
    centres = random.normal(size=(CONCEPTS, AXES)).astype(np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    return ConceptSpace(np.zeros(WIDE, np.float32), axes, centres)


def _about() -> dict[str, Any]:
    asked = {"components": AXES, "clusters": 0, "sample": 500_000, "seed": 20}
    counts = {"pictures": CONCEPTS, "sampled": CONCEPTS}
    return {"encoder": "x", "features": "1", "settings": asked, "chunks": {}, **counts}


def _ids(chunk: str, number: int, count: int) -> dict[str, Any]:
    places = range(number * CHUNK, number * CHUNK + count)
    articles = [f"PMC{place // 3}.1" for place in places]
    figures = [f"{article}/f{place % 3}" for article, place in zip(articles, places, strict=True)]
    return {
        "chunk": [chunk] * count,
        "article_id": articles,
        "figure_id": figures,
        "image_id": [f"{figure}/1" for figure in figures],
        "sha256": [hashlib.sha256(str(place).encode()).hexdigest() for place in places],
    }


def _put(files: Any, table: Any, chunk: str, columns: dict[str, Any], inputs: dict[str, Any]) -> Any:
    """Write a derived partition without going through Python rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from biomedica_assets.schemas import SCHEMA_VERSION
    from biomedica_assets.store.derived import DerivedManifest, manifest_path
    from biomedica_assets.store.manifests import DataFile

    written = pa.table(columns, schema=table.arrow)
    path = f"tables/{table.name}/{chunk}.parquet"
    local = files.local_path(path)
    local.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(written, local, compression="zstd", compression_level=1, row_group_size=6000)
    inputs = {**inputs, "schema": SCHEMA_VERSION}
    file = DataFile(path, local.stat().st_size, "0" * 64, len(written))
    manifest = DerivedManifest(table.name, chunk, "x", inputs, file)
    files.write(manifest_path(table.name, chunk), manifest.to_json())
    return manifest


def _write_features(files: Any, chunk: str, number: int, count: int = CHUNK) -> Any:
    import pyarrow as pa

    from biomedica_assets import schemas

    flat = np.concatenate(list(_blocks(count, number))).ravel()
    vectors = pa.ListArray.from_arrays(np.arange(0, count * WIDE + 1, WIDE, dtype=np.int32), pa.array(flat))
    columns = {**_ids(chunk, number, count), "encoder": ["x"] * count, "vector": vectors}
    return _put(files, schemas.IMAGE_FEATURES, chunk, columns, {"encoder": "x", "features": "1"})


def _write_concepts(files: Any, chunk: str, number: int, space: str) -> None:
    from biomedica_assets import schemas

    random = np.random.default_rng(number)
    values = {
        "space": [space] * CHUNK,
        "concept": random.integers(0, CONCEPTS, CHUNK),
        "distance": random.random(CHUNK, np.float32),
        "margin": random.random(CHUNK, np.float32),
    }
    _put(files, schemas.CONCEPTS, chunk, {**_ids(chunk, number, CHUNK), **values}, {"space": space})


def _write_current(files: Any, chunks: int) -> None:
    """Every article of the chunks is current."""
    import duckdb

    local = files.local_path(CURRENT)
    local.parent.mkdir(parents=True, exist_ok=True)
    duckdb.connect(config={"memory_limit": "300MB"}).execute(f"""
        COPY (SELECT DISTINCT format('2026-01-01-{{:05d}}', place // {CHUNK}) AS chunk,
                              concat('PMC', place // 3, '.1') AS article_id
              FROM range({chunks * CHUNK}) t(place)) TO '{local}'
    """)


def benchmark(quick: bool) -> Iterator[Table]:
    """Fitting; assigning; contact sheets and drift."""
    module, step = "benchmarks.concepts", "--step"
    table = Table("Fitting a concept space, one thread", ("vectors", "CPU", "of it without k-means", "peak", "notes"))
    for count in QUICK_FITTED if quick else FITTED:
        concepts = 40 if quick else CONCEPTS
        bare, whole = run(module, step, "fit", count, 1), run(module, step, "fit", count, concepts)
        cells = (f"{count:,}", f"{whole.answer['cpu']:.0f} s", f"{bare.answer['cpu']:.0f} s", mib(whole.memory))
        table.rows.append((*cells, f"{concepts:,} concepts, {AXES} axes, {WIDE:,} wide"))
    yield table

    table = Table("Concepts of images, one thread")
    with tempfile.TemporaryDirectory() as folder:
        run(module, step, "make", folder, QUICK_CHUNKS if quick else CHUNKS, 1000 if quick else CHUNK)
        used = run(module, step, "gather", folder)
        for name, what in (("choose", "choosing a sample"), ("gather", "gathering its vectors, a tenth of all")):
            each = used.answer[name] / used.answer["rows"]
            notes = f"{used.answer['rows']:,} images, peak {mib(used.memory)}; 24 M: {ALL * each / 60:.1f} min"
            table.add(Row(what, f"{each * 1e6:.1f} us an image", notes=notes))
        used = run(module, step, "assign", folder)
    count, bare = used.answer["rows"], used.answer["bare"]
    each = used.answer["cpu"] / count
    notes = (
        f"a chunk of {count:,}, {used.answer['bytes'] / count:.0f} bytes an image, peak {mib(used.memory)}; "
        f"24 M: {ALL * each / 60:.0f} min"
    )
    cost, floor = f"{1 / each:,.0f} a CPU-second", f"{1 / bare:,.0f}"
    table.add(Row("assigning; floor: the arithmetic alone", cost, floor, each / bare, notes=notes))
    for chunks in QUICK_LISTED if quick else LISTED:
        with tempfile.TemporaryDirectory() as folder:
            run(module, step, "list", folder, chunks)
            used = run(module, step, "sheets", folder)
        for name, what in (("sheets", "choosing contact sheets"), ("drift", "measuring drift")):
            notes = f"{used.answer['images']:,} images" + (f", peak {mib(used.memory)}" if name == "sheets" else "")
            table.add(Row(what, f"{used.answer[name]:.1f} s", notes=notes))
    yield table


STEPS = {"fit": fit, "make": make, "gather": gather, "assign": assign, "list": list_concepts, "sheets": sheets}

if __name__ == "__main__":
    main(benchmark, STEPS, __doc__)
