"""Texts of many words, e.g. a sentence of an article: the rarest words are searched for, those that are anywhere."""

from __future__ import annotations

from biomedica_assets.search.query import TELLING
from biomedica_assets.search.searcher import Searcher, SearchRequest


def found(searcher: Searcher, text: str) -> list[str]:
    hits = searcher.search(SearchRequest(text=text, mode="keyword", fields=("caption",), limit=50)).hits
    return [hit.figure_id for hit in hits]


def test_words_that_are_nowhere_do_not_push_out_the_others(shared_searcher: Searcher) -> None:
    nowhere = " ".join(f"zzyzx{'abcdefghijklmnop'[n]}" for n in range(TELLING + 3))
    assert found(shared_searcher, f"{nowhere} brain") == found(shared_searcher, "brain") != []
    assert found(shared_searcher, nowhere) == []


def test_one_word_of_a_long_text_is_enough(shared_searcher: Searcher) -> None:
    # Fourteen words, of which no caption has most; a short text asks for most of its words first.
    text = "section liver kidney stained scan brain enzymes lung heart skin lesion leg arm nowhere"
    assert len(text.split()) > TELLING
    ids = found(shared_searcher, text)
    assert "PMC15.1/f2" in ids  # "Skin lesion of the leg"
    assert "PMC12.1/f1" in ids  # "Scan of the brain"


def test_phrases_and_exclusions_of_long_texts_stay(shared_searcher: Searcher) -> None:
    words = "section liver kidney stained scan brain enzymes lung heart skin lesion leg arm"
    with_phrase = found(shared_searcher, f'{words} "skin lesion"')
    assert with_phrase[0] in ("PMC15.1/f2", "PMC15.1/f3")
    without = found(shared_searcher, f"{words} -brain")
    assert "PMC12.1/f1" not in without
    assert "PMC15.1/f2" in without


def test_vectors_are_asked_with_all_of_a_text(shared_searcher: Searcher) -> None:
    text = "nothing " * 100 + "brain"
    hits = shared_searcher.search(SearchRequest(text=text, mode="vector", limit=1)).hits
    assert [hit.figure_id for hit in hits] == ["PMC12.1/f1"]  # "Scan of the brain"
