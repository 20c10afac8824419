"""EfficientNet-Lite0 as an ONNX graph, from the weights of its torch checkpoint.

The network is that of TensorFlow's release: MobileNetV2-like blocks without squeeze-and-excitation, ReLU6 throughout,
padding "same" as TensorFlow has it (one more at the far end), batch normalisation with epsilon 0.001.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from biomedica_assets.models.encoders import WeightsError

SIDE = 224
"""Pixels of the square input."""
FEATURES = 1280
_BLOCKS = (
    # repeats, kernel, stride of the first, expansion; channels follow from the weights
    (1, 3, 1, 1),
    (2, 3, 2, 6),
    (2, 5, 2, 6),
    (3, 3, 2, 6),
    (3, 5, 1, 6),
    (4, 5, 2, 6),
    (1, 3, 1, 6),
)
_EPSILON = 1e-3
OPSET = 17


def build_graph(weights: Mapping[str, np.ndarray]) -> bytes:
    """The serialized model: ``image`` float32 [n, 3, 224, 224] to ``features`` [n, 1280] and ``logits`` [n, 1000].

    Batch normalisation is folded into the convolutions. Features are the channel means before the classifier.

    Raises:
        WeightsError: a tensor is missing.
    """
    try:
        return _Builder(weights).build()
    except KeyError as error:
        raise WeightsError(f"the weights are not those of EfficientNet-Lite0: {error} is missing") from error


class _Builder:
    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants = [
            numpy_helper.from_array(np.array(limit, np.float32), name) for limit, name in ((0, "zero"), (6, "six"))
        ]

    def build(self) -> bytes:
        value = self._relu6(self._convolution("image", "_conv_stem", "_bn0", stride=2))
        number = 0
        for repeats, kernel, first_stride, expansion in _BLOCKS:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                value = self._block(value, f"_blocks.{number}", kernel, stride, expands=expansion > 1, skips=repeat > 0)
                number += 1
        value = self._relu6(self._convolution(value, "_conv_head", "_bn1"))
        value = self._node("GlobalAveragePool", [value])
        self._node("Flatten", [value], output="features")
        self._node(
            "Gemm",
            ["features", self._constant("_fc.weight", self._weights["_fc.weight"]),
             self._constant("_fc.bias", self._weights["_fc.bias"])],
            output="logits",
            transB=1,
        )  # fmt: skip
        shapes: dict[str, list[str | int | None]] = {
            "image": ["n", 3, SIDE, SIDE],
            "features": ["n", FEATURES],
            "logits": ["n", 1000],
        }
        infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
        graph = helper.make_graph(
            self._nodes, "efficientnet-lite0", [infos["image"]], [infos["features"], infos["logits"]], self._constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model)
        return model.SerializeToString()

    def _block(self, value: str, name: str, kernel: int, stride: int, *, expands: bool, skips: bool) -> str:
        start = value
        if expands:
            value = self._relu6(self._convolution(value, f"{name}._expand_conv", f"{name}._bn0"))
        value = self._relu6(self._convolution(value, f"{name}._depthwise_conv", f"{name}._bn1", stride, depthwise=True))
        if self._weights[f"{name}._depthwise_conv.weight"].shape[-1] != kernel:
            raise KeyError(f"{name} with kernel {kernel}")
        value = self._convolution(value, f"{name}._project_conv", f"{name}._bn2")
        return self._node("Add", [start, value]) if skips else value

    def _convolution(self, value: str, name: str, norm: str, stride: int = 1, *, depthwise: bool = False) -> str:
        kernel = self._weights[f"{name}.weight"]
        gamma, beta, mean, variance = (
            self._weights[f"{norm}.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gamma / np.sqrt(variance + _EPSILON)
        inputs = [
            value,
            self._constant(f"{name}.weight", kernel * scale[:, None, None, None]),
            self._constant(f"{name}.bias", beta - mean * scale),
        ]
        group = len(kernel) if depthwise else 1
        return self._node("Conv", inputs, strides=[stride, stride], auto_pad="SAME_UPPER", group=group)

    def _relu6(self, value: str) -> str:
        return self._node("Clip", [value, "zero", "six"])

    def _constant(self, name: str, values: np.ndarray) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def _node(self, kind: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output
