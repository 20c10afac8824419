"""Catalogue generations: what is current, followed through commits, removals, retractions and re-appearances."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from biomedica_assets import schemas
from biomedica_assets.store.catalogue import build_generation, open_catalogue, read_generation
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest, file_list_path, write_chunk_manifest
from biomedica_assets.store.tables import TableWriter, commit_table


def version(pmcid, number, outcome, *, manuscript=False, etag="e"):
    return {
        "listed_id": f"PMC{pmcid}.{number}",
        "article_id": f"PMC{pmcid}.{number}",
        "pmcid": pmcid,
        "version": number,
        "action": "add",
        "outcome": outcome,
        "is_manuscript": manuscript,
        "licence_group": "commercial",
        "etag": etag,
    }


def commit(files: Files, tmp: Path, chunk: str, versions: list[dict], images: int = 1) -> None:
    """Commit a chunk whose collected versions have one figure with so many images each."""
    rows = {name: [] for name in schemas.CHUNK_TABLES}
    rows["versions"] = versions
    for v in versions:
        if v["outcome"] != "collected":
            continue
        article_id = v["article_id"]
        base = {"article_id": article_id}
        rows["articles"].append(
            {**base, "pmcid": v["pmcid"], "version": v["version"], "journal": "J", "publication_year": 2020}
        )
        figure = {**base, "figure_id": f"{article_id}/f1"}
        rows["figures"].append({**figure, "kind": "fig", "ordinal": 0, "place": "body", "n_graphics": images})
        rows["captions"].append({**figure, "text": f"caption in {chunk}"})
        for n in range(1, images + 1):
            rows["images"].append(
                {
                    **figure,
                    "image_id": f"{article_id}/f1/{n}",
                    "ordinal": n,
                    "href": f"{n}.jpg",
                    "shard": "s",
                    "offset": 0,
                }
            )
    tables = {}
    for name, table in schemas.CHUNK_TABLES.items():
        writer = TableWriter(table, tmp / f"{name}.parquet")
        writer.add({**row, "chunk": chunk} for row in rows[name])
        tables[name] = commit_table(files, name, chunk, writer.close())
    outcomes = {o: sum(v["outcome"] == o for v in versions) for o in {v["outcome"] for v in versions}}
    write_chunk_manifest(files, ChunkManifest(chunk, chunk[:10], "h", {}, tables, [], outcomes, []))


def write_list(files: Files, release: str, removed: list[str]) -> None:
    rows = [
        {
            "chunk": f"{release}-00000",
            "action": "remove",
            "listed_id": listed_id,
            "pmcid": int(listed_id[3:].split(".")[0]),
            "version": int(listed_id.split(".")[1]),
            "attempts": 0,
        }
        for listed_id in removed
    ]
    path = files.local_path(file_list_path(release))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(schemas.rows_to_table(schemas.FILE_LIST, rows), path)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path / "store")


def current(files):
    with open_catalogue(files) as c:
        return [row[0] for row in c.execute("SELECT article_id FROM current ORDER BY 1").fetchall()]


def test_published_beats_manuscript_and_then_the_higher_number(files, tmp_path):
    write_list(files, "2026-01-01", [])
    commit(
        files,
        tmp_path,
        "2026-01-01-00000",
        [
            version(1, 1, "collected"),
            version(1, 2, "collected", manuscript=True),
            version(2, 1, "collected"),
            version(2, 10, "collected"),
            version(2, 9, "collected"),
            version(3, 1, "gated:tdm", manuscript=True),
            version(4, 1, "failed"),
        ],
    )
    build_generation(files)
    assert current(files) == ["PMC1.1", "PMC2.10"]


def test_a_removal_counts_before_its_chunk_and_frees_the_older_version(files, tmp_path):
    write_list(files, "2026-01-01", [])
    commit(
        files, tmp_path, "2026-01-01-00000", [version(1, 1, "collected", manuscript=True), version(1, 2, "collected")]
    )
    build_generation(files)
    assert current(files) == ["PMC1.2"]
    write_list(files, "2026-01-02", ["PMC1.2"])
    assert current(files) == []  # masked at once; what stands in its place comes with the next generation
    build_generation(files)
    assert current(files) == ["PMC1.1"]
    with open_catalogue(files) as c:
        assert c.execute("SELECT image_id FROM sample_index").fetchall() == [("PMC1.1/f1/1",)]


def test_a_retracted_published_version_takes_the_whole_pmcid_out(files, tmp_path):
    write_list(files, "2026-01-01", [])
    commit(
        files, tmp_path, "2026-01-01-00000", [version(1, 1, "collected", manuscript=True), version(1, 2, "collected")]
    )
    build_generation(files)
    commit(files, tmp_path, "2026-01-02-00000", [version(1, 2, "retracted")])
    build_generation(files)
    assert current(files) == []


def test_failed_and_superseded_rows_leave_the_older_one_serving(files, tmp_path):
    write_list(files, "2026-01-01", [])
    commit(files, tmp_path, "2026-01-01-00000", [version(1, 1, "collected"), version(2, 1, "collected")])
    commit(files, tmp_path, "2026-01-02-00000", [version(1, 1, "failed"), version(2, 1, "superseded")])
    build_generation(files)
    with open_catalogue(files) as c:
        assert c.execute("SELECT DISTINCT chunk FROM captions").fetchall() == [("2026-01-01-00000",)]
        assert c.execute("SELECT count(*) FROM captions").fetchone() == (2,)
    commit(files, tmp_path, "2026-01-03-00000", [version(1, 1, "collected")])
    build_generation(files)
    with open_catalogue(files) as c:
        assert c.execute("SELECT chunk, article_id FROM captions ORDER BY 2").fetchall() == [
            ("2026-01-03-00000", "PMC1.1"),
            ("2026-01-01-00000", "PMC2.1"),
        ]


def test_generation_does_not_depend_on_how_it_was_reached(files, tmp_path):
    first = [version(n, 1, "collected") for n in range(1, 6)]
    second = [version(2, 1, "collected"), version(3, 1, "retracted"), version(9, 1, "collected")]
    write_list(files, "2026-01-01", [])
    write_list(files, "2026-01-02", ["PMC5.1"])
    commit(files, tmp_path, "2026-01-01-00000", first)
    build_generation(files)
    commit(files, tmp_path, "2026-01-02-00000", second)
    stepwise = build_generation(files)
    files.remove("catalogue/generation.json")
    at_once = build_generation(files)
    assert stepwise.files == at_once.files
    assert current(files) == ["PMC1.1", "PMC2.1", "PMC4.1", "PMC9.1"]


def test_a_recommitted_chunk_replaces_its_rows(files, tmp_path):
    write_list(files, "2026-01-01", [])
    commit(files, tmp_path, "2026-01-01-00000", [version(1, 1, "collected")], images=2)
    assert build_generation(files).counts["sample_index"] == 2
    commit(files, tmp_path, "2026-01-01-00000", [version(1, 1, "collected")], images=3)
    assert build_generation(files).counts["sample_index"] == 3
    assert build_generation(files) == read_generation(files)


def test_views_work_over_a_store_that_is_not_local(files, tmp_path):
    memory = Files("memory://catalogue-test")
    write_list(files, "2026-01-01", [])
    write_list(files, "2026-01-02", ["PMC7.1"])
    commit(files, tmp_path, "2026-01-01-00000", [version(1, 1, "collected"), version(7, 1, "collected")])
    for path, _ in files.list(""):
        memory.write(path, files.read(path))
    build_generation(memory)
    with open_catalogue(memory) as c:
        assert c.execute("SELECT caption, journal FROM samples").fetchall() == [("caption in 2026-01-01-00000", "J")]


def test_a_store_without_catalogue_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="materialize the asset `catalogue`"):
        open_catalogue(Files(tmp_path / "elsewhere"))
