"""The gold list of panels is well formed and fits the image files.

Belongs here: that the list can be trusted as a list. How well panels are found is measured in `benchmarks`.
"""

import hashlib
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from biomedica_assets.images import probe
from biomedica_assets_tests.corpus.conftest import CHECKOUT


@pytest.fixture(scope="module")
def files() -> list[dict[str, Any]]:
    with (CHECKOUT / "benchmarks" / "data" / "corpus_panels.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_boxes_lie_inside_the_image(files: list[dict[str, Any]]) -> None:
    assert len({row["sha256"] for row in files}) == len(files) >= 60
    for row in files:
        assert row["panels"]
        for panel in row["panels"]:
            x, y, width, height = panel["box"]
            assert x >= 0 and y >= 0 and width > 0 and height > 0
            assert x + width <= row["width"] and y + height <= row["height"]
        if len(row["panels"]) == 1:
            assert row["panels"][0]["box"] == [0, 0, row["width"], row["height"]]


def test_letters_run_from_a_without_gaps(files: list[dict[str, Any]]) -> None:
    for row in files:
        letters = [panel["letter"] for panel in row["panels"]]
        assert set(letters) == {None} or sorted(letters) == list("ABCDEFGHIJKLM")[: len(letters)], row["file"]


def test_boxes_overlap_only_where_the_note_says_so(files: list[dict[str, Any]]) -> None:
    def apart(one: list[int], other: list[int]) -> bool:
        return any(one[i] + one[i + 2] <= other[i] or other[i] + other[i + 2] <= one[i] for i in (0, 1))

    for row in files:
        boxes = [panel["box"] for panel in row["panels"]]
        overlap = not all(apart(one, other) for one, other in combinations(boxes, 2))
        assert overlap == ("boxes overlap" in row.get("note", "")), row["file"]


def test_files_are_those_that_were_looked_at(files: list[dict[str, Any]], corpus_path: Path) -> None:
    for row in files:
        data = (corpus_path / row["folder"] / row["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        facts = probe(data, max_pixels=50_000_000)
        assert (facts.width, facts.height) == (row["width"], row["height"])
