"""A store written with an older schema: read as it is, and brought to today's without touching a shard."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from biomedica_assets import schemas
from biomedica_assets.ingest.status import store_status
from biomedica_assets.schemas import Column, Table
from biomedica_assets.store import migrations
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.manifests import StoreError, read_chunk_manifests
from biomedica_assets.store.migrations import migrate_store
from biomedica_assets.store.snapshots import create_snapshot, open_snapshot, verify_snapshot
from biomedica_assets_tests.ingest.releases import DAYS, World, art
from biomedica_assets_tests.store.test_snapshots import world

__all__ = ["world"]

OLD = schemas.SCHEMA_VERSION
FIRST, SECOND = f"{DAYS[0]}-00000", f"{DAYS[1]}-00000"


def with_table(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    monkeypatch.setitem(schemas.CHUNK_TABLES, table.name, table)
    monkeypatch.setattr(schemas, table.name.upper(), table)


def upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """Next version: `captions` gains a column, `figures.place` is called `location`; texts of labels change."""
    captions, figures = schemas.CAPTIONS, schemas.FIGURES
    with_table(monkeypatch, replace(captions, columns=(*captions.columns, Column("words", schemas._INT, "words"))))
    renamed = tuple(replace(c, name="location") if c.name == "place" else c for c in figures.columns)
    with_table(monkeypatch, replace(figures, columns=renamed))
    monkeypatch.setattr(schemas, "SCHEMA_VERSION", OLD + 1)


def renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {**{k: v for k, v in row.items() if k != "place"}, "location": row["place"], "label": row["label"].upper()}


def build_old(world: Callable[..., World]) -> World:
    made = world()
    made.build(DAYS[0], art(1), art(2))
    create_snapshot(made.files, "old")
    return made


def shards(made: World) -> dict[str, str]:
    return {path: hashlib.sha256(made.files.read(path)).hexdigest() for path, _ in made.files.list("shards")}


def test_added_columns_read_as_null_beside_new_files(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build_old(world)
    captions = schemas.CAPTIONS
    with_table(monkeypatch, replace(captions, columns=(*captions.columns, Column("words", schemas._INT, "words"))))
    monkeypatch.setattr(schemas, "SCHEMA_VERSION", OLD + 1)
    assert made.sql("SELECT words, text FROM captions ORDER BY figure_id LIMIT 1") == [(None, "caption 1")]
    made.release(DAYS[1], art(1), art(2), art(3))
    made.list()
    from biomedica_assets.ingest.chunk import ingest_chunk

    ingest_chunk(made.workspace(), SECOND)  # the first chunk stays as it is
    build_generation(made.files)
    manifests = read_chunk_manifests(made.files)
    assert [manifest.inputs["schema"] for manifest in manifests.values()] == [OLD, OLD + 1]
    assert made.sql("SELECT count(*), count(words) FROM captions") == [(6, 0)]
    with open_snapshot(made.files, "old") as views:
        assert views.execute("SELECT count(*), count(words) FROM captions").fetchone() == (4, 0)


def test_other_changes_are_migrated_chunk_by_chunk(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build_old(world)
    before, tables = shards(made), dict(made.manifest(FIRST).tables)
    upgrade(monkeypatch)
    monkeypatch.setitem(migrations.STEPS, OLD, {"figures": renamed})
    done = migrate_store(made.files)
    assert (done.chunks, done.snapshots, done.tables) == (1, 1, 2)
    manifest = made.manifest(FIRST)
    assert {n for n, file in manifest.tables.items() if file.path != tables[n].path} == {"figures", "captions"}
    assert shards(made) == before
    assert made.sql("SELECT location, label FROM figures ORDER BY figure_id LIMIT 1") == [("body", "FIGURE 1")]
    assert store_status(made.files, made.workspace().settings).unfinished == []  # nothing has to be parsed again
    assert verify_snapshot(made.files, "old", contents=True).wrong == []
    with open_snapshot(made.files, "old") as views:
        assert views.execute("SELECT DISTINCT location FROM figures").fetchall() == [("body",)]
    again = migrate_store(made.files)
    assert (again.chunks, again.snapshots, again.tables) == (0, 0, 0)


def test_a_chunk_whose_parser_is_old_stays_unfinished(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    from biomedica_assets.ingest import inputs

    made = build_old(world)
    upgrade(monkeypatch)
    monkeypatch.setitem(migrations.STEPS, OLD, {"figures": renamed})
    monkeypatch.setattr(inputs, "PARSER_VERSION", "newer")
    migrate_store(made.files)
    assert store_status(made.files, made.workspace().settings).unfinished == [FIRST]


def test_a_column_that_is_gone_needs_a_step(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    made = build_old(world)
    before = made.manifest(FIRST)
    upgrade(monkeypatch)
    with pytest.raises(KeyError, match="figures has no column"):
        migrate_store(made.files)
    assert made.manifest(FIRST) == before


def test_a_newer_store_is_refused(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    made = build_old(world)
    monkeypatch.setattr(schemas, "SCHEMA_VERSION", OLD - 1)
    with pytest.raises(StoreError, match="upgrade it"):
        migrate_store(made.files)
