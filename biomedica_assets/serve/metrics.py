"""Counters for Prometheus, over all processes when ``PROMETHEUS_MULTIPROC_DIR`` is set (`biomedica serve` does).

Labels are the routes' patterns and fixed words, never what a client wrote. What does not belong here: logs.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The server's metrics; one object per app."""

    def __init__(self) -> None:
        disable_created_metrics()  # twice the lines for a time nobody asks for
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "biomedica_http_requests", "Answered requests", ("method", "route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "biomedica_http_request_seconds",
            "Time until the first byte of an answer",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.bytes = Counter("biomedica_http_response_bytes", "Bytes of bodies sent", ("route",), registry=registry)
        self.under_way = Gauge(
            "biomedica_http_under_way", "Requests under way", multiprocess_mode="livesum", registry=registry
        )
        self.refused = Counter("biomedica_http_refused", "Requests refused before work", ("reason",), registry=registry)
        self.thumbnails = Counter(
            "biomedica_thumbnails", "Thumbnails by where they came from", ("source",), registry=registry
        )
        self.refreshed = Gauge(
            "biomedica_store_refreshed_seconds",
            "When the store was last looked at",
            multiprocess_mode="min",
            registry=registry,
        )
        self.refresh_errors = Counter("biomedica_store_refresh_errors", "Looks at the store in vain", registry=registry)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
            return generate_latest(registry)
        return generate_latest(self.registry)
