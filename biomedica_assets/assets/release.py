"""Group `release`: the file list, which registers the partitions of everything else."""

from __future__ import annotations

import dagster as dg

from biomedica_assets import schemas
from biomedica_assets.assets.metadata import column_schema
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import register_chunks
from biomedica_assets.ingest.listing import ReleaseHeld, list_release
from biomedica_assets.store.manifests import FileListManifest, read_file_lists

GROUP = "release"


class FileListConfig(dg.Config):
    """Launchpad options of `file_list`."""

    approve: str = ""
    """Name of a held release (YYYY-MM-DD) that is to be listed all the same."""
    adopt: bool = False
    """Bind the store to this source although it was built from another one."""


@dg.asset(
    group_name=GROUP,
    kinds={"parquet", "duckdb"},
    owners=["team:data-engineering"],
    pool="file_list",
    metadata=column_schema(schemas.FILE_LIST),
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS),
)
def file_list(context: dg.AssetExecutionContext, config: FileListConfig, biomedica: BiomedicaResource) -> dg.MaterializeResult:
    """What the newest PMC release adds, changes or removes, cut into chunks: the partitions of the whole graph.

    Written once per release and never edited. A release that removes or changes suspiciously much is held: this
    asset then fails and nothing changes until it is run again with ``approve: <release>``.
    """
    try:
        written = list_release(biomedica.open(), approve=config.approve, adopt=config.adopt)
    except ReleaseHeld as held:
        raise dg.Failure(
            description=str(held), metadata={k: dg.MetadataValue.int(v) for k, v in held.counts.items()}, allow_retries=False
        ) from held
    lists = read_file_lists(biomedica.open().files)
    # All keys, not only the new ones: a run killed between writing the list and registering is mended here.
    registered = register_chunks(context.instance, (key for each in lists for key in each.chunk_keys))
    if written is None:
        context.log.info("no newer complete release; the file lists are up to date")
    return dg.MaterializeResult(metadata=_summary(lists, written, registered))


def _summary(
    lists: list[FileListManifest], written: FileListManifest | None, registered: list[str]
) -> dict[str, dg.MetadataValue]:
    newest = written or (lists[-1] if lists else None)
    summary: dict[str, dg.MetadataValue] = {
        "new": dg.MetadataValue.bool(written is not None),
        "file_lists": dg.MetadataValue.int(len(lists)),
        "chunks_registered": dg.MetadataValue.int(len(registered)),
    }
    if newest:
        rows = "\n".join(f"| {action} | {count:,} |" for action, count in sorted(newest.actions.items()))
        summary |= {
            "release": dg.MetadataValue.text(newest.release),
            "source_release": dg.MetadataValue.text(newest.source_release),
            "dagster/row_count": dg.MetadataValue.int(newest.rows),
            "chunks": dg.MetadataValue.int(len(newest.chunks)),
            "actions": dg.MetadataValue.md(f"| action | rows |\n|---|---|\n{rows}"),
            "notes": dg.MetadataValue.json(newest.notes),
        }
    return summary
