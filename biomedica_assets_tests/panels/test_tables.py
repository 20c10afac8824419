"""Table `panels`: rows of cut and uncut images, one file per panel, failures, when a partition is valid."""

from __future__ import annotations

import pytest
from PIL import Image

from biomedica_assets import schemas
from biomedica_assets.panels import tables
from biomedica_assets.panels.detectors import DetectorError
from biomedica_assets.panels.finding import find_panels
from biomedica_assets.panels.tables import build_panels, unfinished_panels
from biomedica_assets.settings import Settings
from biomedica_assets.store.derived import commit_derived
from biomedica_assets.store.manifests import StoreError
from biomedica_assets.store.tables import read_table
from biomedica_assets_tests.ingest.releases import DAYS, Art, World
from biomedica_assets_tests.panels.pages import drawn, file_of

CHUNK, NEXT = f"{DAYS[0]}-00000", f"{DAYS[1]}-00000"

TWO = drawn((800, 400), [(60, 60, 360, 360), (460, 60, 760, 360)], [("A", 20, 10), ("B", 420, 10)])
PLAIN = drawn((300, 200), [(20, 20, 280, 180)])
OTHER = drawn((320, 200), [(20, 20, 300, 180)])


def fig(name, caption, *files):
    graphics = "".join(f'<graphic xlink:href="{file}"/>' for file in files)
    return f'<fig id="{name}"><label>Figure</label><caption><p>{caption}</p></caption>{graphics}</fig>'


def article(pmcid, figures, files):
    xml = f"""<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="research-article"><front>
<journal-meta><journal-title>J</journal-title></journal-meta><article-meta>
<article-id pub-id-type="pmcid">PMC{pmcid}</article-id>
<title-group><article-title>T</article-title></title-group>
<pub-date pub-type="epub"><year>2020</year></pub-date></article-meta></front>
<body><sec><title>Results</title>{figures}</sec></body></article>"""
    return Art(pmcid, files=tuple(files.items()), xml=xml.encode())


CAPTION = "Both arms. (A) Before treatment. (B) After treatment."
ARTICLE = article(
    1,
    fig("f1", CAPTION, "two.png")
    + fig("f2", CAPTION, "left.png", "right.png")
    + fig("f3", "One view.", "plain.png")
    + fig("f4", "Cut short.", "bad.jpg"),
    {
        "two.png": file_of(TWO),
        "left.png": file_of(PLAIN),
        "right.png": file_of(OTHER),
        "plain.png": file_of(PLAIN),
        "bad.jpg": file_of(Image.effect_noise((300, 200), 90), "JPEG")[:-4000],
    },
)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.build(DAYS[0], ARTICLE)
    return made


def settings(**given):
    return Settings(**given, _env_file=None)


def rows(world, manifest):
    return read_table(world.files, manifest.file.path).to_pylist()


def test_rows_say_where_panels_lie_and_what_is_said_of_them(world):
    manifest, valid = build_panels(world.files, CHUNK, settings())
    assert not valid
    made = {row["panel_id"].removeprefix("PMC1.1/"): row for row in rows(world, manifest)}
    assert set(made) == {"f1/1/panel1", "f1/1/panel2", "f2/1/panel1", "f2/2/panel1", "f3/1/panel1"}
    # Cut in the middle of the gap between the first picture (up to 360) and the second letter (from about 420).
    first, second = made["f1/1/panel1"], made["f1/1/panel2"]
    assert [(row["letter"], row["letter_source"], row["n_panels"]) for row in (first, second)] == [
        ("A", "glyph", 2), ("B", "glyph", 2),
    ]  # fmt: skip
    assert abs(first["x"] - 20) < 5
    assert abs(first["x"] + first["width"] - 360) < 5
    assert abs(second["x"] - 420) < 5
    assert abs(second["y"] + second["height"] - 360) < 5
    assert (first["caption"], second["caption"]) == ("Before treatment.", "After treatment.")
    assert CAPTION[second["caption_start"] : second["caption_end"]] == "After treatment."
    # One file per panel: the whole of it.
    whole = made["f2/2/panel1"]
    assert (whole["x"], whole["y"], whole["width"], whole["height"]) == (0, 0, 320, 200)
    assert (whole["letter"], whole["letter_source"], whole["caption"]) == ("B", "file", "After treatment.")
    # An uncut image has one row, without a letter.
    plain = made["f3/1/panel1"]
    assert (plain["width"], plain["height"], plain["n_panels"], plain["ordinal"]) == (300, 200, 1, 1)
    assert plain["letter"] is plain["letter_source"] is plain["letter_probability"] is plain["caption"] is None


def test_counts_and_failures(world):
    manifest, _ = build_panels(world.files, CHUNK, settings())
    assert manifest.counts == {"DamagedImage": 1, "captions": 4, "compound": 1, "images": 4, "letters": 4, "panels": 5}
    (failure,) = manifest.run["failures"]
    assert (failure["object"], failure["error"]) == ("PMC1.1/f4/1", "DamagedImage")


def test_rows_are_the_same_whenever_they_are_made(world):
    first, _ = build_panels(world.files, CHUNK, settings())
    world.files.remove(f"derived/panels/{CHUNK}.json")
    again, valid = build_panels(world.files, CHUNK, settings())
    assert (again.file.path, valid) == (first.file.path, False)


def test_only_what_has_changed_is_made_again(world, monkeypatch):
    files = world.files
    assert unfinished_panels(files, settings()) == [CHUNK]
    build_panels(files, CHUNK, settings())
    assert unfinished_panels(files, settings()) == []
    assert build_panels(files, CHUNK, settings())[1]
    world.build(DAYS[1], ARTICLE, article(2, fig("f1", "One.", "plain.png"), {"plain.png": file_of(PLAIN)}))
    assert unfinished_panels(files, settings()) == [NEXT]
    build_panels(files, NEXT, settings())
    monkeypatch.setattr(tables, "PANELS_VERSION", "other")
    assert unfinished_panels(files, settings()) == [CHUNK, NEXT]


def test_images_of_which_nothing_more_is_known_are_not_looked_at_again(world, monkeypatch):
    files = world.files
    first, _ = build_panels(files, CHUNK, settings())
    rows = read_table(files, first.file.path).to_pylist()
    other = [{**row, "known": "something else"} if row["figure_id"] == "PMC1.1/f3" else row for row in rows]
    commit_derived(files, schemas.PANELS, CHUNK, other, inputs={**first.inputs, "images": "compacted"}, run=first.run)
    looked = []
    monkeypatch.setattr(tables, "find_panels", lambda data, about, _: looked.append(about) or find_panels(data, about))
    again, valid = build_panels(files, CHUNK, settings())
    assert (again.file.path, again.input_hash, valid) == (first.file.path, first.input_hash, False)
    assert (len(looked), again.counts["reused"]) == (2, 3), "what cannot be decoded is tried again"


def test_another_detector_makes_all_again(world):
    build_panels(world.files, CHUNK, settings())
    assert unfinished_panels(world.files, settings(panels="onnx:/none.onnx")) == [CHUNK]
    with pytest.raises(DetectorError, match="which is no file"):
        build_panels(world.files, CHUNK, settings(panels="onnx:/none.onnx"))


def test_a_chunk_that_is_not_committed_is_said(world):
    with pytest.raises(StoreError, match="not committed"):
        build_panels(world.files, NEXT, settings())


def test_the_table_is_as_declared(world):
    manifest, _ = build_panels(world.files, CHUNK, settings())
    assert read_table(world.files, manifest.file.path).schema.equals(schemas.PANELS.arrow)
