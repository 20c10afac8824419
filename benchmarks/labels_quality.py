"""Labels: how right each way of labelling is, on pictures whose labels are known.

    python -m benchmarks.labels_quality [--quick]

Measured over folds of whole articles:

* drawn: pictures of the sample's generator under new seeds, one to six panels; no captions;
* sample: the pictures of the embedded sample with their captions;
* real: figures of the shared corpus, labelled by looking at them (`data/corpus_labels.csv`), with their captions;
* cells: cells cut out of the blood smears of BCCD, an axis of their own, no captions.

In each fold experts look at the clusters of the training pictures only: a concept space is fitted on them, three
simulated annotators with known errors are shown up to 36 members of each concept, and their consensus labels it.
Ways: `majority` (the commonest labels), `pixels` (the classifier on 24 x 24 pixels), `rules` (caption words),
`clusters` (the concept's label copied to all members), `near clusters` (to those near the centre), `classifier` (fitted
on the members of voted concepts), `every picture` (the classifier if experts had voted on each training picture),
`chosen` (what the pipeline says holds).
"""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.encoders import BCCD, cells
from benchmarks.measure import SHARED, Table, main, run
from biomedica_assets.labels.annotations import DENIED
from biomedica_assets.labels.classifier import calibration, decided, likeliest
from biomedica_assets.labels.consensus import reach_consensus
from biomedica_assets.labels.decisions import CLASSIFIER, choose
from biomedica_assets.labels.examples import Verdict, Verdicts, closeness
from biomedica_assets.labels.label_model import Inputs, LabelModel, fit_model
from biomedica_assets.labels.propagate import CONCEPT, DECIDES, reliability
from biomedica_assets.labels.simulated import ANNOTATORS, labels_of, shared_labels
from biomedica_assets.labels.space import default_clusters, fit_space
from biomedica_assets.labels.taxonomy import Taxonomy, load_taxonomy
from biomedica_assets.labels.training import verdicts_of
from biomedica_assets.labels.votes import Vote
from biomedica_assets.labels.weak import Said, WeakLabeller, load_rules
from biomedica_assets.models.encoders import load_encoder
from biomedica_assets.models.pictures import square

LABELLED = Path(__file__).with_name("data") / "corpus_labels.csv"
DRAWN, QUICK_DRAWN = (30, 500), (2, 30)
"""Pictures of each drawing, and pictures of several panels."""
CELLS, QUICK_CELLS = 360, 40
FOLDS, SHOWN, SIDE = 5, 36, 24

Answers = dict[str, tuple[str, ...]]


@dataclass
class Pictures:
    """Labelled pictures. ``answers`` of an axis are missing where nobody could tell; such do not count there."""

    name: str
    taxonomy: Taxonomy
    answers: list[Answers]
    articles: list[str]
    vectors: np.ndarray
    pixels: np.ndarray
    captions: list[str | None] = field(default_factory=list)
    texts: np.ndarray = field(default_factory=lambda: np.zeros((0, 1)))
    panels: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    kinds: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.captions:
            n = len(self.answers)
            self.captions, self.kinds = [None] * n, [None] * n
            self.texts, self.panels = np.zeros((n, 1)), np.zeros(n, int)

    def inputs(self, rows: np.ndarray, *, pixels: bool = False) -> Inputs:
        if pixels:
            return Inputs(self.pixels[rows], np.zeros((len(rows), 1)), np.zeros(len(rows), int))
        return Inputs(self.vectors[rows], self.texts[rows], self.panels[rows])


@lru_cache(maxsize=2)
def _encoder(name: str) -> Any:
    return load_encoder(name)


def _images(images: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    vectors = [
        _encoder("efficientnet-lite0").encode_images(images[at : at + 256])[0] for at in range(0, len(images), 256)
    ]
    pixels = np.stack([square(data, SIDE).astype(np.float32).ravel() / 255 for data in images])
    return np.concatenate(vectors).astype(np.float16), pixels


# Pictures with known labels ----------------------------------------------------------------------------------------


def drawn(single: int, several: int) -> Pictures:
    """New pictures of the sample's generator, three to an article."""
    from biomedica_assets.sample.pictures import DRAWINGS, Picture, render

    random = np.random.default_rng(11)
    names, made = list(DRAWINGS), []
    for number in range(single * len(names) + several):
        size = (int(random.integers(360, 760)), int(random.integers(300, 640)))
        kinds = (names[number % len(names)],)
        letters = ""
        if number >= single * len(names):
            pool = random.choice(names, int(random.integers(1, 4)), replace=False)
            kinds = tuple(str(kind) for kind in random.choice(pool, int(random.integers(2, 7))))
            letters = "ABCDEF"[: len(kinds)] if random.random() < 0.8 else ""
        made.append(render(Picture(f"{number}.jpg", kinds, letters, size=size, seed=f"labels/{number}"), "labels"))
    taxonomy = load_taxonomy()
    vectors, pixels = _images([one.data for one in made])
    order = random.permutation(len(made))
    articles = [f"article {place // 3}" for place in np.argsort(order)]
    return Pictures("drawn", taxonomy, [labels_of(one.truth, taxonomy) for one in made], articles, vectors, pixels)


def sample() -> Pictures:
    """The embedded sample's pictures, as a store has them."""
    from biomedica_assets.labels.simulated import sample_truth
    from biomedica_assets.sample import ensure

    taxonomy = load_taxonomy()
    with tempfile.TemporaryDirectory() as folder:
        ensure(f"{folder}/release")
        rows = _stored(f"{folder}/release", folder)
    known = {sha256: labels_of(row, taxonomy) for sha256, row in sample_truth().items()}
    return _of_rows("sample", [row for row in rows if row["sha256"] in known], known, taxonomy)


def real() -> Pictures | None:
    """The labelled figures of the shared corpus; None where that is absent. Captions of other articles are left out."""
    from biomedica_assets.pmc.pack import pack

    if not (SHARED / "corpus").is_dir():
        return None
    with LABELLED.open(newline="") as file:
        listed = {row["sha256"]: row for row in csv.DictReader(file)}
    with tempfile.TemporaryDirectory() as folder:
        pack(
            [str(SHARED / "corpus" / name) for name in ("articles", "publisher")],
            f"{folder}/release",
            release=date(2026, 11, 20),
        )
        rows = [row for row in _stored(f"{folder}/release", folder) if row["sha256"] in listed]
    for row in rows:
        if listed[row["sha256"]]["caption"] != "own":
            row["caption"] = None
    taxonomy = load_taxonomy()
    axes = [axis.id for axis in taxonomy.axes]
    known = {s: {axis: tuple(row[axis].split()) for axis in axes if row[axis]} for s, row in listed.items()}
    return _of_rows("real", rows, known, taxonomy)


def _stored(release: str, folder: str) -> list[dict[str, Any]]:
    """Images of a release, ingested into a store that is thrown away: ids, bytes, captions, panels, kinds."""
    from biomedica_assets.dataset.reading import Span, read_images
    from biomedica_assets.ingest.chunk import ingest_chunk
    from biomedica_assets.ingest.listing import list_release
    from biomedica_assets.ingest.status import store_status
    from biomedica_assets.ingest.workspace import open_workspace
    from biomedica_assets.settings import Settings
    from biomedica_assets.store.catalogue import build_generation, open_catalogue

    workspace = open_workspace(Settings(source=release, store=f"{folder}/store", chunk_size=100))
    list_release(workspace)
    for chunk in store_status(workspace.files, workspace.settings).unfinished:
        ingest_chunk(workspace, chunk)
    build_generation(workspace.files)
    with open_catalogue(workspace.files) as catalogue:
        rows = (
            catalogue.sql("""
            SELECT i.article_id, i.sha256, f.kind, coalesce(c."text", c.group_caption) AS caption, shard, image_offset,
                   i.bytes, CASE WHEN n_graphics = 1 THEN coalesce(len(c.sub_captions), 0) ELSE 0 END AS panels
            FROM images i JOIN figures f USING (chunk, figure_id) LEFT JOIN captions c USING (chunk, figure_id)
            WHERE shard IS NOT NULL QUALIFY row_number() OVER (PARTITION BY i.sha256 ORDER BY i.image_id) = 1
            ORDER BY i.image_id
        """)
            .to_arrow_table()
            .to_pylist()
        )
    spans = [Span(row["shard"], row["image_offset"], row["bytes"]) for row in rows]
    for place, data in read_images(workspace.files, spans):
        rows[place]["data"] = data
    return rows


def _of_rows(name: str, rows: list[dict[str, Any]], known: dict[str, Answers], taxonomy: Taxonomy) -> Pictures:
    vectors, pixels = _images([row["data"] for row in rows])
    return Pictures(
        name,
        taxonomy,
        [known[row["sha256"]] for row in rows],
        [row["article_id"] for row in rows],
        vectors,
        pixels,
        [row["caption"] for row in rows],
        _encoder("wordllama").encode_texts([row["caption"] or "" for row in rows]).astype(np.float16),
        np.array([row["panels"] for row in rows]),
        [row["kind"] for row in rows],
    )


def blood_cells(per_class: int) -> Pictures | None:
    """Cells of BCCD under a taxonomy of one axis; None where that is absent."""
    if not BCCD.is_dir():
        return None
    images, classes, smears = cells(per_class)
    names = ("platelet", "red_cell", "white_cell")
    labels = [{"id": name, "name": name, "definition": name} for name in names]
    axis = {"id": "cell", "name": "Cell", "question": "?", "definition": "-", "choices": "one", "labels": labels}
    taxonomy = Taxonomy.model_validate({"name": "cells", "version": "1", "axes": [axis]})
    vectors, pixels = _images(images)
    answers: list[Answers] = [{"cell": (names[one],)} for one in classes]
    return Pictures("cells", taxonomy, answers, [str(smear) for smear in smears], vectors, pixels)


# Ways of labelling -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guess:
    """What a way says of one picture on one axis: the labels it holds to be there, the likeliest one, how likely."""

    labels: frozenset[str]
    top: str | None
    probability: float
    sure: bool = True
    denied: frozenset[str] = frozenset()


Guesses = dict[str, dict[str, list[Guess | None]]]
"""By way and axis, one for each picture."""


def judge_all(pictures: Pictures, seed: int = 0) -> Guesses:
    """What each way says of each picture, when it was among those held out."""
    axes = [axis.id for axis in pictures.taxonomy.axes]
    found: Guesses = {}
    groups = sorted(set(pictures.articles))
    place = dict(zip(groups, np.random.default_rng(seed).permutation(len(groups)), strict=True))
    fold = np.array([place[article] % FOLDS for article in pictures.articles])
    for number in range(FOLDS):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        for way, said in _fold(pictures, train, test).items():
            for axis in axes:
                column = found.setdefault(way, {}).setdefault(axis, [None] * len(fold))
                for index, guess in zip(test, said[axis], strict=True):
                    column[index] = guess
    return found


def _fold(pictures: Pictures, train: np.ndarray, test: np.ndarray) -> dict[str, dict[str, list[Guess]]]:
    taxonomy = pictures.taxonomy
    axes = [axis.id for axis in taxonomy.axes]
    clusters = default_clusters(len(train))
    fit = fit_space(pictures.vectors[train], components=50, clusters=clusters, seed=20)
    own, new = fit.space.assign(pictures.vectors[train]), fit.space.assign(pictures.vectors[test])
    verdicts = _vote_on_concepts(pictures, train, own.concept, own.distance)
    near = own.distance, fit.distance_median
    said = {f"concept:s/{concept}": verdicts.get(f"concept:s/{concept}", {}) for concept in range(clusters)}
    of_concepts = [said[f"concept:s/{concept}"] for concept in own.concept]
    weights = {a: np.array([closeness(d, near[1]) * (o[a].probability if a in o else 0)
                            for d, o in zip(near[0], of_concepts, strict=True)]) for a in axes}  # fmt: skip
    labels = {a: [frozenset(o[a].labels) if a in o else None for o in of_concepts] for a in axes}
    every = {a: [frozenset(pictures.answers[i][a]) if a in pictures.answers[i] else None for i in train] for a in axes}
    ones = {a: np.ones(len(train)) for a in axes}
    voted = _fit(pictures, train, labels, weights)
    found: dict[int, set[str]] = {}
    for index, concept in zip(train, own.concept, strict=True):
        found.setdefault(int(concept), set()).add(pictures.articles[index])
    copied = [
        {a: v._replace(probability=v.probability * reliability(d, fit.distance_median, len(found[int(c)])))
         for a, v in said[f"concept:s/{c}"].items()}
        for c, d in zip(new.concept, new.distance, strict=True)
    ]  # fmt: skip
    ways = {
        "majority": _majority(pictures, train, test),
        "pixels": _apply(
            _fit(pictures, train, labels, weights, pixels=True), pictures.inputs(test, pixels=True), pictures
        ),
        "clusters": [{a: _copied(said[f"concept:s/{c}"].get(a)) for a in axes} for c in new.concept],
        "near clusters": [{a: _copied(one.get(a), DECIDES) for a in axes} for one in copied],
        "classifier": _apply(voted, pictures.inputs(test), pictures),
        "every picture": _apply(_fit(pictures, train, every, ones), pictures.inputs(test), pictures),
    }
    weak: list[list[Said]] = [[] for _ in test]
    if any(pictures.captions):
        labeller = WeakLabeller(load_rules(), taxonomy)
        weak = [
            labeller.label(pictures.captions[i], panels=int(pictures.panels[i]), kind=pictures.kinds[i]) for i in test
        ]
        ways["rules"] = [{a: _ruled(one, a, labeller) for a in axes} for one in weak]
    ways["chosen"] = [
        _chosen(pictures, guesses, verdict, one)
        for guesses, verdict, one in zip(ways["classifier"], copied, weak, strict=True)
    ]
    return {way: {axis: [one[axis] for one in rows] for axis in axes} for way, rows in ways.items()}


def _vote_on_concepts(pictures: Pictures, train: np.ndarray, concept: np.ndarray, distance: np.ndarray) -> Verdicts:
    """Three annotators look at nearest, farthest and random members; what they agree on, by target."""
    random = np.random.default_rng(5)
    votes = []
    for number in np.unique(concept):
        members = np.flatnonzero(concept == number)
        members = members[np.argsort(distance[members], kind="stable")]
        if len(members) > SHOWN:
            third = SHOWN // 3
            middle = random.choice(members[third:-third], min(third, len(members) - 2 * third), replace=False)
            members = np.r_[members[:third], members[-third:], middle]
        shown = [pictures.answers[train[m]] for m in members]
        whole = [one for one in shown if len(one) == len(pictures.taxonomy.axes)]  # what can be told on every axis
        if not whole:
            continue
        right, mixed = shared_labels(whole, pictures.taxonomy)
        for place, annotator in enumerate(ANNOTATORS):
            target = {"target_kind": "concept", "space": "s", "concept": int(number)}
            answers = annotator.answer(f"concept:s/{number}", right, pictures.taxonomy)
            said = (
                {"unsure": True} if annotator.is_unsure(f"concept:s/{number}") else {"answers": answers, "mixed": mixed}
            )
            stamp = f"20260101T00{number // 60 % 60:02d}{number % 60:02d}{place:06d}Z"
            votes.append(
                Vote(
                    annotator=annotator.name,
                    vote_id=f"{stamp}-{'0' * 16}",
                    created_at=f"2026-01-01T00:{number // 60 % 60:02d}:{number % 60:02d}.{place:06d}Z",
                    taxonomy=pictures.taxonomy.id,
                    **target,
                    **said,
                )
            )
    return verdicts_of(reach_consensus(votes, pictures.taxonomy)[0])


def _fit(
    pictures: Pictures,
    train: np.ndarray,
    labels: dict[str, list[frozenset[str] | None]],
    weights: dict[str, np.ndarray],
    *,
    pixels: bool = False,
) -> LabelModel:
    articles = [pictures.articles[index] for index in train]
    inputs = pictures.inputs(train, pixels=pixels)
    return fit_model(inputs, labels, weights, articles, pictures.taxonomy, image_encoder="", text_encoder="")


def _apply(model: LabelModel, inputs: Inputs, pictures: Pictures) -> list[dict[str, Guess]]:
    found: list[dict[str, Guess]] = [{} for _ in range(len(inputs))]
    probabilities = model.probabilities(inputs, pictures.taxonomy)
    for axis in pictures.taxonomy.axes:
        if axis.id not in model.axes:
            for one in found:
                one[axis.id] = Guess(frozenset(), None, 0.0)
            continue
        fitted, p = model.axes[axis.id], probabilities[axis.id]
        tops = likeliest(p, fitted.labels, pictures.taxonomy)
        sure = decided(p, fitted.thresholds, fitted.labels, axis, pictures.taxonomy)
        for row, (top, held) in enumerate(zip(tops, sure, strict=True)):
            there = {label for label, value in zip(fitted.labels, p[row], strict=True) if value >= 0.5}
            labels = frozenset(held or there if axis.several else held or [fitted.labels[top]])
            denied = frozenset(label for label, value in zip(fitted.labels, p[row], strict=True) if value < DENIED)
            found[row][axis.id] = Guess(labels, fitted.labels[top], float(p[row, top]), bool(held), denied)
    return found


def _majority(pictures: Pictures, train: np.ndarray, test: np.ndarray) -> list[dict[str, Guess]]:
    guess = {}
    for axis in pictures.taxonomy.axes:
        counts = Counter(pictures.answers[index][axis.id] for index in train if axis.id in pictures.answers[index])
        labels, count = counts.most_common(1)[0]
        guess[axis.id] = Guess(frozenset(labels), labels[0], count / counts.total())
    return [guess] * len(test)


def _copied(verdict: Verdict | None, least: float = 0.0) -> Guess:
    if verdict is None or verdict.probability < least:
        return Guess(frozenset(), None, 0.0, False)
    return Guess(frozenset(verdict.labels), verdict.labels[0], verdict.probability)


def _ruled(said: list[Said], axis: str, labeller: WeakLabeller) -> Guess:
    own = sorted((one for one in said if one.axis == axis), key=lambda one: (-one.probability, one.label))
    held = frozenset(one.label for one in own if one.probability >= labeller.rules.decides)
    return Guess(held, own[0].label, own[0].probability, bool(held)) if own else Guess(held, None, 0.0, False)


def _chosen(
    pictures: Pictures, guesses: dict[str, Guess], verdicts: dict[str, Verdict], weak: list[Said]
) -> dict[str, Guess]:
    found = {}
    for axis in pictures.taxonomy.axes:
        guess, verdict = guesses[axis.id], verdicts.get(axis.id)
        said = [Said(axis.id, label, guess.probability, CLASSIFIER) for label in guess.labels if guess.sure]
        if verdict is not None and verdict.probability >= DECIDES:
            said += [Said(axis.id, label, verdict.probability, CONCEPT) for label in verdict.labels]
        said += [one for one in weak if one.axis == axis.id and one.probability >= load_rules().decides]
        held = choose(said, axis, pictures.taxonomy, guess.denied)
        top = max(held.values(), key=lambda one: one.probability, default=None)
        labels = frozenset(held)
        found[axis.id] = Guess(labels, top.label if top else None, top.probability if top else 0.0, bool(held))
    return found


# Scores ------------------------------------------------------------------------------------------------------------

_WAYS = ("majority", "pixels", "rules", "clusters", "near clusters", "classifier", "every picture", "chosen")
_SCORES = ("accuracy", "exact", "macro_f1", "ece", "answered", "right_of_answered")


def scores(pictures: Pictures, axis: str, guesses: Sequence[Guess | None]) -> dict[str, float]:
    """Of one way on one axis; see `quality` for what they are."""
    taxonomy = pictures.taxonomy
    rows = [(g, set(pictures.answers[i][axis])) for i, g in enumerate(guesses) if g and axis in pictures.answers[i]]
    there = [taxonomy.expand(truth) for _, truth in rows]
    right = np.array([g.top in held for (g, _), held in zip(rows, there, strict=True)])
    exact = [set(taxonomy.most_specific(g.labels)) == set(taxonomy.most_specific(truth)) for g, truth in rows]
    answered = [(set(g.labels) <= held) for (g, _), held in zip(rows, there, strict=True) if g.sure and g.labels]
    f1 = []
    for label in sorted({label for held in there for label in held}):
        has = np.array([label in held for held in there])
        said = np.array([label in taxonomy.expand(g.labels) for g, _ in rows])
        if has.sum() >= 5:
            f1.append(2 * (has & said).sum() / (has.sum() + said.sum()))
    with_top = np.array([g.top is not None for g, _ in rows])
    p = np.array([g.probability for g, _ in rows])
    return {
        "accuracy": float(right.mean()),
        "exact": float(np.mean(exact)),
        "macro_f1": float(np.mean(f1)),
        "ece": calibration(p[with_top], right[with_top])[0] if with_top.any() else float("nan"),
        "answered": len(answered) / len(rows),
        "right_of_answered": float(np.mean(answered)) if answered else float("nan"),
        "pictures": len(rows),
    }


def judge(name: str, *sizes: str) -> Any:
    """Step: scores of every way and axis on one set of pictures; null where the set is absent."""
    makers: dict[str, Callable[..., Pictures | None]] = {
        "drawn": drawn,
        "sample": sample,
        "real": real,
        "cells": blood_cells,
    }
    pictures = makers[name](*map(int, sizes))
    if pictures is None:
        return None
    found = judge_all(pictures)
    return {
        axis.id: {way: scores(pictures, axis.id, found[way][axis.id]) for way in _WAYS if way in found}
        for axis in pictures.taxonomy.axes
    }


def transfer(single: str, several: str) -> Any:
    """Step: the classifier that is fitted on every drawn picture, on the real figures; null where these are absent."""
    test = real()
    if test is None:
        return None
    train = drawn(int(single), int(several))
    train = replace(train, texts=np.zeros((len(train.answers), test.texts.shape[1])))
    rows = np.arange(len(train.answers))
    axes = [axis.id for axis in train.taxonomy.axes]
    labels: dict[str, list[frozenset[str] | None]] = {a: [frozenset(one[a]) for one in train.answers] for a in axes}
    model = _fit(train, rows, labels, {a: np.ones(len(rows)) for a in axes})
    bare = replace(test, texts=np.zeros_like(test.texts), panels=np.zeros_like(test.panels))
    guesses = _apply(model, bare.inputs(np.arange(len(test.answers))), test)
    return {axis: scores(test, axis, [one[axis] for one in guesses]) for axis in axes}


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def quality(quick: bool) -> Iterator[Table]:
    """One table for each set of pictures that is there.

    accuracy: the likeliest label is true (a coarse one counts); exact: all labels are the lowest true ones, no more and
    no less; macro-F1 over labels, those above included, of at least 5 pictures; ece: expected calibration error of the
    likeliest label; answered: some label is held to be there; right: of those, nothing that is not true.
    """
    size = QUICK_DRAWN if quick else DRAWN
    sets = {"drawn": size, "sample": (), "real": (), "cells": (QUICK_CELLS if quick else CELLS,)}
    header = ("axis", "way", "accuracy", "exact", "macro-F1", "ECE", "answered", "right of these")
    for name, sizes in sets.items():
        answer = run("benchmarks.labels_quality", "--step", "judge", name, *sizes).answer
        if answer is None:
            continue
        pictures = max(one["pictures"] for ways in answer.values() for one in ways.values())
        table = Table(f"Labels of pictures: {name}, {pictures:,} pictures", header)
        for axis, ways in answer.items():
            for way, found in ways.items():
                table.rows.append((axis, way, *(_cell(found[score]) for score in _SCORES)))
        yield table
    answer = run("benchmarks.labels_quality", "--step", "transfer", *size).answer
    if answer is not None:
        table = Table("Labels of real figures by the classifier of drawn pictures alone", header)
        for axis, found in answer.items():
            table.rows.append((axis, "classifier", *(_cell(found[score]) for score in _SCORES)))
        yield table


if __name__ == "__main__":
    main(quality, {"judge": judge, "transfer": transfer}, __doc__)
