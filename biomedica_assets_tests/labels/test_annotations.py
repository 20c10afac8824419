"""Annotations of chunks: what each source says, what holds, and what is made anew when something changes."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.dataset.predicates import from_clause, select_list
from biomedica_assets.dataset.recipes import load_recipes
from biomedica_assets.dataset.statistics import compute_statistics
from biomedica_assets.dataset.subsets import InactiveError, build_subset, iter_subset
from biomedica_assets.dataset.views import open_dataset
from biomedica_assets.labels.annotations import Sources, build_annotations, unfinished_annotations
from biomedica_assets.labels.concepts import build_concepts
from biomedica_assets.labels.examples import Verdict, closeness, gather_examples, panels_of
from biomedica_assets.labels.fitting import ensure_space
from biomedica_assets.labels.outcomes import publish_consensus
from biomedica_assets.labels.propagate import DECIDES, reliability
from biomedica_assets.labels.space import load_space
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.labels.training import NoVotesError, ensure_model, open_sources
from biomedica_assets.labels.vote_log import VoteLog
from biomedica_assets.labels.votes import NewVote, cast_vote
from biomedica_assets.labels.weak import WeakLabeller, load_rules
from biomedica_assets.models.features import build_caption_features, build_image_features
from biomedica_assets.serve.records import Records
from biomedica_assets.settings import Settings
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.derived import read_derived
from biomedica_assets.store.manifests import StoreError
from biomedica_assets.store.tables import read_table
from biomedica_assets_tests.ingest.releases import DAYS, World, art, picture

pytestmark = pytest.mark.usefixtures("no_local_database")

TAXONOMY = load_taxonomy()
RULES = WeakLabeller(load_rules(), TAXONOMY)
WEAK = Sources(TAXONOMY, RULES)
CHUNK, NEXT = f"{DAYS[0]}-00000", f"{DAYS[1]}-00000"


class Encoder:
    """A stand-in: pictures whose SHA-256 begins with an even digit lie apart from the others; captions say nothing."""

    texts = images = True
    dimensions = 4
    id, weights_sha256 = "halves-4@0123456789ab", "0123456789ab" + "0" * 52

    def encode_texts(self, texts):
        return np.tile(np.array([1, 0, 0, 0], np.float32), (len(texts), 1))

    def encode_images(self, images):
        rows = []
        for data in images:
            digest = hashlib.sha256(data).digest()
            rows.append([1.0, 5.0 * (digest[0] >> 4 & 1), digest[1] / 300, digest[2] / 300])
        vectors = np.array(rows, np.float32).reshape(-1, 4)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), []


def odd(data: bytes) -> bool:
    return bool(hashlib.sha256(data).digest()[0] >> 4 & 1)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def settings(world, **changed):
    return Settings(**world.given | {"concept_clusters": 2} | changed, _env_file=None)


def encode(world, *chunks):
    for chunk in chunks:
        build_caption_features(world.files, chunk, Encoder())
        build_image_features(world.files, chunk, Encoder())


def rows(world, chunk=CHUNK, table="annotations"):
    return read_table(world.files, read_derived(world.files, table)[chunk].file.path).to_pylist()


def hashes(world, *folders):
    return {
        path: hashlib.sha256(world.files.read(path)).hexdigest() for f in folders for path, _ in world.files.list(f)
    }


def test_weak_labels_are_there_before_anybody_voted(world):
    world.build(DAYS[0], art(1, pictures=1, caption="Chest radiograph."), art(2, pictures=1, caption="Words"))
    manifests, skipped = build_annotations(world.files, CHUNK, WEAK)
    assert not skipped
    found = [(r["image_id"], r["axis"], r["label"], round(r["probability"], 4), r["chosen"]) for r in rows(world)]
    assert found == [
        ("PMC1.1/f1/1", "figure_kind", "clinical_image", 0.85, True),
        ("PMC1.1/f1/1", "modality", "radiography", 0.85, True),
        ("PMC1.1/f1/1", "specimen", "chest", 0.6, True),
        ("PMC1.1/f1/1", "panel_type", "single", 0.65, True),
        ("PMC2.1/f1/1", "panel_type", "single", 0.65, True),
    ]
    assert {(r["source"], r["model"], r["taxonomy"]) for r in rows(world)} == {("caption_rule", RULES.id, TAXONOMY.id)}
    held = {r["image_id"]: r for r in rows(world, table="image_labels")}
    assert held["PMC1.1/f1/1"]["labels"] == ["clinical_image", "radiography", "body", "chest", "single"]
    assert held["PMC1.1/f1/1"]["primary_labels"] == ["Clinical Imaging"]
    assert held["PMC1.1/f1/1"]["secondary_labels"] == ["x-ray radiography"]
    assert held["PMC2.1/f1/1"]["panel_types"] == ["single"]
    assert held["PMC2.1/f1/1"]["primary_labels"] == []
    assert manifests["annotations"].counts == {"images": 2, "chosen_caption_rule": 5}


def test_views_show_what_holds(world):
    world.build(DAYS[0], art(1, pictures=1, caption="Western blot and bar graph."))
    build_annotations(world.files, CHUNK, WEAK)
    build_generation(world.files)
    assert world.sql("SELECT axis, label, labels, source FROM labels WHERE axis IN ('figure_kind', 'modality') "
                     "ORDER BY axis") == [
        ("figure_kind", "assay_image", ["assay_image", "bar_plot"], "caption_rule"),
        ("modality", "immunoblot", ["immunoblot"], "caption_rule"),
    ]  # fmt: skip
    assert world.sql("SELECT image_id FROM image_labels WHERE list_contains(labels, 'plot')") == [("PMC1.1/f1/1",)]


def test_what_is_valid_is_not_done_again(world):
    world.build(DAYS[0], art(1))
    first, _ = build_annotations(world.files, CHUNK, WEAK)
    again, skipped = build_annotations(world.files, CHUNK, WEAK)
    assert skipped
    assert again == first
    world.files.remove(first["image_labels"].file.path)
    lost, skipped = build_annotations(world.files, CHUNK, WEAK)
    assert not skipped, "a file that is gone is made again"
    assert {n: m.file for n, m in lost.items()} == {n: m.file for n, m in first.items()}, "and is the same file"
    with pytest.raises(StoreError, match="materialize `articles`"):
        build_annotations(world.files, "2020-01-01-00000", WEAK)


def test_other_rules_or_another_taxonomy_rewrite_annotations_and_nothing_else(world):
    world.build(DAYS[0], art(1), art(2))
    build_annotations(world.files, CHUNK, WEAK)
    before = hashes(world, "shards", "tables/images", "tables/captions", "chunks", "sources", "releases")
    rules = WeakLabeller(load_rules().model_copy(update={"version": "2"}), TAXONOMY)
    renamed = TAXONOMY.model_copy(update={"version": "9.9"})
    renamed.__dict__.pop("id", None)
    for sources in (Sources(TAXONOMY, rules), Sources(renamed, WeakLabeller(load_rules(), renamed))):
        assert unfinished_annotations(world.files, sources) == [CHUNK]
        _, skipped = build_annotations(world.files, CHUNK, sources)
        assert not skipped
        assert unfinished_annotations(world.files, sources) == []
    assert {r["taxonomy"] for r in rows(world)} == {renamed.id}
    after = hashes(world, "shards", "tables/images", "tables/captions", "chunks", "sources", "releases")
    assert after == before


def test_a_new_chunk_is_labelled_alone(world):
    world.build(DAYS[0], art(1))
    build_annotations(world.files, CHUNK, WEAK)
    kept = hashes(world, "tables/annotations", "tables/image_labels", "derived/annotations")
    world.build(DAYS[1], art(1), art(2))
    assert unfinished_annotations(world.files, WEAK) == [NEXT]
    build_annotations(world.files, NEXT, WEAK)
    after = hashes(world, "tables/annotations", "tables/image_labels", "derived/annotations")
    assert kept.items() <= after.items()
    assert {r["image_id"] for r in rows(world, NEXT)} == {"PMC2.1/f1/1", "PMC2.1/f2/1"}


def test_a_vote_on_a_picture_concerns_its_chunk_only(world):
    world.build(DAYS[0], art(1))
    world.build(DAYS[1], art(1), art(2))
    for chunk in (CHUNK, NEXT):
        build_annotations(world.files, chunk, WEAK)
    sha256 = hashlib.sha256(picture(21)).hexdigest()
    verdicts = {f"image:{sha256}": {"figure_kind": Verdict(("map",), 0.9)}}
    reviewed = replace(WEAK, verdicts=verdicts, consensus="c1", reviewed={NEXT: (sha256,)})
    assert unfinished_annotations(world.files, reviewed) == [NEXT]
    build_annotations(world.files, NEXT, reviewed)
    [row] = [r for r in rows(world, NEXT) if r["source"] == "review"]
    assert (row["image_id"], row["label"], row["decision"], row["chosen"], row["model"]) == (
        *("PMC2.1/f1/1", "map", True, True, "c1"),
    )


# With features, concepts, votes and a model ----------------------------------------------------------------------


@pytest.fixture
def voted(world):
    """24 articles of two pictures, a concept for each half, three annotators who call them maps and tables."""
    world.build(DAYS[0], *(art(n) for n in range(1, 25)), chunk_size=100)
    encode(world, CHUNK)
    record, _ = ensure_space(world.files, settings(world))
    _, space = load_space(world.files)
    build_concepts(world.files, CHUNK, record, space)
    shown = {row["image_id"]: row for row in rows(world, table="concepts")}
    pictures = {f"PMC{a}.1/f{n}/1": odd(picture(a * 10 + n)) for a in range(1, 25) for n in (1, 2)}
    for annotator in ("ada", "bob", "cyd"):
        for concept in (0, 1):
            members = [pictures[name] for name, row in shown.items() if row["concept"] == concept]
            assert len(set(members)) == 1, "the stand-in's halves are the concepts"
            kind = "map" if members[0] else "table"
            vote(world, annotator, target_kind="concept", space=record.id, concept=concept, figure_kind=kind)
    agree(world)
    world.pictures = pictures
    return world


def vote(world, annotator, *, figure_kind, **target):
    new = NewVote(annotator=annotator, answers={"figure_kind": (figure_kind,)}, source="simulated", **target)
    cast_vote(world.files, new, TAXONOMY)


def agree(world):
    log = VoteLog(world.files)
    log.refresh()
    return publish_consensus(world.files, log.votes, TAXONOMY, simulated=True)[0]


def test_examples_are_members_of_concepts_weighted_by_closeness(voted):
    space, _ = load_space(voted.files)
    sources = open_sources(voted.files, settings(voted))
    found = gather_examples(voted.files, sources.verdicts, space, most=1000)
    assert found.counts == {"pictures": 0, "members": 48, "concepts": 2}
    assert len(found.inputs) == len(found.articles) == 48
    assert (found.image_encoder, found.text_encoder) == (Encoder.id, Encoder.id)
    placed = {row["sha256"]: row for row in rows(voted, table="concepts")}
    for sha256, said, weight in zip(
        found.sha256, found.answers["figure_kind"], found.weights["figure_kind"], strict=True
    ):
        row = placed[sha256]
        verdict = sources.verdicts[f"concept:{space.id}/{row['concept']}"]["figure_kind"]
        assert said == frozenset(verdict.labels)
        assert weight == pytest.approx(verdict.probability * closeness(row["distance"], space.distance_median))
    some = gather_examples(voted.files, sources.verdicts, space, most=10)
    assert len(some.inputs) == 10
    assert some.sha256 == gather_examples(voted.files, sources.verdicts, space, most=10).sha256


def test_a_vote_on_a_picture_is_an_example_that_counts_more(voted):
    sha256 = hashlib.sha256(picture(11)).hexdigest()
    vote(voted, "ada", target_kind="image", image_id="PMC1.1/f1/1", sha256=sha256, figure_kind="plot")
    agree(voted)
    sources = open_sources(voted.files, settings(voted))
    space, _ = load_space(voted.files)
    found = gather_examples(voted.files, sources.verdicts, space, most=1000)
    assert found.counts == {"pictures": 1, "members": 47, "concepts": 2}
    place = found.sha256.index(sha256)
    assert found.answers["figure_kind"][place] == {"plot"}
    assert found.weights["figure_kind"][place] > 2 * max(np.delete(found.weights["figure_kind"], place))
    assert sources.reviewed == {CHUNK: (sha256,)}


def test_the_model_labels_and_the_concepts_labels_stand_beside_it(voted):
    record, fitted = ensure_model(voted.files, settings(voted))
    assert fitted
    assert record.axes["figure_kind"]["scores"]["accuracy"] == 1.0
    assert set(record.refused) == {"modality", "specimen", "panel_type"}
    sources = open_sources(voted.files, settings(voted))
    manifests, _ = build_annotations(voted.files, CHUNK, sources)
    assert manifests["annotations"].counts["classified"] == 48
    found = {
        (r["image_id"], r["source"]): r["label"]
        for r in rows(voted)
        if r["axis"] == "figure_kind" and r["decision"] and r["source"] in ("classifier", "concept")
    }
    for image_id, is_odd in voted.pictures.items():
        expected = "map" if is_odd else "table"
        assert found[image_id, "classifier"] == expected
    assert {r["model"] for r in rows(voted) if r["source"] == "classifier"} == {record.id}
    assert {r["chosen"] for r in rows(voted) if r["source"] == "concept"} == {False}, "the classifier goes before"
    assert ensure_model(voted.files, settings(voted)) == (record, False), "nothing changed"


def test_a_chunk_that_arrives_does_not_change_the_model(voted):
    record, _ = ensure_model(voted.files, settings(voted))
    build_annotations(voted.files, CHUNK, open_sources(voted.files, settings(voted)))
    voted.build(DAYS[1], *(art(n) for n in range(1, 27)), chunk_size=100)
    encode(voted, NEXT)
    assert ensure_model(voted.files, settings(voted)) == (record, False)
    sources = open_sources(voted.files, settings(voted))
    assert unfinished_annotations(voted.files, sources) == [NEXT]
    build_annotations(voted.files, NEXT, sources)
    found = {r["image_id"]: r["label"] for r in rows(voted, NEXT) if r["source"] == "classifier" and r["chosen"]}
    assert found == {
        f"PMC{a}.1/f{n}/1": "map" if odd(picture(a * 10 + n)) else "table" for a in (25, 26) for n in (1, 2)
    }


def test_other_votes_make_another_model_and_other_annotations_and_shards_stay(voted):
    record, _ = ensure_model(voted.files, settings(voted))
    build_annotations(voted.files, CHUNK, open_sources(voted.files, settings(voted)))
    before = hashes(voted, "shards", "chunks", "tables/images", "tables/image_features", "derived/image_features")
    space, _ = load_space(voted.files)
    for annotator in ("ada", "bob", "cyd"):
        vote(voted, annotator, target_kind="concept", space=space.id, concept=0, figure_kind="diagram")
    agree(voted)
    other, fitted = ensure_model(voted.files, settings(voted))
    assert fitted
    assert other.id != record.id
    sources = open_sources(voted.files, settings(voted))
    assert unfinished_annotations(voted.files, sources) == [CHUNK]
    build_annotations(voted.files, CHUNK, sources)
    assert "diagram" in {r["label"] for r in rows(voted) if r["source"] == "classifier" and r["chosen"]}
    after = hashes(voted, "shards", "chunks", "tables/images", "tables/image_features", "derived/image_features")
    assert after == before
    assert {m.inputs["model"] for m in read_derived(voted.files, "annotations").values()} == {other.id}


def test_a_classifier_that_is_not_sure_abstains_and_says_so(voted):
    ensure_model(voted.files, settings(voted))
    sources = open_sources(voted.files, settings(voted))
    model = sources.model
    assert model is not None
    axis = model.axes["figure_kind"]
    unsure = replace(axis, thresholds=np.full(len(axis.labels), 2.0))
    sources = replace(sources, model=replace(model, axes={"figure_kind": unsure}, id="unsure"))
    manifests, _ = build_annotations(voted.files, CHUNK, sources)
    assert manifests["annotations"].counts["abstained"] == 48
    said = [r for r in rows(voted) if r["source"] == "classifier"]
    assert not any(r["decision"] or r["chosen"] for r in said)
    assert sum(r["label"] is None for r in said) == 48
    chosen = [r for r in rows(voted) if r["chosen"] and r["axis"] == "figure_kind"]
    assert {r["source"] for r in chosen} == {"concept"}
    placed = {row["image_id"]: row for row in rows(voted, table="concepts")}
    space, _ = load_space(voted.files)
    for row in (r for r in rows(voted) if r["source"] == "concept"):
        place = placed[row["image_id"]]
        verdict = sources.verdicts[f"concept:{space.id}/{place['concept']}"]["figure_kind"]
        share = reliability(place["distance"], space.distance_median, sources.concept_articles[place["concept"]])
        assert row["probability"] == pytest.approx(verdict.probability * share, abs=1e-4)
        assert row["decision"] == (row["probability"] >= DECIDES)


def test_vectors_of_another_encoder_are_not_classified(voted):
    ensure_model(voted.files, settings(voted))
    sources = open_sources(voted.files, settings(voted))
    assert sources.model is not None
    other = replace(sources, model=replace(sources.model, image_encoder="other", id="x"))
    manifests, _ = build_annotations(voted.files, CHUNK, other)
    assert "classified" not in manifests["annotations"].counts


def test_without_votes_there_is_no_model(world):
    world.build(DAYS[0], art(1))
    encode(world, CHUNK)
    with pytest.raises(NoVotesError, match="labelling pages"):
        ensure_model(world.files, settings(world))
    sources = open_sources(world.files, settings(world))
    assert (sources.model, sources.space, sources.verdicts) == (None, None, {})


def test_a_model_of_another_taxonomy_is_not_used(voted, tmp_path):
    ensure_model(voted.files, settings(voted))
    text = load_taxonomy.__globals__["SHIPPED"].read_text("utf-8").replace('version: "1.0"', 'version: "1.1"', 1)
    (tmp_path / "own.yaml").write_text(text)
    sources = open_sources(voted.files, settings(voted, taxonomy=str(tmp_path / "own.yaml")))
    assert sources.model is None
    assert sources.verdicts == {}, "the consensus is of the other taxonomy, too"


def test_panels_are_those_of_single_files(world):
    world.build(DAYS[0], art(1, pictures=1, caption="Two views. (A) Front. (B) Back"), art(2, pictures=1))
    panels = panels_of(world.files, world.manifest(CHUNK))
    assert panels == {"PMC1.1/f1": 2, "PMC2.1/f1": 0}


def test_records_and_statistics_tell_labels(world):
    world.build(DAYS[0], art(1, pictures=1, caption="Chest radiograph."))
    build_annotations(world.files, CHUNK, WEAK)
    generation = build_generation(world.files)
    records = Records(world.files)
    current = records.current(generation, 1)
    assert current is not None
    article = records.article(generation, current)
    assert article is not None
    [figure] = article.figures
    assert {row["label"] for row in figure.labels} == {"clinical_image", "radiography", "chest", "single"}
    with open_dataset(world.files) as catalogue:
        statistics = compute_statistics(catalogue)
    assert statistics["totals"]["labelled_images"] == 1
    assert dict(statistics["series"]["labels"]) == dict.fromkeys(
        ("body", "chest", "clinical_image", "radiography", "single"), 1
    )


def test_recipes_pick_by_labels(world):
    world.build(DAYS[0], art(1, caption="Chest radiograph."), art(2, caption="Kaplan-Meier curve."))
    build_generation(world.files)
    with pytest.raises(InactiveError, match="annotations"):
        build_subset(world.files, load_recipes()["concept_filtered"].model_copy(update={"dedup": "none"}))
    build_annotations(world.files, CHUNK, WEAK)
    build_generation(world.files)
    picked = build_subset(world.files, load_recipes()["concept_filtered"].model_copy(update={"dedup": "none"}))
    assert [row["image_id"] for row in iter_subset(world.files, picked)] == ["PMC1.1/f1/1", "PMC1.1/f2/1"]
    balanced = load_recipes()["concept_balanced"]
    one = balanced.model_copy(update={"dedup": "none", "balance": (balanced.balance[0].model_copy(update={"max": 1}),)})
    assert build_subset(world.files, one).counts["images"] == 2, "one radiograph and one plot"
    predicate, values = Filters(label="plot").sql()
    with open_dataset(world.files) as catalogue:
        columns = ["image_id", "labels"]
        query = f"SELECT image_id FROM (SELECT {select_list(columns)} FROM {from_clause(columns)}) WHERE {predicate}"
        found = catalogue.execute(f"{query} ORDER BY 1", values).fetchall()
    assert found == [("PMC2.1/f1/1",), ("PMC2.1/f2/1",)], "what lies below a label counts too"
