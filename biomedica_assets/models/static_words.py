"""The quick text encoder: wordllama's table of one vector per token, and the mean over a text's tokens.

The weights and the tokenizer are read from the package's files; its own code is not run: its loader looks in a folder
that the wheel does not have and then asks a hub, and importing it changes the process's logging.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from biomedica_assets.models.encoders import EncoderError, ImageError
from biomedica_assets.models.package_files import ID_DIGITS, package_file
from biomedica_assets.models.vectors import clean_text, unit_rows

WEIGHTS_SHA256 = "64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5"
TOKENIZER_SHA256 = "93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68"
BATCH = 256
"""Texts tokenized at a time: bounds memory."""


class StaticWords:
    """256 dimensions, some ten thousand captions a second on one core, any length of text; knows no word order."""

    texts, images = True, False

    def __init__(self) -> None:
        """Read the table (32,000 x 256 half floats, 16 MB) and the tokenizer.

        Raises:
            EncoderMissingError, WeightsError: as of `package_file`.
        """
        weights = package_file("wordllama", "weights/l2_supercat_256.safetensors", WEIGHTS_SHA256)
        tokens = package_file("wordllama", "tokenizers/l2_supercat_tokenizer_config.json", TOKENIZER_SHA256)
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self._table: np.ndarray = load_file(weights)["embedding.weight"]
        self._tokenizer = Tokenizer.from_file(str(tokens))
        self.dimensions = self._table.shape[1]
        self.weights_sha256 = WEIGHTS_SHA256
        self.id = f"wordllama-{self.dimensions}@{WEIGHTS_SHA256[:ID_DIGITS]}"

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Mean of the token vectors, made length 1; see `Encoder`."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for start in range(0, len(texts), BATCH):
            batch = [clean_text(text) for text in texts[start : start + BATCH]]
            encoded = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            for row, tokens in enumerate(encoded, start):
                # The sum has the direction of the mean, and adding row by row is the same on every machine.
                vectors[row] = self._table[tokens.ids].sum(axis=0, dtype=np.float32)
        return unit_rows(vectors)

    def encode_images(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[ImageError]]:
        """Always refused: this encoder knows no images."""
        raise EncoderError(f"{self.id} encodes texts only")
