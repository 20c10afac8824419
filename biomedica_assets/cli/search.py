"""`biomedica search`: the search of the web server on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import click

from biomedica_assets.cli.common import explained


@click.command()
@click.argument("words", nargs=-1)
@click.option("--mode", type=click.Choice(["keyword", "vector", "hybrid"]), default="hybrid", show_default=True)
@click.option("--group", type=click.Choice(["figure", "article"]), default="figure", show_default=True)
@click.option("--like", default=None, metavar="FIGURE_ID", help="Figures like this one.")
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Pictures like this file.")
@click.option("--filter", "filters", multiple=True, metavar="FIELD=VALUE", help="E.g. licence_group=commercial.")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the hits as JSON lines.")
def search(
    words: tuple[str, ...],
    mode: str,
    group: str,
    like: str | None,
    image: Path | None,
    filters: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """Search figures by words, "phrases", -excluded words and caption:word, or by likeness.

    Without words it lists the newest figures that the filters keep.
    """
    from pydantic import ValidationError

    from biomedica_assets.dataset.filters import MANY, FilterError, Filters
    from biomedica_assets.settings import Settings
    from biomedica_assets.store.files import Files

    fields: dict[str, object] = {}
    for entry in filters:
        name, _, value = entry.partition("=")
        fields[name] = [*fields.get(name, []), value] if name in MANY else value  # type: ignore[misc]
    settings = Settings()
    try:
        from biomedica_assets.search.local import index_folder
        from biomedica_assets.search.searcher import Searcher, SearchError, SearchRequest
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    try:
        request = SearchRequest.model_validate(
            {"text": " ".join(words), "mode": mode, "group": group, "like": like, "limit": limit}
            | {"image": image.read_bytes() if image else None, "filters": Filters.model_validate(fields)}
        )
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise click.ClickException(said) from error
    with explained(SearchError, FilterError):
        response = Searcher(Files(settings.store), index_folder(settings), settings).search(request)
    for warning in response.warnings:
        click.echo(f"note: {warning}", err=True)
    if as_json:
        for hit in response.hits:
            click.echo(json.dumps({"score": hit.score, **hit.card}, ensure_ascii=False))
        return
    counted = f"{response.total:,}{'' if response.total_exact else ' or more'}"
    click.echo(f"{counted} {group}s, by {response.mode}\n")
    for place, hit in enumerate(response.hits, 1):
        pieces = hit.snippets.get("caption") or [(hit.card.get("title") or "", False)]
        text = "".join(click.style(piece, bold=True) if match else piece for piece, match in pieces)
        click.echo(f"{place:>3}  {click.style(hit.figure_id or hit.article_id, fg='cyan')}  {text}")
        licence = (hit.card.get("licence") or hit.card["article_licence"])["code"] or "no known licence"
        click.echo(f"     {hit.card['title']}. {hit.card['journal']} {hit.card['date'] or ''}. {licence}")
