"""Labels of images: they come after everything else, belong to one image, and follow their table."""

from __future__ import annotations

from pathlib import Path

import pytest

from biomedica_assets import schemas
from biomedica_assets.dataset.filters import FilterError
from biomedica_assets.search.generation import build_index
from biomedica_assets.search.requests import SearchRequest
from biomedica_assets.search.searcher import Searcher
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.derived import commit_derived
from biomedica_assets_tests.ingest.releases import World
from biomedica_assets_tests.search.conftest import encoders, found, png, settings


def label(world: World, labels: dict[str, list[str]]) -> None:
    """Commit the labels of images by id, in the partition of their chunk; panel types are those with an underscore."""
    rows = world.sql("SELECT chunk, article_id, figure_id, image_id, sha256 FROM images ORDER BY ALL")
    for chunk in sorted({row[0] for row in rows}):
        lines = []
        for _, article_id, figure_id, image_id, sha256 in (row for row in rows if row[0] == chunk):
            if image_id in labels:
                said = labels[image_id]
                ids = {"article_id": article_id, "figure_id": figure_id, "image_id": image_id, "sha256": sha256}
                given = {"labels": said, "panel_types": [one for one in said if "_" in one], "taxonomy": "t"}
                names = {"primary_labels": [], "secondary_labels": []}
                lines.append({"chunk": chunk, **ids, **given, **names})
        commit_derived(world.files, schemas.IMAGE_LABELS, chunk, lines, inputs={})
    build_generation(world.files)


def test_labels_are_indexed_when_they_come(world: World, tmp_path: Path) -> None:
    searcher = Searcher(world.files, tmp_path / "cache", settings(world), encoders())
    for request in (SearchRequest(filters={"label": "ct"}), SearchRequest(text="liver", filters={"panel_type": "x"})):
        with pytest.raises(FilterError, match="annotations"):
            searcher.search(request)
    label(world, {"PMC11.1/f1/1": ["Histology", "single_image"], "PMC13.1/f1/1": ["CT"], "PMC13.1/f1/2": ["plot"]})
    built = build_index(world.files)
    # two articles say something new: their four figures are indexed again
    assert (built.added, built.deleted) == (4, 4)
    searcher.refresh()
    questions = ({}, {"image": png(1, 30)}, {"text": "figure", "mode": "keyword"})
    for question in questions:
        assert set(found(searcher, filters={"label": ["ct", "HISTOLOGY"]}, **question)) == {"11/f1", "13/f1"}  # type: ignore[arg-type]
        assert found(searcher, filters={"panel_type": "single_image"}, **question) == ["11/f1"]  # type: ignore[arg-type]
        # the narrow picture of 13 is the CT, the wide one the plot
        assert found(searcher, filters={"label": "ct", "width_max": 20}, **question) == ["13/f1"]  # type: ignore[arg-type]
        assert found(searcher, filters={"label": "ct", "width_min": 20}, **question) == []  # type: ignore[arg-type]
    facets = searcher.facets(SearchRequest(facets=("label", "panel_type")))
    assert facets["label"] == [("CT", 1), ("Histology", 1), ("plot", 1), ("single_image", 1)]
    assert facets["panel_type"] == [("single_image", 1)]
    assert searcher.figure("PMC11.1/f1")["images"][0]["labels"] == ["Histology", "single_image"]  # type: ignore[index]
    assert searcher.search(SearchRequest(group="article", filters={"label": "ct"})).total == 1
    # another label for one image
    label(world, {"PMC11.1/f1/1": ["Histology"], "PMC13.1/f1/1": ["MR"], "PMC13.1/f1/2": ["plot"]})
    assert build_index(world.files).added == 4
    searcher.refresh()
    assert found(searcher, filters={"label": "ct"}) == []
    assert found(searcher, filters={"label": "mr"}, image=png(1, 30)) == ["13/f1"]
