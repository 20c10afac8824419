"""The filter language against rows made by hand."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from biomedica_assets.dataset import predicates
from biomedica_assets.dataset.filters import MANY, FilterError, Filters

ROWS = """
    SELECT * FROM (VALUES
        ('a', 1, 'commercial', 'CC BY', 'The Lancet', 'Lancet', 'en', 'fig', '2019', 100, 50, ['Humans', 'Mice'],
         ['D006801', 'D051379'], ['skin'], 'image/jpeg'),
        ('b', 2, 'noncommercial', 'CC BY-NC', 'Cell', NULL, 'EN', 'table', '2020-03', 200, 60, ['Humans'], ['D006801'],
         NULL, 'image/png'),
        ('c', 3, 'other', NULL, NULL, NULL, NULL, 'fig', '2020-03-17', 300, 70, NULL, NULL, ['skin', 'hair'], NULL),
        ('d', 4, 'commercial', 'CC0', 'Cell', 'Cell', 'fr', 'fig', NULL, NULL, NULL, [], [], [], 'image/tiff')
    ) t(id, pmcid, licence_group, licence_code, journal, journal_abbreviation, language, kind, publication_date, width,
        height, mesh, mesh_uis, keywords, media_type)
"""


def kept(**fields: Any) -> str:
    sql, values = Filters(**fields).sql()
    rows = duckdb.execute(f"SELECT id FROM ({ROWS}) WHERE {sql} ORDER BY id", values).fetchall()
    return "".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "abcd"),
        ({"licence_group": "commercial"}, "ad"),
        ({"licence_group": ["Commercial", "other"]}, "acd"),
        ({"licence": "cc by"}, "a"),
        ({"journal": "lancet"}, "a"),
        ({"journal": ["The Lancet", "Cell"]}, "abd"),
        ({"language": "en"}, "ab"),
        ({"mesh": "humans"}, "ab"),
        ({"mesh": "d051379"}, "a"),
        ({"mesh": ["D051379", "Humans"]}, "ab"),
        ({"keyword": "Hair"}, "c"),
        ({"pmcid": ["PMC1", "3", "pmc4.2"]}, "acd"),
        ({"kind": "fig", "licence_group": "commercial"}, "ad"),
        ({"width_min": 200}, "bc"),
        ({"width_min": 200, "height_max": 60}, "b"),
        # '2019' and '2020-03' are as coarse as they are: they count when their period overlaps
        ({"published_from": "2019-06"}, "abc"),
        ({"published_from": "2020-03-18"}, "b"),
        ({"published_to": "2020-03-16"}, "ab"),
        ({"published_from": "2020", "published_to": "2020"}, "bc"),
        ({"published_from": "2020-04"}, ""),
    ],
)
def test_what_a_filter_keeps(fields: dict[str, Any], expected: str) -> None:
    assert kept(**fields) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"unknown": "x"},
        {"published_from": "20"},
        {"published_from": "2020-13"},
        {"published_from": "2021-05", "published_to": "2021-04"},
        {"width_min": -1},
        {"width_min": 10, "width_max": 9},
        {"bytes_max": 2**63},
        {"pmcid": "1 OR 1=1"},
        {"journal": "a\x00b"},
        {"journal": ["\ud800"]},
        {"journal": ""},
        {"journal": ["x"] * 201},
        {"journal": "x" * 301},
    ],
)
def test_what_is_no_filter(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Filters(**fields)


def test_a_table_that_does_not_exist_yet() -> None:
    for filters in (Filters(label="computed_tomography"), Filters(panel_type="single")):
        with pytest.raises(FilterError, match="annotations"):
            filters.check(())
        filters.check({"annotations"})
    Filters(journal="x").check(())


def test_every_column_is_a_predicates_column() -> None:
    everything = dict.fromkeys(MANY, "1") | {"published_from": "2020"}
    sizes = {f"{name}_{end}": 1 for name in ("width", "height", "bytes", "n_panels") for end in ("min", "max")}
    filters = Filters(**everything, **sizes, paragraph_score_min=3)
    assert filters.columns() <= set(predicates.COLUMNS)
    assert len(filters.active()) == len(Filters.model_fields) - 1  # published_to


def test_equal_filters_have_one_form() -> None:
    one, other = Filters(journal=["Cell", "lancet", "cell"]), Filters(journal=("Lancet", "CELL"))
    assert one == other
    assert hash(one) == hash(other)
    assert one.sql() == other.sql()
    assert not Filters()
    assert Filters(bytes_min=0)


@given(st.dictionaries(st.sampled_from(sorted(Filters.model_fields)), st.text() | st.integers() | st.lists(st.text())))
def test_anything_is_a_filter_or_an_error(fields: dict[str, Any]) -> None:
    try:
        filters = Filters(**fields)
    except ValidationError:
        return
    columns = ", ".join(f"{predicates.COLUMNS[c][1].replace('*', '')!r} AS x" for c in filters.columns())
    assert "?" not in columns
    sql, values = filters.sql()
    assert sql.count("?") == len(values)
