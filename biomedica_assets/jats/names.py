"""Figures named in the text without a link ("as shown in Fig. 3B"): mentions of kind "text".

What does not belong here: links (`mentions.py`).

A name counts when its label is that of exactly one figure of the same (sub-)article, and the words around it do not
say that the figure is elsewhere ("Fig. 3 of [12]", "Supplementary Fig. 3", "their Fig. 2").
"""

from __future__ import annotations

import re
from bisect import bisect, bisect_left
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate

from biomedica_assets.jats.labels import DASHES, LabelIndex, series_name
from biomedica_assets.jats.panels import panels_behind
from biomedica_assets.jats.surface import NUMBER, Item, Mention, may_be_listed
from biomedica_assets.jats.walk import Block, Walk

_NAME_LIST = re.compile(r"\.?\s*(?=[A-Z]{0,3}\d)")
_NEXT = re.compile(
    rf"\s*(?P<sign>[{DASHES}]|,\s*(?:and\b)?|&|and\b|or\b|to\b|e\b|y\b|et\b|und\b|/)\s*(?:[Ff]igs?\.?\s*)?(?=[A-Z]{{0,3}}\d)"
)
_NAME = r"[A-Z][\w’'-]+"
_ELSEWHERE_AFTER = re.compile(
    rf"\s*[{DASHES}]+\s*(?:figure|source|video|table|supplement)|\s*[{DASHES},]\s*(?:fig(?:ure|\.)?\s+)?supplement|"
    rf"\s*[{DASHES}]\s*(?i:fig(?:ure|\.)?\s+supplement)|\s*[,;]?\s*(?:and\s+(?:Table|Fig\w*)\.?\s+\w+\s*)?(?:"
    rf"\(?(?:of|in|from|by)\s+(?:the\s+)?(?:refs?\b|reference|\[|\(|\d|{_NAME}\s+(?:et\b|and\b|&|\()|"
    rf"{_NAME}(?:\s+[A-Z]\.)*,?\s*\(?\d{{4}}|supplement|additional|supporting|appendix|previous|original|published|"
    rf"cited|that\s+(?:paper|article|study)|their|our\s+previous|\Z)"
    rf"|\(?(?:Supplement|Additional)|{_NAME}\s+et\s+al)"
)
"""What follows a figure of another publication, or of a supplement: "of [12]", "in Lin et al.", "; Lin et al."."""
_ELSEWHERE_BEFORE = re.compile(
    r"(?:(?:supp\w*|supporting|additional)\.?(?:\s+(?!and\b|in\b|to\b)\w+){0,2}|extended[- ]data|online|"
    r"appendix(?: \w)?|web|responses?|reviewers?|their|his|her|ref\.? ?\d*|et al\.?,?(?: \(?\d{4}[a-z]?\)?)?,?|"
    r"(?:plate|pl\.|tab\.|t\.|p\.|pp\.)\s*[\w–-]+,?)[\s:.,;]*\(?$",
    re.IGNORECASE,
)
"""What precedes one: "Supplementary", "Additional file 1:", "their", "plate 4,"."""


class _Links:
    """Where the links of a block, and the words read as theirs, stand."""

    def __init__(self, block: Block, linked: list[Mention]) -> None:
        text, links = block.text, block.links
        taken = sorted([(m.start, m.end) for m in linked] + [link[:2] for link in links])
        self._starts = [start for start, _ in taken]
        self._ends = list(accumulate((end for _, end in taken), max))
        # An empty link, or one around a dash, is no obstacle.
        self._obstacles = sorted(start for start, end, _, _ in links if any(map(str.isalnum, text[start:end])))
        self._length = len(text)
        self.wordless = {m.start for m in linked if not any(map(str.isdigit, text[m.start : m.end]))}
        """Starts of links that need a name beside them ("Fig. 4<xref/>", "Fig. 1 <xref>A</xref>")."""

    def cover(self, place: int) -> bool:
        """True when a place is inside a link."""
        before = bisect(self._starts, place)
        return before > 0 and self._ends[before - 1] > place

    def next(self, place: int) -> int:
        """Where the next link with words begins, or else the text ends."""
        position = bisect_left(self._obstacles, place)
        return self._obstacles[position] if position < len(self._obstacles) else self._length


class NameFinder:
    """Finds figures named without a link, by the words that the article's own labels use."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.places = _places(walk)
        """Offsets in each block (by its position among all) at which a name may begin."""
        self._patterns = [_pattern(frozenset(word.lower() for word in index.words)) for index in walk.labels]

    def find(self, block: Block, places: list[int], linked: list[Mention]) -> list[Mention]:
        """Mentions of kind "text" at some places of a block, outside its links."""
        text, pattern = block.text, self._patterns[block.scope]
        worded = {start for start, end, _, _ in block.links if start < end}
        if worded.issuperset(places):
            return []  # as nearly always: every name is the words of a link
        links = _Links(block, linked)
        found: list[Mention] = []
        for place in places:
            if (found and place < found[-1].end) or (place and text[place - 1].isalnum()):
                continue
            word = pattern.match(text, place)
            if word and not links.cover(place) and (limit := links.next(place)) >= word.end():
                found.extend(self._named(block, word, limit, links))
        return found

    def _named(self, block: Block, word: re.Match[str], limit: int, links: _Links) -> list[Mention]:
        text, index = block.text, self.walk.labels[block.scope]
        gap = _NAME_LIST.match(text, word.end(), limit)
        if not gap:
            return []
        items: list[tuple[Item, str]] = []  # with the sign that leads to it
        position, sign = gap.end(), ""
        while match := NUMBER.match(text, position, limit):
            panels = panels_behind(text, match.end(), limit)
            if panels and panels.letters == ["S"]:
                return []  # "Fig. 4S": the fourth of a supplement
            end = panels.end if panels else match.end()
            prefix = (match["prefix"] or "").rstrip(".")
            item = Item(prefix, int(match["number"]), match.start(), end, panels.letters if panels else [])
            items.append((item, sign))
            following = _NEXT.match(text, end, limit)
            if not following:
                break
            position, sign = following.end(), following["sign"]
        plural = word[0][-1:] in "sS"
        while len(items) > 1 and items[-1][1] not in (*DASHES, "to"):
            item, sign = items[-1]
            if may_be_listed(text, item.start, item.end, sign, plural) or item.end == limit:
                break
            items = items[:-1] if plural else items[:1]
        if not items:
            return []
        end = items[-1][0].end
        if text[end : end + 1] == "%":
            return []
        if links.wordless.isdisjoint((end, end + 1, end + 2)) and (
            _ELSEWHERE_AFTER.match(text, end, min(len(text), end + 60))
            or _ELSEWHERE_BEFORE.search(text[max(0, word.start() - 40) : word.start()])
        ):
            return []
        return list(self._mentions(block, index, word, items))

    def _mentions(
        self, block: Block, index: LabelIndex, word: re.Match[str], items: list[tuple[Item, str]]
    ) -> Iterator[Mention]:
        head = word[0]
        previous: tuple[str, Item, int] | None = None
        for i, (item, sign) in enumerate(items):
            series = series_name(f"{head} {item.prefix}")
            in_range = bool(sign) and (sign in DASHES or sign == "to")
            if in_range and previous and not item.prefix:
                series = previous[0]
            letters = item.panels
            figure_id = index.find(series, item.number)
            if figure_id is None and letters:
                figure_id = index.find(series, item.number, letters[0])
                letters = letters[1:] if figure_id else letters
            start = word.start() if i == 0 else item.start
            end = item.end
            if previous and in_range and previous[0] == series and previous[1].number < item.number:
                for between in index.between(series, (previous[1].number, "~"), (item.number, "")):
                    if between != block.figure_id:
                        yield Mention(between, previous[2], end, [], True, "text")
            if figure_id and figure_id != block.figure_id:
                yield Mention(figure_id, start, end, letters, False, "text")
            previous = (series, item, start)


def _places(walk: Walk) -> dict[int, list[int]]:
    """Places of hints by block: one search in all text costs a third of a search in every block."""
    places: dict[int, list[int]] = {}
    hints = _hints(set().union(*(index.words for index in walk.labels)))
    if hints:
        text = "\n".join([block.text for block in walk.blocks])
        starts = list(accumulate((len(block.text) + 1 for block in walk.blocks), initial=0))
        for hint in hints:
            position = text.find(hint)
            while position >= 0:
                number = bisect(starts, position) - 1
                places.setdefault(number, []).append(position - starts[number])
                position = text.find(hint, position + len(hint))
        for found in places.values():
            found.sort()
    return places


def _hints(names: set[str]) -> tuple[str, ...]:
    """Strings one of which stands in every text that names a figure: a quick test before any pattern."""
    hints: list[str] = []
    for name in sorted(names):
        word = name.split()[0].lower()
        hints.extend(("Fig", "fig", "FIG") if word.startswith("fig") else (word, word.capitalize(), word.upper()))
    return tuple(dict.fromkeys(hints))


@lru_cache(maxsize=256)
def _pattern(names: frozenset[str]) -> re.Pattern[str]:
    """What the article's labels call a figure ("Fig", "Author response image"), as its text may write it."""
    patterns = {
        r"figures?|figs?|figuras?|figurs?"
        if name.startswith("fig")
        else r"\s+".join(map(re.escape, name.split())) + "s?"
        for name in names
    }
    return re.compile(rf"(?:{'|'.join(sorted(patterns)) or '(?!)'})(?![A-Za-z])", re.IGNORECASE)
