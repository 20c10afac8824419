"""The web server under load: arrivals that do not wait (Poisson), at rising rates, until well beyond saturation.

Each rate runs in a process of its own against ``biomedica serve`` on loopback. Latency counts from the moment a request
was due, so that a server that stalls cannot hide it. Goodput is what was answered with success; the rest must be
refused clearly (429, 503), quickly, without the goodput falling. Server and load share the machine: the rates are of
this machine, their relations hold elsewhere.

The store is made of the sample; ``BIOMEDICA_LOAD_STORE`` names another, with its search index.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Table, main, run

CLIENT_SECONDS = 20
"""After which the load gives a request up, which counts as an error."""
LIFE_SECONDS = 900
"""Of a server, whatever happens."""
MIX = (("search", 0.6), ("filtered", 0.15), ("figure", 0.15), ("thumbnail", 0.1))
"""Kinds of requests, and their shares: hybrid search with facets, keywords with a filter, a record, a small picture."""
HEADER = ("offered /s", "good /s", "p50 ms", "p95 ms", "p99 ms", "refused", "refusals p95 ms", "errors", "server cores")


def arrivals(url: str, rate: str, seconds: str, seed: str) -> dict[str, Any]:
    """One step: requests at a rate for some seconds; what became of them."""
    return asyncio.run(_arrivals(url, float(rate), float(seconds), int(seed)))


async def _arrivals(url: str, rate: float, seconds: float, seed: int) -> dict[str, Any]:
    import aiohttp

    dice = random.Random(seed)
    good: list[float] = []
    refused: list[float] = []
    outcomes: Counter[str] = Counter()
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=CLIENT_SECONDS)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as client:
        async with client.get("/v1/search", params={"limit": 100}) as reply:
            known = (await reply.json())["hits"]

        async def one(path: str, parameters: dict[str, Any], due: float) -> None:
            try:
                async with client.get(path, params=parameters) as reply:
                    await reply.read()
                    status = reply.status
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                outcomes[type(error).__name__] += 1
                return
            outcomes[str(status)] += 1
            took = time.perf_counter() - due
            if status < 300:
                good.append(took)
            elif status in (429, 503):
                refused.append(took)

        begun = time.perf_counter()
        due, tasks = begun, set()
        while (due := due + dice.expovariate(rate)) < begun + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(one(*_request(dice, known), due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        lateness = time.perf_counter() - due
        await asyncio.gather(*tasks)
    wrong = {name: count for name, count in outcomes.items() if name not in ("200", "429", "503")}
    return {
        "sent": outcomes.total(),
        "seconds": seconds,
        "good": sorted(good),
        "refused": sorted(refused),
        "wrong": wrong,
        "late": max(0.0, lateness),
    }


def _request(dice: random.Random, known: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    kind = dice.choices([name for name, _ in MIX], [share for _, share in MIX])[0]
    hit = dice.choice(known)
    words = [word for word in (hit["caption"] or hit["title"]).split() if len(word) > 3] or ["section"]
    query = " ".join(dice.sample(words, min(len(words), dice.randint(1, 4)))).replace("-", " ")
    if kind == "search":
        return "/v1/search", {"q": query, "limit": 24, "facet": ["licence", "year", "journal"]}
    if kind == "filtered":
        return "/v1/search", {"q": query, "mode": "keyword", "licence_group": "commercial", "published_from": "2015"}
    if kind == "thumbnail" and hit["images"] and hit["images"][0]["thumbnail_url"]:
        return hit["images"][0]["thumbnail_url"].partition("?")[0], {"size": 320}
    return f"/v1/figures/{hit['figure_id'].replace('%', '%25')}", {}


@contextlib.contextmanager
def serving(store: str, cache: str, workers: int) -> Iterator[tuple[str, int]]:
    """A server as ``biomedica serve`` runs it; yields its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "BIOMEDICA_STORE": store, "BIOMEDICA_CACHE": cache, "BIOMEDICA_SERVE_RATE": "0"}
    command = [sys.executable, "-m", "biomedica_assets.cli", "serve", "--port", str(port), "--workers", str(workers)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            ["timeout", str(LIFE_SECONDS), *command], stdout=log, stderr=log, cwd=ROOT, env=environment
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _wait(url, process, workers)
            yield url, process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _wait(url: str, process: subprocess.Popen[bytes], workers: int) -> None:
    """Until every worker has most likely answered a search."""
    end, answered = time.monotonic() + 120, 0
    while answered < 20 * workers:
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit("the server did not start")
        try:
            with urllib.request.urlopen(f"{url}/v1/search?q=section", timeout=30):
                answered += 1
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all below it, in seconds."""
    tick, total, left = os.sysconf("SC_CLK_TCK"), 0, [pid]
    while left:
        process = Path("/proc") / str(left.pop())
        with contextlib.suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
            for thread in (process / "task").iterdir():
                left += map(int, (thread / "children").read_text().split())
    return total / tick


def curve(store: str, cache: str, workers: int, quick: bool) -> Table:
    """Rates up to at least 2.5 times the peak of goodput; then the peak and its double in turns, medians compared."""
    seconds = 3 if quick else 6
    table = Table(f"{workers} worker{'s' if workers > 1 else ''}", HEADER)
    with serving(store, cache, workers) as (url, pid):

        def offer(rate: float, *, kept: bool = True) -> tuple[float, float]:
            """Goodput, and of it what a core of the server did."""
            before = cpu_seconds(pid)
            found = run("benchmarks.load", "--step", "arrivals", url, rate, seconds, int(rate)).answer
            cores = (cpu_seconds(pid) - before) / seconds
            good = len(found["good"]) / seconds
            cells = _cells(rate, good, cores, found)
            print(" | ".join(cells), file=sys.stderr, flush=True)
            if found["late"] > 1:
                print(f"the load itself was {found['late']:.1f} s late: its rate was lower", file=sys.stderr)
            if kept:
                table.rows.append(cells)
            return good, good / max(cores, 0.01)

        offer(10, kept=False)  # caches fill
        rate, peak, best = 20.0 * workers, 0.0, 0.0
        while rate < 2.5 * 1.4 * peak or not peak:
            good, _ = offer(rate)
            if good > peak:
                peak, best = good, rate
            rate *= 1.4
        turns = [(offer(best, kept=False), offer(2 * best, kept=False)) for _ in range(1 if quick else 4)]
    once, twice = (statistics.median(turn[at][0] for turn in turns) for at in (0, 1))
    core, core_twice = (statistics.median(turn[at][1] for turn in turns) for at in (0, 1))
    words = f"in turns, {best:.0f} /s offered: {once:.0f} good; {2 * best:.0f} /s: {twice:.0f}, {twice / once:.0%}"
    words += f"; for each core the server got {core:.0f} and {core_twice:.0f}, {core_twice / core:.0%}"
    table.rows.append((words, *[""] * (len(HEADER) - 1)))
    return table


def _cells(rate: float, good: float, cores: float, found: dict[str, Any]) -> tuple[str, ...]:
    def at(values: list[float], share: float) -> str:
        return f"{1000 * values[min(len(values) - 1, int(share * len(values)))]:.0f}" if values else "–"

    shares = [at(found["good"], share) for share in (0.5, 0.95, 0.99)]
    refused = f"{len(found['refused']) / max(1, found['sent']):.0%}"
    wrong = ", ".join(f"{count} {name}" for name, count in found["wrong"].items()) or "0"
    return (f"{rate:.0f}", f"{good:.0f}", *shares, refused, at(found["refused"], 0.95), wrong, f"{cores:.2f}")


def benchmark(quick: bool) -> Iterator[Table]:
    """The curve of one worker and of two."""
    with tempfile.TemporaryDirectory() as folder:
        store = os.environ.get("BIOMEDICA_LOAD_STORE")
        if not store:
            store = f"{folder}/store"
            places = {"BIOMEDICA_STORE": store, "BIOMEDICA_SAMPLE": f"{folder}/sample", "DAGSTER_HOME": folder}
            command = [sys.executable, "-m", "biomedica_assets.cli", "build"]
            done = subprocess.run(command, env={**os.environ, **places}, capture_output=True, check=False, timeout=900)
            if done.returncode:
                raise SystemExit(f"the sample could not be built: {done.stderr.decode()[-2000:]}")
        for workers in (1, 2):
            yield curve(store, f"{folder}/cache", workers, quick)


if __name__ == "__main__":
    main(benchmark, {"arrivals": arrivals}, __doc__)
