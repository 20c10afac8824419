"""A store of so many varied captions, committed chunk by chunk by the store's own functions, and what changes it later.

Belongs here: making the store that search is measured on. Captions come from `search_captions`, five to an article;
every figure is cited by a sentence, has one image without bytes, and an article is in a journal that one, ten or fifty
of a hundred articles are in, or in none of those.
"""

from __future__ import annotations

import itertools
import json
import random
import tempfile
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.search_captions import BLOCK, caption_block

FIGURES = 5
ARTICLES = BLOCK // FIGURES
"""Articles of a chunk."""
FIRST_PMCID = 10_000_000
FIRST_DAY = date(2026, 1, 1)
JOURNALS = {1: "Annals of One", 10: "Journal of Ten", 50: "Letters of Fifty"}
"""Journal by the share of articles in it, in percent; 39 others have one percent each."""

Rows = dict[str, list[dict[str, Any]]]


def journal_of(pmcid: int) -> str:
    """The journal of an article; nothing of its text depends on it."""
    place = (pmcid * 2_654_435_761 >> 7) % 100
    for share, name in JOURNALS.items():
        if place < share:
            return name
        place -= share
    return f"Archive {place}"


def make_store(folder: str, captions: str) -> dict[str, Any]:
    """A store with so many captions in chunks of 5,000, its catalogue and its caption vectors."""
    from biomedica_assets.store.catalogue import build_generation
    from biomedica_assets.store.files import Files

    files = Files(Path(folder, "store"))
    chunks = int(captions) // BLOCK
    spent = {"tables": 0.0, "vectors": 0.0}
    add_release(files, FIRST_DAY, [(pmcid, "add") for block in range(chunks) for pmcid in _pmcids(block)])
    for block in range(chunks):
        _timed(spent, files, FIRST_DAY, block, 0)
    build_generation(files)
    return {"chunks": chunks, **spent}


def add_delta(folder: str, blocks: str, removed: str) -> dict[str, Any]:
    """The next day: one chunk of new articles, so many articles of the first ``blocks`` chunks removed.

    Returns the ids of what was removed, the key of the new chunk, one new caption.
    """
    from biomedica_assets.store.catalogue import build_generation
    from biomedica_assets.store.files import Files

    files, block = Files(Path(folder, "store")), int(blocks)
    day = FIRST_DAY + timedelta(days=1)
    dead = random.Random(5).sample(range(FIRST_PMCID, FIRST_PMCID + block * ARTICLES), int(removed))
    add_release(files, day, [*((pmcid, "add") for pmcid in _pmcids(block)), *((p, "remove") for p in sorted(dead))])
    _timed({"tables": 0.0, "vectors": 0.0}, files, day, block, block)
    commit(files, day, 1, {"versions": [version_row(pmcid, "remove", "removed") for pmcid in sorted(dead)]})
    build_generation(files)
    return {"removed": [f"PMC{pmcid}.1" for pmcid in dead], "caption": next(iter(caption_block(block)))}


def _timed(spent: dict[str, float], files: Any, day: date, block: int, first: int) -> None:
    import time

    from biomedica_assets.models.encoders import load_encoder
    from biomedica_assets.models.features import build_caption_features

    started = time.process_time()
    chunk = commit(files, day, block - first, chunk_rows(block))
    between = time.process_time()
    build_caption_features(files, chunk, load_encoder("wordllama"))
    spent["tables"] += between - started
    spent["vectors"] += time.process_time() - between


def _pmcids(block: int) -> range:
    return range(FIRST_PMCID + block * ARTICLES, FIRST_PMCID + (block + 1) * ARTICLES)


def version_row(pmcid: int, action: str, outcome: str) -> dict[str, Any]:
    article_id = f"PMC{pmcid}.1"
    facts = {"listed_id": article_id, "article_id": article_id, "pmcid": pmcid, "version": 1, "is_open_access": True}
    return facts | {"action": action, "outcome": outcome, "licence_code": "CC BY", "licence_group": "commercial"}


def chunk_rows(block: int) -> Rows:
    """Rows of every table for the articles of one block of captions."""
    rows: Rows = {
        name: [] for name in ("versions", "articles", "paragraphs", "figures", "captions", "mentions", "images")
    }
    texts = caption_block(block)
    for pmcid in _pmcids(block):
        _add_article(rows, pmcid, list(itertools.islice(texts, FIGURES)))
    return rows


def _add_article(rows: Rows, pmcid: int, captions: list[str]) -> None:
    article_id, dice = f"PMC{pmcid}.1", random.Random(pmcid)
    own = {"article_id": article_id}
    licence = {"licence_code": "CC BY", "licence_version": "4.0", "licence_group": "commercial"}
    journal = journal_of(pmcid)
    words = " ".join(captions).split()
    rows["versions"].append(version_row(pmcid, "add", "collected"))
    rows["articles"].append(
        own
        | licence
        | {
            "pmcid": pmcid,
            "version": 1,
            "title": " ".join(dice.choices(words, k=12)),
            "article_type": "research-article",
        }
        | {
            "journal": journal,
            "language": "en",
            "publication_date": f"{2000 + dice.randrange(26)}-0{dice.randrange(9) + 1}",
        }
        | {"abstract": " ".join(dice.choices(words, k=120)), "licence_reason": "made", "licence_rule": "article"}
        | {"source_key": "x", "source_md5": "0" * 32, "parser_version": "1"}
    )
    for number, text in enumerate(captions):
        figure_id, label = f"{article_id}/f{number}", f"Figure {number + 1}"
        figure = own | {"figure_id": figure_id}
        sentence = f"{' '.join(dice.sample(text.split(), min(12, len(text.split()))))} is shown in {label}."
        start = len(sentence) - len(label) - 1
        paragraph = {"paragraph_id": f"{article_id}/p{number}", "ordinal": number}
        rows["figures"].append(
            figure | {"kind": "fig", "ordinal": number, "label": label, "place": "body", "n_graphics": 1}
        )
        rows["captions"].append(figure | {"text": text, "paragraphs": [text]})
        rows["paragraphs"].append(own | paragraph | {"kind": "p", "text": sentence})
        rows["mentions"].append(
            figure
            | {"paragraph_id": paragraph["paragraph_id"], "ordinal": number, "start": start, "end": len(sentence) - 1}
            | {"text": label, "panels": [], "expanded": False, "kind": "xref", "rid": f"f{number}"}
        )
        rows["images"].append(
            figure
            | licence
            | {"image_id": f"{figure_id}/1", "ordinal": 1, "href": "g", "file_name": f"g{number}.jpg", "bytes": 90_000}
            | {"media_type": "image/jpeg", "width": 400 + dice.randrange(1600), "height": 600, "sha256": "0" * 64}
        )


def add_release(files: Any, day: date, actions: list[tuple[int, str]], size: int = ARTICLES) -> None:
    """The file list of a release, as `pmc.file_list` writes it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from biomedica_assets.pmc.file_list import _METADATA, FileListSummary, chunk_key
    from biomedica_assets.schemas import FILE_LIST, rows_to_table
    from biomedica_assets.store.manifests import file_list_path

    release = day.isoformat()
    counts = {name: sum(action == name for _, action in actions) for name in ("add", "change", "remove", "retry")}
    summary = asdict(FileListSummary(release, "0" * 32, size, len(actions), counts, len(actions), 0))
    rows = [
        {"chunk": chunk_key(release, place // size), "action": action, "listed_id": f"PMC{pmcid}.1"}
        | {"pmcid": pmcid, "version": 1, "etag": None if action == "remove" else "0", "attempts": 0}
        for place, (pmcid, action) in enumerate(actions)
    ]
    table = rows_to_table(FILE_LIST, rows)
    facts = json.dumps({name: value for name, value in summary.items() if name != "held"})
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({_METADATA: facts}), buffer)
    files.write(file_list_path(release), buffer.getvalue().to_pybytes())


def commit(files: Any, day: date, number: int, rows: Rows) -> str:
    """Commit one chunk with these rows; its key."""
    from biomedica_assets import schemas
    from biomedica_assets.pmc.file_list import chunk_key
    from biomedica_assets.store.manifests import ChunkManifest, write_chunk_manifest
    from biomedica_assets.store.tables import TableWriter, commit_table

    release = day.isoformat()
    chunk, tables = chunk_key(release, number), {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, table in schemas.CHUNK_TABLES.items():
            writer = TableWriter(table, Path(scratch, name))
            writer.add(row | {"chunk": chunk} for row in rows.get(name, ()))
            tables[name] = commit_table(files, name, chunk, writer.close())
    inputs = {"schema": schemas.SCHEMA_VERSION}
    outcomes = {"collected": len(rows.get("articles", ())), "removed": len(rows["versions"])}
    run = {"committed": datetime(2026, 1, 2, tzinfo=UTC).isoformat()}
    write_chunk_manifest(files, ChunkManifest(chunk, release, "0" * 64, inputs, tables, [], outcomes, [], run))
    return chunk
