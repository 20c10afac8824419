"""`biomedica doctor`: what is configured, reachable and installed, what the work would cost, what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import ValidationError

from biomedica_assets.ingest.metadata import EntrezNotConfiguredError, open_entrez
from biomedica_assets.ingest.status import store_status
from biomedica_assets.ingest.workspace import Workspace, open_workspace
from biomedica_assets.pmc.releases import ListingError, NoReleaseError
from biomedica_assets.settings import Settings
from biomedica_assets.store.manifests import StoreError, read_chunk_manifests

PACKAGES = ("dagster", "dagster-webserver", "lxml", "pyarrow", "duckdb", "obstore", "pillow", "webdataset", "biopython")

# Means per article version, used until this store's own chunks give better ones. XML and text: measured on 532 real
# articles (106 kB of XML). Images: 4.9 figures an article and about 150 kB each, from the same articles' packages.
REQUESTS, FETCHED_BYTES, STORED_BYTES = 7.0, 850_000.0, 800_000.0
SECONDS = 0.05  # one core, network not counted


@dataclass(frozen=True)
class Finding:
    """One thing looked at; ``advice`` says what to do when it is not ok."""

    topic: str
    ok: bool
    message: str
    advice: str = ""


def diagnose() -> list[Finding]:
    """Look at everything; a broken part never hides the others."""
    try:
        settings = Settings()
    except ValidationError as error:
        problems = "; ".join(f"BIOMEDICA_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        return [Finding("settings", False, problems, "correct the variable in the environment or in .env")]
    workspace = open_workspace(settings)
    return [*_installation(), *_source(workspace), *_store(workspace), *_entrez(settings)]


def _installation() -> Iterator[Finding]:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield Finding("python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or newer")
    message = f"not installed: {', '.join(missing)}" if missing else ", ".join(found)
    yield Finding("packages", not missing, message, "pip install -e ." if missing else "")
    home = os.environ.get("DAGSTER_HOME", "")
    note = home or "not set: the commands use .dagster_home/ of the checkout"
    yield Finding("dagster", not home or Path(home).is_dir(), note, f"create {home}" if home else "")


def _source(workspace: Workspace) -> Iterator[Finding]:
    url = workspace.settings.source_url
    try:
        release = workspace.source.latest()
    except (NoReleaseError, ListingError, OSError, ValueError) as error:
        advice = "check BIOMEDICA_SOURCE, the network, and AWS_ENDPOINT_URL if it is set"
        yield Finding("source", False, f"{url}: {type(error).__name__}: {error}", advice)
        return
    if release is None:
        yield Finding("source", False, f"{url} has no complete release", "try again when its manifest has been written")
        return
    kind = "embedded sample" if workspace.settings.uses_sample else release.layout
    yield Finding("source", True, f"{url} ({kind}), newest complete release {release.name}")


def _store(workspace: Workspace) -> Iterator[Finding]:
    files, settings = workspace.files, workspace.settings
    try:
        probe = ".doctor"
        files.write(probe, b"written by biomedica doctor")
        files.remove(probe)
        status = store_status(files, settings)
        held = sum(status.rows.values())
    except (OSError, StoreError, ValueError) as error:
        advice = "check BIOMEDICA_STORE and its permissions"
        yield Finding("store", False, f"{files.url}: {type(error).__name__}: {error}", advice)
        return
    done = len(status.chunks) - len(status.unfinished)
    yield Finding(
        "store",
        True,
        f"{files.url}: {held:,} rows listed, {done} of {len(status.chunks)} chunks committed, {status.bytes:,} bytes",
    )
    if status.failed_rows:
        yield Finding("failures", True, f"{status.failed_rows} rows failed (view open_failures of the catalogue)")
    yield from _estimate(workspace, sum(status.rows[chunk] for chunk in status.unfinished))


def _estimate(workspace: Workspace, rows: int) -> Iterator[Finding]:
    """What the unfinished rows would cost, by this store's own means where it has any."""
    if not rows:
        yield Finding("work", True, "nothing is unfinished; `biomedica build` looks for a newer release")
        return
    runs = [(m, sum(m.outcomes.values())) for m in read_chunk_manifests(workspace.files).values()]
    done = sum(count for _, count in runs)
    requests, fetched, stored, seconds = REQUESTS, FETCHED_BYTES, STORED_BYTES, SECONDS
    if done >= 1000:
        requests = sum(m.run.get("requests", 0) for m, _ in runs) / done
        fetched = sum(m.run.get("bytes_fetched", 0) for m, _ in runs) / done
        stored = sum(m.bytes for m, _ in runs) / done
        seconds = sum(m.run.get("seconds", 0) for m, _ in runs) / done
    message = (
        f"{rows:,} rows to do: about {rows * requests:,.0f} requests, {rows * fetched / 1e9:,.1f} GB to fetch, "
        f"{rows * stored / 1e9:,.1f} GB to store, {rows * seconds / 3600:,.1f} hours of one core"
    )
    yield Finding("work", True, message)
    local = workspace.files.local_path()
    if local is not None:
        folder = next(p for p in (local, *local.parents) if p.exists())
        free = shutil.disk_usage(folder).free
        enough = free > rows * stored * 1.1
        advice = "free some space, narrow BIOMEDICA_SCOPE or set its max_bytes" if not enough else ""
        yield Finding("disk", enough, f"{free / 1e9:,.1f} GB free", advice)


def _entrez(settings: Settings) -> Iterator[Finding]:
    try:
        open_entrez(settings)
    except EntrezNotConfiguredError as error:
        yield Finding("entrez", True, str(error))
    else:
        kind = "the sample's own replies" if settings.uses_sample else settings.entrez_url or "NCBI"
        yield Finding("entrez", True, f"PubMed metadata from {kind}")
