"""Simulated annotators: votes on the embedded sample, cast from what its generator knows it drew.

They make the demo and the tests whole without people. Each errs in a known way, and every vote is marked `simulated`:
such votes count only while the store's source is the sample. What does not belong here: the drawings (`sample`).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from biomedica_assets.labels.sheets import SheetsRecord, read_member_table
from biomedica_assets.labels.taxonomy import Taxonomy
from biomedica_assets.labels.vote_log import VoteLog
from biomedica_assets.labels.votes import NewVote, cast_vote
from biomedica_assets.sample import RELEASES, truth
from biomedica_assets.store.files import Files

Answers = dict[str, tuple[str, ...]]

_NONE = "no_technique", "no_specimen"
KINDS: dict[str, tuple[str, str, str]] = {
    **{kind: (kind, *_NONE) for kind in ("line_plot", "bar_plot", "scatter_plot", "box_plot", "violin_plot")},
    **{kind: (kind, *_NONE) for kind in ("histogram", "roc_curve", "forest_plot", "heat_map", "pie_chart")},
    **{kind: (kind, *_NONE) for kind in ("flowchart", "timeline")},
    "survival_plot": ("survival_curve", *_NONE),
    "volcano_plot": ("scatter_plot", *_NONE),
    "cluster_plot": ("embedding_plot", *_NONE),
    "flow_cytometry": ("density_plot", "flow_cytometry", "cells"),
    "spectrum": ("signal_plot", *_NONE),
    "signal_trace": ("signal_plot", "electrocardiography", "no_specimen"),
    "dose_response": ("line_plot", *_NONE),
    "pathway": ("signaling_pathway", "no_technique", "cells"),
    "network": ("network_graph", *_NONE),
    "tree": ("phylogenetic_tree", *_NONE),
    "gene_map": ("sequence_plot", "no_technique", "molecule"),
    "alignment": ("sequence_plot", "no_technique", "molecule"),
    "chemical_structure": ("chemical_formula", "no_technique", "molecule"),
    "protein": ("protein_structure", "no_technique", "molecule"),
    "anatomy": ("anatomical_drawing", "no_technique", "body"),
    "region_map": ("map", *_NONE),
    "table_image": ("table", *_NONE),
    "ct": ("clinical_image", "computed_tomography", "chest"),
    "mri": ("clinical_image", "magnetic_resonance", "brain"),
    "xray": ("clinical_image", "radiography", "chest"),
    "bone_xray": ("clinical_image", "radiography", "musculoskeletal"),
    "ultrasound": ("clinical_image", "ultrasound", "urogenital"),
    "angiogram": ("clinical_image", "angiography", "heart_vessels"),
    "pet": ("clinical_image", "nuclear_imaging", "body"),
    "oct": ("clinical_image", "optical_coherence_tomography", "eye"),
    "fundus": ("clinical_image", "fundus_photography", "eye"),
    "skin_lesion": ("clinical_image", "dermoscopy", "skin"),
    "endoscopy": ("clinical_image", "endoscopy", "digestive"),
    "surgery": ("intraoperative_photograph", "photography", "digestive"),
    "specimen": ("specimen_photograph", "photography", "tissue"),
    "fluorescence": ("micrograph", "fluorescence_microscopy", "cells"),
    "phase_contrast": ("micrograph", "phase_contrast", "cells"),
    "electron": ("micrograph", "electron_microscopy", "cells"),
    "blood_smear": ("micrograph", "light_microscopy", "blood_cells"),
    "confocal_stack": ("micrograph", "confocal_microscopy", "cells"),
    "histology": ("micrograph", "light_microscopy", "tissue"),
    "immunohistochemistry": ("micrograph", "immunohistochemistry", "tissue"),
    "western_blot": ("assay_image", "immunoblot", "molecule"),
    "agarose_gel": ("assay_image", "gel_electrophoresis", "molecule"),
    "culture_plate": ("laboratory_photograph", "photography", "microbial_culture"),
    "landscape": ("nature_photograph", "photography", "environment"),
    "street": ("photograph", "photography", "environment"),
    "leaf": ("nature_photograph", "photography", "plant"),
    "device": ("laboratory_equipment", "photography", "object"),
}
"""Labels (figure_kind, modality, specimen) of the shipped taxonomy by kind of drawing."""

_RECORDED = ("clinical_image", "micrograph", "laboratory_photograph", "photograph", "equipment")


def labels_of(picture: Mapping[str, Any], taxonomy: Taxonomy) -> Answers:
    """The true labels of a picture on the four axes, from a row of `sample.truth`. Insets count, but are no panels."""
    panels = picture["panels"]
    labels = [KINDS[panel["kind"]] for panel in panels]
    answers = {
        axis: tuple(taxonomy.most_specific({line[place] for line in labels}))
        for place, axis in enumerate(("figure_kind", "modality", "specimen"))
    }
    for axis, none in (("modality", "no_technique"), ("specimen", "no_specimen")):
        if len(answers[axis]) > 1:  # what one panel lacks is no statement of the whole
            answers[axis] = tuple(label for label in answers[axis] if label != none)
    apart = [KINDS[panel["kind"]][0] for panel in panels if not panel["inset"]]
    return {**answers, "panel_type": (_panel_type(apart, taxonomy),)}


def _panel_type(kinds: Sequence[str], taxonomy: Taxonomy) -> str:
    if len(kinds) == 1:
        return "single"
    recorded = [bool(taxonomy.expand([kind]) & set(_RECORDED)) for kind in kinds]
    if any(recorded) and "assay_image" in kinds:
        return "multiple_images_assays"
    if all(recorded):
        return "multiple_images"
    if any(recorded):
        return "multiple_images_plots"
    return "multiple" if "assay_image" in kinds else "multiple_plots"


@lru_cache(maxsize=1)
def sample_truth() -> dict[str, dict[str, Any]]:
    """Rows of `sample.truth` of every state of the sample, by SHA-256 of the image file."""
    return {row["sha256"]: row for number in RELEASES for row in truth(number)}


def shared_labels(members: Sequence[Answers], taxonomy: Taxonomy) -> tuple[Answers, bool]:
    """What more than half of a concept's members have, axis by axis, lowest labels; and whether it is mixed.

    Mixed: on some axis no label is that common. Such axes are left open.
    """
    answers: Answers = {}
    for axis in taxonomy.axes:
        counts = Counter(label for member in members for label in taxonomy.expand(member[axis.id]))
        common = taxonomy.most_specific([label for label, count in counts.items() if 2 * count > len(members)])
        if common:
            answers[axis.id] = tuple(common)
    return answers, len(answers) < len(taxonomy.axes)


@dataclass(frozen=True)
class SimulatedAnnotator:
    """One who takes each label for one beside it with probability ``error``, and is ``unsure`` that often.

    Beside a label are the others of its axis with the same parent, all alike probable: see `beside`. The same question
    always gets the same answer.
    """

    name: str
    error: float
    unsure: float = 0.0

    def is_unsure(self, question: str) -> bool:
        """Whether the annotator passes this question."""
        return self._draw(question, "unsure") < self.unsure

    def answer(self, question: str, right: Answers, taxonomy: Taxonomy) -> Answers:
        """What the annotator takes the right answers for."""
        return {
            axis: tuple(taxonomy.most_specific({self._seen(question, label, taxonomy) for label in labels}))
            for axis, labels in right.items()
        }

    def _seen(self, question: str, label: str, taxonomy: Taxonomy) -> str:
        others = beside(label, taxonomy)
        drawn = self._draw(question, label)
        if drawn >= self.error or not others:
            return label
        return others[int(drawn / self.error * len(others))]

    def _draw(self, *words: str) -> float:
        """In [0, 1), uniform over questions."""
        digest = hashlib.sha256("\n".join((self.name, *words)).encode()).digest()
        return int.from_bytes(digest[:6], "big") / (1 << 48)


def beside(label: str, taxonomy: Taxonomy) -> tuple[str, ...]:
    """The labels that one may be taken for: the others of its axis with the same parent."""
    parent = taxonomy.labels[label].parent
    return tuple(one.id for one in taxonomy.axis_of(label).labels if one.parent == parent and one.id != label)


ANNOTATORS = (
    SimulatedAnnotator("sim-ada", error=0.03),
    SimulatedAnnotator("sim-ben", error=0.08, unsure=0.02),
    SimulatedAnnotator("sim-cho", error=0.15, unsure=0.05),
)
"""Those of the demo: a careful, a usual and a hasty one."""


class Question(NamedTuple):
    """What is asked: the target as fields of `NewVote`, the right answers, whether it is mixed, images looked at."""

    target: dict[str, Any]
    right: Answers
    mixed: bool
    shown: tuple[str, ...]


def concept_questions(files: Files, sheets: SheetsRecord, taxonomy: Taxonomy) -> list[Question]:
    """One for each concept that has members of the sample, in order."""
    known = sample_truth()
    members: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in read_member_table(files, sheets).to_pylist():
        if row["sha256"] in known:
            members[row["concept"]].append(row)
    return [
        Question(
            {"target_kind": "concept", "space": sheets.space, "concept": concept},
            *shared_labels([labels_of(known[row["sha256"]], taxonomy) for row in rows], taxonomy),
            tuple(row["image_id"] for row in rows),
        )
        for concept, rows in sorted(members.items())
    ]


def image_questions(files: Files, sheets: SheetsRecord, taxonomy: Taxonomy, most: int) -> list[Question]:
    """One for each of some images of the sheets, those with the smallest hashes."""
    known = sample_truth()
    shown = {row["sha256"]: row["image_id"] for row in read_member_table(files, sheets).to_pylist()}
    return [
        Question(
            {"target_kind": "image", "image_id": shown[sha256], "sha256": sha256},
            labels_of(known[sha256], taxonomy),
            False,
            (shown[sha256],),
        )
        for sha256 in sorted(known.keys() & shown.keys())[:most]
    ]


def cast_simulated(
    files: Files,
    taxonomy: Taxonomy,
    sheets: SheetsRecord,
    *,
    annotators: Iterable[SimulatedAnnotator] = ANNOTATORS,
    images: int = 24,
) -> int:
    """Let simulated annotators vote on every concept of the sheets and on some images; how many votes that were.

    What an annotator has voted on already is not voted on again. The caller makes sure that the source is the sample.

    Args:
        files: the store.
        taxonomy: has the labels of `KINDS`; with others, raises `VoteError`.
        sheets: the members that annotators look at.
        annotators: who votes.
        images: so many images are voted on too, chosen by their hash.
    """
    log = VoteLog(files)
    log.refresh()
    done = {(vote.annotator, vote.target) for vote in log.current()}
    questions = [*concept_questions(files, sheets, taxonomy), *image_questions(files, sheets, taxonomy, images)]
    cast = 0
    for annotator in annotators:
        for target, right, mixed, shown in questions:
            bare = NewVote(annotator=annotator.name, source="simulated", shown=shown, **target)
            if (annotator.name, bare.target) in done:
                continue
            if annotator.is_unsure(bare.target):
                said: dict[str, Any] = {"unsure": True}
            else:
                said = {"answers": annotator.answer(bare.target, right, taxonomy), "mixed": mixed}
            cast_vote(files, bare.model_copy(update=said), taxonomy)
            cast += 1
    return cast
