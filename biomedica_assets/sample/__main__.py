"""``python -m biomedica_assets.sample URL --release 1 --layout cloud|packages``: write the sample release."""

from __future__ import annotations

import click

from biomedica_assets.sample.release import LAYOUTS, RELEASES, ensure


@click.command()
@click.argument("url")
@click.option("--release", "number", type=click.IntRange(1, len(RELEASES)), default=1, show_default=True)
@click.option("--layout", type=click.Choice(LAYOUTS), default="cloud", show_default=True)
def main(url: str, number: int, layout: str) -> None:
    """Write the sample release to URL (any fsspec URL), unless it is there already."""
    wrote = ensure(url, number, layout)
    click.echo(f"{'wrote' if wrote else 'already there:'} release {RELEASES[number]} ({layout} layout) at {url}")


if __name__ == "__main__":
    main()
