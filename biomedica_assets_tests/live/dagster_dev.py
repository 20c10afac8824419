"""Start and stop `dagster dev` for a test, and talk GraphQL to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIFE_SECONDS = 1200
"""However a test ends, the services end by themselves after this."""

SELECTOR = {"repositoryName": "__repository__", "repositoryLocationName": "biomedica_assets"}


class DagsterDev:
    """`dagster dev` with its own DAGSTER_HOME. A context manager."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            (home / "dagster.yaml").symlink_to(ROOT / "dagster.yaml")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**os.environ, **environment, "DAGSTER_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DagsterDev:
        command = [
            sys.executable,
            "-m",
            "dagster",
            "dev",
            "-w",
            "workspace.yaml",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        log = (self.home / "dev.log").open("ab")
        self._process = subprocess.Popen(
            # Started in the background a process inherits an ignored SIGINT, and then ignores SIGTERM too.
            ["timeout", "--kill-after=20", str(LIFE_SECONDS), "env", "--default-signal=INT,TERM", *command],
            cwd=ROOT,
            env=self._environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self.wait(self._answers, 240, "the web server")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(40)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(20)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"dagster dev ended: {self.log()[-3000:]}")
        try:
            urllib.request.urlopen(f"{self.url}/server_info", timeout=5).close()
        except (urllib.error.URLError, OSError):
            return False
        return True

    def log(self) -> str:
        return (self.home / "dev.log").read_text(errors="replace")

    def wait(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Poll until the condition is true; fail with the log's end after ``seconds``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(1)
        raise AssertionError(f"waited {seconds} s in vain for {what}; log ends: {self.log()[-3000:]}")

    def query(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.load(reply)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def start_sensor(self, name: str) -> None:
        mutation = """mutation($s: SensorSelector!) { startSensor(sensorSelector: $s) { __typename } }"""
        assert self.query(mutation, s={**SELECTOR, "sensorName": name})["startSensor"]["__typename"] == "Sensor"

    def start_schedule(self, name: str) -> None:
        mutation = """mutation($s: ScheduleSelector!) { startSchedule(scheduleSelector: $s) { __typename } }"""
        reply = self.query(mutation, s={**SELECTOR, "scheduleName": name})["startSchedule"]["__typename"]
        assert reply == "ScheduleStateResult"

    def launch_job(self, name: str) -> None:
        mutation = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }"""
        params = {"selector": {**SELECTOR, "jobName": name}, "runConfigData": {}, "mode": "default"}
        assert self.query(mutation, p=params)["launchRun"]["__typename"] == "LaunchRunSuccess"

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first: runId, status, jobName, tags as a dict."""
        query = """{ runsOrError { ... on Runs { results { runId status jobName tags { key value } } } } }"""
        runs = self.query(query)["runsOrError"]["results"]
        for run in runs:
            run["tags"] = {tag["key"]: tag["value"] for tag in run["tags"]}
        return runs

    def partition_stats(self, asset: str) -> dict[str, int]:
        query = """query($k: AssetKeyInput!) { assetNodeOrError(assetKey: $k) { ... on AssetNode { partitionStats {
                   numMaterialized numPartitions numFailed numMaterializing } } } }"""
        return self.query(query, k={"path": [asset]})["assetNodeOrError"]["partitionStats"]
