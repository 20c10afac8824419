"""Schedules: the scheduled partition backfill and upkeep. All ship stopped; start them in the UI under Automation."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from biomedica_assets.assets.details import DETAILS, UNUSABLE, Detail
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation import jobs
from biomedica_assets.automation.partitions import PMC_CHUNK, contiguous_ranges
from biomedica_assets.ingest.metadata import unfinished_metadata
from biomedica_assets.ingest.status import store_status
from biomedica_assets.labels.annotations import unfinished_annotations
from biomedica_assets.labels.concepts import unfinished_concepts
from biomedica_assets.labels.space import read_space_record
from biomedica_assets.labels.training import open_sources
from biomedica_assets.models.encoders import why_unusable
from biomedica_assets.models.features import MODALITIES, unfinished_features
from biomedica_assets.settings import Settings

_Tick = list[dg.RunRequest] | dg.SkipReason

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
MAX_FAILED_RUNS_A_DAY = 3
"""A chunk that failed so often within a day is left for a person; the digest and the schedule's log name it."""

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def build_schedules(settings: Settings) -> list[Any]:
    """All schedules; only the cron expression of the backfills is a setting."""
    cron, stopped = settings.backfill_cron, dg.DefaultScheduleStatus.STOPPED

    @dg.schedule(job=jobs.chunk_job, cron_schedule=cron, default_status=stopped)
    def partition_backfill(context: dg.ScheduleEvaluationContext, biomedica: BiomedicaResource) -> _Tick:
        """Launch chunks that lack a valid manifest: first load, daily deltas, failed runs and new code alike."""
        workspace = biomedica.open()
        status = store_status(workspace.files, workspace.settings)
        if status.unfinished and status.over_budget:
            limit = workspace.settings.scope.max_bytes
            return dg.SkipReason(f"the store holds {status.bytes:,} bytes, its scope allows {limit:,}")
        return _requests(context, jobs.chunk_job, status.unfinished, workspace.settings)

    @dg.schedule(job=jobs.metadata_job, cron_schedule=cron, default_status=stopped)
    def metadata_backfill(context: dg.ScheduleEvaluationContext, biomedica: BiomedicaResource) -> _Tick:
        """Launch committed chunks that lack PubMed's records, or whose articles changed since."""
        workspace = biomedica.open()
        return _requests(context, jobs.metadata_job, unfinished_metadata(workspace.files), workspace.settings)

    @dg.schedule(job=jobs.features_job, cron_schedule=cron, default_status=stopped)
    def features_backfill(context: dg.ScheduleEvaluationContext, biomedica: BiomedicaResource) -> _Tick:
        """Launch committed chunks that lack vectors, or whose captions, images or encoder changed since."""
        workspace = biomedica.open()
        for modality in MODALITIES.values():
            if reason := why_unusable(workspace.settings, modality):
                return dg.SkipReason(reason)
        unfinished = unfinished_features(workspace.files, workspace.settings)
        return _requests(context, jobs.features_job, unfinished, workspace.settings)

    @dg.schedule(job=jobs.concepts_job, cron_schedule=cron, default_status=stopped)
    def concepts_backfill(context: dg.ScheduleEvaluationContext, biomedica: BiomedicaResource) -> _Tick:
        """Launch encoded chunks whose images have no concept, or one of other vectors or of another space."""
        workspace = biomedica.open()
        record = read_space_record(workspace.files)
        if record is None:
            return dg.SkipReason("there is no concept space yet: materialize `concept_space` once enough is encoded")
        return _requests(context, jobs.concepts_job, unfinished_concepts(workspace.files, record), workspace.settings)

    @dg.schedule(job=jobs.annotations_job, cron_schedule=cron, default_status=stopped)
    def annotations_backfill(context: dg.ScheduleEvaluationContext, biomedica: BiomedicaResource) -> _Tick:
        """Launch committed chunks whose labels are missing or of other tables, votes, model, rules or taxonomy."""
        workspace = biomedica.open()
        unfinished = unfinished_annotations(workspace.files, open_sources(workspace.files, workspace.settings))
        return _requests(context, jobs.annotations_job, unfinished, workspace.settings)

    def backfill(detail: Detail) -> Any:
        @dg.schedule(
            job=jobs.detail_jobs[detail.name],
            name=f"{detail.name}_backfill",
            cron_schedule=cron,
            default_status=stopped,
            description=f"Launch committed chunks whose `{detail.name}` are missing or of other tables or models.",
        )
        def details_backfill(context: dg.ScheduleEvaluationContext, biomedica: BiomedicaResource) -> _Tick:
            workspace = biomedica.open()
            try:
                unfinished = detail.unfinished(workspace.files, workspace.settings)
            except UNUSABLE as error:
                return dg.SkipReason(str(error))
            return _requests(context, jobs.detail_jobs[detail.name], unfinished, workspace.settings)

        return details_backfill

    return [
        partition_backfill,
        metadata_backfill,
        features_backfill,
        *map(backfill, DETAILS),
        concepts_backfill,
        annotations_backfill,
        # PubMed's day ends in the US; at 10:00 UTC the day before is complete.
        dg.build_schedule_from_partitioned_job(
            jobs.metadata_refresh_job, name="daily_metadata_refresh", hour_of_day=10, default_status=stopped
        ),
        _upkeep("daily_export_refresh", jobs.refresh_exports, "0 6 * * *"),
        _upkeep("nightly_digest", jobs.digest, "30 5 * * *"),
        _upkeep("weekly_garbage_collection", jobs.garbage_collection, "0 4 * * 0"),
        _upkeep("weekly_pruning", jobs.prune_runs, "30 4 * * 0"),
    ]


def _requests(context: dg.ScheduleEvaluationContext, job: Any, unfinished: Sequence[str], settings: Settings) -> _Tick:
    ranges = ranges_to_launch(context.instance, unfinished, settings, log=context.log.warning, job=job.name)
    if isinstance(ranges, str):
        return dg.SkipReason(ranges)
    # Dagster never launches a run key twice: the tick's time lets a later tick launch the same range again.
    tick = f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
    return [
        dg.RunRequest(run_key=f"{keys[0]}..{keys[-1]}@{tick}", tags={RANGE_START: keys[0], RANGE_END: keys[-1]})
        for keys in ranges
    ]


def ranges_to_launch(
    instance: dg.DagsterInstance,
    unfinished: Sequence[str],
    settings: Settings,
    *,
    log: Callable[[str], None],
    job: str | None = None,
) -> list[list[str]] | str:
    """Contiguous ranges of unfinished chunks that neither run nor keep failing; or the reason why there are none.

    Failures are those of ``job`` if that is given: an encoder that is broken must not keep a chunk from being ingested.
    """
    if not unfinished:
        return "every chunk has a valid manifest"
    ordered = instance.get_dynamic_partitions(PMC_CHUNK)
    busy = _partitions(instance, ordered, dg.RunsFilter(statuses=_UNFINISHED))
    day = datetime.now(UTC) - timedelta(days=1)
    failures = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], created_after=day, job_name=job)
    failed = _partitions(instance, ordered, failures)
    given_up = [key for key in unfinished if failed[key] >= MAX_FAILED_RUNS_A_DAY]
    if given_up:
        log(f"left for a person after repeated failures: {', '.join(given_up)}")
    wanted = [key for key in unfinished if key not in busy and key not in given_up]
    ranges = list(contiguous_ranges(ordered, set(wanted[: settings.chunks_per_tick]), settings.chunks_per_run))
    return ranges or f"{len(unfinished)} chunks are unfinished; all run already or failed repeatedly"


def _upkeep(name: str, job: dg.JobDefinition, cron: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=name, job=job, cron_schedule=cron, default_status=dg.DefaultScheduleStatus.STOPPED
    )


def _partitions(instance: dg.DagsterInstance, ordered: Iterable[str], runs: dg.RunsFilter) -> Counter[str]:
    """How many of these runs cover each partition, by single key or by range."""
    covered: Counter[str] = Counter()
    ordered = list(ordered)
    for run in instance.get_runs(filters=runs, limit=1000):
        first, last = run.tags.get(RANGE_START), run.tags.get(RANGE_END)
        if first in ordered and last in ordered:
            covered.update(ordered[ordered.index(first) : ordered.index(last) + 1])
        elif run.tags.get(PARTITION):
            covered[run.tags[PARTITION]] += 1
    return covered
