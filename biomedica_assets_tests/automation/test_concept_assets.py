"""The assets of concepts on an ephemeral instance: order, what the UI shows, refit, drift, schedule, reconcile."""

from __future__ import annotations

import base64
import io
import re
from datetime import UTC, datetime
from unittest.mock import patch

import dagster as dg
import pytest
from PIL import Image

from biomedica_assets import schemas
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import PMC_CHUNK
from biomedica_assets.automation.reconcile import reconcile_instance
from biomedica_assets.automation.schedules import RANGE_END, RANGE_START
from biomedica_assets.definitions import build_definitions
from biomedica_assets.labels.space import read_space_record
from biomedica_assets.models.features import build_image_features
from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import read_chunk_manifests
from biomedica_assets_tests.ingest.releases import DAYS, art, write_release
from biomedica_assets_tests.labels.test_concepts import Corners

CHUNKS = [f"{DAYS[0]}-{n:05d}" for n in range(2)]
RANGE = {RANGE_START: CHUNKS[0], RANGE_END: CHUNKS[1]}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
TICK = datetime(2026, 11, 28, 10, tzinfo=UTC)


class World:
    def __init__(self, tmp_path, instance):
        self.folder = tmp_path / "release"
        self.resource = BiomedicaResource(source=str(self.folder), store=str(tmp_path / "store"), chunk_size=4)
        self.instance, self.files = instance, Files(tmp_path / "store")
        self.definitions = build_definitions(self.resource)

    def run(self, *assets, tags=None, config=None, job=None):
        definition = self.definitions.resolve_implicit_global_asset_job_def()
        if job:
            definition = self.definitions.resolve_job_def(job)
        return definition.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets] or None,
            tags=tags,
            run_config=None if job else {**QUIET, **(config or {})},
            raise_on_error=False,
        )

    def tick(self):
        schedule = self.definitions.resolve_schedule_def("concepts_backfill")
        with (
            dg.build_schedule_context(resources={"biomedica": self.resource}, scheduled_execution_time=TICK) as context,
            # An ephemeral instance has no reference to open it by.
            patch.object(dg.ScheduleEvaluationContext, "instance", self.instance),
        ):
            return schedule.evaluate_tick(context)

    def encode(self):
        for chunk in read_chunk_manifests(self.files):
            build_image_features(self.files, chunk, Corners())

    def metadata(self, asset):
        return self.instance.get_latest_materialization_event(dg.AssetKey(asset)).asset_materialization.metadata


@pytest.fixture
def world(tmp_path):
    write_release(tmp_path / "release", DAYS[0], [art(n, pictures=3) for n in range(1, 9)])
    with dg.DagsterInstance.ephemeral() as instance:
        world = World(tmp_path, instance)
        assert world.run("file_list").success
        assert instance.get_dynamic_partitions(PMC_CHUNK) == CHUNKS
        assert world.run(*schemas.CHUNK_TABLES, tags=RANGE).success
        world.encode()
        yield world


def test_space_concepts_sheets(world):
    assert world.run("concept_space").success
    shown = world.metadata("concept_space")
    record = read_space_record(world.files)
    assert shown["space"].value == record.id
    assert shown["fitted_now"].value is True
    assert (shown["pictures"].value, shown["sampled"].value, shown["concepts"].value) == (24, 24, 12)
    assert f"| 0 | {record.sizes[0]} |" in shown["largest"].value

    result = world.run("concepts", tags=RANGE)
    assert result.success
    events = {e.partition: e.metadata for e in result.asset_materializations_for_node("concepts")}
    assert set(events) == set(CHUNKS)
    assert events[CHUNKS[0]]["dagster/row_count"].value == 12
    assert events[CHUNKS[0]]["space"].value == record.id
    [check] = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("concept_space_suits", True)
    assert check.metadata["new_pictures"].value == 0

    assert world.run("contact_sheets").success
    shown = world.metadata("contact_sheets")
    assert (shown["pictures"].value, shown["images"].value, shown["empty_concepts"].value) == (24, 24, 0)
    pictures = re.findall(r"data:image/jpeg;base64,([^)]+)\)", shown["sheets"].value)
    assert len(pictures) == 5
    for picture in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(picture))).width >= 64
    assert sum(len(str(value.value)) for value in shown.values()) < 70_000

    assert world.run("catalogue").success
    with open_catalogue(world.files) as views:
        query = "SELECT count(*), count(DISTINCT space), typeof(any_value(distance)) FROM concepts"
        assert views.execute(query).fetchone() == (24, 1, "FLOAT")


def test_only_a_person_fits_it_anew(world):
    assert world.run("concept_space").success
    first = read_space_record(world.files)
    assert world.run("concept_space").success
    assert world.metadata("concept_space")["fitted_now"].value is False
    world.definitions = build_definitions(world.resource)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BIOMEDICA_CONCEPT_CLUSTERS", "3")
        assert world.run("concept_space").success
        assert read_space_record(world.files) == first
        result = world.run("concepts", tags=RANGE)
        [check] = result.get_asset_check_evaluations()
        assert not check.passed
        assert "the settings ask for" in check.description
        assert world.run(job="refit_concept_space").success
    anew = read_space_record(world.files)
    assert (anew.concepts, world.metadata("concept_space")["fitted_now"].value) == (3, True)
    assert anew.id != first.id


def test_what_is_missing_is_said_with_what_to_do(world):
    for asset, tags, reason in (
        ("concepts", RANGE, "no concept space yet: materialize `concept_space`"),
        ("contact_sheets", None, "no concept space yet: materialize `concept_space`"),
    ):
        result = world.run(asset, tags=tags)
        assert not result.success
        [failure] = [event for event in result.all_events if event.is_step_failure]
        assert reason in failure.step_failure_data.user_failure_data.description


def test_the_schedule_fills_what_has_no_concept(world):
    assert "there is no concept space yet" in world.tick().skip_message
    assert world.run("concept_space").success
    [request] = world.tick().run_requests
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == tuple(CHUNKS)
    assert world.run("concepts", tags=RANGE).success
    assert "every chunk" in world.tick().skip_message

    write_release(world.folder, DAYS[1], [art(n, pictures=3) for n in range(1, 10)])
    assert world.run("file_list").success
    new = f"{DAYS[1]}-00000"
    assert world.run(*schemas.CHUNK_TABLES, tags={"dagster/partition": new}).success
    assert world.tick().skip_message, "nothing to do before it is encoded"
    world.encode()
    [request] = world.tick().run_requests
    assert request.tags[RANGE_START] == request.tags[RANGE_END] == new


def test_an_instance_that_was_lost_shows_concepts_again(world):
    assert world.run("concept_space").success
    assert world.run("concepts", tags=RANGE).success
    with dg.DagsterInstance.ephemeral() as instance:
        reconcile_instance(instance, world.resource.open(), log=lambda _: None)
        assert instance.get_materialized_partitions(dg.AssetKey("concepts")) == set(CHUNKS)
        event = instance.get_latest_materialization_event(dg.AssetKey("concepts")).asset_materialization
        assert event.metadata["space"].value == read_space_record(world.files).id
