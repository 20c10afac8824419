"""What a chunk's data depends on. A committed chunk is valid while the hash of these inputs still holds."""

from __future__ import annotations

from typing import Any

from biomedica_assets import schemas
from biomedica_assets.jats import PARSER_VERSION
from biomedica_assets.pmc.file_list import FileListSummary
from biomedica_assets.settings import Settings
from biomedica_assets.store.manifests import input_hash

__all__ = ["INGEST_VERSION", "chunk_inputs", "input_hash", "wants"]

INGEST_VERSION = "2"
"""Raised when the rules of this room change what ends up in tables; every chunk is then re-parsed, not re-fetched."""


def chunk_inputs(settings: Settings, file_list: FileListSummary, chunk: str) -> dict[str, Any]:
    """The inputs of a chunk: its rows (a file list is never edited), versions of code, settings that change data."""
    return {
        "rows": f"{chunk} of {file_list.rows} rows by {file_list.chunk_size} of inventory {file_list.checksum}",
        "parser": PARSER_VERSION,
        "ingest": INGEST_VERSION,
        "schema": schemas.SCHEMA_VERSION,
        "max_pixels": settings.max_pixels,
        "max_object_bytes": settings.max_object_bytes,
    }


def wants(settings: Settings) -> dict[str, Any]:
    """What the store wanted when a chunk was made. Not an input: wanting more lists the missing rows anew."""
    scope = settings.scope.model_dump(mode="json", exclude={"pmcids", "max_bytes"})
    return {**scope, "historical_ocr": settings.historical_ocr}
