"""Cuts on pages drawn by hand: where gaps lie, what may be cut off, what letters keep together."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from biomedica_assets.panels.letters import Letter
from biomedica_assets.panels.page import Gap, Page, Region, paper
from biomedica_assets.panels.separation import by_gaps, by_letters, more_pieces
from biomedica_assets_tests.panels.pages import drawn, pixels

FOUR = [(20, 20, 190, 140), (210, 20, 380, 140), (20, 160, 190, 280), (210, 160, 380, 280)]
"""Four boxes of 170 x 120, 20 pixels apart, on a page of 400 x 300."""


def page(*arguments, **options):
    return Page(pixels(drawn(*arguments, **options)))


def letter(name, x, y):
    return Letter(name, x, y, x + 10, y + 14, 0.99)


def test_paper_is_what_the_rim_is_of():
    assert paper(pixels(drawn((40, 30), paper="black"))).tolist() == [0, 0, 0]
    noise = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    assert paper(noise).tolist() == [255, 255, 255]  # no paper at the rim: gutters are white


def test_gaps_lie_between_boxes_not_at_the_rim():
    made = page((400, 300), FOUR)
    assert made.gaps(made.whole) == [Gap(0, 190, 210, "paper"), Gap(1, 140, 160, "paper")]
    assert made.trim(made.whole) == (20, 20, 380, 280)


def test_widest_gaps_are_cut_without_a_count():
    assert sorted(by_gaps(page((400, 300), FOUR))) == sorted(FOUR)
    assert sorted(by_gaps(page((400, 300), FOUR, paper="black", ink=(200, 180, 160)))) == sorted(FOUR)


def test_a_count_stops_the_cuts_unless_as_wide_gaps_are_left():
    boxes = [(20, 20, 190, 280), (230, 20, 380, 140), (230, 150, 380, 280)]  # 40 pixels between, 10 within
    assert sorted(by_gaps(page((400, 300), boxes), 2)) == [(20, 20, 190, 280), (230, 20, 380, 280)]
    assert by_gaps(page((400, 300), FOUR), 2) == []
    assert by_gaps(page((400, 300), FOUR), 5) == []


def test_text_and_slivers_are_not_cut_off():
    # An axis title left of the plot, tick labels below it: thin, and parted from it by wide gaps.
    words = [(10, y, 22, y + 8) for y in range(40, 240, 12)] + [(x, 286, x + 16, 294) for x in range(70, 360, 40)]
    assert len(by_gaps(page((400, 300), [(60, 20, 380, 260), *words]))) == 1


def test_touching_pictures_are_cut_along_their_edge():
    rng = np.random.default_rng(3)
    left, right = rng.integers(20, 60, (200, 150, 3)), rng.integers(150, 190, (200, 150, 3))
    made = Page(np.concatenate([left, right], axis=1).astype(np.uint8))
    assert sorted(by_gaps(made)) == [(0, 0, 150, 200), (150, 0, 300, 200)]


def test_letters_keep_rows_of_pictures_together():
    # A: three pictures in a row, 20 pixels apart; B: one picture below, only 10 pixels away.
    boxes = [(30, 30, 130, 130), (150, 30, 250, 130), (270, 30, 370, 130), (30, 156, 370, 280)]
    letters = [letter("A", 12, 12), letter("B", 12, 142)]
    image = drawn((400, 300), boxes)
    for mark in letters:
        ImageDraw.Draw(image).rectangle((mark.x0, mark.y0, mark.x1 - 1, mark.y1 - 1), fill="black")
    pieces, fit = by_letters(Page(pixels(image)), letters)
    assert {piece.letter.name: piece.region for piece in pieces} == {
        "A": (12, 12, 370, 130),
        "B": (12, 142, 370, 280),
    }
    assert fit > 0


def test_letters_below_their_panels_go_with_what_is_above():
    boxes = [(20, 10, 190, 100), (210, 10, 380, 100), (20, 130, 190, 230), (210, 130, 380, 230)]
    letters = [letter("A", 100, 104), letter("B", 290, 104), letter("C", 100, 234), letter("D", 290, 234)]
    image = drawn((400, 260), boxes)
    for mark in letters:
        ImageDraw.Draw(image).rectangle((mark.x0, mark.y0, mark.x1 - 1, mark.y1 - 1), fill="black")
    pieces, _ = by_letters(Page(pixels(image)), letters)
    assert {piece.letter.name: piece.region.y0 for piece in pieces} == {"A": 10, "B": 10, "C": 130, "D": 130}


def test_a_letter_that_was_not_read_leaves_a_piece_to_cut():
    letters = [letter("A", 22, 22), letter("C", 22, 162), letter("D", 212, 162)]
    made = page((400, 300), FOUR)
    pieces, _ = by_letters(made, letters)
    assert len(pieces) == 3
    more = more_pieces(made, pieces, 1)
    assert sorted(piece.region for piece in more) == sorted(FOUR)
    assert [piece.region for piece in more if piece.letter is None] == [Region(*FOUR[1])]


def test_marks_that_leave_no_room_are_no_letters():
    made = page((400, 300), FOUR)
    _, fit = by_letters(made, [letter("A", 22, 22), letter("B", 24, 40)])
    assert fit < -3
