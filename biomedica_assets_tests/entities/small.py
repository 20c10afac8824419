"""A vocabulary of a dozen concepts and taggers with weights written down by hand."""

from collections import Counter

import numpy as np

from biomedica_assets.entities.batch import CODES
from biomedica_assets.entities.features import NAME_OFFSETS, OFFSETS
from biomedica_assets.entities.tagger import LABELS, SCALE, Tagger
from biomedica_assets.entities.vocabulary import TYPES, Vocabulary
from biomedica_assets.entities.vocabulary_build import arrays_of
from biomedica_assets.entities.vocabulary_sources import Concept

CONCEPTS = (
    Concept("HGNC:11892", "gene", "TNF", ("tumor necrosis factor", "TNFA", "TNF-alpha")),
    Concept("HGNC:11998", "gene", "TP53", ("tumor protein p53", "p53", "Trp53"), ("MGI:98834",)),
    Concept("HGNC:1", "gene", "WAS", ()),
    Concept("MESH:D001943", "disease", "Breast Neoplasms", ("Breast Cancer", "Cancer, Breast")),
    Concept("MONDO:0007254", "disease", "breast cancer", (), ("MESH:D001943",)),
    Concept("MESH:D006528", "disease", "Carcinoma, Hepatocellular", ("Hepatocellular Carcinoma",)),
    Concept("MESH:D005472", "chemical", "Fluorouracil", ("5-Fluorouracil", "5-FU")),
    Concept("MESH:D000086402", "species", "SARS-CoV-2", ()),
    Concept("NCBITaxon:562", "species", "Escherichia coli", ("E. coli",)),
    Concept("NCBITaxon:10090", "species", "Mus musculus", ("mouse", "mice")),
    Concept("CVCL:0030", "cell_line", "HeLa", ("HeLa cells",)),
    Concept("CL:0000084", "cell_type", "T cell", ("CD4+ T cell",)),
    Concept("UBERON:0002048", "tissue", "lung", ()),
    Concept("FPLX:AKT", "gene", "AKT", ("AKT family",)),
    Concept("DOID:0110212", "disease", "Cowchock syndrome", ()),
)


def vocabulary(common: frozenset[str] = frozenset({"was"})) -> Vocabulary:
    arrays, counts = arrays_of(CONCEPTS, common)
    assert isinstance(counts, Counter)
    return Vocabulary(arrays, "f" * 64)


def tagger(
    weights: dict[str, dict[tuple[str, int, int], float]],
    models: tuple[str, ...] = ("disease",),
    names=None,
    transitions=None,
) -> Tagger:
    """A tagger whose attributes weigh ``{attribute: {(model, offset, label): weight}}``."""
    width = len(models) * LABELS
    order = sorted(weights)
    cells = [
        sorted(
            (OFFSETS.index(o) * width + models.index(m) * LABELS + label, round(w * SCALE))
            for (m, o, label), w in weights[a].items()
        )
        for a in order
    ]
    moves = np.zeros((len(models), LABELS, LABELS), np.int32) if transitions is None else np.array(transitions)
    return Tagger(
        {
            "models": np.frombuffer(" ".join(models).encode(), np.uint8),
            "attributes": np.frombuffer("\n".join(order).encode(), np.uint8),
            "counts": np.array([len(c) for c in cells], np.uint8),
            "columns": np.array([c for one in cells for c, _ in one], np.uint8),
            "weights": np.array([w for one in cells for _, w in one], np.int16),
            "names": np.zeros((len(NAME_OFFSETS), len(TYPES), CODES, width), np.int16) if names is None else names,
            "transitions": moves,
        },
        "e" * 64,
    )
