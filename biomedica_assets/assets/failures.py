"""Failures of assets as a person should read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg


@contextmanager
def explained(*errors: type[Exception]) -> Iterator[None]:
    """What a person must mend, these errors, fails with the reason alone and is not tried again."""
    try:
        yield
    except errors as error:
        raise dg.Failure(str(error), allow_retries=False) from error
