"""`biomedica serve` and `biomedica key` as processes."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

BIOMEDICA = [sys.executable, "-m", "biomedica_assets.cli"]


def run(*arguments, **environment):
    given = {name: value for name, value in os.environ.items() if not name.startswith("BIOMEDICA_")}
    return subprocess.run(
        [*BIOMEDICA, *arguments], env={**given, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_key_is_shown_once_and_stored_hashed():
    done = run("key", "ada")
    name, digest = done.stdout.split()
    shown = done.stderr.split()[-1]
    assert (name, digest) == ("ada", hashlib.sha256(shown.encode()).hexdigest())
    assert run("key", "a b").returncode == 1


def test_others_are_not_served_by_accident(tmp_path):
    done = run("serve", "--host", "0.0.0.0", BIOMEDICA_STORE=str(tmp_path))
    assert done.returncode == 1
    assert "--open" in done.stderr
    empty = tmp_path / "keys"
    empty.write_text("# nobody\n")
    done = run("serve", "--host", "0.0.0.0", BIOMEDICA_STORE=str(tmp_path), BIOMEDICA_SERVE_KEYS=str(empty))
    assert "holds no key" in done.stderr


@pytest.mark.timeout(180)
def test_two_processes_serve_count_together_and_end_gracefully(world):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*BIOMEDICA, "serve", "--port", str(port), "--workers", "2", "--store", world.given["store"]]
    environment = {**os.environ, "BIOMEDICA_CACHE": str(world.root / "cache")}
    server = subprocess.Popen(
        ["timeout", "--kill-after=10", "150", "env", "--default-signal=INT,TERM", *command],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 90
        while True:
            try:
                if httpx.get(f"{url}/v1/health/ready", timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.3)
            assert time.monotonic() < end
            assert server.poll() is None, server.communicate()
        for _ in range(20):  # each over a connection of its own: whichever process takes it
            assert httpx.get(f"{url}/v1/labels", timeout=30).status_code == 200
        text = httpx.get(f"{url}/v1/metrics", timeout=30).text
        line = 'biomedica_http_requests_total{method="GET",route="/v1/labels",status="200"} 20.0'
        assert line in text.splitlines()
    finally:
        server.send_signal(signal.SIGTERM)
    out, err = server.communicate(timeout=60)
    assert f"http://127.0.0.1:{port}/" in out
    assert "Application shutdown complete" in err
    assert "Traceback" not in err
