"""What is said of a paragraph, by whomever: the three answers and the hash that a text is known by."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Type = Literal["study", "review", "clinical_case", "other"]
Domain = Literal["clinical", "biomedical", "other"]
TYPES: tuple[str, ...] = get_args(Type)
DOMAINS: tuple[str, ...] = get_args(Domain)
LEVELS = (1, 2, 3, 4, 5)
"""Educational scores that a teacher gives."""


class Label(BaseModel):
    """A teacher's answer: type and domain of a paragraph, and its educational score from 1 to 5."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Type
    domain: Domain
    score: Annotated[float, Field(ge=LEVELS[0], le=LEVELS[-1], strict=True, allow_inf_nan=False)]


def text_sha256(text: str) -> str:
    """What a paragraph's text is known by, 64 hex digits; a lone surrogate counts as a question mark."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
