"""Mentions: what the links in the text blocks mean, and which blocks are kept.

What does not belong here: the words of a reference (`surface.py`), figures named without a link (`names.py`), panel
letters (`panels.py`), labels (`labels.py`), finding blocks and links (`walk.py`).

Every link to a known figure is a mention, whatever its ``ref-type``; one row per figure. Written ranges are filled
by label order within one series ("Figs 1-4", in one link or across two): the figures between the written end points
have ``expanded`` set and the range as surface text. A figure named without a link is a mention of kind "text" when
its label is that of exactly one figure of the same (sub-)article.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from biomedica_assets.jats.labels import DASHES, Label
from biomedica_assets.jats.names import NameFinder
from biomedica_assets.jats.panels import panels_behind, panels_between, panels_repeated
from biomedica_assets.jats.surface import NUMBER, Item, Mention, Surface, is_plural, may_be_listed, read_surface
from biomedica_assets.jats.text import Link
from biomedica_assets.jats.walk import Block, Walk
from biomedica_assets.schemas import Row


def resolve(walk: Walk) -> tuple[list[Row], list[Row]]:
    """Rows of paragraphs and mentions: keeps every paragraph, and the other blocks that mention a figure."""
    paragraphs: list[Row] = []
    mentions: list[Row] = []
    finder = NameFinder(walk)
    for position, block in enumerate(walk.blocks):
        found: list[Mention] = []
        citations: list[Row] = []
        if block.links:
            _linked(walk, block, found, citations)
        places = finder.places.get(position)
        if places and (named := finder.find(block, places, found)):
            found = _adopt(found, named, block.text)
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


def _adopt(found: list[Mention], named: list[Mention], text: str) -> list[Mention]:
    """Links without words of their own ("Fig. 3<xref rid='f3'/>") take over the name that stands beside them.

    A name right before a link to the same figure ("Fig. 1 <xref>A, B</xref>") belongs to that link.
    """
    kept: list[Mention] = []
    starts = [name.start for name in named]
    taken: set[int] = set()
    for mention in found:
        position = bisect_right(starts, mention.start) - 1
        while position >= 0 and (named[position].figure_id != mention.figure_id or position in taken):
            position = position - 1 if mention.start - starts[position] < _FARTHEST else -1
        beside = named[position] if position >= 0 and mention.start <= named[position].end + 2 else None
        words = text[mention.start : mention.end]
        if beside and not any(map(str.isalnum, words)):
            beside.kind, beside.rid = "xref", mention.rid
            continue
        if beside and not any(map(str.isdigit, words)):
            taken.add(position)
            mention.start = beside.start
        kept.append(mention)
    named[:] = [name for position, name in enumerate(named) if position not in taken]
    return kept


_FARTHEST = 60
"""Characters from the beginning of a name to the link that may belong to it."""


# ---- links -----------------------------------------------------------------------------------------------------


def _linked(walk: Walk, block: Block, mentions: list[Mention], citations: list[Row]) -> None:
    """Add the mentions and the bibliography citations of a block's links."""
    figure_ids = walk.figure_ids
    links, text = block.links, block.text
    last: Mention | None = None
    for position, link in enumerate(links, 1):
        start, end, rid, ref_type = link
        known = [one for one in rid.split() if one in figure_ids] if rid not in figure_ids else [rid]
        if not known:
            if ref_type == "bibr":
                citations.append({"start": start, "end": end, "rids": rid.split()})
            elif ref_type in ("fig", "figure"):
                walk.dangling(rid.split())
            continue
        limit = links[position][0] if position < len(links) else len(text)
        found = _mentions_of_link(walk, text, link, known, max(limit, end))
        if end - start <= 1 and last is not None:
            _hidden_member(text, last, found[0])
        if last is not None:
            mentions.extend(_between_links(walk, text, last, link, found))
        mentions.extend(found)
        if limit - found[-1].end > 1 and _LISTED.match(text, found[-1].end, limit):
            mentions.extend(_unlinked(walk, block, start, found[-1], limit))
        last = found[-1] if len(found) == 1 else max(found, key=lambda m: (not m.expanded, _order(walk, m.figure_id)))


_HIDDEN_BEFORE = re.compile(rf"\s*[{DASHES}]?\s*")
_HIDDEN_BEHIND = re.compile(rf"\s*[{DASHES}]?\s*[A-Z]{{0,2}}\d{{1,3}}(?!\d)")


def _hidden_member(text: str, first: Mention, member: Mention) -> None:
    """A link without words inside a range ("<xref>3</xref>–<xref rid='f4'/>5") is one of its hidden members."""
    behind = _HIDDEN_BEHIND.match(text, member.end)
    if behind is None:
        return
    gap = text[first.end : behind.end()]
    if _HIDDEN_BEFORE.fullmatch(text, first.end, member.start) and any(c in DASHES for c in gap):
        member.start, member.end, member.expanded = first.start, behind.end(), True


def _order(walk: Walk, figure_id: str) -> tuple[int, str]:
    label = walk.figure_labels.get(figure_id)
    return (label[1].last, label[1].letter) if label else (0, "")


def _mentions_of_link(walk: Walk, text: str, link: Link, rids: list[str], limit: int) -> list[Mention]:
    """Mentions of the figures that one link points at, and of those its words name beside them."""
    start, end, _, _ = link
    rid_of: dict[str, str] = {}
    for rid in rids:
        rid_of.setdefault(walk.figure_ids[rid], rid)
    labels = {target: walk.figure_labels[target][1] for target in rid_of if target in walk.figure_labels}
    series = next(iter(labels.values())).series if labels else None
    surface = read_surface(text[start:end], series)
    panels: dict[str, list[str]] = {}  # of each figure that the words name
    previous: Item | None = None
    for item in surface.items:
        target = _target(labels, item)
        if target is not None:
            known = panels.setdefault(target, [])
            if known and item.panels and previous and surface.is_range(previous, item):
                known += panels_between(known[-1], item.panels[0])  # "2A–2C"
            known += item.panels
        previous = item
    lone = next(iter(rid_of)) if len(rid_of) == 1 else None
    if lone and lone not in panels and len(surface.items) < 2:
        # The words name no number, or another figure's: the link decides.
        panels[lone] = surface.items[0].panels if surface.items else surface.panels
    behind, end = _behind(text, surface, start, end, limit)
    if behind:
        named = (_target(labels, surface.items[-1]) if surface.items else None) or next(reversed(rid_of))
        panels[named] = panels.get(named, []) + behind
    mentions = []
    for target, rid in rid_of.items():
        letters = list(dict.fromkeys(panels.get(target, ())))
        label = labels.get(target)
        if label and label.letter and letters and letters[0] == label.letter.upper():
            letters = letters[1:]  # "1a" names the figure labelled "Figure 1a", not a panel of it
        between = target not in panels and label is not None and surface.spans(label.first)
        mentions.append(Mention(target, start, end, letters, between, "xref", rid))
    if len(surface.items) > 1 and labels:
        mentions.extend(_implied(walk, surface, labels, set(rid_of), start, end))
    return mentions


def _target(labels: dict[str, Label], item: Item) -> str | None:
    """The linked figure whose label has an item's number; among several the one whose prefix and letter fit."""
    prefix = item.prefix.lower()
    found = [
        target
        for target, label in labels.items()
        if label.first <= item.number <= label.last and label.series.endswith(prefix)
    ]
    if len(found) > 1:
        letter = item.panels[0].lower() if item.panels else ""
        found = [t for t in found if labels[t].letter == letter] or found
    return found[0] if found else None


def _behind(text: str, surface: Surface, start: int, end: int, limit: int) -> tuple[list[str], int]:
    """Panels named behind a link, and where its surface text ends with them."""
    if not surface.open or start == end:
        return [], end
    if surface.unclosed and text[end : end + 1] == ")":
        end += 1  # "<xref>Figure 3(a</xref>)"
    more = panels_behind(text, end, limit, surface.last_panels)
    letters, end = (more.letters, more.end) if more else ([], end)
    if surface.items and end < limit and (known := letters or surface.items[-1].panels):
        last = surface.items[-1]
        repeated = panels_repeated(text, f"{last.prefix}{last.number}", known, end, limit)
        if repeated.end > end:
            return repeated
    return letters, end


def _implied(
    walk: Walk, surface: Surface, labels: dict[str, Label], linked: set[str], start: int, end: int
) -> Iterator[Mention]:
    """Figures named by a link's words that its ``rid`` leaves out: "Figs 1-4" pointing at figure 1 alone."""
    target, label = next(iter(labels.items()))
    index = walk.labels[walk.figure_labels[target][0]]
    for a, b, sign in surface.pairs():
        if not a.fits(label.series) or not (b.fits(label.series) or (sign == "range" and not b.prefix)):
            continue
        if sign == "range" and a.number < b.number:
            for figure_id in index.between(label.series, (a.number, "~"), (b.number, "")):
                if figure_id not in linked:
                    linked.add(figure_id)
                    yield Mention(figure_id, start, end, [], True)
        for item in (a, b):
            figure = index.find(label.series, item.number)
            if figure and figure not in linked:
                linked.add(figure)
                yield Mention(figure, start, end, item.panels)


_GAP_RANGE = re.compile(
    rf"\s*\)?\s*(?P<sign>[{DASHES}]+|to|through|thru|bis)\s*\(?\s*(?P<word>figs?\.?|figures?)?\s*", re.IGNORECASE
)


def _between_links(walk: Walk, text: str, first: Mention, link: Link, found: list[Mention]) -> list[Mention]:
    """Figures, or panels of one figure, between two links that are written as a range."""
    sign = _GAP_RANGE.fullmatch(text, first.end, link[0]) if link[0] - first.end < 20 else None
    if not sign:
        return []
    if sign["sign"].isalpha() and (sign["word"] or re.match(r"[A-Za-z]{3}", text[link[0] : link[1]])):
        return []  # "from Figure 1 to Figure 3" is no range
    second = found[0]
    end = second.end
    if first.figure_id == second.figure_id:
        return _panel_range(first, second, end)
    one, other = walk.figure_labels.get(first.figure_id), walk.figure_labels.get(second.figure_id)
    if not one or not other or one[0] != other[0] or one[1].series != other[1].series:
        return []
    between = walk.labels[one[0]].between(
        one[1].series, (one[1].last, one[1].letter), (other[1].first, other[1].letter)
    )
    ends = (first.figure_id, second.figure_id)
    return [Mention(figure_id, first.start, end, [], True) for figure_id in between if figure_id not in ends]


_LISTED = re.compile(rf"\s*(?P<sign>,\s*(?:and\b|&)?|and\b|&|[{DASHES}])\s*(?=[A-Z]{{0,2}}\d)")
_NO_RANGE_END = re.compile(rf"[\d.]*\d|[{DASHES}]|%")
_TO_NEXT_LINK = re.compile(rf"\s*(?:,|and\b|&|,\s*and\b|[{DASHES}])\s*")


def _unlinked(walk: Walk, block: Block, start: int, first: Mention, limit: int) -> list[Mention]:
    """Numbers without a link behind one that has it: "Figs <xref>1</xref>-3", "Figs <xref>2A</xref>, 3 and 4B"."""
    text = block.text
    if first.figure_id not in walk.figure_labels or not (first.panels or text[first.end - 1 : first.end].isdigit()):
        return []
    scope, label = walk.figure_labels[first.figure_id]
    index, plural = walk.labels[scope], is_plural(text, start)
    found: list[Mention] = []
    position, previous, previous_start, sure = first.end, label.last, first.start, 0
    while sign := _LISTED.match(text, position, limit):
        match = NUMBER.match(text, sign.end(), limit)
        if not match:
            break
        if not Item((match["prefix"] or "").rstrip("."), 0, 0, 0, []).fits(label.series):
            sure = len(found)  # "Figs 1, 2 and S3"
            break
        number, panels = int(match["number"]), panels_behind(text, match.end(), limit)
        letters, end = panels or ([], match.end())
        figure = index.find(label.series, number)
        if figure is None and letters and (figure := index.find(label.series, number, letters[0])):
            letters = letters[1:]
        if figure is None or number == previous or not (plural or number > previous):
            break
        if sign["sign"] in DASHES:
            if first.panels or not previous < number <= previous + 50 or _NO_RANGE_END.match(text, match.end()):
                break
            between = index.between(label.series, (previous, "~"), (number, ""))
            found.extend(Mention(member, previous_start, end, [], True) for member in between)
        found.append(Mention(figure, match.start(), end, letters, False, "text"))
        if (
            sign["sign"] in DASHES
            or may_be_listed(text, match.start(), end, sign["sign"], plural)
            or (limit < len(text) and text[limit].isdigit() and _TO_NEXT_LINK.fullmatch(text, end, limit))
        ):
            sure = len(found)
        elif not plural and not _LISTED.match(text, end, limit):
            sure = 0  # "Fig. 1, 2, 3 mg": no part of it is a list of figures
        position, previous, previous_start = end, number, match.start()
    return [mention for mention in found[:sure] if mention.figure_id != block.figure_id]


def _panel_range(first: Mention, second: Mention, end: int) -> list[Mention]:
    """Panels between "Fig. 2A" and "2C" that point at the same figure."""
    if not first.panels or not second.panels:
        return []
    letters = panels_between(first.panels[-1], second.panels[0])
    return [Mention(first.figure_id, first.start, end, letters, True)] if letters else []
