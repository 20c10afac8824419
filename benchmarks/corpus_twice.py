"""The corpus built three times: rows must not depend on order and workers, files not on anything but the order.

    python -m benchmarks.corpus_twice CORPUS [--chunk-size 50] [--folder DIR]

CORPUS is whatever `biomedica release pack` reads; packed, it is the first release, and a second one changes every
tenth article's metadata (every other of these is retracted) and leaves out every 37th. Stores:

* forward: chunks in order, one process, one article at a time;
* backward: chunks of each release in reverse order, four processes, 16 articles at a time in each;
* again: as forward, in another folder, later.

Beside each store stands the list of its files' SHA-256. Ends with an error unless forward and backward have one
logical checksum and the same image bytes, and forward and again the same files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.measure import Table
from biomedica_assets.dataset.reading import Span, read_images
from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.listing import list_release
from biomedica_assets.ingest.workspace import open_workspace
from biomedica_assets.pmc.file_list import list_chunks
from biomedica_assets.pmc.pack import pack
from biomedica_assets.pmc.writer import CloudWriter
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import build_generation, open_catalogue
from biomedica_assets.store.files import Files
from biomedica_assets.store.snapshots import logical_checksum

DAYS = (date(2026, 11, 20), date(2026, 11, 21))
FOLDERS = ("tables", "sources", "shards", "catalogue", "releases")
"""Data files of a store; manifests of chunks are compared without what their runs took."""


@dataclass(frozen=True)
class Build:
    """How a store is built."""

    name: str
    backward: bool
    processes: int
    concurrency: int


BUILDS = (Build("forward", False, 1, 1), Build("backward", True, 4, 16), Build("again", False, 1, 1))


def second_release(url: str) -> Counter[str]:
    """Write the later release over the first one; versions by what became of them."""
    writer = CloudWriter(url, DAYS[1])
    done: Counter[str] = Counter()
    for number, path in enumerate(sorted(Path(url, "metadata").iterdir())):
        record = json.loads(path.read_text())
        if number % 37 == 5:
            done["left out"] += 1
            continue
        if number % 20 == 3:
            record["is_retracted"] = True
            done["retracted"] += 1
        elif number % 10 == 3:
            record["citation"] = f"{record.get('citation') or ''} (changed)"
            done["changed"] += 1
        writer.put_json(path.stem, record)
    writer.finish()
    return done


def build(settings: Settings, how: Build) -> int:
    """Bring a store to its source's newest release; the number of chunks made."""
    workspace = open_workspace(settings)
    listed = list_release(workspace, approve=DAYS[1].isoformat())
    assert listed is not None
    chunks = [chunk for chunk, _ in list_chunks(workspace.files, listed.release)]
    if how.processes == 1:
        for chunk in chunks:
            _make(settings, chunk)
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(how.processes, mp_context=context) as pool:
            list(pool.map(_make, [settings] * len(chunks), reversed(chunks) if how.backward else chunks))
    build_generation(workspace.files)
    return len(chunks)


def _make(settings: Settings, chunk: str) -> None:
    ingest_chunk(open_workspace(settings), chunk)


def file_hashes(files: Files) -> dict[str, str]:
    """SHA-256 by path of data files, and of chunk manifests without ``run``, which holds times."""
    found = {
        path: hashlib.sha256(files.read(path)).hexdigest()
        for folder in FOLDERS
        for path, _ in files.list(folder)
        if not path.endswith(".duckdb")  # a local convenience, made from the rest
    }
    for path, _ in files.list("chunks"):
        manifest = {name: value for name, value in json.loads(files.read(path)).items() if name != "run"}
        found[path] = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    return found


def image_hashes(store: str) -> dict[str, str]:
    """SHA-256 of the bytes in the shards of every current image, by image id; checked against the table's."""
    files = Files(store)
    with open_catalogue(store) as catalogue:
        rows = catalogue.execute(
            "SELECT image_id, sha256, shard, image_offset, bytes FROM images WHERE shard IS NOT NULL ORDER BY image_id"
        ).fetchall()
    spans = [Span(shard, start, length) for _, _, shard, start, length in rows]
    found = {number: hashlib.sha256(data).hexdigest() for number, data in read_images(files, spans)}
    assert [found[number] for number in range(len(rows))] == [row[1] for row in rows], "bytes are not what rows say"
    return {row[0]: row[1] for row in rows}


def counts(store: str) -> dict[str, int]:
    """Rows of the views over current articles."""
    tables = ("current", "paragraphs", "figures", "captions", "mentions", "images")
    with open_catalogue(store) as catalogue:
        return {table: (catalogue.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,))[0] for table in tables}


def compare(corpus: str, folder: Path, chunk_size: int) -> Table:
    """Build the stores and compare them.

    Raises:
        SystemExit: they are not what they must be.
    """
    release = str(folder / "release")
    made = [
        Settings(source=release, store=str(folder / how.name), chunk_size=chunk_size, concurrency=how.concurrency)
        for how in BUILDS
    ]
    report = pack(corpus, release, release=DAYS[0])
    chunks = [build(settings, how) for settings, how in zip(made, BUILDS, strict=True)]
    done = second_release(release)
    chunks = [n + build(settings, how) for n, settings, how in zip(chunks, made, BUILDS, strict=True)]

    print(f"{report.versions} versions, {len(report.problems)} problems; later {dict(done)}")
    print(f"current rows: {counts(made[0].store)}")
    table = Table(
        "The corpus built three times",
        header=("store", "chunks", "logical checksum", "images", "files", "SHA-256 of their list", ""),
    )
    sums, images, hashes = [], [], []
    for how, settings, number in zip(BUILDS, made, chunks, strict=True):
        files = Files(settings.store)
        sums.append(logical_checksum(files))
        images.append(image_hashes(settings.store))
        hashes.append(file_hashes(files))
        listed = "".join(f"{digest}  {path}\n" for path, digest in sorted(hashes[-1].items()))
        Path(f"{settings.store}.sha256").write_text(listed)
        whole = hashlib.sha256(listed.encode()).hexdigest()
        other = sum(hashes[0].get(path) != hashes[-1].get(path) for path in hashes[0].keys() | hashes[-1].keys())
        notes = f"{other} files other than forward's" if len(hashes) > 1 else ""
        table.rows.append((how.name, f"{number}", sums[-1], f"{len(images[-1])}", f"{len(hashes[-1])}", whole, notes))
    print(table.markdown())
    wrong = []
    if sums[0] != sums[1] or images[0] != images[1]:
        wrong.append("order or workers change the content")
    if hashes[0] != hashes[2]:
        paths = sorted(hashes[0].keys() | hashes[2].keys())
        other_paths = [path for path in paths if hashes[0].get(path) != hashes[2].get(path)]
        wrong.append(f"the same order gave other files: {other_paths[:10]}")
    if wrong:
        raise SystemExit("; ".join(wrong))
    return table


def main() -> None:
    """Build and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus")
    parser.add_argument("--chunk-size", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="where to build, left behind; default: a temporary folder")
    arguments = parser.parse_args()
    if arguments.folder:
        compare(arguments.corpus, arguments.folder, arguments.chunk_size)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments.corpus, Path(folder), arguments.chunk_size)


if __name__ == "__main__":
    main()
