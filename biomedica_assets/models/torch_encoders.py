"""Encoders by name that need torch: those of open_clip, vision models of transformers, sentence-transformers.

Their weights are files that somebody named: nothing is fetched, and a model of which any weight is missing is an error,
where these libraries would go on with random numbers and a warning. On the CPU each item goes through on its own, so
that its vector does not depend on the batch; on a GPU the last bits may.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import torch

from biomedica_assets.images.probe import ImageError as UnreadableImage
from biomedica_assets.models.encoders import EncoderError, ImageError, WeightsError
from biomedica_assets.models.package_files import ID_DIGITS, files_sha256
from biomedica_assets.models.pictures import square
from biomedica_assets.models.vectors import clean_text, unit_rows

BATCH = 32
"""Items at a time on a GPU."""
_UNUSED = ("pooler.", "position_ids", "mask_token")
"""Weights that no vector of ours depends on: checkpoints may lack them."""


class TorchEncoder:
    """What the three kinds have in common; a kind sets the attributes and the two methods with an underscore."""

    texts = images = False
    dimensions: int
    id: str
    weights_sha256: str
    _side: int
    _mean: Sequence[float]
    _std: Sequence[float]

    def __init__(self, device: str) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise EncoderError("the device cuda was asked for, but torch finds none")
        self._device = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
        self._batch = BATCH if self._device == "cuda" else 1

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """See `Encoder`."""
        if not self.texts:
            raise EncoderError(f"{self.id} encodes images only")
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        positions = [i for i, text in enumerate(texts) if text.strip()]
        for some in _batches(positions, self._batch):
            with torch.inference_mode():
                vectors[some] = _array(self._of_texts([clean_text(texts[i]) for i in some]))
        return unit_rows(vectors)

    def encode_images(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[ImageError]]:
        """See `Encoder`."""
        if not self.images:
            raise EncoderError(f"{self.id} encodes texts only")
        vectors = np.zeros((len(images), self.dimensions), np.float32)
        errors: list[ImageError] = []
        for some in _batches(range(len(images)), self._batch):
            read, pixels = [], []
            for index in some:
                try:
                    pixels.append(square(images[index], self._side))
                    read.append(index)
                except UnreadableImage as error:
                    errors.append(ImageError(index, type(error).__name__, str(error)))
            if read:
                shown = np.stack(pixels).astype(np.float32) / 255
                tensor = (shown - np.array(self._mean, np.float32)) / np.array(self._std, np.float32)
                with torch.inference_mode():
                    given = torch.from_numpy(tensor.transpose(0, 3, 1, 2)).contiguous().to(self._device)
                    vectors[read] = _array(self._of_pixels(given))
        return unit_rows(vectors), errors

    def _name(self, kind: str, what: str, files: Sequence[Path]) -> None:
        self.weights_sha256 = files_sha256(files)
        self.id = f"{kind}-{what}-{self.dimensions}@{self.weights_sha256[:ID_DIGITS]}"

    def _of_texts(self, texts: list[str]) -> torch.Tensor:
        raise NotImplementedError

    def _of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class OpenClip(TorchEncoder):
    """Texts and images in one space: OpenAI's CLIP, BiomedCLIP, BMC-CLIP, SigLIP ..."""

    texts = images = True

    def __init__(self, architecture: str, *, weights: str | None, device: str) -> None:
        """Load an architecture that open_clip knows with a file of weights, or a folder as its hub repositories are.

        Raises:
            WeightsError: no weights are named, or they are not there, or do not fit.
            EncoderError: open_clip does not know the architecture.
        """
        import open_clip

        super().__init__(device)
        folder = Path(architecture)
        if folder.is_absolute():
            file, name = _one_weights_file(folder, "open_clip_config.json"), f"local-dir:{folder}"
        elif architecture not in open_clip.list_models():
            raise EncoderError(f"open_clip knows no architecture {architecture!r}, and it is no absolute folder")
        elif not weights:
            raise WeightsError(
                f"open_clip:{architecture} needs weights: name their file by BIOMEDICA_ENCODER_WEIGHTS "
                "(none are fetched from a hub, and random ones are of no use)"
            )
        else:
            file, name = _local(weights), architecture
        given: dict[str, Any] = {} if folder.is_absolute() else {"pretrained": str(file)}
        try:
            self._model = open_clip.create_model(name, **given, require_pretrained=True, device=self._device).eval()
            self._tokenize = open_clip.get_tokenizer(name)
        except Exception as error:  # of any library below it
            raise WeightsError(f"{file} does not load as {name}: {error}") from error
        shown = self._model.visual.preprocess_cfg
        self._side = shown["size"] if isinstance(shown["size"], int) else max(shown["size"])
        self._mean, self._std = shown["mean"], shown["std"]
        with torch.inference_mode():
            self.dimensions = self._of_texts(["a"]).shape[1]
        self._name("open_clip", folder.name, [file])

    def _of_texts(self, texts: list[str]) -> torch.Tensor:
        return self._model.encode_text(self._tokenize(texts).to(self._device))

    def _of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        return self._model.encode_image(pixels)


class TransformersVision(TorchEncoder):
    """Images by a vision model that transformers can load: DINOv2, RAD-DINO, ViT, ConvNeXt ..."""

    images = True

    def __init__(self, folder: str, *, device: str) -> None:
        """Load a folder as `save_pretrained` writes it: model and image processor.

        Raises:
            WeightsError: it is not there, not complete, or lacks weights.
        """
        super().__init__(device)
        place = Path(folder)
        files = _safetensors(place)
        shown = _json(place / "preprocessor_config.json")
        self._model = _whole_model(place).to(self._device)
        size = shown.get("crop_size") if shown.get("do_center_crop", True) else None
        size = size or shown.get("size") or {}
        side = size if isinstance(size, int) else size.get("height") or size.get("shortest_edge")
        if not side or "image_mean" not in shown or "image_std" not in shown:
            raise WeightsError(f"{place}/preprocessor_config.json does not tell size, image_mean and image_std")
        self._side, self._mean, self._std = int(side), shown["image_mean"], shown["image_std"]
        # A class token is the first position; networks without one are averaged over all positions.
        self._class_token = any(name.endswith("cls_token") for name, _ in self._model.named_parameters())
        with torch.inference_mode():
            probe = torch.zeros(1, 3, self._side, self._side, device=self._device)
            self.dimensions = self._of_pixels(probe).shape[1]
        self._name("transformers", place.name, files)

    def _of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        hidden = self._model(pixel_values=pixels).last_hidden_state
        if hidden.ndim == 4:  # [n, channels, height, width]
            return hidden.mean(dim=(2, 3))
        return hidden[:, 0] if self._class_token else hidden.mean(dim=1)


class SentenceEncoder(TorchEncoder):
    """Texts by a model of sentence-transformers: S-PubMedBERT, MedCPT, SapBERT, Qwen3-Embedding ..."""

    texts = True

    def __init__(self, folder: str, *, device: str) -> None:
        """Load a folder as `SentenceTransformer.save` writes it.

        Raises:
            WeightsError: it is not there, not complete, or lacks weights.
        """
        from sentence_transformers import SentenceTransformer

        super().__init__(device)
        place = Path(folder)
        parts = _json(place / "modules.json")
        first = place / parts[0]["path"]
        files = _safetensors(first)
        _whole_model(first)
        try:
            self._model = SentenceTransformer(str(place), device=self._device, local_files_only=True)
        except Exception as error:  # of any library below it
            raise WeightsError(f"{place} does not load: {error}") from error
        with torch.inference_mode():
            self.dimensions = self._of_texts(["a"]).shape[1]
        later = (part for part in parts[1:] if (place / part["path"]).is_dir())
        files += [file for part in later for file in sorted((place / part["path"]).glob("*.safetensors"))]
        self._name("sentence-transformers", place.name, files)

    def _of_texts(self, texts: list[str]) -> torch.Tensor:
        return self._model.encode(texts, convert_to_tensor=True, show_progress_bar=False, batch_size=BATCH)


def _whole_model(folder: Path) -> Any:
    """The model of a folder, every weight that we use read from its files.

    Raises:
        WeightsError: it does not load, or a weight is missing.
    """
    from transformers import AutoModel

    try:
        model, told = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # of any library below it
        raise WeightsError(f"{folder} does not load: {error}") from error
    missing = [name for name in told["missing_keys"] if not any(part in name for part in _UNUSED)]
    missing += [str(name) for name in told.get("mismatched_keys", ())]
    if missing:
        raise WeightsError(f"{folder} lacks {len(missing)} weights of its model, e.g. {sorted(missing)[0]}")
    return model.eval()


def _safetensors(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsError(f"there are no weights (*.safetensors) in {folder}")
    return files


def _one_weights_file(folder: Path, config: str) -> Path:
    files = _safetensors(folder)
    if len(files) > 1 or not (folder / config).is_file():
        raise WeightsError(f"{folder} must hold {config} and one file of weights (.safetensors)")
    return files[0]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error


def _local(url: str) -> Path:
    """A file of weights on this disk; one elsewhere is copied to the system's folder for temporary files."""
    try:
        if "://" not in url:
            path = Path(url).absolute()
        else:
            folder = Path(tempfile.gettempdir()) / "biomedica-weights"
            path = Path(fsspec.open_local(f"simplecache::{url}", simplecache={"cache_storage": str(folder)}))
    except Exception as error:  # of any file system
        raise WeightsError(f"the weights {url} cannot be read: {error}") from error
    if not path.is_file():
        raise WeightsError(f"there are no weights at {url}")
    return path


def _batches(items: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
