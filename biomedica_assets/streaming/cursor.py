"""Cursors: one line of text that says all about a stream and where in it to go on. Opaque to clients, checked here.

A cursor grants nothing that parameters do not: it is not signed, and everything in it is checked as strictly as if it
had been asked for. What does not belong here: whether the store still holds what it names (`planner`).
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.streaming.plan import Part
from biomedica_assets.streaming.selection import Selection, StreamError, StreamUnit
from biomedica_assets.streaming.withdrawn import ListId

MAX_LENGTH = 6000
"""Characters of the longest cursor: it must fit into a line of HTTP that proxies let pass (8 kB)."""
_MAX_JSON = 100_000

_Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class CursorError(StreamError):
    """Not a cursor that we gave out."""


class Cursor(BaseModel):
    """A stream and a place in it. ``digest`` names the samples, ``position`` counts within the part."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: _Id
    snapshot: _Name | None = None
    filters: Filters = Filters()
    subset: tuple[_Name, _Id] | None = None
    unit: StreamUnit = "image"
    groups: tuple[str, ...] = Field((), max_length=10)
    part: Part = Part()
    withdrawn: tuple[Annotated[str, Field(max_length=16)], Annotated[tuple[_Name, ...], Field(max_length=100)]] = (
        "",
        (),
    )
    digest: _Id
    position: int = Field(0, ge=0, lt=2**31)

    @property
    def selection(self) -> Selection:
        """What it is about."""
        return Selection(self.state, self.filters, self.subset, self.groups, self.snapshot, self.unit)

    @property
    def list_id(self) -> ListId:
        """The withdrawal list that it goes by."""
        return ListId(*self.withdrawn)

    def at(self, position: int, name: ListId | None = None) -> Cursor:
        """The same stream at another position, and maybe by another withdrawal list."""
        changes: dict[str, Any] = {"position": position}
        return self.model_copy(update=changes | ({"withdrawn": tuple(name)} if name is not None else {}))

    def encode(self) -> str:
        """As text: letters, digits, '-' and '_'."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        data = zlib.compress(json.dumps(values, separators=(",", ":"), sort_keys=True).encode(), 9)
        text = base64.urlsafe_b64encode(data).decode().rstrip("=")
        if len(text) > MAX_LENGTH:
            raise StreamError("this filter has too many values for a cursor: make a subset of it and stream that")
        return text


def decode(text: str) -> Cursor:
    """The cursor that a text is. Raises `CursorError`."""
    problem = CursorError("this is not a cursor that this server gives out; begin without one")
    if len(text) > MAX_LENGTH:
        raise problem
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unpacked = zlib.decompressobj()
        words = unpacked.decompress(data, _MAX_JSON)
        if unpacked.unconsumed_tail or unpacked.unused_data or not unpacked.eof:
            raise problem
        cursor = Cursor.model_validate(json.loads(words))
    except (UnicodeError, binascii.Error, zlib.error, RecursionError, ValidationError, ValueError) as error:
        raise problem from error
    return cursor
