"""`biomedica votes`: everybody's votes as CSV, out of a store and into one."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import click

from biomedica_assets.cli.common import explained, open_store


@click.group()
def votes() -> None:
    """Votes of all annotators, as CSV. The labelling pages give and take an annotator's own."""


@votes.command("export")
@click.argument("target", type=click.File("wb", atomic=True), default="-")
def export_votes(target: BinaryIO) -> None:
    """Write every vote of the store to TARGET, also those that count no more: by default to the screen."""
    from biomedica_assets.labels.taxonomy import load_taxonomy
    from biomedica_assets.labels.vote_csv import axes_of, export_csv
    from biomedica_assets.labels.vote_log import VoteLog
    from biomedica_assets.settings import Settings

    with explained(ValueError):
        log = VoteLog(open_store())
        log.refresh()
        found = sorted(log.votes, key=lambda vote: (vote.annotator, vote.vote_id))
        for line in export_csv(found, axes_of(found, load_taxonomy(Settings().taxonomy_file))):
            target.write(line.encode())
    click.echo(f"{len(found)} votes", err=True)


@votes.command("import")
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_votes(source: Path) -> None:
    """Keep the votes of SOURCE, whoever gave them. Rows that are none are told; the exit status is then 1.

    Safe to repeat: votes that are there already are counted as such. Rows without a vote_id are cast anew each time.
    """
    from biomedica_assets.labels.taxonomy import load_taxonomy
    from biomedica_assets.labels.vote_csv import import_csv
    from biomedica_assets.settings import Settings

    with explained(ValueError):
        done = import_csv(open_store(), source.read_bytes(), load_taxonomy(Settings().taxonomy_file))
    for error in done.errors:
        click.echo(f"{source}:{error.line}: {error.message}", err=True)
    click.echo(f"{done.kept} kept, {done.present} there already, {len(done.errors)} refused")
    if done.errors:
        raise SystemExit(1)
