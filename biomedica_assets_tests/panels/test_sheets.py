"""Sheets of outlined images: boxes at their places, whatever the size; bytes within the limit."""

from __future__ import annotations

import io

from PIL import Image

from biomedica_assets.panels.finding import Panel
from biomedica_assets.panels.sheets import COLOURS, outlined, panel_sheet
from biomedica_assets_tests.panels.pages import drawn, file_of

PANELS = [Panel((0, 0, 400, 400), 0.9, "A", "glyph", 0.9), Panel((400, 0, 400, 400), 0.9, "B", "order", 0.5)]


def test_boxes_are_drawn_at_the_scale_of_the_thumbnail():
    small = outlined(file_of(drawn((800, 400))), PANELS, (800, 400), side=200)
    assert small.size == (200, 100)
    first, second = (tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in COLOURS[:2])
    assert small.getpixel((50, 0)) == small.getpixel((99, 50)) == first
    assert small.getpixel((100, 50)) == small.getpixel((199, 50)) == second
    assert small.getpixel((60, 60)) == (255, 255, 255)


def test_a_sheet_keeps_to_its_bytes():
    noise = file_of(Image.effect_noise((800, 400), 90).convert("RGB"))
    sheet = panel_sheet([(noise, PANELS, (800, 400), f"figure {n}") for n in range(12)], max_bytes=14_000)
    assert len(sheet) <= 14_000
    assert Image.open(io.BytesIO(sheet)).format == "JPEG"


def test_what_cannot_be_decoded_is_an_empty_cell():
    assert outlined(b"bad", PANELS, (800, 400)) is None
    assert panel_sheet([(b"bad", PANELS, (800, 400), "bad")])
