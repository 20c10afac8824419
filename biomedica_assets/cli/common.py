"""What commands share: the store of the settings, and errors as sentences instead of tracebacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from biomedica_assets.store.files import Files


def open_store() -> Files:
    """The store that the settings name."""
    from biomedica_assets.settings import Settings
    from biomedica_assets.store.files import Files

    return Files(Settings().store)


@contextmanager
def explained(*errors: type[Exception]) -> Iterator[None]:
    """What a person can act on, without a traceback: errors of the store, of reading and writing, and these."""
    from biomedica_assets.store.manifests import StoreError

    expected: tuple[type[Exception], ...] = (StoreError, OSError, *errors)
    try:
        yield
    except expected as error:
        raise click.ClickException(str(error)) from error
