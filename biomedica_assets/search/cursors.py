"""Cursors: where the next page of a search begins. Opaque to whoever holds one, and checked when it comes back.

A cursor holds the generation it belongs to, a place and how strictly words were taken, and is bound to the request it
came from: sent with another one it is an error. It holds nothing secret, and a forged one leads nowhere that a longer
walk would not. What does not belong here: pages themselves (`searcher`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass

from biomedica_assets.search.requests import CursorError, SearchRequest

MAX_PLACE = 10_000
"""Hits behind this place are not paged to: a stream gives them all."""


@dataclass(frozen=True)
class Place:
    """``generation`` of the index, 0-based ``offset`` of the next hit, whether words were taken loosely."""

    generation: str
    offset: int
    loose: bool


def fingerprint(request: SearchRequest) -> str:
    """16 hex digits that are the same for every page of one search."""
    fields = request.model_dump(mode="python", exclude={"cursor", "limit", "facets", "image", "filters"})
    fields["image"] = hashlib.sha256(request.image).hexdigest() if request.image else None
    fields["filters"] = request.filters.active()
    return hashlib.sha256(json.dumps(fields, sort_keys=True, default=list).encode("utf-8", "replace")).hexdigest()[:16]


def write_cursor(place: Place, request: SearchRequest) -> str:
    """The cursor of a place in a search."""
    body = f"{place.generation}.{place.offset}.{int(place.loose)}"
    text = f"{body}.{_check(body, request)}"
    return _encoded(text)


def read_cursor(cursor: str, request: SearchRequest) -> Place:
    """The place that a cursor means.

    Raises:
        CursorError: it was never given out, was changed, or belongs to another search.
    """
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise CursorError("this is no cursor: search again without it") from error
    if _encoded(text) != cursor:  # one place has one cursor, though base64 has several spellings
        raise CursorError("this is no cursor: search again without it")
    match = re.fullmatch(r"(([0-9a-f]{16})\.(0|[1-9]\d{0,5})\.([01]))\.([0-9a-f]{16})", text)
    if not match or int(match[3]) > MAX_PLACE:
        raise CursorError("this is no cursor: search again without it")
    if match[5] != _check(match[1], request):
        raise CursorError("the cursor belongs to another search: send it with the words and filters it came from")
    return Place(match[2], int(match[3]), match[4] == "1")


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _check(body: str, request: SearchRequest) -> str:
    return hashlib.sha256(f"{body}|{fingerprint(request)}".encode()).hexdigest()[:16]
