"""``python -m biomedica_assets.sample URL --release 1 --layout cloud|packages``: write the sample release."""

from __future__ import annotations

import click

from biomedica_assets.sample.articles import shapes
from biomedica_assets.sample.release import LAYOUTS, RELEASES, ensure


@click.command()
@click.argument("url", required=False)
@click.option("--release", "number", type=click.IntRange(1, len(RELEASES)), default=1, show_default=True)
@click.option("--layout", type=click.Choice(LAYOUTS), default="cloud", show_default=True)
@click.option("--shapes", "listing", is_flag=True, help="List which articles stand for which odd shape of JATS.")
def main(url: str | None, number: int, layout: str, listing: bool) -> None:
    """Write the sample release to URL (any fsspec URL), unless it is there already."""
    if listing:
        for shape, ids in sorted(shapes().items()):
            click.echo(f"{shape:<30} {' '.join(ids)}")
    if not url:
        if not listing:
            raise click.UsageError("give a URL, or --shapes")
        return
    wrote = ensure(url, number, layout)
    click.echo(f"{'wrote' if wrote else 'already there:'} release {RELEASES[number]} ({layout} layout) at {url}")


if __name__ == "__main__":
    main()
