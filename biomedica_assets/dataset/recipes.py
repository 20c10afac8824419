"""Recipes: what a subset holds, in a YAML file. Strict: a key or a value that is not understood is refused.

Recipes of our own lie in ``recipes/``; a folder of one's own may add to them or replace them by name. `docs` of every
key: the fields of `Recipe`. What does not belong here: carrying a recipe out (`subsets`, `exports`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from biomedica_assets.dataset.duplicates import DISTANCE
from biomedica_assets.dataset.predicates import LATER, SOURCES, PredicateError, referenced
from biomedica_assets.dataset.units import UNITS, Unit, UnitName

SHIPPED = Path(__file__).with_name("recipes")
LicenceGroup = Literal["commercial", "noncommercial", "other"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class RecipeError(ValueError):
    """A recipe cannot be read or used; the message names the file, the key and the reason."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Balance(_Strict):
    """Keep at most ``max`` images for each value of a column (null is a value too), chosen by the seed."""

    by: str
    max: int = Field(ge=1)


class Decontaminate(_Strict):
    """Leave out images that a list names: one SHA-256 (64 hex digits) or perceptual hash (16) a line, # comments."""

    list: str = Field(min_length=1, description="fsspec URL, or a path relative to the recipe's folder")
    distance: int = Field(DISTANCE, ge=0, le=16, description="bits within which a perceptual hash counts as the same")


class Upsample(_Strict):
    """Samples that ``where`` holds of come ``times`` over in exports; of several that hold, the largest counts."""

    where: str = Field(min_length=1)
    times: int = Field(ge=2, le=1000)


class Recipe(_Strict):
    """One recipe. Steps run in the order licence, where, decontaminate, dedup, balance, limit, upsample."""

    name: Name = Field(description="name of the subset: its folder and its partition")
    description: str = Field(min_length=1, description="what the subset holds, for people")
    unit: UnitName = Field("image", description="what a sample is: image, panel (with its own text) or paragraph")
    licence_groups: tuple[LicenceGroup, ...] = Field(
        ("commercial", "noncommercial"), min_length=1, description="groups to take; `other` only when named here"
    )
    requires: tuple[Name, ...] = Field((), description="tables it makes no sense without")
    where: str | None = Field(None, min_length=1, description="SQL: one boolean expression over the columns")
    decontaminate: tuple[Decontaminate, ...] = Field((), description="lists of images to leave out")
    dedup: Literal["none", "exact", "near"] = Field("none", description="keep the first of equal images")
    balance: tuple[Balance, ...] = Field((), description="caps, one after the other")
    upsample: tuple[Upsample, ...] = Field((), description="what comes several times over in exports")
    limit: int | None = Field(None, ge=1, description="so many samples at most, chosen by the seed")
    seed: int = Field(0, ge=0, description="of every choice and of the order of exports")
    fields: tuple[str, ...] = Field((), description="what an export says of each sample; those of the unit by default")

    @model_validator(mode="before")
    @classmethod
    def _fields_of_the_unit(cls, values: Any) -> Any:
        unit = UNITS.get(values.get("unit", "image")) if isinstance(values, dict) else None
        return {"fields": unit.default_fields, **values} if unit else values

    @field_validator("licence_groups", "requires", "decontaminate", "balance", "upsample", "fields", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value  # YAML knows no tuples

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        # Columns of a table that is still to come cannot be checked before it is there.
        coming = any(table not in SOURCES for table in self.requires)
        known, fields = self.kind.columns, self.kind.fields
        for predicate in self.predicates:
            referenced(predicate, known, open_ended=coming)
        for cap in self.balance:
            if cap.by not in known and not coming:
                referenced(cap.by, known)
        unknown = [name for name in self.fields if name not in fields]
        if unknown:
            raise ValueError(f"fields: unknown {unknown}; known: {', '.join(fields)}")
        if not self.kind.pictured and self.dedup == "near":
            raise ValueError("dedup: near compares pictures; paragraphs are compared by their text: exact")
        if len(set(self.licence_groups)) < len(self.licence_groups) or len(set(self.fields)) < len(self.fields):
            raise ValueError("licence_groups and fields name each thing once")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """Tables that must be there before the recipe can be carried out."""
        read = {self.kind.columns[name][0] for name in self.columns if name in self.kind.columns} | {self.kind.needs}
        implied = {"duplicates": self.dedup == "near", **{table: table in read for table in LATER}}
        return tuple(dict.fromkeys([*self.requires, *(name for name, needed in implied.items() if needed)]))

    @property
    def columns(self) -> set[str]:
        """Columns that its steps read."""
        named = [referenced(predicate, self.kind.columns, open_ended=True) for predicate in self.predicates]
        return {cap.by for cap in self.balance}.union(*named)

    @property
    def predicates(self) -> list[str]:
        """The SQL in it."""
        return [*([self.where] if self.where else []), *(one.where for one in self.upsample)]

    @property
    def kind(self) -> Unit:
        """What a sample is."""
        return UNITS[self.unit]

    def canonical(self) -> dict[str, Any]:
        """The recipe as JSON values: what decides which images are picked and said. Of lists only the names."""
        values = self.model_dump(mode="json", exclude={"description"})
        for entry in values["decontaminate"]:
            entry["list"] = entry["list"].rpartition("/")[2]
        return values

    @property
    def digest(self) -> str:
        """SHA-256 of `canonical`, 64 hex digits."""
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()

    def inactive_reason(self, available: Collection[str]) -> str | None:
        """Why the recipe cannot be carried out yet, or None when it can."""
        missing = [name for name in self.needs if name not in available]
        return f"needs the table {' and '.join(missing)}, which this store does not have yet" if missing else None


def parse_recipe(text: str, source: str = "recipe") -> Recipe:
    """A recipe from YAML.

    Raises:
        RecipeError: not YAML, or not a recipe; every problem is named.
    """
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{source} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(found, Mapping):
        raise RecipeError(f"{source} is not a mapping of keys to values")
    try:
        return Recipe.model_validate(dict(found))
    except ValidationError as error:
        raise RecipeError(f"{source}: {'; '.join(_words(problem) for problem in error.errors())}") from error
    except PredicateError as error:
        raise RecipeError(f"{source}: {error}") from error


def _words(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        message = f"no such key; a recipe has {', '.join(Recipe.model_fields)}"
    return f"{where}: {message}" if where else message


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file, which must bear its name.

    Raises:
        RecipeError: as for `parse_recipe`, or another name.
    """
    recipe = parse_recipe(path.read_text("utf-8"), path.name)
    if recipe.name != path.stem:
        raise RecipeError(f"{path.name}: the recipe calls itself {recipe.name!r}; name the file {recipe.name}.yaml")
    return recipe


def load_recipes(folder: str | Path = "") -> dict[str, Recipe]:
    """Shipped recipes by name, with those of ``folder`` added or put in their place.

    Raises:
        RecipeError: there is no such folder, or a file in it is not a recipe.
    """
    paths = {path.stem: path for path in SHIPPED.glob("*.yaml")}
    if folder:
        if not Path(folder).is_dir():
            raise RecipeError(f"{folder} is not a folder of recipes")
        paths |= {path.stem: path for path in Path(folder).glob("*.yaml")}
    return {name: _located(read_recipe(paths[name]), paths[name].parent) for name in sorted(paths)}


def _located(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with its lists' paths made absolute."""
    lists = tuple(
        entry if "://" in entry.list else entry.model_copy(update={"list": str((folder / entry.list).resolve())})
        for entry in recipe.decontaminate
    )
    return recipe.model_copy(update={"decontaminate": lists})
