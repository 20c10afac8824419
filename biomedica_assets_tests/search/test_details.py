"""Filters and facets of panels, entities and paragraph quality: by words, by vectors, by article."""

from __future__ import annotations

from pathlib import Path

import pytest

from biomedica_assets.dataset.filters import FilterError
from biomedica_assets.search.generation import build_index
from biomedica_assets.search.requests import SearchRequest
from biomedica_assets.search.searcher import Searcher
from biomedica_assets_tests.details import commit_entities, commit_panels, commit_quality
from biomedica_assets_tests.ingest.releases import World
from biomedica_assets_tests.search.conftest import encoders, found, png, settings

NEEDS = {"n_panels_min": 2, "entity": "x", "entity_type": "gene", "paragraph_type": "study", "paragraph_score_min": 3}


def paragraph(world: World, figure_id: str) -> str:
    [(paragraph_id,)] = world.sql(f"SELECT DISTINCT paragraph_id FROM mentions WHERE figure_id = '{figure_id}'")
    return paragraph_id


@pytest.fixture
def searcher(world: World, tmp_path: Path) -> Searcher:
    box = (0, 0, 5, 20)
    commit_panels(
        world, {"PMC11.1/f1/1": [(box, "A", None), (box, "B", None)], "PMC13.1/f1/2": [(box, None, None)] * 3}
    )
    commit_entities(
        world,
        {
            "PMC11.1/f1": [("liver", "tissue", "UBERON:0002107", "Liver")],
            "PMC12.1/f2": [("Liver", "tissue", "UBERON:0002107", "Liver"), ("enzymes", "gene", None, None)],
            "PMC15.1/f2": [("Skin lesion", "disease", "MESH:D012871", "Skin Diseases")],
        },
    )
    commit_quality(
        world,
        {
            paragraph(world, "PMC11.1/f1"): ("clinical_case", "clinical", 4.5),
            paragraph(world, "PMC12.1/f2"): ("study", "biomedical", 2.25),
        },
    )
    build_index(world.files)
    return Searcher(world.files, tmp_path / "cache", settings(world), encoders())


@pytest.mark.parametrize(("name", "value"), NEEDS.items())
def test_without_the_table_a_filter_is_refused(world: World, tmp_path: Path, name: str, value: object) -> None:
    searcher = Searcher(world.files, tmp_path / "cache", settings(world), encoders())
    with pytest.raises(FilterError, match=f"{name}: this store does not have the table"):
        searcher.search(SearchRequest(filters={name: value}))


@pytest.mark.parametrize(
    ("filters", "figures"),
    [
        ({"n_panels_min": 2}, {"11/f1", "13/f1"}),
        ({"n_panels_min": 3, "n_panels_max": 3}, {"13/f1"}),
        # the image of three panels is 90 pixels wide, the other of its figure has one
        ({"n_panels_min": 3, "width_max": 20}, set()),
        ({"n_panels_max": 1, "width_max": 10}, {"13/f1"}),
        ({"entity": "LIVER"}, {"11/f1", "12/f2"}),
        ({"entity": "uberon:0002107", "entity_type": "gene"}, {"12/f2"}),
        ({"entity": "enzymes"}, {"12/f2"}),
        ({"entity": ["skin diseases", "enzymes"]}, {"12/f2", "15/f2"}),
        ({"entity": "skin lesion"}, {"15/f2"}),
        ({"entity_type": "tissue"}, {"11/f1", "12/f2"}),
        ({"paragraph_type": "clinical_case"}, {"11/f1"}),
        ({"paragraph_domain": ["clinical", "biomedical"]}, {"11/f1", "12/f2"}),
        ({"paragraph_score_min": 2.25}, {"11/f1", "12/f2"}),
        ({"paragraph_score_min": 2.5}, {"11/f1"}),
    ],
)
def test_filters(searcher: Searcher, filters: dict, figures: set[str]) -> None:
    for question in ({}, {"image": png(1, 30)}, {"text": "figure", "mode": "keyword"}):
        assert set(found(searcher, filters=filters, **question)) == figures  # type: ignore[arg-type]
    by_article = searcher.search(SearchRequest(group="article", filters=filters))
    assert {hit.pmcid for hit in by_article.hits} == {f"PMC{name[:2]}" for name in figures}


def test_an_article_passes_by_one_figure_alone(searcher: Searcher) -> None:
    """PMC15's second figure has the disease, all its figures one panel each; PMC12: its second figure has the gene."""
    both = {"entity": "enzymes", "paragraph_score_min": 2}
    assert searcher.search(SearchRequest(group="article", filters=both)).total == 1
    # of PMC11, the figure with two panels has the liver; the other has one panel and no entity
    apart = {"entity": "liver", "n_panels_max": 1}
    assert {hit.pmcid for hit in searcher.search(SearchRequest(group="article", filters=apart)).hits} == {"PMC12"}


def test_facets(searcher: Searcher) -> None:
    facets = searcher.facets(SearchRequest(facets=("tissue", "gene", "disease", "entity_type", "n_panels")))
    assert facets["tissue"] == [("Liver", 2)]
    assert facets["gene"] == [("enzymes", 1)]
    assert facets["disease"] == [("Skin Diseases", 1)]
    assert facets["entity_type"] == [("tissue", 2), ("disease", 1), ("gene", 1)]
    assert dict(facets["n_panels"]) == {"1": 8, "2": 1, "3": 1}
    # a facet of entities shows what other values of the filter on entities would give
    asked = SearchRequest(facets=("tissue", "paragraph_type"), filters={"entity": "enzymes"})
    assert searcher.facets(asked) == {"tissue": [("Liver", 2)], "paragraph_type": [("study", 1)]}


def test_the_card(searcher: Searcher) -> None:
    card = searcher.figure("PMC11.1/f1")
    assert card is not None
    assert card["images"][0]["n_panels"] == 2
    assert card["entities"] == [{"type": "tissue", "name": "Liver", "id": "UBERON:0002107"}]
