"""Compound figures whose panels are known: the truth is what is drawn."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from biomedica_assets.sample.pictures.layouts import GUTTERS, LETTERS, STRUCTURES, Layout, compound, random_layout

SIZE = (420, 360)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_panels_lie_within_the_figure_and_apart(structure):
    count = {"single": 1, "pinwheel": 5}.get(structure, 6)
    figure = compound(Layout(structure, count, size=SIZE), f"test/{structure}")
    (drawn,) = figure.files
    boxes = [panel["box"] for panel in drawn.truth["panels"]]
    assert len(boxes) == count
    assert Image.open(io.BytesIO(drawn.data)).size == SIZE
    for x0, y0, x1, y1 in boxes:
        assert 0 <= x0 < x1 <= SIZE[0]
        assert 0 <= y0 < y1 <= SIZE[1]
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_letters_and_their_words_are_in_the_caption():
    figure = compound(Layout("strip", 3, size=SIZE, mark="(a)"), "test/letters")
    assert figure.letters == ("A", "B", "C")
    assert [panel["letter"] for panel in figure.files[0].truth["panels"]] == ["A", "B", "C"]
    for words in figure.sub_captions.values():
        assert words in figure.caption
    plain = compound(Layout("strip", 3, size=SIZE, letters="none"), "test/none")
    assert (plain.letters, plain.sub_captions) == ((), {})


def test_the_gutter_has_its_colour():
    for gutter, colour in (("wide", 255), ("dark", 0), ("grey", 216)):
        layout = Layout("grid", 4, gutter, letters="none", size=SIZE, format="png")
        drawn = compound(layout, "test/gutter").files[0]
        pixels = np.asarray(Image.open(io.BytesIO(drawn.data)).convert("L"))
        first = drawn.truth["panels"][0]["box"]
        assert (pixels[: SIZE[1], first[2] + 1] == colour).all()


def test_one_file_per_panel():
    figure = compound(Layout("grid", 6, size=SIZE, files=True), "test/files")
    assert len(figure.files) == 6
    for letter, drawn in zip("ABCDEF", figure.files, strict=True):
        (panel,) = drawn.truth["panels"]
        assert panel["letter"] == letter
        assert panel["box"] == [0, 0, *Image.open(io.BytesIO(drawn.data)).size]


def test_the_same_seed_gives_the_same_file():
    layout = random_layout("one")
    assert layout == random_layout("one") != random_layout("two")
    small = Layout("nested", 3, inset=True, inner=1.0, size=SIZE)
    assert compound(small, "test/same").files == compound(small, "test/same").files


def test_many_looks():
    looks = [random_layout(f"looks/{n}") for n in range(300)]
    assert {look.structure for look in looks} == set(STRUCTURES)
    assert {look.gutter for look in looks} == set(GUTTERS)
    assert {look.letters for look in looks} == set(LETTERS)
    assert {True, False} == {look.shared for look in looks} == {look.inset for look in looks}
