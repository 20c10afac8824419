"""The gold lists of entities and paragraphs fit the texts that the parser gives.

Belongs here: that the lists are well formed. How well the product does on them is measured in `benchmarks`.
"""

import hashlib
import json
from collections import Counter
from typing import Any

import pytest

from biomedica_assets.jats import Article
from biomedica_assets_tests.corpus.conftest import CHECKOUT

DATA = CHECKOUT / "benchmarks" / "data"


def _rows(name: str) -> list[dict[str, Any]]:
    with (DATA / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def captions() -> list[dict[str, Any]]:
    return _rows("corpus_entities.jsonl")


@pytest.fixture(scope="module")
def paragraphs() -> list[dict[str, Any]]:
    return _rows("corpus_paragraphs.jsonl")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_entities_are_well_formed(captions: list[dict[str, Any]]) -> None:
    kinds = {"disease", "chemical", "gene", "species", "cell_line", "cell_type", "tissue"}
    assert len({(row["article"], row["figure"]) for row in captions}) == len(captions) >= 200
    assert max(Counter(row["article"] for row in captions).values()) == 2
    for row in captions:
        end = 0
        for entity in row["entities"]:
            assert end <= entity["start"] < entity["end"]
            assert len(entity["text"]) == entity["end"] - entity["start"]
            assert entity["text"] == entity["text"].strip()
            assert entity["type"] in kinds
            assert entity.get("optional", True) is True
            end = entity["end"]


def test_paragraphs_are_well_formed(paragraphs: list[dict[str, Any]]) -> None:
    assert len({row["paragraph"] for row in paragraphs}) == len(paragraphs) >= 300
    for row in paragraphs:
        assert row["paragraph"].startswith(row["article"] + "/p")
        assert row["type"] in {"study", "review", "clinical_case", "other"}
        assert row["domain"] in {"clinical", "biomedical", "other"}
        assert row["score"] in {1, 2, 3, 4, 5}


def test_entities_are_where_the_list_says(captions: list[dict[str, Any]], by_name: dict[str, Article]) -> None:
    for row in captions:
        article = by_name[row["article"].partition(".")[0]]
        [figure] = [f["figure_id"] for f in article.figures if f["xml_id"] == row["figure"]]
        [text] = [c["text"] for c in article.captions if c["figure_id"] == figure]
        assert _sha256(text) == row["text_sha256"]
        for entity in row["entities"]:
            assert text[entity["start"] : entity["end"]] == entity["text"]


def test_paragraphs_are_those_that_were_read(paragraphs: list[dict[str, Any]], by_name: dict[str, Article]) -> None:
    for row in paragraphs:
        article = by_name[row["article"].partition(".")[0]]
        [paragraph] = [p for p in article.paragraphs if p["paragraph_id"] == row["paragraph"]]
        assert _sha256(paragraph["text"]) == row["text_sha256"]
        assert paragraph["kind"] in {"p", "abstract"}
