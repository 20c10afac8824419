"""Parquet files of the tables: bounded writing, names by content, old files with today's columns."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets import schemas
from biomedica_assets.store import tables
from biomedica_assets.store.files import Files
from biomedica_assets.store.tables import TableWriter, commit_table, iter_rows, read_table, table_of, table_path

CHUNK = "2026-11-20-00042"


def mention(n: int) -> schemas.Row:
    return {
        "chunk": CHUNK,
        "article_id": f"PMC{n // 10}.1",
        "figure_id": f"PMC{n // 10}.1/f{n % 10}",
        "paragraph_id": f"PMC{n // 10}.1/p0",
        "ordinal": n % 10,
        "start": 5,
        "end": 14,
        "text": "Figure 2B",
        "panels": ["B"],
        "expanded": False,
        "kind": "xref",
    }


def source(n: int, data: bytes) -> schemas.Row:
    key = {"chunk": CHUNK, "listed_id": f"PMC{n}.1", "pmcid": n, "version": 1}
    return {**key, "name": "xml", "key": f"PMC{n}.1/PMC{n}.1.xml", "data": data}


def write(path: Path, table: schemas.Table, rows: list[schemas.Row]) -> tables.WrittenTable:
    writer = TableWriter(table, path)
    for row in rows:
        writer.add([row])
    return writer.close()


def test_rows_come_back(tmp_path: Path) -> None:
    files = Files(tmp_path / "store")
    rows = [mention(n) for n in range(2500)]
    stored = commit_table(files, "mentions", CHUNK, write(tmp_path / "x", schemas.MENTIONS, rows))
    assert stored.path == f"tables/mentions/{CHUNK}-{stored.sha256[:16]}.parquet"
    assert (stored.rows, stored.bytes) == (2500, len(files.read(stored.path)))
    assert stored.sha256 == hashlib.sha256(files.read(stored.path)).hexdigest()
    assert not (tmp_path / "x").exists()
    expected = [{**row, "rid": None} for row in rows]
    assert list(iter_rows(files, stored.path)) == expected
    assert list(iter_rows(files, stored.path, batch=7)) == expected
    read = read_table(files, stored.path)
    assert read.schema.equals(schemas.MENTIONS.arrow)
    assert read.to_pylist() == expected
    chosen = read_table(files, stored.path, columns=["figure_id", "start"], filters=[("ordinal", "=", 3)])
    assert chosen.to_pylist() == [{"figure_id": r["figure_id"], "start": 5} for r in rows if r["ordinal"] == 3]


@pytest.mark.parametrize("table", schemas.CHUNK_TABLES.values(), ids=schemas.CHUNK_TABLES)
def test_an_empty_table_is_a_valid_file(tmp_path: Path, table: schemas.Table) -> None:
    files = Files(tmp_path / "store")
    stored = commit_table(files, table.name, CHUNK, write(tmp_path / "x", table, []))
    assert stored.rows == 0
    read = read_table(files, stored.path)
    assert len(read) == 0
    assert read.schema.equals(table.arrow)
    assert list(iter_rows(files, stored.path)) == []
    assert table_of(stored.path) is table


def test_sources_have_a_folder_of_their_own() -> None:
    assert table_path("sources", CHUNK, "ab" * 32) == f"sources/{CHUNK}-abababababababab.parquet"
    with pytest.raises(KeyError):
        table_of("tables/nothing/x.parquet")


def test_the_same_rows_give_the_same_bytes_however_they_are_handed_over(tmp_path: Path) -> None:
    rows = [mention(n) for n in range(3000)]
    one = write(tmp_path / "a", schemas.MENTIONS, rows)
    writer = TableWriter(schemas.MENTIONS, tmp_path / "b")
    writer.add(rows[:1])
    writer.add(rows[1:1999])
    writer.add([])
    writer.add(iter(rows[1999:]))
    assert (tmp_path / "a").read_bytes() == (writer.close().path).read_bytes()
    assert one.sha256 == hashlib.sha256((tmp_path / "b").read_bytes()).hexdigest()


def test_unknown_keys_are_an_error(tmp_path: Path) -> None:
    writer = TableWriter(schemas.MENTIONS, tmp_path / "x")
    writer.add([{**mention(1), "figur_id": "x"}])
    with pytest.raises(KeyError, match="figur_id"):
        writer.close()


@pytest.mark.parametrize("change", [{"text": None}, {"start": "five"}, {"panels": [1]}])
def test_values_that_do_not_fit_are_an_error(tmp_path: Path, change: dict[str, Any]) -> None:
    writer = TableWriter(schemas.MENTIONS, tmp_path / "x")
    writer.add([{**mention(1), **change}])
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        writer.close()


def test_big_tables_are_cut_into_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "GROUP_BYTES", 100_000)
    monkeypatch.setattr(tables, "BATCH_ROWS", 100)
    written = write(tmp_path / "x", schemas.MENTIONS, [mention(n) for n in range(5000)])
    file = pq.ParquetFile(written.path)
    assert file.metadata.num_rows == 5000
    sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert len(sizes) > 3
    assert len(set(sizes[:-1])) == 1
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_one_article_is_read_back_without_the_whole_file(tmp_path: Path) -> None:
    files = Files(tmp_path / "store")
    # Bytes that do not compress: 40 articles of 1 MB are 5 groups of 8 MB.
    blobs = [hashlib.shake_128(bytes([n])).digest(1_000_000) for n in range(40)]
    written = write(tmp_path / "x", schemas.SOURCES, [source(n, blob) for n, blob in enumerate(blobs)])
    assert pq.ParquetFile(written.path).num_row_groups == 5
    stored = commit_table(files, "sources", CHUNK, written)
    wanted = [("pmcid", "=", 17), ("version", "=", 1)]
    assert read_table(files, stored.path, ["data"], wanted)["data"].to_pylist() == [blobs[17]]
    assert [row["data"] for row in iter_rows(files, stored.path, ["data"], filters=wanted)] == [blobs[17]]
    remote = Files("memory://sources-test")
    remote.write(stored.path, files.read(stored.path))
    remote.traffic.bytes = 0
    assert read_table(remote, stored.path, ["data"], wanted)["data"].to_pylist() == [blobs[17]]
    assert remote.traffic.bytes < 10_000_000


def test_columns_that_an_old_file_lacks_are_null(tmp_path: Path) -> None:
    files = Files(tmp_path)
    path = table_path("mentions", CHUNK, "0" * 64)
    old = schemas.rows_to_table(schemas.MENTIONS, [mention(n) for n in range(3)]).drop_columns(["rid", "panels"])
    (tmp_path / "tables/mentions").mkdir(parents=True)
    pq.write_table(old, tmp_path / path)
    expected = [{**mention(n), "rid": None, "panels": None} for n in range(3)]
    assert read_table(files, path).to_pylist() == expected
    assert list(iter_rows(files, path)) == expected
    assert read_table(files, path, columns=["rid", "text"]).to_pylist() == [{"rid": None, "text": "Figure 2B"}] * 3
    assert len(read_table(files, path, filters=[("rid", "=", "f1")])) == 0


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_table(Files(tmp_path), table_path("mentions", CHUNK, "0" * 64))


def test_committing_twice_writes_once(tmp_path: Path) -> None:
    files = Files(tmp_path / "store")
    stored = commit_table(files, "mentions", CHUNK, write(tmp_path / "a", schemas.MENTIONS, [mention(1)]))
    before = files.local_path(stored.path).stat().st_ino  # type: ignore[union-attr]
    again = commit_table(files, "mentions", CHUNK, write(tmp_path / "b", schemas.MENTIONS, [mention(1)]))
    assert again == stored
    assert files.local_path(stored.path).stat().st_ino == before  # type: ignore[union-attr]


_TEXT = st.none() | st.text()
_CAPTION = st.fixed_dictionaries(
    {"chunk": st.just(CHUNK), "article_id": st.text(), "figure_id": st.text()},
    optional={
        "title": _TEXT,
        "paragraphs": st.none() | st.lists(_TEXT, max_size=3),
        "text": _TEXT,
        "math": st.none() | st.lists(st.fixed_dictionaries({"start": st.integers(0, 9), "tex": _TEXT}), max_size=3),
    },
)


@given(st.lists(_CAPTION, max_size=5))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[schemas.Row]) -> None:
    folder = tmp_path_factory.mktemp("table")
    files = Files(folder / "store")
    stored = commit_table(files, "captions", CHUNK, write(folder / "x", schemas.CAPTIONS, rows))
    read = list(iter_rows(files, stored.path))
    for row in rows:
        row["math"] = row.get("math") and [{"start": m["start"], "end": None, "tex": m["tex"]} for m in row["math"]]
    assert read == [{name: row.get(name) for name in schemas.CAPTIONS.names} for row in rows]
