"""What people may write as a query: words, "phrases", -excluded ones, field:word. Nothing is ever an error.

A query becomes clauses, one per word or phrase; what cannot be meant (an open quote, an unknown field) is taken as
text, with a warning. What does not belong here: the index (`keyword`), filters (`dataset.filters`).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tantivy

from biomedica_assets.search.keyword import KeywordIndex

MAX_CLAUSES = 64
TELLING = 12
POSTINGS = 300_000
"""Of a text of more than so many words the rarest are searched for: these, and more until the documents that they stand
in add up to this. The others cost the most and say the least; in a small index all are searched for."""

_PART = re.compile(
    r"(?P<no>-)?(?:(?P<field>caption|mention|article):)?(?:\"(?P<phrase>[^\"]*)(?P<end>\"?)|(?P<word>\S+))"
)
_STOP = frozenset(
    re.findall(
        r"\w+",
        """a an and are as at be been by can do does for from had has have how in into is it its of on or our show shows
        such that the their them these they this those to was we were what when where which while who with""",
    )
)
"""Words that stand in nearly every text: alone they find nothing worth having."""


@dataclass(frozen=True)
class Clause:
    """One word or phrase as written: ``field`` null for all, ``excluded`` when it must not be there."""

    text: str
    field: str | None = None
    excluded: bool = False
    phrase: bool = False


def parse(text: str, most: int = MAX_CLAUSES) -> tuple[list[Clause], list[str]]:
    """The first clauses, at most so many, and warnings.

    >>> parse('caption:liver "light microscopy" -rat')[0]
    [Clause(text='liver', field='caption', excluded=False, phrase=False), \
Clause(text='light microscopy', field=None, excluded=False, phrase=True), \
Clause(text='rat', field=None, excluded=True, phrase=False)]
    """
    clauses, warnings = [], []
    for match in _PART.finditer(text):
        phrase = match["phrase"] is not None
        if phrase and not match["end"]:
            warnings.append("a quote is not closed: everything behind it was taken as one phrase")
        said = match["phrase"] if phrase else match["word"].strip('"')
        if said.strip():
            clauses.append(Clause(said, match["field"], bool(match["no"]), phrase))
    if len(clauses) > most:
        warnings.append(f"only the first {most} words were searched for")
    return clauses[:most], warnings


@dataclass(frozen=True)
class TextQuery:
    """``strict`` asks for most of the words, ``loose`` for one, both null when there is no word; ``excluded`` finds
    what must not be there, null when nothing is."""

    strict: tantivy.Query | None
    loose: tantivy.Query | None
    excluded: tantivy.Query | None
    warnings: list[str]


def text_query(index: KeywordIndex, text: str, boosts: Mapping[str, Mapping[str, float]]) -> TextQuery:
    """The query over an index.

    Args:
        index: whose analysis is used.
        text: as people write it.
        boosts: by field of requests, the fields of the index that it stands for, with their weights.
    """
    clauses, warnings = parse(text)
    wanted: list[tantivy.Query] = []
    spread: list[int] = []  # in how many documents each wanted one is, phrases counting as the rarest
    common: list[tantivy.Query] = []
    unwanted: list[tantivy.Query] = []
    seen = set()
    for clause in clauses:
        tokens = index.tokens(clause.text)
        key = (clause.field, clause.excluded, *tokens)
        if not tokens or key in seen:
            continue
        seen.add(key)
        if clause.field and clause.field not in boosts:
            warnings.append(f"{clause.field}: is not searched here, so {clause.text!r} was left out")
            continue
        fields = boosts[clause.field] if clause.field else {f: w for group in boosts.values() for f, w in group.items()}
        query = _clause(index, tokens, fields)
        if clause.excluded:
            unwanted.append(query)
        elif not clause.phrase and clause.text.lower() in _STOP:
            common.append(query)
        else:
            wanted.append(query)
            spread.append(-1 if clause.phrase or len(tokens) > 1 else index.spread(tokens[0], fields))
    long = len(wanted) > TELLING
    if long:
        found = [place for place in range(len(wanted)) if spread[place]]  # a word that is nowhere tells nothing
        found = sorted(found or [0], key=lambda place: spread[place])
        room = itertools.accumulate(spread[place] for place in found)
        wanted = [
            wanted[place]
            for n, (place, sum_) in enumerate(zip(found, room, strict=True))
            if n < TELLING or sum_ <= POSTINGS
        ]
    wanted = wanted or common
    if not wanted and not unwanted:
        return TextQuery(None, None, None, [*warnings, f"nothing to search for in {text!r}"] if text else warnings)
    excluded = tantivy.Query.boolean_query([(tantivy.Occur.Should, query) for query in unwanted]) if unwanted else None
    if not wanted:
        query = _combined([tantivy.Query.all_query()], unwanted, 1)
        return TextQuery(query, query, excluded, warnings)
    loose = _combined(wanted, unwanted, 1)
    if long:  # nobody has most of a paragraph's words: asking for them first would be in vain
        return TextQuery(loose, loose, excluded, warnings)
    least = len(wanted) if len(wanted) <= 2 else math.ceil(0.6 * len(wanted))
    return TextQuery(_combined(wanted, unwanted, least), loose, excluded, warnings)


def _clause(index: KeywordIndex, tokens: Sequence[str], fields: Mapping[str, float]) -> tantivy.Query:
    """One word or phrase in any of the fields; the best field counts, the others a little."""
    queries = []
    for field, boost in fields.items():
        if len(tokens) == 1:
            query = tantivy.Query.term_query(index.schema, field, tokens[0], "freq")
        else:
            query = tantivy.Query.phrase_query(index.schema, field, list(tokens))
        queries.append(tantivy.Query.boost_query(query, boost))
    return queries[0] if len(queries) == 1 else tantivy.Query.disjunction_max_query(queries, 0.3)


def _combined(wanted: list[tantivy.Query], unwanted: list[tantivy.Query], least: int) -> tantivy.Query:
    should = [(tantivy.Occur.Should, query) for query in wanted]
    must_not = [(tantivy.Occur.MustNot, query) for query in unwanted]
    return tantivy.Query.boolean_query([*should, *must_not], least)
