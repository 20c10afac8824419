"""Table `metadata`: PubMed's records of a chunk's articles, and of what PubMed modified on a day.

Belongs here: which PMIDs are asked for, what commits them, when a partition is still valid. Not here: requests and
the join by PMID (`pmc.entrez`), the XML (`pmc.pubmed`), which row counts and what a retraction does
(`store.pubmed_log`, `store.catalogue`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import numpy as np

from biomedica_assets import schemas
from biomedica_assets.ingest.workspace import Workspace
from biomedica_assets.pmc.entrez import NCBI_URL, EntrezClient, fetch_records, modified_pmids
from biomedica_assets.pmc.pubmed import PUBMED_PARSER_VERSION
from biomedica_assets.schemas import Row
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import read_generation
from biomedica_assets.store.derived import DerivedManifest, commit_derived, read_derived, read_derived_manifest
from biomedica_assets.store.duck import duck_url, register
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import ChunkManifest, committed_chunk, read_chunk_manifests
from biomedica_assets.store.tables import read_table

TABLE = schemas.METADATA


class EntrezNotConfiguredError(Exception):
    """Nobody has said who asks NCBI: `metadata` stays missing, and nothing else needs it."""


def open_entrez(settings: Settings, *, day: str | None = None) -> EntrezClient:
    """The client that these settings describe; the sample release brings its own PubMed, which needs no network.

    Args:
        settings: of this deployment.
        day: for the sample only, whose PubMed changes: state at the end of this day.

    Raises:
        EntrezNotConfiguredError: neither NCBI_EMAIL nor BIOMEDICA_ENTREZ_URL is set.
    """
    if settings.uses_sample and not settings.entrez_url:
        from biomedica_assets.sample.entrez import sample_client  # the generator is needed only here

        return sample_client(day)
    if not settings.ncbi_email and settings.entrez_url in ("", NCBI_URL):
        raise EntrezNotConfiguredError(
            "NCBI_EMAIL is not set: NCBI wants an address for every user of PubMed's E-utilities. Set it (and "
            "NCBI_API_KEY for 10 requests a second), or BIOMEDICA_ENTREZ_URL for another server"
        )
    key = settings.ncbi_api_key.get_secret_value()
    return EntrezClient(settings.ncbi_email, api_key=key, url=settings.entrez_url)


def fetch_chunk_metadata(workspace: Workspace, chunk: str, client: EntrezClient) -> tuple[DerivedManifest, bool]:
    """Commit PubMed's records of a chunk's articles unless what is committed is still valid; the manifest and whether.

    Raises:
        StoreError: the chunk is not committed.
        EntrezUnavailable, EntrezRefused: as of `fetch_records`; nothing was committed.
    """
    files = workspace.files
    manifest = committed_chunk(files, chunk)
    own = read_derived_manifest(files, TABLE.name, chunk)
    if own is not None and _valid(own, manifest) and files.exists(own.file.path):
        return own, True
    pmids = read_table(files, manifest.tables["articles"].path, columns=["pmid"]).column("pmid").unique().drop_null()
    return _commit(workspace, chunk, sorted(pmids.to_pylist()), client, _inputs(manifest)), False


def refresh_metadata(workspace: Workspace, day: str, client: EntrezClient) -> DerivedManifest:
    """Commit the records, among those that the store has asked for before, that PubMed modified on ``day``.

    A record that was modified again on a later day is found on that day only: the days up to yesterday together
    bring every record up to date.

    Raises:
        EntrezUnavailable, EntrezRefused, UnreadableReply: as of `modified_pmids`; nothing was committed.
    """
    held = known_pmids(workspace.files)
    inputs = {"day": day, "known": len(held), "parser": PUBMED_PARSER_VERSION, "schema": schemas.SCHEMA_VERSION}
    return _commit(workspace, day, modified_pmids(client, day, held), client, inputs)


def known_pmids(files: Files) -> Any:
    """All PMIDs asked for so far, an ascending int64 array: from the catalogue's log and partitions newer than it."""
    generation = read_generation(files)
    logged = generation.files.get("pubmed_log") if generation else None
    seen = set(generation.paths.get(TABLE.name, [])) if generation and logged else set()
    paths = [m.file.path for m in read_derived(files, TABLE.name).values() if m.file.path not in seen]
    paths += [logged.path] if logged else []
    if not paths:
        return np.empty(0, np.int64)
    with duckdb.connect() as connection:
        register(files, connection)
        parts = " UNION ".join(f"SELECT pmid FROM read_parquet('{duck_url(files, path)}')" for path in paths)
        return connection.execute(f"SELECT DISTINCT pmid FROM ({parts}) ORDER BY 1").fetchnumpy()["pmid"]


def unfinished_metadata(files: Files) -> list[str]:
    """Committed chunks whose partition of `metadata` is missing or no longer valid, in order."""
    derived = read_derived(files, TABLE.name)
    chunks = read_chunk_manifests(files).items()
    return [chunk for chunk, manifest in chunks if chunk not in derived or not _valid(derived[chunk], manifest)]


def _inputs(manifest: ChunkManifest) -> dict[str, Any]:
    articles = manifest.tables["articles"].sha256
    return {"articles": articles, "parser": PUBMED_PARSER_VERSION, "schema": schemas.SCHEMA_VERSION}


def _valid(own: DerivedManifest, manifest: ChunkManifest) -> bool:
    """A reply that stayed damaged may be whole tomorrow, so it is no valid end."""
    return own.made_of(_inputs(manifest)) and not own.counts.get("unreadable")


def _commit(
    workspace: Workspace, partition: str, pmids: Iterable[int], client: EntrezClient, inputs: dict[str, Any]
) -> DerivedManifest:
    started, requests, received = time.monotonic(), client.requests, client.bytes
    counts: dict[str, int] = {}
    run: dict[str, Any] = {}

    def rows() -> Iterator[Row]:
        for row in fetch_records(client, pmids):
            counts[row["outcome"]] = counts.get(row["outcome"], 0) + 1
            for name, counted in (("indexed", row.get("mesh")), (row.get("pubmed_status"), True)):
                if name and counted:
                    counts[name] = counts.get(name, 0) + 1
            yield {"partition": partition, **row}
        run["fetched"] = datetime.now(UTC).isoformat(timespec="seconds")
        run["seconds"] = round(time.monotonic() - started, 3)
        run["requests"], run["bytes_fetched"] = client.requests - requests, client.bytes - received

    return commit_derived(
        workspace.files,
        TABLE,
        partition,
        rows(),
        inputs=inputs,
        counts=counts,
        run=run,
        scratch=workspace.settings.scratch or None,
    )
