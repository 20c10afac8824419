"""The panels that a figure's caption and the text name, and the words of the caption that belong to each.

What does not belong here: pictures. How a caption is split into parts is `jats.subcaptions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

MOST_LETTERS = 26
MOST_SKIPPED = 3
"""Panels in a row that the text may pass over, plus one."""

_LETTERED = re.compile(r"([A-Z])(?![A-Z])")
_RANKS = {"TOP": (0, 0), "LEFT": (0, 0), "MIDDLE": (1, 0), "BOTTOM": (2, 0), "RIGHT": (0, 2)}
"""Row and column of the words that name places."""


class Part(NamedTuple):
    """A panel's own words: offsets into ``captions.text``, and the text between them."""

    start: int
    end: int
    text: str


class Named(NamedTuple):
    """What is known of a figure's panels before its picture is looked at.

    ``letters``: single capitals in order; ``places``: words like LEFT or TOP RIGHT that name panels instead, from left
    to right or row by row; ``parts`` by letter or place, for those that have words of their own; ``files``: how
    many graphics the figure has; ``own_letter``: of the whole file, where each panel is a file of its own. ``counted``:
    the caption itself names all the letters, so that there are as many panels.
    """

    letters: tuple[str, ...] = ()
    parts: dict[str, Part] = {}  # noqa: RUF012 - never changed
    files: int = 1
    own_letter: str | None = None
    counted: bool = False
    places: tuple[str, ...] = ()


def named_panels(
    text: str | None,
    sub_captions: Sequence[dict[str, Any]] | None,
    mentioned: Iterable[str] = (),
    *,
    files: int = 1,
    place: int = 1,
    own_letter: str | None = None,
) -> Named:
    """The letters and parts of a figure.

    Names with numbers ("A1", "A2") are parts of one lettered panel: its words reach from the first to the last.

    Args:
        text: ``captions.text``.
        sub_captions: ``captions.sub_captions``.
        mentioned: panels that paragraphs name ("Figure 2B-D"), as in ``mentions.panels``.
        files: graphics of the figure.
        place: of the file among them, from 1.
        own_letter: what the figure's label says, when it is a letter alone: then the whole caption is its words.
    """
    if own_letter:
        return Named((own_letter,), {own_letter: Part(0, len(text), text)} if text else {}, files, own_letter)
    parts: dict[str, Part] = {}
    for row in sub_captions or ():
        match, start, end = _LETTERED.match(row["panel"]), row["start"], row["end"]
        name = match[1] if match else row["panel"]
        if name in parts:
            start, end = min(parts[name].start, start), max(parts[name].end, end)
        parts[name] = Part(start, end, (text or "")[start:end])
    letters = {name for name in parts if len(name) == 1}
    if not letters and len(parts) > 1 and all(word in _RANKS for name in parts for word in name.split()):
        return Named((), parts, files, None, False, tuple(sorted(parts, key=_rank)))
    if len(letters) != 1:
        letters |= {match[1] for name in mentioned if (match := _LETTERED.match(name))}
    # Text that names B and D means that A and C are there; a far letter ("Fig. 2X") means nothing.
    run = 0
    for letter in sorted(letters):
        number = ord(letter) - ord("A") + 1
        if number - run <= MOST_SKIPPED or letter in parts:
            run = number
    letters = {chr(ord("A") + number) for number in range(run)}
    found = tuple(sorted(letters)) if 2 <= len(letters) <= MOST_LETTERS else ()
    own = found[place - 1] if files > 1 and files == len(found) else None
    return Named(found, parts, files, own, files == 1 and set(found) == set(parts))


def _rank(place: str) -> int:
    """Order of the names of places: row by row, MIDDLE between the others."""
    row, column = (max(_RANKS[word][axis] for word in place.split()) for axis in (0, 1))
    return 3 * row + column if " " in place else row + column
