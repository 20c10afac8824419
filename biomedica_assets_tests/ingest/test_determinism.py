"""The same source gives the same bytes: whatever the number of threads, the order of chunks, the kind of store."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
import webdataset

from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.status import store_status
from biomedica_assets.sample import write_release as write_sample
from biomedica_assets.store.catalogue import build_generation, open_catalogue
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import iter_samples, read_image, read_span
from biomedica_assets_tests.ingest.releases import DAYS, World, art, content, data_files, picture, write_release
from biomedica_assets_tests.servers import FakeS3, FolderObjects, moto_server


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first state of the sample release."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(str(folder), 1)
    return folder


@pytest.fixture(scope="module")
def reference(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Data files of a build from file:// to file://, with one thread."""
    world = World(tmp_path_factory.mktemp("reference"), source=str(sample))
    world.build(concurrency=1)
    return data_files(world.files)


def build(source: str, store: str, **settings: object) -> Files:
    world = World(Path("unused"), source=source, store=store)
    world.build(**settings)
    return world.files


def test_threads_and_windows_do_not_matter(sample: Path, reference: dict[str, str], tmp_path: Path) -> None:
    files = build(str(sample), str(tmp_path / "store"), concurrency=16, window_bytes=1)
    assert data_files(files) == reference


def test_memory_to_memory(sample: Path, reference: dict[str, str]) -> None:
    name = uuid.uuid4().hex
    memory = fsspec.filesystem("memory")
    memory.put(f"{sample}/", f"/{name}/release/", recursive=True)
    try:
        files = build(f"memory://{name}/release", f"memory://{name}/store")
        assert data_files(files) == reference
        with open_catalogue(files) as catalogue:
            assert catalogue.execute("SELECT count(*) FROM samples").fetchone()[0] > 100  # type: ignore[index]
    finally:
        memory.rm(f"/{name}", recursive=True)


def test_fake_s3_to_fake_s3(
    sample: Path, reference: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    with FakeS3(sample, bucket="pmc") as source:
        monkeypatch.setenv("AWS_ENDPOINT_URL", source.endpoint)
        files = build("s3://pmc", str(tmp_path / "store"))
        assert data_files(files) == reference
        assert source.signed == 0


def test_moto_to_moto(sample: Path, reference: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Source and store in one bucket of an independent S3 server; the catalogue is read there too."""
    with moto_server() as endpoint:
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }.items():
            monkeypatch.setenv(name, value)
        uploaded = Files("s3://bucket/release")
        for key, data in FolderObjects(sample).items():
            uploaded.write(key, data)
        files = build("s3://bucket/release", "s3://bucket/store", source_anonymous=False)
        assert data_files(files) == reference
        with open_catalogue(files) as catalogue:
            rows = catalogue.sql("SELECT * FROM images ORDER BY image_id LIMIT 3").to_arrow_table().to_pylist()
        for row in rows:
            assert hashlib.sha256(read_image(files, row)).hexdigest() == row["sha256"]


def test_https_mirror_without_listing(
    sample: Path, reference: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    from biomedica_assets.pmc import cloud

    class Day(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return datetime(2026, 11, 20, tzinfo=UTC)

    monkeypatch.setattr(cloud, "datetime", Day)
    with FakeS3(sample, bucket="pmc", listable=False) as server:
        files = build(server.http_url, str(tmp_path / "store"))
    assert data_files(files) == reference


def three_releases(world: World) -> list[str]:
    """Lists of three releases, nothing ingested; the chunk keys in order."""
    articles = [art(n, pictures=n % 3) for n in range(1, 9)]
    world.release(DAYS[0], *articles)
    world.list()
    articles[2] = articles[2].but(title="changed")
    articles[4] = articles[4].with_file("f1.png", picture(200))
    world.release(DAYS[1], *articles[1:])
    world.list()
    world.release(DAYS[2], *articles[1:], art(1, caption="back"), art(20))
    world.list()
    return store_status(world.files, world.workspace().settings).chunks


def test_order_of_chunks_does_not_matter_for_what_is_current(local: Callable[..., World]) -> None:
    reference = None
    for seed in range(3):
        world = local(f"order{seed}", chunk_size=3)
        chunks = three_releases(world)
        assert len(chunks) == 3 + 1 + 1
        if seed:
            random.Random(seed).shuffle(chunks)
        for chunk in chunks:
            ingest_chunk(world.workspace(), chunk)
        build_generation(world.files)
        found = content(world)
        for rows in found.values():
            assert rows
        reference = reference or found
        assert found == reference


def test_generations_in_between_do_not_matter(local: Callable[..., World]) -> None:
    once, often = local("once", chunk_size=3), local("often", chunk_size=3)
    three_releases(once)
    for chunk in three_releases(often):
        ingest_chunk(often.workspace(), chunk)
        build_generation(often.files)
    once.build()
    named = ("tables", "sources", "shards", "releases")
    assert {p: d for p, d in data_files(once.files).items() if p.startswith(named)} == {
        p: d for p, d in data_files(often.files).items() if p.startswith(named)
    }
    pointer = "catalogue/generation.json"
    assert once.files.read(pointer) == often.files.read(pointer)


def test_two_runs_of_one_chunk_at_a_time_agree(local: Callable[..., World]) -> None:
    """Two workers that take the same chunk write the same files; the later manifest says the same."""
    from concurrent.futures import ThreadPoolExecutor

    alone, raced = local("alone"), local("raced")
    articles = [art(n) for n in range(1, 9)]
    alone.build(DAYS[0], *articles)
    raced.release(DAYS[0], *articles)
    raced.list()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: ingest_chunk(raced.workspace(), f"{DAYS[0]}-00000"), range(2)))
    build_generation(raced.files)
    assert data_files(raced.files) == data_files(alone.files)


def test_small_shards(local: Callable[..., World]) -> None:
    """1 kB of PNG-headers, json and txt make a sample of about 3 kB: a limit of 8000 bytes holds two."""
    world = local("small", shard_bytes=8000)
    world.build(DAYS[0], *[art(n) for n in (1, 2, 3)])
    assert [shard.rows for shard in world.manifest(f"{DAYS[0]}-00000").own_shards] == [2, 2, 2]
    rows = world.rows("images")
    assert [row["shard"].split("-")[-2] for row in rows] == ["0000", "0000", "0001", "0001", "0002", "0002"]
    paths = sorted(str(world.files.local_path(path)) for path, _ in world.files.list("shards"))
    read = list(webdataset.WebDataset(paths, shardshuffle=False))
    assert [sample["__key__"] for sample in read] == [row["sample_key"] for row in rows]
    assert [hashlib.md5(sample["png"]).hexdigest() for sample in read] == [row["md5"] for row in rows]
    assert [sample["txt"] for sample in read] == [b"caption 1", b"caption 2"] * 3


def test_every_image_row_leads_to_the_published_bytes(sample: Path, tmp_path: Path) -> None:
    world = World(tmp_path, source=str(sample))
    world.build(shard_bytes=300_000)
    rows = world.rows("images")
    assert len({row["shard"] for row in rows}) > 3
    for row in rows:
        published = (sample / row["key"]).read_bytes()
        assert read_image(world.files, row) == published
        assert row["md5"] == hashlib.md5(published).hexdigest()
        assert row["sha256"] == hashlib.sha256(published).hexdigest()
        [found] = iter_samples(read_span(world.files, row["shard"], row["offset"], row["length"]))
        assert found.key == row["sample_key"]
        assert sorted(found.parts) == sorted({"txt", "json", next(iter(found.parts.keys() - {"txt", "json"}))})
        assert found.parts[next(iter(found.parts.keys() - {"txt", "json"}))] == published
    # and none that the release has, and a figure names, is missing
    collected = {(row["article_id"], row["file_name"]) for row in world.rows("objects") if row["collected"]}
    assert collected == {(row["article_id"], row["file_name"]) for row in rows}


def test_release_written_twice_is_the_same(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_release(tmp_path / name, DAYS[0], [art(1), art(2)])
    assert dict(FolderObjects(tmp_path / "a")) == dict(FolderObjects(tmp_path / "b"))
