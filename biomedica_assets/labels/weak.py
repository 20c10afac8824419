"""Weak labels: what caption, MeSH headings and kind of figure say of an image, by rules that stand in ``rules.yaml``.

Each says by which source it came about (`caption_rule`, `mesh_rule`, `figure_kind`) and by which version of the rules.
They are evidence beside votes and classifiers, and what there is before anybody has voted. What does not belong here:
which source wins (`annotations`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from biomedica_assets.labels.taxonomy import Taxonomy

SHIPPED = Path(__file__).with_name("rules.yaml")

CAPTION, MESH, KIND = "caption_rule", "mesh_rule", "figure_kind"
SOURCES = (CAPTION, MESH, KIND)
NOTHING = "no_"
"""How ids of labels begin that say that an axis has nothing to say of an image."""


class RuleError(ValueError):
    """The rules cannot be read; the message names the file and every fault."""


class Said(NamedTuple):
    """One label of one image, as one source says it."""

    axis: str
    label: str
    probability: float
    source: str


Probability = Annotated[float, Field(gt=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Strict):
    """What must be there for a label to be said, and how sure it is then."""

    label: str
    probability: Probability
    any: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


class _Panel(_Strict):
    label: str
    probability: Probability


class _Panels(_Strict):
    several: _Panel
    one: _Panel


class Rules(_Strict):
    """All rules; see the head of ``rules.yaml``. From the probability ``decides`` on a label is held to be there."""

    version: str
    decides: Probability
    later: Probability
    beginning: int = Field(ge=1)
    captions: tuple[Rule, ...]
    mesh: tuple[Rule, ...]
    kinds: tuple[Rule, ...]
    panels: _Panels

    @property
    def id(self) -> str:
        """What rows record: the version, and the first digits of the rules' SHA-256."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return f"rules-{self.version}-{digest[:8]}"

    def labels(self) -> set[str]:
        """Every label that a rule names."""
        rules = [*self.captions, *self.mesh, *self.kinds]
        return {name for rule in rules for name in (rule.label, *rule.also)} | {
            self.panels.several.label,
            self.panels.one.label,
        }


@lru_cache(maxsize=4)
def load_rules(path: str = "") -> Rules:
    """The rules in a YAML file; the shipped ones when no path is given.

    Raises:
        RuleError: no such file, no YAML, or not rules.
    """
    source = Path(path) if path else SHIPPED
    try:
        return Rules.model_validate(yaml.safe_load(source.read_text("utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise RuleError(f"{source}: {error}") from error


_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """A text's words as rules compare them: lower case, a plural s dropped from words of more than three letters.

    >>> words("T2-weighted MR images (FLAIR), axial slices")
    ['t2', 'weighted', 'mr', 'image', 'flair', 'axial', 'slice']
    """
    return [
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
        for word in _WORD.findall(text.lower())
    ]


class WeakLabeller:
    """Rules made ready for one taxonomy; labels that it does not have are left out (``unknown`` names them)."""

    def __init__(self, rules: Rules, taxonomy: Taxonomy) -> None:
        self.rules, self.id = rules, rules.id
        self.unknown = sorted(rules.labels() - taxonomy.labels.keys())
        self._axis = {label: taxonomy.axis_of(label).id for label in rules.labels() if label in taxonomy.labels}
        self._phrases: dict[str, list[tuple[int, bool]]] = {}
        for number, rule in enumerate(rules.captions):
            for wanted, phrases in ((True, rule.any), (False, rule.unless)):
                for phrase in phrases:
                    self._phrases.setdefault(" ".join(words(phrase)), []).append((number, wanted))
        self._longest = max((phrase.count(" ") + 1 for phrase in self._phrases), default=1)
        self._first = {phrase.partition(" ")[0] for phrase in self._phrases}

    def label(
        self, caption: str | None, *, panels: int, kind: str | None, images: int = 1, mesh: Collection[str] = ()
    ) -> list[Said]:
        """Everything the rules say of an image; each (axis, label, source) once, with its highest probability.

        Args:
            caption: the figure's own caption, else that of its group.
            panels: panels that the caption letters.
            kind: ``figures.kind``.
            images: image files of the figure; of several, the caption's panels may each be a file of its own.
            mesh: descriptor UIs of the article.
        """
        found: dict[tuple[str, str, str], float] = {}
        for label, probability, source in (
            *self._of_caption(caption or ""),
            *((rule.label, rule.probability, MESH) for rule in self.rules.mesh if not set(rule.any).isdisjoint(mesh)),
            *self._of_kind(kind),
            *self._of_panels(caption, panels, images),
        ):
            if label in self._axis:
                key = (self._axis[label], label, source)
                found[key] = max(probability, found.get(key, 0.0))
        return [Said(axis, label, p, source) for (axis, label, source), p in sorted(found.items())]

    def _of_caption(self, caption: str) -> Iterator[tuple[str, float, str]]:
        said: dict[int, int] = {}
        refused: set[int] = set()
        tokens = words(caption)
        for start, token in enumerate(tokens):
            if token not in self._first:
                continue
            for length in range(1, self._longest + 1):
                phrase = " ".join(tokens[start : start + length])
                for number, wanted in self._phrases.get(phrase, ()):
                    if wanted:
                        said.setdefault(number, start)
                    else:
                        refused.add(number)
        rules = [(self.rules.captions[number], start) for number, start in said.items() if number not in refused]
        named = {self._axis[rule.label] for rule, _ in rules if rule.label in self._axis}
        for rule, start in rules:
            probability = rule.probability * (1 if start < self.rules.beginning else self.rules.later)
            yield rule.label, probability, CAPTION
            yield from ((label, probability, CAPTION) for label in rule.also if self._follows(label, named))

    def _follows(self, label: str, named: Collection[str]) -> bool:
        """What follows from a rule counts where no rule speaks of that axis, but for pictures beside plots."""
        axis = self._axis.get(label)
        return axis is not None and (axis not in named or not label.startswith(NOTHING))

    def _of_kind(self, kind: str | None) -> Iterator[tuple[str, float, str]]:
        for rule in self.rules.kinds:
            if kind in rule.kinds:
                yield from ((label, rule.probability, KIND) for label in (rule.label, *rule.also))

    def _of_panels(self, caption: str | None, panels: int, images: int) -> Iterator[tuple[str, float, str]]:
        if caption and images == 1:
            panel = self.rules.panels.several if panels > 1 else self.rules.panels.one
            yield panel.label, panel.probability, CAPTION


def strongest(said: Iterable[Said], axes: Sequence[str]) -> dict[str, Said]:
    """By axis, the label that any rule is most sure of; of equal ones the first by name."""
    best: dict[str, Said] = {}
    for one in sorted(said, key=lambda s: (-s.probability, s.label, s.source)):
        if one.axis in axes:
            best.setdefault(one.axis, one)
    return best
