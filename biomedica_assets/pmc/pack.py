"""`biomedica release pack`: turn folders, packages and bulk tars of articles into a release in the cloud layout.

For private collections, sites without a network, and tests. Here belongs what an article is called and what its
metadata JSON says; finding articles is in `pack_sources`, the layout in `writer`.

Rules
-----
* The XML's bytes stay as they are; only the members of a file that holds several articles (``pmc-articleset``) are
  serialised one by one, because a version has one XML.
* Id: PMCID and version from the XML (``pmcid-ver``, ``pmcid``, ``pmc``), version 1 when none is stated; without a
  PMCID a private id (`keys.PRIVATE_FIRST`), stable because it is made from the DOI, else from the bytes.
* Files keep their names, but a PDF named like its XML becomes ``V.pdf``, PMC's name of the article's PDF.
* Flags and licence come from the XML and can be set by a sidecar ``release.json`` in the article's folder or any
  folder above: ``{"is_retracted": true}``, or ``{"PMC123": {"license_code": "CC BY"}}`` (see `sidecar_fields`).
* Of two articles with one id the one with more files is packed (the later one when equal); the other is reported.
* XML that nothing can be read from is packed all the same when it looks like an article, so that a build records
  the failure where one looks for it; what is no article at all is only reported. Nothing is dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from lxml import etree

from biomedica_assets import jats
from biomedica_assets.jats import private_pmcid
from biomedica_assets.jats.document import read_document
from biomedica_assets.licences import GROUPS, licence_from_url
from biomedica_assets.pmc import keys
from biomedica_assets.pmc.pack_sources import Found, Problem, Sources, names, sidecar_fields
from biomedica_assets.pmc.writer import JSON_FIELDS, CloudWriter, Counts

SETTABLE = tuple(
    name for name in JSON_FIELDS if not name.endswith(("_url", "_urls")) and name not in ("pmcid", "version")
)
"""Fields of the metadata JSON that a sidecar may set."""


@dataclass(frozen=True)
class PackReport:
    """What packing did.

    Attributes:
        versions: article versions listed in the new inventory.
        counts: objects and bytes written, objects that were there already, objects deleted.
        problems: everything that was not packed, or not as found.
        manifest: key of the new inventory's manifest.
    """

    versions: int
    counts: Counts
    problems: list[Problem]
    manifest: str


@dataclass(frozen=True)
class Described:
    """One article ready to be written: id, XML bytes, JSON fields without URLs, plain text."""

    article_id: str
    xml: bytes
    fields: dict[str, Any]
    text: str


@dataclass
class _Packer:
    writer: CloudWriter
    problems: list[Problem] = field(default_factory=list)
    written: dict[str, tuple[str, int]] = field(default_factory=dict)
    progress: Callable[[str], None] | None = None

    def add(self, found: Found) -> None:
        """Write what one XML file holds."""
        try:
            described = list(describe(found.xml))
        except jats.NotAnArticle as error:
            self.problems.append(Problem(found.name, type(error).__name__, str(error)))
            if b"<article" not in found.xml:
                return
            described = [_unreadable(found.xml)]
        for one in described:
            fields = dict(one.fields)
            ids = (one.article_id, one.article_id.partition(".")[0], fields.get("doi"))
            overrides, unknown = sidecar_fields(found.sidecars, SETTABLE, ids)
            if unknown:
                self._note(
                    found.name, "InvalidSidecar", f"unknown keys: {', '.join(sorted(set(unknown)))}", one.article_id
                )
            if self._wins(found, one.article_id):
                media = self._media(found, one, several=len(described) > 1)
                self.writer.add(one.article_id, fields | overrides, one.xml, one.text, media)
                if self.progress:
                    self.progress(one.article_id)

    def _wins(self, found: Found, article_id: str) -> bool:
        """Whether this source of an id is packed; the other one is reported."""
        before = self.written.get(article_id)
        if before and before[1] > found.n_files:
            self._note(found.name, "DuplicateArticle", f"packed from {before[0]}, which has more files", article_id)
            return False
        if before:
            self._note(before[0], "DuplicateArticle", f"packed from {found.name} instead", article_id)
        self.written[article_id] = (found.name, found.n_files)
        return True

    def _media(self, found: Found, one: Described, several: bool) -> Iterator[tuple[str, bytes]]:
        """Files of one article; beside a file of several articles, only what this one names."""
        article_id = one.article_id
        own = {f"{article_id}.{ending}" for ending in ("xml", "json", "txt")}
        for name, data in found.media():
            if name in own or (several and not names(one.xml, name)):
                continue  # objects of a copied release are written anew
            try:
                keys.safe_member(article_id, f"{article_id}/{name}")
            except keys.UnsafeKeyError as error:
                self._note(f"{found.name}: {name}", "UnsafeKeyError", str(error), article_id)
                continue
            yield (f"{article_id}.pdf" if name.lower() == f"{found.stem.lower()}.pdf" else name), data

    def _note(self, file: str, error: str, message: str, article_id: str | None) -> None:
        self.problems.append(Problem(file, error, message, article_id))


def pack(
    source: str | Sequence[str],
    url: str,
    *,
    release: date,
    bucket: str = keys.BUCKET,
    rows_per_shard: int = 1_000_000,
    delete_unlisted: bool = False,
    progress: Callable[[str], None] | None = None,
) -> PackReport:
    """Write the articles found below ``source`` as the release of a date at ``url``.

    One article and one media file are in memory at a time. Packing into the same place again with a later date makes
    a second inventory: objects are replaced where their bytes differ, versions no longer in ``source`` are left out
    of it, and deleted when ``delete_unlisted`` is set.

    Args:
        source: fsspec URLs: folders (searched recursively), archives or XML files.
        url: root of the release: any URL that `store.files.Files` can write.
        release: date of the inventory, and LastModified of what changed.
        progress: called with the id of every version written.

    Raises:
        FileNotFoundError: a source does not exist.
    """
    writer = CloudWriter(url, release, bucket, rows_per_shard)
    packer = _Packer(writer, progress=progress)
    for one in [source] if isinstance(source, str) else source:
        sources = Sources(one)
        for found in sources:
            packer.add(found)
        packer.problems += sources.problems
    if delete_unlisted:
        writer.remove_unlisted()
    manifest = writer.finish()
    return PackReport(len(packer.written), writer.counts, packer.problems, manifest)


def describe(data: bytes) -> Iterator[Described]:
    """Id, fields and text of every article of an XML file.

    Raises:
        NotAnArticle: the bytes are no JATS article (subclasses: MalformedXML beyond recovery, TooDeep).
    """
    article = jats.parse_article(data)
    if len(_ARTICLE_TAG.findall(data)) > 1:
        elements = read_document(data).articles
        if len(elements) > 1:
            for element in elements:
                element.tail = None
                yield from describe(etree.tostring(element, encoding="UTF-8", xml_declaration=True))
            return
    row = article.article
    meta = _custom_meta(data)
    manuscript = _yes(meta.get("pmc-prop-manuscript")) or bool(row.get("manuscript_id"))
    code = row.get("licence_code")
    free = code in GROUPS
    if not free and manuscript:
        code = "TDM"  # PMC's word for manuscripts that may only be mined
    fields = {
        "pmid": row.get("pmid"),
        "doi": row.get("doi"),
        "mid": row.get("manuscript_id"),
        "title": row.get("title"),
        "citation": row.get("citation"),
        "is_pmc_openaccess": _yes(meta.get("pmc-prop-open-access")) if "pmc-prop-open-access" in meta else free,
        "is_manuscript": manuscript,
        "is_historical_ocr": _yes(meta.get("pmc-prop-is-scanned-article")),
        "is_retracted": _retracted(row),
        "license_code": code,
    }
    blocks = [row.get("title"), row.get("abstract"), *(p["text"] for p in article.paragraphs)]
    yield Described(article.article_id, data, fields, plain_text(article.article_id, fields, [b for b in blocks if b]))


_ARTICLE_TAG = re.compile(rb"<(?:\w+:)?article[\s>]")
_CUSTOM_META = re.compile(
    rb"<(?:\w+:)?meta-name>\s*([\w-]+)\s*</(?:\w+:)?meta-name>\s*<(?:\w+:)?meta-value>\s*([^<]*?)\s*</(?:\w+:)?meta-value>"
)


def _custom_meta(data: bytes) -> dict[str, str]:
    """PMC's own properties of an article; read from the bytes because they are no column of any table."""
    return {name.decode(): value.decode(errors="replace") for name, value in _CUSTOM_META.findall(data)}


def _yes(value: str | None) -> bool:
    return (value or "").lower() in {"yes", "true", "1"}


def _retracted(row: Mapping[str, Any]) -> bool:
    """A retracted article points forward to its retraction, or says so in its title; a notice is not retracted."""
    if "retraction" in (row.get("article_type") or ""):
        return False
    forward = any(r.get("type") == "retraction-forward" for r in row.get("related_articles") or ())
    return forward or (row.get("title") or "").startswith(("RETRACTED", "Retracted:"))


_STATED_ID = re.compile(
    rb"""pub-id-type=["'](?:pmcid-ver|pmcid|pmc)["'][^>]*>\s*(?:PMC)?(\d{1,15})(?:\.(\d{1,4}))?\s*<"""
)


def _unreadable(data: bytes) -> Described:
    """An article that cannot be parsed, named by what its bytes still show, so that a build can record its failure."""
    stated = _STATED_ID.search(data)
    if stated:
        article_id = keys.format_article_id(int(stated[1]), int(stated[2] or 1))
    else:
        article_id = keys.format_article_id(private_pmcid(data), 1)
    licence = licence_from_url(data.decode(errors="replace"))
    code = licence.code if licence else None
    fields = dict.fromkeys(SETTABLE) | {
        "is_pmc_openaccess": code in GROUPS,
        "is_manuscript": False,
        "is_historical_ocr": False,
        "is_retracted": False,
        "license_code": code,
    }
    return Described(article_id, data, fields, plain_text(article_id, fields, []))


def plain_text(article_id: str, fields: Mapping[str, Any], blocks: Sequence[str]) -> str:
    """The ``.txt`` object: header, a line of ``=``, then blocks of text with empty lines between."""
    facts = (
        ("PMCID", article_id.partition(".")[0]),
        ("DOI", fields.get("doi")),
        ("License", fields.get("license_code")),
    )
    head = "".join(f"{name}: {value}\n" for name, value in facts if value)
    return f"ARTICLE INFORMATION\n{head}{'=' * 60}\n\n" + "\n\n".join(blocks) + "\n"
