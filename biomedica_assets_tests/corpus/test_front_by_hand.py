"""Metadata of real articles, worked out by reading the front matter of their XML."""

from __future__ import annotations

import pytest

from biomedica_assets.jats import Article

ROWS = [
    (
        "PMC6061182",
        {
            "title": "Vitamin D Improves Neurogenesis and Cognition in a Mouse Model of Alzheimer’s Disease",
            "pmid": 29318446,
            "doi": "10.1007/s12035-017-0839-1",
            "journal_abbreviation": "Mol Neurobiol",
            "licence_code": "CC BY",
            "licence_version": "4.0",
            "licence_url": None,
            "publication_date": "2018-01-09",
            "volume": "55",
            "issue": "8",
            "first_page": "6463",
            "last_page": "6479",
        },
    ),
    (
        "PMC11656323",
        {
            "title": "Fiat Surfaces in the Basic Formal Ontology",
            "manuscript_id": "NIHMS2042189",
            "licence_code": "CC BY-NC",
            "licence_group": "noncommercial",
            "publication_date": "2024",
        },
    ),
    ("PMC6321889", {"licence_code": "CC BY-NC-ND", "elocation_id": "e01102"}),
    ("PMC2946600", {"licence_code": "CC BY", "licence_version": None, "publication_year": 2010}),
    ("PMC5514443", {"licence_code": "CC BY-NC-ND"}),  # the URL says CC-BY/4.0, the words NonCommercial-NoDerivatives
    ("PMC3430997", {"licence_code": "CC BY-NC", "licence_version": "3.0"}),  # .../licenses/bync/3.0/uk/
    ("PMC6239004", {"licence_code": "CC BY", "publication_date": "2018-08-27"}),  # by/3.0/igo/legalcode
    # Marks of footnotes are no title
    ("PMC4587315", {"title": "Global Proteomics Analysis of the Response to Starvation in C. elegans"}),
    (
        "PMC5546162",
        {
            "title": "Transcriptomic analysis, genic SSR development, and genetic diversity of proso millet "
            "(Panicum miliaceum; Poaceae)"
        },
    ),
    (
        "PMC9024322",
        {
            "title": "Serial cardiac biomarker assessment in adults with congenital heart disease hospitalized for "
            "decompensated heart failure"
        },
    ),
    (
        "PMC3956938",
        {
            "article_type": "correction",
            "related_articles": [{"type": "corrected-article", "id_type": "doi", "id": "10.1371/journal.pone.0041268"}],
            "abstract": None,
        },
    ),
]


@pytest.mark.parametrize(("article", "columns"), ROWS)
def test_columns(by_name: dict[str, Article], article: str, columns: dict[str, object]) -> None:
    row = by_name[article].article
    assert {key: row.get(key) for key in columns} == columns


def _authors(article: Article) -> list[dict[str, object]]:
    return list(article.article["authors"])


def test_authors_with_orcid_and_affiliations(by_name: dict[str, Article]) -> None:
    authors = _authors(by_name["PMC11656323"])
    assert [(a["name"], a["orcid"]) for a in authors] == [
        ("Michael Rabenberg", "0000-0001-9004-5322"),
        ("Werner Ceusters", "0000-0002-2676-8689"),
    ]
    assert authors[0]["affiliations"] == ["University at Buffalo, 77 Goodell Street, Buffalo, NY 14203, USA"]


def test_the_only_affiliation_is_everybodys(by_name: dict[str, Article]) -> None:
    # One <aff>, and no author links to it
    for article, words in [
        ("PMC4348445", "Botany Department, Faculty of Science, Damietta University, Egypt"),
        ("PMC5509450", "Department of Hematology/Oncology, University Hospital Erlangen, Erlangen, Germany"),
    ]:
        assert all(author["affiliations"] == [words] for author in _authors(by_name[article])), article


def test_collective_authors(by_name: dict[str, Article]) -> None:
    last = _authors(by_name["PMC6588955"])[-1]
    assert (last["name"], last["collective"]) == ("Etiosarc study group", True)
    assert len(_authors(by_name["PMC6588955"])) == 21
    assert _authors(by_name["PMC3956938"])[0]["name"] == "The PLOS ONE Staff"


def test_dates(by_name: dict[str, Article]) -> None:
    dates = {(d["type"], d["date"], d["precision"]) for d in by_name["PMC10400000"].article["dates"]}
    assert dates == {
        ("collection", "2023-07-15", "day"),
        ("epub", "2023-07-28", "day"),
        ("pmc-release", "2023-07-28", "day"),
        ("received", "2022-07-09", "day"),
        ("accepted", "2023-06-19", "day"),
    }
    types = {(d["type"], d["date"]) for d in by_name["PMC5904409"].article["dates"]}
    assert types == {("epub", "2018-04-17"), ("collection", "2018")}  # Mar-Apr 2018: a season names no month


def test_abstract_parts(by_name: dict[str, Article]) -> None:
    parts = by_name["PMC6239004"].article["abstract_parts"]
    assert [(p["language"], p["title"]) for p in parts[:6]] == [
        (None, "Objective"),
        (None, "Methods"),
        (None, "Findings"),
        (None, "Conclusion"),
        ("fr", "Objectif"),
        ("fr", "Méthodes"),
    ]
    # A heading that ends in a colon gets no second one
    abstract = by_name["PMC5546162"].article["abstract"]
    assert abstract.startswith("Premise of the study: Proso millet (Panicum miliaceum; Poaceae) is a minor crop")
    # The DOI line of an eLife abstract is no abstract
    assert not any("dx.doi.org" in p["text"] for p in by_name["PMC3840788"].article["abstract_parts"])


def test_titles_in_other_languages(by_name: dict[str, Article]) -> None:
    titles = by_name["PMC6239004"].article["translated_titles"]
    assert titles[0] == {
        "language": "fr",
        "title": "Précision des méthodes de dépistage du diabète utilisées pour les personnes atteintes de "
        "tuberculose en Afrique du Sud, en Indonésie, au Pérou et en Roumanie",
    }


def test_keywords_and_subjects(by_name: dict[str, Article]) -> None:
    row = by_name["PMC4584420"].article
    assert [(k["group"], k["keyword"]) for k in row["keywords"]][:3] == [
        ("author", "Leptin"),
        ("author", "Ghrelin"),
        ("author", "Single Nucleotide Polymorphism"),
    ]
    subjects = [(s["group"], s["subject"]) for s in by_name["PMC11571129"].article["subjects"]]
    assert subjects[:2] == [
        ("heading", "Research and Clinical"),
        ("heading", "Research and Clinical / Original Research"),
    ]


def test_funding(by_name: dict[str, Article]) -> None:
    assert by_name["PMC10400000"].article["funding"][1] == {
        "funder": "National Institutes of Health",
        "funder_id": "http://dx.doi.org/10.13039/100000002",
        "award_ids": ["HL127499", "GM131178"],
    }
    # <named-content content-type="funder-name">..., then funder-identifier
    assert by_name["PMC6115875"].article["funding"][0] == {
        "funder": "USDA National Institute of Food and Agriculture",
        "funder_id": "10.13039/100000199",
        "award_ids": ["2014-67013-21717"],
    }


def test_licence_words_without_the_url_before_them(by_name: dict[str, Article]) -> None:
    words = by_name["PMC12617971"].article["licence_text"]
    assert words.startswith("This work is published and licensed by Dove Medical Press")
