"""A build that is killed, at every write or at any instant, and run again, ends in the files of an unbroken one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import read_chunk_manifests
from biomedica_assets_tests.ingest.releases import DAYS, World, art, data_files, picture, write_release

# Big enough pictures that writing them takes a while.
ARTICLES = [art(n, pictures=n % 4).with_file("f1.png", picture(n, "PNG", (300, 200))) for n in range(1, 13)]
CHANGED = [ARTICLES[0].but(title="new"), *ARTICLES[2:5], ARTICLES[5].with_file("f2.png", picture(900)), *ARTICLES[6:]]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code may catch it."""


def crash_at(monkeypatch: pytest.MonkeyPatch, write: int) -> None:
    """End the process, so to say, before the n-th write to the store, which is just after the one before."""
    count = iter(range(10**6))

    def crashing(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(count) == write:
                raise Killed
            return method(*args, **kwargs)

        return call

    for name in ("write", "put_file"):
        monkeypatch.setattr(Files, name, crashing(getattr(Files, name)))


def test_crash_before_every_write(local: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> None:
    """Store and release are brought back to the state before the second release by copying: one build per crash."""
    world = local()
    world.build(DAYS[0], *ARTICLES)
    world.release(DAYS[1], *CHANGED)
    start = world.root / "start"
    shutil.copytree(world.root / "store", start)
    world.build()
    reference = data_files(world.files)
    crashes = 0
    for write in range(100):
        shutil.rmtree(world.root / "store")
        shutil.copytree(start, world.root / "store")
        with monkeypatch.context() as patch:
            crash_at(patch, write)
            try:
                world.build()
            except Killed:
                crashes += 1
            else:
                break
        world.build()
        assert data_files(world.files) == reference, f"crashed at write {write}"
    # at least: file list, ten tables, a shard, manifest, three catalogue files and their pointer
    assert crashes >= 1 + 10 + 1 + 1 + 3 + 1


def run(folder: Path, source: Path, kill_after: float | None = None) -> tuple[int, float]:
    """`biomedica build` in a process of its own; exit status, and seconds since the store's first file."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("BIOMEDICA_", "AWS_"))}
    environment |= {
        "BIOMEDICA_SOURCE": str(source),
        "BIOMEDICA_STORE": str(folder / "store"),
        "BIOMEDICA_CHUNK_SIZE": "4",
        "BIOMEDICA_CHUNKS_PER_RUN": "2",
        "DAGSTER_HOME": str(folder / "home"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
    (folder / "home").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-X", "faulthandler", "-c", "from biomedica_assets.cli import main; main()", "build"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            began = None
            end = time.monotonic() + 240
            while process.poll() is None and time.monotonic() < end:
                # A first build begins with store.json; a later one with the work that Dagster does before it.
                if began is None and (folder / "store" / "store.json").exists():
                    began = time.monotonic()
                if kill_after is not None and began is not None and time.monotonic() - began >= kill_after:
                    os.kill(process.pid, signal.SIGKILL)
                    break
                time.sleep(0.002)
        finally:
            if process.poll() is None and kill_after is None:
                process.send_signal(signal.SIGABRT)  # it hangs: the log tells where
        process.wait(30)
    return process.returncode, time.monotonic() - (began or time.monotonic())


def killed_builds(tmp_path: Path, kills: int, seed: int) -> None:
    write_release(tmp_path / "release", DAYS[0], ARTICLES)
    status, seconds = run(tmp_path / "unbroken", tmp_path / "release")
    assert status == 0, (tmp_path / "unbroken" / "log").read_text()
    reference = data_files(Files(tmp_path / "unbroken" / "store"))
    live = {c: sorted(m.files) for c, m in read_chunk_manifests(Files(tmp_path / "unbroken" / "store")).items()}
    assert len(live) == 3
    instants = random.Random(seed)
    killed = 0
    for attempt in range(kills):
        folder = tmp_path / f"killed{attempt // 3}"  # up to three kills in the life of one store
        # The first dies while it lists the release: Dagster's place in a pool is then still taken.
        status, _ = run(folder, tmp_path / "release", instants.uniform(0, seconds) if attempt else 0.0)
        killed += status == -signal.SIGKILL
        if attempt % 3 == 2 or attempt == kills - 1:
            status, _ = run(folder, tmp_path / "release")
            assert status == 0, (folder / "log").read_text()
            store = Files(folder / "store")
            assert data_files(store) == reference
            assert {c: sorted(m.files) for c, m in read_chunk_manifests(store).items()} == live
    assert killed


def test_sigkill(tmp_path: Path) -> None:
    killed_builds(tmp_path, kills=3, seed=2)


@pytest.mark.soak
@pytest.mark.timeout(3000)  # 28 builds of up to half a minute, each with a bound of its own
def test_sigkill_often(tmp_path: Path) -> None:
    killed_builds(tmp_path, kills=20, seed=1)
