"""IOB files of several kinds, and what the tagger is taught of them."""

import tarfile

import numpy as np
import pytest

from biomedica_assets.entities.batch import Reader
from biomedica_assets.entities.corpora import CORPORA, Sentence, Span, read_corpus, read_iob
from biomedica_assets.entities.train import exported, items, labelled, sources_of, with_tissues
from biomedica_assets_tests.entities.small import vocabulary

LINES = """-DOCSTART- O

TNF\tB-GENE
-\tI-GENE
alpha\tI-GENE
(\tO
IL6\tB-GENE
)\tO
.\tO

IL6 NN B-GENE
TNF NN B-GENE
"""


def test_texts_and_spans():
    first, second = read_iob(iter(LINES.splitlines()), {"GENE": "gene"})
    assert first == Sentence("TNF-alpha (IL6).", (Span(0, 9, "gene"), Span(11, 14, "gene")))
    assert second == Sentence("IL6 TNF", (Span(0, 3, "gene"), Span(4, 7, "gene")))


@pytest.mark.parametrize(
    ("labels", "spans"),
    [
        (("I-A", "I-A", "O"), [(0, 3)]),  # IOB1
        (("I-A", "B-A", "O"), [(0, 1), (2, 3)]),
        (("B-A", "E-A", "S-A"), [(0, 3), (4, 5)]),  # IOBES
        (("B-A", "I-B", "O"), [(0, 1), (2, 3)]),
        (("B", "I", "O"), [(0, 3)]),
    ],
)
def test_schemes_of_labels(labels, spans):
    [sentence] = read_iob(f"{w} {label}" for w, label in zip("abc", labels, strict=True))
    assert [(s.start, s.end) for s in sentence.spans] == spans


def test_labels_that_are_not_ours_are_dropped():
    [sentence] = read_iob(iter(["a B-X", "b B-Y"]), {"Y": "gene"})
    assert sentence.spans == (Span(2, 3, "gene"),)


def test_folders_archives_and_splits(tmp_path):
    folder = tmp_path / "x-IOB"
    folder.mkdir()
    (folder / "train.tsv").write_text("a\tB-X\n")
    (folder / "dev.tsv").write_text("b\tO\n")
    (folder / "README").write_text("no corpus")
    with tarfile.open(tmp_path / "x.tar.xz", "w:xz") as archive:
        archive.add(folder, "x-IOB")
    for place in (folder, tmp_path / "x.tar.xz"):
        assert [s.text for s in read_corpus(place, "train")] == ["a"]
        assert [s.text for s in read_corpus(place, "devel")] == ["b"]
        assert sorted(s.text for s in read_corpus(place, "")) == ["a", "b"]
        with pytest.raises(FileNotFoundError):
            list(read_corpus(place, "test"))


def test_a_corpus_teaches_only_what_it_annotates():
    assert [c.name for c in sources_of("gene")] == ["BC2GM", "BioNLP13CG"]
    assert [c.name for c in sources_of("tissue")] == ["AnatEM", "BioNLP13CG"]
    assert {kind for c in CORPORA for kind in c.types} >= {"disease", "chemical", "gene", "species", "cell"}


def test_which_spans_of_anatomy_are_tissues():
    text = "lung tumors and B cells of the kidneys near MCF7 nuclei"
    spans = tuple(
        Span(text.index(part), text.index(part) + len(part), "anatomy")
        for part in ("lung tumors", "B cells", "kidneys", "MCF7", "nuclei")
    )
    kept = with_tissues(Sentence(text, spans), {"kidney": "tissue", "tumor": "other"}).spans
    assert [text[s.start : s.end] for s in kept] == ["kidneys"]


def test_attributes_and_labels_of_a_sentence():
    [(seen, labels)] = labelled(
        [Sentence("Breast cancer hurts", (Span(0, 13, "disease"),))], "disease", Reader(vocabulary())
    )
    assert labels == ["B", "I", "O"]
    assert {"0:w=breast", "1:w=cancer", "2:w=hurts", "0:<begin>", "0#0:1", "1#0:3"} <= set(seen[0])
    assert "-1#0:3" in seen[2] and "-1:p2=ca" not in seen[2]
    assert items([], np.zeros((0, 7), np.uint8)) == []


def test_weights_are_exported_in_32nds():
    states = {("0:w=a", "B"): 1.0, ("-1:w=a", "O"): -0.5, ("0#2:4", "B"): 2.0, ("0:w=b", "I"): 0.001}
    arrays = exported({"gene": (states, {("B", "I"): 1.5})})
    assert arrays["attributes"].tobytes() == b"w=a"
    assert (arrays["columns"].tolist(), arrays["weights"].tolist()) == ([3 * 1 + 2, 3 * 2], [-16, 32])
    assert arrays["names"][1, 2, 4].tolist() == [64, 0, 0]
    assert arrays["transitions"][0].tolist() == [[0, 48, 0], [0, 0, 0], [0, -3200, 0]]
