"""Tensors of an old torch checkpoint (a row of pickles, then raw storages) as numpy arrays, without torch.

A pickle can name any function to call. This reader admits the three names that a dict of tensors needs and refuses
every other, so that no code of the file's author runs. Newer checkpoints are zip files and are not read here: take
safetensors.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from biomedica_assets.models.encoders import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C
"""First pickle of the format, from torch/serialization.py."""
_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class _View(NamedTuple):
    """A tensor before its storage is read: strides count elements, and may be those of another order of the axes."""

    storage: str
    type: np.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """All tensors by name, contiguous, in the shape and order that torch would show.

    Raises:
        WeightsError: not this format, damaged, or asking for anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except (
        pickle.UnpicklingError,
        struct.error,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
    ) as error:
        raise WeightsError(f"{path} is no checkpoint we read: {error or type(error).__name__}") from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    magic, protocol, system = (_Tensors(file).load() for _ in range(3))
    if magic != MAGIC or protocol != 1001 or not system["little_endian"]:
        raise ValueError("the header is not that of a little-endian torch checkpoint")
    views: dict[str, _View] = _Tensors(file).load()
    types = {view.storage: view.type for view in views.values()}
    storages = {}
    for key in _Tensors(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        data = file.read(count * types[key].itemsize)
        storages[key] = np.frombuffer(data, types[key], count)
    return {name: _tensor(storages[view.storage], view) for name, view in views.items()}


def _tensor(storage: np.ndarray, view: _View) -> np.ndarray:
    last = view.offset + sum((n - 1) * step for n, step in zip(view.shape, view.strides, strict=True))
    if min(view.offset, *view.shape, *view.strides, 0) < 0 or last >= len(storage):
        raise ValueError("a tensor reaches outside of its storage")
    strides = [step * storage.itemsize for step in view.strides]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, strides))


class _Tensors(pickle.Unpickler):
    """Admits OrderedDict, the maker of tensors and the types of storage; nothing of torch is imported."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not part of any tensor")

    def persistent_load(self, pid: Any) -> Any:
        kind, storage_type, key, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"unknown persistent object {kind!r}")
        return key, _TYPES[storage_type]


def _rebuild(
    storage: tuple[str, np.dtype], offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _View:
    return _View(*storage, offset, tuple(shape), tuple(strides))
