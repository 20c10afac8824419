"""Consensus: every rule by hand, and the weighted model against published code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.labels import reliability
from biomedica_assets.labels.consensus import Consensus, countable, reach_consensus
from biomedica_assets.labels.reliability import NO_BELIEFS, Beliefs, estimate
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.votes import Vote
from biomedica_assets_tests.labels.test_votes import SHA, made

TAXONOMY = load_taxonomy()


def said(*votes: dict) -> list[Vote]:
    """One vote per annotator ada, bob, cyd ... for concept 0; labels given by axis, or flags."""
    names = ("ada", "bob", "cyd", "dan", "eve")
    return [
        made(
            number,
            names[number],
            **{flag: vote.pop(flag) for flag in ("mixed", "unsure") if flag in vote},
            answers={axis: tuple(labels.split()) for axis, labels in vote.items()},
        )
        for number, vote in enumerate(map(dict, votes))
    ]


def outcome(*votes: dict, axis: str = "figure_kind") -> Consensus:
    found = [one for one in reach_consensus(said(*votes), TAXONOMY)[0] if one.axis == axis]
    assert len(found) == 1
    return found[0]


def kind(labels: str, **flags: bool) -> dict:
    return {"figure_kind": labels, **flags}


UNSURE, MIXED = {"unsure": True}, {"mixed": True}


@pytest.mark.parametrize(
    ("votes", "status", "labels", "share", "n_votes"),
    [
        ([kind("table")], "single", ("table",), 1.0, 1),
        ([kind("table"), kind("table")], "agreed", ("table",), 1.0, 2),
        ([kind("table"), kind("table"), kind("map")], "agreed", ("table",), 2 / 3, 3),
        ([kind("table"), kind("map")], "tie", (), 1 / 2, 2),
        ([kind("table"), kind("map"), kind("formula")], "tie", (), 1 / 3, 3),
        ([kind("table"), kind("table"), kind("map"), kind("map")], "tie", (), 1 / 2, 4),
        # Several labels may hold at once; the share is that of the least sure one.
        ([kind("table map"), kind("table map"), kind("table")], "agreed", ("table", "map"), 2 / 3, 3),
        ([kind("table map"), kind("table"), kind("map")], "agreed", ("table", "map"), 2 / 3, 3),
        ([kind("table map"), kind("formula")], "tie", (), 1 / 2, 2),
        # What lies below counts for what lies above, and the lowest that holds is said.
        ([kind("bar_plot"), kind("line_plot")], "agreed", ("plot",), 1.0, 2),
        ([kind("bar_plot"), kind("line_plot"), kind("bar_plot")], "agreed", ("bar_plot",), 2 / 3, 3),
        ([kind("bar_plot"), kind("plot")], "agreed", ("plot",), 1.0, 2),
        ([kind("plot bar_plot")], "single", ("bar_plot",), 1.0, 1),
        # Unsure ones give no label, even if they name one; half of them unsure is too many.
        ([UNSURE], "unsure", (), 0.0, 1),
        ([kind("table", unsure=True)], "unsure", (), 0.0, 1),
        ([kind("table"), UNSURE], "unsure", (), 1.0, 2),
        ([kind("table"), kind("table"), UNSURE], "agreed", ("table",), 1.0, 3),
        ([kind("table"), kind("map"), kind("table"), kind("map", unsure=True)], "agreed", ("table",), 2 / 3, 4),
        # Mixed ones speak for no label; half of those who are sure is too many, else they are in the way of a majority.
        ([MIXED], "mixed", (), 0.0, 1),
        ([kind("table"), MIXED], "mixed", (), 1 / 2, 2),
        ([kind("table"), kind("table"), MIXED], "agreed", ("table",), 2 / 3, 3),
        ([kind("table"), kind("map"), MIXED], "tie", (), 1 / 3, 3),
        # Mixed, and yet something all pictures have in common.
        ([kind("plot", mixed=True), kind("plot")], "agreed", ("plot",), 1.0, 2),
        ([UNSURE, MIXED], "unsure", (), 0.0, 2),
        ([UNSURE, MIXED, MIXED], "mixed", (), 0.0, 3),
        # One who leaves the axis out says nothing about it.
        ([kind("table"), {"modality": "pcr"}], "single", ("table",), 1.0, 1),
    ],
)  # fmt: skip
def test_rules(votes, status, labels, share, n_votes):
    found = outcome(*votes)
    assert (found.status, found.labels, found.n_votes) == (status, labels, n_votes)
    assert found.share == pytest.approx(share)
    assert (found.probability is None) == (not labels)


def test_what_nobody_gave_itself_is_coarse():
    assert outcome(kind("bar_plot"), kind("line_plot")).coarse
    assert not outcome(kind("bar_plot"), kind("plot")).coarse
    assert not outcome(kind("bar_plot")).coarse


def test_an_axis_without_a_statement_has_no_outcome():
    found, rates = reach_consensus(said(kind("table"), kind("table")), TAXONOMY)
    assert [one.axis for one in found] == ["figure_kind"]
    assert rates["modality"] == {}
    assert reach_consensus([], TAXONOMY) == ([], {axis.id: {} for axis in TAXONOMY.axes})


def test_unsure_and_mixed_speak_of_every_axis():
    for vote, status in ((UNSURE, "unsure"), (MIXED, "mixed")):
        found, _ = reach_consensus(said(vote), TAXONOMY)
        assert [(one.axis, one.status) for one in found] == [(axis.id, status) for axis in TAXONOMY.axes]


def test_an_image_is_one_target_whatever_article_shows_it():
    image = {"target_kind": "image", "space": None, "concept": None, "sha256": SHA}
    votes = [made(1, "ada", image_id="PMC1.1/F1/1", **image), made(2, "bob", image_id="PMC2.1/F2/1", **image)]
    [found] = reach_consensus(votes, TAXONOMY)[0]
    assert (found.target, found.sha256, found.n_votes, found.status) == (f"image:{SHA}", SHA, 2, "agreed")


def test_labels_of_another_taxonomy_are_passed_over():
    vote = made(1, answers={"figure_kind": ("gone", "table"), "modality": ("gone",), "colour": ("red",)})
    found, _ = reach_consensus([vote], TAXONOMY)
    assert [(one.axis, one.labels) for one in found] == [("figure_kind", ("table",))]


def test_simulated_votes_count_only_when_wanted():
    votes = [made(1, source="simulated"), made(2, "bob")]
    assert [vote.annotator for vote in countable(votes, simulated=False)] == ["bob"]
    assert [vote.annotator for vote in countable(votes, simulated=True)] == ["ada", "bob"]


def test_counts_tell_what_everybody_said():
    found = outcome(kind("bar_plot"), kind("table"), MIXED)
    assert [(one.label, one.votes, one.share) for one in found.counts] == [
        ("plot", 1, pytest.approx(1 / 3)),
        ("bar_plot", 1, pytest.approx(1 / 3)),
        ("table", 1, pytest.approx(1 / 3)),
    ]
    assert found.annotators == ("ada", "bob", "cyd")


_KINDS = st.sampled_from(["table", "map", "plot", "bar_plot", "line_plot", "formula"])
_SAID = st.one_of(
    st.just(UNSURE),
    st.just(MIXED),
    st.builds(lambda labels: kind(" ".join(labels)), st.lists(_KINDS, min_size=1, max_size=3, unique=True)),
)


@given(st.lists(_SAID, min_size=1, max_size=5), st.randoms())
def test_labels_have_a_majority_and_order_does_not_matter(votes, random):
    cast = said(*votes)
    found, rates = reach_consensus(cast, TAXONOMY)
    random.shuffle(cast)
    assert reach_consensus(cast, TAXONOMY) == (found, rates)
    for one in found:
        assert one.axis != "figure_kind" or one.n_votes == len(votes)
        assert all(0 <= share.share <= 1 and 0 <= share.probability <= 1 for share in one.counts)
        shares = {share.label: share.share for share in one.counts}
        assert all(shares[label] > 0.5 for label in one.labels)
        assert list(one.labels) == TAXONOMY.most_specific(one.labels)
        assert bool(one.labels) == (one.status in ("agreed", "single"))


# Ten items of one label, three annotators. The expected values come from crowd-kit 1.4.2,
# DawidSkene(n_iter=5000, tol=1e-13).fit_predict_proba on the same votes.
_ITEMS = ["110", "111", "000", "001", "010", "111", "100", "11-", "0-0", "101"]
_VOTED = np.array([[{"1": 1, "0": 0, "-": -1}[c] for c in item] for item in _ITEMS], np.int8)


def test_the_model_is_that_of_dawid_and_skene(monkeypatch):
    monkeypatch.setattr(reliability, "ITERATIONS", 20_000)
    monkeypatch.setattr(reliability, "TOLERANCE", 1e-14)
    fit = estimate(_VOTED, np.zeros(10, int), np.array([10]), np.zeros(3), NO_BELIEFS)
    expected = [0.735294, 0.955882, 0.0, 0.0, 0.0, 0.955882, 0.294118, 0.882353, 0.0, 0.764706]
    assert fit.probability == pytest.approx(expected, abs=2e-6)
    assert fit.sensitivity == pytest.approx([1.0, 0.769231, 0.722222], abs=2e-6)
    assert fit.specificity == pytest.approx([0.739130, 0.666667, 0.750000], abs=2e-6)
    assert fit.prevalence == pytest.approx([0.458824], abs=2e-6)


def test_one_step_by_hand(monkeypatch):
    # Two targets; ada gives the label to both, bob to the first. Shares: 1 and 1/2.
    monkeypatch.setattr(reliability, "ITERATIONS", 1)
    fit = estimate(
        np.array([[1, 1], [1, 0]], np.int8), np.zeros(2, int), np.array([2]), np.array([0, 4]),
        Beliefs(sensitivity=(1, 1), specificity=(1, 1), prevalence=(1, 1)),
    )  # fmt: skip
    # Before the step: ada's sensitivity (1.5+1)/(1.5+2) = 5/7, bob's (1+1)/(1.5+2) = 4/7; specificity of ada
    # (0+1)/(0.5+2) = 2/5, of bob, with 4 pairs that nobody named, (0.5+4+1)/(0.5+4+2) = 11/13; prevalence
    # (1.5+1)/(2+2) = 5/8. Odds: first 5/3 * (5/7)/(3/5) * (4/7)/(2/13), second 5/3 * (5/7)/(3/5) * (3/7)/(11/13).
    first = 5 / 3 * (5 / 7) / (3 / 5) * (4 / 7) / (2 / 13)
    second = 5 / 3 * (5 / 7) / (3 / 5) * (3 / 7) / (11 / 13)
    assert fit.probability == pytest.approx([first / (1 + first), second / (1 + second)])


def test_who_is_often_right_decides_a_tie():
    votes = []
    for number in range(20):
        right, wrong = ("table", "map") if number % 2 else ("map", "table")
        for name, label in (("ada", right), ("bob", right), ("cyd", wrong)):
            votes.append(made(number, name, concept=number, answers={"figure_kind": (label,)}))
    for name, label in (("ada", "table"), ("cyd", "map")):
        votes.append(made(30, name, concept=30, answers={"figure_kind": (label,)}))
    found, rates = reach_consensus(votes, TAXONOMY)
    [tied] = [one for one in found if one.concept == 30]
    assert (tied.status, tied.labels, tied.weighted) == ("tie", (), ("table",))
    assert rates["figure_kind"]["ada"].sensitivity > 0.9
    assert rates["figure_kind"]["cyd"].sensitivity < 0.5
    assert rates["figure_kind"]["cyd"].answered == 21


def test_on_an_axis_of_one_choice_probabilities_exclude_each_other():
    found = outcome({"panel_type": "single"}, {"panel_type": "multiple_images"}, axis="panel_type")
    chances = {one.label: one.probability for one in found.counts}
    assert chances["single"] + chances["multiple"] == pytest.approx(1)
    assert chances["multiple"] == pytest.approx(chances["multiple_images"])
    assert len(found.weighted) <= 1


@given(st.lists(st.lists(st.integers(-1, 1), min_size=3, max_size=3), min_size=1, max_size=8))
def test_the_model_stays_within_bounds(rows):
    votes = np.array(rows, np.int8)
    fit = estimate(votes, np.zeros(len(votes), int), np.array([len(votes)]), np.zeros(3))
    for values in (fit.probability, fit.sensitivity, fit.specificity, fit.prevalence):
        assert np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all()
