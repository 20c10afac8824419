"""Tokens, sentences, folded spellings, hashes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.entities.words import (
    BARRIER,
    INNER,
    JOINER,
    LONGEST,
    WORD,
    WordTable,
    exact,
    finish,
    fold,
    hash_of,
    joins,
    kind_of,
    polynomial,
    read,
    spelled,
)


def test_tokens_are_runs_of_letters_and_digits_or_single_marks():
    tokens = read("TNF-α (5 µM) in Crohn's disease.")
    assert tokens.words == ["TNF", "-", "α", "(", "5", "µM", ")", "in", "Crohn", "'s", "disease", "."]
    assert [tokens.text[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)] == tokens.words


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One cell. Two cells.", ["One cell.", "Two cells."]),
        ("See Fig. 2 for E. coli. Bars, 5 µm.", ["See Fig. 2 for E. coli.", "Bars, 5 µm."]),
        ("Staphylococcus sp. A was found", ["Staphylococcus sp. A was found"]),
        ("first line\nsecond line", ["first line", "second line"]),
        ("P < 0.05. (B) Mice", ["P < 0.05.", "(B) Mice"]),
    ],
)
def test_sentences(text, sentences):
    tokens = read(text)
    edges = [tokens.starts[b] for b in tokens.breaks] + [len(text)]
    assert [text[a:b].strip() for a, b in pairwise(edges)] == sentences


def test_a_sentence_has_a_longest_length():
    assert read("a " * (LONGEST + 5)).breaks == [0, LONGEST]


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("Tumours", "tumor"),
        ("arteries", "artery"),
        ("mitosis", "mitosis"),
        ("Virus", "virus"),
        ("β", "beta"),
        ("Sjögren", "sjogren"),
    ],
)
def test_folding(word, folded):
    assert fold(word) == folded


def test_symbols_keep_their_case_but_not_the_plural():
    assert (exact("TLRs"), exact("mRNAs"), exact("TNFα"), exact("Was")) == ("TLR", "mRNA", "TNFalpha", "Was")


def test_kinds_of_tokens():
    assert [kind_of(t) for t in ("p53", "-", "'s", "(", ";")] == [WORD, JOINER, JOINER, INNER, BARRIER]


@given(st.text(), st.text())
def test_hashes_join(left, right):
    (a, _), (b, factor) = polynomial(left), polynomial(right)
    assert (a * factor + b) % 2**64 == polynomial(left + right)[0]


def test_spellings_of_one_name_have_one_hash():
    wanted = hash_of(spelled("TNF-alpha", free=True), free=True)
    for name in ("TNF alpha", "TNFα", "tnf‐α"):
        assert hash_of(spelled(name, free=True), free=True) == wanted
    assert hash_of("TNF", free=False) != hash_of("TNF", free=True)
    assert int(finish(np.array([0], np.uint64))[0]) == 0


def _joins(text):
    table, tokens = WordTable(), read(text)
    rows, new = table.rows(tokens.words)
    assert sorted(new) == sorted(set(tokens.words))
    free, symbol = joins(table, rows, np.array(tokens.starts), np.array(tokens.ends), np.array(tokens.breaks))
    return (
        [w for w, on in zip(tokens.words, free, strict=True) if on],
        [w for w, on in zip(tokens.words, symbol, strict=True) if on],
    )


def test_where_names_may_go_on():
    assert _joins("breast cancer") == (["breast"], [])
    assert _joins("IL-6") == (["IL", "-"], ["IL", "-"])
    assert _joins("lung, liver") == (["lung"], [])  # to the comma, and not beyond it
    assert _joins("1,2-diol") == (["1", ",", "2", "-"], ["2", "-"])
    assert _joins("E. coli") == (["E", "."], [])
    assert _joins("CD4+ T") == (["CD4", "+"], [])
    assert _joins("Crohn's disease") == (["Crohn", "'s"], ["Crohn"])
    assert _joins("A; B") == ([], [])


@given(st.text())
def test_any_text_can_be_read(text):
    tokens = read(text)
    assert [text[a:b] for a, b in zip(tokens.starts, tokens.ends, strict=True)] == tokens.words
    assert sorted(set(tokens.breaks)) == tokens.breaks
    assert (tokens.breaks[:1] == [0]) == bool(tokens.words)
