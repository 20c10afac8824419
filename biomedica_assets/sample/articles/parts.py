"""Small pieces of JATS that the article definitions are written with."""

from __future__ import annotations

from biomedica_assets.sample.pictures import Picture


def graphic(name: str, attributes: str = "") -> str:
    """A graphic of a file; its extension is dropped in the package layout."""
    return f'<graphic xlink:href="@{{{name}}}"{" " + attributes if attributes else ""}/>'


def fig(xml_id: str | None, label: str | None, caption: str | None, *content: str, attributes: str = "") -> str:
    """A ``fig``; ``caption`` and ``label`` are XML. What is None is left out."""
    start = "<fig" + (f' id="{xml_id}"' if xml_id else "") + (f" {attributes}" if attributes else "") + ">"
    parts = [
        f"<label>{label}</label>" if label is not None else "",
        f"<caption>{caption}</caption>" if caption is not None else "",
        *content,
    ]
    return f"{start}{''.join(parts)}</fig>"


def cite(rid: str, text: str) -> str:
    """A link to a figure."""
    return f'<xref ref-type="fig" rid="{rid}">{text}</xref>'


def research(results: str, *, intro: str = "", discussion: str = "", methods: str = "") -> str:
    """Body of a research article around its results."""
    return (
        f'<sec sec-type="intro"><title>Introduction</title>[[intro:2]]{intro}</sec>'
        f'<sec sec-type="methods"><title>Methods</title>[[methods:2]]{methods}</sec>'
        f'<sec sec-type="results"><title>Results</title>[[results:1]]{results}</sec>'
        f'<sec sec-type="discussion"><title>Discussion</title>[[discussion:2]]{discussion}</sec>'
    )


def picture(name: str, kinds: str, letters: str = "", **options: object) -> Picture:
    """A picture of the drawings named in ``kinds``, separated by blanks."""
    return Picture(name, tuple(kinds.split()), letters, **options)  # type: ignore[arg-type]
