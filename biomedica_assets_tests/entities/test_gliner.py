"""GLiNER by name: what is missing is said; the model itself where the package is installed."""

from importlib.util import find_spec

import pytest

from biomedica_assets.entities.annotators import AnnotatorError, AnnotatorMissingError, load_annotator
from biomedica_assets.entities.gliner import PIECE, _pieces

installed = find_spec("gliner") is not None


@pytest.mark.skipif(installed, reason="the package gliner is installed")
def test_a_missing_package_is_said():
    with pytest.raises(AnnotatorMissingError, match="pip install"):
        load_annotator("gliner:anything")


@pytest.mark.skipif(not installed, reason="the package gliner is not installed")
def test_missing_weights_are_an_error(tmp_path):
    with pytest.raises(AnnotatorError, match="no folder"):
        load_annotator(f"gliner:{tmp_path / 'none'}")
    with pytest.raises(AnnotatorError, match="no weights"):
        load_annotator(f"gliner:{tmp_path}")


def test_long_texts_are_cut_between_sentences():
    text = "One two three four. " * (PIECE // 2)
    pieces = _pieces(text)
    assert "".join(piece for _, piece in pieces) == text and len(pieces) > 1
    assert all(text[start:].startswith(piece) and piece.startswith("One") for start, piece in pieces)
    assert _pieces(" ") == []


@pytest.mark.skipif(not installed, reason="the package gliner is not installed")
def test_a_tiny_model_with_random_weights(tmp_path):
    pytest.importorskip("torch")
    folder = _tiny_model(tmp_path)
    annotator = load_annotator(f"gliner:{folder}")
    text = "TP53 in breast cancer. " * 120
    found = annotator.annotate(text)
    assert found == annotator.annotate_many(["", text])[1]
    end = 0
    for e in found:
        assert end <= e.start < e.end and e.text == text[e.start : e.end] and e.source == "model"
        end = e.end
    assert found and annotator.id.startswith(f"gliner:{folder.name}@")
    import torch

    weights = torch.load(folder / "pytorch_model.bin")
    torch.save({**weights, "position_ids": torch.zeros(1)}, folder / "pytorch_model.bin")
    assert load_annotator(f"gliner:{folder}").annotate(text) == found  # more than is needed does no harm
    weights.popitem()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(AnnotatorError, match="Missing key"):
        load_annotator(f"gliner:{folder}")


def _tiny_model(tmp_path):
    """A GLiNER of two thin layers over a word list of its own."""
    import torch
    from gliner import GLiNER, GLiNERConfig
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(1)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "TP53", "in", "breast", "cancer", ".", "disease", "gene"]
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    base = tmp_path / "base"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(base)
    BertModel(
        BertConfig(
            vocab_size=len(words) + 4, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16
        )
    ).save_pretrained(base)
    config = GLiNERConfig(model_name=str(base), hidden_size=16, max_len=384, max_width=8, name="tiny", fine_tune=True)
    model = GLiNER.from_config(config) if hasattr(GLiNER, "from_config") else GLiNER(config)
    folder = tmp_path / "tiny"
    model.save_pretrained(folder)
    return folder
