"""GLiNER models, such as GLiNER-biomed, with weights of one's own.

Belongs here: loading them from a folder or hub name, cutting texts to their length, our types. Their ids come from the
vocabulary of this package.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from biomedica_assets.entities.annotators import ID_DIGITS, AnnotatorError, AnnotatorMissingError, Entity
from biomedica_assets.entities.offline import OfflineAnnotator
from biomedica_assets.entities.vocabulary import shipped
from biomedica_assets.entities.words import read

LABELS = {
    "disease": "disease",
    "chemical or drug": "chemical",
    "gene or protein": "gene",
    "species": "species",
    "cell line": "cell_line",
    "cell type": "cell_type",
    "tissue or organ": "tissue",
}
"""What the model is asked for, and our types."""
THRESHOLD = 0.5
PIECE = 200
"""Tokens of ours given to the model at a time; its own limit is mostly 384 words with the labels."""


class GlinerAnnotator:
    """A GLiNER model; see `annotators.Annotator`."""

    def __init__(self, weights: str) -> None:
        """Load a model.

        Args:
            weights: folder as ``save_pretrained`` writes it, or a name on the hub (``owner/name``), which the package
                fetches or finds in its cache.

        Raises:
            AnnotatorMissingError: the package gliner is not installed.
            AnnotatorError: there are no such weights.
        """
        if find_spec("gliner") is None:
            raise AnnotatorMissingError("the package gliner is not installed: pip install 'biomedica_assets[gliner]'")
        folder = Path(weights).expanduser()
        local = folder.is_dir()
        if not local and (weights.count("/") != 1 or folder.is_absolute() or weights.startswith(".")):
            raise AnnotatorError(f"there is no folder of GLiNER weights at {weights}")
        if local:
            self.id = f"gliner:{folder.name}@{_checksum(folder)}"
        self._model: Any = _load(str(folder) if local else weights, local=local)
        if not local:
            revision = (
                getattr(self._model.config, "_commit_hash", None)
                or hashlib.sha256(
                    json.dumps(self._model.config.to_dict(), sort_keys=True, default=str).encode()
                ).hexdigest()
            )
            self.id = f"gliner:{weights}@{revision[:ID_DIGITS]}"
        self._model.eval()
        self._links = OfflineAnnotator(shipped(), None)

    def annotate(self, text: str) -> list[Entity]:
        """Entities of a text in order; none overlap."""
        return self.annotate_many([text])[0]

    def annotate_many(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Entities of each text. Texts go to the model one at a time, so that padding changes nothing.

        Raises:
            AnnotatorError: the model fails.
        """
        return [self._annotate(text) for text in texts]

    def _annotate(self, text: str) -> list[Entity]:
        found: list[Entity] = []
        for begin, piece in _pieces(text):
            try:
                spans = self._model.predict_entities(piece, list(LABELS), threshold=THRESHOLD, flat_ner=True)
            except Exception as error:
                raise AnnotatorError(f"GLiNER fails: {type(error).__name__}: {error}") from error
            for span in sorted(spans, key=lambda s: (s["start"], -s["end"])):
                start, end = begin + int(span["start"]), begin + int(span["end"])
                if end <= start or (found and start < found[-1].end):
                    continue
                kind, surface = LABELS[span["label"]], text[start:end]
                ids, name = self._links.link(surface, kind)
                found.append(Entity(start, end, surface, kind, ids, name, "model", round(float(span["score"]), 2)))
        return found


def _load(weights: str, *, local: bool) -> Any:
    """A model all of whose weights are in the file; what the file has beyond them does not matter.

    Raises:
        AnnotatorError: it cannot be loaded, or the file lacks weights, which the package would leave random.
    """
    from gliner import GLiNER

    try:
        return GLiNER.from_pretrained(weights, local_files_only=local, strict=True)
    except Exception as error:
        said = str(error)
        if "Unexpected key" not in said or "Missing key" in said or "size mismatch" in said:
            raise AnnotatorError(f"GLiNER cannot load {weights}: {said}") from error
    return GLiNER.from_pretrained(weights, local_files_only=local)


def _pieces(text: str) -> list[tuple[int, str]]:
    """Sentences put together up to PIECE tokens, with their offsets."""
    tokens = read(text)
    if not tokens.words:
        return []
    cuts = [0]
    for at, behind in zip(tokens.breaks, [*tokens.breaks[1:], len(tokens.words)], strict=True):
        if behind - cuts[-1] > PIECE and at > cuts[-1]:
            cuts.append(at)
    edges = [tokens.starts[cut] for cut in cuts] + [len(text)]
    return [(a, text[a:b]) for a, b in itertools.pairwise(edges)]


def _checksum(folder: Path) -> str:
    """Of the weights' files.

    Raises:
        AnnotatorError: there are none.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix in (".bin", ".safetensors", ".pt", ".onnx"))
    if not files:
        raise AnnotatorError(f"{folder} holds no weights (pytorch_model.bin or model.safetensors)")
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:ID_DIGITS]
