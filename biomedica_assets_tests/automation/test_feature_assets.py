"""The assets of features on an ephemeral instance: ranges, what the UI shows, missing encoders, reconcile, schedule."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest.mock import patch

import dagster as dg
import pytest

from biomedica_assets import schemas
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import PMC_CHUNK
from biomedica_assets.automation.reconcile import reconcile_instance
from biomedica_assets.automation.schedules import RANGE_END, RANGE_START, ranges_to_launch
from biomedica_assets.definitions import build_definitions
from biomedica_assets.models import encoders
from biomedica_assets.models.doctor import diagnose_encoders
from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.files import Files
from biomedica_assets_tests.ingest.releases import DAYS, art, picture, write_release

CHUNKS = [f"{DAYS[0]}-{n:05d}" for n in range(2)]
RANGE = {RANGE_START: CHUNKS[0], RANGE_END: CHUNKS[1]}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
TICK = datetime(2026, 11, 28, 10, tzinfo=UTC)
TABLES = ["caption_features", "image_features"]


class World:
    def __init__(self, tmp_path, instance):
        self.resource = BiomedicaResource(source=str(tmp_path / "release"), store=str(tmp_path / "store"), chunk_size=2)
        self.instance, self.files = instance, Files(tmp_path / "store")
        self.definitions = build_definitions(self.resource)

    def run(self, *assets, tags=None):
        return self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            tags=tags,
            run_config=QUIET,
            raise_on_error=False,
        )

    def tick(self):
        schedule = self.definitions.resolve_schedule_def("features_backfill")
        with (
            dg.build_schedule_context(resources={"biomedica": self.resource}, scheduled_execution_time=TICK) as context,
            # An ephemeral instance has no reference to open it by.
            patch.object(dg.ScheduleEvaluationContext, "instance", self.instance),
        ):
            return schedule.evaluate_tick(context)

    def materialized(self, table):
        return self.instance.get_materialized_partitions(dg.AssetKey(table))


@pytest.fixture
def world(tmp_path):
    damaged = art(2).with_file("f1.png", picture(5)[:-30])
    write_release(tmp_path / "release", DAYS[0], [art(1), damaged, art(3)])
    with dg.DagsterInstance.ephemeral() as instance:
        world = World(tmp_path, instance)
        assert world.run("file_list").success
        assert instance.get_dynamic_partitions(PMC_CHUNK) == CHUNKS
        assert world.run(*schemas.CHUNK_TABLES, tags=RANGE).success
        yield world


def test_a_range_of_chunks_and_what_the_ui_shows(world):
    result = world.run(*TABLES, tags=RANGE)
    assert result.success
    assert all(world.materialized(table) == set(CHUNKS) for table in TABLES)
    shown = {e.partition: e.metadata for e in result.asset_materializations_for_node("image_features")}[CHUNKS[0]]
    assert shown["dagster/row_count"].value == 3
    assert shown["failed"].value == 1
    assert "| PMC2.1/f1/1 | DamagedImage |" in shown["failures"].value
    assert shown["encoder"].value == "efficientnet-lite0-1280@579344248a93"
    assert shown["seconds"].value >= 0
    assert world.run("catalogue").success
    with open_catalogue(world.files) as catalogue:
        assert catalogue.execute("SELECT count(*) FROM caption_features").fetchone() == (6,)
        assert catalogue.execute("SELECT count(*) FROM image_features").fetchone() == (5,)


def test_without_the_packages_the_partitions_stay_missing_and_block_nothing(world, monkeypatch):
    monkeypatch.setattr(encoders, "find_spec", lambda name: None)
    result = world.run(*TABLES, tags=RANGE)
    assert not result.success
    reasons = [e.step_failure_data.user_failure_data.description for e in result.all_events if e.is_step_failure]
    assert len(reasons) == 2
    assert all("pip install 'biomedica_assets[encoders]'" in reason for reason in reasons)
    assert not any(world.materialized(table) for table in TABLES)
    assert "pip install 'biomedica_assets[encoders]'" in world.tick().skip_message
    assert world.run("catalogue").success


def test_the_schedule_fills_what_is_missing_and_nothing_else(world):
    (request,) = world.tick().run_requests
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (CHUNKS[0], CHUNKS[1])
    assert world.run(*TABLES, tags=RANGE).success
    assert world.tick().skip_message == "every chunk has a valid manifest"


def test_failures_of_features_do_not_keep_chunks_from_being_ingested(world):
    for _ in range(3):
        world.instance.create_run_for_job(
            world.definitions.resolve_job_def("encode_chunks"), tags=RANGE, status=dg.DagsterRunStatus.FAILURE
        )
    settings = world.resource.settings()
    left = []
    assert ranges_to_launch(world.instance, CHUNKS, settings, log=left.append, job="ingest_chunks") == [CHUNKS]
    assert isinstance(ranges_to_launch(world.instance, CHUNKS, settings, log=left.append, job="encode_chunks"), str)
    assert len(left) == 1


def test_a_lost_instance_learns_of_features_from_the_store(world):
    assert world.run(*TABLES, tags=RANGE).success
    with dg.DagsterInstance.ephemeral() as fresh:
        reconcile_instance(fresh, world.resource.open(), log=lambda _: None)
        for table in TABLES:
            assert fresh.get_materialized_partitions(dg.AssetKey(table)) == set(CHUNKS)
        event = fresh.get_latest_materialization_event(dg.AssetKey("image_features"))
        assert event.asset_materialization.metadata["encoder"].value == "efficientnet-lite0-1280@579344248a93"


def test_doctor_says_which_encoders_and_how_many_chunks(world, monkeypatch):
    monkeypatch.setenv("BIOMEDICA_STORE", world.resource.store)
    found = {finding.topic: finding for finding in diagnose_encoders()}
    assert all(finding.ok for finding in found.values())
    assert "wordllama" in found["texts"].message
    assert found["features"].message == "0 of 2 committed chunks have vectors"
    monkeypatch.setenv("BIOMEDICA_IMAGE_ENCODER", "open_clip:ViT-B-32")
    found = {finding.topic: finding for finding in diagnose_encoders()}
    assert not found["images"].ok
    assert "features" not in found
