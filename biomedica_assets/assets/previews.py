"""What the UI shows of a table: column schema and previews, small enough to be stored with every event."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import dagster as dg
import pyarrow as pa

from biomedica_assets.schemas import Table
from biomedica_assets.store.derived import DerivedManifest
from biomedica_assets.store.files import Files

PREVIEW_BYTES = 20_000
"""A preview is stored with each partition's event: with 1,700 chunks even this makes 34 MB."""


def column_schema(table: Table) -> dict[str, Any]:
    """Definition metadata: the table's columns for the UI's "Columns" tab."""
    columns = [
        dg.TableColumn(
            name=column.name,
            type=_type_name(column.type),
            description=column.meaning + (f" [{column.unit}]" if column.unit else "") + _fields(column.type),
            constraints=dg.TableColumnConstraints(nullable=not column.required, unique=table.key == (column.name,)),
        )
        for column in table.columns
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}


def derived_metadata(files: Files, manifest: DerivedManifest) -> dict[str, dg.MetadataValue]:
    """What the UI shows of a partition of any derived table."""
    return {
        "dagster/row_count": dg.MetadataValue.int(manifest.file.rows),
        "dagster/uri": dg.MetadataValue.text(f"{files.url}/{manifest.file.path}"),
        "bytes": dg.MetadataValue.int(manifest.file.bytes),
        "input_hash": dg.MetadataValue.text(manifest.input_hash),
    }


def _type_name(kind: pa.DataType) -> str:
    """Short, because the UI gives the type the room that the description then lacks: ``list<struct>``."""
    if pa.types.is_list(kind):
        return f"list<{_type_name(kind.value_type)}>"
    return "struct" if pa.types.is_struct(kind) else str(kind)


def _fields(kind: pa.DataType) -> str:
    """What a struct, or a list of them, holds: `` {descriptor, major, qualifiers {name, ui}}``."""
    if pa.types.is_list(kind):
        return _fields(kind.value_type)
    if not pa.types.is_struct(kind):
        return ""
    return " {" + ", ".join(kind.field(i).name + _fields(kind.field(i).type) for i in range(kind.num_fields)) + "}"


def markdown_image(picture: bytes, alt: str) -> str:
    """The picture, a JPEG or PNG, as Markdown that carries its own bytes."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"![{alt}](data:image/{kind};base64,{base64.b64encode(picture).decode()})"


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[Any]], cell: int = 160) -> str:
    """A Markdown table whose cells are cut to ``cell`` characters, null as an empty cell, floats with 4 digits."""
    header = list(header)

    def text(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.4g}"
        value = "" if value is None else str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
        return value if len(value) <= cell else value[: cell - 1] + "…"

    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(text(value) for value in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)
