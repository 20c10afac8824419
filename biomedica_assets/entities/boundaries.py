"""Where mentions begin and end: what the corpora put into spans and a reader of captions would not.

Belongs here: rules on the words of a span. They bring the corpora's habits (BC2GM marks "Pcdh-β transcripts") to one:
a gene is its bare name, a mention has balanced brackets, labels of figures are no entities.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from biomedica_assets.entities.words import spelled

STOPPED = {
    kind: frozenset(names.split())
    for kind, _, names in (
        line.partition(": ")
        for line in Path(__file__).with_name("stopped_names.txt").read_text("utf-8").splitlines()
        if not line.startswith("#")
    )
}
"""Names that mean something else nearly always, by type, folded and run together."""

ALWAYS_BEHIND = frozenset(
    re.findall(
        r"\S+",
        "gene genes mrna mrnas transcript transcripts allele alleles locus loci cdna cdnas promoter promoters product "
        "products antibody antibodies motif motifs sirna shrna expression sequence sequences amino acid residue "
        "residues mutant mutants knockout construct constructs - + ∆ Δ / ' ′",
    )
)
"""Dropped behind a gene's name."""
SYMBOL_BEHIND = frozenset(("protein", "proteins", "antigen", "isoform", "set", "related"))
"""Dropped behind a symbol, but not behind words (green fluorescent protein)."""
TISSUE_BEHIND = frozenset(re.findall(r"\w+", "sample samples section sections extract extracts structure structures"))
"""Dropped behind a tissue."""
BEFORE = frozenset(
    re.findall(
        r"\S+",
        "gene genes protein proteins human mouse murine rat bovine anti - total recombinant the endogenous of phospho "
        "phosphorylated cytosolic plasma serum infected wild type",
    )
)
"""Dropped before a gene's name."""
_SYMBOL = re.compile(r"(?=.*(?:\d|[a-z][A-Z]|[A-Z]{2}))")
_JUNK = re.compile(
    r"(?:exp|lanes?|figs?|figure|panels?|bars?|groups?|days?|weeks?|steps?|table|case|type|class|stage|grade|(?-i:No)|"
    r"sem|sd|se|ns|ci|or|hr|rr|anova|roc|auc|pca|ms|gap|go|kegg|geo|tcga|pdb|ncbi|degs?|gwas|snps?|qtls?|otus?|mri|fmri|"
    r"ct|pet|eeg|ecg|oct|pcr|q?rt|qpcr|elisa|facs|ihc|if|he|roi|usda|who|fda|nih|usa|uk|bp|kb|mb|gb|"
    r"cellular|i+|iv|v?i*|[a-z]|[A-Z]{1,2}\d{5,}|\d+)$",
    re.IGNORECASE,
)
"""Words of legends and methods that are no entities unless the vocabulary says so."""
TAILS = frozenset(
    re.findall(
        r"\w+",
        "alpha beta gamma delta epsilon zeta kappa receptor receptors kinase kinases phosphatase binding inhibitor "
        "subunit ligand like complex family factor protein homolog homologue isoform chain enzyme synthase reductase "
        "transporter channel and domain domains type associated related dependent interacting activating ase p s a b c",
    )
)
"""Small words that may follow within a gene's name."""
_BREAKS = frozenset("=;<>|×≥≤~\u200b")
_NUMBER = re.compile(r"(?:S?\d+[A-Za-z]?|[A-Za-z]|[\W_]+)$")
"""What numbers a figure, lane or table, and stands between such numbers."""
_UNIT = re.compile(r"(?:[nmµμ]g|[mµμ][lL]|[nmµμ][mM]|cm|kg|mmol|pH|kDa)$")


def parts(
    words: Sequence[str],
    first: int,
    behind: int,
    kind: str,
    named: Callable[[int, int], bool],
    species: Mapping[tuple[int, int], object],
) -> Iterator[tuple[int, int]]:
    """The mentions in a span of the tagger: without the species before a gene, apart at a stroke between symbols.

    Args:
        words, first, behind, kind, named: as for `trimmed`.
        species: names of species by their tokens.
    """
    if kind == "gene":
        first = next((end for end in range(behind - 1, first, -1) if (first, end) in species), first)
        cuts = [
            i
            for i in range(first + 1, behind - 1)
            if words[i] == "/" and all(len(w) > 3 and _SYMBOL.match(w) for w in (words[i - 1], words[i + 1]))
        ]
    else:
        cuts = []
    for begin, end in pairwise([first - 1, *cuts, behind]):
        begin, end = trimmed(words, begin + 1, end, kind, named)
        if begin < end:
            yield begin, end


def trimmed(
    words: Sequence[str], first: int, behind: int, kind: str, named: Callable[[int, int], bool]
) -> tuple[int, int]:
    """A span without what does not belong to its name; empty when nothing is left.

    Args:
        words: tokens of the text or batch.
        first, behind: the span.
        kind: type of entity.
        named: whether a span is a name of that type.
    """
    first, behind = _balanced(words, first, next((i for i in range(first, behind) if words[i] in _BREAKS), behind))
    if kind == "gene" and first < behind and not named(first, behind):
        while behind - first > 1 and not named(first, behind):
            last = words[behind - 1].lower()
            if last in ALWAYS_BEHIND or (last in SYMBOL_BEHIND and any(map(_SYMBOL.match, words[first : behind - 1]))):
                behind -= 1
            else:
                break
        while behind - first > 1 and not named(first, behind) and words[first].lower() in BEFORE:
            first += 1
        behind = _without_sentence(words, first, behind, named)
    while kind == "tissue" and first < behind and words[behind - 1].lower() in TISSUE_BEHIND:
        behind -= 1
    if behind - first == 1 and (_JUNK.match(words[first]) or _UNIT.match(words[first])) and not named(first, behind):
        return first, first
    if (
        behind > first
        and _JUNK.match(words[first])
        and len(words[first]) > 2
        and behind - first <= 6
        and all(_NUMBER.match(word) for word in words[first + 1 : behind])
    ):
        return first, first  # Exp 4, Lane 1-8, Fig. 1A–C
    numbers = all(map(_NUMBER.match, words[first:behind])) and any(
        word[-1:].isdigit() or word[:1].isdigit() for word in words[first:behind]
    )
    if numbers and not named(first, behind):
        return first, first  # 1A–C, but not A-T
    if behind - first > 1 and _UNIT.match(words[first]):
        return first, first  # ng L-1
    if spelled(" ".join(words[first:behind]), free=True) in STOPPED.get(kind, ()):
        return first, first
    if not any(c.isalpha() for word in words[first:behind] for c in word):
        return first, first
    return first, behind


def _without_sentence(words: Sequence[str], first: int, behind: int, named: Callable[[int, int], bool]) -> int:
    """Where a gene's name ends that the vocabulary knows and behind which words follow that no gene's name has."""
    if named(first, behind):
        return behind
    for end in range(behind - 1, first, -1):
        if named(first, end):
            word = words[end]
            return end if word[0].islower() and word.isalpha() and word not in TAILS else behind
    return behind


def _balanced(words: Sequence[str], first: int, behind: int) -> tuple[int, int]:
    """The longest beginning of a span whose brackets close; brackets around the whole of it go."""
    while behind > first and words[behind - 1] in "([{,;:":
        behind -= 1
    while behind > first and words[first] in ")]},;:":
        first += 1
    if behind - first > 1 and words[first] + words[behind - 1] in ("()", "[]"):
        return _balanced(words, first + 1, behind - 1)
    for opening, closing in ("()", "[]"):
        depth = 0
        for i in range(first, behind):
            if words[i] == opening:
                depth += 1
            elif words[i] == closing:
                depth -= 1
                if depth < 0:
                    return _balanced(words, first, i)
        if depth > 0:
            at = next(i for i in range(behind - 1, first - 1, -1) if words[i] == opening)
            return _balanced(words, *((first, at) if at > first else (first + 1, behind)))
    return first, behind
