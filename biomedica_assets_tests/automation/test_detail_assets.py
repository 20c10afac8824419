"""The assets of panels, entities and paragraph quality: what they commit and show, what schedules launch, checks."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from unittest.mock import patch

import dagster as dg
import pytest

from biomedica_assets import schemas
from biomedica_assets.assets import details
from biomedica_assets.assets.details import DETAIL_ASSETS, DETAILS
from biomedica_assets.assets.previews import PREVIEW_BYTES
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation import schedules
from biomedica_assets.automation.reconcile import reconcile_instance
from biomedica_assets.automation.schedules import RANGE_START
from biomedica_assets.dataset.misfits import find_misfits
from biomedica_assets.definitions import build_definitions
from biomedica_assets.store.derived import commit_derived, read_derived
from biomedica_assets.store.tables import iter_rows
from biomedica_assets_tests.ingest.releases import DAYS, World, art

CHUNK, NEXT = f"{DAYS[0]}-00000", f"{DAYS[1]}-00000"
TICK = datetime(2026, 11, 28, 10, tzinfo=UTC)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
CAPTION = "Patients with breast cancer were given aspirin. (A) Liver of a mouse. (B) Kidney"
pytestmark = pytest.mark.usefixtures("no_local_database")


class Graph:
    """A world of one committed chunk, and the graph over it on an ephemeral instance."""

    def __init__(self, world: World, instance: dg.DagsterInstance) -> None:
        self.world, self.instance, self.files = world, instance, world.files
        self.resource = BiomedicaResource(source=world.given["source"], store=world.given["store"])
        self.definitions = build_definitions(self.resource)

    def run(self, *assets: str, partition: str | None = CHUNK) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset) for asset in assets],
            partition_key=partition,
            run_config=QUIET,
            raise_on_error=False,
        )

    def tick(self, table: str) -> dg.SensorResult:
        schedule = self.definitions.resolve_schedule_def(f"{table}_backfill")
        with (
            dg.build_schedule_context(resources={"biomedica": self.resource}, scheduled_execution_time=TICK) as context,
            patch.object(dg.ScheduleEvaluationContext, "instance", self.instance),  # an ephemeral one has no reference
        ):
            return schedule.evaluate_tick(context)


@pytest.fixture
def graph(tmp_path):
    world = World(tmp_path)
    world.build(DAYS[0], art(1, caption=CAPTION), art(2))
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("pmc_chunk", [CHUNK, NEXT])
        yield Graph(world, instance)


def shown(result, asset):
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key.to_user_string() == asset]
    metadata = event.step_materialization_data.materialization.metadata
    return {name: value.value for name, value in metadata.items()}


@pytest.mark.parametrize("table", DETAIL_ASSETS)
def test_a_chunk_is_made_shown_and_left_when_it_is_valid(graph, table):
    metadata = shown(graph.run(table), table)
    derived = read_derived(graph.files, table)[CHUNK]
    assert metadata["dagster/row_count"] == derived.file.rows
    assert derived.file.rows > 0 or table == "entities"
    assert sum(len(json.dumps(str(value))) for value in metadata.values()) < 2 * PREVIEW_BYTES
    assert graph.run(table).success
    assert read_derived(graph.files, table)[CHUNK] == derived


def test_previews_show_pictures_marks_and_tables(graph):
    assert "data:image/png;base64," in shown(graph.run("panels"), "panels")["panels_per_image"]
    quality = shown(graph.run("paragraph_quality"), "paragraph_quality")
    assert "See Figure 1." in quality["best_and_worst"]
    assert "data:image/png;base64," in quality["scores"]


@pytest.mark.parametrize("table", DETAIL_ASSETS)
def test_a_chunk_that_arrives_is_made_alone(graph, table):
    """Acceptance: adding a chunk annotates only that chunk."""
    assert [run.tags[RANGE_START] for run in graph.tick(table).run_requests] == [CHUNK]
    assert graph.run(table).success
    assert graph.tick(table).skip_message == "every chunk has a valid manifest"
    before = read_derived(graph.files, table)
    graph.world.build(DAYS[1], art(1, caption=CAPTION), art(2), art(3))
    assert [run.tags[RANGE_START] for run in graph.tick(table).run_requests] == [NEXT]
    assert graph.run(table, partition=NEXT).success
    after = read_derived(graph.files, table)
    assert set(after) == {CHUNK, NEXT}
    assert after[CHUNK] == before[CHUNK]


@pytest.mark.parametrize("detail", DETAILS, ids=lambda detail: detail.name)
def test_what_cannot_be_had_fails_with_the_reason_and_the_schedule_says_it(graph, detail, monkeypatch):
    def nothing(*_: object, **__: object) -> None:
        raise ValueError("the weights are missing: set BIOMEDICA_WEIGHTS")

    broken = tuple(replace(each, build=nothing, unfinished=nothing) for each in DETAILS)
    for module in (details, schedules):
        monkeypatch.setattr(module, "DETAILS", broken)
    graph.definitions = build_definitions(graph.resource)
    result = graph.run(detail.name)
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert failure.user_failure_data.description == "the weights are missing: set BIOMEDICA_WEIGHTS"
    assert graph.tick(detail.name).skip_message == "the weights are missing: set BIOMEDICA_WEIGHTS"


def test_a_lost_instance_learns_of_them_from_the_store(graph):
    for table in DETAIL_ASSETS:
        assert graph.run(table).success
    with dg.DagsterInstance.ephemeral() as fresh:
        reconcile_instance(fresh, graph.world.workspace(), log=lambda _: None)
        for table in DETAIL_ASSETS:
            assert fresh.get_materialized_partitions(dg.AssetKey(table)) == {CHUNK}


def test_rows_that_do_not_fit_are_found(graph):
    for table in DETAIL_ASSETS:
        assert graph.run(table).success
        found = find_misfits(graph.files, table)
        assert (found.chunks, found.wrong, found.examples) == ((CHUNK,), 0, [])
    made = read_derived(graph.files, "panels")[CHUNK]
    first, *others = iter_rows(graph.files, made.file.path)
    commit_derived(graph.files, schemas.PANELS, CHUNK, [{**first, "x": 20}, *others], inputs=made.inputs)
    found = find_misfits(graph.files, "panels")
    assert found.examples == [(first["panel_id"], "a box that leaves the image")]
    made = read_derived(graph.files, "paragraph_quality")[CHUNK]
    first, *others = iter_rows(graph.files, made.file.path)
    rows = [{**first, "score": 5.5}, *others]
    commit_derived(graph.files, schemas.PARAGRAPH_QUALITY, CHUNK, rows, inputs=made.inputs)
    assert find_misfits(graph.files, "paragraph_quality").wrong == 1
    ids = {"chunk": CHUNK, "article_id": "PMC1.1", "text_id": "PMC1.1/f1", "field": "caption", "ids": []}
    entity = {**ids, "start": 14, "end": 27, "text": "breast cancer", "type": "disease", "source": "dictionary"}
    rows = [entity | {"probability": 1.0, "annotator": "x"}]
    commit_derived(graph.files, schemas.ENTITIES, CHUNK, rows, inputs={"schema": schemas.SCHEMA_VERSION})
    assert find_misfits(graph.files, "entities").wrong == 0
    rows = [row | {"start": 15} for row in rows]
    commit_derived(graph.files, schemas.ENTITIES, CHUNK, rows, inputs={"schema": schemas.SCHEMA_VERSION})
    assert find_misfits(graph.files, "entities").examples == [("PMC1.1/f1 15", "not the text at its place")]


def test_the_check_warns(graph):
    [evaluation] = graph.run("panels").get_asset_check_evaluations()
    assert evaluation.passed
    made = read_derived(graph.files, "panels")[CHUNK]
    broken = [{**row, "width": 1000} for row in iter_rows(graph.files, made.file.path)]
    commit_derived(graph.files, schemas.PANELS, CHUNK, broken, inputs=made.inputs, run=made.run)
    [evaluation] = graph.run("panels").get_asset_check_evaluations()  # the manifest still says that it is valid
    assert not evaluation.passed
    assert "a box that leaves the image" in evaluation.metadata["examples"].value
