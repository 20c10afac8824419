"""The label model: how vectors are prepared, what is kept, the same again."""

from dataclasses import replace

import numpy as np
import pytest

from biomedica_assets.labels import label_model
from biomedica_assets.labels.label_model import (
    Inputs,
    Preparation,
    fit_model,
    load_model,
    read_model_record,
    save_model,
)
from biomedica_assets.labels.model_plots import calibration_png, f1_png
from biomedica_assets.labels.taxonomy import load_taxonomy
from biomedica_assets.store.files import Files
from biomedica_assets.store.manifests import StoreError

TAXONOMY = load_taxonomy()


def inputs(n=40, seed=2):
    """Two kinds of picture, told apart by the image; captions of every third are missing; every fourth has panels."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0, 0.3, (n, 5)) + np.where(np.arange(n) % 2, 1, -1)[:, None]
    captions = rng.normal(0, 1, (n, 3))
    captions[::3] = 0
    return Inputs(images.astype(np.float16), captions.astype(np.float16), np.where(np.arange(n) % 4, 0, 3))


def fitted(**changes):
    n = 40
    kinds = [frozenset(["table" if i % 2 else "map"]) for i in range(n)]
    panels = [frozenset(["single" if i % 4 else "multiple"]) for i in range(n)]
    answers = {"figure_kind": kinds, "panel_type": panels}
    weights = {axis: np.ones(n) for axis in answers}
    articles = [f"a{i // 2}" for i in range(n)]
    given = {"image_encoder": "i", "text_encoder": "t", "made_of": "m", "examples": {"members": n}} | changes
    return fit_model(inputs(), answers, weights, articles, TAXONOMY, **given)


def test_prepared_by_hand():
    given = Inputs(np.array([[1, 0], [3, 0]], np.float16), np.array([[0, 0], [2, 2]], np.float16), np.array([0, 3]))
    preparation = Preparation.fit(given)
    # images: mean (2, 0), both 1 away; captions: one only, which is the mean
    assert preparation.image_mean.tolist() == [2, 0]
    assert preparation.image_scale == 1
    assert preparation.caption_mean.tolist() == [2, 2]
    prepared = preparation.apply(given)
    assert prepared[:, :4].tolist() == [[-1, 0, 0, 0], [1, 0, 0, 0]]
    assert prepared[:, 4].tolist() == [-0.5, 0.5]
    assert prepared[:, 5] == pytest.approx([0, np.log(4) / 2])
    other = Inputs(np.array([[2, 1]]), np.array([[2, 3]]), np.array([1]))
    share = label_model.CAPTION_SHARE
    assert preparation.apply(other)[0] == pytest.approx([0, 1, 0, share, -0.5, np.log(2) / 2])


def test_without_captions():
    given = Inputs(np.eye(3, dtype=np.float16), np.zeros((3, 1), np.float16), np.zeros(3, int))
    assert Preparation.fit(given).apply(given).shape == (3, 6)


def test_it_learns_and_says_what_it_cannot():
    model = fitted()
    assert set(model.axes) == {"figure_kind", "panel_type"}
    assert model.refused == {"modality": "no examples", "specimen": "no examples"}
    assert model.axes["figure_kind"].scores.accuracy == 1.0
    p = model.probabilities(inputs(), TAXONOMY)["figure_kind"]
    table = model.axes["figure_kind"].labels.index("table")
    assert (p[1::2, table] > 0.5).all()
    assert (p[::2, table] < 0.5).all()
    panels = model.probabilities(inputs(), TAXONOMY)["panel_type"]
    several = model.axes["panel_type"].labels.index("multiple")
    assert ((panels[:, several] > 0.5) == (inputs().panels > 1)).all()


def test_a_row_does_not_depend_on_its_batch():
    model, given = fitted(), inputs()
    whole = model.probabilities(given, TAXONOMY)["figure_kind"]
    for i in range(len(given)):
        one = Inputs(given.images[i : i + 1], given.captions[i : i + 1], given.panels[i : i + 1])
        assert model.probabilities(one, TAXONOMY)["figure_kind"][0] == pytest.approx(whole[i], abs=1e-12)


def test_there_and_back(tmp_path):
    files = Files(tmp_path / "store")
    assert read_model_record(files) is None
    model = fitted()
    record = save_model(files, model)
    again = read_model_record(files)
    assert again == record
    assert again is not None
    loaded = load_model(files, again)
    assert loaded.id == record.id
    one, other = (m.probabilities(inputs(), TAXONOMY) for m in (model, loaded))
    assert all((one[axis] == other[axis]).all() for axis in one)
    assert [loaded.axes[a].label_scores for a in loaded.axes] == [model.axes[a].label_scores for a in loaded.axes]
    assert save_model(files, fitted()) == record, "the same examples, the same model, the same bytes"
    expected = {f"models/labels/{record.id}.json", record.file.path, "models/labels/current.json"}
    assert {path for path, _ in files.list("models")} == expected
    assert b"pickle" not in files.read(record.file.path)


def test_models_of_before_are_kept(tmp_path):
    files = Files(tmp_path / "store")
    first = save_model(files, fitted())
    second = save_model(files, replace(fitted(), made_of="other votes"))
    assert first.id != second.id
    assert read_model_record(files) == second
    kept = read_model_record(files, first.id)
    assert kept == first
    assert kept is not None
    assert load_model(files, kept).id == first.id


def test_a_damaged_file_is_noticed(tmp_path):
    files = Files(tmp_path / "store")
    record = save_model(files, fitted())
    files.write(record.file.path, files.read(record.file.path)[:-1] + b"x")
    with pytest.raises(StoreError, match="damaged"):
        load_model(files, record)


def test_pictures_of_its_scores_are_small_and_the_same_each_time(tmp_path):
    record = save_model(Files(tmp_path / "store"), fitted())
    for draw in (calibration_png, f1_png):
        assert draw(record) == draw(record)
        assert draw(record).startswith(b"\x89PNG")
        assert len(draw(record)) < 20_000


def test_fewer_axes_of_variance_are_close_to_all(monkeypatch):
    whole = fitted().probabilities(inputs(), TAXONOMY)["figure_kind"]
    monkeypatch.setattr(label_model, "COMPONENTS", 9)  # of 10
    fewer = fitted().probabilities(inputs(), TAXONOMY)["figure_kind"]
    assert np.abs(whole - fewer).max() < 0.2
