"""One image file: what it is, how it looks at a glance, and which graphic of the article it belongs to.

Belongs here: header facts, checksums and perceptual hash of image bytes (`probe`), the rules that join the
names in an article's XML to the files of its release (`matching`), small preview pictures (`sheet`).
Does not belong here: reading or writing files, fetching, tables. Everything is a function of bytes and names;
image bytes are looked at, never changed.
"""

from __future__ import annotations

from biomedica_assets.images.matching import Matching, match_graphics
from biomedica_assets.images.probe import (
    EXTENSIONS,
    DamagedImage,
    ImageError,
    ImageFacts,
    NotAnImage,
    TooManyPixels,
    media_type_of,
    probe,
)
from biomedica_assets.images.sheet import contact_sheet

__all__ = [
    "EXTENSIONS",
    "DamagedImage",
    "ImageError",
    "ImageFacts",
    "Matching",
    "NotAnImage",
    "TooManyPixels",
    "contact_sheet",
    "match_graphics",
    "media_type_of",
    "probe",
]
