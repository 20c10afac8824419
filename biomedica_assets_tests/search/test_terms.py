"""The inverted file of lists: sorted, without the dead, ranges of rows given back as rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from biomedica_assets.search.documents import ArticleDocument
from biomedica_assets.search.terms import TermWriter, rows_with, sort_terms

_NONE = ArticleDocument("c", "PMC1.1", 1, "", "", "", "", {}, {}, [])


def article(mesh: list[str], uis: list[str], keywords: list[str]) -> ArticleDocument:
    filters = {"mesh": mesh, "mesh_uis": uis, "keywords": keywords, "subjects": [], "publication_types": []}
    return replace(_NONE, filters=filters)


def test_rows_with_terms(tmp_path: Path) -> None:
    writer = TermWriter(tmp_path / "unsorted.parquet")
    writer.add(article(["Mice", "Humans"], ["D051379", "D006801"], ["Mice"]), 0, 2)
    writer.add(article(["Humans"], ["D006801"], []), 3, 3)
    writer.add(article([], [], ["mice", "ÉTÉ"]), 4, 7)
    writer.close()
    connection = duckdb.connect()
    connection.register("gone", pa.table({"row": pa.array([3], pa.uint32())}))
    connection.execute("CREATE TABLE dead AS SELECT * FROM gone")
    target = tmp_path / "terms" / "0.parquet"
    sort_terms(connection, [tmp_path / "unsorted.parquet"], target)
    lines = pq.read_table(target).to_pylist()
    assert lines == sorted(lines, key=lambda line: (line["field"], line["term"], line["first"]))
    assert len(lines) == 7

    def rows(field: str, *terms: str) -> list[int]:
        return sorted(rows_with(connection, [target], field, terms).tolist())

    assert rows("mesh", "mice") == [0, 1, 2]
    assert rows("mesh", "d006801") == [0, 1, 2]  # row 3 is dead
    assert rows("keyword", "mice") == [0, 1, 2, 4, 5, 6, 7]
    assert rows("keyword", "été", "mice").count(4) == 2  # once per term
    assert rows("keyword", "nothing") == rows("subject", "mice") == []


def test_no_terms_at_all(tmp_path: Path) -> None:
    writer = TermWriter(tmp_path / "unsorted.parquet")
    writer.close()
    assert writer.count == 0
    target = tmp_path / "0.parquet"
    sort_terms(duckdb.connect(), [], target)
    assert np.array_equal(rows_with(duckdb.connect(), [target], "mesh", ["x"]), [])
