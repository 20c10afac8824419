"""The panels that a figure's caption and the text name, and the words of the caption that belong to each.

What does not belong here: pictures. How a caption is split into parts is `jats.subcaptions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

MOST_LETTERS = 26


class Part(NamedTuple):
    """A panel's own words: offsets into ``captions.text``, and the text between them."""

    start: int
    end: int
    text: str


class Named(NamedTuple):
    """What is known of a figure's panels before its picture is looked at.

    ``letters``: single capitals in order; ``parts`` by letter, for those that have words of their own; ``files``: how
    many graphics the figure has; ``own_letter``: of the whole file, where each panel is a file of its own.
    """

    letters: tuple[str, ...] = ()
    parts: dict[str, Part] = {}  # noqa: RUF012 - never changed
    files: int = 1
    own_letter: str | None = None


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
        letter, start, end = row["panel"][:1].upper(), row["start"], row["end"]
        if letter in parts and parts[letter].start <= start:
            start, end = parts[letter].start, max(parts[letter].end, end)
        if letter.isalpha():
            parts[letter] = Part(start, end, (text or "")[start:end])
    letters = set(parts)
    if len(parts) != 1:
        letters |= {name[:1].upper() for name in mentioned if name[:1].isalpha() and name[:1].isascii()}
    # Text that names B and D means that A and C are there; one far letter ("Fig. 2X") means nothing.
    for letter in sorted(letters - set(parts)):
        if ord(letter) - ord("A") > 2 * len(letters):
            letters.discard(letter)
    if letters:
        letters |= {chr(code) for code in range(ord("A"), ord(max(letters)))}
    found = tuple(sorted(letters)) if 2 <= len(letters) <= MOST_LETTERS else ()
    own = found[place - 1] if files > 1 and files == len(found) else None
    return Named(found, parts, files, own)
