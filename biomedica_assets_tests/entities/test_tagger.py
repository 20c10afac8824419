"""Best labels and probabilities, against all labellings counted one by one."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.entities.batch import Reader
from biomedica_assets.entities.features import OFFSETS, attributes, seen_at, shape
from biomedica_assets.entities.tagger import LABELS, SCALE, B, I, O, Tagger, TaggerError, spans_of
from biomedica_assets_tests.entities.small import tagger, vocabulary

WORDS = ("alpha", "beta", "gamma")
TRANSITIONS = [[[-8, 20, 5], [0, 16, 9], [4, -3200, 12]]]


def _read(tagger_, texts):
    reader = Reader(vocabulary())
    batch, new = reader.read(texts)
    tagger_.learn_words(new)
    return batch, *tagger_.tag(batch)


def test_shapes_and_attributes():
    assert shape("IL-6α") == "AA-0a"
    assert "w=il6" in attributes("IL6") and "x=A0" in attributes("IL6")
    assert attributes("(") == ["w=(", "x=("]
    assert [a for a in attributes("cells") if seen_at(a, 1)] == ["w=cells", "x=a", "3=lls", "f=cell"]


def test_weights_at_a_token_and_beside_it():
    one = tagger({"w=alpha": {("disease", 0, B): 2.0, ("disease", 1, B): -1.0}, "<end>": {("disease", 0, O): 0.5}})
    batch, _, _ = _read(one, ["alpha alpha"])
    # The first has its own weight and that of the next word; the second its own and the end's.
    assert (one.scores(batch)[:, 0] / SCALE).tolist() == [[1.0, 0, 0], [2.0, 0, 0.5]]


@given(st.lists(st.integers(-64, 64), min_size=9, max_size=9), st.lists(st.sampled_from(WORDS), min_size=1, max_size=5))
def test_best_labels_and_probabilities(weights, words):
    table = {
        f"w={word}": {("disease", 0, label): weights[3 * n + label] / SCALE for label in range(LABELS)}
        for n, word in enumerate(WORDS)
    }
    one = tagger(table, transitions=TRANSITIONS)
    _, found, marginals = _read(one, ["gamma. Beta", " ".join(words)])

    def score(labels):
        own = sum(weights[3 * WORDS.index(word) + label] for word, label in zip(words, labels, strict=True))
        return own + sum(TRANSITIONS[0][a][b] for a, b in itertools.pairwise(labels))

    def spans(labels):
        return spans_of(["BIO"[label] for label in labels])

    every = {
        labels: score(labels)
        for labels in itertools.product((B, I, O), repeat=len(words))
        if labels[0] != I and all((a, b) != (O, I) for a, b in itertools.pairwise(labels))
    }
    shift = 3  # tokens of the first text
    total = sum(math.exp(s / SCALE) for s in every.values())
    own = [t for t in found["disease"] if t.first >= shift]
    labels = [O] * len(words)
    for span in own:
        labels[span.first - shift] = B
        labels[span.first - shift + 1 : span.behind - shift] = [I] * (span.behind - span.first - 1)
    assert every[tuple(labels)] == max(every.values())
    for first in range(len(words)):
        for behind in range(first + 1, len(words) + 1):
            share = sum(math.exp(s / SCALE) for labels, s in every.items() if (first, behind) in spans(labels)) / total
            assert marginals.of(0, first + shift, behind + shift) == pytest.approx(share, rel=1e-6, abs=1e-9)


def test_what_else_is_in_the_batch_changes_nothing():
    one = tagger({"w=alpha": {("disease", 0, B): 1.5}, "w=beta": {("disease", 0, I): 1.0}}, transitions=TRANSITIONS)
    texts = ["alpha beta", "x " * 40 + "alpha", "", "alpha. Beta alpha beta"]
    together = [(t.behind - t.first, t.probability) for t in _read(one, texts)[1]["disease"]]
    alone = [(t.behind - t.first, t.probability) for text in texts for t in _read_fresh(one, text)]
    assert together == alone


def _read_fresh(one, text):
    reader = Reader(vocabulary())
    batch, new = reader.read([text])
    one.learn_words(new, anew=True)
    return one.tag(batch)[0]["disease"]


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(TaggerError, match="missing"):
        Tagger.load(tmp_path / "none.npz")
    np.savez(tmp_path / "bad.npz", models=np.zeros(1, np.uint8))
    with pytest.raises(TaggerError, match="not a tagger"):
        Tagger.load(tmp_path / "bad.npz")
    assert len(OFFSETS) == 5
