"""Fixtures: a world on the fake S3 server, one on a local folder, and a network client that gives up soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from biomedica_assets.store import files
from biomedica_assets.store.backends import ClientOptions
from biomedica_assets_tests.ingest.releases import World
from biomedica_assets_tests.servers import FakeS3


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, no_local_database: None) -> None:
    """Two retries within milliseconds: the patience itself is tested with the store."""
    options = ClientOptions(max_retries=2, first_backoff=0.01, max_backoff=0.02, retry_for=5, request_timeout=5)
    monkeypatch.setattr(files, "ClientOptions", lambda: options)


@pytest.fixture
def world(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A store built from an s3:// release whose requests are counted."""
    (tmp_path / "release").mkdir()
    with FakeS3(tmp_path / "release") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        yield World(tmp_path, server)


@pytest.fixture
def local(tmp_path: Any) -> Callable[..., World]:
    """Worlds on local folders, by name."""

    def make(name: str = "local", **settings: Any) -> World:
        root = tmp_path / name
        return World(root, **settings)

    return make
