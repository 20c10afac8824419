"""The table contracts: strict rows, and documentation that is made from them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from biomedica_assets import schemas

ROOT = Path(__file__).resolve().parents[1]


def test_documentation_is_up_to_date():
    written = (ROOT / "docs" / "tables.md").read_text()
    assert written == schemas.to_markdown(), "run: python -m biomedica_assets.schemas > docs/tables.md"


def test_a_row_with_an_unknown_column_is_refused():
    with pytest.raises(KeyError, match="colour"):
        schemas.rows_to_table(schemas.FAILURES, [{"chunk": "c", "colour": "red"}])


def test_a_required_column_must_not_be_null():
    with pytest.raises(pa.ArrowInvalid, match=r"current\.article_id is required"):
        schemas.rows_to_table(schemas.CURRENT, [{"chunk": "c", "pmcid": 1, "version": 1, "is_manuscript": False}])


def test_missing_keys_are_null():
    row = {"chunk": "c", "article_id": "PMC1.1", "stage": "parse", "error": "E", "transient": False, "fatal": True}
    assert schemas.rows_to_table(schemas.FAILURES, [row])["message"].to_pylist() == [None]


def test_column_names_are_unique_and_keys_exist():
    for table in schemas.ALL_TABLES:
        assert len(set(table.names)) == len(table.names), table.name
        assert set(table.key) <= set(table.names), table.name


def test_json_schema_names_every_column():
    described = schemas.json_schema(schemas.IMAGES)
    assert set(described["properties"]) == set(schemas.IMAGES.names)
    assert "pixels" in described["properties"]["width"]["description"]
