"""Commands over a store as a whole: snapshots, compaction, migration."""

from __future__ import annotations

import sys

import click

from biomedica_assets.cli.common import explained, open_store


@click.group()
def snapshot() -> None:
    """Named states of the store: files, checksums, release, counts."""


@snapshot.command("list")
def list_command() -> None:
    """Names of the snapshots, with release and counts."""
    from biomedica_assets.store.snapshots import list_snapshots, read_snapshot

    files = open_store()
    for name in list_snapshots(files):
        found = read_snapshot(files, name)
        click.echo(f"{name}  release {found.release}  {found.counts}")


@snapshot.command()
@click.argument("name", required=False)
def create(name: str | None) -> None:
    """Keep the present state under NAME (default: release and content checksum)."""
    from biomedica_assets.store.snapshots import create_snapshot

    with explained():
        made = create_snapshot(open_store(), name)
        click.echo(f"{made.name}: release {made.release}, {len(made.files)} files, content {made.logical_checksum}")


@snapshot.command()
@click.argument("before")
@click.argument("after")
@click.option("--json", "as_json", is_flag=True, help="Every row as JSON.")
def diff(before: str, after: str, as_json: bool) -> None:
    """What changed from BEFORE to AFTER: articles, figures and images added, changed, removed, retracted."""
    from biomedica_assets.store.differences import diff_snapshots

    with explained():
        found = diff_snapshots(open_store(), before, after)
    if as_json:
        click.echo(found.to_json())
        return
    for row in found.rows.to_pylist():
        if row["kind"] == "article":
            click.echo(f"{row['change']:<10} {row['id']}  {row['detail'] or ''}")
    for kind, counts in found.counts.items():
        click.echo(f"{kind + 's':<10} " + ", ".join(f"{count} {change}" for change, count in counts.items()))


@snapshot.command()
@click.argument("name")
@click.option("--contents", is_flag=True, help="Read every byte and compare SHA-256, not only sizes.")
def verify(name: str, contents: bool) -> None:
    """Check that every file of the snapshot is there; exit status 1 when one is not."""
    from biomedica_assets.store.snapshots import verify_snapshot

    with explained():
        found = verify_snapshot(open_store(), name, contents=contents)
    for path in found.wrong:
        click.echo(f"missing or changed: {path}", err=True)
    click.echo(f"{found.checked} files, {found.bytes:,} bytes, {len(found.wrong)} wrong")
    if found.wrong:
        sys.exit(1)


@snapshot.command()
@click.argument("name")
def withheld(name: str) -> None:
    """What the withdrawal list keeps from readers of the snapshot."""
    from biomedica_assets.store.snapshots import withheld as withheld_of

    with explained():
        for row in withheld_of(open_store(), name).to_pylist():
            click.echo(f"{row['article_id']}  {row['reason']}  since {row['since_release']}  {row['images']} images")


@snapshot.command()
@click.argument("name")
def restore(name: str) -> None:
    """Make the store's tables those of the snapshot again (what was withdrawn since stays withdrawn)."""
    from biomedica_assets.store.snapshots import restore_snapshot

    with explained():
        generation = restore_snapshot(open_store(), name)
    click.echo(f"restored {name}: {generation.counts['current']} current articles; run the job `reconcile` for the UI")


@snapshot.command()
@click.argument("name")
def delete(name: str) -> None:
    """Let the snapshot go; files that only it named are garbage then."""
    from biomedica_assets.store.snapshots import delete_snapshot

    with explained():
        delete_snapshot(open_store(), name)


@click.command()
@click.option("--dead-share", default=0.3, show_default=True, help="Shards of which so much is dead are written anew.")
@click.option("--confirm-releases", default=2, show_default=True, help="Releases that must confirm a removal.")
def compact(dead_share: float, confirm_releases: int) -> None:
    """Drop withdrawn and replaced images from shards; garbage collection frees the space later."""
    from biomedica_assets.store.compaction import compact as compact_store

    with explained():
        done = compact_store(open_store(), dead_share=dead_share, confirm_releases=confirm_releases, log=click.echo)
    click.echo(f"{done.shards} shards: {done.bytes_before:,} -> {done.bytes_after:,} bytes, {done.chunks} chunks")


@click.command()
def migrate() -> None:
    """Bring tables of an older version to today's schema; shards stay as they are."""
    from biomedica_assets.store.migrations import migrate_store

    with explained():
        click.echo(migrate_store(open_store(), log=click.echo))
