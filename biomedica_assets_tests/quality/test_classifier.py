"""The classifier: exact sums, grading, fitting on plain examples, leaning on a model before; files of models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from biomedica_assets.quality import classifier
from biomedica_assets.quality.classifier import OUTPUTS, QualityModel, fit_model, graded
from biomedica_assets.quality.features import COLUMNS, fact_columns, text_columns
from biomedica_assets.quality.labels import DOMAINS, TYPES, Label
from biomedica_assets.quality.model_files import (
    load_model,
    own_record,
    read_record,
    save_model,
    shipped_model,
    shipped_record,
    write_shipped,
)
from biomedica_assets.quality.paragraphs import Context, Paragraph
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError

CASE, STUDY = (
    Label(type="clinical_case", domain="clinical", score=4),
    Label(type="study", domain="biomedical", score=2),
)


def blank() -> QualityModel:
    weights = np.zeros((COLUMNS, OUTPUTS), np.int16)
    return QualityModel(weights, np.ones(OUTPUTS), np.zeros(OUTPUTS), (1.0, 1.0), (2.0, 3.0, 4.0, 5.0))


def test_outputs_are_sums_of_weights():
    model = blank()
    words = text_columns(["cells grew"]).of  # two words, no long one, one pair
    facts = fact_columns([Paragraph("cells grew")]).of
    assert (len(words), len(facts)) == (3, 3)
    model.weights[words, 0] = 7
    model.weights[facts, 1] = 11
    model.scales[0] = 0.5
    [outputs] = model.outputs([Paragraph("cells grew")])
    assert outputs[0] == pytest.approx(0.5 * 3 * 7 * 5 / np.sqrt(3))
    assert outputs[1] == 33
    # A text without words has facts alone.
    assert model.outputs([Paragraph("...")])[0][0] == 0


def test_types_are_the_likeliest_and_probabilities_divided_by_temperature():
    outputs = np.zeros((1, OUTPUTS))
    outputs[0, :4] = [0, 2, 0, 0]
    found = replace(blank(), temperatures=(2.0, 1.0)).decided(outputs)
    assert TYPES[found.types[0]] == "review"
    assert found.type_probabilities[0] == pytest.approx(np.e / (np.e + 3))
    assert found.domain_probabilities[0] == pytest.approx(1 / 3)


def test_a_level_begins_at_its_cut_and_decimals_stay_below_a_half():
    cuts = (2.0, 3.0, 4.0, 4.0)
    scores = graded(np.array([-5.0, 1.5, 2.0, 2.999, 3.5, 4.0, 7.0]), cuts)
    assert np.floor(scores).tolist() == [1, 1, 2, 2, 3, 5, 5]
    assert scores.tolist() == pytest.approx([1, 1.245, 2, 2.48951, 3.245, 5, 5])


def examples(n: int) -> tuple[list[Paragraph], list[Label], list[str]]:
    """Half of patients, half of cells, in 10 articles."""
    paragraphs, labels, articles = [], [], []
    for number in range(n):
        word, label = (("patient was admitted", CASE), ("cells were grown", STUDY))[number % 2]
        paragraphs.append(Paragraph(f"The {word} on day {number}.", Context(title=f"Title {number}")))
        labels.append(label)
        articles.append(f"PMC{number % 10}.1")
    return paragraphs, labels, articles


def test_plain_examples_are_learnt():
    paragraphs, labels, articles = examples(100)
    model = fit_model(paragraphs, labels, articles, about={"teachers": {"me": 100}})
    for context in (True, False):
        found = model.predict(
            [Paragraph("The patient was admitted today."), Paragraph("Cells were grown.")], context=context
        )
        assert [TYPES[one] for one in found.types] == ["clinical_case", "study"]
        assert [DOMAINS[one] for one in found.domains] == ["clinical", "biomedical"]
        assert found.levels.tolist() == [4, 2]
    assert model.about["teachers"] == {"me": 100}
    assert model.about["left_out"]["type"] == 1.0
    again = fit_model(paragraphs, labels, articles)
    assert (again.weights == model.weights).all()


def test_few_labels_correct_the_model_before():
    paragraphs, labels, articles = examples(200)
    before = fit_model(paragraphs, labels, articles)
    # Another teacher calls the cells' paragraphs reviews of level 5; it says nothing of patients.
    few = [
        (p, Label(type="review", domain="biomedical", score=5), a)
        for p, y, a in zip(*examples(40), strict=True)
        if y is STUDY
    ]
    few += [(p, y, a) for p, y, a in zip(*examples(10), strict=True) if y is CASE]
    model = fit_model(*(list(column) for column in zip(*few, strict=True)), prior=before)
    unseen = [Paragraph("These cells were grown on plates."), Paragraph("A patient was admitted with fever.")]
    assert [TYPES[one] for one in model.predict(unseen).types] == ["review", "clinical_case"]
    assert [DOMAINS[one] for one in model.predict(unseen).domains] == ["biomedical", "clinical"]
    assert model.weights.shape == before.weights.shape


def test_an_answer_that_one_article_alone_has_is_learnt():
    paragraphs, labels, _ = examples(60)
    # Without the last article all that is left is of one type.
    articles = [f"PMC{number % 5}.1" if label is STUDY else "PMC9.1" for number, label in enumerate(labels)]
    model = fit_model(paragraphs, labels, articles)
    found = model.predict([Paragraph("The patient was admitted today."), Paragraph("Cells were grown.")])
    assert [TYPES[one] for one in found.types] == ["clinical_case", "study"]


def test_too_few_articles_are_refused():
    paragraphs, labels, _ = examples(20)
    with pytest.raises(ValueError, match=r"n_splits|groups"):
        fit_model(paragraphs, labels, ["PMC1.1"] * 20)


def test_the_same_paragraph_has_one_label_whatever_stands_beside_it():
    model = shipped_model()
    texts = [
        f"{word} were treated with {n} mg of the drug." for n, word in enumerate(["Cells", "Patients", "Mice"] * 200)
    ]
    paragraphs = [Paragraph(text) for text in texts]
    together = model.outputs(paragraphs)
    assert (together[::-1] == model.outputs(paragraphs[::-1])).all()
    assert (together[7] == model.outputs([paragraphs[7]])[0]).all()


def test_the_shipped_model_knows_plain_paragraphs():
    paragraphs = [
        Paragraph("The authors declare that they have no competing interests."),
        Paragraph("Cells were cultured in medium and proteins were analysed by western blot (Fig. 2)."),
        Paragraph(
            "A 45-year-old man was admitted to our hospital with fever and cough. On examination he had a "
            "temperature of 39 degrees. The patient was treated with antibiotics and discharged after five days.",
            Context(sections=("Case report",), article_type="case-report"),
        ),
    ]
    found = shipped_model().predict(paragraphs)
    assert [TYPES[one] for one in found.types] == ["other", "study", "clinical_case"]
    assert [DOMAINS[one] for one in found.domains] == ["other", "biomedical", "clinical"]
    assert found.levels[0] == 1 < found.levels[2]
    assert shipped_model().id == shipped_record().id


def test_a_store_has_the_shipped_model_until_it_has_its_own(tmp_path: Path):
    files = Files(tmp_path)
    assert own_record(files) is None
    assert load_model(files, read_record(files)).id == shipped_record().id
    model = fit_model(*examples(60))
    record = save_model(files, model, "labels")
    assert read_record(files) == own_record(files) == record
    loaded = load_model(files, record)
    assert (loaded.weights == model.weights).all()
    assert (loaded.cuts, loaded.temperatures, loaded.id) == (model.cuts, model.temperatures, record.id)
    assert save_model(files, model, "labels") == record


def test_damaged_missing_and_foreign_models_are_said(tmp_path: Path, monkeypatch):
    files = Files(tmp_path)
    record = save_model(files, fit_model(*examples(60)), "labels")
    files.write(record.file.path, files.read(record.file.path)[:-1])
    with pytest.raises(StoreError, match="damaged"):
        load_model(files, record)
    files.remove(record.file.path)
    with pytest.raises(StoreError, match="missing"):
        load_model(files, record)
    monkeypatch.setattr("biomedica_assets.quality.model_files.FEATURES_VERSION", "2")
    with pytest.raises(StoreError, match="fit it anew"):
        read_record(files)


def test_what_is_shipped_is_written_as_it_is_read(tmp_path: Path):
    record = write_shipped(fit_model(*examples(60)), tmp_path)
    assert (tmp_path / "default.npz").stat().st_size == record.file.bytes
    assert (tmp_path / "default.json").read_bytes() == record.to_json() + b"\n"
    assert record.fit == classifier.FIT_VERSION
