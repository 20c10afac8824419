"""What is finished and what is not, from manifests alone."""

from __future__ import annotations

from dataclasses import dataclass

from biomedica_assets.ingest.inputs import chunk_inputs, input_hash
from biomedica_assets.pmc.file_list import read_summary
from biomedica_assets.settings import Settings
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import list_releases, read_chunk_manifests


@dataclass(frozen=True)
class StoreStatus:
    """Chunks of all file lists in order, those without a valid manifest, failed rows, bytes held."""

    chunks: list[str]
    rows: dict[str, int]
    unfinished: list[str]
    failed_by_chunk: dict[str, int]
    bytes: int
    over_budget: bool

    @property
    def failed_rows(self) -> int:
        return sum(self.failed_by_chunk.values())


def store_status(files: Files, settings: Settings) -> StoreStatus:
    """Read every manifest once (about 0.1 ms each on a local disk)."""
    manifests = read_chunk_manifests(files)
    rows: dict[str, int] = {}
    unfinished = []
    for file_list in (read_summary(files, release) for release in list_releases(files)):
        for chunk, count in file_list.chunks:
            rows[chunk] = count
            manifest = manifests.get(chunk)
            if manifest is None or manifest.input_hash != input_hash(chunk_inputs(settings, file_list, chunk)):
                unfinished.append(chunk)
    held = sum(manifest.bytes for manifest in manifests.values())
    limit = settings.scope.max_bytes
    return StoreStatus(
        chunks=list(rows),
        rows=rows,
        unfinished=unfinished,
        failed_by_chunk={c: m.outcomes["failed"] for c, m in manifests.items() if m.outcomes.get("failed")},
        bytes=held,
        over_budget=limit is not None and held >= limit,
    )
