"""The part of a caption that describes each panel.

What does not belong here: the caption's text (`captions.py`), how markers look (`markers.py`), where the matter that
speaks of the whole figure begins (`general.py`), panel letters in running text (`panels.py`).

Precision before recall: a split is made only of markers of one form that name panels in order from A on, or of places
(left and right, top and bottom). Markers open their part ("(A) ... (B) ...", bold letters, "A, ...", lettered lists)
or close it ("IL-1 (A) and IL-2 (B)"); a marker that does neither clearly is none.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from biomedica_assets.jats.document import Element
from biomedica_assets.jats.general import general_from, sentences
from biomedica_assets.jats.markers import FINDERS, Marker, panels_of, positions, refers, unopened
from biomedica_assets.jats.text import Inline, Span
from biomedica_assets.schemas import Row

Item = tuple[int, int, tuple[str, ...]]
"""Text of panels: start and end offset, and the panels it describes."""


def sub_captions(text: str, spans: list[Span], items: list[Item], blocks: Iterable[int] = ()) -> list[Row]:
    """Text of each panel by offset into ``text``; what speaks of the whole figure belongs to none.

    ``items``: pieces that a lettered list gives already (see `lettered_items`). ``blocks``: where title and paragraphs
    begin. A marker of several panels ("(A, B)") gives each of them the same text. Panels are letters in upper case,
    or places (LEFT, RIGHT, TOP, BOTTOM, MIDDLE, TOP LEFT ...). Empty when the caption has no safe split.
    """
    pieces = items if len(items) > 1 else _split(text, spans, frozenset(blocks))
    return [
        {"panel": panel, "text": text[start:end], "start": start, "end": end}
        for start, end, panels in pieces
        for panel in panels
    ]


def lettered_items(captions: list[Element], text: str | None) -> list[Item]:
    """Items of a lettered list: by their written labels ("A", "B–D"), else by place when ``list-type`` is letters."""
    found: list[Item] = []
    position = 0
    for caption in captions:
        for listing in caption.iter("list"):
            by_place = (listing.get("list-type") or "").startswith("alpha")
            items = [item for item in listing if item.tag == "list-item"]
            for place, item in enumerate(items[:26]):
                label = next((child for child in item if child.tag == "label"), None)
                panels: tuple[str, ...] = ()
                if label is not None:
                    panels = panels_of(" ".join("".join(label.itertext()).split()).strip("() ."))
                elif by_place:
                    panels = (chr(ord("A") + place),)
                out = Inline([], flat=True)
                for child in item:
                    if child is not label:
                        out.add(child)
                words = out.finish()
                start = text.find(words, position) if words and text and panels else -1
                if start >= 0:
                    position = start + len(words)
                    found.append((start, position, panels))
    return found


def _split(text: str, spans: list[Span], blocks: frozenset[int]) -> list[Item]:
    """The split that names most panels."""
    best: list[Item] = []
    named = 0
    forms = [markers for find in FINDERS if (markers := find(text, blocks, spans))]
    all_named = [len({panel for marker in markers for panel in marker.panels}) for markers in forms]
    ends = sentences(text, blocks) if forms else []
    for chain in (_opening, _opening_between_words, _opening_in_rows, _closing, _closing_then_opening):
        for markers, most in zip(forms, all_named, strict=True):
            if most > named:
                chosen = chain(text, markers)
                count = sum(len(marker.panels) for marker in chosen)
                if count > named and (pieces := _pieces(text, chosen, ends)):
                    best, named = pieces, count
    if best or any(marker.panels[0] == "A" for markers in forms for marker in markers):
        return best
    chosen = _placed(list(positions(text, blocks)))
    return _pieces(text, chosen, sentences(text, blocks)) if chosen else []


# ---- which markers -----------------------------------------------------------------------------------------------


def _opening(_: str, markers: list[Marker]) -> list[Marker]:
    """Markers that open a part; one between words only where another one joins it: "of (A) kinesin and (B) dynein"."""
    return _alone(_ordered(_openers(markers)))


def _openers(markers: list[Marker]) -> list[Marker]:
    found = []
    for i, marker in enumerate(markers):
        following = markers[i + 1] if i + 1 < len(markers) else None
        joins = following is not None and following.role == "opens" and not following.begins
        if marker.role == "opens" or (marker.role == "either" and joins):
            found.append(marker)
    return found


def _opening_between_words(text: str, markers: list[Marker]) -> list[Marker]:
    """Markers that open a part, without signs before them: "(A) Control (B) 5 mg (C) 10 mg"."""
    return _alone(_ordered([m for m in markers if m.role != "closes" and (m.role == "opens" or not refers(text, m))]))


def _opening_in_rows(_: str, markers: list[Marker]) -> list[Marker]:
    """Markers in another order, without a gap: "CD4 (A) before and (C) after; CD8 (B) before and (D) after"."""
    chosen: list[Marker] = []
    seen: set[str] = set()
    for marker in _openers(markers):
        if seen.isdisjoint(marker.panels):
            chosen.append(marker)
            seen.update(marker.panels)
    return chosen if len(chosen) > 1 and _gapless(chosen) else []


def _gapless(markers: list[Marker]) -> bool:
    letters = sorted(panel for marker in markers for panel in marker.panels)
    return letters == [chr(ord("A") + i) for i in range(len(letters))]


def _alone(chosen: list[Marker]) -> list[Marker]:
    """A single marker is a split only when it names several panels and begins a sentence."""
    return chosen if len(chosen) > 1 or (chosen and len(chosen[0].panels) > 1 and chosen[0].begins) else []


def _ordered(markers: list[Marker]) -> list[Marker]:
    """Markers in the order of their panels, from A on.

    A letter met again is a reference back, and passed over; where it begins a sentence of its own behind a group
    ("(A, B) Leaves of plants. (A) Wild type and (B) mutant"), the group gives way to it.
    """
    chosen: list[Marker] = []
    holder: dict[str, int] = {}
    letters: set[str] = set()
    last, free = "@", "A"
    refining = False
    for marker in markers:
        panels, letter = marker.panels, marker.panels[0][0]
        if holder.keys().isdisjoint(panels):
            if not (last <= letter <= chr(ord(last) + 1) or (letter == free and marker.role != "either")):
                continue
            refining = False
        else:
            refining = (
                (marker.begins or refining)
                and marker.role == "opens"
                and all(panel in holder and len(chosen[holder[panel]].panels) > len(panels) for panel in panels)
            )
            if not refining:
                continue
        holder.update(dict.fromkeys(panels, len(chosen)))
        letters.update(panel[0] for panel in panels)
        last = max(letters)
        while free in letters:
            free = chr(ord(free) + 1)
        chosen.append(marker)
    return [
        marker._replace(panels=tuple(panel for panel in marker.panels if holder[panel] == i))
        for i, marker in enumerate(chosen)
    ]


_CLAUSE = re.compile(r"\s*,\s*(?:which|who|where|whose|showing)\b")


def _closing(text: str, markers: list[Marker]) -> list[Marker]:
    """Markers behind what they mark, from A on without a gap; none when one of them is a reference."""
    chosen: list[Marker] = []
    seen: set[str] = set()
    free = "A"
    for marker in markers:
        if marker.role == "opens":
            if chosen:
                continue
            return []
        if len(chosen) == 1 and len(chosen[0].panels) > 2 and marker.panels[0] == "A":
            chosen, seen, free = [], set(), "A"  # "... in neurons (A–C). Red (A), green (B) and both (C)"
        if marker.panels[0] != free or not seen.isdisjoint(marker.panels):
            continue
        if refers(text, marker) or _CLAUSE.match(text, marker.end):
            return []
        chosen.append(marker)
        seen.update(marker.panels)
        while free in seen:
            free = chr(ord(free) + 1)
    sure = sum(marker.role == "closes" for marker in chosen) * 2 >= len(chosen)
    return [m._replace(role="closes") for m in chosen] if len(chosen) > 1 and sure and _gapless(chosen) else []


def _closing_then_opening(text: str, markers: list[Marker]) -> list[Marker]:
    """ "Seeds (A) and roots (B) of rice. (C) Yield." """
    closing = _closing(text, markers)
    return _ordered(
        [*closing, *(m for m in markers if m.role == "opens" and m.start > closing[-1].end)] if closing else []
    )


def _placed(markers: list[Marker]) -> list[Marker]:
    """Places that name panels, when they are all of one role, each met once, and face each other."""
    names = [marker.panels[0] for marker in markers]
    roles = {marker.role for marker in markers if marker.role != "either"} or {"closes"}
    words = {word for name in names for word in name.split()}
    facing = ({"LEFT", "RIGHT"} <= words) != ({"TOP", "BOTTOM"} <= words) or any(" " in name for name in names)
    if not words or len(set(names)) != len(names) or len(roles) != 1 or not facing:
        return []
    return [marker._replace(role=next(iter(roles))) for marker in markers]


# ---- their text --------------------------------------------------------------------------------------------------

_JOINT = re.compile(r"[\s,;]+(?:and|or|&|while|whereas)$")
_JOINED = re.compile(r"(?:and|or|&)\s+")


def _pieces(text: str, markers: list[Marker], ends: list[int]) -> list[Item]:
    """Text of each marker; nothing at all when a piece is empty."""
    found: list[Item] = []
    first = next((marker.start for marker in markers if marker.panels), 0)
    for i, marker in enumerate(markers):
        before = markers[i - 1] if i else None
        after = markers[i + 1] if i + 1 < len(markers) else None
        if marker.role == "closes":
            start = ends[bisect_right(ends, marker.start) - 1]
            start, stop = max(start, before.end if before else 0), marker.start
        else:
            start, _ = _trimmed(text, marker.end, after.start if after else len(text), False)
            stop = _stop(text, start, marker, after, ends, first)
            if not marker.begins and (closing := unopened(text[start:stop])):
                stop = start + min(closing)  # "(a: control, b: treated)"
        start, stop = _trimmed(text, start, stop, after is not None or marker.role == "closes")
        if stop - start < (2 if marker.role == "opens" else 1):
            return []
        if marker.panels:
            found.append((start, stop, marker.panels))
    return found if sum(len(panels) for _, _, panels in found) > 1 else []


def _stop(text: str, start: int, marker: Marker, after: Marker | None, ends: list[int], first: int) -> int:
    """Where the text of an opening marker ends, at the latest: at the next marker, or before general matter.

    What a marker opens within a sentence ends with the sentence; the words that lead to a marker within the next
    sentence are not part of it.
    """
    stop = after.start if after else len(text)
    inner = ends[bisect_right(ends, start) : bisect_left(ends, stop)]
    if inner and after and (after.role == "closes" or not after.joined):
        return inner[-1]
    if inner and not marker.begins and (after is None or after.begins):
        return inner[0]
    return stop if after else general_from(text, first, marker, inner)


def _trimmed(text: str, start: int, stop: int, inside: bool) -> tuple[int, int]:
    """Offsets without the signs and joining words at both ends."""
    while start < stop and text[start] in " :.,;–—-)":
        start += 1
    if joint := _JOINED.match(text, start, stop):
        start = joint.end()
    while stop > start and text[stop - 1] in " ;,(":
        stop -= 1
    if inside and (joint := _JOINT.search(text, max(start, stop - 9), stop)):
        stop = joint.start()
    return start, stop
