"""Subsets and exports of panels and paragraphs: what is picked, what a sample holds, what is said of it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from biomedica_assets.dataset.export_manifest import Export, Options
from biomedica_assets.dataset.export_upkeep import rebuild
from biomedica_assets.dataset.exports import export
from biomedica_assets.dataset.preview import subset_preview
from biomedica_assets.dataset.recipes import Recipe, RecipeError, load_recipes, parse_recipe
from biomedica_assets.dataset.subsets import InactiveError, Subset, build_subset, iter_subset, withheld
from biomedica_assets_tests.dataset.conftest import articles
from biomedica_assets_tests.details import commit_panels, commit_quality
from biomedica_assets_tests.ingest.releases import DAYS, World

LEFT, RIGHT = (0, 0, 30, 96), (30, 0, 66, 96)


@pytest.fixture
def world(world: World) -> World:
    """PMC11's first figure has two panels with a word of the caption each, PMC12's two without; others are whole.

    A paragraph of PMC11 is a clinical case, one of PMC12 a clinical study, one of PMC13 other.
    """
    commit_panels(
        world,
        {
            "PMC11.1/f1/1": [(LEFT, "A", "Chest"), (RIGHT, "B", "radiograph")],
            "PMC12.1/f1/1": [(LEFT, None, None), (RIGHT, None, None)],
        },
    )
    commit_quality(
        world,
        {
            "PMC11.1/p0": ("clinical_case", "clinical", 4.5),
            "PMC12.1/p0": ("study", "clinical", 3.5),
            "PMC13.1/p0": ("other", "biomedical", 2.0),
        },
    )
    return world


def recipe(**keys: Any) -> Recipe:
    return Recipe(**({"name": "trial", "description": "a trial"} | keys))


def ids(world: World, subset: Subset) -> list[str]:
    return [row["sample_id"] for row in iter_subset(world.files, subset)]


def written(world: World, subset: Subset, kind: str = "webdataset") -> tuple[Export, list[Path]]:
    record = export(world.files, subset, Options(kind))  # type: ignore[arg-type]
    assert record is not None
    root = world.files.local_path()
    return record, [Path(root, record.folder, shard.path) for shard in record.shards]


def samples(paths: list[Path]) -> dict[str, dict[str, Any]]:
    return {one["__key__"]: one for one in webdataset.WebDataset([str(p) for p in paths], shardshuffle=False)}


def test_panels_with_a_text_of_their_own(world: World) -> None:
    subset = build_subset(world.files, recipe(unit="panel", where="pmcid IN (11, 12, 13)"))
    # PMC12's two panels have no text of their own, and the caption is not either's alone
    assert ids(world, subset) == [
        *("PMC11.1/f1/1/panel1", "PMC11.1/f1/1/panel2", "PMC11.1/f2/1/panel1"),
        *("PMC13.1/f1/1/panel1", "PMC13.1/f2/1/panel1"),
    ]
    assert subset.counts["panels"] == 5
    assert subset.counts["commercial_panels"] == 3
    lettered = recipe(unit="panel", where="panel = 'B' AND panel_width > 60 AND mode = 'RGB'")
    assert ids(world, build_subset(world.files, lettered)) == ["PMC11.1/f1/1/panel2"]


def test_a_panels_picture_is_the_crop_and_its_text_its_own(world: World) -> None:
    subset = build_subset(world.files, recipe(unit="panel", where="pmcid IN (11, 13)"))
    record, paths = written(world, subset)
    found = samples(paths)
    assert record.counts["samples"] == len(found) == 5
    second = found["PMC11-1-f1_2F1_2Fpanel2"]
    assert second["txt"] == b"radiograph"
    cut = Image.open(io.BytesIO(second["png"]))
    [row] = [row for row in iter_subset(world.files, subset) if row["sample_id"] == "PMC11.1/f1/1/panel2"]
    whole = Image.open(io.BytesIO(dict(articles()[0].files)["a.png"]))
    assert cut.size == (66, 96)
    assert cut.tobytes() == whole.crop((30, 0, 96, 96)).tobytes()
    said = json.loads(second["json"])
    assert (said["panel_id"], said["panel"], said["panel_x"]) == ("PMC11.1/f1/1/panel2", "B", 30)
    assert (said["image_id"], said["sha256"]) == ("PMC11.1/f1/1", row["sha256"])
    assert said["attribution"].startswith("A title. J (2019).")
    # a whole image keeps its bytes; a JPEG's panels are JPEGs
    assert found["PMC11-1-f2_2F1_2Fpanel1"]["png"] == dict(articles()[0].files)["b.png"]
    assert found["PMC13-1-f1_2F1_2Fpanel1"]["jpg"] == dict(articles()[2].files)["y.jpg"]
    assert found["PMC13-1-f1_2F1_2Fpanel1"]["txt"] == b"caption 1"


def test_exports_of_panels_are_the_same_bytes_again(world: World, tmp_path: Path) -> None:
    subset = build_subset(world.files, recipe(unit="panel"))
    record, paths = written(world, subset)
    before = [path.read_bytes() for path in paths]
    for path, _ in list(world.files.list(record.folder)):
        world.files.remove(path)
    again, paths = written(world, subset)
    assert again == record
    assert [path.read_bytes() for path in paths] == before


def test_panels_as_parquet(world: World) -> None:
    subset = build_subset(world.files, recipe(unit="panel", where="panel IS NOT NULL", fields=["panel", "panels"]))
    _, [path] = written(world, subset, "parquet")
    rows = sorted(pq.read_table(path).to_pylist(), key=lambda row: row["panel"])
    assert [(row["panel"], row["text"]) for row in rows] == [("A", "Chest"), ("B", "radiograph")]
    assert Image.open(io.BytesIO(rows[0]["image"]["bytes"])).size == (30, 96)
    assert [one["letter"] for one in rows[0]["panels"]] == ["A", "B"]


def test_a_panel_of_another_box_is_another_row_of_the_same_id(world: World) -> None:
    """What a subset picked stays as long as the image shows the same bytes; boxes are those of today."""
    subset = build_subset(world.files, recipe(unit="panel", where="panel = 'A'"))
    commit_panels(world, {"PMC11.1/f1/1": [((0, 0, 40, 96), "A", "Chest"), ((40, 0, 56, 96), "B", "radiograph")]})
    _, paths = written(world, subset)
    assert Image.open(io.BytesIO(next(iter(samples(paths).values()))["png"])).size == (40, 96)
    commit_panels(world, {})
    assert withheld(world.files, subset) == []  # panel1 is now the whole image, with the whole caption


def test_paragraphs_are_texts(world: World) -> None:
    subset = build_subset(world.files, recipe(unit="paragraph", where="paragraph_domain = 'clinical'"))
    assert ids(world, subset) == ["PMC11.1/p0", "PMC12.1/p0"]
    _, paths = written(world, subset)
    found = samples(paths)
    first = found["PMC11-1-p0"]
    assert set(first) - {"__key__", "__url__", "__local_path__"} == {"txt", "json"}
    assert first["txt"] == world.sql("SELECT text FROM paragraphs WHERE paragraph_id = 'PMC11.1/p0'")[0][0].encode()
    said = json.loads(first["json"])
    assert (said["paragraph_id"], said["paragraph_type"], said["paragraph_score"]) == (
        "PMC11.1/p0",
        "clinical_case",
        4.5,
    )
    assert said["attribution"].endswith("https://pmc.ncbi.nlm.nih.gov/articles/PMC11/ Licence: CC BY.")
    _, [path] = written(world, subset, "parquet")
    table = pq.read_table(path)
    assert "image" not in table.column_names
    assert sorted(table.column("paragraph_id").to_pylist()) == ["PMC11.1/p0", "PMC12.1/p0"]
    # the same texts: p0 of all small articles with as many figures say "See Figure 1."
    assert build_subset(world.files, recipe(unit="paragraph", dedup="exact")).samples == 1


def test_what_is_up_sampled_comes_again(world: World) -> None:
    more = [{"where": "paragraph_domain = 'clinical'", "times": 2}, {"where": "paragraph_score > 4", "times": 3}]
    subset = build_subset(world.files, recipe(unit="paragraph", upsample=more))
    assert subset.samples == 3
    assert subset.counts["copies"] == 3 + 2 + 1
    assert [(s["step"], s["before"], s["after"]) for s in subset.steps][-2:] == [("upsample", 3, 5), ("upsample", 5, 6)]
    record, paths = written(world, subset)
    assert sorted(samples(paths)) == sorted(
        ["PMC11-1-p0", "PMC11-1-p0~2", "PMC11-1-p0~3", "PMC12-1-p0", "PMC12-1-p0~2", "PMC13-1-p0"]
    )
    # withdrawn: all copies go, and it is named once
    world.build(DAYS[1], *[one for one in articles() if one.pmcid != 11])
    after = rebuild(world.files, subset, record)
    assert after.tombstones == ["PMC11.1/p0"]
    assert sorted(samples(paths)) == ["PMC12-1-p0", "PMC12-1-p0~2", "PMC13-1-p0"]


def test_images_can_be_up_sampled_too(world: World) -> None:
    subset = build_subset(world.files, recipe(where="pmcid = 12", upsample=[{"where": "width > 0", "times": 2}]))
    _, paths = written(world, subset)
    found = samples(paths)
    assert sorted(found) == ["PMC12-1-f1_2F1", "PMC12-1-f1_2F1~2"]
    assert found["PMC12-1-f1_2F1"]["png"] == found["PMC12-1-f1_2F1~2"]["png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unit: paragraph\nwhere: width > 10", "there is no column 'width'"),
        ("unit: paragraph\ndedup: near", "compares pictures"),
        ("unit: paragraph\nfields: [caption]", "unknown"),
        ("where: panel = 'A'", "there is no column 'panel'"),
        ("unit: chapter", "unit"),
        ("upsample: [{where: nonsense > 1, times: 2}]", "there is no column 'nonsense'"),
    ],
)
def test_recipes_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(f"name: x\ndescription: y\n{text}")


def test_without_the_tables_recipes_are_inactive(empty_world: World) -> None:
    empty_world.build(DAYS[0], *articles())
    recipes = load_recipes()
    for name, table in {"single_panel_pairs": "panels", "domain_upsampled": "paragraph_quality"}.items():
        with pytest.raises(InactiveError, match=table):
            build_subset(empty_world.files, recipes[name])


def test_shipped_recipes(world: World) -> None:
    recipes = load_recipes()
    pairs = build_subset(world.files, recipes["single_panel_pairs"])
    # the left half of PMC11's picture is too narrow, its right half says too little; "caption n" is too short
    assert ids(world, pairs) == ["PMC11.1/f2/1/panel1"]
    cases = build_subset(world.files, recipes["clinical_case_paragraphs"])
    assert ids(world, cases) == ["PMC11.1/p0"]
    # PMC11's and PMC12's texts are equal: the earlier one, a clinical study, stays
    upsampled = build_subset(world.files, recipes["domain_upsampled"])
    assert ids(world, upsampled) == ["PMC12.1/p0"]
    assert upsampled.counts == {"paragraphs": 1, "commercial_paragraphs": 1, "commercial_bytes": 13, "copies": 3}


def test_biomedicas_format_has_whole_images(world: World) -> None:
    subset = build_subset(world.files, recipe(unit="panel"))
    with pytest.raises(ValueError, match="whole images"):
        export(world.files, subset, Options("biomedica"))


@pytest.mark.parametrize(("unit", "pictures"), [("image", True), ("panel", True), ("paragraph", False)])
def test_previews(world: World, unit: str, pictures: bool) -> None:
    preview = subset_preview(world.files, build_subset(world.files, recipe(unit=unit)))
    assert (preview.sheet is not None) == pictures
    assert all(row[2] for row in preview.rows)
