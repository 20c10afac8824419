"""Schedules: the scheduled partition backfill and upkeep. All ship stopped; start them in the UI under Automation."""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg

from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation import jobs
from biomedica_assets.automation.partitions import PMC_CHUNK, contiguous_ranges
from biomedica_assets.ingest.status import store_status
from biomedica_assets.ingest.workspace import Workspace
from biomedica_assets.settings import Settings

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


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """All schedules; only the backfill's cron expression is a setting."""

    @dg.schedule(
        job=jobs.chunk_job, cron_schedule=settings.backfill_cron, default_status=dg.DefaultScheduleStatus.STOPPED
    )
    def partition_backfill(
        context: dg.ScheduleEvaluationContext, biomedica: BiomedicaResource
    ) -> list[dg.RunRequest] | dg.SkipReason:
        """Launch chunks that lack a valid manifest: first load, daily deltas, failed runs and new code alike."""
        ranges = ranges_to_launch(context.instance, biomedica.open(), log=context.log.warning)
        if isinstance(ranges, str):
            return dg.SkipReason(ranges)
        # Dagster never launches a run key twice: the tick's time lets a later tick launch the same range again.
        tick = f"{context.scheduled_execution_time:%Y-%m-%dT%H:%M}"
        return [
            dg.RunRequest(run_key=f"{keys[0]}..{keys[-1]}@{tick}", tags={RANGE_START: keys[0], RANGE_END: keys[-1]})
            for keys in ranges
        ]

    return [
        partition_backfill,
        _upkeep("nightly_digest", jobs.digest, "30 5 * * *"),
        _upkeep("weekly_garbage_collection", jobs.garbage_collection, "0 4 * * 0"),
        _upkeep("weekly_pruning", jobs.prune_runs, "30 4 * * 0"),
    ]


def ranges_to_launch(
    instance: dg.DagsterInstance, workspace: Workspace, *, log: Callable[[str], None]
) -> list[list[str]] | str:
    """Contiguous ranges of unfinished chunks that neither run nor keep failing; or the reason why there are none."""
    settings = workspace.settings
    status = store_status(workspace.files, settings)
    if not status.unfinished:
        return "every chunk has a valid manifest"
    if status.over_budget:
        return f"the store holds {status.bytes:,} bytes, its scope allows {settings.scope.max_bytes:,}"
    ordered = instance.get_dynamic_partitions(PMC_CHUNK)
    busy = _partitions(instance, ordered, dg.RunsFilter(statuses=_UNFINISHED))
    day = datetime.now(UTC) - timedelta(days=1)
    failures = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], created_after=day)
    failed = _partitions(instance, ordered, failures)
    given_up = [key for key in status.unfinished if failed[key] >= MAX_FAILED_RUNS_A_DAY]
    if given_up:
        log(f"left for a person after repeated failures: {', '.join(given_up)}")
    wanted = [key for key in status.unfinished if key not in busy and key not in given_up]
    ranges = list(contiguous_ranges(ordered, set(wanted[: settings.chunks_per_tick]), settings.chunks_per_run))
    return ranges or f"{len(status.unfinished)} chunks are unfinished; all run already or failed repeatedly"


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
