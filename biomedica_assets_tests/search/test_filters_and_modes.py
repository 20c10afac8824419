"""What is found, by filter and mode; expectations worked out from `conftest.papers`."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from biomedica_assets.dataset.filters import FilterError, Filters
from biomedica_assets.search.requests import QueryError, SearchRequest
from biomedica_assets.search.searcher import Searcher
from biomedica_assets_tests.search.conftest import found, jpeg, png

ALL = {"11/f1", "11/f2", "12/f1", "12/f2", "13/f1", "13/f2", "15/f1", "15/f2", "15/f3"}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ALL),  # 14 is of the group `other`, which is not served
        ({"licence_group": "noncommercial"}, {"12/f1", "12/f2"}),
        ({"licence_group": "other"}, set()),
        ({"licence": "CC BY"}, ALL - {"12/f1", "12/f2"}),
        ({"journal": "journal 1"}, {"11/f1", "11/f2", "13/f1", "13/f2", "15/f1", "15/f2", "15/f3"}),
        ({"journal": "J 0"}, {"12/f1", "12/f2"}),
        ({"published_from": "2020"}, {"13/f1", "13/f2", "15/f1", "15/f2", "15/f3"}),
        ({"published_from": "2018-06", "published_to": "2019-02"}, {"11/f1", "11/f2", "12/f1", "12/f2"}),
        ({"pmcid": ["PMC11", "13"]}, {"11/f1", "11/f2", "13/f1", "13/f2"}),
        ({"media_type": "image/jpeg"}, {"13/f1"}),
        ({"width_min": 13, "width_max": 14}, {"13/f2"}),
        ({"width_min": 50}, {"13/f1"}),
        ({"width_max": 10}, {"13/f1"}),
        # the wide one of its two pictures is the JPEG, the narrow one the PNG: no picture is both
        ({"width_min": 50, "media_type": "image/png"}, set()),
        ({"width_max": 12, "media_type": "image/jpeg"}, set()),
        ({"width_max": 12, "media_type": "image/png"}, {"11/f1", "11/f2", "12/f1", "12/f2", "13/f1"}),
        ({"language": "EN", "kind": "fig", "article_type": "research-article"}, ALL),
        ({"language": "fr"}, set()),
        ({"mesh": "Humans"}, set()),
        ({"keyword": "IMAGING"}, {"11/f1", "11/f2", "12/f1", "12/f2"}),
        ({"keyword": ["ward", "x"], "width_min": 11}, {"11/f1", "11/f2"}),
        ({"keyword": "imaging", "licence_group": "noncommercial"}, {"12/f1", "12/f2"}),
    ],
)
@pytest.mark.parametrize("mode", ["browse", "keyword", "vector"])
def test_filters(shared_searcher: Searcher, filters: dict[str, Any], expected: set[str], mode: str) -> None:
    if mode == "browse":
        assert set(found(shared_searcher, filters=filters)) == expected
    elif mode == "keyword":
        assert set(found(shared_searcher, "figure", mode="keyword", filters=filters)) == expected
    else:
        # by vectors every figure is found whose picture has one
        rows = shared_searcher._now().newest.opened.rows  # type: ignore[attr-defined]
        assert int(rows.mask(Filters(**filters)).sum()) == len(expected)
        image = png(1, 30)
        assert set(found(shared_searcher, image=image, filters=filters)) == expected


def test_articles_by_filters(shared_searcher: Searcher) -> None:
    def articles(**filters: Any) -> set[str]:
        response = shared_searcher.search(SearchRequest(group="article", filters=filters))
        assert response.total == len(response.hits)
        return {hit.pmcid for hit in response.hits}

    assert articles() == {"PMC11", "PMC12", "PMC13", "PMC15"}
    assert articles(width_min=50) == {"PMC13"}
    assert articles(width_min=50, media_type="image/png") == set()
    # one figure of 13 is wide, the other is a PNG: that is not one picture that is both
    assert articles(width_min=50, media_type="image/png", published_from="2020") == set()
    assert articles(licence_group="noncommercial") == {"PMC12"}


def test_words(shared_searcher: Searcher) -> None:
    assert found(shared_searcher, "livers", mode="keyword", fields=("caption",)) == ["12/f2", "11/f1"]
    # 15 has it in its title only
    assert set(found(shared_searcher, "liver", mode="keyword")) == {"12/f2", "11/f1", "15/f1", "15/f2", "15/f3"}
    assert found(shared_searcher, '"section of the kidney"', mode="keyword") == ["11/f2"]
    assert found(shared_searcher, '"kidney section"', mode="keyword") == []
    assert set(found(shared_searcher, "kidney -stained", mode="keyword")) == {"13/f1"}
    assert set(found(shared_searcher, "caption:liver", mode="keyword")) == {"11/f1", "12/f2"}
    assert found(shared_searcher, "mention:tells caption:lung", mode="keyword", limit=1)[0] == "13/f2"
    assert found(shared_searcher, "zebra", mode="keyword") == []


def test_vectors_find_what_the_words_do_not_say(shared_searcher: Searcher) -> None:
    hits = shared_searcher.search(SearchRequest(text="brains", mode="vector", limit=3)).hits
    # "brain" alone is nearer than "kidney and brain"; both before what says nothing of it
    assert [hit.figure_id for hit in hits[:2]] == ["PMC12.1/f1", "PMC13.1/f1"]
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert hits[1].score == pytest.approx(0.5**0.5, abs=1e-3)


def test_hybrid_fuses_and_ends_with_the_rest(shared_searcher: Searcher) -> None:
    response = shared_searcher.search(SearchRequest(text="kidney", mode="hybrid"))
    assert response.mode == "hybrid"
    ids = found(shared_searcher, "kidney", mode="hybrid", limit=2)
    assert set(ids[:2]) == {"11/f2", "13/f1"}
    assert len(ids) == len(set(ids)) == response.total
    without = found(shared_searcher, "kidney -brain", mode="hybrid")
    assert "13/f1" not in without
    assert "12/f1" not in without
    assert without[0] == "11/f2"


def test_like_and_image(shared_searcher: Searcher) -> None:
    like = found(shared_searcher, like="PMC15.1/f2")
    assert like[0] == "15/f3"  # the other skin lesion of its article
    assert "15/f2" not in like
    assert "14/f1" not in like
    for mode in ("keyword", "vector", "hybrid"):
        assert found(shared_searcher, like="PMC15.1/f2", mode=mode)[0] == "15/f3"
    assert found(shared_searcher, image=png(121, 12))[0] == "12/f1"  # its very picture
    assert found(shared_searcher, image=jpeg(131, 90))[0] == "13/f1"
    with pytest.raises(QueryError, match="no figure"):
        found(shared_searcher, like="PMC14.1/f1")  # not served
    with pytest.raises(QueryError, match="no figure"):
        found(shared_searcher, like="nonsense")
    with pytest.raises(QueryError, match="cannot be read"):
        found(shared_searcher, image=b"no image")
    with pytest.raises(ValidationError, match="stands alone"):
        SearchRequest(like="x", text="y")


def test_articles_by_words(shared_searcher: Searcher) -> None:
    hits = shared_searcher.search(SearchRequest(text="liver", mode="keyword", group="article")).hits
    by_id = {hit.pmcid: hit for hit in hits}
    assert set(by_id) == {"PMC11", "PMC12", "PMC15"}
    assert by_id["PMC11"].figure_id == "PMC11.1/f1"
    assert by_id["PMC15"].figures == 3  # its title is a text of its figures too
    assert by_id["PMC15"].snippets["article"] == [("Liver", True), (" transplants", False)]
    response = shared_searcher.search(SearchRequest(text="kidney", group="article", limit=1))
    assert response.hits[0].pmcid in {"PMC11", "PMC13"}
    ids = [a.partition("/")[0] for a in found(shared_searcher, "kidney", group="article", limit=1)]
    assert len(ids) == len(set(ids))


def test_snippets_and_cards(shared_searcher: Searcher) -> None:
    hit = shared_searcher.search(SearchRequest(text="kidneys stained tell", mode="keyword", limit=1)).hits[0]
    assert hit.figure_id == "PMC11.1/f2"
    assert hit.snippets["caption"] == [
        ("Figure 2 Section of the ", False),
        ("kidney", True),
        (", ", False),
        ("stained", True),
    ]
    assert ("tells", True) in hit.snippets["mention"]
    card = hit.card
    assert card["mentions"] == [
        {"text": "As Figure 2 tells.", "panels": [], "paragraph_id": "PMC11.1/p2", "section": "Results"}
    ]
    assert (card["label"], card["caption"], card["title"]) == ("Figure 2", "Section of the kidney, stained", "Paper 11")
    assert card["licence"] == {"group": "commercial", "code": "CC BY", "version": None, "url": None}
    assert [(i["image_id"], i["width"], i["height"]) for i in card["images"]] == [("PMC11.1/f2/1", 11, 20)]
    assert "https://pmc.ncbi.nlm.nih.gov/articles/PMC11/" in card["attribution"]
    assert shared_searcher.figure("PMC11.1/f2") == card
    assert shared_searcher.figure("PMC14.1/f1") is None
    assert shared_searcher.figure("PMC11.1/f9") is None


def test_facets(shared_searcher: Searcher) -> None:
    facets = shared_searcher.search(
        SearchRequest(text="section", mode="keyword", facets=("licence_group", "year", "journal", "media_type"))
    ).facets
    assert facets == {
        "licence_group": [("commercial", 2)],
        "year": [("2018", 2)],
        "journal": [("Journal 1", 2)],
        "media_type": [("image/png", 2)],
    }
    # by vectors everything is found, so facets are of all that the filters keep
    facets = shared_searcher.search(SearchRequest(text="brains", mode="vector", facets=("year",))).facets
    assert facets == {"year": [("2021", 3), ("2018", 2), ("2019", 2), ("2020", 2)]}
    # so is a hybrid search of which no figure has a word
    facets = shared_searcher.search(SearchRequest(text="xheart", facets=("year",))).facets
    assert facets == {"year": [("2021", 3), ("2018", 2), ("2019", 2), ("2020", 2)]}
    # a filtered field shows its other values; other facets are narrowed by it
    request = SearchRequest(filters={"licence_group": "noncommercial"}, facets=("licence_group", "year"))
    assert shared_searcher.facets(request) == {
        "licence_group": [("commercial", 7), ("noncommercial", 2)],
        "year": [("2019", 2)],
    }


def test_newest_first(shared_searcher: Searcher) -> None:
    assert [one[:2] for one in found(shared_searcher)] == ["15"] * 3 + ["13"] * 2 + ["12"] * 2 + ["11"] * 2


def test_a_filter_on_a_missing_table_says_so(shared_searcher: Searcher) -> None:
    with pytest.raises(FilterError, match="annotations"):
        found(shared_searcher, filters={"label": "ct"})
