"""Mentions: what the links, and the unlinked names of figures, in the text blocks mean.

What does not belong here: panel letters (`panels.py`), labels (`labels.py`), finding blocks and links (`walk.py`).

Every link to a known figure is a mention, whatever its ``ref-type``; one row per figure. Written ranges are filled
by label order within one series ("Figs 1-4", in one link or across two): the figures between the written end points
have ``expanded`` set and the range as surface text. A figure named without a link is a mention of kind "text" when
its label is that of exactly one figure of the same (sub-)article.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from biomedica_assets.jats.labels import DASHES, Label, LabelIndex, series_name
from biomedica_assets.jats.panels import Panels, panels_behind, panels_inside
from biomedica_assets.jats.text import Link
from biomedica_assets.jats.walk import Block, Walk
from biomedica_assets.schemas import Row

_NUMBER = re.compile(r"(?<![A-Za-z0-9.])(?P<prefix>[A-Z]{1,3}\.?)?(?P<number>\d{1,3})(?!\d|\.\d)")
_RANGE = re.compile(rf"\s*\)?\s*(?:[{DASHES}]+|to|through|thru|until|bis)\s*", re.IGNORECASE)
_GAP_RANGE = re.compile(
    rf"\s*\)?\s*(?P<sign>[{DASHES}]+|to|through|thru|bis)\s*\(?\s*(?P<word>[A-Za-z]+\.?)?\s*", re.IGNORECASE
)
_LIST_GAP = re.compile(r"\s*(?:,|;|&|/|\+|and|or|,\s*and|e|y|et|und)\s*$", re.IGNORECASE)


@dataclass(slots=True)
class Mention:
    """One figure at one place of a block; offsets into the block's text."""

    figure_id: str
    start: int
    end: int
    panels: list[str] = field(default_factory=list)
    expanded: bool = False
    kind: str = "xref"
    rid: str | None = None


class _Item(NamedTuple):
    """One number in a surface text: its letters before, where it stands, and the panels behind it."""

    prefix: str
    number: int
    start: int
    end: int
    panels: Panels | None


def resolve(walk: Walk) -> tuple[list[Row], list[Row]]:
    """Rows of paragraphs and mentions: keeps every paragraph, and the other blocks that mention a figure."""
    paragraphs: list[Row] = []
    mentions: list[Row] = []
    finder = _TextFinder(walk)
    for block in walk.blocks:
        found, citations = _linked(walk, block) if block.links else ([], [])
        named = finder.find(block, found)
        if named:
            found = sorted([*found, *named], key=lambda m: (m.start, m.expanded))
        if not found and not block.always:
            continue
        paragraph_id = f"{walk.article_id}/p{len(paragraphs)}"
        paragraphs.append(
            {
                "article_id": walk.article_id,
                "paragraph_id": paragraph_id,
                "ordinal": len(paragraphs),
                "kind": block.kind,
                "section_path": block.path,
                "section_type": block.section_type,
                "text": block.text,
                "citations": citations,
            }
        )
        for mention in found:
            mentions.append(
                {
                    "article_id": walk.article_id,
                    "figure_id": mention.figure_id,
                    "paragraph_id": paragraph_id,
                    "ordinal": len(mentions),
                    "start": mention.start,
                    "end": mention.end,
                    "text": block.text[mention.start : mention.end],
                    "panels": mention.panels,
                    "expanded": mention.expanded,
                    "kind": mention.kind,
                    "rid": mention.rid,
                }
            )
    return paragraphs, mentions


# ---- links -----------------------------------------------------------------------------------------------------


def _linked(walk: Walk, block: Block) -> tuple[list[Mention], list[Row]]:
    """Mentions and bibliography citations of a block's links."""
    mentions: list[Mention] = []
    citations: list[Row] = []
    figure_ids = walk.figure_ids
    last: tuple[Link, Mention] | None = None
    for position, link in enumerate(block.links):
        rids = link.rid.split()
        known = [rid for rid in rids if rid in figure_ids]
        if not known:
            if link.ref_type == "bibr":
                citations.append({"start": link.start, "end": link.end, "rids": rids})
            elif link.ref_type in ("fig", "figure"):
                walk.dangling(rids)
            continue
        limit = block.links[position + 1].start if position + 1 < len(block.links) else len(block.text)
        found = _mentions_of_link(walk, block, link, known, max(limit, link.end))
        if last is not None:
            mentions.extend(_between_links(walk, block, last, link, found))
        mentions.extend(found)
        last = (link, max(found, key=lambda m: (not m.expanded, m.end, _order(walk, m.figure_id))))
    return mentions, citations


def _order(walk: Walk, figure_id: str) -> tuple[int, str]:
    label = walk.figure_labels.get(figure_id)
    return (label[1].last, label[1].letter) if label else (0, "")


def _mentions_of_link(walk: Walk, block: Block, link: Link, rids: list[str], limit: int) -> list[Mention]:
    """Mentions of the figures that one link points at, and of those its words name beside them."""
    text, figure_ids = block.text, walk.figure_ids
    targets = list(dict.fromkeys(figure_ids[rid] for rid in rids))
    rid_of = {figure_ids[rid]: rid for rid in reversed(rids)}
    labels = {target: walk.figure_labels[target][1] for target in targets if target in walk.figure_labels}
    base = next(iter(labels.values()), None)
    items = list(_items(text, link.start, link.end, base))
    tail = _tail_panels(text, link, items, limit)
    end = tail.end if tail else link.end

    written: dict[str, Panels | None] = {}  # figure -> panels at its own number
    for item in items:
        target = _target(labels, item)
        if target is not None:
            written[target] = item.panels or written.get(target)
    if not items and len(targets) == 1:
        written[targets[0]] = panels_inside(text, link.start, link.end)
    if len(targets) == 1 and targets[0] not in written and len(items) == 1:
        written[targets[0]] = items[0].panels  # the words name another number: the link decides
    if tail:
        last = (_target(labels, items[-1]) if items else None) or targets[-1]
        written[last] = Panels([*(inside.letters if (inside := written.get(last)) else []), *tail.letters], end)

    mentions = []
    for target in targets:
        panels = written.get(target)
        label = labels.get(target)
        letters = list(dict.fromkeys(panels.letters)) if panels else []
        if label and label.letter and letters and letters[0] == label.letter.upper():
            letters = letters[1:]  # "1a" names the figure labelled "Figure 1a", not a panel of it
        inside_range = target not in written and len(targets) > 1 and _in_written_range(text, items, label)
        mentions.append(Mention(target, link.start, end, letters, inside_range, "xref", rid_of[target]))
    mentions.extend(_implied(walk, block, link, end, items, labels, set(targets)))
    return mentions


def _items(text: str, start: int, end: int, label: Label | None) -> Iterator[_Item]:
    """Numbers in a surface text, with the panels behind each; what belongs to the series' name is passed over."""
    position = start
    if label and (compound := _compound_head(label.series)):
        match = compound.search(text, start, end)
        position = match.end() if match else start
    while match := _NUMBER.search(text, position, end):
        panels = panels_inside(text, match.end(), end)
        prefix = (match["prefix"] or "").rstrip(".")
        yield _Item(prefix, int(match["number"]), match.start(), match.end(), panels)
        position = panels.end if panels else match.end()


_COMPOUND_HEADS: dict[str, re.Pattern[str] | None] = {}


def _compound_head(series: str) -> re.Pattern[str] | None:
    """How the head of a series with a number in it is written ("Figure 1—figure supplement", "Figure 7-")."""
    if series not in _COMPOUND_HEADS:
        pattern = None
        if any(c.isdigit() for c in series):
            words = re.escape(series).replace("figure", r"fig(?:ure)?s?\.?").replace(r"\ ", r"\s*")
            words = words.replace(r"\-", rf"\s*[{DASHES}]+\s*").replace("supplement", "supplements?")
            pattern = re.compile(words + r"s?\s*", re.IGNORECASE)
        if len(_COMPOUND_HEADS) > 5000:
            _COMPOUND_HEADS.clear()
        _COMPOUND_HEADS[series] = pattern
    return _COMPOUND_HEADS[series]


def _target(labels: dict[str, Label], item: _Item) -> str | None:
    """The linked figure whose label has an item's number; among several the one whose prefix fits."""
    found = [t for t, label in labels.items() if label.first <= item.number <= label.last]
    if len(found) > 1:
        prefix = item.prefix.lower()
        fitting = [t for t in found if not prefix or labels[t].series.endswith(prefix)]
        letter = item.panels.letters[0].lower()[:1] if item.panels else ""
        fitting = [t for t in fitting if labels[t].letter == letter] or fitting
        found = fitting or found
    return found[0] if found else None


def _tail_panels(text: str, link: Link, items: list[_Item], limit: int) -> Panels | None:
    """Panels named behind the link, as part of its surface text."""
    if link.start == link.end:
        return None
    inside = items[-1].panels if items else panels_inside(text, link.start, link.end)
    end = link.end
    if inside:
        if inside.end < end and text[inside.end : end].strip(" )],;"):
            return None
        if text[end : end + 1] == ")" and text.count("(", link.start, end) > text.count(")", link.start, end):
            end += 1  # "<xref>Figure 3(a</xref>)"
        more = panels_behind(text, end, limit, inside)
        if more:
            return Panels(more.letters[len(inside.letters) :] or more.letters, more.end)
        return Panels([], end) if end > link.end else None
    if items and items[-1].end < end:
        return None
    if not items and not text[link.start : link.end].rstrip(".").isalpha():
        return None
    return panels_behind(text, end, limit)


def _in_written_range(text: str, items: list[_Item], label: Label | None) -> bool:
    """True when a figure's number lies between two numbers written as a range."""
    if label is None:
        return False
    return any(
        a.number < label.first < b.number and _RANGE.fullmatch(text, a.panels.end if a.panels else a.end, b.start)
        for a, b in zip(items, items[1:], strict=False)
    )


def _implied(
    walk: Walk, block: Block, link: Link, end: int, items: list[_Item], labels: dict[str, Label], linked: set[str]
) -> Iterator[Mention]:
    """Figures named by a link's words that its ``rid`` leaves out: "Figs 1-4" pointing at figure 1 alone."""
    if len(items) < 2 or not labels:
        return
    scope, base = walk.figure_labels[next(iter(labels))]
    index = walk.labels[scope]
    text = block.text
    for a, b in zip(items, items[1:], strict=False):
        gap = text[a.panels.end if a.panels else a.end : b.start]
        in_range = bool(_RANGE.fullmatch(gap))
        if not in_range and not _LIST_GAP.fullmatch(gap):
            continue
        if not _fits(base, a) or not (_fits(base, b) or (in_range and not b.prefix)):
            continue
        first = (a.number, base.letter and "")
        last = (b.number, "")
        if in_range and a.number < b.number <= a.number + 50:
            for figure_id in index.between(base.series, (first[0], "~"), last):
                if figure_id not in linked:
                    linked.add(figure_id)
                    yield Mention(figure_id, link.start, end, [], True)
        for item in (a, b):
            figure_id = index.find(base.series, item.number)
            if figure_id and figure_id not in linked:
                linked.add(figure_id)
                yield Mention(figure_id, link.start, end, item.panels.letters if item.panels else [])


def _fits(label: Label, item: _Item) -> bool:
    """True when an item's letters before the number are those of the label's series ("S1" and 'figure s')."""
    last = label.series.rsplit(" ", 1)[-1]
    if item.prefix:
        return last == item.prefix.lower()
    return len(last) > 2 or last.endswith("-")


def _between_links(
    walk: Walk, block: Block, last: tuple[Link, Mention], link: Link, found: list[Mention]
) -> list[Mention]:
    """Figures, or panels of one figure, between two links that are written as a range."""
    previous, mention = last
    sign = _GAP_RANGE.fullmatch(block.text, mention.end, link.start)
    if not sign or not found:
        return []
    if sign["word"] and not re.fullmatch(r"figs?\.?|figures?|[a-z]", sign["word"], re.IGNORECASE):
        return []
    if sign["sign"].isalpha() and (sign["word"] or re.match(r"[A-Za-z]{3}", block.text[link.start : link.end])):
        return []  # "from Figure 1 to Figure 3" is no range
    following = found[0]
    end = max(following.end, link.end)
    if mention.figure_id == following.figure_id:
        return _panel_range(mention, following, end)
    first, second = walk.figure_labels.get(mention.figure_id), walk.figure_labels.get(following.figure_id)
    if not first or not second or first[0] != second[0] or first[1].series != second[1].series:
        return []
    index = walk.labels[first[0]]
    between = index.between(first[1].series, (first[1].last, first[1].letter), (second[1].first, second[1].letter))
    ends = {mention.figure_id, following.figure_id}
    return [Mention(f, mention.start, end, [], True) for f in between if f not in ends]


def _panel_range(first: Mention, second: Mention, end: int) -> list[Mention]:
    """Panels between "Fig. 2A" and "2C" that point at the same figure."""
    if not first.panels or not second.panels:
        return []
    a, b = first.panels[-1], second.panels[0]
    if len(a) != 1 or len(b) != 1 or ord(b) - ord(a) < 2:
        return []
    letters = [chr(code) for code in range(ord(a) + 1, ord(b))]
    return [Mention(first.figure_id, first.start, end, letters, True)]


# ---- names without a link --------------------------------------------------------------------------------------

_NAME_LIST = re.compile(r"\.?\s*(?=[A-Z]{0,3}\d)")
_NEXT = re.compile(
    rf"\s*(?P<sign>[{DASHES}]|,\s*(?:and\b)?|&|and\b|or\b|to\b|e\b|y\b|et\b|und\b|/)\s*(?:[Ff]igs?\.?\s*)?(?=[A-Z]{{0,3}}\d)"
)
_ELSEWHERE_AFTER = re.compile(
    r"\s*,?\s*(?:\(?(?:of|in|from|by)\s+(?:the\s+)?(?:refs?\b|reference|\[|\(|\d|[A-Z][\w’'-]+\s+(?:et\b|and\b|&|\()|"
    r"supplement|additional|supporting|appendix|previous|that\s+(?:paper|article|study)|their|our\s+previous|\Z)"
    r"|\(?(?:Supplement|Additional)|\s*in\s*$)",
)
_ELSEWHERE_BEFORE = re.compile(
    r"(?:suppl\w*\.?|supporting(?: information)?|extended[- ]data|additional(?: file \d+)?|online|appendix(?: \w)?|"
    r"web|response|reviewers?|their|his|her|ref\.? ?\d*|et al\.?,?(?: \(?\d{4}[a-z]?\)?)?,?)[\s:,]*\(?$",
    re.IGNORECASE,
)
_WORDS = {"fig": ("Fig", "fig", "FIG")}


class _TextFinder:
    """Finds figures named without a link, by the words that the article's own labels use."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.hints: list[tuple[str, ...]] = []
        self.patterns: list[re.Pattern[str]] = []
        for index in walk.labels:
            words = sorted({word.lower() for word in index.words})
            hints: set[str] = set()
            names: set[str] = set()
            for word in words:
                if word.startswith("fig"):
                    hints.update(_WORDS["fig"])
                    names.update((r"figures?", r"figs?", "figuras?"))
                else:
                    hints.update((word, word.capitalize(), word.upper()))
                    names.add(re.escape(word) + "s?")
            self.hints.append(tuple(sorted(hints)))
            alternatives = "|".join(sorted(names, key=len, reverse=True)) or r"(?!)"
            self.patterns.append(re.compile(rf"\b(?:{alternatives})(?![A-Za-z])", re.IGNORECASE))

    def find(self, block: Block, linked: list[Mention]) -> list[Mention]:
        """Mentions of kind "text" of a block, outside its links."""
        text = block.text
        if not any(hint in text for hint in self.hints[block.scope]):
            return []
        found: list[Mention] = []
        taken = [(link.start, link.end) for link in block.links] + [(m.start, m.end) for m in linked]
        starts = sorted(start for start, _ in taken)
        position = 0
        while match := self.patterns[block.scope].search(text, position):
            position = match.end()
            if any(a <= match.start() < b for a, b in taken):
                continue
            limit = next((start for start in starts if start >= match.end()), len(text))
            mentions = self._named(block, match, limit)
            if mentions:
                position = max(position, mentions[-1].end)
                found.extend(mentions)
        return found

    def _named(self, block: Block, word: re.Match[str], limit: int) -> list[Mention]:
        text, index = block.text, self.walk.labels[block.scope]
        gap = _NAME_LIST.match(text, word.end(), limit)
        if not gap or _ELSEWHERE_BEFORE.search(text[max(0, word.start() - 40) : word.start()]):
            return []
        items: list[tuple[_Item, str]] = []  # with the sign that leads to it
        position, sign = gap.end(), ""
        while match := _NUMBER.match(text, position, limit):
            panels = panels_behind(text, match.end(), limit)
            item = _Item((match["prefix"] or "").rstrip("."), int(match["number"]), match.start(), match.end(), panels)
            items.append((item, sign))
            following = _NEXT.match(text, panels.end if panels else match.end(), limit)
            if not following:
                break
            position, sign = following.end(), following["sign"]
        if not items:
            return []
        last = items[-1][0]
        end = last.panels.end if last.panels else last.end
        if _ELSEWHERE_AFTER.match(text, end, min(len(text), end + 60)) or text[end : end + 1] == "%":
            return []
        return list(self._mentions(block, index, word, items))

    def _mentions(
        self, block: Block, index: LabelIndex, word: re.Match[str], items: list[tuple[_Item, str]]
    ) -> Iterator[Mention]:
        head = word[0]
        previous: tuple[str, _Item, int] | None = None
        for i, (item, sign) in enumerate(items):
            series = series_name(f"{head} {item.prefix}")
            in_range = bool(sign) and (sign in DASHES or sign == "to")
            if in_range and previous and not item.prefix:
                series = previous[0]
            letters = item.panels.letters if item.panels else []
            figure_id = index.find(series, item.number)
            if figure_id is None and letters:
                figure_id = index.find(series, item.number, letters[0])
                letters = letters[1:] if figure_id else letters
            start = word.start() if i == 0 else item.start
            end = item.panels.end if item.panels else item.end
            if previous and in_range and previous[0] == series and previous[1].number < item.number:
                for between in index.between(series, (previous[1].number, "~"), (item.number, "")):
                    if between != block.figure_id:
                        yield Mention(between, previous[2], end, [], True, "text")
            if figure_id and figure_id != block.figure_id:
                yield Mention(figure_id, start, end, letters, False, "text")
            previous = (series, item, start)
