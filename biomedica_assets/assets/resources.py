"""The one resource: settings, and from them the store and the source."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg

from biomedica_assets.ingest.workspace import Workspace, open_workspace
from biomedica_assets.settings import Settings


class BiomedicaResource(dg.ConfigurableResource):
    """Settings of this deployment. Fields left empty come from ``BIOMEDICA_*`` variables or ``.env``."""

    source: str | None = None
    store: str | None = None
    scope: str | None = None
    """JSON, see `biomedica_assets.settings.Scope`."""
    chunk_size: int | None = None

    def settings(self) -> Settings:
        given: dict[str, Any] = {
            name: value
            for name, value in {"source": self.source, "store": self.store, "chunk_size": self.chunk_size}.items()
            if value is not None
        }
        if self.scope is not None:
            given["scope"] = json.loads(self.scope)
        return Settings(**given)

    def open(self) -> Workspace:
        """The store and the source; cheap, opened once per step."""
        return open_workspace(self.settings())
