"""What vocabulary and tagger say together: spans, types, ids, short forms."""

import json
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.cli import main
from biomedica_assets.entities.annotators import Annotator, AnnotatorError, Entity, check_annotator, load_annotator
from biomedica_assets.entities.offline import OfflineAnnotator, _Found, _repeated, _resolved
from biomedica_assets.entities.tagger import B, I, O
from biomedica_assets_tests.entities.small import tagger, vocabulary

MODELS = ("disease", "chemical", "gene", "species", "cell", "tissue")
NEVER = [[0, 0, 0], [0, 0, 0], [0, -3200, 0]]


def offline(weights):
    """Each model says O with weight 4, unless ``weights`` says more."""
    every = {"<begin>": {}, "<end>": {}}
    for word, model, label in weights:
        every.setdefault(f"w={word}", {})[model, 0, label] = 12.0
    shapes = {
        shape: {(m, 0, O): 6.0 for m in MODELS}
        for shape in ("x=a", "x=Aa", "x=A", "x=A-", "x=(", "x=)", "x=.", "x=,", "x=A0")
    }
    return OfflineAnnotator(vocabulary(), tagger(every | shapes, MODELS, transitions=[NEVER] * len(MODELS)))


@pytest.fixture(scope="module")
def names_only():
    return OfflineAnnotator(vocabulary(), None)


def test_vocabulary_alone(names_only):
    [disease, species] = names_only.annotate("Breast cancer in mice")
    assert disease == Entity(
        0, 13, "Breast cancer", "disease", ("MESH:D001943", "MONDO:0007254"), "Breast Neoplasms", "dictionary", 0.5
    )
    assert (species.start, species.end, species.ids) == (17, 21, ("NCBITaxon:10090",))
    assert isinstance(names_only, Annotator)


def test_the_taggers_spans_and_the_vocabularys_ids():
    one = offline([("hepatocellular", "disease", B), ("carcinoma", "disease", I), ("nephrosis", "disease", B)])
    known, unknown = one.annotate("Hepatocellular carcinoma and nephrosis")
    assert (known.text, known.ids, known.source) == ("Hepatocellular carcinoma", ("MESH:D006528",), "both")
    assert (unknown.text, unknown.ids, unknown.name, unknown.source) == ("nephrosis", (), None, "model")
    assert known.probability > 0.9 and unknown.probability > 0.9


def test_names_that_the_tagger_thinks_impossible_are_left():
    assert offline([]).annotate("Breast cancer") == []


def test_cells_are_lines_or_types():
    one = offline(
        [
            ("hela", "cell", B),
            ("cells", "cell", I),
            ("t", "cell", B),
            ("mda", "cell", B),
            ("-", "cell", I),
            ("231", "cell", I),
        ]
    )
    line, kind = one.annotate("HeLa cells, T cells")
    assert (line.text, line.type, line.ids) == ("HeLa", "cell_line", ("CVCL:0030",))
    assert (kind.text, kind.type, kind.ids) == ("T cells", "cell_type", ("CL:0000084",))
    [unknown] = one.annotate("MDA-231")
    assert (unknown.text, unknown.type, unknown.ids) == ("MDA-231", "cell_line", ())


def test_a_known_line_before_the_word_cells_needs_no_tagger():
    one = offline([("cells", "cell", B)])
    assert [(e.text, e.type, e.source) for e in one.annotate("HeLa cells. Cells")] == [
        ("HeLa", "cell_line", "dictionary"),
        ("Cells", "cell_type", "model"),
    ]


def test_what_is_sure_once_is_found_elsewhere():
    text = "Trp53, xTrp53, Trp53; lung lung"
    sure = Entity(0, 5, "Trp53", "gene", ("HGNC:11998",), "TP53", "both", 0.9)
    lung = Entity(22, 26, "lung", "tissue", (), None, "both", 0.9)  # a short everyday word is not
    assert _repeated(text, [sure, lung]) == [sure, replace(sure, start=15, end=20, probability=0.81), lung]
    assert _repeated(text, [replace(sure, probability=0.5)]) == [replace(sure, probability=0.5)]


def test_forgetting_words_changes_nothing(monkeypatch):
    texts = ["Breast cancer in mice", "lung of mice", "Trp53 in HeLa cells"]
    weights = [("breast", "disease", B), ("cancer", "disease", I), ("lung", "tissue", B)]
    remembered = [offline(weights).annotate(text) for text in texts]
    monkeypatch.setattr("biomedica_assets.entities.batch._MOST_WORDS", 2)
    one = offline(weights)
    assert [one.annotate(text) for text in texts] == remembered


def test_long_texts_take_linear_time():
    one = offline([("breast", "disease", B), ("cancer", "disease", I)])
    assert len(one.annotate("Breast cancer (BC). " * 2000)) == 4000


def test_the_command(tmp_path):
    (tmp_path / "texts.txt").write_text("TP53 in mice\n\n")
    result = CliRunner().invoke(main, ["entities", str(tmp_path / "texts.txt")])
    first, second = map(json.loads, result.output.splitlines())
    assert (first["text"], [e["text"] for e in first["entities"]]) == ("TP53 in mice", ["TP53", "mice"])
    assert second == {"text": "", "entities": []}
    (tmp_path / "odd.txt").write_bytes(b"TP53\xff in mice\n\nmice\0TP53\n")
    result = CliRunner().invoke(main, ["entities", str(tmp_path / "odd.txt")])
    odd, _, last = map(json.loads, result.output.splitlines())
    assert (odd["text"], [e["text"] for e in odd["entities"]]) == ("TP53\ufffd in mice", ["TP53", "mice"])
    assert all(line["text"][e["start"] : e["end"]] == e["text"] for line in (odd, last) for e in line["entities"])
    failed = CliRunner().invoke(main, ["entities", "--annotator", "none", str(tmp_path / "texts.txt")])
    assert failed.exit_code == 1 and "known: offline" in failed.output


def test_short_forms_mean_what_the_text_says():
    one = offline([("hepatocellular", "disease", B), ("carcinoma", "disease", I), ("hcc", "gene", B)])
    found = one.annotate("Hepatocellular carcinoma (HCC). HCC grows.")
    assert [(e.text, e.type, e.ids) for e in found] == [
        ("Hepatocellular carcinoma", "disease", ("MESH:D006528",)),
        ("HCC", "disease", ("MESH:D006528",)),
        ("HCC", "disease", ("MESH:D006528",)),
    ]


def test_spans_of_a_long_text_are_weighed_in_linear_time():
    spans = [_Found(n, n + 2, "gene", "model", 0.5) for n in range(40_000)]
    began = time.process_time()
    kept = _resolved(spans)
    assert [(one.first, one.behind) for one in kept] == [(n, n + 2) for n in range(0, 40_000, 2)]
    assert time.process_time() - began < 10, "0.1 s; a minute when each is compared with each"


def test_of_overlapping_spans_one_is_kept():
    one = offline([("lung", "tissue", B), ("lung", "disease", B), ("cancer", "disease", I)])
    assert [(e.text, e.type) for e in one.annotate("lung cancer")] == [("lung cancer", "disease")]


def test_ids_of_modified_names(names_only):
    assert names_only.link("metastatic breast cancer", "disease")[0] == ("MESH:D001943", "MONDO:0007254")
    assert names_only.link("TNF gene", "gene")[0] == ("HGNC:11892",)
    assert names_only.link("breast cancer", "gene") == ((), None)


@given(
    st.lists(
        st.one_of(
            st.text(),
            st.sampled_from(["Breast cancer (BC) of HeLa cells", "TNF-α in E. coli", "T cells\x00 lung\ud800"]),
        ),
        max_size=4,
    )
)
def test_any_texts(texts):
    one = offline([("lung", "tissue", B), ("cells", "cell", I), ("breast", "disease", B), ("cancer", "disease", I)])
    together = one.annotate_many(texts)
    assert together == [one.annotate(text) for text in texts]
    for text, entities in zip(texts, together, strict=True):
        end = 0
        for e in entities:
            assert end <= e.start < e.end <= len(text) and e.text == text[e.start : e.end]
            assert 0 <= e.probability <= 1
            end = e.end


def test_names_of_annotators():
    check_annotator("gliner:folder")
    for wrong in ("online", "gliner", "gliner:", "offline:x", ""):
        with pytest.raises(AnnotatorError, match="known: offline"):
            check_annotator(wrong)


def test_the_shipped_files():
    one = load_annotator()
    found = one.annotate("TP53 mutations in breast cancer: MCF-7 cells were treated with doxorubicin in mice.")
    assert [(e.text, e.type, e.ids[0]) for e in found] == [
        ("TP53", "gene", "HGNC:11998"),
        ("breast cancer", "disease", "MESH:D001943"),
        ("MCF-7", "cell_line", "CVCL:0031"),
        ("doxorubicin", "chemical", "MESH:D004317"),
        ("mice", "species", "NCBITaxon:10090"),
    ]
    assert one is load_annotator() and one.id.startswith("offline-1@")
