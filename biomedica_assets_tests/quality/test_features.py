"""Hashed columns: what the array operations give is what a plain reading of the rules gives."""

from __future__ import annotations

import itertools
import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.quality import features
from biomedica_assets.quality.features import BITS, COLUMNS, fact_columns, text_columns
from biomedica_assets.quality.paragraphs import Context, Paragraph

WHOLE = 1 << 64
BASE = 0x9E3779B97F4A7C15
WORD, BEGINNING, ENDING, PAIR = 0x51, 0xB3, 0xE7, 0x1D


def mixed(number: int) -> int:
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 % WHOLE
    number = (number ^ number >> 27) * 0x94D049BB133111EB % WHOLE
    return number ^ number >> 31


def polynomial(word: bytes, seed: int) -> int:
    """Each byte plus one, times the base to the power of its place; mixed."""
    return mixed(sum((byte + 1) * pow(BASE, place, WHOLE) for place, byte in enumerate(word)) % WHOLE ^ seed)


def plain(text: str) -> set[int]:
    """The columns of a text, word by word."""
    encoded = text[: features.MAX_CHARACTERS].lower().encode("utf-8", "replace")
    words = re.findall(rb"[a-z0-9\x80-\xff]+|[%=<>(;:?]", encoded)
    words = [re.sub(rb"[0-9]", b"0", word) for word in words]
    hashes = [polynomial(word, WORD) for word in words]
    found = set(hashes)
    for word in words:
        if len(word) > 6:
            found |= {polynomial(word[:6], BEGINNING), polynomial(word[-4:], ENDING)}
    for one, two in itertools.pairwise(hashes):
        found.add(mixed((one * BASE + two) % WHOLE ^ PAIR))
    return {number >> 64 - BITS for number in found}


def columns_of(found: features.Columns, number: int) -> list[int]:
    return found.of[found.starts[number] : found.starts[number + 1]].tolist()


def test_two_words_are_four_columns():
    # "p" and "<", the pair, and "0" with its pair behind "<": words 3, pairs 2.
    found = text_columns(["p < 0"])
    assert columns_of(found, 0) == sorted(plain("p < 0"))
    assert len(columns_of(found, 0)) == 5


@given(
    st.lists(st.text(max_size=60) | st.sampled_from(["", "Patients, 45%", "Ärzte und Äpfel", "\n", "a\nb"]), max_size=6)
)
def test_a_batch_gives_what_each_text_gives_alone(texts):
    found = text_columns(texts)
    assert len(found) == len(texts)
    for number, text in enumerate(texts):
        assert columns_of(found, number) == sorted(plain(text))


def test_digits_are_alike_and_case_does_not_count():
    found = text_columns(["In 1999 MICE", "in 2024 mice"])
    assert columns_of(found, 0) == columns_of(found, 1)


def test_long_texts_are_cut():
    text = "word " * 10_000
    found = text_columns([text + "unseen", text])
    assert columns_of(found, 0) == columns_of(found, 1)


def test_facts_of_text_alone_know_no_context():
    context = Context("p", ("2. Methods", "Cells"), "methods", "case-report", "A case of measles", ("Case Reports",))
    paragraph = Paragraph("Text of 12 letters", context, 3)
    bare, whole = (fact_columns([paragraph], context=known) for known in (False, True))
    assert len(bare.of) == 3  # length, share of digits, signs of one person
    assert set(bare.of) < set(whole.of)
    assert columns_of(fact_columns([Paragraph(paragraph.text)]), 0) == columns_of(bare, 0)
    # kind, article, section, both; titles whole: 2; depth; words of sections: 2; of the title: 3 ("A" is too short);
    # publication type; citations: 2
    assert len(whole.of) == 3 + 4 + 2 + 1 + 2 + 3 + 1 + 2


def test_columns_are_those_of_this_version():
    """Models are bound to them: when this fails, raise FEATURES_VERSION and fit the shipped model anew."""
    found = text_columns(["The patient was treated (n = 12)."])
    facts = fact_columns([Paragraph("The patient", Context(sections=("Results",)), 1)])
    assert features.FEATURES_VERSION == "1"
    assert columns_of(found, 0) == sorted(plain("The patient was treated (n = 12)."))
    assert int(np.max(found.of)) < COLUMNS
    assert facts.of.tolist() == FACTS


FACTS = [3343, 8546, 20980, 24994, 26967, 31678, 33409, 33544, 34972, 37769, 39487, 40744, 50881, 65016]


def test_signs_of_one_person_are_counted():
    texts = ["Cells grew.", "He was well.", "A 4-year-old girl; her mother and the patient came."]
    found = [set(fact_columns([Paragraph(text)]).of) for text in texts]
    names = [features._named(f"person {count}") for count in (0, 1, 3)]
    assert [name in columns for name, columns in zip(names, found, strict=True)] == [True] * 3
