"""Commands over subsets and exports; what Dagster's assets `subsets` and `exports` do, asked for by name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from biomedica_assets.cli.common import explained, open_store

if TYPE_CHECKING:
    from biomedica_assets.dataset.export_manifest import Export
    from biomedica_assets.dataset.recipes import Recipe
    from biomedica_assets.dataset.subsets import Subset
    from biomedica_assets.store.files import Files

FORMATS = click.Choice(["webdataset", "parquet", "biomedica"])
FORMAT = click.option("--format", "kind", type=FORMATS, required=True, help="biomedica: BIOMEDICA's 25 keys, JPEG.")


@click.group()
def subset() -> None:
    """What recipes pick from the dataset."""


@subset.command("list")
def list_command() -> None:
    """Name, images and description of every recipe; why there is nothing of one."""
    from biomedica_assets.dataset.subsets import available_tables

    with _explained():
        files, recipes = open_store(), _recipes()
        available = available_tables(files)
        width = max(map(len, recipes))
        for name, recipe in recipes.items():
            picked = _subset_of(files, name)
            reason = recipe.inactive_reason(available)
            state = f"inactive: {reason}" if reason else picked.amount if picked else "not built"
            click.echo(f"{name:<{width}}  {state:<14}  {recipe.description}")


@subset.command("build")
@click.argument("name")
def build_command(name: str) -> None:
    """Carry the recipe NAME out on the present catalogue; nothing is done when nothing has changed."""
    from biomedica_assets.dataset.subsets import build_subset

    with _explained():
        done = build_subset(open_store(), _recipe(name), scratch=_scratch())
    for step in done.steps:
        click.echo(f"{step['step']:<15} {step['before']:>12,} -> {step['after']:>12,}  {step['detail']}")
    click.echo(f"{name}: {done.amount}, state {done.id}")


class _Export(click.Group):
    """A group whose command `write` needs no name: ``export NAME`` is ``export write NAME``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        known = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if not args or args[0] in known else ["write", *args])


@click.group(cls=_Export)
def export() -> None:
    """Subsets as shards to train on: `export NAME --format F` writes them, `export upload NAME --format F` publishes.

    `export NAME` is short for `export write NAME`.
    """


def _part(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", value)
    number, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= parts:
        raise click.BadParameter(f"{value!r} is not like 1/4, the first of four parts")
    return number, parts


@export.command()
@click.argument("name")
@FORMAT
@click.option("--to", "url", default="", metavar="URL", help="Any fsspec URL; default: BIOMEDICA_EXPORTS or the store.")
@click.option("--part", callback=_part, default="1/1", metavar="I/N", help="Only this of N parts; run all, anywhere.")
@click.option("--jpeg-quality", type=click.IntRange(1, 95), help="Convert what is not JPEG (not for parquet).")
def write(name: str, kind: str, url: str, part: tuple[int, int], jpeg_quality: int | None) -> None:
    """Write the newest state of the subset NAME as globally shuffled shards.

    Killed, it goes on where it stopped when it is run again. What was withdrawn since leaves older exports of NAME.
    """
    from tqdm import tqdm

    from biomedica_assets.dataset.export_manifest import Options, export_folder, export_id
    from biomedica_assets.dataset.export_upkeep import rebuild_all
    from biomedica_assets.dataset.exports import committed_shards, unfit
    from biomedica_assets.dataset.exports import export as write_export

    if kind == "parquet" and jpeg_quality is not None:
        raise click.UsageError("--jpeg-quality is for tars: parquet exports hold the original files")
    with _explained():
        files, target = open_store(), _target(url)
        picked = _picked(files, name)
        if fault := unfit(picked, kind):
            raise click.UsageError(fault)
        _report(rebuild_all(files, target, name))
        options = Options(kind, _settings().export_shard_bytes, jpeg_quality)  # type: ignore[arg-type]
        folder = export_folder(name, options, export_id(picked, options))
        number, parts = part
        done = sum(shard.samples for shard in committed_shards(target, folder).values())
        samples = picked.counts.get("copies", picked.samples)
        total = samples if parts == 1 else None  # who writes how many is known shard by shard
        unit = picked.recipe.get("unit", "image")
        with tqdm(total=total, initial=done if total else 0, unit=unit, desc=name) as bar:
            record = write_export(
                files, picked, options, target=target, part=(number - 1, parts), scratch=_scratch(), progress=bar.update
            )
    if record is None:
        click.echo(f"part {number}/{parts} of {target.url}/{folder} is written; other parts are missing")
        return
    counts = record.counts
    click.echo(
        f"{target.url}/{folder}: {counts['samples']:,} samples, {counts['shards']} shards, {counts['bytes']:,} bytes"
    )
    if counts["withheld"] or counts["skipped"]:
        click.echo(f"{counts['withheld']} withdrawn, {counts['skipped']} skipped as unreadable: see manifest.json")


@export.command()
@click.argument("name")
@FORMAT
@click.option("--from", "url", default="", metavar="URL", help="Where it was written to; default as for `--to`.")
@click.option("--repository", default="", metavar="OWNER/NAME", help="Default: made from BIOMEDICA_HUB_REPOSITORY.")
@click.option("--id", "export_id", default="", metavar="ID", help="Which, when there are several of this format.")
def upload(name: str, kind: str, url: str, repository: str, export_id: str) -> None:
    """Make a dataset repository of the hub hold the finished export of NAME; needs the variable HF_TOKEN.

    What was withdrawn since is taken out first. Interrupted, it goes on where it stopped when it is run again.
    """
    from biomedica_assets.dataset.export_upkeep import rebuild_all
    from biomedica_assets.dataset.hub import HubError, repository_name, upload_export

    given, token = _settings(), os.environ.get("HF_TOKEN", "")
    if not token:
        raise click.ClickException(
            "HF_TOKEN is not set: make a token with the right to write in your settings on the hub, and put it into "
            "that variable"
        )
    if not (repository or given.hub_repository):
        raise click.ClickException("say where to: --repository OWNER/NAME, or BIOMEDICA_HUB_REPOSITORY=OWNER/PREFIX")
    with _explained():
        files, target = open_store(), _target(url)
        picked = _picked(files, name)
        _report(rebuild_all(files, target, name))
        record = _finished(target, picked, kind, export_id)
        where = repository or repository_name(given.hub_repository, record)
        try:
            done = upload_export(target, record, where, token=token, endpoint=given.hub_endpoint or None)
        except ImportError as error:
            raise click.ClickException("huggingface_hub is missing: pip install 'biomedica_assets[hub]'") from error
        except HubError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{done.url}: {done.sent} shards sent, {done.present} were there, {done.deleted} deleted")


def _finished(target: Files, newest: Subset, kind: str, wanted: str) -> Export:
    """The finished export of the newest state; an older one only when it is asked for by its id."""
    from biomedica_assets.dataset.export_manifest import Options, export_id, list_exports

    name = newest.name
    every = [one for one in list_exports(target, name) if one.options["format"] == kind]
    found = [
        one for one in every if (one.id == wanted if wanted else one.id == export_id(newest, Options(**one.options)))
    ]
    if not found:
        older = f" (older: {', '.join(one.id for one in every)})" if every else ""
        raise click.ClickException(
            f"{target.url} has no finished {kind} export of the newest state of {name}{older}: "
            f"run `biomedica export {name} --format {kind}`"
        )
    if len(found) > 1:
        known = "; ".join(f"{one.id}: {one.options}" for one in found)
        raise click.ClickException(f"there are several {kind} exports of {name}, choose with --id: {known}")
    return found[0]


def _report(touched: dict[str, list[str]]) -> None:
    for folder, sample_ids in touched.items():
        click.echo(f"{folder}: {len(sample_ids)} withdrawn samples taken out", err=True)


@contextmanager
def _explained() -> Iterator[None]:
    from biomedica_assets.dataset.recipes import RecipeError
    from biomedica_assets.dataset.subsets import InactiveError

    with explained(RecipeError, InactiveError):
        yield


def _settings() -> Any:
    from biomedica_assets.settings import Settings

    return Settings()


def _scratch() -> str | None:
    return _settings().scratch or None


def _target(url: str) -> Files:
    from biomedica_assets.store.files import Files

    place = url or _settings().exports
    return Files(place) if place else open_store()


def _recipes() -> dict[str, Recipe]:
    from biomedica_assets.dataset.recipes import load_recipes

    return load_recipes(_settings().recipe_folder)


def _recipe(name: str) -> Recipe:
    recipes = _recipes()
    if name not in recipes:
        raise click.ClickException(f"there is no recipe {name!r}; there are: {', '.join(recipes)}")
    return recipes[name]


def _subset_of(files: Files, name: str) -> Subset | None:
    from biomedica_assets.dataset.subsets import read_subset

    try:
        return read_subset(files, name)
    except FileNotFoundError:
        return None


def _picked(files: Files, name: str) -> Subset:
    """The subset's newest state; else what to do about it."""
    from biomedica_assets.dataset.subsets import available_tables

    recipe = _recipe(name)
    if (found := _subset_of(files, name)) is not None:
        return found
    reason = recipe.inactive_reason(available_tables(files))
    if reason:
        raise click.ClickException(f"there is no subset {name}: the recipe {reason}")
    raise click.ClickException(f"there is no subset {name} yet: run `biomedica subset build {name}`")
