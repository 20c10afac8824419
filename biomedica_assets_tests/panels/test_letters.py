"""Letters read on pages drawn here, in a font that the reader was not trained on."""

from __future__ import annotations

import numpy as np
import pytest

from biomedica_assets.panels import glyphs
from biomedica_assets.panels.alignment import Named
from biomedica_assets.panels.finding import find_panels
from biomedica_assets.panels.glyphs import CLASSES, Mark, classify, lone_marks
from biomedica_assets.panels.letters import read_letters
from biomedica_assets_tests.panels.pages import drawn, file_of, pixels

PLACES = {"A": (20, 20), "B": (420, 20), "C": (20, 320), "D": (420, 320)}
BOXES = [(60, 60, 380, 280), (460, 60, 780, 280), (60, 360, 380, 580), (460, 360, 780, 580)]


def grey(image):
    return pixels(image.convert("L"))


def read(image, wanted="ABCD", **options):
    marks, seen = lone_marks(grey(image))
    return read_letters(marks, classify(seen), tuple(wanted), **options)


def page(form="{}", lower=False, **options):
    texts = [(form.format(name.lower() if lower else name), *at) for name, at in PLACES.items()]
    return drawn((800, 600), BOXES, texts, **options)


@pytest.mark.parametrize("form", ["{}", "({})", "{})", "{}."])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("paper", ["white", "black"])
def test_letters_of_both_cases_bracketed_or_not_on_white_and_black(form, lower, paper):
    found = read(page(form, lower, paper=paper, ink=(120, 90, 60)))
    assert [letter.name for letter in found] == ["A", "B", "C", "D"]
    for letter in found:
        x, y = PLACES[letter.name]
        assert x <= letter.x0 < x + 14
        assert y <= letter.y0 < y + 14
        assert letter.probability > 0.9


def test_letters_that_the_caption_does_not_name_are_not_read():
    assert [letter.name for letter in read(page(), "AB")] == ["A", "B"]
    assert read(page(), "XYZ") == []


def test_without_a_caption_a_run_from_a_on_is_read():
    assert [letter.name for letter in read(page(), "")] == ["A", "B", "C", "D"]
    other = drawn((800, 600), BOXES, [("K", 20, 20), ("Q", 420, 20), ("T", 20, 320)])
    assert read(other, "") == []


def test_parts_of_words_are_no_marks():
    image = drawn((800, 600), (), [("ABACUS", 20, 20), ("A", 20, 120)])
    marks, _ = lone_marks(grey(image))
    assert [mark.y0 > 100 for mark in marks] == [True]


def mark(x, y, height=20):
    return Mark(x, y, x + 14, y + height, False, 2.0, False)


def said(*names):
    scores = np.full((len(names), len(CLASSES) + 1), 1e-4)
    scores[np.arange(len(names)), [CLASSES.index(name) for name in names]] = 0.99
    return scores


def test_of_two_marks_of_a_letter_the_one_in_order_and_size_counts():
    marks = [mark(20, 20), mark(400, 20), mark(20, 300), mark(300, 500, height=34), mark(390, 180)]
    found = read_letters(marks, said("A", "B", "C", "B", "A"), ("A", "B", "C"))
    assert [(letter.name, letter.x0, letter.y0) for letter in found] == [("A", 20, 20), ("B", 400, 20), ("C", 20, 300)]


def test_a_file_of_several_may_show_the_later_letters():
    marks = [mark(20, 20), mark(400, 20)]
    assert [x.name for x in read_letters(marks, said("E", "F"), tuple("ABCDEF"), partial=True)] == ["E", "F"]


def test_a_single_letter_without_a_caption_means_nothing():
    assert read_letters([mark(20, 20)], said("A"), ()) == []


def test_a_swapped_file_of_weights_is_an_error(monkeypatch):
    monkeypatch.setattr(glyphs, "WEIGHTS_SHA256", "0" * 64)
    glyphs.weights.cache_clear()
    with pytest.raises(ValueError, match="reinstall"):
        glyphs.weights()
    glyphs.weights.cache_clear()


def test_unread_letters_are_told_by_order():
    # Letters B and D are not drawn: their panels are still cut and named, less surely.
    image = drawn((800, 600), BOXES, [("A", *PLACES["A"]), ("C", *PLACES["C"])])
    panels = find_panels(file_of(image), Named(tuple("ABCD"), counted=True))
    assert [(p.letter, p.letter_source) for p in panels] == [
        ("A", "glyph"), ("B", "order"), ("C", "glyph"), ("D", "order"),
    ]  # fmt: skip
    assert [(p.box[0] > 300, p.box[1] > 290) for p in panels] == [
        (False, False), (True, False), (False, True), (True, True),
    ]  # fmt: skip


def test_places_name_panels_that_lie_so():
    image = drawn((800, 300), [(20, 20, 380, 280), (420, 20, 780, 280)])
    named = Named(places=("LEFT", "RIGHT"))
    assert [(p.letter, p.box) for p in find_panels(file_of(image), named)] == [
        ("LEFT", (20, 20, 360, 260)), ("RIGHT", (420, 20, 360, 260)),
    ]  # fmt: skip
    stacked = find_panels(file_of(image), Named(places=("TOP", "BOTTOM")))
    assert [p.letter for p in stacked] == [None, None]
