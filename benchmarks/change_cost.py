"""What a change costs: requests, bytes fetched and bytes written, for each state of the sample release.

    python -m benchmarks.change_cost

The sample is served over loopback by the tests' object server, which counts; what is written is what is new in the
store's folder afterwards. A re-parse is the same store with another parser version.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from benchmarks.measure import Table, main
from biomedica_assets.ingest import article, inputs
from biomedica_assets.ingest.chunk import ingest_chunk
from biomedica_assets.ingest.listing import list_release
from biomedica_assets.ingest.status import store_status
from biomedica_assets.ingest.workspace import open_workspace
from biomedica_assets.sample.release import RELEASES, write_release
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets_tests.servers import FakeS3

CHUNK_SIZE = 10
GROUPS = ("releases", "chunks", "sources", "tables", "shards", "catalogue")
"""What is written, by its folder in the store; whatever else there is counts as catalogue."""


@dataclass
class Cost:
    """One state of the release. Rows: how many the file list has, or how many were made again."""

    name: str
    rows: int = 0
    actions: str = ""
    chunks: int = 0
    listing: Counter[str] = field(default_factory=Counter)
    """Requests and bytes of the comparison of inventories."""
    fetched: Counter[str] = field(default_factory=Counter)
    """Requests and bytes of the chunk passes."""
    written: Counter[str] = field(default_factory=Counter)
    """Bytes by group."""

    @property
    def data(self) -> int:
        """Bytes written of what grows with the change."""
        return sum(self.written[group] for group in ("sources", "tables", "shards"))


def measure(root: Path) -> Iterator[Cost]:
    """Build the three states one after the other, the last one twice, then re-parse; all below ``root``."""
    release, store = root / "release", root / "store"
    release.mkdir()
    with FakeS3(release) as server, mock.patch.dict(os.environ, AWS_ENDPOINT_URL=server.endpoint):
        settings = Settings(source=server.url, store=str(store), chunk_size=CHUNK_SIZE)
        for number, day in RELEASES.items():
            write_release(str(release), number)
            yield _state(Cost(f"release {number}"), server, settings, day.isoformat())
        yield _state(Cost("release 3 again"), server, settings, day.isoformat())
        with (
            mock.patch.object(inputs, "PARSER_VERSION", "another"),
            mock.patch.object(article, "PARSER_VERSION", "another"),
        ):
            yield _state(Cost("re-parse"), server, settings, day.isoformat())


def _state(cost: Cost, server: FakeS3, settings: Settings, day: str) -> Cost:
    workspace = open_workspace(settings)
    before = _files(Path(settings.store))
    with _counted(server, cost.listing):
        listed = list_release(workspace, approve=day)
    if listed:
        cost.rows = listed.rows
        cost.actions = ", ".join(f"{count} {action}" for action, count in listed.actions.items() if count)
    chunks = store_status(workspace.files, settings).unfinished
    cost.chunks = len(chunks)
    with _counted(server, cost.fetched):
        for chunk in chunks:
            manifest, _ = ingest_chunk(workspace, chunk)
            cost.rows += 0 if listed else sum(manifest.outcomes.values())
    build_generation(workspace.files)
    for path, (size, changed) in _files(Path(settings.store)).items():
        if before.get(path) != (size, changed):
            top, _, rest = path.partition("/")
            group = "sources" if rest.startswith("sources/") else top
            cost.written[group if group in GROUPS else "catalogue"] += size
    return cost


def _files(store: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change by path."""
    found = (path for path in store.rglob("*") if path.is_file())
    return {path.relative_to(store).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


@contextlib.contextmanager
def _counted(server: FakeS3, into: Counter[str]) -> Iterator[None]:
    server.forget()
    yield
    into.update(requests=server.requests, bytes=server.bytes_sent)


def _kb(size: float) -> str:
    return f"{size / 1000:,.1f}" if size else "0"


def tables(costs: list[Cost]) -> Iterator[Table]:
    """Totals, and per row of the file list."""
    written = [f"{'kB written: ' * (group == GROUPS[0])}{group}" for group in GROUPS]
    fetched = ("requests: inventory", "objects", "kB fetched: inventory", "objects")
    total = Table("What a change costs", header=("state", "rows", "chunks", *fetched, *written))
    each = Table(
        "What a change costs, per row",
        header=("state", "requests", "kB fetched", "kB of sources, tables, shards", "kB of shards"),
    )
    for cost in costs:
        rows = f"{cost.rows} ({cost.actions})" if cost.actions else f"{cost.rows}"
        requests = [str(counted["requests"]) for counted in (cost.listing, cost.fetched)]
        sizes = [_kb(counted["bytes"]) for counted in (cost.listing, cost.fetched)]
        groups = [_kb(cost.written[group]) for group in GROUPS]
        total.rows.append((cost.name, rows, str(cost.chunks), *requests, *sizes, *groups))
        if cost.rows:
            values = (cost.fetched["bytes"], cost.data, cost.written["shards"])
            shares = (_kb(value / cost.rows) for value in values)
            each.rows.append((cost.name, f"{cost.fetched['requests'] / cost.rows:.1f}", *shares))
    yield from (total, each)


def benchmark(quick: bool) -> Iterator[Table]:
    """The two tables; ``quick`` changes nothing, the sample is small."""
    with tempfile.TemporaryDirectory() as folder:
        yield from tables(list(measure(Path(folder))))


if __name__ == "__main__":
    main(benchmark, {}, __doc__)
