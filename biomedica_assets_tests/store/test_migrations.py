"""A store written with an older schema: read as it is, and brought to today's without touching a shard."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest

from biomedica_assets import schemas
from biomedica_assets.ingest import metadata
from biomedica_assets.ingest.metadata import fetch_chunk_metadata, refresh_metadata, unfinished_metadata
from biomedica_assets.ingest.status import store_status
from biomedica_assets.pmc.entrez import EntrezClient, Patience
from biomedica_assets.schemas import Column, Table
from biomedica_assets.store import migrations
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.derived import read_derived
from biomedica_assets.store.garbage import collect_garbage
from biomedica_assets.store.manifests import StoreError, read_chunk_manifests
from biomedica_assets.store.migrations import migrate_store
from biomedica_assets.store.snapshots import create_snapshot, open_snapshot, verify_snapshot
from biomedica_assets_tests.entrez_server import EntrezServer, article
from biomedica_assets_tests.ingest.releases import DAYS, World, art
from biomedica_assets_tests.store.test_snapshots import world

__all__ = ["world"]

OLD = schemas.SCHEMA_VERSION
FIRST, SECOND = f"{DAYS[0]}-00000", f"{DAYS[1]}-00000"


def with_table(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    monkeypatch.setitem(schemas.CHUNK_TABLES, table.name, table)
    monkeypatch.setattr(schemas, table.name.upper(), table)


def with_derived(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    monkeypatch.setitem(schemas.DERIVED_TABLES, table.name, table)
    monkeypatch.setattr(schemas, table.name.upper(), table)
    monkeypatch.setattr(metadata, "TABLE", table)


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


def build_with_metadata(world: Callable[..., World], pubmed: EntrezServer) -> World:
    """A chunk and a day of metadata, written before `metadata` has the column that `add_column` adds."""
    made = world()
    made.build(DAYS[0], art(1), art(2))
    pubmed.records = {pmid: article(pmid) for pmid in (1, 2, 3)}
    fetch_chunk_metadata(made.workspace(), FIRST, client(pubmed))
    pubmed.modified = {2: DAYS[1]}
    refresh_metadata(made.workspace(), DAYS[1], client(pubmed))
    build_generation(made.files)
    create_snapshot(made.files, "old")
    return made


def client(pubmed: EntrezServer) -> EntrezClient:
    return EntrezClient("a@example.org", url=pubmed.url, patience=Patience(between=0))


@pytest.fixture
def pubmed() -> Iterator[EntrezServer]:
    with EntrezServer() as server:
        yield server


def add_column(monkeypatch: pytest.MonkeyPatch) -> None:
    table = schemas.METADATA
    column = Column("citations", schemas._INT, "times cited")
    with_derived(monkeypatch, replace(table, columns=(*table.columns, column)))
    monkeypatch.setattr(schemas, "SCHEMA_VERSION", OLD + 1)


SEEN = "SELECT pmid, title, citations FROM metadata ORDER BY pmid"
OLD_ROWS = [(1, "Title of 1", None), (2, "Title of 2", None)]


def columns_of(made: World, path: str) -> list[str]:
    with made.files.open_seekable(path) as file:
        return pq.read_schema(file).names


def test_derived_tables_of_an_older_schema_are_read_beside_new_ones(
    world: Callable[..., World], pubmed: EntrezServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build_with_metadata(world, pubmed)
    add_column(monkeypatch)
    assert made.sql(SEEN) == OLD_ROWS  # the generation as the older software left it
    # The chunk is made by today's software, its metadata and the day's are not yet.
    made.ingest()
    build_generation(made.files)
    assert made.manifest(FIRST).inputs["schema"] == OLD + 1
    assert {m.inputs["schema"] for m in read_derived(made.files, "metadata").values()} == {OLD}
    for derived in read_derived(made.files, "metadata").values():
        assert "citations" not in columns_of(made, derived.file.path)
    assert made.sql(SEEN) == OLD_ROWS
    assert made.sql("SELECT count(*), count(citations) FROM all_metadata") == [(3, 0)]
    # One file has the column, one has not.
    refresh_metadata(made.workspace(), DAYS[1], client(pubmed))
    build_generation(made.files)
    assert [m.inputs["schema"] for m in read_derived(made.files, "metadata").values()] == [OLD, OLD + 1]
    assert made.sql(SEEN) == OLD_ROWS
    create_snapshot(made.files, "mixed")
    for name in ("old", "mixed"):
        with open_snapshot(made.files, name) as views:
            assert views.execute(SEEN).fetchall() == OLD_ROWS


def test_derived_tables_are_migrated_and_nobody_is_asked_again(
    world: Callable[..., World], pubmed: EntrezServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build_with_metadata(world, pubmed)
    add_column(monkeypatch)
    articles = schemas.ARTICLES  # another SHA-256 of what the metadata were made from
    with_table(monkeypatch, replace(articles, columns=(*articles.columns, Column("words", schemas._INT, "words"))))
    monkeypatch.setitem(
        migrations.STEPS, OLD, {"metadata": lambda row: {**row, "citations": 7, "title": row["title"].upper()}}
    )
    asked = len(pubmed.fetched)
    done = migrate_store(made.files)
    assert (done.chunks, done.derived, done.snapshots, done.tables) == (1, 2, 1, 3)
    new = [(1, "TITLE OF 1", 7), (2, "TITLE OF 2", 7)]
    assert made.sql(SEEN) == new
    with open_snapshot(made.files, "old") as views:
        assert views.execute(SEEN).fetchall() == new
    assert verify_snapshot(made.files, "old", contents=True).wrong == []
    assert unfinished_metadata(made.files) == []
    assert fetch_chunk_metadata(made.workspace(), FIRST, client(pubmed))[1], "still valid"
    assert len(pubmed.fetched) == asked
    # What only the old schema named is garbage now.
    for hour in (0, 2):
        collect_garbage(made.files, now=hour * 3600.0, grace_seconds=3600)
    assert verify_snapshot(made.files, "old", contents=True).wrong == []
    assert made.sql(SEEN) == new
    again = migrate_store(made.files)
    assert (again.chunks, again.derived, again.snapshots, again.tables) == (0, 0, 0, 0)


def test_metadata_stay_valid_when_the_migration_is_killed_between_their_manifest_and_the_chunk_s(
    world: Callable[..., World], pubmed: EntrezServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build_with_metadata(world, pubmed)
    add_column(monkeypatch)
    articles = schemas.ARTICLES
    with_table(monkeypatch, replace(articles, columns=(*articles.columns, Column("words", schemas._INT, "words"))))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "write_chunk_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            migrate_store(made.files)
    assert made.sql(SEEN) == OLD_ROWS
    migrate_store(made.files)
    assert unfinished_metadata(made.files) == []
    assert made.sql(SEEN) == OLD_ROWS


def test_derived_tables_of_newer_software_are_refused(
    world: Callable[..., World], pubmed: EntrezServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = build_with_metadata(world, pubmed)
    made.files.remove(f"chunks/{FIRST}.json")
    monkeypatch.setattr(schemas, "SCHEMA_VERSION", OLD - 1)
    with pytest.raises(StoreError, match=f"metadata of {DAYS[0]}-00000 has schema {OLD}.*upgrade it"):
        migrate_store(made.files)
