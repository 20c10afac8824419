"""Where mentions begin and end, and Latin names by their form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.entities import latin
from biomedica_assets.entities.boundaries import parts, trimmed
from biomedica_assets.entities.words import read


def cut(text, kind="gene", names=(), species=()):
    """The texts that are left of a span that covers the whole text."""
    tokens = read(text)

    def named(first, behind):
        return text[tokens.starts[first] : tokens.ends[behind - 1]] in names

    animals = {(0, len(read(name).words)): 1 for name in species}
    spans = parts(tokens.words, 0, len(tokens.words), kind, named, animals)
    return [text[tokens.starts[a] : tokens.ends[b - 1]] for a, b in spans]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Pcdh-β transcripts", ["Pcdh-β"]),
        ("human TP53 gene", ["TP53"]),
        ("Smad2 protein", ["Smad2"]),
        ("surfactant protein", ["surfactant protein"]),
        ("anti-CD20 antibody", ["CD20"]),
        ("PcATP2/PcCdc50A", ["PcATP2", "PcCdc50A"]),
        ("caspase-4/5/11", ["caspase-4/5/11"]),
        ("CYP2D6 (PSP", ["CYP2D6"]),
        ("SEM", []),
        ("Lane 1–8", []),
        ("Exp 4", []),
        ("Fig. 1A–C", []),
        ("2B", []),
        ("E2F1", ["E2F1"]),
        ("HM803106", []),
        ("∙∙∙", []),
        ("ng L-1", []),
        ("HER2 = EGFR", ["HER2"]),
    ],
)
def test_genes(text, left):
    assert cut(text) == left


def test_what_the_vocabulary_names_stays():
    assert cut("green fluorescent protein", names=("green fluorescent protein",)) == ["green fluorescent protein"]
    assert cut("ANOVA1", names=("ANOVA1",)) == ["ANOVA1"]
    assert cut("IDO1 breaks down", names=("IDO1",)) == ["IDO1"]
    assert cut("IDO1 receptor", names=("IDO1",)) == ["IDO1 receptor"]
    assert cut("E. coli FtsZ", species=("E. coli",)) == ["FtsZ"]


def test_other_types():
    assert cut("gut samples", "tissue") == ["gut"]
    assert cut("(CHD)", "disease") == ["CHD"]
    assert cut("disease", "disease") == []
    assert cut("A-T", "disease") == ["A-T"]
    assert cut("breast cancer (stage", "disease") == ["breast cancer"]


@given(
    st.lists(
        st.sampled_from(["gene", "(", ")", "[", "]", "TP53", "/", "-", ";", "=", "protein", "1", "λ"]),
        min_size=1,
        max_size=8,
    )
)
def test_a_trimmed_span_lies_within(words):
    for kind in ("gene", "disease", "tissue"):
        first, behind = trimmed(words, 0, len(words), kind, lambda *_: False)
        assert 0 <= first <= behind <= len(words)


def _places(text, genera=()):
    tokens = read(text)
    starts, ends = np.array(tokens.starts), np.array(tokens.ends)
    known = [(i, i + 1) for i, word in enumerate(tokens.words) if word in genera]
    found = [*latin.shortened(tokens.words, starts, ends), *latin.extended(tokens.words, known, starts, ends)]
    return [text[starts[a] : ends[b - 1]] for a, b in found]


def test_latin_names():
    assert _places("M. oryzae and Ae. aegypti. A. Mice (B. rats)") == ["M. oryzae", "Ae. aegypti", "B. rats"]
    assert _places("Crataegus monogyna, Crataegus leaves", {"Crataegus"}) == ["Crataegus monogyna"]
    assert not latin.looks_latin("rats") and not latin.looks_latin("analysis")
