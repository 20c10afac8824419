"""`biomedica build`: everything for the newest release in one process, recorded in a Dagster instance."""

from __future__ import annotations

import fcntl
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from tqdm import tqdm

from biomedica_assets import schemas
from biomedica_assets.assets.details import DETAILS, UNUSABLE
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import PMC_CHUNK, contiguous_ranges
from biomedica_assets.automation.reconcile import reconcile_instance
from biomedica_assets.automation.schedules import RANGE_END, RANGE_START
from biomedica_assets.dataset.documents import document_path
from biomedica_assets.dataset.recipes import load_recipes
from biomedica_assets.definitions import defs
from biomedica_assets.ingest.metadata import EntrezNotConfiguredError, open_entrez, unfinished_metadata
from biomedica_assets.ingest.progress import reporting
from biomedica_assets.ingest.status import store_status
from biomedica_assets.ingest.summary import summarise
from biomedica_assets.ingest.workspace import Workspace
from biomedica_assets.labels.annotations import unfinished_annotations
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.training import open_sources
from biomedica_assets.models.encoders import why_unusable
from biomedica_assets.models.features import MODALITIES, unfinished_features
from biomedica_assets.store.snapshots import list_snapshots


class BuildFailedError(Exception):
    """A step failed; the message says which and why. What was committed stays, and the next build goes on from it."""


@dataclass(frozen=True)
class Wishes:
    """What a build is asked for beyond the default: a held release, another source, exports of recipes, a snapshot."""

    approve: str = ""
    adopt: bool = False
    exports: tuple[str, ...] = ()
    snapshot: str = ""


def build_all(instance: dg.DagsterInstance, wishes: Wishes) -> str:
    """Materialize everything for the newest release; returns a summary for people.

    Exports and snapshots take room, so they are made only when asked for.

    Raises:
        BuildFailedError: a run failed, or another build is at work in this instance.
    """
    logging.getLogger("dagster").setLevel(logging.ERROR)
    with _alone(instance):
        return _build(instance, wishes)


BUILT_BY = "biomedica/build"
"""Tag of the runs of a build: whose they are."""


def _builder(instance: dg.DagsterInstance) -> str:
    return f"{socket.gethostname()}:{instance.root_directory}"


@contextmanager
def _alone(instance: dg.DagsterInstance) -> Iterator[None]:
    """One build at a time per instance. Runs of a build that was killed are ended first.

    They hold their places in the pools (`file_list`, `catalogue`), for which this build would wait for ever: the daemon
    that gives them free is not running here.
    """
    with (Path(instance.root_directory) / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system lets go of it when the process ends
        except BlockingIOError:
            raise BuildFailedError(f"another build is at work in {instance.root_directory}") from None
        for run in instance.get_runs(dg.RunsFilter(tags={BUILT_BY: _builder(instance)}, statuses=_AT_WORK)):
            instance.report_run_failed(run, "the build's process ended in the middle of this run")
            instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        yield


_AT_WORK = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def _build(instance: dg.DagsterInstance, wishes: Wishes) -> str:
    settings = BiomedicaResource().settings()
    _run(instance, ["file_list"], config=_config("file_list", approve=wishes.approve, adopt=wishes.adopt))
    workspace = BiomedicaResource().open()
    reconcile_instance(instance, workspace, log=lambda _: None)  # a new DAGSTER_HOME shows the whole store
    status = store_status(workspace.files, settings)
    ordered = instance.get_dynamic_partitions(PMC_CHUNK)
    with tqdm(total=sum(status.rows[c] for c in status.unfinished), unit="article", desc="articles") as bar:
        for keys in contiguous_ranges(ordered, set(status.unfinished), settings.chunks_per_run):
            if settings.scope.max_bytes is not None and store_status(workspace.files, settings).over_budget:
                bar.write("stopped: the store has reached the byte budget of its scope")
                break
            with reporting(bar.update):
                _run(instance, list(schemas.CHUNK_TABLES), keys)
    _fetch_metadata(instance, workspace)
    _encode(instance, workspace)
    _annotate(instance, workspace)
    _assign_concepts(instance, workspace)
    _count_votes(instance, workspace)
    _label_images(instance, workspace)
    _run(instance, ["catalogue"])
    _run(instance, ["duplicates"])
    recipes = load_recipes(settings.recipe_folder)
    for name in recipes:
        _run(instance, ["subsets"], [name])
    for name in wishes.exports:
        if name not in recipes:
            raise BuildFailedError(f"there is no recipe {name!r}; known: {', '.join(recipes)}")
        _run(instance, ["exports"], [name])
    _run(instance, ["licence_audit", "statistics", "card"])
    _index(instance)
    if wishes.snapshot and wishes.snapshot not in list_snapshots(workspace.files):
        _run(instance, ["snapshot"], config=_config("snapshot", name=wishes.snapshot))
    report = f"{workspace.files.url}/{document_path(workspace.files, 'card', 'report.html')}"
    return f"{summarise(workspace)}\nthe dataset in numbers and pictures: {report}"


def _config(asset: str, **options: object) -> dict[str, object]:
    return {"ops": {asset: {"config": options}}}


def _fetch_metadata(instance: dg.DagsterInstance, workspace: Workspace) -> None:
    """PubMed's records of chunks that have none; left out, with the reason, where NCBI_EMAIL is not set."""
    try:
        open_entrez(workspace.settings)
    except EntrezNotConfiguredError as error:
        tqdm.write(f"metadata left out: {error}")
        return
    ordered = instance.get_dynamic_partitions(PMC_CHUNK)
    unfinished = set(unfinished_metadata(workspace.files))
    for keys in contiguous_ranges(ordered, unfinished, workspace.settings.chunks_per_run):
        _run(instance, ["metadata"], keys)


def _encode(instance: dg.DagsterInstance, workspace: Workspace) -> None:
    """Vectors of chunks that have none; left out, with the reason, where an encoder cannot be had."""
    for reason in filter(None, (why_unusable(workspace.settings, modality) for modality in MODALITIES.values())):
        tqdm.write(f"features left out: {reason}")
        return
    ordered = instance.get_dynamic_partitions(PMC_CHUNK)
    unfinished = set(unfinished_features(workspace.files, workspace.settings))
    for keys in contiguous_ranges(ordered, unfinished, workspace.settings.chunks_per_run):
        try:
            _run(instance, list(MODALITIES), keys)
        except BuildFailedError as error:  # nothing before or behind needs them
            tqdm.write(f"features left out: {error}")
            return


def _annotate(instance: dg.DagsterInstance, workspace: Workspace) -> None:
    """Panels, entities and paragraph quality of chunks without; left out, with the reason, what cannot be had."""
    ordered = instance.get_dynamic_partitions(PMC_CHUNK)
    for detail in DETAILS:
        try:
            unfinished = set(detail.unfinished(workspace.files, workspace.settings))
            for keys in contiguous_ranges(ordered, unfinished, workspace.settings.chunks_per_run):
                _run(instance, [detail.name], keys)
        except (BuildFailedError, *UNUSABLE) as error:  # the dataset is whole without them
            tqdm.write(f"{detail.name} left out: {error}")


def _assign_concepts(instance: dg.DagsterInstance, workspace: Workspace) -> None:
    """Concepts of images that have none; left out, with the reason, where there is nothing to make them of."""
    try:
        from biomedica_assets.labels.concepts import unfinished_concepts
        from biomedica_assets.labels.space import read_space_record

        if read_space_record(workspace.files) is None:
            _run(instance, ["concept_space"])
        record = read_space_record(workspace.files)
        unfinished = set(unfinished_concepts(workspace.files, record)) if record else set()
        ordered = instance.get_dynamic_partitions(PMC_CHUNK)
        for keys in contiguous_ranges(ordered, unfinished, workspace.settings.chunks_per_run):
            _run(instance, ["concepts"], keys)
        if record:
            _run(instance, ["contact_sheets"])
    except (BuildFailedError, ImportError) as error:  # the dataset is whole without them
        tqdm.write(f"concepts left out: {error}")


def _count_votes(instance: dg.DagsterInstance, workspace: Workspace) -> None:
    """What votes amount to. The sample has nobody to look at it: simulated annotators vote from its truth."""
    try:
        if workspace.settings.uses_sample:
            from biomedica_assets.labels.sheets import read_sheets
            from biomedica_assets.labels.simulated import cast_simulated

            sheets = read_sheets(workspace.files)
            if sheets is not None:
                cast_simulated(workspace.files, load_taxonomy(workspace.settings.taxonomy_file), sheets)
        _run(instance, ["concept_labels"])
        _run(instance, ["agreement"])
    except (BuildFailedError, ImportError, ValueError) as error:  # the dataset is whole without them
        tqdm.write(f"votes left out: {error}")


def _label_images(instance: dg.DagsterInstance, workspace: Workspace) -> None:
    """Labels of images that have none, or old ones; without votes they are weak ones, from the words around them."""
    try:
        _run(instance, ["label_model"])
    except BuildFailedError as error:
        tqdm.write(f"label model left out: {error}")
    unfinished = set(unfinished_annotations(workspace.files, open_sources(workspace.files, workspace.settings)))
    ordered = instance.get_dynamic_partitions(PMC_CHUNK)
    for keys in contiguous_ranges(ordered, unfinished, workspace.settings.chunks_per_run):
        _run(instance, ["annotations", "image_labels"], keys)


def _index(instance: dg.DagsterInstance) -> None:
    """The search index; left out, with the reason, where its packages are not installed."""
    try:
        _run(instance, ["search_index"])
    except BuildFailedError as error:  # the dataset is whole without it
        tqdm.write(f"search index left out: {error}")


def _run(
    instance: dg.DagsterInstance,
    assets: list[str],
    keys: list[str] | None = None,
    *,
    config: dict[str, object] | None = None,
) -> None:
    """Materialize assets, of a contiguous range of partitions if given. Raises BuildFailedError."""
    ranged = keys is not None and len(keys) > 1
    job = defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(name) for name in assets],
        tags={BUILT_BY: _builder(instance)} | ({RANGE_START: keys[0], RANGE_END: keys[-1]} if keys and ranged else {}),
        partition_key=keys[0] if keys and not ranged else None,
        run_config={**(config or {}), "loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    if not result.success:
        reasons = [_reason(event) for event in result.all_events if event.is_step_failure]
        where = f" ({keys[0]} to {keys[-1]})" if keys else ""
        raise BuildFailedError(f"{assets[0]}{where} failed: {'; '.join(reasons)}")


def _reason(event: dg.DagsterEvent) -> str:
    """Why a step failed, in the words of whoever raised it."""
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error and error.cause:
        error = error.cause
    return error.message.strip() if error else "see the run"
