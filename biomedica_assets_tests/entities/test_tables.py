"""The table: which texts are annotated, offsets, validity, failures."""

import pytest

from biomedica_assets.entities import tables
from biomedica_assets.entities.annotators import AnnotatorError, Entity
from biomedica_assets.entities.tables import build_entities, unfinished_entities
from biomedica_assets.settings import Settings
from biomedica_assets.store.manifests import StoreError
from biomedica_assets.store.tables import read_table
from biomedica_assets_tests.ingest.releases import DAYS, World, art

pytestmark = pytest.mark.usefixtures("no_local_database")

CHUNK = f"{DAYS[0]}-00000"
XML = b"""<article xmlns:xlink="http://www.w3.org/1999/xlink"><front><article-meta>
<article-id pub-id-type="pmcid-ver">PMC7.1</article-id></article-meta></front><body>
<p>Mice are shown in <xref ref-type="fig" rid="a">Figure 1</xref>.</p><p>Mice elsewhere.</p>
<fig id="a"><label>Figure 1</label><caption><p>Two mice.</p></caption></fig>
<fig id="b"><label>Figure 2</label></fig></body></article>"""


class Mice:
    """Finds the word mice."""

    id = "mice@1"

    def annotate(self, text):
        at = text.lower().find("mice")
        if "fails" in text:
            raise AnnotatorError("cannot")
        return (
            [Entity(at, at + 4, text[at : at + 4], "species", ("NCBITaxon:10090",), "Mus musculus", "both", 0.9)]
            if at >= 0
            else []
        )

    def annotate_many(self, texts):
        return [self.annotate(text) for text in texts]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "load_annotator", lambda name="offline": Mice())
    return World(tmp_path)


def settings(world, **changed):
    return Settings(**world.given | changed, _env_file=None)


def test_captions_and_paragraphs_that_mention_a_figure(world):
    world.build(DAYS[0], art(7).but(xml=XML, files=()))
    manifest, valid = build_entities(world.files, CHUNK, settings(world))
    assert not valid
    rows = read_table(world.files, manifest.file.path).to_pylist()
    shown = [(r["text_id"], r["field"], r["start"], r["end"], r["text"], r["type"], r["ids"], r["name"]) for r in rows]
    assert shown == [
        ("PMC7.1/a", "caption", 4, 8, "mice", "species", ["NCBITaxon:10090"], "Mus musculus"),
        ("PMC7.1/p0", "paragraph", 0, 4, "Mice", "species", ["NCBITaxon:10090"], "Mus musculus"),
    ]
    assert rows[0]["annotator"] == "mice@1" and rows[0]["probability"] == pytest.approx(0.9)
    assert manifest.counts == {"texts": 2, "entities": 2, "species": 2, "with_ids": 2}
    assert build_entities(world.files, CHUNK, settings(world)) == (manifest, True)
    assert unfinished_entities(world.files, settings(world)) == []


def test_another_annotator_makes_the_chunk_unfinished(world, monkeypatch):
    world.build(DAYS[0], art(7).but(xml=XML, files=()))
    build_entities(world.files, CHUNK, settings(world))
    assert unfinished_entities(world.files, settings(world, entities="gliner:x")) == [CHUNK]
    monkeypatch.setattr(Mice, "id", "mice@2")
    assert unfinished_entities(world.files, settings(world)) == [CHUNK]
    manifest, valid = build_entities(world.files, CHUNK, settings(world))
    assert not valid and manifest.inputs["annotator"] == "mice@2"


def test_a_text_on_which_the_annotator_fails_is_listed(world):
    world.build(DAYS[0], art(7).but(xml=XML.replace(b"Two mice", b"fails"), files=()))
    manifest, _ = build_entities(world.files, CHUNK, settings(world))
    assert manifest.run["failures"] == [{"object": "PMC7.1/a", "error": "AnnotatorError", "message": "cannot"}]
    assert (manifest.counts["AnnotatorError"], manifest.counts["entities"]) == (1, 1)


def test_a_chunk_must_be_committed_and_the_name_known(world):
    with pytest.raises(StoreError, match="not committed"):
        build_entities(world.files, "2026-11-10-00009", settings(world))
    with pytest.raises(AnnotatorError, match="known"):
        unfinished_entities(world.files, settings(world, entities="nothing"))
