"""What a store of 2,500 small chunks costs day by day, against one of 25.

    python -m benchmarks.many_chunks [--quick]

Each line is one process from start to end, so the seconds hold Python's start and the imports (about one of CPU).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Table, alternating, main, run
from benchmarks.synthetic import ROWS, make_store

MODULE = "benchmarks.many_chunks"
BOUND = 2.0
SIZES, QUICK_SIZES = (25, 2500), (5, 50)


def open_it(folder: str) -> int:
    """Open the catalogue."""
    from biomedica_assets.store.catalogue import open_catalogue

    with open_catalogue(str(Path(folder, "store"))) as catalogue:
        return _count(catalogue, "SELECT count(*) FROM current")


def query_index(folder: str) -> int:
    """Open the catalogue and count by a filter over the sample index."""
    from biomedica_assets.store.catalogue import open_catalogue

    with open_catalogue(str(Path(folder, "store"))) as catalogue:
        return _count(catalogue, "SELECT count(*) FROM sample_index WHERE licence_group = 'commercial' AND width > 300")


def query_samples(folder: str) -> int:
    """Open the catalogue and read captions of one article, through the view over all chunks' tables."""
    from biomedica_assets.store.catalogue import open_catalogue

    with open_catalogue(str(Path(folder, "store"))) as catalogue:
        newest = _count(catalogue, "SELECT max(pmcid) FROM current")
        return len(catalogue.execute(f"SELECT caption FROM samples WHERE pmcid = {newest}").fetchall())


def tick(folder: str) -> int:
    """What the schedule asks every ten minutes: which chunks are unfinished."""
    from biomedica_assets.ingest.status import store_status

    workspace = _workspace(folder)
    return len(store_status(workspace.files, workspace.settings).unfinished)


def day(folder: str) -> dict[str, Any]:
    """A new release: list it, make its one chunk, build the catalogue."""
    from time import process_time

    from biomedica_assets.ingest.chunk import ingest_chunk
    from biomedica_assets.ingest.listing import list_release
    from biomedica_assets.store.catalogue import build_generation

    workspace = _workspace(folder)
    imported = process_time()
    written = list_release(workspace)
    assert written is not None
    listed = process_time()
    for chunk, _ in written.chunks:
        ingest_chunk(workspace, chunk)
    made = process_time()
    generation = build_generation(workspace.files)
    steps = {"import": imported, "list": listed - imported, "chunk": made - listed, "catalogue": process_time() - made}
    return {"rows": written.rows, "chunks": len(generation.chunks), "steps": steps}


def _workspace(folder: str) -> Any:
    from biomedica_assets.ingest.workspace import open_workspace
    from biomedica_assets.settings import Settings

    return open_workspace(
        Settings(source=str(Path(folder, "source")), store=str(Path(folder, "store")), chunk_size=ROWS)
    )


def _count(catalogue: Any, sql: str) -> int:
    return int((catalogue.execute(sql).fetchone() or (0,))[0])


STEPS = {f.__name__: f for f in (make_store, open_it, query_index, query_samples, tick, day)}
_READING = {
    "open_it": "open the catalogue, count current articles",
    "query_index": "a filtered count over the sample index",
    "query_samples": "one article's captions through the view `samples`",
    "tick": "the schedule's tick: which chunks are unfinished",
}


def benchmark(quick: bool) -> Iterator[Table]:
    """Reading and a day, small store and large store in turns."""
    small, large = QUICK_SIZES if quick else SIZES
    runs = 1 if quick else 3
    table = Table(f"A store of {large:,} small chunks against one of {small}, CPU of the whole process")
    # Tens of thousands of small files: in memory where that is possible, since CPU is what counts here.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as root:
        folders = {size: Path(root, str(size)) for size in (small, large)}
        for size, folder in folders.items():
            run(MODULE, "--step", "make_store", folder, size)
        for name, words in _READING.items():
            few, many = alternating(
                runs, *(lambda n=name, f=folder: run(MODULE, "--step", n, f) for folder in folders.values())
            )
            table.add(Row(words, f"{many.cpu:.2f} s", f"{few.cpu:.2f} s", many.cpu / few.cpu))
        few, many = alternating(runs, *(lambda f=folder: _day(f) for folder in folders.values()))
        notes = ", ".join(
            f"{name} {many.answer['steps'][name]:.2f} / {few.answer['steps'][name]:.2f} s"
            for name in many.answer["steps"]
        )
        words = f"a day: list the release, one chunk of {many.answer['rows']} articles, catalogue"
        table.add(Row(words, f"{many.cpu:.2f} s", f"{few.cpu:.2f} s", many.cpu / few.cpu, BOUND, notes))
        bare = [used.cpu - used.answer["steps"]["import"] for used in (many, few)]
        table.add(Row("the same without starting Python", f"{bare[0]:.2f} s", f"{bare[1]:.2f} s", bare[0] / bare[1]))
    yield table


def _day(folder: Path) -> Any:
    """A day on a copy of the small files that it changes."""
    kept = folder / "kept"
    names = ("chunks", "releases", "catalogue", "catalogue.duckdb", "withdrawals.parquet")
    if kept.exists():
        for name in names:
            _remove(folder / "store" / name)
            _copy(kept / name, folder / "store" / name)
    else:
        kept.mkdir()
        for name in names:
            _copy(folder / "store" / name, kept / name)
    return run(MODULE, "--step", "day", folder)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copy(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, target)
    elif path.exists():
        shutil.copy(path, target)


if __name__ == "__main__":
    main(benchmark, STEPS, __doc__)
