"""Table `metadata` from stores and a local PubMed: what is asked for, committed, refreshed, and withdrawn by it."""

from __future__ import annotations

import pytest

from biomedica_assets import sample
from biomedica_assets.ingest.metadata import (
    EntrezNotConfiguredError,
    fetch_chunk_metadata,
    known_pmids,
    open_entrez,
    refresh_metadata,
    unfinished_metadata,
)
from biomedica_assets.pmc.entrez import EntrezClient, EntrezUnavailable, Patience
from biomedica_assets.sample.entrez import CHANGES, sample_client
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.derived import read_derived
from biomedica_assets.store.manifests import StoreError
from biomedica_assets.store.tables import iter_rows
from biomedica_assets_tests.entrez_server import EntrezServer, Fault, article
from biomedica_assets_tests.ingest.releases import DAYS, art

CHUNK = f"{DAYS[0]}-00000"
MESH = (
    '<MeshHeadingList><MeshHeading><DescriptorName UI="D008099" MajorTopicYN="Y">Liver</DescriptorName></MeshHeading>'
    "</MeshHeadingList>"
)
RETRACTION = (
    '<CommentsCorrectionsList><CommentsCorrections RefType="RetractionIn"><PMID>99</PMID></CommentsCorrections>'
    "</CommentsCorrectionsList>"
)
CONCERN = RETRACTION.replace("RetractionIn", "ExpressionOfConcernIn")


@pytest.fixture
def pubmed():
    with EntrezServer() as server:
        yield server


@pytest.fixture
def built(local, pubmed):
    """A store of articles with PMIDs 1 to 4, one of them in two versions, one article without."""
    world = local()
    articles = [art(1), art(2), art(2, version=2), art(3), art(4), art(5, fields={"pmid": None})]
    world.build(DAYS[0], *articles)
    pubmed.records = {pmid: article(pmid) for pmid in (1, 2, 3, 4)}
    return world


def client(pubmed):
    patience = Patience(tries=3, timeout=5, first_wait=0.01, longest_wait=0.02, between=0)
    return EntrezClient("a@example.org", url=pubmed.url, patience=patience)


def fetch(world, pubmed, chunk=CHUNK):
    return fetch_chunk_metadata(world.workspace(), chunk, client(pubmed))


def metadata_rows(world, partition):
    return list(iter_rows(world.files, read_derived(world.files, "metadata")[partition].file.path))


def seen(world, columns="article_id, title"):
    return world.sql(f"SELECT {columns} FROM metadata ORDER BY article_id")


def test_a_chunk_asks_for_each_pmid_of_its_articles_once(built, pubmed):
    manifest, skipped = fetch(built, pubmed)
    assert not skipped
    assert pubmed.fetched == [[1, 2, 3, 4]]  # no "None" for the article without PMID
    assert manifest.counts == {"found": 4}
    assert manifest.run["requests"] == 1
    rows = metadata_rows(built, CHUNK)
    assert [(row["partition"], row["pmid"], row["outcome"]) for row in rows] == [
        (CHUNK, n, "found") for n in (1, 2, 3, 4)
    ]
    build_generation(built.files)
    assert seen(built) == [
        ("PMC1.1", "Title of 1"),
        ("PMC2.2", "Title of 2"),
        ("PMC3.1", "Title of 3"),
        ("PMC4.1", "Title of 4"),
    ]


def test_a_valid_partition_is_not_asked_for_again(built, pubmed):
    assert unfinished_metadata(built.files) == [CHUNK]
    first, _ = fetch(built, pubmed)
    assert unfinished_metadata(built.files) == []
    again, skipped = fetch(built, pubmed)
    assert skipped
    assert again == first
    assert len(pubmed.fetched) == 1


def test_new_articles_in_a_chunk_make_it_stale(built, pubmed):
    fetch(built, pubmed)
    manifest = built.manifest(CHUNK)
    changed = manifest.tables | {"articles": manifest.tables["figures"]}
    built.files.write(f"chunks/{CHUNK}.json", type(manifest)(**{**vars(manifest), "tables": changed}).to_json())
    assert unfinished_metadata(built.files) == [CHUNK]


def test_the_same_records_give_the_same_file_in_whatever_order_they_come(built, pubmed):
    first, _ = fetch(built, pubmed)
    built.files.remove(f"derived/metadata/{CHUNK}.json")
    pubmed.order = sorted
    second, _ = fetch(built, pubmed)
    assert second.file == first.file


def test_failures_are_rows_and_a_damaged_record_is_asked_for_again_next_time(built, pubmed):
    del pubmed.records[2]
    pubmed.records[3] = "<PubmedArticle>"
    pubmed.deleted = {4}
    del pubmed.records[4]
    manifest, _ = fetch(built, pubmed)
    assert manifest.counts == {"found": 1, "missing": 1, "unreadable": 1, "deleted": 1}
    rows = {row["pmid"]: row for row in metadata_rows(built, CHUNK)}
    assert rows[2]["reason"] == "PubMed has no record, asked for twice"
    assert rows[2]["title"] is None
    build_generation(built.files)
    assert seen(built, "article_id, outcome")[2] == ("PMC3.1", "unreadable")
    assert unfinished_metadata(built.files) == [CHUNK]
    pubmed.records[3] = article(3)
    assert fetch(built, pubmed)[0].counts == {"found": 2, "missing": 1, "deleted": 1}


def test_an_outage_commits_nothing(built, pubmed):
    pubmed.faults = [Fault(503, 99)]
    with pytest.raises(EntrezUnavailable):
        fetch(built, pubmed)
    assert read_derived(built.files, "metadata") == {}
    build_generation(built.files)
    assert seen(built) == []
    assert len(built.sql("FROM current")) == 5


def test_a_chunk_that_is_not_committed(built, pubmed):
    with pytest.raises(StoreError, match="materialize `articles` first"):
        fetch(built, pubmed, f"{DAYS[0]}-00009")


def test_headings_that_come_weeks_later_reach_old_articles(built, pubmed):
    fetch(built, pubmed)
    build_generation(built.files)
    assert built.sql("SELECT pmid FROM metadata WHERE len(mesh) > 0") == []
    pubmed.records[3] = article(3, revised="2026-12-04", citation=MESH)
    pubmed.modified = {3: "2026-12-05", 777: "2026-12-05", 2: "2026-12-04"}
    pubmed.log.clear()
    manifest = refresh_metadata(built.workspace(), "2026-12-05", client(pubmed))
    assert pubmed.fetched == [[3]]
    assert manifest.counts == {"found": 1, "indexed": 1}
    build_generation(built.files)
    assert built.sql("SELECT article_id, partition, mesh[1].descriptor FROM metadata WHERE len(mesh) > 0") == [
        ("PMC3.1", "2026-12-05", "Liver")
    ]
    assert len(seen(built)) == 4


def test_a_day_without_changes_is_an_empty_partition(built, pubmed):
    fetch(built, pubmed)
    manifest = refresh_metadata(built.workspace(), "2026-12-05", client(pubmed))
    assert (manifest.file.rows, manifest.counts) == (0, {})


def test_a_refresh_knows_chunks_that_the_catalogue_does_not(built, pubmed):
    assert known_pmids(built.files).tolist() == []
    fetch(built, pubmed)
    assert known_pmids(built.files).tolist() == [1, 2, 3, 4]
    build_generation(built.files)
    assert known_pmids(built.files).tolist() == [1, 2, 3, 4]


def test_the_newest_revision_counts_and_a_lost_record_never_hides_one(built, pubmed):
    fetch(built, pubmed)
    pubmed.modified = {1: "2026-12-05", 2: "2026-12-05", 3: "2026-12-05"}
    pubmed.records[1] = article(1, "older revision", revised="2023-01-01")
    pubmed.records[2] = article(2, "same revision, later day")
    del pubmed.records[3]
    refresh_metadata(built.workspace(), "2026-12-05", client(pubmed))
    build_generation(built.files)
    assert seen(built) == [
        ("PMC1.1", "Title of 1"),
        ("PMC2.2", "same revision, later day"),
        ("PMC3.1", "Title of 3"),
        ("PMC4.1", "Title of 4"),
    ]


def refresh(world, pubmed, day, **citations):
    """PubMed revises these records on the day, and the store reads it."""
    for pmid, citation in citations.items():
        pubmed.records[int(pmid[1:])] = article(int(pmid[1:]), revised=day, citation=citation)
        pubmed.modified[int(pmid[1:])] = day
    refresh_metadata(world.workspace(), day, client(pubmed))


def test_a_retraction_by_pubmed_leaves_current_and_a_concern_shows(built, pubmed):
    fetch(built, pubmed)
    build_generation(built.files)
    assert built.sql("SELECT count(*) FROM current") == [(5,)]
    refresh(built, pubmed, "2026-12-05", p2=RETRACTION, p3=CONCERN)
    generation = build_generation(built.files)
    status = "SELECT article_id, pubmed_status FROM current ORDER BY pmcid"
    assert built.sql(status) == [("PMC1.1", None), ("PMC3.1", "concern"), ("PMC4.1", None), ("PMC5.1", None)]
    assert built.sql("SELECT count(*) FROM sample_index WHERE pmcid = 2") == [(0,)]
    assert built.sql("SELECT article_id, reason, since_chunk, since_release FROM withdrawals ORDER BY 1") == [
        ("PMC2.1", "pubmed_retracted", "2026-12-05", "2026-12-05"),
        ("PMC2.2", "pubmed_retracted", "2026-12-05", "2026-12-05"),
    ]
    built.files.remove("catalogue/generation.json")
    assert build_generation(built.files).files == generation.files  # at once, or step by step


def test_the_setting_keeps_retracted_articles_but_shows_them(built, pubmed):
    fetch(built, pubmed)
    refresh(built, pubmed, "2026-12-05", p2=RETRACTION)
    build_generation(built.files)
    kept = build_generation(built.files, honour_pubmed_retractions=False)
    assert built.sql("SELECT pubmed_status FROM current WHERE pmcid = 2") == [("retracted",)]
    assert built.sql("SELECT count(*) FROM sample_index WHERE pmcid = 2") == [(2,)]
    assert built.sql("FROM withdrawals") == []
    assert build_generation(built.files, honour_pubmed_retractions=False) == kept
    build_generation(built.files)
    assert built.sql("SELECT pubmed_status FROM current WHERE pmcid = 2") == []


def test_a_retraction_taken_back_and_an_incremental_build_of_it(built, pubmed):
    fetch(built, pubmed)
    refresh(built, pubmed, "2026-12-05", p2=RETRACTION)
    build_generation(built.files)
    refresh(built, pubmed, "2026-12-09", p2="")
    stepwise = build_generation(built.files)
    assert built.sql("SELECT article_id, pubmed_status FROM current WHERE pmcid = 2") == [("PMC2.2", None)]
    assert built.sql("FROM withdrawals") == []
    for path in ("catalogue/generation.json", "withdrawals.parquet"):
        built.files.remove(path)
    assert build_generation(built.files).files == stepwise.files


def test_a_withdrawal_stands_when_an_earlier_state_of_metadata_returns(built, pubmed):
    fetch(built, pubmed)
    refresh(built, pubmed, "2026-12-05", p2=RETRACTION)
    build_generation(built.files)
    built.files.remove("derived/metadata/2026-12-05.json")
    build_generation(built.files)
    assert built.sql("SELECT article_id FROM current WHERE pmcid = 2") == []
    assert len(built.sql("FROM withdrawals")) == 2


def test_a_partition_made_anew_replaces_its_rows(built, pubmed):
    fetch(built, pubmed)
    refresh(built, pubmed, "2026-12-05", p2=RETRACTION, p3=CONCERN)
    build_generation(built.files)
    refresh(built, pubmed, "2026-12-05", p2="", p3="")
    generation = build_generation(built.files)
    assert built.sql("SELECT partition, pmid, is_newest FROM pubmed_log WHERE pmid = 2 ORDER BY 1") == [
        (CHUNK, 2, False),
        ("2026-12-05", 2, True),
    ]
    assert built.sql("SELECT count(*) FROM current WHERE pubmed_status IS NOT NULL") == [(0,)]
    assert generation.counts["pubmed_log"] == 6


def settings(**given):
    return Settings(_env_file=None, **given)


def test_nobody_to_ask_for_is_said_before_anything_is_asked(monkeypatch):
    monkeypatch.delenv("NCBI_EMAIL", raising=False)
    with pytest.raises(EntrezNotConfiguredError, match="NCBI_EMAIL is not set"):
        open_entrez(settings(source="s3://somewhere"))
    assert open_entrez(settings(source="s3://somewhere", ncbi_email="a@example.org")).email == "a@example.org"
    own = open_entrez(settings(source="s3://somewhere", entrez_url="http://127.0.0.1:9/x"))
    assert own.url == "http://127.0.0.1:9/x/"
    assert own._between == 0.37
    assert open_entrez(settings(source="s3://somewhere", ncbi_email="a", ncbi_api_key="k"))._between == 0.11


def test_the_sample_asks_nobody(monkeypatch):
    monkeypatch.setattr("biomedica_assets.pmc.entrez._send_http", lambda *_: pytest.fail("a request left"))
    assert open_entrez(settings()).fetch([970000001]).records[0]["record_pmid"] == 970000001


def test_the_sample_s_pubmed(local, tmp_path):
    sample.ensure(str(tmp_path / "sample"))
    world = local("sample", source=str(tmp_path / "sample"), chunk_size=100)
    world.build()
    (chunk,) = unfinished_metadata(world.files)
    manifest, _ = fetch_chunk_metadata(world.workspace(), chunk, sample_client())
    # 56 articles are collected: two without PMID, two with the same; one PMID is missing, deleted, merged each.
    # Found but not indexed: a book and three records in process.
    assert manifest.counts == {"found": 50, "indexed": 47, "missing": 1, "deleted": 1, "merged": 1, "concern": 1}
    build_generation(world.files)
    before = world.sql("SELECT count(*) FROM current")[0][0]
    joined = (
        "SELECT count(*), count(*) FILTER (record_pmcid = c.pmcid) FROM metadata m JOIN current c USING (article_id)"
    )
    ((rows, right),) = world.sql(joined)
    assert (rows, right) == (53, 50)  # all but the missing, the deleted and the book
    (day,) = CHANGES
    assert refresh_metadata(world.workspace(), day, sample_client(day)).counts == {
        "found": 4,
        "indexed": 4,
        "retracted": 1,
    }
    build_generation(world.files)
    assert world.sql("SELECT count(*) FROM current") == [(before - 1,)]
    assert world.sql("SELECT indexing_status FROM metadata WHERE pmid = 970000057") == [("MEDLINE",)]
