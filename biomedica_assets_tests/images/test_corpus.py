"""Real figure files: every one is read, and says of itself what its name says. Skipped where the corpus is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from biomedica_assets.images import EXTENSIONS, ImageError, probe

_SHARED = Path(os.environ.get("BIOMEDICA_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
_ENDINGS = {".jpg": "jpg", ".gif": "gif", ".png": "png", ".tif": "tif"}


@pytest.mark.skipif(not (_SHARED / "corpus").is_dir(), reason="no corpus of real articles here")
def test_every_real_image_is_read() -> None:
    paths = [p for p in (_SHARED / "corpus").rglob("*") if p.suffix.lower() in _ENDINGS and p.is_file()]
    assert len(paths) == 494  # as its README counts them
    odd = []
    for path in paths:
        try:
            facts = probe(path.read_bytes(), max_pixels=50_000_000)
        except ImageError as error:
            odd.append((path.name, error))
            continue
        assert facts.perceptual_hash
        assert facts.width and facts.height and facts.frames == 1
        if EXTENSIONS[facts.media_type or ""] != _ENDINGS[path.suffix.lower()]:
            odd.append((path.name, facts.media_type))
    assert odd == []
