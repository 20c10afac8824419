"""What the UI shows of a table: column schema and previews, small enough to be stored with every event."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import dagster as dg

from biomedica_assets.schemas import Table

PREVIEW_BYTES = 20_000
"""A preview is stored with each partition's event: with 1,700 chunks even this makes 34 MB."""


def column_schema(table: Table) -> dict[str, Any]:
    """Definition metadata: the table's columns for the UI's "Columns" tab."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=str(column.type),
            description=column.meaning + (f" [{column.unit}]" if column.unit else ""),
            constraints=dg.TableColumnConstraints(nullable=not column.required, unique=table.key == (column.name,)),
        )
        for column in table.columns
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}


def markdown_image(jpeg: bytes, alt: str) -> str:
    """The picture as Markdown that carries its own bytes."""
    return f"![{alt}](data:image/jpeg;base64,{base64.b64encode(jpeg).decode()})"


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[Any]], cell: int = 160) -> str:
    """A Markdown table whose cells are cut to ``cell`` characters, null as an empty cell."""
    header = list(header)

    def text(value: Any) -> str:
        value = "" if value is None else str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
        return value if len(value) <= cell else value[: cell - 1] + "…"

    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(text(value) for value in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
