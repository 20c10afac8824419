"""The graph on an ephemeral instance: what is defined, and what assets, sensor, schedule and upkeep do."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest

from biomedica_assets import sample, schemas
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import PMC_CHUNK, contiguous_ranges, pmc_chunks
from biomedica_assets.automation.reconcile import reconcile_instance
from biomedica_assets.automation.schedules import ranges_to_launch
from biomedica_assets.definitions import build_definitions
from biomedica_assets.ingest.status import store_status
from biomedica_assets.store.catalogue import open_catalogue
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import list_releases, read_chunk_manifest, read_chunk_manifests

ROOT = Path(__file__).resolve().parents[2]
RELEASES = [str(day) for _, day in sorted(sample.RELEASES.items())]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="module")
def first_release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    sample.write_release(str(folder), 1)
    return folder


@pytest.fixture
def world(tmp_path, first_release):
    """Definitions over a store of the test's own, with an instance and a function that materializes."""
    resource = BiomedicaResource(source=str(first_release), store=str(tmp_path / "store"), chunk_size=25)
    definitions = build_definitions(resource)
    with dg.DagsterInstance.ephemeral() as instance:
        yield World(definitions, instance, resource, Files(tmp_path / "store"))


class World:
    def __init__(self, definitions, instance, resource, files):
        self.definitions, self.instance, self.resource, self.files = definitions, instance, resource, files

    def run(self, *assets, partition=None, tags=None, config=None, raise_on_error=True):
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(a) for a in assets],
            partition_key=partition,
            tags=tags,
            run_config={**QUIET, **(config or {})},
            raise_on_error=raise_on_error,
        )

    def ingest(self, first, last):
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        return self.run(*schemas.CHUNK_TABLES, tags=tags)


def test_definitions_are_loadable_and_everything_ships_stopped():
    definitions = build_definitions()
    dg.Definitions.validate_loadable(definitions)
    assert all(s.default_status == dg.DefaultSensorStatus.STOPPED for s in definitions.sensors)
    assert all(s.default_status == dg.DefaultScheduleStatus.STOPPED for s in definitions.schedules)


def test_the_graph_is_what_the_design_says():
    """A snapshot: change it on purpose, with the lineage page in mind."""
    graph = build_definitions().resolve_asset_graph()
    nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
    assert {name: sorted(k.to_user_string() for k in node.parent_keys) for name, node in nodes.items()} == {
        "file_list": [],
        "sources": ["file_list"],
        "versions": ["sources"],
        "articles": ["sources", "versions"],
        "paragraphs": ["articles"],
        "figures": ["articles"],
        "captions": ["figures"],
        "mentions": ["figures", "paragraphs"],
        "objects": ["figures"],
        "images": ["figures", "objects"],
        "failures": ["versions"],
        "metadata": ["articles"],
        "metadata_refresh": ["metadata"],
        "caption_features": ["captions"],
        "image_features": ["images"],
        "teacher_labels": ["metadata", "paragraphs"],
        "quality_model": ["teacher_labels"],
        "panels": ["captions", "images", "mentions"],
        "entities": ["captions", "mentions", "paragraphs"],
        "paragraph_quality": ["articles", "metadata", "paragraphs", "quality_model"],
        "concept_space": ["image_features"],
        "concepts": ["concept_space", "image_features"],
        "contact_sheets": ["concepts"],
        "votes": [],
        "concept_labels": ["contact_sheets", "votes"],
        "agreement": ["concept_labels"],
        "label_model": ["caption_features", "concept_labels", "concepts", "image_features"],
        "annotations": ["captions", "concepts", "images", "label_model", "metadata"],
        "image_labels": ["annotations"],
        "catalogue": sorted(["file_list", *schemas.CHUNK_TABLES, *schemas.DERIVED_TABLES, "metadata_refresh"]),
        "search_index": ["caption_features", "catalogue", "image_features"],
        "duplicates": ["catalogue"],
        "subsets": ["catalogue", "duplicates"],
        "exports": ["subsets"],
        "licence_audit": ["catalogue"],
        "statistics": ["catalogue"],
        "card": ["licence_audit", "statistics"],
        "snapshot": ["catalogue"],
    }
    by_chunk = {name for name, node in nodes.items() if node.partitions_def == pmc_chunks}
    assert by_chunk == {*schemas.CHUNK_TABLES, *schemas.DERIVED_TABLES}
    assert {name: node.group_name for name, node in nodes.items() if not node.is_partitioned} == {
        "file_list": "release",
        "search_index": "search",
        "teacher_labels": "annotations",
        "quality_model": "annotations",
        "concept_space": "annotations",
        "contact_sheets": "annotations",
        "votes": "annotations",
        "concept_labels": "annotations",
        "agreement": "annotations",
        "label_model": "annotations",
        **dict.fromkeys(["catalogue", "duplicates", "licence_audit", "statistics", "card", "snapshot"], "dataset"),
    }
    for name, node in nodes.items():
        assert node.description, name
        assert node.owners, name
        assert node.kinds, name
        if name in schemas.CHUNK_TABLES:
            assert node.metadata["dagster/column_schema"].columns, name


def test_file_list_registers_chunks_and_a_range_run_fills_them(world):
    world.run("file_list")
    keys = world.instance.get_dynamic_partitions(PMC_CHUNK)
    assert keys == [f"{RELEASES[0]}-{n:05}" for n in range(3)]  # 60 listed versions, 25 per chunk
    result = world.ingest(keys[0], keys[-1])
    events = result.asset_materializations_for_node("chunk_pass")
    assert {(e.asset_key.to_user_string(), e.partition) for e in events} == {
        (table, key) for table in schemas.CHUNK_TABLES for key in keys
    }
    captions = {e.partition: e for e in events if e.asset_key == dg.AssetKey("captions")}
    manifest = read_chunk_manifest(world.files, keys[0])
    assert captions[keys[0]].metadata["dagster/row_count"].value == manifest.tables["captions"].rows
    assert "caption" in captions[keys[0]].metadata["preview"].value
    for event in events:
        size = sum(len(str(value.value)) for value in event.metadata.values())
        assert size < 40_000, "events are stored for every partition: keep them small"
    evaluations = result.get_asset_check_evaluations()
    assert {e.partition for e in evaluations} == set(keys)
    assert all(e.passed for e in evaluations)


def test_running_the_same_again_changes_nothing(world):
    world.run("file_list")
    world.run("file_list")
    keys = world.instance.get_dynamic_partitions(PMC_CHUNK)
    assert list_releases(world.files) == RELEASES[:1]
    world.ingest(keys[0], keys[-1])
    before = read_chunk_manifests(world.files)
    world.ingest(keys[0], keys[-1])
    assert read_chunk_manifests(world.files) == before


def test_catalogue_opens_as_views(world):
    world.run("file_list")
    world.ingest(*[f"{RELEASES[0]}-{n:05}" for n in (0, 2)])
    result = world.run("catalogue")
    (event,) = result.asset_materializations_for_node("catalogue")
    with open_catalogue(world.files) as catalogue:
        images = catalogue.execute("SELECT count(*) FROM samples").fetchone()[0]
    assert event.metadata["current_images"].value == images > 100
    assert world.files.exists("catalogue.duckdb")


def test_a_held_release_fails_loudly_and_passes_when_approved(world, tmp_path, monkeypatch):
    monkeypatch.setenv("BIOMEDICA_HOLD_FLOOR", "0")
    source = tmp_path / "source"
    sample.write_release(str(source), 1)
    resource = BiomedicaResource(source=str(source), store=str(tmp_path / "store"), chunk_size=25)
    held = World(build_definitions(resource), world.instance, resource, world.files)
    held.run("file_list")
    sample.write_release(str(source), 2)
    result = held.run("file_list", raise_on_error=False)
    assert not result.success
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert f"`approve: {RELEASES[1]}`" in failure.step_failure_data.user_failure_data.description
    assert list_releases(held.files) == RELEASES[:1]
    held.run("file_list", config={"ops": {"file_list": {"config": {"approve": RELEASES[1]}}}})
    assert list_releases(held.files) == RELEASES[:2]


def sensor_context(world, cursor=None):
    return dg.build_sensor_context(
        instance=world.instance, cursor=cursor, resources={"biomedica": world.resource}, definitions=world.definitions
    )


def test_sensor_requests_one_run_per_release(world):
    sensor = next(s for s in world.definitions.sensors if s.name == "pmc_release")
    tick = sensor(sensor_context(world))
    assert [r.run_key for r in tick.run_requests] == [RELEASES[0]]
    assert tick.cursor == RELEASES[0]
    again = sensor(sensor_context(world, tick.cursor))
    assert isinstance(again, dg.SkipReason)


def test_sensor_skips_a_source_that_cannot_be_read(world, tmp_path):
    nowhere = BiomedicaResource(source=str(tmp_path / "nothing"), store=str(tmp_path / "store"))
    sensor = next(s for s in build_definitions(nowhere).sensors if s.name == "pmc_release")
    context = dg.build_sensor_context(instance=world.instance, resources={"biomedica": nowhere})
    tick = sensor(context)
    assert isinstance(tick, dg.SkipReason)
    assert "cannot be read" in tick.skip_message


def to_launch(world):
    """(first, last) of each range that the next tick launches, or the reason why there is none."""
    unfinished = store_status(world.files, world.resource.settings()).unfinished
    ranges = ranges_to_launch(world.instance, unfinished, world.resource.settings(), log=lambda _: None)
    return ranges if isinstance(ranges, str) else [(keys[0], keys[-1]) for keys in ranges]


def test_schedule_launches_what_lacks_a_valid_manifest(world):
    assert isinstance(to_launch(world), str)
    world.run("file_list")
    a, b, c = world.instance.get_dynamic_partitions(PMC_CHUNK)
    assert to_launch(world) == [(a, c)]
    world.ingest(b, b)
    assert to_launch(world) == [(a, a), (c, c)]
    world.ingest(a, c)
    assert "every chunk" in to_launch(world)


def test_schedule_leaves_alone_what_runs_and_what_keeps_failing(world):
    world.run("file_list")
    a, b, c = world.instance.get_dynamic_partitions(PMC_CHUNK)
    tags = {"dagster/asset_partition_range_start": a, "dagster/asset_partition_range_end": b}
    job = world.definitions.resolve_job_def("ingest_chunks")
    world.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert to_launch(world) == [(c, c)]
    for _ in range(3):
        world.instance.create_run_for_job(job, tags={"dagster/partition": c}, status=dg.DagsterRunStatus.FAILURE)
    assert "failed repeatedly" in to_launch(world)


def test_reconcile_shows_a_new_instance_what_the_store_holds(world):
    world.run("file_list")
    keys = world.instance.get_dynamic_partitions(PMC_CHUNK)
    world.ingest(keys[0], keys[1])
    world.run("catalogue")
    with dg.DagsterInstance.ephemeral() as fresh:
        done = reconcile_instance(fresh, world.resource.open(), log=lambda _: None)
        assert done == {"partitions_registered": 3, "materializations_reported": 2 * len(schemas.CHUNK_TABLES)}
        assert fresh.get_dynamic_partitions(PMC_CHUNK) == keys
        for table in schemas.CHUNK_TABLES:
            assert fresh.get_materialized_partitions(dg.AssetKey(table)) == set(keys[:2])
        assert fresh.get_latest_materialization_event(dg.AssetKey("catalogue")) is not None
        again = reconcile_instance(fresh, world.resource.open(), log=lambda _: None)
        assert again == {"partitions_registered": 0, "materializations_reported": 0}


@pytest.mark.parametrize(
    "job", ["reconcile", "garbage_collection", "compaction", "refresh_exports", "prune_runs", "digest"]
)
def test_upkeep_jobs_run(world, job):
    world.run("file_list")
    result = world.definitions.resolve_job_def(job).execute_in_process(instance=world.instance, run_config=QUIET)
    assert result.success


def test_pruning_old_runs_keeps_partitions_materialized(world, tmp_path, monkeypatch):
    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2099, 1, 1, tzinfo=tz)

    monkeypatch.setattr("biomedica_assets.automation.jobs.datetime", Later)
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:  # the ephemeral one deletes differently
        world.instance = instance
        world.run("file_list")
        key = instance.get_dynamic_partitions(PMC_CHUNK)[0]
        world.ingest(key, key)
        job = world.definitions.resolve_job_def("prune_runs")
        assert job.execute_in_process(instance=instance, run_config=QUIET).success
        assert [run.job_name for run in instance.get_runs()] == ["prune_runs"]
        assert instance.get_materialized_partitions(dg.AssetKey("captions")) == {key}


def test_digest_is_posted_to_the_webhook(world, monkeypatch):
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    got = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.timeout = 20
    thread = threading.Thread(target=server.handle_request, daemon=True)
    thread.start()
    monkeypatch.setenv("BIOMEDICA_ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook")
    world.run("file_list")
    assert (
        world.definitions.resolve_job_def("digest")
        .execute_in_process(instance=world.instance, run_config=QUIET)
        .success
    )
    thread.join(20)
    server.server_close()
    assert got[0]["unfinished"] == 3


def test_unfinished_chunks_are_a_warning_on_the_catalogue(world):
    world.run("file_list")
    world.ingest(f"{RELEASES[0]}-00000", f"{RELEASES[0]}-00001")
    check = next(iter(world.definitions.asset_checks))
    result = check.node_def.compute_fn.decorated_fn(world.resource)
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert result.metadata["first_unfinished"].value == f"{RELEASES[0]}-00002"


def test_contiguous_ranges():
    ordered = list("abcdefg")
    assert list(contiguous_ranges(ordered, set("abdefg"), 3)) == [["a", "b"], ["d", "e", "f"], ["g"]]
    assert list(contiguous_ranges(ordered, set(), 3)) == []
