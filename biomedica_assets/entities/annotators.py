"""What an annotator is, which there are, and how one is loaded by name.

Belongs here: `Entity`, the protocol, the registry, the errors. Does not belong here: any one annotator (`offline`,
`gliner`), the table made with them (`tables`).

A name is ``offline`` or ``kind:argument``. The default runs without network on files of this package; others need a
package of their own and weights that the caller names, and never run on random ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

ID_DIGITS = 12
"""Hex digits of the files' checksum that stand in an annotator's id."""


class AnnotatorError(ValueError):
    """An annotator cannot be had as asked for, or fails on a text; the message says what to do."""


class AnnotatorMissingError(AnnotatorError):
    """A package is not installed."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A mention: ``text`` is the annotated text from ``start`` to before ``end`` (code points)."""

    start: int
    end: int
    text: str
    type: str
    """disease, chemical, gene, species, cell_line, cell_type or tissue"""
    ids: tuple[str, ...]
    """What it means, the best first, e.g. MESH:D001943; empty when unknown."""
    name: str | None
    """Preferred name of what the first id means."""
    source: str
    """dictionary, model or both"""
    probability: float
    """Of span and type being right."""


@runtime_checkable
class Annotator(Protocol):
    """Finds entities; equal texts give equal entities, whatever else is in the batch.

    ``id`` names annotator and files: rows of different ids were not made alike.
    """

    id: str

    def annotate(self, text: str) -> list[Entity]:
        """Entities of a text in order; none overlap."""

    def annotate_many(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Entities of each text."""


KNOWN = {
    "offline": "vocabulary and tagger of this package",
    "gliner:<folder or hub name>": "GLiNER with weights of one's own, e.g. GLiNER-biomed (pip install gliner)",
}
"""Every kind of annotator, as it is spelled."""


def check_annotator(name: str) -> None:
    """Whether a name is spelled as one of KNOWN; nothing is loaded.

    Raises:
        AnnotatorError: it is not.
    """
    kind, _, argument = name.partition(":")
    if not (name == "offline" or (kind == "gliner" and argument)):
        raise AnnotatorError(f"there is no annotator {name!r}; known: {', '.join(KNOWN)}")


def load_annotator(name: str = "offline") -> Annotator:
    """Load an annotator by name, see KNOWN.

    Raises:
        AnnotatorMissingError: a package is missing; the message says what to install.
        AnnotatorError: the name is wrong, or files are missing or damaged.
    """
    check_annotator(name)
    if name == "offline":
        from biomedica_assets.entities.offline import OfflineAnnotator

        return OfflineAnnotator.shipped()
    from biomedica_assets.entities.gliner import GlinerAnnotator

    return GlinerAnnotator(name.partition(":")[2])
