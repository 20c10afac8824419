"""The part of a caption that describes each lettered panel.

What does not belong here: the caption's text (`captions.py`), panel letters in running text (`panels.py`).

Precision before recall: a split is made only when markers of one form open their parts ("(A) ... (B) ...", bold
letters, "A, ...", lettered lists) and begin with panel A in order; markers that close what they mark ("IL-1 (A) and
IL-2 (B)") give none.
"""

from __future__ import annotations

import re
from functools import lru_cache

from biomedica_assets.jats.document import Element
from biomedica_assets.jats.text import Inline, Span
from biomedica_assets.schemas import Row

Marker = tuple[int, int, tuple[str, ...]]
"""A panel marker in a caption: start and end offset, and the panels it names."""

_DASH = "[-‐‑–—]"
_GROUP = rf"[A-Za-z](?:\d|[′'])?(?:\s*(?:,|&|and|{_DASH}|to|/)+\s*[A-Za-z](?:\d|[′'])?)*"
# "(A)", "(A, B)", "(a–c)", "[A]", "(A and B)"
_BRACKETED = re.compile(rf"[(\[]\s*({_GROUP})\s*[)\]](?![A-Za-z0-9])")
# "A, ...", "A: ...", "A. ...", "A) ...", "A–C, ..." at the start of a sentence; "Panel A: ..."
_LEADING = re.compile(rf"(?:(?<=^)|(?<=[.;:!?)]\s))(?:[Pp]anels?\s+)?({_GROUP})(?:[,:)]|\.(?!\s+[a-z])|\s[–—-])\s+")
_FIRST = re.compile(r"(?:^|[.;:!?)]\s)(?:[Pp]anels?\s+)?[Aa](?:[,:.)]|\s?[–—-])")
_BOLD = re.compile(rf"({_GROUP})[,:.)]?")
_CLOSES = re.compile(r"\s*(?:[,.;)\]]|(?:and|or)\b|$)")
_STARTS = re.compile(r"(?:^|[.!?]\s)$")
_OPENS_BEFORE = re.compile(r"(?:^|[.;:,!?)\]—–-]|\b(?:and|or|while|whereas)|&)\s*$")


def sub_captions(text: str, spans: list[Span], items: list[Marker]) -> list[Row]:
    """Text of each panel by offset into ``text``; a common beginning belongs to none.

    ``items``: pieces that a lettered list gives already (see `lettered_items`). A marker of several panels
    ("(A, B)") gives each of them the same text. Empty when the caption has no safe split.
    """
    if len(items) > 1:
        return [
            {"panel": panel, "text": text[start:end], "start": start, "end": end}
            for start, end, panels in items
            for panel in panels
        ]
    for find in (_bold_markers, _bracketed, _leading):
        markers = find(text, spans)
        if len(markers) > 1 or (markers and len(markers[0][2]) > 1 and _STARTS.search(text, 0, markers[0][0])):
            rows = _pieces(text, _best(markers))
            if rows:
                return rows
    return []


def lettered_items(captions: list[Element], text: str | None) -> list[Marker]:
    """Items of a lettered list: by their written labels ("A", "B–D"), else by place when ``list-type`` is letters."""
    found: list[Marker] = []
    position = 0
    for caption in captions:
        for listing in caption.iter("list"):
            by_place = (listing.get("list-type") or "").startswith("alpha")
            items = [item for item in listing if item.tag == "list-item"]
            for place, item in enumerate(items[:26]):
                label = next((child for child in item if child.tag == "label"), None)
                panels = _panels(" ".join("".join(label.itertext()).split()).strip("() .")) if label is not None else ()
                if label is None and by_place:
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


def _bracketed(text: str, _: list[Span]) -> list[Marker]:
    if not any(sign in text for sign in ("(A", "(a", "[A", "[a")):
        return []
    return [
        (m.start(), m.end(), panels)
        for m in _BRACKETED.finditer(text)
        if (panels := _panels(m[1]))
        and not _CLOSES.match(text, m.end())
        and _may_open(text, m.start(), m.end(), panels)
    ]


def _leading(text: str, _: list[Span]) -> list[Marker]:
    if not _FIRST.search(text):
        return []
    return [(m.start(), m.end(), panels) for m in _LEADING.finditer(text) if (panels := _panels(m[1]))]


def _bold_markers(text: str, spans: list[Span]) -> list[Marker]:
    """Bold panel letters, bracketed or not: "<bold>a</bold> Order parameter", "(<bold>A</bold> and <bold>B</bold>)"."""
    found: list[Marker] = []
    for start, end, style in spans:
        if style != "bold" or end - start > 24 or (found and start < found[-1][1]):
            continue
        match = _BOLD.fullmatch(text[start:end].strip("()[] "))
        panels = _panels(match[1]) if match else ()
        if not panels:
            continue
        bracketed = text[start] in "(["
        before = text[max(0, start - 2) : start].rstrip(" ")
        if before.endswith(("(", "[")):
            bracketed, start = True, text.rindex(before[-1], 0, start)
            close = _TO_BRACKET.match(text, end)
            if close:
                panels, end = _panels(text[start + 1 : close.end() - 1].strip()) or panels, close.end()
        elif end < len(text) and text[end] in ",.:)":
            end += 1
        if found and (joint := _JOINED.fullmatch(text, found[-1][1] - 1, start)):
            # "<bold>A</bold>, <bold>C</bold> Under ...": one marker in two pieces
            sign = "–" if joint["range"] else ","
            panels = _panels(f"{','.join(found[-1][2])} {sign} {panels[0]}") or panels
            start = found.pop()[0]
        elif (bracketed and _CLOSES.match(text, end)) or not _may_open(text, start, end, panels):
            continue
        found.append((start, end, panels))
    return found


_TO_BRACKET = re.compile(r"[^)\]]{0,24}[)\]]")
_JOINED = re.compile(rf"[A-Za-z,]?\s*(?:(?P<range>{_DASH})|,|&|and)?\s*")


def _may_open(text: str, start: int, end: int, panels: tuple[str, ...]) -> bool:
    """True when a new part may begin here: behind a stop, or before a capital; the first one, behind any words."""
    return (
        panels[0][0] == "A"
        or bool(_OPENS_BEFORE.search(text, max(0, start - 12), start))
        or bool(_CAPITAL.match(text, end))
    )


_CAPITAL = re.compile(r"\s*[A-Z][a-z]{2}")


@lru_cache(maxsize=4096)
def _panels(words: str) -> tuple[str, ...]:
    """'A' -> A; 'a–c' -> A, B, C; 'A, B and D' -> A, B, D; nothing when the letters are no sequence of panels."""
    found: list[str] = []
    previous = 0
    for match in re.finditer(r"(?<![A-Za-z])[A-Za-z]\d?(?![A-Za-z])", words):
        name = match[0].upper()
        if found and re.search(rf"(?:{_DASH}|to)\s*$", words[previous : match.start()]):
            found.extend(chr(code) for code in range(ord(found[-1][0]) + 1, ord(name[0])))
        found.append(name)
        previous = match.end()
    return tuple(found) if found == sorted(set(found)) and len(found) <= 26 else ()


def _best(markers: list[Marker]) -> list[Marker]:
    """The markers that open the panels: of single letters only, unless groups ("(B, C)") cover more panels."""
    every = _ordered(markers)
    lone = [marker for marker in markers if len(marker[2]) == 1]
    if len(lone) == len(markers):
        return every
    single = _ordered(lone)
    return every if sum(len(m[2]) for m in every) > sum(len(m[2]) for m in single) else single


def _ordered(markers: list[Marker]) -> list[Marker]:
    """Markers in the order of their panels, from A on; a letter met again is a reference back, and passed over."""
    chosen: list[Marker] = []
    seen: set[str] = set()
    letters: set[str] = set()
    expected = "A"
    for marker in markers:
        panels = marker[2]
        letter = panels[0][0]
        if seen.isdisjoint(panels) and (letter == expected or (letters and letter == max(letters))):
            chosen.append(marker)
            seen.update(panels)
            letters.update(panel[0] for panel in panels)
            while expected in letters:
                expected = chr(ord(expected) + 1)
    return chosen


_JOINT = re.compile(r"[\s,;]+(?:and|or|&)$")


def _pieces(text: str, markers: list[Marker]) -> list[Row]:
    """Text from behind each marker to the next one; nothing at all when a piece is empty."""
    rows: list[Row] = []
    for i, (_, end, panels) in enumerate(markers):
        stop = markers[i + 1][0] if i + 1 < len(markers) else len(text)
        start = end
        while start < stop and text[start] in " :.,;–—-":
            start += 1
        while stop > start and text[stop - 1] in " ;,(":
            stop -= 1
        if i + 1 < len(markers) and (joint := _JOINT.search(text, max(start, stop - 8), stop)):
            stop = joint.start()
        if stop - start < 2:
            return []
        rows.extend({"panel": panel, "text": text[start:stop], "start": start, "end": stop} for panel in panels)
    return rows if len(rows) > 1 else []
