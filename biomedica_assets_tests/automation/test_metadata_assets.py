"""The assets `metadata` and `metadata_refresh` on an ephemeral instance, against a local PubMed."""

from __future__ import annotations

import dagster as dg
import pytest

from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.checks import pmcids_agree
from biomedica_assets.automation.partitions import PMC_CHUNK
from biomedica_assets.definitions import build_definitions
from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.derived import read_derived
from biomedica_assets.store.files import Files
from biomedica_assets_tests.entrez_server import EntrezServer, Fault, article
from biomedica_assets_tests.ingest.releases import DAYS, art, write_release

CHUNKS = [f"{DAYS[0]}-{n:05d}" for n in range(2)]
RANGE = {"dagster/asset_partition_range_start": CHUNKS[0], "dagster/asset_partition_range_end": CHUNKS[1]}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def pubmed(monkeypatch):
    for name in ("NCBI_EMAIL", "NCBI_API_KEY", "BIOMEDICA_ENTREZ_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("biomedica_assets.pmc.entrez._SECONDS_BETWEEN", {False: 0, True: 0})
    with EntrezServer({pmid: article(pmid) for pmid in (1, 2, 3)}) as server:
        yield server


@pytest.fixture
def run(tmp_path, pubmed):
    """Materializes assets over a store of two chunks, whose metadata nobody has asked for yet."""
    write_release(tmp_path / "release", DAYS[0], [art(1), art(2), art(3)])
    resource = BiomedicaResource(source=str(tmp_path / "release"), store=str(tmp_path / "store"), chunk_size=2)
    job = build_definitions(resource).resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:

        def materialize(*assets, tags=None, partition=None):
            return job.execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(a) for a in assets],
                tags=tags,
                partition_key=partition,
                run_config=QUIET,
                raise_on_error=False,
            )

        assert materialize("file_list").success
        assert instance.get_dynamic_partitions(PMC_CHUNK) == CHUNKS
        chunk_pass = [a.key.path[-1] for a in job.asset_layer.asset_graph.asset_nodes if a.group_name == "articles"]
        assert materialize(*chunk_pass, tags=RANGE).success
        materialize.resource = resource
        materialize.instance, materialize.files = instance, Files(tmp_path / "store")
        yield materialize


def test_without_an_address_the_partitions_stay_missing_and_block_nothing(run):
    result = run("metadata", tags=RANGE)
    assert not result.success
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert "NCBI_EMAIL is not set" in failure.user_failure_data.description
    assert run.instance.get_materialized_partitions(dg.AssetKey("metadata")) == set()
    assert run("catalogue").success
    with open_catalogue(run.files) as catalogue:
        assert catalogue.execute("SELECT count(*) FROM current").fetchone() == (3,)
        assert catalogue.execute("SELECT count(*) FROM metadata").fetchone() == (0,)


def test_chunks_in_a_range_then_what_a_day_changed(run, pubmed, monkeypatch):
    monkeypatch.setenv("BIOMEDICA_ENTREZ_URL", pubmed.url)
    assert run("metadata", tags=RANGE).success
    assert pubmed.fetched == [[1, 2], [3]]
    assert run.instance.get_materialized_partitions(dg.AssetKey("metadata")) == set(CHUNKS)
    # Dagster reports the partitions of a range in no fixed order.
    records = run.instance.fetch_materializations(dg.AssetKey("metadata"), limit=9).records
    previews = {r.partition_key: r.asset_materialization.metadata["preview"].value for r in records}
    assert "| 2 | found | Title of 2 |" in previews[CHUNKS[0]]
    pubmed.records[3] = article(3, "Revised", revised="2026-11-20")
    pubmed.modified = {3: "2026-11-20"}
    assert run("metadata_refresh", partition="2026-11-20").success
    assert list(read_derived(run.files, "metadata")) == [*CHUNKS, "2026-11-20"]
    assert run("catalogue").success
    with open_catalogue(run.files) as catalogue:
        titles = catalogue.execute("SELECT title FROM metadata ORDER BY pmid").fetchall()
    assert titles == [("Title of 1",), ("Title of 2",), ("Revised",)]


def test_a_refusal_fails_with_ncbi_s_words(run, pubmed, monkeypatch):
    monkeypatch.setenv("BIOMEDICA_ENTREZ_URL", pubmed.url)
    pubmed.faults = [Fault(400, 9, b'{"error":"API key invalid"}')]
    result = run("metadata", partition=CHUNKS[0])
    (failure,) = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert "API key invalid" in failure.user_failure_data.description


def test_a_record_of_another_article_is_a_warning_on_the_catalogue(run, pubmed, monkeypatch):
    def of_pmcid(pmid, pmcid):
        given = f'<ArticleId IdType="pmc">PMC{pmcid}</ArticleId></ArticleIdList>'
        return article(pmid).replace("</ArticleIdList>", given)

    def check():
        assert run("catalogue").success
        return pmcids_agree.node_def.compute_fn.decorated_fn(run.resource)

    none = check()
    assert none.passed, "no metadata yet: nothing to compare"
    assert none.metadata["compared"].value == 0
    pubmed.records = {1: of_pmcid(1, 1), 2: of_pmcid(2, 9), 3: article(3)}
    monkeypatch.setenv("BIOMEDICA_ENTREZ_URL", pubmed.url)
    assert run("metadata", tags=RANGE).success
    found = check()
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert found.description == "1 of 2 articles have another PMCID in PubMed's record"
    assert "| PMC2.1 | 2 | PMC9 |" in found.metadata["examples"].value
