"""Group `release`: the file list, which registers the partitions of everything else."""

import dagster as dg

from biomedica_assets import schemas
from biomedica_assets.assets.previews import column_schema, markdown_table
from biomedica_assets.assets.resources import BiomedicaResource
from biomedica_assets.automation.partitions import register_chunks
from biomedica_assets.ingest.listing import ReleaseHeldError, list_release
from biomedica_assets.pmc.file_list import FileListSummary, list_chunks, read_summary
from biomedica_assets.store.files import TransientIOError
from biomedica_assets.store.manifests import list_releases

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
)
def file_list(
    context: dg.AssetExecutionContext, config: FileListConfig, biomedica: BiomedicaResource
) -> dg.MaterializeResult:
    """What the newest PMC release adds, changes or removes, cut into chunks: the partitions of the whole graph.

    Written once per release and never edited. A release that removes or changes suspiciously much is held: this
    asset then fails and nothing changes until it is run again with ``approve: <release>``.
    """
    workspace = biomedica.open()
    try:
        written = list_release(workspace, approve=config.approve, adopt=config.adopt)
    except ReleaseHeldError as held:
        counts = {action: dg.MetadataValue.int(count) for action, count in held.summary.actions.items()}
        raise dg.Failure(description=str(held), metadata=counts, allow_retries=False) from held
    except TransientIOError as error:
        # The client has retried each request for minutes; an outage of the source may last longer.
        raise dg.RetryRequested(max_retries=2, seconds_to_wait=120) from error
    releases = list_releases(workspace.files)
    # All keys, not only the new ones: a run killed between writing the list and registering is mended here.
    keys = [key for release in releases for key, _ in list_chunks(workspace.files, release)]
    registered = register_chunks(context.instance, keys)
    if written is None:
        context.log.info("no newer complete release; the file lists are up to date")
    newest = written or (read_summary(workspace.files, releases[-1]) if releases else None)
    metadata: dict[str, dg.MetadataValue] = {
        "new": dg.MetadataValue.bool(written is not None),
        "releases": dg.MetadataValue.int(len(releases)),
        "chunks": dg.MetadataValue.int(len(keys)),
        "chunks_registered": dg.MetadataValue.int(len(registered)),
    }
    return dg.MaterializeResult(metadata=metadata | (_summary(newest) if newest else {}))


def _summary(file_list: FileListSummary) -> dict[str, dg.MetadataValue]:
    notes = {name: getattr(file_list, name) for name in ("out_of_scope", "skipped", "duplicates", "given_up")}
    return {
        "release": dg.MetadataValue.text(file_list.release),
        "inventory_md5": dg.MetadataValue.text(file_list.checksum),
        "dagster/row_count": dg.MetadataValue.int(file_list.rows),
        "listed": dg.MetadataValue.int(file_list.listed),
        "actions": dg.MetadataValue.md(markdown_table(["action", "rows"], file_list.actions.items())),
        "notes": dg.MetadataValue.json(notes),
    }
