"""What every encoder does to its input texts and output vectors."""

from __future__ import annotations

import numpy as np

MAX_CHARACTERS = 32_768
"""A text is read up to here: the longest captions are a fifth of it, and a query of megabytes must not cost minutes."""


def clean_text(text: str) -> str:
    """The text as tokenizers take it: no lone surrogates (a client's JSON may hold them), no endless text."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode()


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; rows of zeros stay zeros, and so become rows that hold what is no number."""
    vectors = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, 0).astype(np.float64)
    lengths = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
