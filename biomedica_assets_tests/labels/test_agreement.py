"""Alpha and kappa against the examples that their authors published, and what is made of votes by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.labels.agreement import (
    Confusion,
    Table,
    fleiss_kappa,
    jaccard,
    krippendorff_alpha,
    measure_agreement,
)
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets_tests.labels.test_votes import made

TAXONOMY = load_taxonomy()


def columns(*observers: str) -> list[list[str]]:
    """Units of observers written one below the other, a character each; a dot is no value."""
    return [[value for value in unit if value != "."] for unit in zip(*observers, strict=True)]


# K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011: sections A to D.
BINARY = columns("0100000010", "1110010000")
NOMINAL = columns("aabbdcccedda", "babbbccceddd")
MISSING = columns("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


def test_krippendorffs_examples():
    assert krippendorff_alpha(Table.of(BINARY))[0] == pytest.approx(0.095, abs=5e-4)
    assert krippendorff_alpha(Table.of(NOMINAL))[0] == pytest.approx(0.692, abs=5e-4)
    assert krippendorff_alpha(Table.of(MISSING))[0] == pytest.approx(0.743, abs=5e-4)


def test_krippendorffs_example_with_another_distance():
    table = Table.of([[int(value) for value in unit] for unit in MISSING])
    assert krippendorff_alpha(table, lambda a, b: (a - b) ** 2)[0] == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha(table, lambda a, b: ((a - b) / (a + b)) ** 2)[0] == pytest.approx(0.797, abs=5e-4)


def test_alpha_by_hand():
    # Two units: (x, x), (x, y). Values x, x, x, y; n = 4. Observed (0 + 2) / 4 = 1/2.
    # Expected 2 * 3 * 1 / (4 * 3) = 1/2: alpha 0.
    assert krippendorff_alpha(Table.of(["xx", "xy"]))[0] == pytest.approx(0)
    # Never the same: observed (2 + 2) / 4 = 1, expected 2 * 2 * 2 / (4 * 3) = 2/3: alpha -1/2.
    assert krippendorff_alpha(Table.of(["xy", "xy"]))[0] == pytest.approx(-0.5)


# J. L. Fleiss, Measuring nominal scale agreement among many raters, 1971: diagnoses of 30 patients by 6 psychiatrists.
FLEISS = [
    *("444444", "222555", "233335", "555555", "222444", "113333", "333355", "113334", "114444", "555555"),
    *("144444", "124444", "222333", "144444", "224445", "333335", "111455", "111112", "224444", "133555"),
    *("555555", "244444", "224555", "114444", "144445", "222224", "111155", "224444", "133333", "555555"),
]


def test_fleiss_example():
    table = Table.of(FLEISS)
    shares = dict(zip(table.values, np.bincount(table.value) / 180, strict=True))
    assert [round(shares[value], 3) for value in "12345"] == [0.144, 0.144, 0.167, 0.306, 0.239]  # his table 1
    assert fleiss_kappa(table) == pytest.approx(0.430, abs=5e-4)


def test_fleiss_with_fourteen_raters():
    # The example of many textbooks: ten subjects, five categories, kappa 0.210.
    rows = "00 0 0 0 14|0 2 6 4 2|0 0 3 5 6|0 3 9 2 0|2 2 8 1 1|7 7 0 0 0|3 2 6 3 0|2 5 3 2 2|6 5 2 1 0|0 2 2 3 7"
    counts = [map(int, row.split()) for row in rows.split("|")]
    units = ["".join(name * count for name, count in zip("abcde", row, strict=True)) for row in counts]
    assert fleiss_kappa(Table.of(units)) == pytest.approx(0.210, abs=5e-4)


def test_kappa_by_hand():
    # (x, x), (x, y): observed (1 + 0) / 2, expected (3/4)^2 + (1/4)^2 = 5/8: (1/2 - 5/8) / (3/8) = -1/3.
    assert fleiss_kappa(Table.of(["xx", "xy"])) == pytest.approx(-1 / 3)


@pytest.mark.parametrize("units", [[], [["x"]], [["x"], ["y"]], [["x", "x"], ["x", "x"]]])
def test_without_two_values_or_any_difference_there_is_no_coefficient(units):
    assert krippendorff_alpha(Table.of(units), resamples=10) == (None, None)
    assert fleiss_kappa(Table.of(units)) is None


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=8))
def test_bounds_and_symmetries(units):
    alpha, kappa = krippendorff_alpha(Table.of(units))[0], fleiss_kappa(Table.of(units))
    assert (alpha is None) == (kappa is None)
    if alpha is not None and kappa is not None:
        assert alpha <= 1 + 1e-9 and kappa <= 1 + 1e-9
        turned = [unit[::-1] for unit in reversed(units)]
        assert krippendorff_alpha(Table.of(turned))[0] == pytest.approx(alpha)
        renamed = [[{"a": 1, "b": 2, "c": 3}[value] for value in unit] for unit in units]
        assert krippendorff_alpha(Table.of(renamed))[0] == pytest.approx(alpha)


def test_the_interval_holds_alpha_and_is_the_same_every_time():
    alpha, interval = krippendorff_alpha(Table.of(MISSING), resamples=300)
    assert interval and alpha and interval[0] < alpha < interval[1] <= 1
    assert krippendorff_alpha(Table.of(MISSING), resamples=300) == (alpha, interval)


def votes(axis: str, **rows: str) -> list:
    """Votes of annotators; one word per concept, + between labels, ? unsure, ~ mixed, . no vote."""
    cast = []
    for name, row in rows.items():
        for number, word in enumerate(row.split()):
            said = {"?": {"unsure": True, "answers": {}}, "~": {"mixed": True, "answers": {}}}.get(word)
            if word != ".":
                cast.append(made(number, name, concept=number, **said or {"answers": {axis: tuple(word.split("+"))}}))
    return cast


def on(axis: str, cast: list):
    return next(found for found in measure_agreement(cast, TAXONOMY) if found.axis == axis)


def test_an_axis_of_one_choice_by_hand():
    found = on("panel_type", votes("panel_type", ada="single single multiple .", bob="single multiple multiple single"))
    # Three units of two: ss, sm, mm. n = 6, observed (0 + 2 + 0) / 6 = 1/3, expected 2 * 3 * 3 / 30 = 3/5: 4/9.
    assert (found.units, found.values, found.annotators) == (3, 6, 2)
    assert found.alpha == pytest.approx(4 / 9)
    # Observed 2/3, expected 1/4 + 1/4 = 1/2: 1/3.
    assert found.kappa == pytest.approx(1 / 3)
    assert found.same == pytest.approx(2 / 3)
    assert found.pairs == {("ada", "bob"): (pytest.approx(2 / 3), 3)}
    assert found.confusions == (Confusion("multiple", "single", 1),)
    assert [(label.label, label.given) for label in found.labels] == [("single", 3), ("multiple", 3)]


def test_an_axis_of_several_choices_by_hand():
    found = on("figure_kind", votes("figure_kind", ada="bar_plot table+map", bob="line_plot table"))
    # With what lies above: {plot, bar} and {plot, line} are 1 - 1/3 apart, {table, map} and {table} 1 - 1/2.
    assert found.same == pytest.approx((1 / 3 + 1 / 2) / 2)
    # n = 4; observed (2 * 2/3 + 2 * 1/2) / 4 = 7/12. Expected, over ordered pairs of the four different values:
    # plots 2/3, table sets 1/2, between them 1 each of the four: 2 * (2/3 + 1/2 + 4) / 12 = 31/36. Alpha 1 - 21/31.
    assert found.alpha == pytest.approx(10 / 31)
    assert found.kappa == pytest.approx((0 - 1 / 4) / (3 / 4))  # as values they are all different
    assert found.confusions == (Confusion("bar_plot", "line_plot", 1),)
    by_label = {label.label: label for label in found.labels}
    assert by_label["plot"].given == 2
    assert by_label["plot"].alpha == pytest.approx(1)  # both units agree on whether it is a plot
    assert by_label["bar_plot"].alpha == pytest.approx(0)  # yes, no | no, no


def test_unsure_is_no_value_and_mixed_is_one():
    found = on("figure_kind", votes("figure_kind", ada="table ~ ~ ?", bob="table ~ table table"))
    assert (found.units, found.values) == (3, 6)
    # Values t t | m m | m t: observed 2/6, expected 2 * 3 * 3 / 30 = 3/5.
    assert found.alpha == pytest.approx(4 / 9)
    assert found.confusions == (Confusion("(mixed)", "table", 1),)


def test_of_many_targets_some_are_measured(monkeypatch):
    monkeypatch.setattr("biomedica_assets.labels.agreement.MOST_TARGETS", 20)
    cast = [made(0, name, concept=n, answers={"figure_kind": ("table",)}) for n in range(50) for name in ("ada", "bob")]
    found = on("figure_kind", cast)
    assert (found.targets, found.units, found.values) == (50, 20, 40)


def test_one_annotator_or_none():
    assert on("figure_kind", []).alpha is None
    alone = on("figure_kind", votes("figure_kind", ada="table map"))
    assert (alone.units, alone.values, alone.annotators, alone.alpha, alone.kappa, alone.same) == (
        0, 0, 1, None, None, None,
    )  # fmt: skip


def test_jaccard():
    assert jaccard(frozenset("ab"), frozenset("ab")) == 0
    assert jaccard(frozenset("ab"), frozenset("bcd")) == 3 / 4
    assert jaccard(frozenset(), frozenset()) == 0
