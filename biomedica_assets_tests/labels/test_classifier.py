"""Classifiers of labels: what an answer says of each label, decisions, thresholds, calibration, too few examples."""

import numpy as np
import pytest

from biomedica_assets.labels import classifier
from biomedica_assets.labels.classifier import calibration, decided, fit_axis, likeliest, marks
from biomedica_assets.labels.taxonomy import load_taxonomy

TAXONOMY = load_taxonomy()
KINDS = TAXONOMY.axis("figure_kind")
LABELS = ["plot", "bar_plot", "line_plot", "diagram"]


def test_what_an_answer_says_of_each_label():
    answers = [frozenset(one.split()) for one in ("bar_plot", "plot", "diagram", "diagram plot", "bar_plot line_plot")]
    assert marks(LABELS, [*answers, None], TAXONOMY).tolist() == [
        [1, 1, 0, 0],  # a bar plot is a plot, and neither a line plot nor a diagram
        [1, -1, -1, 0],  # which plot was not said
        [0, 0, 0, 1],
        [1, -1, -1, 1],
        [1, 1, 1, 0],
        [-1, -1, -1, -1],
    ]
    assert marks(LABELS, [frozenset(("plot", "bar_plot"))], TAXONOMY).tolist() == [[1, 1, 0, 0]]


def test_the_likeliest_label_is_as_low_as_is_likelier_than_not():
    p = np.array([[0.9, 0.6, 0.5, 0.1], [0.9, 0.4, 0.3, 0.1], [0.4, 0.3, 0.2, 0.6], [0.3, 0.0, 0.0, 0.2]])
    assert [LABELS[i] for i in likeliest(p, LABELS, TAXONOMY)] == ["bar_plot", "plot", "diagram", "plot"]


def test_a_label_is_never_likelier_than_the_one_above():
    p = np.array([[0.3, 0.9, 0.2, 0.5]])
    assert classifier._below_parents(p, LABELS, TAXONOMY).tolist() == [[0.3, 0.3, 0.2, 0.5]]


def test_decisions():
    thresholds = np.array([0.5, 0.8, 2.0, 0.5])
    p = np.array([[0.9, 0.9, 0.9, 0.1], [0.9, 0.7, 0.0, 0.6], [0.4, 0.0, 0.0, 0.4]])
    assert decided(p, thresholds, LABELS, KINDS, TAXONOMY) == [["bar_plot"], ["plot", "diagram"], []]
    panels, axis = ["single", "multiple", "multiple_plots"], TAXONOMY.axis("panel_type")
    p = np.array([[0.6, 0.7, 0.1], [0.8, 0.7, 0.65]])
    assert decided(p, np.full(3, 0.5), panels, axis, TAXONOMY) == [["multiple"], ["single"]], "it takes one"


def test_the_threshold_is_the_lowest_that_is_precise_enough():
    p = np.array([0.99, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.55, 0.3])
    y = np.array([1, 1, 1, 1, 1, 0, 1, 0, 1])
    w = np.ones(9)
    # of those from 0.6 on 6 of 7 are right (0.857), of those from 0.55 on 6 of 8
    assert classifier._threshold(p, y, w, 0.85) == pytest.approx((0.6 + 0.55) / 2)
    assert classifier._threshold(p, y, w, 0.9) == pytest.approx((0.8 + 0.7) / 2)
    assert classifier._threshold(p, y, w, 0.7) == pytest.approx((0.55 + 0.5) / 2)
    assert classifier._threshold(p[:4], y[:4], w[:4], 0.5) == 2.0, "too few to tell"
    assert classifier._threshold(p, 1 - y, w, 0.9) == 2.0, "never right often enough"


def test_calibration_by_hand():
    p = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False, True, False])
    error, curve = calibration(p, right)
    # bin 0.9 to 1: mean 0.95, 3 of 4 right; bin 0.5 to 0.6: mean 0.55, 1 of 2
    assert curve == [[0.55, 0.5, 2], [0.95, 0.75, 4]]
    assert error == pytest.approx(4 / 6 * 0.2 + 2 / 6 * 0.05)
    assert calibration(np.array([1.0]), np.array([True])) == (0.0, [[1.0, 1.0, 1]])


def test_calibration_finds_scale_and_shift_that_were_put_in():
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (4000, 1))
    y = (rng.random((4000, 1)) < 1 / (1 + np.exp(-logits))).astype(np.int8)
    temperature, shift = classifier._calibrate(3 * logits - 6, y, np.ones(4000))
    assert temperature == pytest.approx(3, rel=0.1)
    assert shift == pytest.approx(2, abs=0.2)


def world(per_label=12, noise=0.1, seed=1):
    """Three kinds that lie apart, each article with two images of one kind."""
    rng = np.random.default_rng(seed)
    centres = {"bar_plot": (1, 0, 0), "line_plot": (1, 1, 0), "diagram": (0, 0, 1)}
    points, answers, articles = [], [], []
    for label, centre in centres.items():
        for number in range(per_label):
            points.append(np.array(centre) + rng.normal(0, noise, 3))
            answers.append(frozenset([label]))
            articles.append(f"{label}{number // 2}")
    points = np.array(points)
    return points - points.mean(0), answers, np.ones(len(answers)), articles


def test_fitting_what_lies_apart():
    points, answers, weights, articles = world()
    model = fit_axis(points, answers, weights, articles, KINDS, TAXONOMY)
    assert model.labels == ("plot", "bar_plot", "line_plot", "diagram")
    assert model.scores.accuracy == 1.0
    assert model.scores.examples == 36
    assert model.scores.articles == 18
    p = model.probabilities(points, TAXONOMY)
    assert [model.labels[i] for i in likeliest(p, model.labels, TAXONOMY)] == [next(iter(one)) for one in answers]
    assert {one.label: (one.images, one.articles, one.f1) for one in model.label_scores}["plot"] == (24, 12, 1.0)


def test_the_same_examples_give_the_same_numbers():
    one, other = (fit_axis(*world(noise=0.6), KINDS, TAXONOMY) for _ in range(2))
    assert one.weights.tobytes() == other.weights.tobytes()
    assert (one.temperature, one.thresholds.tolist()) == (other.temperature, other.thresholds.tolist())


def test_whole_articles_are_held_out():
    points, answers, _, articles = world(noise=0.6)
    groups = np.array(articles)
    for train, test in classifier._splits([min(one) for one in answers], groups, 5, 0):
        assert not set(groups[train]) & set(groups[test])
        assert len(train) + len(test) == len(points)


def test_too_few_examples_are_left_out_and_said_so():
    points, answers, weights, articles = world()
    answers = [frozenset(["map"]) if i in (0, 5, 20) else one for i, one in enumerate(answers)]
    model = fit_axis(points, answers, weights, articles, KINDS, TAXONOMY)
    assert model.left_out == {"map": 3}
    assert "map" not in model.labels
    assert fit_axis(points[:4], answers[:4], weights[:4], articles[:4], KINDS, TAXONOMY) == (
        f"4 examples of 2 articles: no label has {classifier.MIN_IMAGES} of {classifier.MIN_ARTICLES}"
    )
    assert isinstance(fit_axis(points, [None] * 36, weights, articles, KINDS, TAXONOMY), str)


def test_examples_of_one_article_are_not_enough():
    points, answers, weights, _ = world()
    assert isinstance(fit_axis(points, answers, weights, ["one"] * 36, KINDS, TAXONOMY), str)


def test_what_counts_more_decides():
    """Two answers for the same place: the heavier one is the likelier."""
    points, answers, weights, articles = world(noise=0.01)
    points, answers = np.vstack([points, points]), [*answers, *[frozenset(["diagram"])] * 36]
    heavy, light = np.r_[weights * 9, weights], np.r_[weights, weights * 9]
    articles = [*articles, *(f"other {name}" for name in articles)]
    bar = [classifier._sigmoid(m.weights.T @ points[0] + m.bias)[list(m.labels).index("bar_plot")]
           for m in (fit_axis(points, answers, w, articles, KINDS, TAXONOMY) for w in (heavy, light))]  # fmt: skip
    assert bar[0] > 0.7
    assert bar[1] < 0.3
