"""What a recipe's SQL may say: one boolean expression over named columns, the same answer every time it is asked.

A predicate comes from a file that somebody else may have written. It is parsed by DuckDB itself and refused unless it
is a plain expression: no second statement, subquery, aggregate, window, parameter, or function whose answer changes.
What does not belong here: running it (`subsets`, in a locked connection), the other parts of a recipe (`recipes`).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import duckdb

from biomedica_assets import schemas


class PredicateError(ValueError):
    """The predicate cannot be used; the message says why and what could be meant."""


_INDEX = {name: f's."{name}"' for name in schemas.SAMPLE_INDEX.names}
_IMAGES = {
    name: f"i.{name}"
    for name in ("file_name", "mode", "frames", "md5", "perceptual_hash", "licence_version", "licence_url")
} | {name: f"i.{name}" for name in ("licence_reason", "third_party_notice")}
_FIGURES = {name: f"f.{name}" for name in ("element", "ordinal", "label", "place", "section_path", "alt_text")} | {
    "figure_attribution": "f.attribution",
    "n_graphics": "f.n_graphics",
}
_CAPTIONS = {
    "caption": "c.text",
    "caption_title": "c.title",
    "group_caption": "c.group_caption",
    "full_caption": "concat_ws(' ', c.group_caption, c.text)",
    "n_caption_panels": "coalesce(len(c.sub_captions), 0)",
}
_ARTICLES = {
    name: f"a.{name}"
    for name in (
        *("pmid", "doi", "title", "abstract", "publisher", "publication_date", "language", "n_figures"),
        "journal_abbreviation",
    )
} | {
    "keywords": "list_transform(a.keywords, lambda k: lower(k.keyword))",
    "subjects": "list_transform(a.subjects, lambda k: lower(k.subject))",
}
_METADATA = {
    "mesh": "list_transform(m.mesh, lambda h: h.descriptor)",
    "mesh_uis": "list_transform(m.mesh, lambda h: h.descriptor_ui)",
    "publication_types": "list_transform(m.publication_types, lambda t: t.name)",
    "indexing_status": "m.indexing_status",
}
_LABELS = {name: f"l.{name}" for name in ("labels", "panel_types", "primary_labels", "secondary_labels", "concept")} | {
    "primary_label": "l.primary_labels[1]",
    "secondary_label": "l.secondary_labels[1]",
}
_PANELS = {"n_panels": "n.n_panels", "panel_letters": "n.letters"}
_ENTITIES = {"entity_names": "e.names", "entity_ids": "e.ids", "entity_types": "e.types", "entity_terms": "e.terms"}
_PARAGRAPHS = {"paragraph_types": "q.types", "paragraph_domains": "q.domains", "paragraph_score": "q.score"}
_DUPLICATES = {"duplicate_kind": "d.kind", "cluster": "d.cluster", "cluster_size": "d.cluster_size"}

SOURCES: dict[str, tuple[str, dict[str, str]]] = {
    "sample_index": ("sample_index s", _INDEX),
    "images": ("JOIN images i ON i.chunk = s.chunk AND i.image_id = s.image_id", _IMAGES),
    "figures": ("JOIN figures f ON f.chunk = s.chunk AND f.figure_id = s.figure_id", _FIGURES),
    "captions": ("LEFT JOIN captions c ON c.chunk = s.chunk AND c.figure_id = s.figure_id", _CAPTIONS),
    "articles": ("JOIN articles a ON a.chunk = s.chunk AND a.article_id = s.article_id", _ARTICLES),
    "metadata": ("LEFT JOIN metadata m ON m.chunk = s.chunk AND m.article_id = s.article_id", _METADATA),
    "annotations": ("LEFT JOIN image_labels l ON l.chunk = s.chunk AND l.image_id = s.image_id", _LABELS),
    "panels": ("LEFT JOIN image_panels n ON n.chunk = s.chunk AND n.image_id = s.image_id", _PANELS),
    "entities": ("LEFT JOIN figure_entities e ON e.chunk = s.chunk AND e.figure_id = s.figure_id", _ENTITIES),
    "paragraph_quality": (
        "LEFT JOIN figure_paragraphs q ON q.chunk = s.chunk AND q.figure_id = s.figure_id",
        _PARAGRAPHS,
    ),
    "duplicates": ("LEFT JOIN duplicates d ON d.image_id = s.image_id AND d.sha256 = s.sha256", _DUPLICATES),
}
"""By table: how it joins the image's row ``s``, and its columns as predicates name them, with their SQL."""

COLUMNS = {name: (source, sql) for source, (_, columns) in SOURCES.items() for name, sql in columns.items()}
"""By name: table and SQL. Columns of a table that does not exist yet are null."""
LATER = ("annotations", "panels", "entities", "paragraph_quality")
"""Tables that a store may not have yet, and without which their columns say nothing."""


def held(paths: Mapping[str, Sequence[str]]) -> list[str]:
    """Those of `LATER` that a catalogue generation with these files has; what holds of images comes of annotations."""
    return [name for name in LATER if paths.get("image_labels" if name == "annotations" else name)]


_CLASSES = {
    *("COMPARISON", "CONJUNCTION", "FUNCTION", "CONSTANT", "COLUMN_REF", "OPERATOR", "BETWEEN", "CASE", "CAST"),
    *("LAMBDA", "TYPE"),
}
_REFUSED = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "STAR": "a star",
    "PARAMETER": "a parameter",
}


def referenced(predicate: str, columns: Collection[str] = tuple(COLUMNS), *, open_ended: bool = False) -> set[str]:
    """The columns a predicate names, once it is found to be a single plain expression.

    Args:
        predicate: SQL.
        columns: the names it may use.
        open_ended: let unknown names pass, since they may belong to a table that does not exist yet.

    Raises:
        PredicateError: it is anything else.
    """
    names: set[str] = set()
    for node, scope in _nodes(_parse(predicate), frozenset()):
        kind = node["class"]
        if kind == "COLUMN_REF":
            name = node["column_names"][0]
            if name in scope:
                continue
            if len(node["column_names"]) > 1 and name not in columns:
                raise PredicateError(f"{'.'.join(node['column_names'])}: name the column alone, without a table")
            if name not in columns and not open_ended:
                raise PredicateError(f"there is no column {name!r}{_meant(name, columns)}")
            names.add(name)
        elif kind == "FUNCTION":
            _check_function(node["function_name"])
        elif kind not in _CLASSES:
            raise PredicateError(f"{_REFUSED.get(kind, kind.lower())} is not allowed in a recipe")
    return names


def from_clause(columns: Iterable[str]) -> str:
    """FROM clause that joins what these columns need to ``sample_index s``, and nothing else."""
    needed = {COLUMNS[name][0] for name in columns} | {"sample_index"}
    return " ".join(join for source, (join, _) in SOURCES.items() if source in needed)


def select_list(columns: Iterable[str]) -> str:
    """The columns under their names."""
    return ", ".join(f'{COLUMNS[name][1]} AS "{name}"' for name in columns)


@lru_cache(maxsize=1)
def _parser() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _parse(predicate: str) -> dict[str, Any]:
    """The syntax tree of the one expression."""
    answer = _serialized(predicate)
    if answer["error"]:
        raise PredicateError(f"not valid SQL: {answer['error_message']}")
    statements = answer["statements"]
    blank = _serialized("true")["statements"][0]["node"]
    node = statements[0]["node"] if len(statements) == 1 else {}
    chosen = node.get("select_list", [])
    # Whatever closes the parenthesis early and goes on, shows in some other part of the statement.
    if len(chosen) != 1 or {**node, "select_list": []} != {**blank, "select_list": []}:
        raise PredicateError("not one expression: a recipe's `where` is what could follow WHERE, and no more")
    expression: dict[str, Any] = chosen[0]
    if expression.get("alias"):
        raise PredicateError("an expression needs no alias")
    return expression


def _serialized(predicate: str) -> dict[str, Any]:
    query = "SELECT json_serialize_sql(?)"
    row = _parser().cursor().execute(query, [f"SELECT (\n{predicate}\n)"]).fetchone()
    assert row is not None
    answer: dict[str, Any] = json.loads(row[0])
    return answer


def _nodes(tree: Any, scope: frozenset[str]) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """Every expression of the tree, with the lambda parameters that it sees."""
    if isinstance(tree, list):
        for item in tree:
            yield from _nodes(item, scope)
    elif isinstance(tree, dict):
        if tree.get("class") == "LAMBDA":
            scope |= {node["column_names"][0] for node, _ in _nodes(tree["lhs"], scope) if "column_names" in node}
        if "class" in tree:
            yield tree, scope
        for value in tree.values():
            yield from _nodes(value, scope)


@lru_cache(maxsize=1)
def _functions() -> dict[str, bool]:
    """Scalar functions by name: whether the answer depends on the arguments alone."""
    rows = _parser().execute("""
        SELECT function_name, bool_and(stability = 'CONSISTENT') FROM duckdb_functions()
        WHERE function_type = 'scalar' GROUP BY 1
    """)
    return dict(rows.fetchall())


def _check_function(name: str) -> None:
    known = _functions()
    if name not in known:
        raise PredicateError(f"there is no function {name!r} for one row{_meant(name, known)}")
    if not known[name]:
        raise PredicateError(f"{name}() does not give the same answer every time")


def _meant(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
