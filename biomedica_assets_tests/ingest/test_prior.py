"""What is held of earlier chunks: found in a bounded part of the store, however often the chunks change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow.parquet as pq
import pytest

from biomedica_assets.ingest import prior
from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.prior import PriorState
from biomedica_assets.pmc.file_list import read_chunk_rows
from biomedica_assets.store import tables
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.manifests import ChunkManifest, write_chunk_manifest
from biomedica_assets_tests.ingest.releases import DAYS, World, art, content


@pytest.mark.parametrize("group_bytes", [1, 3000, tables.BLOB_GROUP_BYTES])
def test_sources_of_many_chunks(local: Callable[..., World], monkeypatch: pytest.MonkeyPatch, group_bytes: int) -> None:
    """Row groups may cut between an article's two sources, and rows may jump between chunks: all are found."""
    monkeypatch.setattr(tables, "BLOB_GROUP_BYTES", group_bytes)
    monkeypatch.setattr(prior, "_GROUPS_HELD", 3)
    world = local(chunk_size=50)
    numbers = list(range(1, 25))
    for day in range(4):  # day n adds n+1, n+5, n+9 ...: neighbours lie in different chunks
        world.release(DAYS[day], *[art(n, pictures=0) for n in numbers if (n - 1) % 4 <= day])
        world.list()
        world.ingest()
    world.release(DAYS[4], *[art(n, pictures=0, title="new") for n in numbers])
    world.list()
    rows = read_chunk_rows(world.files, f"{DAYS[4]}-00000")
    assert [row.prior_chunk for row in rows[:5]] == [f"{DAYS[day]}-00000" for day in (0, 1, 2, 3, 0)]
    state = PriorState(world.files, f"{DAYS[4]}-00000", rows, None)
    for row in rows:
        held = state.get(row)
        assert held is not None
        assert held.sources["xml"]["data"] == art(row.pmcid, pictures=0).document()
        assert b'"version": 1' in held.sources["json"]["data"]
        assert len(state._sources._groups) <= 3


def test_nothing_is_held_of_new_versions_and_of_uncommitted_chunks(local: Callable[..., World]) -> None:
    world = local()
    world.release(DAYS[0], art(1))
    world.list()
    world.release(DAYS[1], art(1, title="new"), art(2))
    world.list()
    rows = read_chunk_rows(world.files, f"{DAYS[1]}-00000")
    state = PriorState(world.files, f"{DAYS[1]}-00000", rows, None)
    assert [state.get(row) for row in rows] == [None, None]


def test_tables_of_an_older_schema_read_as_null(local: Callable[..., World]) -> None:
    """One chunk still lacks a column of today: readers and later chunks see nulls until it is made again."""
    world = local()
    world.build(DAYS[0], art(1), art(2))
    now = content(world)
    chunk = f"{DAYS[0]}-00000"
    old = world.manifest(chunk)
    paths: dict[str, Any] = {}
    for name, column in {"articles": "citation", "images": "sha256", "versions": "citation"}.items():
        path = world.files.local_path(old.tables[name].path)
        assert path is not None
        shorter = path.with_name(f"{chunk}-{name}old.parquet")
        pq.write_table(pq.read_table(path).drop_columns([column]), shorter)
        paths[name] = old.tables[name].__class__(f"tables/{name}/{shorter.name}", shorter.stat().st_size, name, 2)
    inputs_then = old.inputs | {"schema": "0"}
    write_chunk_manifest(
        world.files,
        ChunkManifest(
            chunk, old.release, "old", inputs_then, old.tables | paths, old.shards, old.outcomes, [], old.run
        ),
    )
    world.release(DAYS[1], art(1), art(2), art(3))
    world.list()
    ingest_chunk(world.workspace(), f"{DAYS[1]}-00000")
    build_generation(world.files)
    assert world.sql("SELECT article_id, citation FROM articles ORDER BY 1") == [
        ("PMC1.1", None),
        ("PMC2.1", None),
        ("PMC3.1", "J. 2020"),
    ]
    assert world.sql("SELECT count(*), count(sha256) FROM sample_index") == [(6, 2)]
    assert world.sql("SELECT count(*), count(citation) FROM versions") == [(3, 1)]
    world.build()  # the unfinished chunk is made again from what is held
    assert {name: rows[: len(now[name])] for name, rows in content(world).items()} == now
