"""Learned detectors: three forms of outputs, made as tiny graphs here; what is missing or wrong is said."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from biomedica_assets.panels.alignment import Named
from biomedica_assets.panels.detectors import DetectorError, OnnxDetector, detector_named
from biomedica_assets.panels.finding import find_panels
from biomedica_assets_tests.panels.pages import drawn, file_of

onnx = pytest.importorskip("onnx")


def model(path, outputs, shape=(1, 3, 100, 200), kind=None):
    """A graph that answers the same whatever it is shown."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value, np.float32)))
             for name, value in outputs.items()]  # fmt: skip
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, np.shape(value)) for name, value in outputs.items()]
    given = helper.make_tensor_value_info("images", kind or TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "panels", [given], infos)
    opsets = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    return f"onnx:{path}"


BOXES = [[0, 0, 100, 100], [100, 0, 200, 100], [2, 2, 100, 100], [0, 0, 50, 50]]
"""The third is nearly the first; the fourth scores too little."""


def found(tmp_path, outputs):
    detector = detector_named(model(tmp_path / "model.onnx", outputs))
    # 400 x 200 pixels are shown at half their size: boxes come back doubled.
    return detector.boxes(Image.new("RGB", (400, 200)))


EXPECTED = [((200, 0, 400, 200), 0.9), ((0, 0, 200, 200), 0.8)]


def test_boxes_and_scores(tmp_path):
    assert found(tmp_path, {"boxes": BOXES, "scores": [0.8, 0.9, 0.7, 0.2]}) == EXPECTED


def test_detr(tmp_path):
    boxes = [[[0.25, 0.5, 0.5, 1], [0.75, 0.5, 0.5, 1]]]
    # Softmax of (ln p, ln (1 - p)) is p.
    logits = [[[np.log(0.8), np.log(0.2)], [np.log(0.9), np.log(0.1)]]]
    assert found(tmp_path, {"logits": logits, "pred_boxes": boxes}) == EXPECTED


def test_yolo(tmp_path):
    centre_x, centre_y, width, height, score = [50, 150], [50, 50], [100, 100], [100, 100], [0.8, 0.9]
    assert found(tmp_path, {"output0": [[centre_x, centre_y, width, height, score]]}) == EXPECTED


def test_unknown_outputs_are_said(tmp_path):
    with pytest.raises(DetectorError, match="none of the forms"):
        found(tmp_path, {"masks": np.zeros((2, 2)), "names": np.zeros(3)})


def test_panels_of_a_detector_get_the_letters_that_are_read(tmp_path):
    detector = detector_named(model(tmp_path / "model.onnx", {"boxes": BOXES[:2], "scores": [0.9, 0.9]}))
    image = drawn((800, 400), [(60, 60, 360, 360), (460, 60, 760, 360)], [("A", 10, 10), ("B", 410, 10)])
    panels = find_panels(file_of(image), Named(("A", "B"), counted=True), detector)
    assert [(p.box, p.letter, p.probability) for p in panels] == [
        ((0, 0, 400, 400), "A", 0.9), ((400, 0, 400, 400), "B", 0.9),
    ]  # fmt: skip
    assert detector.id.startswith("onnx ")


def test_nothing_found_is_the_whole_image(tmp_path):
    detector = detector_named(model(tmp_path / "model.onnx", {"boxes": BOXES[:1], "scores": [0.1]}))
    assert [p.box for p in find_panels(file_of(drawn((80, 40))), Named(), detector)] == [(0, 0, 80, 40)]


def test_what_is_missing_or_wrong_is_said(tmp_path):
    assert detector_named("cuts") is None
    with pytest.raises(DetectorError, match="known: cuts, onnx:"):
        detector_named("yolo")
    for name in ("onnx:", f"onnx:{tmp_path}/none.onnx"):
        with pytest.raises(DetectorError, match="which is no file"):
            detector_named(name)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(DetectorError, match="no ONNX model"):
        OnnxDetector(str(tmp_path / "bad.onnx"))
    model(tmp_path / "flat.onnx", {"boxes": BOXES}, shape=(1, 10))
    with pytest.raises(DetectorError, match="must have one input"):
        OnnxDetector(str(tmp_path / "flat.onnx"))
