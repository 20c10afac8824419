"""Names found in texts, ids, what is left out when the file is made."""

import numpy as np
import pytest

from biomedica_assets.entities.batch import Reader
from biomedica_assets.entities.vocabulary import Vocabulary, VocabularyError
from biomedica_assets.entities.vocabulary_build import is_symbol, keys, packed, spellings, write
from biomedica_assets.entities.vocabulary_sources import mesh_type
from biomedica_assets_tests.entities.small import vocabulary


@pytest.fixture(scope="module")
def small():
    return vocabulary()


def found(vocabulary, text):
    batch, _ = Reader(vocabulary).read([text])
    return {
        kind: [text[batch.starts[first] : batch.ends[behind - 1]] for first, behind, _ in names]
        for kind, names in batch.names.items()
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Breast cancers in mice", {"disease": ["Breast cancers"], "species": ["mice"]}),
        ("TNF-α, TNFalpha and TNFA", {"gene": ["TNF-α", "TNFalpha", "TNFA"]}),
        ("tnf is not a symbol", {}),
        ("Tp53 and TP53 and Trp53", {"gene": ["Tp53", "TP53", "Trp53"]}),
        ("It Was so; WAS is", {"gene": ["WAS"]}),
        ("E. coli and Escherichia coli", {"species": ["E. coli", "Escherichia coli"]}),
        ("CD4+ T cells of HeLa cells", {"cell_type": ["CD4+ T cells"], "cell_line": ["HeLa cells"]}),
        ("SARS-CoV-2", {"species": ["SARS-CoV-2"]}),
        ("breast; cancer", {}),
        ("", {}),
    ],
)
def test_names_in_texts(small, text, expected):
    assert found(small, text) == expected


def test_ids_and_preferred_names(small):
    def meaning(name):
        [concept, *_] = small.named(name)
        return small.ids(concept), small.name(concept), small.type_of(concept)

    assert meaning("breast cancer") == (["MESH:D001943", "MONDO:0007254"], "Breast Neoplasms", "disease")
    assert meaning("SARS-CoV-2") == (["MESH:D000086402"], "SARS-CoV-2", "species")
    assert meaning("HeLa") == (["CVCL:0030"], "HeLa", "cell_line")
    assert meaning("AKT family") == (["FPLX:AKT"], "AKT", "gene")
    assert meaning("Cowchock syndrome")[0] == ["DOID:0110212"]
    assert meaning("hepatocellular carcinoma")[1] == "Carcinoma, Hepatocellular"
    assert small.named("nothing of the kind") == []


def test_how_names_are_written():
    assert list(spellings("Neoplasms, Breast", "disease")) == ["Breast Neoplasms"]
    assert list(spellings("Hydrogen Peroxide (H2O2)", "chemical")) == ["H2O2", "Hydrogen Peroxide"]
    assert list(spellings("Escherichia coli", "species", shortened=True)) == ["Escherichia coli", "E. coli"]
    assert list(spellings("obsolete thing", "disease")) == []


def test_names_whose_case_counts():
    assert [
        n for n in ("TP53", "p53", "HeLa", "Lung", "caspase-3", "lung", "COPD", "breast cancer") if is_symbol(n)
    ] == [
        "TP53",
        "p53",
        "HeLa",
        "COPD",
    ]


def test_keys():
    assert list(keys("IL6", "gene", frozenset())) == [("IL6", False), ("Il6", False)]
    assert list(keys("CAT", "gene", frozenset({"cat"}))) == [("CAT", False)]
    assert list(keys("Zn", "chemical", frozenset())) == [("Zn", False)]
    assert list(keys("AB", "disease", frozenset())) == []
    assert list(keys("T cell", "cell_type", frozenset())) == [("tcell", True)]
    assert list(keys("123", "cell_line", frozenset())) == []


def test_ids_are_packed():
    assert packed("MESH:C000657245") == (3, 657245)
    assert packed("DOID:1612") == (7, 1612)
    assert packed("DOID:0110212") == (8, 110212)
    assert packed("CL:0000084") == (10, 84)


def test_types_of_mesh_trees():
    assert mesh_type(["A11.251.210.190.400", "A11.436.340"]) == "cell_line"
    assert mesh_type(["A11.284.430"]) is None
    assert mesh_type(["F03.600.150"]) == "disease"
    assert mesh_type(["D02.455", "D12.776.1"]) == "gene"


def test_the_file_gives_the_same_vocabulary_and_the_same_bytes(tmp_path, small):
    from biomedica_assets.entities.vocabulary_build import arrays_of
    from biomedica_assets_tests.entities.small import CONCEPTS

    arrays, _ = arrays_of(CONCEPTS, frozenset({"was"}))
    for name in ("a.npz", "b.npz"):
        write(arrays, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded = Vocabulary.load(tmp_path / "a.npz")
    assert len(loaded) == len(small) and loaded.concepts == small.concepts
    assert np.array_equal(loaded.type_masks, small.type_masks)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(VocabularyError, match="missing"):
        Vocabulary.load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(VocabularyError, match="not a vocabulary"):
        Vocabulary.load(tmp_path / "bad.npz")
