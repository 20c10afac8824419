"""Assets of labels: what they commit and show; what the schedule launches; that a graph without votes goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from unittest.mock import patch

import dagster as dg
import pytest

from biomedica_assets.assets.previews import PREVIEW_BYTES
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.reconcile import reconcile_instance
from biomedica_assets.definitions import build_definitions
from biomedica_assets.labels.label_model import read_model_record
from biomedica_assets.store.derived import read_derived
from biomedica_assets_tests.ingest.releases import DAYS, World, art
from biomedica_assets_tests.labels.test_annotations import CHUNK, NEXT, voted, world  # noqa: F401 - fixtures

TICK = datetime(2026, 11, 28, 10, tzinfo=UTC)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("pmc_chunk", [CHUNK, NEXT])
        yield instance


def definitions(world: World) -> dg.Definitions:  # noqa: F811
    given = {"source": world.given["source"], "store": world.given["store"]}
    return build_definitions(BiomedicaResource(**given))


def run(world, instance, *assets, partition=None, config=None):  # noqa: F811
    return (
        definitions(world)
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(name) for name in assets],
            partition_key=partition,
            run_config=QUIET | (config or {}),
        )
    )


def shown(result, asset):
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key.to_user_string() == asset]
    metadata = event.step_materialization_data.materialization.metadata
    return {name: value.value for name, value in metadata.items()}


def test_a_model_with_its_scores_and_pictures(voted, instance):  # noqa: F811
    metadata = shown(run(voted, instance, "label_model"), "label_model")
    record = read_model_record(voted.files)
    assert record is not None
    assert (metadata["model"], metadata["fitted_now"], metadata["examples_members"]) == (record.id, True, 48)
    assert "| figure_kind | 2 | 48 | 24 | 1 " in metadata["scores"]
    assert "no examples" in metadata["axes_without_classifier"]
    for picture in ("calibration", "f1"):
        assert metadata[picture].startswith("![")
        assert "data:image/png;base64," in metadata[picture]
    assert sum(len(json.dumps(str(value))) for value in metadata.values()) < 2 * PREVIEW_BYTES
    again = shown(run(voted, instance, "label_model"), "label_model")
    assert (again["model"], again["fitted_now"]) == (record.id, False)
    config = {"ops": {"label_model": {"config": {"refit": True}}}}
    assert shown(run(voted, instance, "label_model", config=config), "label_model")["fitted_now"]


def test_chunks_are_labelled_and_what_is_labelled_is_left(voted, instance):  # noqa: F811
    run(voted, instance, "label_model")
    metadata = shown(run(voted, instance, "annotations", "image_labels", partition=CHUNK), "annotations")
    assert metadata["images"] == metadata["classified"] == 48
    assert metadata["dagster/row_count"] == read_derived(voted.files, "annotations")[CHUNK].file.rows
    before = read_derived(voted.files, "annotations")
    run(voted, instance, "annotations", "image_labels", partition=CHUNK)
    assert read_derived(voted.files, "annotations") == before


def test_without_votes_the_graph_goes_on_with_weak_labels(world, instance):  # noqa: F811
    world.build(DAYS[0], art(1, caption="Chest radiograph"))
    metadata = shown(run(world, instance, "label_model"), "label_model")
    assert metadata["model"] == "none yet"
    assert "labelling pages" in metadata["reason"]
    run(world, instance, "annotations", "image_labels", partition=CHUNK)
    assert set(read_derived(world.files, "annotations")[CHUNK].counts) == {"images", "chosen_caption_rule"}


def test_the_schedule_launches_what_has_no_labels(world: World, instance):  # noqa: F811
    world.build(DAYS[0], art(1))
    world.build(DAYS[1], art(1), art(2))
    made = definitions(world)
    run(world, instance, "annotations", "image_labels", partition=CHUNK)
    schedule = made.resolve_schedule_def("annotations_backfill")
    resource = BiomedicaResource(source=world.given["source"], store=world.given["store"])
    with (
        dg.build_schedule_context(resources={"biomedica": resource}, scheduled_execution_time=TICK) as context,
        patch.object(dg.ScheduleEvaluationContext, "instance", instance),  # an ephemeral one has no reference
    ):
        tick = schedule.evaluate_tick(context)
    assert [request.tags["dagster/asset_partition_range_start"] for request in tick.run_requests or []] == [NEXT]


def test_reconcile_reports_labels(voted, instance):  # noqa: F811
    run(voted, instance, "annotations", "image_labels", partition=CHUNK)
    with dg.DagsterInstance.ephemeral() as fresh:
        reconcile_instance(fresh, voted.workspace(), log=lambda _: None)
        for name in ("annotations", "image_labels"):
            assert fresh.get_materialized_partitions(dg.AssetKey(name)) == {CHUNK}
