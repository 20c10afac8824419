"""A store of many small committed chunks, and the source of its next day, made in a minute.

Belongs here: making input. The chunks are written by the store's own functions; their rows are copies of one real
article's under new ids, their file lists two thirds one first load, the rest one list per day.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.corpus import STEP

FIRST, ROWS = date(2020, 1, 1), 20
"""Day of the first load; versions per chunk."""


def make_store(folder: str, chunks: str) -> dict[str, int]:
    """Write ``folder/store`` with so many committed chunks, a catalogue, and ``folder/source`` with the next day."""
    from biomedica_assets.ingest.workspace import open_workspace
    from biomedica_assets.pmc.file_list import list_chunks
    from biomedica_assets.settings import Settings
    from biomedica_assets.store.catalogue import build_generation
    from biomedica_assets.store.manifests import list_releases

    source, store, count = Path(folder, "source"), Path(folder, "store"), int(chunks)
    days = max(1, count // 3)
    sizes = [count - days, *[1] * days]  # chunks per release, oldest first
    settings = Settings(source=str(source), store=str(store), chunk_size=ROWS)
    records = _write_source(source, count * ROWS, FIRST + timedelta(days=len(sizes)))
    workspace = open_workspace(settings)
    workspace.bind()
    first = 0
    for day, size in enumerate(sizes):
        _write_file_list(workspace.files, FIRST + timedelta(days=day), records[first : first + size * ROWS])
        first += size * ROWS
    template = _template(source)
    for release in list_releases(workspace.files):
        for chunk, _ in list_chunks(workspace.files, release):
            _commit_chunk(workspace, release, chunk, template)
    generation = build_generation(workspace.files)
    return {"chunks": len(generation.chunks), "releases": len(sizes), **generation.counts}


def _write_source(folder: Path, known: int, day: date) -> list[tuple[int, str]]:
    """An inventory of the known versions, none of which exist as objects, and of one new article; (PMCID, ETag)s."""
    from benchmarks.corpus import write_base
    from biomedica_assets.pmc.writer import CloudWriter, md5_hex

    base = folder.parent / "base"
    write_base(base, with_images=True)
    writer = CloudWriter(str(folder), day)
    records = []
    for pmcid in range(STEP, STEP + known):
        record = {"pmcid": f"PMC{pmcid}"}
        writer.list_only(f"PMC{pmcid}.1", record)
        records.append((pmcid, md5_hex(json.dumps(record, ensure_ascii=False).encode())))
    for path in sorted((base / "metadata").iterdir())[:ROWS]:
        (folder / path.stem).mkdir(parents=True)
        for each in (base / path.stem).iterdir():
            each.rename(folder / path.stem / each.name)
        writer.put_json(path.stem, json.loads(path.read_text()))
    writer.finish()
    return records


def _write_file_list(files: Any, day: date, records: list[tuple[int, str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from biomedica_assets.pmc.file_list import _METADATA, FileListSummary, chunk_key
    from biomedica_assets.schemas import FILE_LIST, rows_to_table
    from biomedica_assets.store.manifests import file_list_path

    release = day.isoformat()
    actions = {"add": len(records), "change": 0, "remove": 0, "retry": 0}
    summary = FileListSummary(release, "0" * 32, ROWS, len(records), actions, len(records), 0)
    facts = {name: value for name, value in dataclasses.asdict(summary).items() if name != "held"}
    rows = [
        {
            "chunk": chunk_key(release, place // ROWS),
            "action": "add",
            "listed_id": f"PMC{pmcid}.1",
            "pmcid": pmcid,
            "version": 1,
            "etag": etag,
            "last_modified": f"{release}T00:00:00.000Z",
            "attempts": 0,
        }
        for place, (pmcid, etag) in enumerate(records)
    ]
    buffer = pa.BufferOutputStream()
    table = rows_to_table(FILE_LIST, rows)
    pq.write_table(table.replace_schema_metadata({_METADATA: json.dumps(facts)}), buffer)
    files.write(file_list_path(release), buffer.getvalue().to_pybytes())


def _template(source: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of one real article of the source's next day, without its texts' bulk."""
    from biomedica_assets.jats import parse_article

    best: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(source.glob("PMC*/*.xml"))[:5]:
        article = parse_article(path.read_bytes(), article_id="PMC1.1")
        tables = article.tables()
        if len(tables["figures"]) > len(best.get("figures", ())):
            best = {name: rows[:5] for name, rows in tables.items()}
            best["articles"] = [dict(article.article)]
    return best


def _commit_chunk(workspace: Any, release: str, chunk: str, template: dict[str, list[dict[str, Any]]]) -> None:
    import tempfile

    from biomedica_assets import schemas
    from biomedica_assets.ingest.inputs import chunk_inputs, input_hash, wants
    from biomedica_assets.pmc.file_list import read_chunk_rows, read_summary
    from biomedica_assets.store.manifests import ChunkManifest, DataFile, write_chunk_manifest
    from biomedica_assets.store.tables import TableWriter, commit_table

    files, settings = workspace.files, workspace.settings
    shard = DataFile(f"shards/{chunk}-0000-{'0' * 16}.tar", 1 << 20, "0" * 64, ROWS)
    tables = {}
    listed = read_chunk_rows(files, chunk)
    rows = {name: list(_rows(name, listed, template, shard.path)) for name in schemas.CHUNK_TABLES}
    with tempfile.TemporaryDirectory() as scratch:
        for name, table in schemas.CHUNK_TABLES.items():
            writer = TableWriter(table, Path(scratch, name))
            known = set(table.names)
            writer.add({k: v for k, v in row.items() if k in known} | {"chunk": chunk} for row in rows[name])
            tables[name] = commit_table(files, name, chunk, writer.close())
    inputs = chunk_inputs(settings, read_summary(files, release), chunk)
    write_chunk_manifest(
        files,
        ChunkManifest(
            chunk=chunk,
            release=release,
            input_hash=input_hash(inputs),
            inputs={**inputs, "wants": wants(settings)},
            tables=tables,
            shards=[shard],
            outcomes={"collected": ROWS},
            retry=[],
            run={"committed": datetime(2020, 1, 1, tzinfo=UTC).isoformat(), "seconds": 1.0, "requests": 3 * ROWS},
        ),
    )


def _rows(
    name: str, listed: list[Any], template: dict[str, list[dict[str, Any]]], shard: str
) -> Iterator[dict[str, Any]]:
    """Rows of one table for every listed version."""
    for row in listed:
        common = {
            "listed_id": row.listed_id,
            "article_id": row.listed_id,
            "pmcid": row.pmcid,
            "version": 1,
            "etag": row.etag,
            "listed_etag": row.etag,
            "licence_code": "CC BY",
            "licence_group": "commercial",
            "licence_reason": "synthetic",
            "licence_rule": "article",
        }
        if name == "versions":
            yield common | {"action": "add", "outcome": "collected", "is_open_access": True}
        elif name == "sources":
            for kind in ("json", "xml"):
                yield common | {"name": kind, "key": kind, "md5": "0" * 32, "data": b"x" * 2000}
        elif name == "images":
            for number, figure in enumerate(template["figures"]):
                figure_id = figure["figure_id"].replace("PMC1.1", row.listed_id)
                span = {"shard": shard, "offset": 512 * number, "length": 512, "image_offset": 512 * number}
                yield (
                    common
                    | span
                    | {
                        "figure_id": figure_id,
                        "image_id": f"{figure_id}/0",
                        "ordinal": 0,
                        "file_name": f"g{number}.jpg",
                        "href": f"g{number}",
                        "key": f"{row.listed_id}/g{number}.jpg",
                        "media_type": "image/jpeg",
                        "width": 100 + row.pmcid % 2000,
                        "height": 300,
                        "bytes": 512,
                        "md5": "0" * 32,
                        "sha256": "0" * 64,
                        "sample_key": f"x{number}",
                    }
                )
        elif name in template and name not in ("objects", "failures"):
            facts = {"source_key": "x", "source_md5": "0" * 32, "parser_version": "1"} if name == "articles" else {}
            for each in template[name]:
                copy = json.loads(json.dumps(each).replace("PMC1.1", row.listed_id))
                yield copy | common | facts
