"""The store in a few lines: what is in it, where it lies, how to look at it."""

from __future__ import annotations

from biomedica_assets.ingest.status import store_status
from biomedica_assets.ingest.workspace import Workspace
from biomedica_assets.store.catalogue import open_catalogue

COUNTED = (
    *("articles", "figures", "captions", "mentions", "images", "paragraphs", "caption_features", "image_features"),
    *("concepts", "panels", "entities", "paragraph_quality"),
)

_MADE = (
    ("exports (below the store)", "exports", "/manifest.json"),
    ("snapshots", "snapshots", ".json"),
)
"""Title, folder and ending of files that people want to find."""


def summarise(workspace: Workspace) -> str:
    """Counts of current rows, outcomes, failures, where the files lie and how to open the UI. Every number is read."""
    status = store_status(workspace.files, workspace.settings)
    with open_catalogue(workspace.files) as catalogue:

        def count(sql: str) -> int:
            return (catalogue.execute(sql).fetchone() or (0,))[0]

        counts = {name: count(f"SELECT count(*) FROM {name}") for name in COUNTED}
        failures = count("SELECT count(*) FROM open_failures")
        fatal = count("SELECT count(*) FROM open_failures WHERE fatal")
        outcomes = catalogue.execute("SELECT outcome, count(*) FROM versions GROUP BY 1 ORDER BY 2 DESC, 1").fetchall()
    width = max(len(name) for name in counts)
    lines = ["", f"store      {workspace.files.url}", f"source     {workspace.settings.source_url}"]
    lines += [f"chunks     {len(status.chunks) - len(status.unfinished)} of {len(status.chunks)} committed"]
    lines += ["", "current rows"] + [f"  {name:<{width}} {number:>12,}" for name, number in counts.items()]
    lines += ["", "outcome of every listed version"] + [f"  {name:<24} {number:>6,}" for name, number in outcomes]
    lines += ["", f"failures   {failures} recorded, {fatal} of them lost a version (table failures)"]
    for title, folder, ending in _MADE:
        found = sorted(path for path, _ in workspace.files.list(folder) if path.endswith(ending))
        if found:
            lines += ["", title] + [f"  {path}" for path in found]
    lines += ["", "look at it: `make dev`, then http://127.0.0.1:3000; or any DuckDB client on catalogue.duckdb"]
    return "\n".join(lines)
