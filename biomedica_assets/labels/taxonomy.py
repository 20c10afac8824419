"""The taxonomy: which labels an image may have on which axis, what they mean, which published names follow from them.

The shipped one is ``taxonomy.yaml``; a setting may name another file of the same form. What does not belong here: who
said that an image has a label (`votes`) and how sure that is (`consensus`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

SHIPPED = Path(__file__).with_name("taxonomy.yaml")
_NAMES = Path(__file__).with_name("biomedica_names.yaml")
_MAX_BYTES = 4 << 20

Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Text = Annotated[str, Field(min_length=1)]


class TaxonomyError(ValueError):
    """A taxonomy cannot be read or contradicts itself; the message names the file and every fault."""


class PublishedNames(NamedTuple):
    """What BIOMEDICA's fields would say of an image. Lists are sorted by our order of labels, without repetition."""

    global_names: list[str]
    local_names: list[str]
    panel_type: str | None
    panel_subtype: str | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value  # YAML knows no tuples


class Published(_Strict):
    """A published name that follows from a label.

    ``also`` (in YAML ``with``) are labels that the image must have too, or ones below them; ``fallback`` holds only
    while nothing else of the image gives that global name.
    """

    model_config = ConfigDict(populate_by_name=True)

    name: Text = Field(description="'Global/local', or 'Global' alone")
    also: tuple[Id, ...] = Field((), alias="with")
    fallback: bool = False

    @property
    def parts(self) -> tuple[str, str | None]:
        """Global and local name; local is null when only the global name follows."""
        first, _, second = self.name.partition("/")
        return first, second or None


class PublishedPanel(_Strict):
    """BIOMEDICA's panel type, and its subtype where it has one for this."""

    type: Text
    subtype: Text | None = None


class Label(_Strict):
    """One label. ``id`` is unique in the whole taxonomy, so that a label alone tells its axis."""

    id: Id
    name: Text
    definition: Text
    parent: Id | None = None
    synonyms: tuple[Text, ...] = ()
    biomedica: tuple[Published, ...] = ()
    panel: PublishedPanel | None = None

    @field_validator("biomedica", mode="before")
    @classmethod
    def _plain_names(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return tuple({"name": one} if isinstance(one, str) else one for one in value)


class Axis(_Strict):
    """One question about an image, and its answers. ``choices``: whether several may hold at once."""

    id: Id
    name: Text
    question: Text
    definition: Text
    choices: Literal["one", "several"]
    labels: tuple[Label, ...] = Field(min_length=2)

    @property
    def several(self) -> bool:
        return self.choices == "several"


class Taxonomy(_Strict):
    """All axes. Ask it for labels by id; unknown ids raise KeyError."""

    name: Id
    version: Text
    axes: tuple[Axis, ...] = Field(min_length=1)
    not_given: dict[str, Text] = Field(default_factory=dict)
    renamed: dict[Id, Id] = Field(default_factory=dict, description="ids of earlier versions, for votes that name them")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = [*_faults_of_ids(self), *_faults_of_names(self)]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @cached_property
    def id(self) -> str:
        """Name, version and the first digits of the content's SHA-256: what votes and annotations record."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()
        return f"{self.name}-{self.version}-{hashlib.sha256(content).hexdigest()[:8]}"

    @cached_property
    def labels(self) -> dict[str, Label]:
        """Every label by id, in the file's order."""
        return {label.id: label for axis in self.axes for label in axis.labels}

    @cached_property
    def _axes(self) -> dict[str, Axis]:
        return {axis.id: axis for axis in self.axes}

    @cached_property
    def _axis_of(self) -> dict[str, Axis]:
        return {label.id: axis for axis in self.axes for label in axis.labels}

    @cached_property
    def _order(self) -> dict[str, int]:
        return {label: index for index, label in enumerate(self.labels)}

    def axis(self, axis: str) -> Axis:
        """The axis of an id."""
        return self._axes[axis]

    def axis_of(self, label: str) -> Axis:
        """The axis that a label belongs to."""
        return self._axis_of[label]

    def ancestors(self, label: str) -> tuple[str, ...]:
        """Labels that hold whenever this one does, nearest first, itself not among them."""
        found: list[str] = []
        parent = self.labels[label].parent
        while parent:
            found.append(parent)
            parent = self.labels[parent].parent
        return tuple(found)

    def expand(self, labels: Iterable[str]) -> set[str]:
        """The labels and everything above them."""
        return {name for label in labels for name in (label, *self.ancestors(label))}

    def most_specific(self, labels: Collection[str]) -> list[str]:
        """The labels without those that lie above another of them, in the taxonomy's order."""
        above = {name for label in labels for name in self.ancestors(label)}
        return sorted({label for label in labels if label not in above}, key=self._order.__getitem__)

    def resolve(self, label: str) -> str | None:
        """Today's id of a label that a vote names, perhaps an earlier one; null when there is none any more."""
        label = self.renamed.get(label, label)
        return label if label in self.labels else None

    def faults_of(self, answers: Mapping[str, Collection[str]]) -> list[str]:
        """Why answers ({axis: labels}) cannot be given, in words for people; empty when they can."""
        faults = []
        for axis_id, labels in answers.items():
            if axis_id not in self._axes:
                faults.append(f"there is no axis {axis_id!r}; there are {', '.join(self._axes)}")
                continue
            axis = self._axes[axis_id]
            if not labels:
                faults.append(f"{axis_id}: no label; leave the axis out to give no answer")
            if len(set(labels)) != len(labels):
                faults.append(f"{axis_id}: the same label twice")
            if not axis.several and len(labels) > 1:
                faults.append(f"{axis_id} takes one label, not {len(labels)}")
            own = {label.id for label in axis.labels}
            faults.extend(f"{axis_id} has no label {label!r}" for label in labels if label not in own)
        return faults

    def published(self, labels: Collection[str]) -> PublishedNames:
        """BIOMEDICA's names for an image that has these labels (of all axes); unknown labels raise KeyError.

        Of labels that lie above one another the lowest speaks; one without a name of its own speaks as the next above.
        """
        held = self.expand(labels)
        names: list[Published] = []
        panel: PublishedPanel | None = None
        for label in self.most_specific(labels):
            line = [self.labels[name] for name in (label, *self.ancestors(label))]
            speaking = next((one.biomedica for one in line if one.biomedica), ())
            names += [name for name in speaking if held.issuperset(name.also)]
            panel = panel or next((one.panel for one in line if one.panel), None)
        firm = {name.parts[0] for name in names if not name.fallback}
        given = [name.parts for name in names if not name.fallback or name.parts[0] not in firm]
        return PublishedNames(
            list(dict.fromkeys(first for first, _ in given)),
            list(dict.fromkeys(second for _, second in given if second)),
            panel.type if panel else None,
            panel.subtype if panel else None,
        )


def _faults_of_ids(taxonomy: Taxonomy) -> Iterable[str]:
    seen: dict[str, str] = {}
    for axis in taxonomy.axes:
        own = {label.id: label for label in axis.labels}
        for name in [axis.id, *(label.id for label in axis.labels)]:
            if name in seen:
                yield f"{name} is both in {seen[name]} and in {axis.id}"
            seen[name] = axis.id
        for label in axis.labels:
            if label.parent and label.parent not in own:
                yield f"{label.id}: {axis.id} has no label {label.parent!r} to be its parent"
            above, at = set(), label
            while at.parent in own and at.id not in above:
                above.add(at.id)
                at = own[at.parent]
            if at.id in above:
                yield f"{label.id} lies below itself"
    for old, new in taxonomy.renamed.items():
        if old in seen or new not in seen:
            yield f"renamed: {old} must be gone and {new} must be there"


def _faults_of_names(taxonomy: Taxonomy) -> Iterable[str]:
    known, panels = published_names(), published_panels()
    labels = {label.id for axis in taxonomy.axes for label in axis.labels}
    given = set()
    for axis in taxonomy.axes:
        for label in axis.labels:
            for name in label.biomedica:
                given.add(name.name)
                if name.name not in known:
                    yield f"{label.id}: BIOMEDICA published no name {name.name!r}"
                yield from (f"{label.id}: there is no label {also!r}" for also in name.also if also not in labels)
            if label.panel and label.panel.type not in panels:
                yield f"{label.id}: BIOMEDICA published no panel type {label.panel.type!r}"
            elif label.panel and label.panel.subtype and label.panel.subtype not in panels[label.panel.type]:
                yield f"{label.id}: BIOMEDICA published no panel subtype {label.panel.subtype!r}"
    for missing in taxonomy.not_given:
        if missing not in known or missing in given:
            yield f"not_given: {missing!r} is not a published name that nothing gives"


@lru_cache(maxsize=1)
def _published() -> dict[str, Any]:
    return yaml.safe_load(_NAMES.read_text(encoding="utf-8"))


def published_names() -> frozenset[str]:
    """BIOMEDICA's 16 global names and 119 "Global/local" names."""
    concepts = _published()["concepts"]
    return frozenset(concepts) | {f"{first}/{second}" for first, local in concepts.items() for second in local}


def published_panels() -> dict[str, tuple[str, ...]]:
    """BIOMEDICA's panel types and the subtypes of each."""
    return {name: tuple(subtypes) for name, subtypes in _published()["panels"].items()}


def load_taxonomy(path: str | Path = "") -> Taxonomy:
    """The taxonomy in a YAML file; the shipped one when no path is given.

    Raises:
        TaxonomyError: no such file, no YAML, or it contradicts itself.
    """
    return _load(str(path)) if path else _shipped()


@lru_cache(maxsize=1)
def _shipped() -> Taxonomy:
    return _load(str(SHIPPED))


def _load(path: str) -> Taxonomy:
    try:
        data = Path(path).read_bytes()
        if len(data) > _MAX_BYTES:
            raise TaxonomyError(f"{path}: {len(data)} bytes are too many for a taxonomy")
        record = yaml.safe_load(data)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise TaxonomyError(f"{path}: {error}") from error
    try:
        return Taxonomy.model_validate(record)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc'])) or 'taxonomy'}: {e['msg']}" for e in error.errors()]
        raise TaxonomyError(f"{path}: {'; '.join(faults)}") from error


def to_markdown(taxonomy: Taxonomy) -> str:
    """`docs/taxonomy.md`: axes, labels, definitions and published names."""
    lines = [
        "# Taxonomy",
        "",
        "Made from `biomedica_assets/labels/taxonomy.yaml` by "
        "`python -m biomedica_assets.labels.taxonomy > docs/taxonomy.md`.",
        "",
        f"Version {taxonomy.version}. {len(taxonomy.axes)} axes, {len(taxonomy.labels)} labels. Indented labels lie "
        "below the one above them: what has the lower one has the upper one too. A vote gives the lowest that is sure.",
        "`BIOMEDICA_TAXONOMY` may name a file of one's own.",
    ]
    for axis in taxonomy.axes:
        how = "several may hold" if axis.several else "one holds"
        lines += ["", f"## {axis.name} (`{axis.id}`)", "", f"{axis.question} ({how}) {axis.definition}", ""]
        lines += ["| label | definition | also called | BIOMEDICA |", "|---|---|---|---|"]
        for label in _depth_first(axis):
            indent = "&nbsp;&nbsp;" * len(taxonomy.ancestors(label.id))
            names = "<br>".join([*map(_in_words, label.biomedica), *_panel_in_words(label.panel)])
            cells = (f"{indent}{label.name} `{label.id}`", label.definition, ", ".join(label.synonyms), names)
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Published names that no label gives", ""]
    lines += [f"- {name}: {reason}" for name, reason in taxonomy.not_given.items()]
    return "\n".join(lines) + "\n"


def _depth_first(axis: Axis, parent: str | None = None) -> Iterable[Label]:
    for label in axis.labels:
        if label.parent == parent:
            yield label
            yield from _depth_first(axis, label.id)


def _in_words(name: Published) -> str:
    condition = f" (with {', '.join(f'`{one}`' for one in name.also)})" if name.also else ""
    return name.name + condition + (" (if nothing else)" if name.fallback else "")


def _panel_in_words(panel: PublishedPanel | None) -> list[str]:
    return [" / ".join(filter(None, (panel.type, panel.subtype)))] if panel else []


if __name__ == "__main__":
    print(to_markdown(load_taxonomy()), end="")
