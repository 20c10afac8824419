"""The file list of the newest release: what the store wants of it, and when a release is held."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from biomedica_assets.ingest.inputs import wants
from biomedica_assets.ingest.workspace import Workspace
from biomedica_assets.pmc.file_list import FileListSummary, Guard, Retry, write_file_list
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import file_list_path, list_releases, read_chunk_manifests
from biomedica_assets.store.tables import iter_rows

NEVER_FAILED = -1
"""Attempts of a row that is listed again only because the store now wants more of it."""


class ReleaseHeldError(Exception):
    """The release removes or changes suspiciously much. Nothing was written; a person has to approve it."""

    def __init__(self, summary: FileListSummary) -> None:
        self.summary = summary
        super().__init__(
            f"release {summary.release} is held: it {'; it '.join(summary.held)}. Look at PMC's news; then materialize "
            f"file_list with the config `approve: {summary.release}`, or `biomedica build --approve {summary.release}`"
        )


def list_release(workspace: Workspace, *, approve: str = "", adopt: bool = False) -> FileListSummary | None:
    """Write the file list of the newest complete release; None when it has one already or there is none yet.

    Args:
        workspace: store, source, settings.
        approve: name of a held release that may pass.
        adopt: bind the store to this source although it was built from another one.

    Raises:
        ReleaseHeldError: see there.
        NoReleaseError, ListingError: the source cannot be used.
        StoreError: the store belongs to another source.
    """
    files, settings, source = workspace.files, workspace.settings, workspace.source
    release = source.latest()
    workspace.bind(adopt=adopt)
    known = list_releases(files)
    if release is None or (known and release.name <= known[-1]):
        return None
    with tempfile.TemporaryDirectory(prefix="file-list-", dir=settings.scratch or None) as scratch:
        target = Path(scratch) / "file-list.parquet"
        with source.listing(release, scratch) as listing:
            summary = write_file_list(
                listing,
                files,
                target,
                chunk_size=settings.rows_per_chunk,
                retries=rows_to_retry(files, settings),
                scope=settings.scope.pmcid_ranges,
                guard=Guard(settings.hold_removed_share, settings.hold_changed_share, settings.hold_floor),
                approved=approve == release.name,
                max_attempts=settings.max_attempts,
                scratch=scratch,
            )
        if summary.held:
            raise ReleaseHeldError(summary)
        files.put_file(target, file_list_path(release.name), move=True)
    return summary


def rows_to_retry(files: Files, settings: Settings) -> Iterator[Retry]:
    """Rows that failed for a transient reason, and rows that an earlier, narrower scope left out."""
    wanted = wants(settings)
    for chunk, manifest in read_chunk_manifests(files).items():
        for row in manifest.retry:
            yield Retry(row["listed_id"], row["etag"], row["attempts"], chunk)
        before = manifest.inputs.get("wants", wanted)
        if before == wanted:
            continue
        outcomes = {"out_of_scope"}
        if wanted["historical_ocr"] and not before["historical_ocr"]:
            outcomes.add("gated:historical_ocr")
        if before["tables_only"] and not wanted["tables_only"]:
            outcomes.add("collected")
        if outcomes & manifest.outcomes.keys():
            columns = ["listed_id", "listed_etag", "outcome"]
            for version in iter_rows(files, manifest.tables["versions"].path, columns=columns):
                if version["outcome"] in outcomes:
                    yield Retry(version["listed_id"], version["listed_etag"], NEVER_FAILED, chunk)
