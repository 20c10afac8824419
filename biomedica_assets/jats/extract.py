"""`biomedica extract`: the records of files on disk as plain JSON objects, without a store or a release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biomedica_assets import schemas
from biomedica_assets.jats.article import parse_articles
from biomedica_assets.jats.document import NotAnArticle


def extract_file(path: str | Path) -> dict[str, Any]:
    """Records of all articles of one XML file: ``file``, then one list of rows per table, ``failures`` among them.

    Rows hold every column of the table that the XML alone can fill; the others are null. Nothing is raised for a bad
    file: its lists are empty and ``failures`` says why.
    """
    record: dict[str, Any] = {"file": str(path), **{name: [] for name in schemas.RECORD_TABLES}}
    try:
        articles = parse_articles(Path(path).read_bytes())
    except (NotAnArticle, OSError) as error:
        stage = "parse" if isinstance(error, NotAnArticle) else "fetch"
        problem = {"object": str(path), "stage": stage, "error": type(error).__name__, "message": str(error)}
        record["failures"].append({"article_id": None, **problem, "transient": False, "fatal": True})
        return record
    for article in articles:
        for name, rows in article.tables().items():
            record[name] += [_complete(name, row) for row in rows]
    return record


def _complete(table: str, row: schemas.Row) -> schemas.Row:
    return {name: row.get(name) for name in schemas.CHUNK_TABLES[table].names if name != "chunk"}
