"""What the Dagster UI asks for an asset's partitions page: 2,500 partitions of every chunk asset, on SQLite.

    python -m benchmarks.partition_page [--quick]

Fills an instance with materializations (one reported per asset, the rest copied in its database: reporting each takes
some 20 ms), starts the web server of the project on it and asks over GraphQL. Seconds here are wall time, the browser's
drawing not included. The last line is `reconcile` of a small store into an empty instance, by event.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Row, Table, main, run

MODULE = "benchmarks.partition_page"
ASSETS = ("versions", "articles", "figures", "captions", "mentions", "images")
BOUND = 2.0
"""Seconds: what people wait for without wondering."""

_PAGE = """
query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  partitionKeysByDimension { name partitionKeys }
  partitionStats { numPartitions numMaterialized numFailed numMaterializing }
  assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions failedPartitions
    unmaterializedPartitions materializingPartitions } } } } }
"""
_LINEAGE = """
{ assetNodes { assetKey { path } partitionStats { numPartitions numMaterialized }
  assetMaterializations(limit: 1) { timestamp partition } } }
"""


def fill(home: str, partitions: str) -> int:
    """An instance in ``home`` on which every chunk asset is materialized for so many partitions."""
    import dagster as dg
    import sqlalchemy as sa

    from biomedica_assets import schemas
    from biomedica_assets.automation.partitions import PMC_CHUNK

    Path(home).mkdir(parents=True)
    shutil.copy(ROOT / "dagster.yaml", home)
    keys = [f"2026-11-20-{number:05}" for number in range(int(partitions))]
    with dg.DagsterInstance.from_config(home) as instance:
        instance.add_dynamic_partitions(PMC_CHUNK, keys)
        for name in schemas.CHUNK_TABLES:
            metadata: dict[str, Any] = {"dagster/row_count": 25_000, "preview": dg.MetadataValue.md("x" * 10_000)}
            instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=keys[0], metadata=metadata))
        storage: Any = instance.event_log_storage
        with storage.index_transaction() as connection:
            events = sa.Table("event_logs", sa.MetaData(), autoload_with=connection)
            for row in connection.execute(sa.select(events).where(events.c.partition == keys[0])).mappings().all():
                common = {name: value for name, value in row.items() if name != "id"}
                copies = [common | {"partition": k, "event": row["event"].replace(keys[0], k)} for k in keys[1:]]
                connection.execute(sa.insert(events), copies)
        return len(instance.get_materialized_partitions(dg.AssetKey("images")))


def reconcile(folder: str, chunks: str) -> dict[str, Any]:
    """CPU of reporting a small store to an empty instance, and of doing it again."""
    import dagster as dg

    from benchmarks.many_chunks import _workspace
    from benchmarks.synthetic import make_store
    from biomedica_assets.automation.reconcile import reconcile_instance

    make_store(folder, chunks)
    home = Path(folder, "home")
    home.mkdir()
    seconds = []
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        for _ in range(2):
            before = time.process_time()
            done = reconcile_instance(instance, _workspace(folder), log=lambda _: None)
            seconds.append((time.process_time() - before, done["materializations_reported"]))
    return {"seconds": seconds}


def ask(home: str) -> dict[str, Any]:
    """Start the web server on the instance and time its answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["timeout", "300", sys.executable, "-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1"]
    environment = {**os.environ, "DAGSTER_HOME": home, "DAGSTER_DISABLE_TELEMETRY": "1"}
    server = subprocess.Popen(
        [*command, "-p", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(port)
        lineage, _ = _graphql(port, _LINEAGE)
        lineage_again, _ = _graphql(port, _LINEAGE)
        first, warm, counts = [], [], {}
        for name in ASSETS:
            seconds, answer = _graphql(port, _PAGE, {"key": {"path": [name]}})
            first.append(seconds)
            counts = answer["assetNodeOrError"]["partitionStats"]
            warm.append(_graphql(port, _PAGE, {"key": {"path": [name]}})[0])
        times = {"first": statistics.median(first), "warm": statistics.median(warm)}
        return {**times, "lineage": lineage, "lineage_again": lineage_again, "counts": counts}
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _graphql(port: int, query: str, variables: dict[str, Any] | None = None) -> tuple[float, Any]:
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"})
    started = time.monotonic()
    with urllib.request.urlopen(request, timeout=120) as response:
        answer = json.load(response)
    if answer.get("errors"):
        raise SystemExit(str(answer["errors"])[:2000])
    return time.monotonic() - started, answer["data"]


def _wait(port: int) -> None:
    end = time.monotonic() + 240
    while True:
        try:
            _, data = _graphql(port, "{ assetNodes { assetKey { path } } }")
            if data["assetNodes"]:
                return
        except OSError:
            pass
        if time.monotonic() > end:
            raise SystemExit("the web server did not load the code")
        time.sleep(0.5)


STEPS = {f.__name__: f for f in (fill, reconcile, ask)}


def benchmark(quick: bool) -> Iterator[Table]:
    """The page with few and with many partitions."""
    small, large = (10, 100) if quick else (25, 2500)
    table = Table(f"The UI with {large:,} partitions x 10 assets: seconds of waiting")
    with tempfile.TemporaryDirectory() as root:
        answers = []
        for size in (small, large):
            home = Path(root, str(size))
            run(MODULE, "--step", "fill", home, size)
            answers.append(run(MODULE, "--step", "ask", home).answer)
            assert answers[-1]["counts"]["numMaterialized"] == size, answers[-1]
        few, many = answers
        for name, words in (
            ("first", "partitions page of an asset, asked for the first time"),
            ("warm", "the same page again"),
            ("lineage", "asset lineage with partition counts, first time"),
            ("lineage_again", "the same again"),
        ):
            notes = f"{few[name]:.2f} s with {small} partitions"
            table.add(Row(words, f"{many[name]:.2f} s", f"{BOUND:.0f} s", many[name] / BOUND, 1.0, notes))
        (cpu, events), (again, _) = run(MODULE, "--step", "reconcile", Path(root, "r"), small).answer["seconds"]
        notes = f"{cpu:.2f} s for {events} events; {again:.2f} s when nothing is missing"
        table.add(
            Row(
                "reconcile into an empty instance, per table and chunk",
                f"{1000 * cpu / events:.0f} ms CPU",
                notes=notes,
            )
        )
    yield table


if __name__ == "__main__":
    main(benchmark, STEPS, __doc__)
