"""Make the vocabulary's file: merge concepts that are the same, pick the names worth looking for, write the arrays.

    python -m biomedica_assets.entities.vocabulary_build [--wheels FOLDER] [--out FILE]

Run by whoever renews the vocabulary, never by users. Belongs here: the rules of names. Does not belong here: the tables
of the sources (`vocabulary_sources`), the file's layout (`vocabulary.compiled`).
"""

from __future__ import annotations

import argparse
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np

from biomedica_assets.entities.boundaries import STOPPED
from biomedica_assets.entities.vocabulary import ID_FORMS, SHIPPED, compiled
from biomedica_assets.entities.vocabulary_sources import COMMON_TAXA, Concept, Sources
from biomedica_assets.entities.words import TOKEN, WORD, hash_of, kind_of, plain, spelled

COMMON_WORDS = Path(__file__).with_name("common_words.txt")
"""Words that running text writes in small letters: no symbol is looked for that is one of them with a capital."""

MOST_IDS, MOST_SENSES = 4, 6
_ELEMENTS = frozenset(
    re.findall(r"\w+", "Zn Ca Fe Mg Na Cu Mn Co Ni Cd Hg Pb Pt Au Ag Al Li Cr Se Ti Zr Gd La Ce Ru Pd Ir O2 H2 CO N2")
)
_SYMBOL_TYPES = frozenset(("gene", "cell_line"))
_GREEK_NAMES = re.compile(r"alpha|beta|gamma|delta|epsilon|zeta|kappa|lambda|sigma|theta|omega", re.IGNORECASE)
_BAD = re.compile(
    r"obsolete|[;=<>|]|\b(?:nos|unspecified|other|deprecated|disease or disorder|susceptibility)\b"
    r"|^(?:disease|disorder|abnormal|family|class|group|type|genus|species)$|\(.*\(|,.*,.*,",
    re.IGNORECASE,
)
_QUALIFIER = re.compile(
    r"\s*(?:\((?:disease|disorder|finding|morphologic abnormality|medical|anatomy|mesh|nos)\)|, (?:human|mouse|rat))$",
    re.I,
)
LONGEST_NAME, LONGEST_WORDS = 60, 8


def spellings(name: str, kind: str, *, shortened: bool = False) -> Iterator[str]:
    """The ways in which text writes a name of a vocabulary: not inverted, without qualifiers, the genus as a letter."""
    name = _QUALIFIER.sub("", name.strip().strip('"'))
    if ", " in name:
        if name.count(", ") > 1 or kind == "gene":
            return
        head, _, tail = name.partition(", ")
        name = f"{tail} {head}"
    if match := re.fullmatch(r"(.{4,}) \(([A-Z][^()\s]{1,11}|[a-z]+[A-Z0-9][^()\s]*)\)", name):
        yield match[2]  # Hydrogen Peroxide (H2O2)
        name = match[1]
    if len(name) <= LONGEST_NAME and not _BAD.search(name):
        yield name
        if shortened and (match := re.fullmatch(r"([A-Z])[a-z]+ ([a-z]{3,})", name)):
            yield f"{match[1]}. {match[2]}"


def is_symbol(name: str) -> bool:
    """Whether the case of a name counts: short or mixed ones, as symbols of genes and abbreviations are."""
    if name in _ELEMENTS:
        return True
    if " " in name or "/" in name:
        return False
    if re.search(r"[^\W\d_]{5}", _GREEK_NAMES.sub("-", plain(name))) and not re.search(r"[A-Z].*[A-Z]", name):
        return False  # caspase-3, Lung, 5-fluorouracil
    return not re.fullmatch(r"[^\W\d_][a-z]+", name)


def keys(name: str, kind: str, common: frozenset[str]) -> Iterator[tuple[str, bool]]:
    """(spelling, free) by which a name is looked up; none for what would be found everywhere."""
    tokens = [token for token in TOKEN.findall(name) if kind_of(token) == WORD]
    if not tokens or len(tokens) > LONGEST_WORDS:
        return
    if kind in _SYMBOL_TYPES and " " not in name and not re.search(r"[^\W\d_]{7}", name):
        symbol = True
    else:
        symbol = is_symbol(name)
    if symbol:
        spelling = spelled(name, free=False)
        if len(spelling) < 2 or spelling.isdigit() or (len(spelling) == 2 and spelling not in _ELEMENTS):
            return
        if spelling.lower() in common and spelling[1:].islower():
            return
        yield spelling, False
        if kind == "gene" and re.fullmatch(r"[A-Z][A-Z0-9]{2,}", spelling) and spelling.lower() not in common:
            yield spelling.capitalize(), False  # as in mouse
        return
    spelling = spelled(name, free=True)
    long_enough = len(spelling) >= (5 if len(tokens) > 1 else 3) and re.search(r"[^\W\d_]{3}", name)
    if long_enough or re.fullmatch(r"[A-Za-z]{1,2}[ -][Cc]ells?", name):
        yield spelling, True


class Merger:
    """Concepts of all sources, those that mean the same in one."""

    def __init__(self, common: frozenset[str]) -> None:
        self.common = common
        self.concepts: list[tuple[str, list[str], str]] = []
        self.names: dict[int, list[int]] = {}
        self.symbols: set[int] = set()
        self.preferred: set[tuple[int, int]] = set()
        self._ours = {f"NCBITaxon:{taxon}" for taxon, *_ in COMMON_TAXA}
        self._by_id: dict[str, int] = {}
        self._by_name: dict[tuple[str, str], int] = {}
        self.counts: Counter[str] = Counter()

    def add(self, concept: Concept) -> None:
        """Take a concept in, or give its id and names to the one that it equals."""
        kind = concept.type
        preferred = next(spellings(concept.name, kind), None)
        own = (kind, preferred.lower() if preferred else concept.id)
        known = [self._by_id[i] for i in (concept.id, *concept.same) if i in self._by_id]
        known = [k for k in known if self.concepts[k][0] == kind and not self._has(k, concept.id)]
        if not known and kind != "gene" and own in self._by_name and not self._has(self._by_name[own], concept.id):
            known = [self._by_name[own]]
        if known:
            number = known[0]
            ids = self.concepts[number][1]
            if concept.id not in ids and len(ids) < MOST_IDS:
                ids.append(concept.id)
        else:
            number = len(self.concepts)
            self.concepts.append((kind, [concept.id], concept.name[:120]))
        if kind == "disease" and preferred and preferred.endswith(" cancer"):
            # MeSH names the neoplasms of a site; the cancers are entry terms of theirs.
            site = self._by_name.get((kind, preferred.lower().removesuffix("cancer") + "neoplasms"))
            mesh = [i for i in self.concepts[site][1] if i.startswith("MESH")] if site is not None else []
            if not self._has(number, "MESH:"):
                self.concepts[number][1].extend(mesh)
        self._by_id.setdefault(concept.id, number)
        for other in concept.same:
            if kind in {"gene", "species"}:
                self._by_id.setdefault(other, number)
        self._by_name.setdefault(own, number)
        for name in dict.fromkeys([concept.name, *concept.synonyms]):
            for spelling in spellings(name, kind, shortened=kind == "species" and concept.id.startswith("MESH:D")):
                self._by_name.setdefault((kind, spelling.lower()), number)
                if self._too_common(spelling, concept, preferred):
                    continue
                for key, free in keys(spelling, kind, self.common):
                    value = hash_of(key, free=free)
                    if not free:
                        self.symbols.add(value)
                    senses = self.names.setdefault(value, [])
                    if number not in senses and len(senses) < MOST_SENSES:
                        senses.append(number)
                        self.counts[kind] += 1
                    if name == concept.name:
                        self.preferred.add((value, number))

    def _too_common(self, spelling: str, concept: Concept, preferred: str | None) -> bool:
        """Everyday words are names only where MeSH or we say so, or as the name itself of an organ, cell or animal."""
        low = spelling.lower()
        if spelled(spelling, free=True) in STOPPED[concept.type]:
            return True
        if (
            low not in self.common
            or not spelling[1:].islower()
            or concept.id.startswith("MESH:D")
            or concept.id in self._ours
        ):
            return False
        return not (spelling == preferred and concept.type in ("tissue", "cell_type", "chemical", "disease"))

    def meanings(self, value: int) -> list[int]:
        """Concepts of a name, the likeliest first; what is only called like an organ or species is no disease."""
        senses = self.names[value]
        kinds = {self.concepts[n][0] for n in senses if (value, n) in self.preferred}
        if kinds & {"tissue", "species"}:
            senses = [n for n in senses if self.concepts[n][0] != "disease" or (value, n) in self.preferred]

        # A gene's own symbol, then families (TGF-β), then symbols that others once had.
        def rank(number: int) -> int:
            kind, ids, _ = self.concepts[number]
            if kind != "gene" or (value, number) in self.preferred:
                return 0
            return 1 if ids[0].startswith("FPLX:") else 2

        return sorted(senses, key=rank)

    def _has(self, number: int, new: str) -> bool:
        """A concept has one id of a vocabulary."""
        space = new.partition(":")[0]
        return any(i != new and i.partition(":")[0] == space for i in self.concepts[number][1])


_ORDER = {
    "disease": ("MESH", "MONDO", "DOID"),
    "chemical": ("MESH", "CHEBI"),
    "gene": ("HGNC", "FPLX", "MESH", "MGI"),
    "species": ("NCBITaxon", "MESH"),
    "cell_line": ("CVCL", "MESH"),
    "cell_type": ("CL", "MESH"),
    "tissue": ("UBERON", "MESH"),
}


def packed(id_: str) -> tuple[int, int]:
    """An id as number of its form and number, see `ID_FORMS`.

    >>> packed("MESH:D001943"), packed("CVCL:0030")
    ((0, 1943), (13, 3888))
    """
    space, _, local = id_.partition(":")
    if space == "MESH":
        wide = len(local) > 7
        return (2 if local[0] == "C" else 0) + wide, int(local[1:])
    if space == "CVCL":
        return 13, int(local, 36)
    if space == "FPLX":
        return 14, 0
    if space == "DOID":
        return (8, int(local)) if len(local) == 7 else (7, int(local))
    return next(n for n, form in enumerate(ID_FORMS) if form.startswith(f"{space}:")), int(local)


def arrays_of(concepts: Iterable[Concept], common: frozenset[str]) -> tuple[dict[str, np.ndarray], Counter[str]]:
    """The file's arrays and the number of names by type. Concepts without any name to look for are left out."""
    merger = Merger(common)
    for concept in concepts:
        merger.add(concept)
    used = sorted({number for value in merger.names for number in merger.meanings(value)})
    place = {number: at for at, number in enumerate(used)}
    rows = []
    for number in used:
        kind, ids, name = merger.concepts[number]
        spaces = _ORDER[kind]
        ids = sorted(ids, key=lambda i: spaces.index(i.partition(":")[0]))
        rows.append((kind, [packed(i) for i in ids], ids[0][5:] if ids[0].startswith("FPLX:") else name))
    names = {value: [place[n] for n in merger.meanings(value)] for value in merger.names}
    return compiled(names, merger.symbols, rows), merger.counts


def write(arrays: dict[str, np.ndarray], path: Path) -> None:
    """A npz file, packed with LZMA; the same arrays give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():
            buffer = BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_LZMA)


def main() -> None:
    """Make the file and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, help="folder of the two wheels, or where they are put")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    common = frozenset(COMMON_WORDS.read_text().split())
    arrays, counts = arrays_of(Sources(arguments.wheels).concepts(), common)
    write(arrays, arguments.out)
    size = arguments.out.stat().st_size
    print(f"{len(arrays['delta_low']):,} names of {len(arrays['types']):,} concepts, {size:,} bytes")
    for kind, count in sorted(counts.items()):
        print(f"  {kind:<10} {count:>9,} names")


if __name__ == "__main__":
    main()
