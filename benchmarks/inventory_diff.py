"""Time and memory of comparing an inventory of millions of versions with the file lists before it.

    python benchmarks/inventory_diff.py --rows 9000000

Writes synthetic inventories (five gzipped shards) to a temporary folder, then runs the first load, a delta of 3,000
rows, and a bare count over the same shards (the floor), each in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

BASE = "inventory-reports/pmc-oa-opendata/metadata"
SHARDS = 5
DELTA = 3000  # PMC grows by about as many articles a day


def inventory(source: str, day: str, rows: str, delta: str) -> str:
    """Write a synthetic inventory and say how large it is."""
    write_inventory(Path(source), day, int(rows), delta=int(delta))
    size = sum(path.stat().st_size for path in Path(source).rglob(f"{day}*.gz"))
    return f"{size / 1e6:.0f} MB in {SHARDS} shards"


def write_inventory(root: Path, day: str, rows: int, *, delta: int) -> None:
    """An inventory of about ``rows`` versions, keys in bucket order; ``delta`` rows added, changed, removed in all."""
    database = duckdb.connect(config={"memory_limit": "4GB", "temp_directory": str(root / "spill")})
    third = delta // 3
    step = max(3, rows // max(1, third))
    database.execute(
        f"""
        CREATE TABLE inventory AS
        SELECT 'pmc-oa-opendata' AS bucket,
               'metadata/PMC' || pmcid || '.' || version || '.json' AS key,
               strftime(TIMESTAMP '2026-01-08' + to_seconds(hash(n) % 20000000), '%Y-%m-%dT%H:%M:%S.000Z') AS modified,
               md5(n || CASE WHEN {delta} > 0 AND n % {step} = 1 THEN 'changed' ELSE '' END) AS etag
        FROM (SELECT n, 10000 + n * 3 // 2 AS pmcid, 1 + (n % 3 = 2)::INT AS version FROM range({rows + third}) r(n))
        WHERE ({delta} > 0 OR n < {rows}) AND NOT ({delta} > 0 AND n % {step} = 2)
        """
    )
    files = []
    (root / BASE / "data").mkdir(parents=True, exist_ok=True)
    for shard in range(SHARDS):
        name = f"{BASE}/data/{day}-{shard}.csv.gz"
        database.execute(
            f"""COPY (SELECT * FROM inventory WHERE hash(key) % {SHARDS} = {shard} ORDER BY key)
                TO '{root / name}' (FORMAT csv, HEADER false, FORCE_QUOTE *, COMPRESSION gzip)"""
        )
        with (root / name).open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        files.append({"key": name, "size": (root / name).stat().st_size, "MD5checksum": digest})
    manifest = json.dumps(
        {
            "sourceBucket": "pmc-oa-opendata",
            "fileFormat": "CSV",
            "fileSchema": "Bucket, Key, LastModifiedDate, ETag",
            "files": files,
        }
    ).encode()
    run = root / BASE / f"{day}T01-00Z"
    run.mkdir(parents=True)
    (run / "manifest.json").write_bytes(manifest)
    (run / "manifest.checksum").write_text(hashlib.md5(manifest).hexdigest())


def compare(source: str, store: str) -> str:
    """Write the file list of the newest release into the store."""
    from biomedica_assets.pmc.file_list import write_file_list
    from biomedica_assets.pmc.releases import open_source
    from biomedica_assets.store.files import Files
    from biomedica_assets.store.manifests import file_list_path

    releases, files = open_source(source), Files(store)
    release = releases.latest()
    assert release is not None
    target = Path(store) / "new.parquet"
    with releases.listing(release) as listing:
        summary = write_file_list(listing, files, target, chunk_size=5000)
    files.put_file(target, file_list_path(release.name), move=True)
    return f"{summary.actions}, {len(summary.chunks)} chunks"


def floor(source: str) -> str:
    """Unzip the newest shards and count their rows, in DuckDB."""
    shards = sorted((Path(source) / BASE / "data").glob("*.csv.gz"))[-SHARDS:]
    paths = ", ".join(f"'{path}'" for path in shards)
    query = f"SELECT count(column1) FROM read_csv([{paths}], header = false, all_varchar = true)"
    database = duckdb.connect(config={"threads": 2})
    return f"{(database.execute(query).fetchone() or [0])[0]} rows"


def measured(name: str, rows: int, *arguments: str) -> dict[str, float]:
    """Run a step of this script in a process of its own and print what it cost."""
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, __file__, "--step", *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read().strip().splitlines()
    if process.wait():
        raise SystemExit(f"{name} failed")
    wall = time.monotonic() - start
    used = json.loads(output[-1])
    print(
        f"{name:<12}{wall:>8.1f} s wall{used['cpu']:>8.1f} s CPU{used['rss'] / 2**20:>8.0f} MiB peak"
        f"{rows / wall / 1000:>8.0f} k rows/s   {output[0]}",
        flush=True,
    )
    return used | {"wall": wall}


def main() -> None:
    """Print the table, or run one step of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=9_000_000)
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        step, *rest = arguments.step
        steps: dict[str, Callable[..., str]] = {"inventory": inventory, "compare": compare, "floor": floor}
        print(steps[step](*rest))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss * 1024}))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        source, store = Path(folder, "source"), Path(folder, "store")
        source.mkdir()
        store.mkdir()
        # every step has a process of its own: a child's peak memory counts from that of its parent
        measured("inventory", arguments.rows, "inventory", str(source), "2026-11-20", str(arguments.rows), "0")
        bare = measured("floor", arguments.rows, "floor", str(source))
        first = measured("first load", arguments.rows, "compare", str(source), str(store))
        measured("inventory", arguments.rows, "inventory", str(source), "2026-11-21", str(arguments.rows), str(DELTA))
        delta = measured("delta", arguments.rows, "compare", str(source), str(store))
        print(f"CPU over floor: first load {first['cpu'] / bare['cpu']:.1f}, delta {delta['cpu'] / bare['cpu']:.1f}")


if __name__ == "__main__":
    main()
