"""The whole automation with the real daemon: release -> sensor -> file list -> scheduled backfill -> catalogue."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from biomedica_assets import sample
from biomedica_assets.pmc.file_list import list_chunks
from biomedica_assets.store.catalogue import read_generation
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import list_releases, read_chunk_manifests
from biomedica_assets_tests.live.dagster_dev import DagsterDev

RANGE = "dagster/asset_partition_range_start"
RELEASES = [str(day) for _, day in sorted(sample.RELEASES.items())]


@pytest.mark.timeout(1500)
def test_releases_flow_through_and_a_lost_instance_is_reconciled(tmp_path: Path) -> None:
    source, store = tmp_path / "source", Files(tmp_path / "store")
    sample.write_release(str(source), 1)
    environment = {
        "BIOMEDICA_SOURCE": str(source),
        "BIOMEDICA_STORE": str(tmp_path / "store"),
        "BIOMEDICA_CHUNK_SIZE": "2",
        "BIOMEDICA_CHUNKS_PER_RUN": "40",
        "BIOMEDICA_RELEASE_SENSOR_SECONDS": "5",
        "BIOMEDICA_BACKFILL_CRON": "* * * * *",
        "DAGSTER_EVENT_BATCH_SIZE": "1000",
    }

    def finished(release: str):
        """The catalogue's generation, once it holds every chunk of the release."""
        generation = read_generation(store)
        if generation is None or release not in generation.releases:
            return None
        return generation if {key for key, _ in list_chunks(store, release)} <= generation.chunks.keys() else None

    with DagsterDev(tmp_path / "home", environment) as dev:
        for sensor in ("pmc_release", "automation"):
            dev.start_sensor(sensor)
        dev.start_schedule("partition_backfill")
        first = dev.wait(lambda: finished(RELEASES[0]), 420, "the first release in the catalogue")
        assert first.counts["current"] > 50
        chunk_runs = [run for run in dev.runs() if run["jobName"] == "ingest_chunks"]
        assert len(chunk_runs) == 1, "thirty contiguous chunks of all tables are one fused run"
        assert RANGE in chunk_runs[0]["tags"]
        stats = dev.partition_stats("captions")
        assert stats["numMaterialized"] == stats["numPartitions"] == len(first.chunks) >= 30

        # A chunk whose manifest is gone, and another whose table was lost, are unfinished work like any other.
        victim = sorted(first.chunks)[3]
        store.remove(f"chunks/{victim}.json")
        sample.write_release(str(source), 2)
        second = dev.wait(lambda: finished(RELEASES[1]), 300, "the second release in the catalogue")
        dev.wait(lambda: victim in read_chunk_manifests(store), 120, "the lost chunk")
        assert list_releases(store) == RELEASES[:2]
        assert len(second.chunks) > len(first.chunks) - 1
        assert not [run for run in dev.runs() if run["status"] == "FAILURE"]

    manifests = read_chunk_manifests(store)
    shutil.rmtree(tmp_path / "home", ignore_errors=True)  # a run that outlives the daemon may still write there
    shutil.rmtree(source)  # whatever happens now, nothing can be fetched
    with DagsterDev(tmp_path / "another home", environment) as dev:
        assert dev.partition_stats("captions")["numPartitions"] == 0
        dev.launch_job("reconcile")
        dev.wait(lambda: dev.partition_stats("failures")["numMaterialized"] == len(manifests), 180, "reconciliation")
        for table in ("sources", "captions", "images"):
            stats = dev.partition_stats(table)
            assert stats["numMaterialized"] == stats["numPartitions"] == len(manifests)
    assert read_chunk_manifests(store) == manifests
