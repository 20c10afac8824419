"""The sample as a release: cloud layout in three dated states, package layout, and the marker of `ensure`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache, lru_cache
from html import unescape
from pathlib import Path
from typing import Any

from lxml import etree

from biomedica_assets.pmc.keys import format_object_url
from biomedica_assets.pmc.writer import CloudWriter, Counts, Package, md5_hex, pack_packages
from biomedica_assets.sample.articles import release_articles
from biomedica_assets.sample.markup import JOURNALS, build
from biomedica_assets.sample.model import Article
from biomedica_assets.sample.pictures import Drawn, Picture, render, thumbnail
from biomedica_assets.sample.supplements import pdf, supplement
from biomedica_assets.store.files import Files

RELEASES = {1: date(2026, 11, 18), 2: date(2026, 11, 19), 3: date(2026, 11, 20)}
"""Date of each state of the release."""

LAYOUTS = ("cloud", "packages")
MARKER = ".sample-{layout}-{number}"
"""Written last, below the root: this state is complete. It holds a digest of the code that wrote it."""


def write_release(url: str, number: int = 1) -> Counts:
    """Write state ``number`` of the sample in the cloud layout; inventories of earlier states are kept.

    Objects are replaced in place where their bytes differ; objects of removed versions are deleted.
    """
    writer = CloudWriter(url, RELEASES[number], rows_per_shard=40)
    for article in release_articles(number):
        fields = _json_fields(article)
        if article.absent:
            writer.list_only(article.article_id, fields)
            continue
        xml = build(article)
        extra = {name: md5_hex(f"never stored: {name}".encode()) for name in article.missing}
        urls = [format_object_url(writer.bucket, f"{article.article_id}/{n}", md5) for n, md5 in extra.items()]
        writer.add(article.article_id, fields, xml, _text(article, xml), _media(article), missing=urls)
    writer.remove_unlisted()
    writer.finish()
    return writer.counts


def write_packages(url: str, number: int = 1) -> Counts:
    """Write state ``number`` of the sample in the package layout: one package per PMCID that has one version to show.

    Of several versions of a PMCID the highest is packed, as the old service had no versions. Author manuscripts
    without a Creative Commons licence were never in packages.
    """
    newest = {a.pmcid: a for a in release_articles(number) if not a.absent and a.licence != "TDM"}
    return pack_packages(url, (_package(a, number) for a in newest.values()))


def ensure(url: str, number: int = 1, layout: str = "cloud") -> bool:
    """Write the sample unless this state is already complete at ``url``; true when something was written.

    In the cloud layout the states before ``number`` are written first, so that a later one is a true successor.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {LAYOUTS}, not {layout!r}")
    files = Files(url)
    markers = {n: MARKER.format(layout=layout, number=n) for n in RELEASES}
    written = {n: files.read(path) for n, path in markers.items() if files.exists(path)}
    states = [number]
    if layout == "cloud":
        stale = any(content != _marker(n) for n, content in written.items())
        states = list(range(1, max(number, *written, 1) + 1 if stale else number + 1))
        written = {} if stale else written  # every state rests on the one before it
    todo = [n for n in states if written.get(n) != _marker(n)]
    for state in todo:
        (write_release if layout == "cloud" else write_packages)(url, state)
        files.write(markers[state], _marker(state))
    return bool(todo)


def truth(number: int = 1) -> list[dict[str, Any]]:
    """What every picture of a state shows: see `pictures.render`, with article_id and sha256 of the file added.

    Pictures are drawn for it.
    """
    drawn = ((a.article_id, _draw(p, a.article_id)) for a in release_articles(number) for p in a.pictures)
    return [
        {"article_id": article_id, "sha256": hashlib.sha256(one.data).hexdigest(), **one.truth}
        for article_id, one in drawn
    ]


def expected(number: int = 1) -> dict[str, Article]:
    """The definitions of a state by article_id: figures, captions, mentions, licence, outcome, written by hand."""
    return {a.article_id: a for a in release_articles(number)}


def _marker(number: int) -> bytes:
    return f"sample {_code_digest()} release {RELEASES[number]}\n".encode()


@cache
def _code_digest() -> str:
    """Digest of the sample's own code: another version of it writes the sample anew."""
    room = Path(__file__).parent
    files = sorted(room.rglob("*.py"), key=lambda path: path.relative_to(room).as_posix())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


@lru_cache(maxsize=256)  # a whole release: about 5 MB, and later states redraw nothing
def _draw(picture: Picture, owner: str) -> Drawn:
    return render(picture, owner)


def _media(article: Article) -> Iterator[tuple[str, bytes]]:
    for picture in article.pictures:
        yield picture.name, _draw(picture, article.article_id).data
    for name in article.supplements:
        yield name, supplement(name, article.article_id)
    if article.pdf:
        yield f"{article.article_id}.pdf", pdf(_plain(article.title))


def _json_fields(a: Article) -> dict[str, Any]:
    return {
        "pmid": a.pmid_number,
        "doi": a.doi_text,
        "mid": f"NIHMS{a.pmcid % 10**6:07d}" if a.manuscript else None,
        "title": _plain(a.title),
        "citation": _citation(a),
        "is_pmc_openaccess": a.open_access,
        "is_manuscript": a.manuscript,
        "is_historical_ocr": a.historical_ocr,
        "is_retracted": a.retracted,
        "license_code": a.licence,
        **dict(a.fields),
    }


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _citation(a: Article) -> str:
    when = " ".join([str(a.date[0]), *([_MONTHS[a.date[1] - 1]] if len(a.date) > 1 else []), *map(str, a.date[2:])])
    return f"{JOURNALS[a.journal].abbreviation}. {when}; {a.date[0] - 1990}:e{a.pmcid % 10**5}"


def _plain(xml: str) -> str:
    """Words of a piece of XML."""
    tree = etree.fromstring(f"<t>{_characters(xml)}</t>", etree.XMLParser(resolve_entities=False))
    return " ".join("".join(map(str, tree.itertext())).split())


_NAMED = re.compile(r"&(?!amp;|lt;|gt;|quot;|apos;|#)(\w+);")


def _characters(xml: str) -> str:
    """Named characters of HTML as characters, the five of XML left alone."""
    return _NAMED.sub(lambda m: unescape(m[0]), xml)


def _text(article: Article, xml: bytes) -> str:
    """The plain text object: header, a line of '=', then the paragraphs."""
    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True, load_dtd=False)
    tree = etree.fromstring(_characters(xml.decode()).encode(), parser)
    blocks = [" ".join("".join(map(str, p.itertext())).split()) for p in tree.iter("{*}title", "{*}p")]
    facts = (("PMCID", f"PMC{article.pmcid}"), ("DOI", article.doi_text), ("License", article.licence))
    head = "ARTICLE INFORMATION\n" + "".join(f"{name}: {value or ''}\n" for name, value in facts)
    return head + "=" * 60 + "\n\n" + "\n\n".join(b for b in blocks if b) + "\n"


def _since(article: Article, number: int) -> int:
    """The release in which the article took its present form."""
    while number > 1 and expected(number - 1).get(article.article_id) == article:
        number -= 1
    return number


def _package(a: Article, number: int) -> Package:
    stem = re.sub(r"\W+", "", JOURNALS[a.journal].abbreviation).lower()[:6] + f"-{a.pmcid % 10**5}"
    own = {picture.name for picture in a.pictures}
    files: list[tuple[str, bytes]] = [(f"{stem}.nxml", build(a, "packages"))]
    for name, data in _media(a):
        files.append((f"{stem}.pdf" if name == f"{a.article_id}.pdf" else name, data))
        small = f"{name.rsplit('.', 1)[0]}.gif"
        if name.lower().endswith((".jpg", ".jpeg")) and small not in own:
            files.append((small, thumbnail(data)))
    day = RELEASES[_since(a, number)]
    updated = datetime(day.year, day.month, day.day, 8, a.pmcid % 60, 7)  # noqa: DTZ001 - the list states no zone
    return Package(a.pmcid, tuple(files), _citation(a), updated, a.pmid_number, a.licence or "NO-CC CODE")
