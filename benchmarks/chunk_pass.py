"""The chunk pass (S3 server over loopback -> tables and shards) against fetching the same objects into one tar.

    python -m benchmarks.chunk_pass [--quick]

The floor fetches exactly the objects that the pass fetches, with the same client and as many at a time, checks their
MD5 and writes them to one tar file: what nobody who collects these articles can do without.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import resource
import shutil
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, Table, Used, alternating, main, mib, run, served

MODULE = "benchmarks.chunk_pass"
BOUND = 2.0


def make(folder: str, versions: str, with_images: str) -> dict[str, Any]:
    """Write base and release below the folder."""
    from benchmarks.corpus import write_base, write_release

    base, release = Path(folder, "base"), Path(folder, "release")
    found = write_base(base, with_images=with_images == "images")
    return {"versions": write_release(base, release, int(versions) or found)}


def list_chunks(store: str, chunk_size: str) -> list[str]:
    """Write the file list; the keys of its chunks."""
    from biomedica_assets.ingest.listing import list_release

    written = list_release(_workspace(store, chunk_size))
    assert written is not None
    return [chunk for chunk, _ in written.chunks]


def ingest(store: str, chunk_size: str, chunk: str) -> dict[str, Any]:
    """The chunk pass."""
    from biomedica_assets.ingest.chunk import ingest_chunk

    manifest, skipped = ingest_chunk(_workspace(store, chunk_size), chunk)
    assert not skipped
    rows = {name: data_file.rows for name, data_file in manifest.tables.items()}
    return {**manifest.run, **rows, "stored": manifest.bytes, "outcomes": manifest.outcomes}


def profile(store: str, chunk_size: str, chunk: str) -> list[tuple[str, float, int]]:
    """The chunk pass with a timer around each stage."""
    from benchmarks.stages import Stages

    stages = Stages()
    stages.install()
    ingest(store, chunk_size, chunk)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return list(stages.shares(used.ru_utime + used.ru_stime))


def fetched_objects(store: str, chunk: str, target: str) -> int:
    """Write the (key, MD5) pairs that a committed chunk was made from, one list per article; their number."""
    from biomedica_assets.store.files import Files
    from biomedica_assets.store.manifests import read_chunk_manifest
    from biomedica_assets.store.tables import iter_rows

    files = Files(store)
    manifest = read_chunk_manifest(files, chunk)
    assert manifest is not None
    found: dict[int, dict[str, str]] = {}
    for row in iter_rows(files, manifest.tables["sources"].path, columns=["pmcid", "key", "md5"]):
        found.setdefault(row["pmcid"], {})[row["key"]] = row["md5"]
    for row in iter_rows(files, manifest.tables["images"].path, columns=["article_id", "key", "md5"]):
        found[int(row["article_id"][3:].partition(".")[0])][row["key"]] = row["md5"]
    with Path(target).open("w") as file:
        file.writelines(json.dumps(list(keys.items())) + "\n" for keys in found.values())
    return sum(map(len, found.values()))


def fetch_into_tar(objects: str, target: str, concurrency: str, looked_into: str = "") -> dict[str, int]:
    """The floor; ``looked_into``: also parse each XML by lxml and decode each image at an eighth where it can."""
    from concurrent.futures import Future, ThreadPoolExecutor

    look = _look if looked_into else lambda key, data: None

    from biomedica_assets.store.files import Files

    files = Files("s3://bucket", anonymous=True)

    def article(line: str) -> list[tuple[str, bytes]]:
        found = []
        for key, md5 in json.loads(line):
            data = files.read(key)
            if hashlib.md5(data).hexdigest() != md5:
                raise ValueError(f"{key} has another MD5 than {md5}")
            look(key, data)
            found.append((key, data))
        return found

    def write(archive: tarfile.TarFile, done: Future[list[tuple[str, bytes]]]) -> None:
        for key, data in done.result():
            member = tarfile.TarInfo(key)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

    waiting: deque[Future[list[tuple[str, bytes]]]] = deque()
    with (
        Path(objects).open() as lines,
        tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive,
        ThreadPoolExecutor(int(concurrency)) as pool,
    ):
        for line in lines:
            waiting.append(pool.submit(article, line))
            if len(waiting) > 2 * int(concurrency):
                write(archive, waiting.popleft())
        while waiting:
            write(archive, waiting.popleft())
    return {"requests": files.traffic.requests, "bytes": files.traffic.bytes}


def _look(key: str, data: bytes) -> None:
    from lxml import etree
    from PIL import Image

    if key.endswith(".xml"):
        etree.fromstring(data, etree.XMLParser(recover=True, huge_tree=True, load_dtd=False, no_network=True))
    elif not key.endswith(".json"):
        with contextlib.suppress(OSError, ValueError), Image.open(io.BytesIO(data)) as image:
            image.draft("L", (64, 64))
            image.load()


def concurrency() -> int:
    """Articles fetched at the same time, by default."""
    from biomedica_assets.settings import Settings

    return Settings().concurrency


def _workspace(store: str, chunk_size: str) -> Any:
    from biomedica_assets.ingest.workspace import open_workspace
    from biomedica_assets.settings import Settings

    return open_workspace(Settings(source="s3://bucket", store=store, chunk_size=int(chunk_size)))


STEPS = {f.__name__: f for f in (make, list_chunks, ingest, profile, fetched_objects, fetch_into_tar, concurrency)}


def step(name: str, *arguments: object, environment: dict[str, str] | None = None) -> Used:
    return run(MODULE, "--step", name, *arguments, environment=environment)


MIXES = {
    "all": "articles as they come (mostly XML)",
    "images": "articles that have images here",
}


def benchmark(quick: bool) -> Iterator[Table]:
    """Two mixes: the corpus as it is, and its articles that have images; then where the CPU of each goes."""
    table = Table("Chunk pass, CPU of the whole process")
    stages: dict[str, dict[str, float]] = {}
    sizes = {"all": 100, "images": 31} if quick else {"all": 2000, "images": 500}
    for which, versions in sizes.items():
        with tempfile.TemporaryDirectory() as folder:
            stages[which] = _measure(Path(folder), which, versions, 1 if quick else 3, table)
    yield table
    where = Table(
        "Chunk pass: where its CPU goes", header=("stage", *(f"{MIXES[which]}, ms an article" for which in sizes))
    )
    for stage in sorted(stages["all"], key=lambda stage: -stages["all"][stage]):
        where.rows.append((stage, *(f"{1000 * seconds.get(stage, 0):.2f}" for seconds in stages.values())))
    yield where


def _measure(folder: Path, which: str, versions: int, runs: int, table: Table) -> dict[str, float]:
    """Add the rows of one mix; CPU seconds per article by stage."""
    step("make", folder, versions, which)
    store, objects = folder / "store", folder / "objects"
    at_a_time = step("concurrency").answer
    with served(folder / "release") as environment:
        (chunk,) = step("list_chunks", store, versions, environment=environment).answer
        first = step("ingest", store, versions, chunk, environment=environment).answer
        count = step("fetched_objects", store, chunk, objects).answer

        def whole(name: str = "ingest") -> Used:
            for made in ("chunks", "tables", "sources", "shards"):
                shutil.rmtree(store / made)
            return step(name, store, versions, chunk, environment=environment)

        def floor(*options: str) -> Used:
            target = folder / "floor.tar"
            return step("fetch_into_tar", objects, target, at_a_time, *options, environment=environment)

        ours, bare, looked = alternating(runs, whole, floor, lambda: floor("looked into"))
        profile = whole("profile").answer
    notes = (
        f"{versions:,} articles, {first['images']:,} images, {bare.answer['bytes'] / 1e6:.0f} MB in {count:,} objects; "
        f"peak {mib(ours.memory)} against {mib(bare.memory)}"
    )
    each = f"{ours.cpu:.1f} s, {1000 * ours.cpu / versions:.1f} ms an article"
    table.add(
        Row(f"{MIXES[which]}: fetch, check, one tar", each, f"{bare.cpu:.1f} s", ours.cpu / bare.cpu, BOUND, notes)
    )
    notes = "the floor also parses every XML (lxml) and decodes every image once"
    table.add(Row("the same, looked into", each, f"{looked.cpu:.1f} s", ours.cpu / looked.cpu, BOUND, notes))
    return {stage: seconds / versions for stage, seconds, _ in profile}


if __name__ == "__main__":
    main(benchmark, STEPS, __doc__)
