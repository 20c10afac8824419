"""Queries in the vector spaces of one opened generation: texts, pictures, and figures like a figure.

Each answer is a list of rankings, to be fused with others. An encoder is loaded when the first query needs it and must
be the one whose vectors the space holds. What does not belong here: segments (`vectors`), how spaces are built
(`spaces`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from biomedica_assets.models.encoders import Encoder, EncoderError, configured_encoder
from biomedica_assets.search.fusion import Found
from biomedica_assets.search.manifest import IndexManifest
from biomedica_assets.search.query import parse
from biomedica_assets.search.requests import QueryError
from biomedica_assets.search.spaces import Space, space_folder
from biomedica_assets.search.vector_spaces import Bridge, Reduction
from biomedica_assets.search.vectors import VectorIndex
from biomedica_assets.settings import Settings

_MODALITY = {"captions": "text", "images": "image"}


class Encoders:
    """The encoders of the settings, each loaded once for all generations. Safe for many threads."""

    def __init__(self, settings: Settings, load: Callable[[Settings, str], Encoder] = configured_encoder) -> None:
        self._settings, self._load = settings, load
        self._lock = threading.Lock()
        self._loaded: dict[str, Encoder | EncoderError] = {}

    def of(self, space: str) -> Encoder:
        """The encoder of a space.

        Raises:
            EncoderError: it cannot be had here.
        """
        modality = _MODALITY[space]
        with self._lock:
            if modality not in self._loaded:
                try:
                    self._loaded[modality] = self._load(self._settings, modality)
                except EncoderError as error:  # not asked for again with every search
                    self._loaded[modality] = error
            found = self._loaded[modality]
        if isinstance(found, EncoderError):
            raise found
        return found


class VectorSpaces:
    """The spaces of one generation, opened."""

    def __init__(self, folder: Path, manifest: IndexManifest, encoders: Encoders) -> None:
        self._encoders = encoders
        self._spaces = {name: Space.from_json(fields) for name, fields in manifest.spaces.items()}
        self._indexes = {
            name: VectorIndex(folder / space_folder(name), space.records) for name, space in self._spaces.items()
        }
        place, images = folder / space_folder("images"), self._spaces.get("images")
        self._reduction = Reduction.load(place / images.reduction) if images and images.reduction else None
        self._bridge = Bridge.load(place / images.bridge) if images and images.bridge else None

    def by_text(self, text: str, mask: np.ndarray, depth: int) -> Found:
        """Figures whose captions say what the text says, and those whose pictures look like it.

        The latter by an encoder that knows texts and pictures alike, else through a bridge that was found to be of use.
        """
        # All of it: the vector of half a caption is not near to that of the whole.
        said = " ".join(clause.text for clause in parse(text, len(text))[0] if not clause.excluded)
        found = Found()
        if not said:
            return found
        encoder = self._encoder("captions", found)
        if encoder is None:
            return found
        vector = encoder.encode_texts([said])
        if not vector.any():
            found.warnings.append("the encoder knows none of the words: searched by words alone")
            return found
        self._search("captions", vector[0], mask, depth, found)
        space = self._spaces.get("images")
        if space and encoder.images and encoder.id == space.encoder:
            self._search("images", self._reduced(vector), mask, depth, found)
        elif self._bridge is not None:
            self._search("images", self._bridge.to_image(vector)[0], mask, depth, found, "looks")
        return found

    def by_image(self, image: bytes, mask: np.ndarray, depth: int) -> Found:
        """Figures with pictures like this one.

        Raises:
            QueryError: it cannot be decoded, or this server knows no pictures.
        """
        found = Found()
        encoder = self._encoder("images", found)
        if encoder is None:
            raise QueryError(found.warnings[0])
        vectors, errors = encoder.encode_images([image])
        if errors:
            raise QueryError(f"the image cannot be read: {errors[0].message}")
        self._search("images", self._reduced(vectors), mask, depth, found)
        return found

    def like(self, row: int, mask: np.ndarray, depth: int) -> Found:
        """Figures whose caption or pictures are like this figure's, which is not among them."""
        found = Found()
        others = mask.copy()
        others[row] = False
        for name, index in self._indexes.items():
            vectors = index.vectors_of(row)
            if len(vectors):
                self._search(name, vectors.mean(axis=0), others, depth, found)
        return found

    def _reduced(self, vectors: np.ndarray) -> np.ndarray:
        """The one vector of an image encoder, as the space holds such vectors."""
        vector: np.ndarray = (self._reduction.apply(vectors) if self._reduction else vectors)[0]
        return vector

    def _search(
        self, name: str, vector: np.ndarray, mask: np.ndarray, depth: int, found: Found, shown: str = ""
    ) -> None:
        rows, scores = self._indexes[name].search(vector, depth, mask)
        found.rankings.append((shown or name, rows, scores))

    def _encoder(self, name: str, found: Found) -> Encoder | None:
        """The encoder to ask a space with; null, with a warning, when that cannot be done."""
        space = self._spaces.get(name)
        if space is None:
            found.warnings.append(f"the index holds no vectors of {name} yet")
            return None
        try:
            encoder = self._encoders.of(name)
        except EncoderError as error:
            found.warnings.append(f"no search by vectors of {name}: {error}")
            return None
        if encoder.id != space.encoder:
            found.warnings.append(
                f"no search by vectors of {name}: the index holds those of {space.encoder}, "
                f"this server is set to {encoder.id}"
            )
            return None
        return encoder
