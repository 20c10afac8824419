"""Jobs: what people and schedules launch. Upkeep jobs have no assets; each says in its description when to run it."""

import json
import time
import urllib.request
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from biomedica_assets import schemas
from biomedica_assets.assets.details import DETAILS
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.reconcile import reconcile_instance
from biomedica_assets.dataset.export_upkeep import rebuild_all
from biomedica_assets.ingest.status import store_status
from biomedica_assets.store.compaction import compact
from biomedica_assets.store.files import Files
from biomedica_assets.store.garbage import collect_garbage

file_list_job = dg.define_asset_job(
    "list_release", selection=["file_list"], description="List the newest PMC release and register its chunks."
)
chunk_job = dg.define_asset_job(
    "ingest_chunks",
    selection=list(schemas.CHUNK_TABLES),
    description="Turn chunks of a file list into tables and archive shards.",
)
metadata_job = dg.define_asset_job(
    "fetch_metadata", selection=["metadata"], description="Fetch PubMed's records of chunks that have none yet."
)
metadata_refresh_job = dg.define_asset_job(
    "refresh_metadata", selection=["metadata_refresh"], description="Fetch what PubMed modified on a day."
)
features_job = dg.define_asset_job(
    "encode_chunks",
    selection=["caption_features", "image_features"],
    description="Encode captions and images of chunks that have no vectors yet.",
)
detail_jobs = {
    detail.name: dg.define_asset_job(
        f"annotate_{detail.name}",
        selection=[detail.name],
        description=f"Make `{detail.name}` of chunks that have none yet, or those of other tables, models or settings.",
    )
    for detail in DETAILS
}
"""By table."""
concepts_job = dg.define_asset_job(
    "assign_concepts",
    selection=["concepts"],
    description="Assign images of chunks to concepts that have none of the concept space in use.",
)
refit_concepts_job = dg.define_asset_job(
    "refit_concept_space",
    selection=["concept_space"],
    config={"ops": {"concept_space": {"config": {"refit": True}}}},
    description="Fit the concept space anew. Images then get other concepts, on which experts have not voted.",
)
annotations_job = dg.define_asset_job(
    "label_chunks",
    selection=["annotations", "image_labels"],
    description="Label images of chunks that have no labels yet, or those of other votes, model, rules or taxonomy.",
)
catalogue_job = dg.define_asset_job(
    "refresh_catalogue", selection=["catalogue"], description="Build the catalogue of what is committed now."
)


@dg.op(pool="upkeep")
def reconcile_op(context: dg.OpExecutionContext, biomedica: BiomedicaResource) -> None:
    """Register the keys and report the materializations that the store has and this instance lacks."""
    done = reconcile_instance(context.instance, biomedica.open(), log=context.log.info)
    context.add_output_metadata({name: dg.MetadataValue.int(count) for name, count in done.items()})


@dg.job
def reconcile() -> None:
    """Make this Dagster instance show what the store holds, e.g. after DAGSTER_HOME was lost."""
    reconcile_op()


@dg.op(pool="upkeep")
def garbage_op(context: dg.OpExecutionContext, biomedica: BiomedicaResource) -> None:
    """Delete files that no manifest, generation or snapshot has named for a while."""
    settings = biomedica.settings()
    done = collect_garbage(biomedica.open().files, now=time.time(), grace_seconds=settings.garbage_hours * 3600)
    context.log.info(f"deleted {done.deleted} files ({done.bytes:,} bytes); {done.waiting} are waiting")
    context.add_output_metadata({"deleted": done.deleted, "bytes": done.bytes, "waiting": done.waiting})


@dg.job
def garbage_collection() -> None:
    """Delete unreferenced files of the store that are older than BIOMEDICA_GARBAGE_HOURS. Weekly."""
    garbage_op()


class CompactionConfig(dg.Config):
    """Launchpad options of `compaction`."""

    dead_share: float = 0.3
    """Shards of which at least this share is dead are written anew."""
    confirm_releases: int = 2
    """So many releases after the one that lost a version must agree before its bytes go."""


@dg.op(pool="upkeep")
def compaction_op(context: dg.OpExecutionContext, config: CompactionConfig, biomedica: BiomedicaResource) -> None:
    """Write shards without their dead samples; live samples keep their bytes."""
    workspace = biomedica.open()
    done = compact(
        workspace.files,
        dead_share=config.dead_share,
        confirm_releases=config.confirm_releases,
        scratch=workspace.settings.scratch or None,
        log=context.log.info,
    )
    context.add_output_metadata({name: dg.MetadataValue.int(value) for name, value in asdict(done).items()})


@dg.job
def compaction() -> None:
    """Drop withdrawn and replaced images from shards; garbage collection deletes the old shards later. Monthly."""
    compaction_op()


@dg.op(pool="dataset")
def refresh_exports_op(context: dg.OpExecutionContext, biomedica: BiomedicaResource) -> None:
    """Rebuild the shards of exports that hold something withdrawn since."""
    workspace = biomedica.open()
    files, settings = workspace.files, workspace.settings
    target = Files(settings.exports) if settings.exports else files
    context.add_output_metadata({"touched": dg.MetadataValue.json(rebuild_all(files, target))})


@dg.job
def refresh_exports() -> None:
    """Take what was withdrawn out of exports that stand already. Daily."""
    refresh_exports_op()


@dg.op(pool="upkeep")
def prune_runs_op(context: dg.OpExecutionContext, biomedica: BiomedicaResource) -> None:
    """Delete finished runs, with their events, that are older than BIOMEDICA_KEEP_RUNS_DAYS.

    With a run go the materializations it reported; they are reported again from the store's manifests.
    """
    before = datetime.now(UTC) - timedelta(days=biomedica.settings().keep_runs_days)
    finished = dg.RunsFilter(
        statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
        created_before=before,
    )
    pruned = 0
    while batch := context.instance.get_run_ids(finished, limit=200):
        for run_id in batch:
            context.instance.delete_run(run_id)
        pruned += len(batch)
    context.log.info(f"pruned {pruned} runs created before {before:%Y-%m-%d}")
    done = reconcile_instance(context.instance, biomedica.open(), log=context.log.info) if pruned else {}
    context.add_output_metadata({"runs": pruned, **done})


@dg.job
def prune_runs() -> None:
    """Delete old runs and events from Dagster's database. Weekly."""
    prune_runs_op()


@dg.op(pool="upkeep")
def digest_op(context: dg.OpExecutionContext, biomedica: BiomedicaResource) -> None:
    """Report unfinished chunks and failed rows; post them to BIOMEDICA_ALERT_WEBHOOK when that is set."""
    workspace = biomedica.open()
    status = store_status(workspace.files, workspace.settings)
    digest = {
        "store": workspace.files.url,
        "chunks": len(status.chunks),
        "unfinished_chunks": status.unfinished[:100],
        "unfinished": len(status.unfinished),
        "failed_rows": status.failed_rows,
        "failed_by_chunk": status.failed_by_chunk,
    }
    context.log.info(json.dumps(digest))
    context.add_output_metadata({"digest": dg.MetadataValue.json(digest)})
    webhook = workspace.settings.alert_webhook
    if webhook and (status.unfinished or status.failed_rows):
        request = urllib.request.Request(  # noqa: S310 - the URL is the operator's own setting
            webhook, json.dumps(digest).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


@dg.job
def digest() -> None:
    """A digest of failures and unfinished chunks, optionally to a webhook. Daily."""
    digest_op()


JOBS: list[Any] = [
    file_list_job,
    chunk_job,
    metadata_job,
    metadata_refresh_job,
    features_job,
    *detail_jobs.values(),
    concepts_job,
    refit_concepts_job,
    annotations_job,
    catalogue_job,
    reconcile,
    garbage_collection,
    compaction,
    refresh_exports,
    prune_runs,
    digest,
]
