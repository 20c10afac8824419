"""Whole processes measured: CPU, wall time and peak memory, medians of alternating runs, one Markdown table.

Belongs here: how to measure and print. Not here: what is measured. Only the standard library: a child's peak memory
begins with that of the process that starts it, so the one that starts the steps stays small.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("BIOMEDICA_SHARED") or ROOT.parent / "shared")
"""Where the corpus of real articles may lie."""


@dataclass(frozen=True)
class Used:
    """What one process cost: CPU (user and system) and wall time in seconds, peak resident memory in bytes.

    ``answer`` is the JSON value on the last line that the process printed; null when it printed none.
    """

    cpu: float
    wall: float
    memory: int
    answer: Any = None


@dataclass
class Row:
    """One line of the table. ``ratio`` is cost over floor, or whatever else ``bound`` limits."""

    name: str
    cost: str
    floor: str = ""
    ratio: float | None = None
    bound: float | None = None
    notes: str = ""

    def cells(self) -> tuple[str, ...]:
        ratio, bound = (f"{value:.2f}" if value is not None else "" for value in (self.ratio, self.bound))
        held = "" if self.ratio is None or self.bound is None else "yes" if self.ratio <= self.bound else "**no**"
        return (self.name, self.cost, self.floor, ratio, bound, held, self.notes)


@dataclass
class Table:
    """The rows of one benchmark, under its heading; printed as they come."""

    title: str
    header: tuple[str, ...] = ("what", "cost", "floor", "ratio", "bound", "held", "notes")
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row.cells())

    def markdown(self) -> str:
        lines = [self.header, ("---",) * len(self.header), *self.rows]
        return f"### {self.title}\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def run(*arguments: object, environment: Mapping[str, str] | None = None) -> Used:
    """Run ``python -m <arguments>`` from the checkout as a process of its own and measure it.

    Raises:
        SystemExit: it failed; its last words are in the message.
    """
    command = [sys.executable, "-m", *map(str, arguments)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=err, cwd=ROOT, env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - started
        out.seek(0)
        err.seek(0)
        printed, words = out.read().decode().strip().splitlines(), err.read().decode()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{words[-3000:]}")
    answer = json.loads(printed[-1]) if printed else None
    return Used(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024, answer)


def alternating(runs: int, *steps: Callable[[], Used]) -> list[Used]:
    """The run of median CPU of each step. Steps take turns, so that a busy machine disturbs all alike."""
    results: list[list[Used]] = [[] for _ in steps]
    for _ in range(runs):
        for step, found in zip(steps, results, strict=True):
            found.append(step())
    return [sorted(found, key=lambda used: used.cpu)[(len(found) - 1) // 2] for found in results]


@contextlib.contextmanager
def served(folder: Path, seconds: int = 900) -> Iterator[dict[str, str]]:
    """Serve a folder as the S3 bucket ``bucket`` from another process; yields the environment that finds it.

    The server ends by itself after ``seconds``.
    """
    command = [sys.executable, "-m", "biomedica_assets_tests.servers", str(folder), "--seconds", str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        if not endpoint:
            raise SystemExit("the object server did not start")
        yield {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def spread(values: list[float]) -> float:
    """(largest - smallest) / median: how far runs disagree."""
    return (max(values) - min(values)) / statistics.median(values)


def mib(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"


def arguments_of(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes and single runs, to see that it works")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    return parser


def main(
    benchmark: Callable[[bool], Iterator[Table]], steps: Mapping[str, Callable[..., Any]], doc: str | None
) -> None:
    """Command line of a benchmark: print its tables, or do one of its steps and print the answer as JSON."""
    arguments = arguments_of(doc).parse_args()
    if arguments.step:
        name, *rest = arguments.step
        answer = steps[name](*rest)
        print(json.dumps(answer))
        return
    for table in benchmark(arguments.quick):
        print(table.markdown(), flush=True)
