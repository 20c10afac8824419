"""Streams: throughput per core against plain reading and `webdataset`, a filter's share, slow readers, planning.

    python -m benchmarks.streaming [--quick]

The store is made here: images of 20 to 120 kB in shards of 100 MB, one in twenty of an article type of its own, spread
over all shards. Everything is read from the page cache, so that CPU is what is compared: CPU seconds of one process,
imports left out. The server runs in a process of its own; its CPU is read from /proc before and after.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.measure import ROOT, Row, Table, main, mib, run

MODULE = "benchmarks.streaming"
SAMPLES, QUICK_SAMPLES = 20_000, 1_000
ROWS, QUICK_ROWS = 2_400_000, 100_000
SHARD_BYTES, QUICK_SHARD_BYTES = 100_000_000, 10_000_000
SLOW_READERS = 16
RARE, SHARE = "rare-type", 20
CHUNK = "2026-11-20-00000"


def make(folder: str, samples: str, shard_bytes: str) -> dict[str, Any]:
    """A store of one catalogue generation over so many samples; its image bytes are noise."""
    import hashlib

    import numpy as np

    from biomedica_assets.store.files import Files
    from biomedica_assets.store.shards import ShardWriter, commit_shard

    random = np.random.default_rng(5)
    noise, files = random.bytes(1_000_000), Files(folder)
    sizes = random.integers(20_000, 120_000, int(samples)).tolist()
    starts = random.integers(0, 880_000, int(samples)).tolist()
    placed, names = [], {}
    with tempfile.TemporaryDirectory() as scratch:
        writer = ShardWriter(Path(scratch), CHUNK, int(shard_bytes))
        for number, (size, start) in enumerate(zip(sizes, starts, strict=True)):
            image = noise[start : start + size]
            digest = hashlib.sha256(image).hexdigest()
            facts = {"image_id": f"PMC{number}.1/f1/1", "sha256": digest}
            placed.append((*writer.add(f"PMC{number}-1-a_2Ejpg", "jpg", image, "A caption. " * 30, facts), digest))
        for shard in writer.close():
            names[shard.index] = commit_shard(files, CHUNK, shard).path
    rows = [(names[index], offset, length, begin, digest) for index, offset, length, begin, digest in placed]
    _write_generation(files, rows)
    return {"bytes": sum(length for _, _, length, _, _ in rows), "shards": len(names)}


def make_rows(folder: str, count: str) -> dict[str, int]:
    """A catalogue generation of so many rows, whose shards do not exist."""
    import numpy as np

    from biomedica_assets.store.files import Files

    random = np.random.default_rng(6)
    number = int(count)
    digests = random.bytes(32 * number).hex()
    per_shard, length = 14_000, 70_656  # about 1 GB
    rows = []
    for n in range(number):
        shard, place = divmod(n, per_shard)
        path = f"shards/{CHUNK}-{shard:04d}-{shard:016x}.tar"
        rows.append((path, place * length, length, 0, digests[64 * n : 64 * n + 64]))
    _write_generation(Files(folder), rows)
    return {"rows": number}


def _write_generation(files: Any, rows: list[tuple[str, int, int, int, str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from biomedica_assets import schemas
    from biomedica_assets.store.catalogue import CATALOGUE_VERSION, POINTER, WITHDRAWALS, Generation
    from biomedica_assets.store.manifests import DataFile

    count = len(rows)
    shard, offset, length, image_offset, digest = (list(column) for column in zip(*rows, strict=True))
    values = {
        **{"shard": shard, "offset": offset, "length": length, "image_offset": image_offset, "sha256": digest},
        "pmcid": range(count),
        "article_id": [f"PMC{n}.1" for n in range(count)],
        "figure_id": [f"PMC{n}.1/f1" for n in range(count)],
        "image_id": [f"PMC{n}.1/f1/1" for n in range(count)],
        "article_type": [RARE if n * 7919 % SHARE == 0 else "research-article" for n in range(count)],
        "licence_group": ["commercial"] * count,
        "chunk": [CHUNK] * count,
        "media_type": ["image/jpeg"] * count,
    }
    written = {}
    for table in (schemas.SAMPLE_INDEX, schemas.CURRENT, schemas.WITHDRAWALS):
        if table is schemas.SAMPLE_INDEX:
            arrays = [pa.array(values.get(f.name, [None] * count), f.type) for f in table.arrow]
            data = pa.Table.from_arrays(arrays, schema=table.arrow)
        else:
            data = table.arrow.empty_table()
        sink = pa.BufferOutputStream()
        pq.write_table(data, sink, compression="zstd", row_group_size=100_000)
        path = f"catalogue/{table.name}-{len(written):016x}.parquet"
        content = sink.getvalue().to_pybytes()
        files.write(path, content)
        written[table.name] = DataFile(path, len(content), "0" * 64, data.num_rows)
        if table is schemas.WITHDRAWALS:
            files.write(WITHDRAWALS, content)
    files.write(POINTER, Generation(CATALOGUE_VERSION, written, {}, [], {}, {}).to_json())


def _timed(work: Any) -> dict[str, float]:
    """Run twice; CPU and wall seconds of the second time, with what it returns."""
    work()
    wall, cpu = time.monotonic(), time.process_time()
    found = work()
    return {"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall, **found}


def raw(folder: str) -> dict[str, float]:
    """All shards, one after the other, in pieces of 1 MiB."""
    buffer = memoryview(bytearray(1 << 20))

    def work() -> dict[str, float]:
        size = 0
        for path in sorted(Path(folder, "shards").iterdir()):
            with path.open("rb", buffering=0) as file:
                while got := file.readinto(buffer):
                    size += got
        return {"bytes": size}

    return _timed(work)


def tar(folder: str, shuffle: str) -> dict[str, float]:
    """The bytes of a planned stream, made and thrown away; ``plan`` is the CPU of planning it."""
    from biomedica_assets.store.files import Files
    from biomedica_assets.streaming.plan import Part
    from biomedica_assets.streaming.planner import Planner
    from biomedica_assets.streaming.reading import open_source

    files = Files(folder)
    cpu = time.process_time()
    found = Planner(files).begin(Part(shuffle=shuffle == "shuffled"))
    planning, source = time.process_time() - cpu, open_source(files)

    def work() -> dict[str, float]:
        return {"bytes": sum(len(block) for block in found.read(source)), "samples": len(found.plan)}

    return _timed(work) | {"plan": planning}


def requests(folder: str, shuffle: str, article_type: str = "") -> dict[str, float]:
    """Requests that a stream makes of an object store; counted over the local files."""
    from biomedica_assets.dataset.filters import Filters
    from biomedica_assets.store.files import Files
    from biomedica_assets.streaming.plan import Part
    from biomedica_assets.streaming.planner import Planner
    from biomedica_assets.streaming.reading import RemoteSource

    files = Files(folder)
    found = Planner(files).begin(Part(shuffle=shuffle == "shuffled"), Filters(article_type=article_type or ()))
    before, read = files.traffic.requests, files.traffic.bytes
    size = sum(len(block) for block in found.read(RemoteSource(files, 8, 64 << 20)))
    made, read = files.traffic.requests - before, files.traffic.bytes - read
    return {"requests": made, "read": read, "bytes": size, "samples": len(found.plan)}


def client(source: str, verify: str, article_type: str = "") -> dict[str, float]:
    """An epoch through `biomedica_assets.stream`."""
    from biomedica_assets.streaming.client import stream

    filters = {"article_type": article_type} if article_type else {}
    samples = stream(source, verify=verify == "verified", **filters)

    def work() -> dict[str, float]:
        count = size = 0
        for sample in samples:
            count += 1
            size += len(sample["jpg"])
        return {"samples": count, "bytes": size}

    return _timed(work)


def local_webdataset(folder: str, article_type: str = "") -> dict[str, float]:
    """All shards as local tars by `webdataset`; with a type, what is not of it is thrown away after reading."""
    import webdataset

    urls = sorted(str(path) for path in Path(folder, "shards").iterdir())

    def work() -> dict[str, float]:
        count = size = 0
        for sample in webdataset.WebDataset(urls, shardshuffle=False):
            if not article_type or int(sample["__key__"].split("-")[0][3:]) * 7919 % SHARE == 0:
                count += 1
                size += len(sample["jpg"])
        return {"samples": count, "bytes": size}

    return _timed(work)


def plan_rows(folder: str, article_type: str = "") -> dict[str, float]:
    """CPU and memory of planning over many rows: all of them, or a filter's."""
    import resource

    from biomedica_assets.dataset.filters import Filters
    from biomedica_assets.store.files import Files
    from biomedica_assets.streaming.planner import Planner

    before, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = Planner(Files(folder)).begin(filters=Filters(article_type=article_type or ()))
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    held = found.plan.samples.nbytes + found.plan.nbytes
    return {"cpu": time.process_time() - cpu, "memory": memory, "held": held, "samples": len(found.plan)}


def serve(folder: str) -> None:
    """The web server over a store until stdin closes, for ten minutes at most; prints its address."""
    import threading

    import uvicorn

    from biomedica_assets.serve.app import create_app
    from biomedica_assets.settings import Settings

    app = create_app(Settings(store=folder, _env_file=None))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))

    def end() -> None:
        sys.stdin.read()
        server.should_exit = server.force_exit = True

    def announce() -> None:
        while not server.started:
            time.sleep(0.02)
        print(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)

    threading.Thread(target=end, daemon=True).start()
    threading.Thread(target=announce, daemon=True).start()
    threading.Timer(600, lambda: os._exit(1)).start()
    server.run()
    os._exit(0)


@contextlib.contextmanager
def server(folder: str) -> Iterator[tuple[str, int]]:
    """Address and process id of `serve` in a process of its own."""
    command = [sys.executable, "-m", MODULE, "--step", "serve", folder]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, text=True, **pipes)
    assert process.stdin and process.stdout
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.stdin.close()
        process.wait(20)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _request(url: str, path: str) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 80), 60)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
    return connection


def _download(url: str, path: str) -> int:
    """Bytes of an answer, thrown away as cheaply as can be."""
    buffer, size = bytearray(1 << 20), 0
    with _request(url, path) as connection:
        while got := connection.recv_into(buffer):
            size += got
    return size


def benchmark(quick: bool) -> Iterator[Table]:
    """Throughput, a filter, slow readers; then planning."""
    with tempfile.TemporaryDirectory() as folder:
        samples = QUICK_SAMPLES if quick else SAMPLES
        made = _step("make", folder, samples, QUICK_SHARD_BYTES if quick else SHARD_BYTES)
        with server(folder) as (url, pid):
            yield _throughput(folder, made, url, pid)
            yield _filtered(folder, samples, url, pid)
            yield _slow(url, pid)
        yield _requests(folder)
    with tempfile.TemporaryDirectory() as folder:
        yield _planning(folder, QUICK_ROWS if quick else ROWS)


def _step(*arguments: object) -> dict[str, Any]:
    answer: dict[str, Any] = run(MODULE, "--step", *arguments).answer
    return answer


def _throughput(folder: str, made: dict[str, Any], url: str, pid: int) -> Table:
    title = f"{made['bytes'] / 1e9:.2f} GB in {made['shards']} shards: CPU per GB"
    table = Table(title, ("what", "CPU s per GB", "floor", "ratio", "bound", "held", "notes"))
    floor, wds = _step("raw", folder), _step("local_webdataset", folder)

    def row(name: str, found: dict[str, float], against: dict[str, float], bound: float | None, notes: str) -> None:
        cost, least = (each["cpu"] / each["bytes"] * 1e9 for each in (found, against))
        rate = f"{found['bytes'] / found['cpu'] / 1e6:,.0f} MB/CPU-s"
        if "samples" in found:
            rate += f", {found['samples'] / found['cpu']:,.0f} samples/CPU-s"
        table.add(Row(name, f"{cost:.3f}", f"{least:.3f}", cost / least, bound, f"{rate}; {notes}"))

    row("plain sequential read", floor, floor, None, "the floor")
    row("stream made, archive's order", _step("tar", folder, "archive"), floor, 3.0, "no HTTP")
    row("stream made, shuffled", _step("tar", folder, "shuffled"), floor, 5.0, "no HTTP; copies miss the caches")
    for name, query in (("archive's order", "?shuffle=false"), ("shuffled", "")):
        _download(url, f"/v1/stream{query}")
        before, wall = _cpu(pid), time.monotonic()
        size = _download(url, f"/v1/stream{query}")
        wall = time.monotonic() - wall
        found = {"cpu": _cpu(pid) - before, "bytes": float(size)}
        row(f"server, {name}", found, floor, None, f"the server's process, {size / wall / 1e6:,.0f} MB/s")
    row("`webdataset`, local tars", wds, wds, None, "what training reads today")
    for what, verify in (("images checked", "verified"), ("counted only", "counted")):
        row(f"client, local store, {what}", _step("client", folder, verify), wds, 1.0, "against webdataset")
        row(f"client, server, {what}", _step("client", url, verify), wds, 1.0, "the client's process")
    return table


def _filtered(folder: str, samples: int, url: str, pid: int) -> Table:
    table = Table("A filter that keeps 5 %, spread over all shards")
    everything = _step("client", folder, "counted")
    for name, source in (("client, local store", folder), ("client, server", url)):
        before = _cpu(pid)
        found = _step("client", source, "counted", RARE)
        served = f", server {(_cpu(pid) - before) / 2:.2f} CPU-s" if source == url else ""
        notes = f"{found['samples']} of {samples} samples, {found['cpu']:.2f} CPU-s, {found['wall']:.2f} s{served}"
        share = found["bytes"] / everything["bytes"]
        table.add(Row(f"{name}: bytes", f"{found['bytes'] / 1e6:.0f} MB", "5 % of all", share * 20, 1.1, notes))
    wds = _step("local_webdataset", folder, RARE)
    notes = f"reads everything: {wds['cpu']:.2f} CPU-s, {wds['wall']:.2f} s"
    table.add(
        Row("`webdataset` with a condition", f"{everything['bytes'] / 1e6:.0f} MB", "5 % of all", 20.0, None, notes)
    )
    return table


def _slow(url: str, pid: int) -> Table:
    """Readers that take nothing: memory must stay bounded by the blocks under way."""
    table = Table(f"{SLOW_READERS} readers that take nothing")
    before = _resident(pid)
    connections = [_request(url, f"/v1/stream?seed={number}") for number in range(SLOW_READERS)]
    try:
        time.sleep(5)
        more = _resident(pid) - before
        asked = b"".join(connection.recv(20) for connection in connections[:1])
        assert b"200" in asked, asked
        with _request(url, "/v1/stream") as refused:
            answer = refused.recv(20)
    finally:
        for connection in connections:
            connection.close()
    bound = SLOW_READERS * 4 * 2**20
    notes = f"one more is answered {answer.split()[1].decode()}"
    table.add(Row("memory of the server, more than before", mib(more), mib(bound), more / bound, 1.0, notes))
    return table


def _requests(folder: str) -> Table:
    table = Table(
        "Requests of an object store", ("what", "per 1,000 samples", "floor", "ratio", "bound", "held", "notes")
    )
    for name, shuffle, kind, bound in (
        ("archive's order", "archive", "", 0.05),
        ("shuffled", "shuffled", "", 0.1),
        ("5 % at random, shuffled", "shuffled", RARE, 1.0),
    ):
        found = _step("requests", folder, shuffle, *([kind] if kind else []))
        per = found["requests"] / found["samples"]
        notes = (
            f"{found['bytes'] / found['requests'] / 1e3:,.0f} kB each; read {found['read'] / found['bytes']:.3f} times"
        )
        table.add(Row(name, f"{1000 * per:.0f}", "1,000: one each", per, bound, notes))
    return table


def _planning(folder: str, rows: int) -> Table:
    table = Table(f"Planning over {rows:,} rows", ("what", "CPU s", "per 24 M rows", "", "", "", "notes"))
    _step("make_rows", folder, rows)
    for name, arguments in (("everything, shuffled", ()), ("a filter that keeps 5 %", (RARE,))):
        found = _step("plan_rows", folder, *arguments)
        scale = 24e6 / rows
        notes = (
            f"arrays {mib(found['held'])}, peak {mib(found['memory'])}; of 24 M rows {mib(found['held'] * scale)} "
            f"and at most {mib(found['memory'] * scale)}, by proportion"
        )
        table.add(Row(name, f"{found['cpu']:.2f}", f"{found['cpu'] * scale:.1f} CPU s", notes=notes))
    return table


STEPS = {f.__name__: f for f in (make, make_rows, raw, tar, requests, client, local_webdataset, plan_rows, serve)}

if __name__ == "__main__":
    main(benchmark, STEPS, __doc__)
