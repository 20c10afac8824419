"""Files of arrays that this room ships: read whole, named by their checksum.

What does not belong here: what is in them (`vocabulary`, `tagger`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from biomedica_assets.entities.annotators import AnnotatorError

_Made = TypeVar("_Made")


def load_arrays(
    path: Path,
    make: Callable[[dict[str, np.ndarray], str], _Made],
    what: str,
    made_by: str,
    error: type[AnnotatorError],
) -> _Made:
    """What is made of a file's arrays and its SHA-256.

    Args:
        path: npz file.
        make: of the arrays by name and the SHA-256.
        what: it is, for people.
        made_by: the command that makes the file anew.
        error: raised when the file is missing or damaged; says what to do.
    """
    try:
        data = path.read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return make({name: file[name] for name in file.files}, hashlib.sha256(data).hexdigest())
    except FileNotFoundError as missing:
        raise error(f"{path} is missing: it is part of the checkout, or made by {made_by}") from missing
    except (ValueError, KeyError, OSError, EOFError) as fault:
        raise error(f"{path} is not a {what}: {fault}; make it anew by {made_by}") from fault
