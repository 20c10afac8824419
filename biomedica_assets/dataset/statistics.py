"""Statistics of the current dataset: every number that card and report show, computed from the catalogue.

What does not belong here: how numbers are drawn (`report`) or worded (`card`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import duckdb

from biomedica_assets.dataset.documents import Documents, publish, state_of
from biomedica_assets.dataset.queries import bounded_catalogue
from biomedica_assets.store.catalogue import read_generation
from biomedica_assets.store.files import Files

Statistics = dict[str, Any]
"""``state``, ``totals`` (name -> number), ``series`` (name -> [[label, number]]), ``spread`` (name -> quantiles)."""

TOP = 15

_TOTALS = {
    "articles": "SELECT count(*) FROM articles",
    "figures": "SELECT count(*) FROM figures",
    "captions": "SELECT count(*) FROM captions",
    "mentions": "SELECT count(*) FROM mentions",
    "paragraphs": "SELECT count(*) FROM paragraphs",
    "images": "SELECT count(*) FROM images",
    "distinct_images": "SELECT count(DISTINCT sha256) FROM images",
    "image_bytes": "SELECT coalesce(sum(b), 0) FROM (SELECT any_value(bytes) AS b FROM images GROUP BY sha256)",
    "image_pixels": "SELECT coalesce(sum(width * height), 0) FROM images",
    "journals": "SELECT count(DISTINCT journal) FROM articles",
    "first_year": "SELECT min(publication_year) FROM articles",
    "last_year": "SELECT max(publication_year) FROM articles",
    "listed_versions": "SELECT count(*) FROM versions",
    "withdrawn_versions": "SELECT count(*) FROM withdrawals",
    "articles_with_pmid": "SELECT count(pmid) FROM articles",
    "articles_with_doi": "SELECT count(doi) FROM articles",
    "articles_without_figures": "SELECT count(*) FROM articles ANTI JOIN figures USING (article_id)",
    "figures_with_caption": "SELECT count(*) FROM captions WHERE text IS NOT NULL",
    "figures_with_mention": "SELECT count(DISTINCT figure_id) FROM mentions",
    "figures_with_image": "SELECT count(DISTINCT figure_id) FROM images",
    "figures_with_alt_text": "SELECT count(alt_text) FROM figures",
    "captions_with_panels": "SELECT count(*) FROM captions WHERE len(sub_captions) > 0",
    "images_commercial": "SELECT count(*) FROM images WHERE licence_group = 'commercial'",
    "images_with_notice": "SELECT count(third_party_notice) FROM images",
    "articles_with_metadata": "SELECT count(*) FROM metadata WHERE outcome IN ('found', 'merged')",
    "articles_with_mesh": "SELECT count(*) FROM metadata WHERE len(mesh) > 0",
    "labelled_images": "SELECT count(*) FROM image_labels WHERE len(labels) > 0",
    "images_looked_at": "SELECT count(*) FROM image_panels",
    "compound_images": "SELECT count(*) FROM image_panels WHERE n_panels > 1",
    "panels": "SELECT count(*) FROM panels",
    "panel_pairs": "SELECT count(*) FROM panel_pairs",
    "entities": "SELECT count(*) FROM entities",
    "captions_with_entities": "SELECT count(*) FROM figure_entities",
    "rated_paragraphs": "SELECT count(*) FROM paragraph_quality",
    "clinical_case_paragraphs": "SELECT count(*) FROM paragraph_quality WHERE type = 'clinical_case'",
    "open_failures": "SELECT count(*) FROM open_failures",
    "versions_lost": "SELECT count(DISTINCT article_id) FROM open_failures WHERE fatal",
}

_WORDS = "len(regexp_extract_all(text, '\\S+'))"
_PER_ARTICLE = (
    "(SELECT a.article_id, count(f.figure_id) AS n FROM articles a LEFT JOIN figures f USING (article_id) GROUP BY 1)"
)
_PER_FIGURE = (
    "(SELECT f.figure_id, count(m.figure_id) AS n FROM figures f LEFT JOIN mentions m USING (figure_id) GROUP BY 1)"
)

_SERIES = {
    "articles_by_licence": "SELECT licence_code, count(*) FROM articles",
    "images_by_group": "SELECT licence_group, count(*) FROM images",
    "journals": "SELECT journal, count(*) FROM articles",
    "article_types": "SELECT article_type, count(*) FROM articles",
    "languages": "SELECT lower(language), count(*) FROM articles",
    "figure_kinds": "SELECT kind, count(*) FROM figures",
    "media_types": "SELECT media_type, count(*) FROM images",
    "mesh": "SELECT h.descriptor, count(*) FROM (SELECT unnest(mesh) AS h FROM metadata)",
    "publication_types": "SELECT t.name, count(*) FROM (SELECT unnest(publication_types) AS t FROM metadata)",
    "entity_types": "SELECT type, count(*) FROM entities",
    "entities": "SELECT concat(coalesce(name, text), ', ', replace(type, '_', ' ')), count(*) FROM entities",
    "paragraph_types": "SELECT type, count(*) FROM paragraph_quality",
    "paragraph_domains": "SELECT domain, count(*) FROM paragraph_quality",
    "outcomes": "SELECT outcome, count(*) FROM versions",
    "failures": "SELECT concat(stage, ': ', error), count(*) FROM open_failures",
    "withdrawals": "SELECT reason, count(*) FROM withdrawals",
}
"""Label and count, most frequent first; `TOP` labels are named, the others added up."""

_HISTOGRAMS: dict[str, tuple[str, str, Sequence[int]]] = {
    "figures_per_article": (_PER_ARTICLE, "n", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20]),
    "mentions_per_figure": (_PER_FIGURE, "n", [0, 1, 2, 3, 4, 5, 6, 8, 10, 15]),
    "caption_words": ("captions", _WORDS, [0, 10, 25, 50, 75, 100, 150, 200, 300, 500]),
    "panels_per_image": ("image_panels", "n_panels", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15]),
    "paragraph_scores": ("paragraph_quality", "floor(score)::INTEGER", [1, 2, 3, 4]),
    "image_long_side": ("images", "greatest(width, height)", [0, 128, 256, 512, 768, 1024, 1536, 2048, 4096]),
    "image_kilobytes": ("images", "bytes // 1000", [0, 10, 25, 50, 100, 250, 500, 1000, 5000, 25000]),
}
"""FROM item, whole number, lower bounds of the bins."""

_SPREAD = {
    "figures_per_article": (_PER_ARTICLE, "n"),
    "mentions_per_figure": (_PER_FIGURE, "n"),
    "caption_words": ("captions", _WORDS),
    "image_width": ("images", "width"),
    "image_height": ("images", "height"),
    "image_bytes": ("images", "bytes"),
}
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def compute_statistics(catalogue: duckdb.DuckDBPyConnection) -> Statistics:
    """All statistics of the current rows, see `Statistics`. A pure function of the views' rows."""
    _without_metadata(catalogue)

    def rows(sql: str) -> list[tuple[Any, ...]]:
        return catalogue.execute(sql).fetchall()

    series = {name: _top(rows(f"{sql} GROUP BY 1 ORDER BY 2 DESC, 1")) for name, sql in _SERIES.items()}
    labels = rows("SELECT unnest(labels), count(*) FROM image_labels GROUP BY 1 ORDER BY 2 DESC, 1")
    series["labels"] = [[label, int(count)] for label, count in labels]  # all: a taxonomy is no long tail
    series["articles_per_year"] = _years(
        rows("SELECT publication_year, count(*) FROM articles WHERE publication_year IS NOT NULL GROUP BY 1 ORDER BY 1")
    )
    for name, (source, number, bounds) in _HISTOGRAMS.items():
        bins = f"len(list_filter({list(bounds)}, lambda b: b <= value)) - 1"
        values = f"SELECT {number} AS value FROM {source}"
        found = dict(rows(f"SELECT {bins}, count(*) FROM ({values}) WHERE value IS NOT NULL GROUP BY 1"))
        series[name] = [[label, found.get(position, 0)] for position, label in enumerate(_labels(bounds))]
    spread = {}
    for name, (source, number) in _SPREAD.items():
        [(quantiles, mean)] = rows(f"SELECT quantile_disc({number}, {list(QUANTILES)}), avg({number}) FROM {source}")
        spread[name] = None if quantiles is None else {"quantiles": quantiles, "mean": round(float(mean), 2)}
    return {
        "totals": {name: _number(rows(sql)[0][0]) for name, sql in _TOTALS.items()},
        "series": series,
        "spread": spread,
        "quantiles": list(QUANTILES),
    }


def _without_metadata(catalogue: duckdb.DuckDBPyConnection) -> None:
    """A store without PubMed's records has none of them, which is a number too."""
    known = {name for (name,) in catalogue.execute("SELECT view_name FROM duckdb_views()").fetchall()}
    if "metadata" not in known:
        catalogue.execute("""
            CREATE TEMP VIEW metadata AS SELECT NULL::VARCHAR AS outcome, NULL::STRUCT(descriptor VARCHAR)[] AS mesh,
            NULL::STRUCT(name VARCHAR)[] AS publication_types WHERE false
        """)


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _top(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    named = [[label if label is not None else "not stated", int(count)] for label, count in rows[:TOP]]
    rest = rows[TOP:]
    return named + ([[f"{len(rest)} others", sum(int(count) for _, count in rest)]] if rest else [])


def _years(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    """Every year from the first to the last; years without articles are zero."""
    counts = {int(year): int(count) for year, count in rows}
    return [[str(year), counts.get(year, 0)] for year in range(min(counts), max(counts) + 1)] if counts else []


def _labels(bounds: Sequence[int]) -> list[str]:
    """Names of bins by their lower bounds: '0', '10-24', '500+'."""
    ends = [*(bound - 1 for bound in bounds[1:]), None]
    return [
        f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        for low, high in zip(bounds, ends, strict=True)
    ]


def publish_statistics(files: Files) -> tuple[Statistics, Documents]:
    """Compute the statistics of the newest generation and store them as ``statistics.json``."""
    generation = read_generation(files)
    with bounded_catalogue(files) as (catalogue, _):
        statistics = compute_statistics(catalogue)
    assert generation is not None
    statistics = {"state": state_of(generation), **statistics}
    return statistics, publish(files, "statistics", {"statistics.json": json.dumps(statistics, indent=1).encode()})
