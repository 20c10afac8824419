"""Encoders by name that need torch: tiny models with random weights, saved to disk by the libraries themselves."""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from biomedica_assets.models.encoders import Encoder, EncoderError, WeightsError, load_encoder

torch = pytest.importorskip("torch", reason="torch is not installed; it is optional")

CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def png(seed: int, size=(40, 30)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("dino") / "dinov2-tiny"
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    torch.manual_seed(0)
    transformers.Dinov2Model(config).save_pretrained(folder)
    shown = {"crop_size": {"height": 28, "width": 28}, "size": {"shortest_edge": 32}, "do_center_crop": True,
             "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(shown))
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    open_clip = pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("clip")
    (folder / "tiny-clip.json").write_text(json.dumps(CLIP))
    open_clip.add_model_config(folder / "tiny-clip.json")
    torch.manual_seed(0)
    torch.save(open_clip.create_model("tiny-clip").state_dict(), folder / "tiny.pt")
    return folder


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    st = pytest.importorskip("sentence_transformers")
    folder = tmp_path_factory.mktemp("st")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *["lung", "tissue", "stain", "chart", "of", "sales"]]
    (folder / "vocab.txt").write_text("\n".join(words))
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder / "bert")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    parts = pytest.importorskip("sentence_transformers.models")
    bert = parts.Transformer(str(folder / "bert"))
    st.SentenceTransformer(modules=[bert, parts.Pooling(16)]).save(str(folder / "tiny-st"))
    return folder / "tiny-st"


def remove_weight(folder, part):
    from safetensors.torch import load_file, save_file

    file = next(folder.glob("*.safetensors"))
    weights = load_file(file)
    gone = next(name for name in weights if part in name)
    save_file({k: v for k, v in weights.items() if k != gone}, file, {"format": "pt"})


def test_dinov2_by_folder(dinov2):
    import transformers

    encoder = load_encoder(f"dinov2:{dinov2}")
    assert isinstance(encoder, Encoder)
    assert encoder.dimensions == 32
    assert encoder.id == f"transformers-dinov2-tiny-32@{encoder.weights_sha256[:12]}"
    vectors, errors = encoder.encode_images([png(1), b"nothing", png(2)])
    assert [(e.index, e.error) for e in errors] == [(1, "NotAnImage")]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-6)
    # By hand: a 28 x 28 picture needs no resizing; ImageNet's mean and deviation; the class token.
    data = png(3, (28, 28))
    pixels = np.asarray(Image.open(BytesIO(data)), np.float32) / 255
    pixels = (pixels - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    model = transformers.Dinov2Model.from_pretrained(dinov2).eval()
    with torch.inference_mode():
        token = model(torch.from_numpy(pixels.transpose(2, 0, 1)[None])).last_hidden_state[0, 0].numpy()
    np.testing.assert_allclose(encoder.encode_images([data])[0][0], token / np.linalg.norm(token), atol=1e-5)
    with pytest.raises(EncoderError, match="images only"):
        encoder.encode_texts(["x"])


def test_a_model_that_lacks_a_weight_is_refused(dinov2, tmp_path):
    import shutil

    folder = tmp_path / "holed"
    shutil.copytree(dinov2, folder)
    remove_weight(folder, "layer.1.attention")
    with pytest.raises(WeightsError, match="lacks 1 weights"):
        load_encoder(f"transformers:{folder}")
    for file in folder.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(WeightsError, match="no weights"):
        load_encoder(f"transformers:{folder}")


def test_a_folder_that_is_not_there():
    with pytest.raises(WeightsError, match="no weights"):
        load_encoder("dinov2:/nowhere/dinov2-small")


def test_a_network_without_class_token_is_averaged(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.ConvNextV2Config(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1])
    transformers.ConvNextV2Model(config).save_pretrained(tmp_path / "conv")
    shown = {"size": {"shortest_edge": 32}, "do_center_crop": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (tmp_path / "conv" / "preprocessor_config.json").write_text(json.dumps(shown))
    encoder = load_encoder(f"transformers:{tmp_path / 'conv'}")
    assert encoder.dimensions == 8


def test_open_clip_puts_texts_and_images_into_one_space(clip):
    encoder = load_encoder("open_clip:tiny-clip", weights=str(clip / "tiny.pt"))
    assert (encoder.texts, encoder.images, encoder.dimensions) == (True, True, 24)
    images, errors = encoder.encode_images([png(1), png(2)])
    texts = encoder.encode_texts(["lung", "", "lung"])
    assert not errors
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), [1, 0, 1], atol=1e-6)
    assert (texts[0] == texts[2]).all()
    again, _ = load_encoder("open_clip:tiny-clip", weights=f"file://{clip / 'tiny.pt'}").encode_images([png(2)])
    assert (again[0] == images[1]).all(), "the weights are read, not made up, and the batch does not matter"


@pytest.mark.parametrize("weights", [None, "", "openai", "/nowhere/weights.pt"])
def test_open_clip_never_runs_without_its_weights(clip, weights):
    """`openai` is a tag for which open_clip would ask a hub."""
    with pytest.raises(WeightsError, match=r"needs weights|no weights"):
        load_encoder("open_clip:ViT-B-32", weights=weights)


def test_open_clip_with_weights_of_another_model(clip):
    with pytest.raises(WeightsError, match="does not load"):
        load_encoder("open_clip:RN50", weights=str(clip / "tiny.pt"))


def test_open_clip_from_a_folder(clip, tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(EncoderError, match="no architecture"):
        load_encoder("open_clip:hf-hub:some/model", weights="x")
    with pytest.raises(WeightsError, match="no weights"):
        load_encoder(f"open_clip:{tmp_path}")
    weights = torch.load(clip / "tiny.pt", weights_only=True)
    save_file({name: value.contiguous() for name, value in weights.items()}, tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": CLIP, "preprocess_cfg": {}}))
    encoder = load_encoder(f"open_clip:{tmp_path}")
    direct = load_encoder("open_clip:tiny-clip", weights=str(clip / "tiny.pt"))
    assert (encoder.encode_texts(["lung"]) == direct.encode_texts(["lung"])).all()


def test_weights_that_hold_code_are_refused(clip, tmp_path):
    import pickle

    class Evil:
        def __reduce__(self):
            return (__import__("os").mkdir, (str(tmp_path / "ran"),))

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(WeightsError):
        load_encoder("open_clip:tiny-clip", weights=str(tmp_path / "evil.pt"))
    assert not (tmp_path / "ran").exists()


def test_sentence_transformers_by_folder(sentences):
    encoder = load_encoder(f"sentence-transformers:{sentences}")
    assert (encoder.texts, encoder.images, encoder.dimensions) == (True, False, 16)
    alone = encoder.encode_texts(["lung tissue"])
    beside = encoder.encode_texts(["chart of sales", "lung tissue", " "])
    assert (alone[0] == beside[1]).all()
    np.testing.assert_allclose(np.linalg.norm(beside, axis=1), [1, 1, 0], atol=1e-6)
    remove_weight(sentences if list(sentences.glob("*.safetensors")) else sentences / "0_Transformer", "layer.0")
    with pytest.raises(WeightsError, match="lacks 1 weights"):
        load_encoder(f"sentence-transformers:{sentences}")


def test_cuda_that_is_not_there(dinov2):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EncoderError, match="torch finds none"):
        load_encoder(f"dinov2:{dinov2}", device="cuda")
