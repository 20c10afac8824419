"""What finds the boxes of panels, by the name in the settings: the cuts of this room, or a learned ONNX model.

What does not belong here: letters and captions, which are the same for every detector.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from biomedica_assets.panels.page import Region

if TYPE_CHECKING:
    import onnxruntime

CUTS = "cuts"
"""Name of the detector that needs no model."""
LEAST_SCORE = 0.5
"""Boxes that score less are no panels."""
MOST_SHARED = 0.5
"""Of two boxes that share more than this (intersection over union), the better one is kept."""
DEFAULT_SIDE = 640
"""Side of the model's input where its shape is free."""
FILL = 114 / 255
"""Grey beside and below the picture in the model's square, as YOLO models are trained with."""


class DetectorError(ValueError):
    """The name, file or shape of a detector is wrong, or its library is missing; the message says what to do."""


class Detector(Protocol):
    """What finds the boxes of an image by a learned model: in pixels of the picture given, with scores 0 to 1."""

    id: str

    def boxes(self, picture: Image.Image) -> list[tuple[Region, float]]: ...


class OnnxDetector:
    """A DETR- or YOLO-like model as ONNX, run on the CPU.

    Input: one float32 tensor [1, 3, height, width], RGB, 0 to 1, the picture in its upper left corner, aspect kept.
    Outputs, told apart by their names and number:

    - ``boxes`` [.., N, 4] as left, top, right, bottom in pixels of the input, and ``scores`` [.., N];
    - ``pred_boxes`` [1, N, 4] as centre, width, height in 0 to 1, and ``logits`` (or ``pred_logits``) [1, N, classes +
      1], the last class meaning nothing (DETR);
    - one output [1, 4 + classes, N] of centre, width, height in pixels of the input, and scores (YOLO).
    """

    def __init__(self, path: str) -> None:
        if not path or not Path(path).is_file():
            raise DetectorError(
                f"BIOMEDICA_PANELS names the model {path!r}, which is no file: give onnx:/path/model.onnx"
            )
        try:
            from biomedica_assets.models.onnx_session import open_session
        except ImportError as error:
            raise DetectorError("ONNX detectors need onnxruntime: install biomedica_assets[encoders]") from error
        data = Path(path).read_bytes()
        self.id = f"onnx {hashlib.sha256(data).hexdigest()[:12]}"
        try:
            self._session: onnxruntime.InferenceSession = open_session(data)
        except Exception as error:  # onnxruntime raises its own classes, made at run time
            raise DetectorError(f"{path} is no ONNX model that can be run: {error}") from error
        first, *rest = self._session.get_inputs()
        if rest or len(first.shape) != 4 or first.type != "tensor(float)":
            raise DetectorError(f"{path} must have one input, float32 [1, 3, height, width], not {first.shape}")
        self._input = first.name
        self._size = tuple(side if isinstance(side, int) and side > 0 else DEFAULT_SIDE for side in first.shape[2:])
        self._outputs = [output.name for output in self._session.get_outputs()]

    def boxes(self, picture: Image.Image) -> list[tuple[Region, float]]:
        """Boxes in pixels of the picture, best first.

        Raises:
            DetectorError: the outputs have none of the known forms.
        """
        height, width = self._size
        scale = min(width / picture.width, height / picture.height)
        small = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
        tensor = np.full((1, 3, height, width), FILL, np.float32)
        tensor[0, :, : small.height, : small.width] = np.asarray(small, np.float32).transpose(2, 0, 1) / 255
        outputs = dict(zip(self._outputs, self._session.run(None, {self._input: tensor}), strict=True))
        corners, scores = _decoded(outputs, (width, height))
        corners = np.clip(corners / scale, 0, [picture.width, picture.height] * 2)
        found: list[tuple[Region, float]] = []
        for index in np.argsort(-scores, kind="stable"):
            region = Region(*(round(float(v)) for v in corners[index]))
            if scores[index] < LEAST_SCORE:
                break
            if min(region.width, region.height) > 0 and all(
                _shared(region, other) <= MOST_SHARED for other, _ in found
            ):
                found.append((region, round(float(scores[index]), 3)))
        return found


def _decoded(outputs: dict[str, NDArray[Any]], size: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Corners [N, 4] in pixels of the input, and scores [N]."""
    if {"boxes", "scores"} <= outputs.keys():
        return outputs["boxes"].reshape(-1, 4), outputs["scores"].reshape(-1)
    logits = outputs.get("logits", outputs.get("pred_logits"))
    if logits is not None and "pred_boxes" in outputs:
        odds = np.exp(logits[0] - logits[0].max(axis=-1, keepdims=True))
        scores = (odds / odds.sum(axis=-1, keepdims=True))[:, :-1].max(axis=-1)
        return _corners(outputs["pred_boxes"][0] * (*size, *size)), scores
    if len(outputs) == 1:
        (raw,) = outputs.values()
        if raw.ndim == 3 and raw.shape[1] > 4:
            return _corners(raw[0, :4].T), raw[0, 4:].max(axis=0)
    raise DetectorError(f"the model's outputs {sorted(outputs)} have none of the forms in docs/panels.md")


def _corners(centred: NDArray[Any]) -> NDArray[Any]:
    middle, half = centred[:, :2], centred[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def _shared(a: Region, b: Region) -> float:
    width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    common = max(width, 0) * max(height, 0)
    return common / (a.width * a.height + b.width * b.height - common)


def detector_named(name: str) -> OnnxDetector | None:
    """The detector of a setting: null for the cuts, which need none.

    Raises:
        DetectorError: no such name, or no such file.
    """
    kind, _, path = name.partition(":")
    if name == CUTS:
        return None
    if kind == "onnx":
        return OnnxDetector(path)
    raise DetectorError(f"BIOMEDICA_PANELS is {name!r}; known: {CUTS}, onnx:/path/model.onnx")
