"""Sentences of a caption, and which of them speak of the whole figure: credits, abbreviations, statistics, scale bars.

What does not belong here: panels and their text (`subcaptions.py`).
"""

from __future__ import annotations

import re

from biomedica_assets.jats.markers import Marker, panels_of

_END = re.compile(r"[.!?][)\]”\"]*\s+(?=[^a-z\s])")
_ABBREVIATED = re.compile(
    r"(?:\b(?:e\.g|i\.e|vs|cf|al|[Ff]igs?|approx|ca|resp|var|spp?|pp|subsp|Suppl|Eqs?|Refs?|Dr|St|no|No|cv|Inc)"
    r"|\s[a-z])\.$"
)


def sentences(text: str, blocks: frozenset[int]) -> list[int]:
    """Offsets where sentences begin, in order; the first one is 0. ``blocks``: where title and paragraphs begin."""
    found = {0} | blocks
    for match in _END.finditer(text):
        if not _ABBREVIATED.search(text, max(0, match.start() - 8), match.start() + 1):
            found.add(match.end())
    return sorted(found)


def _any(*forms: str) -> re.Pattern[str]:
    return re.compile("|".join(forms))


_KINDS = {
    "scale": _any(
        r"\(?(?:\w+ )?[Ss]cale[- ]?bars?\b",
        r"(?:(?:White|Black|Yellow) )?Bars?\s*[=:,(]",
        r"Bars? (?:indicates?|represents?) \d",
        r"(?:Original )?[Mm]agnification",
    ),
    "statistics": _any(
        r"(?:All (?:of the )?|The )?(?:[Dd]ata|[Vv]alues|[Rr]esults|[Mm]eans|[Ee]rror bars|Bars) (?:and \w+ )?"
        r"(?:\w+ ){0,4}?(?:are|is|were|represents?|show|indicate|denote|correspond|of)\b",
        r"Means?\b|Each (?:point|value|bar|column|data ?point)|Numbers? (?:on|in|above|below|at|indicate|denote)",
        r"[“\"‘]?[*∗†‡#§]|[nN] ?[=≥]|[Pp] ?[<=>≤]|(?:ns|n\.s|NS)\b|Asterisks?|Letters",
        r"Statistical|Significan|Differences? |(?:Different(?: lower-?case)?|(?:The s|S)ame) letters?",
    ),
    "abbreviations": _any(
        r"Abbreviations?\b",
        # "EPO, erythropoietin; ...", "G units, guaiacyl units; ...", "PR: prolonged-release."
        r"(?!Insets?\b)(?:[^\s,:;=]{1,24}|[A-Z]\w? [a-z]{1,6})(?:,|:| ?=) [^.;]{3,160}(?:;|\.$)",
    ),
    "credit": _any(
        r"[(\[]?(?:Reproduced|Reprinted|Adapted|Modified|Redrawn|Taken|From [A-Z]|Copyright|©|Used with)",
        r"[(\[]?(?:Colou?r figure|For interpretation|Created (?:with|in|using)|Image (?:credit|courtesy))",
        r"(?:This|The) figure (?:is|was) (?:modified|adapted|reproduced|taken)",
    ),
    "reference": _any(r"\(?(?:See\b|For (?:more|further|details|the)|Please refer|Details|Additional)"),
}
_WHOLE = _any(
    r"(?:In|For|On) (?:all|both|each|every)\b",
    r"(?:All|Both) (?:panels|images|data|experiments|values|results|assays|micrographs|figures|graphs)",
    r"Every |Photomicrographs?\.|Similar results|\w+ independent experiments|The results? (?:is|are)",
)
# "Error bars in A and C", "panels (B) and (D)"
_NAMES = re.compile(
    r"(?:[Pp]anels?|[Pp]arts?|[Ii]n|[Ff]or) \(?([A-Za-z]\)?(?:\s*(?:,|and|&|–|-)+\s*\(?[A-Za-z]){1,12})(?![A-Za-z0-9])"
)
_CREDIT_IN_BRACKETS = re.compile(
    r"\s\((?:(?:[Rr]eprinted|[Rr]eproduced|[Aa]dapted|[Mm]odified) (?:with|from)\b|From [A-Z]\w+ et al)"
)


def general_from(text: str, first: int, marker: Marker, begins: list[int]) -> int:
    """Where, behind the last marker, the sentences begin that speak of more than its panels.

    ``first``: start of the first marker; ``begins``: starts of the sentences behind the last marker, but for the
    first. A kind of sentence that stood with an earlier panel too ("Scale bar: 5 µm") speaks of the last panel here.
    """
    own: set[str] | None = None
    cut = len(text)
    for start in reversed(begins):
        if not (_WHOLE.match(text, start, cut) or _names_others(text, start, cut, marker)):
            kind = next((name for name, pattern in _KINDS.items() if pattern.match(text, start, cut)), None)
            if kind is None:
                break
            own = _kinds_in(text[first : marker.start]) if own is None else own
            if kind in own:
                break
        cut = start
    credit = _CREDIT_IN_BRACKETS.search(text, marker.end, cut)
    return credit.start() if credit else cut


def _names_others(text: str, start: int, stop: int, marker: Marker) -> bool:
    """True when a sentence names several panels, not only the marker's."""
    return any(not set(panels_of(m[1])) <= set(marker.panels) for m in _NAMES.finditer(text, start, stop))


def _kinds_in(text: str) -> set[str]:
    begins = [0, *(match.end() for match in _END.finditer(text))]
    return {name for name, pattern in _KINDS.items() if any(pattern.match(text, at) for at in begins)}
