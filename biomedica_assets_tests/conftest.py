"""What all tests share: how property tests run, and stores that are built quickly."""

import pytest
from hypothesis import HealthCheck, settings

from biomedica_assets.store import catalogue

# No verdict hangs on the clock of a busy machine.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture
def no_local_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the file for DuckDB clients: a third of a small build's time, for what few tests read."""
    monkeypatch.setattr(catalogue, "write_local_database", lambda *_: None)
