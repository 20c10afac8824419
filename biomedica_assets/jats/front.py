"""The article's own metadata: one row of `articles`.

What does not belong here: authors (`people.py`), dates (`dates.py`), permissions (`permissions.py`), the blocks and
figures of abstracts (`walk.py`; this module only sends it there).
"""

from __future__ import annotations

import re

from biomedica_assets.jats.abstracts import choose_main_abstract, read_abstract
from biomedica_assets.jats.dates import read_date
from biomedica_assets.jats.document import XML_LANG, Element, child_of, href_of
from biomedica_assets.jats.people import read_authors
from biomedica_assets.jats.permissions import read_permissions
from biomedica_assets.jats.text import Inline, plain, title_text
from biomedica_assets.jats.walk import Walk
from biomedica_assets.licences import licence_from_words, licence_group, normalise_code
from biomedica_assets.schemas import Row

_PUBLICATION_TYPES = frozenset(
    (
        "epub",
        "ppub",
        "collection",
        "pub",
        "epub-ppub",
        "epreprint",
        "ecorrected",
        "pub-electronic",
        "pub-print",
        "publication",
        "",
    )
)


def read_ids(article: Element) -> dict[str, str]:
    """``article-id`` values by type, of the article itself (not of its sub-articles or references)."""
    ids: dict[str, str] = {}
    for meta in _metas(article):
        for child in meta.iterchildren("article-id"):
            if child.text:
                ids.setdefault(child.get("pub-id-type") or "", child.text.strip())
    return ids


def _metas(article: Element) -> list[Element]:
    """``article-meta`` and the like, however the front matter is wrapped."""
    front = child_of(article, "front")
    if front is None:
        front = child_of(article, "front-stub")
        return [] if front is None else [front]
    return list(front.iterchildren("article-meta"))


def read_front(walk: Walk, article: Element, ids: dict[str, str]) -> Row:
    """The row of `articles`, without counts; abstracts and notes of the front matter go through the walk."""
    row: Row = {
        "pmid": _integer(ids.get("pmid")),
        "doi": _doi(ids.get("doi")),
        "publisher_id": ids.get("publisher-id") or None,
        "manuscript_id": ids.get("manuscript") or None,
        "article_type": article.get("article-type") or None,
        "language": article.get(XML_LANG) or None,
        "dtd_version": article.get("dtd-version") or None,
        "translated_titles": [],
        "abstract_parts": [],
        "issns": [],
        "authors": [],
        "dates": [],
        "keywords": [],
        "subjects": [],
        "funding": [],
        "related_articles": [],
    }
    front = child_of(article, "front")
    walk.place = "front"
    permissions: list[Element] = []
    for part in front if front is not None else ():
        if part.tag == "journal-meta":
            _journal(part, row)
        elif part.tag == "article-meta":
            _article_meta(walk, part, row, permissions)
        elif part.tag == "notes":
            walk.dispatch(part)
    stub = child_of(article, "front-stub") if front is None else None
    if stub is not None:
        _article_meta(walk, stub, row, permissions)
    choose_main_abstract(row)
    row.update(read_permissions(permissions))
    _pmc_licence(row)
    row["licence_group"] = licence_group(row["licence_code"])
    _publication_date(row)
    walk.place = "body"
    return row


# ---- journal ---------------------------------------------------------------------------------------------------

_ABBREVIATIONS = ("nlm-ta", "iso-abbrev", "nlm-journal-id")


def _journal(meta: Element, row: Row) -> None:
    abbreviations: dict[str, str] = {}
    for child in meta.iter():
        tag = child.tag
        if tag == "journal-title":
            row.setdefault("journal", plain(child))
        elif tag == "journal-id":
            _keep(abbreviations, child.get("journal-id-type") or "", child)
        elif tag == "abbrev-journal-title":
            _keep(abbreviations, "abbrev", child)
        elif tag in ("issn", "issn-l"):
            _issn(child, row)
        elif tag == "publisher-name":
            row.setdefault("publisher", plain(child))
    row["journal_abbreviation"] = next(
        (abbreviations[kind] for kind in ("nlm-ta", "iso-abbrev", "abbrev") if abbreviations.get(kind)), None
    )
    row.setdefault("journal", row["journal_abbreviation"])


_NO_ISSN = re.compile("[^0-9Xx]")
_ISSN_TYPES = {"print": "ppub", "electronic": "epub", "online": "epub", "online-only": "epub"}


def _issn(element: Element, row: Row) -> None:
    text = plain(element)
    if not text:
        return
    kind = (
        element.get("pub-type") or element.get("publication-format") or ("linking" if element.tag == "issn-l" else "")
    )
    digits = _NO_ISSN.sub("", text).upper()
    issn = f"{digits[:4]}-{digits[4:]}" if len(digits) == 8 else text
    entry = {"type": _ISSN_TYPES.get(kind, kind) or None, "issn": issn}
    if entry not in row["issns"]:
        row["issns"].append(entry)


def _keep(found: dict[str, str], name: str, element: Element) -> None:
    text = plain(element)
    if text:
        found.setdefault(name, text)


# ---- article ---------------------------------------------------------------------------------------------------

_PLAIN_FIELDS = {
    "volume": "volume",
    "issue": "issue",
    "fpage": "first_page",
    "lpage": "last_page",
    "elocation-id": "elocation_id",
}


def _article_meta(walk: Walk, meta: Element, row: Row, permissions: list[Element]) -> None:
    loose_permissions = False
    for child in meta:
        tag = child.tag
        if tag in _PLAIN_FIELDS:
            row.setdefault(_PLAIN_FIELDS[tag], plain(child))
        elif tag in ("pub-date", "date"):
            _date(child, row, _date_type(child))
        elif tag in ("history", "pub-history"):
            for date in child.iter("date"):
                _date(date, row, date.get("date-type") or date.get("pub-type"))
        elif tag == "title-group":
            _titles(walk, child, row)
        elif tag == "article-categories":
            for group in child:
                if group.tag == "subj-group":
                    _subjects(group, group.get("subj-group-type"), None, row)
        elif tag == "kwd-group":
            _keywords(child, row)
        elif tag in ("abstract", "trans-abstract"):
            read_abstract(walk, child, row)
        elif tag == "permissions":
            permissions.append(child)
        elif tag in ("copyright-statement", "copyright-year", "copyright-holder", "license", "licence"):
            loose_permissions = True
        elif tag in ("funding-group", "contract-num", "contract-sponsor"):
            _funding(child, row)
        elif tag == "related-article":
            _related(child, row)
        elif tag == "contrib-group":
            for bio in child.iter("bio"):
                walk.dispatch(bio)
        elif tag == "author-notes":
            walk.within(child, kind="footnote")
        elif tag in ("custom-meta-group", "custom-meta-wrap"):
            _custom_meta(walk, child, row)
        elif tag == "supplementary-material":
            walk.dispatch(child)
    if loose_permissions and not permissions:
        permissions.append(_loose_permissions(meta))
    row["authors"] = read_authors(meta)


def _loose_permissions(meta: Element) -> Element:
    """NLM 2.x writes copyright and licence straight into ``article-meta``: a copy of just these."""
    wrapper = meta.makeelement("permissions")
    for child in meta:
        if child.tag in ("copyright-statement", "copyright-year", "copyright-holder", "license", "licence"):
            copy = meta.makeelement(child.tag, dict(child.attrib))
            copy.text = plain(child)
            wrapper.append(copy)
    return wrapper


def _titles(walk: Walk, group: Element, row: Row) -> None:
    for child in group:
        tag = child.tag
        if tag == "article-title":
            row.setdefault("title", title_text(child, walk.objects))
        elif tag == "subtitle":
            text = title_text(child, walk.objects)
            row["subtitle"] = ": ".join(filter(None, (row.get("subtitle"), text))) or None
        elif tag == "trans-title-group":
            parts = [plain(t) for t in child if t.tag in ("trans-title", "trans-subtitle")]
            _translated(row, child.get(XML_LANG), ": ".join(filter(None, parts)))
        elif tag == "trans-title":
            _translated(row, child.get(XML_LANG), plain(child))


def _translated(row: Row, language: str | None, title: str | None) -> None:
    if title:
        row["translated_titles"].append({"language": language or None, "title": title})


def _subjects(group: Element, kind: str | None, outer: str | None, row: Row) -> None:
    """Subjects of a group; nested ones after their parents, joined by ' / '."""
    latest = outer
    for child in group:
        if child.tag in ("subject", "compound-subject"):
            text = plain(child)
            if text:
                latest = f"{outer} / {text}" if outer else text
                row["subjects"].append({"group": kind or None, "subject": latest})
        elif child.tag == "subj-group":
            _subjects(child, child.get("subj-group-type") or kind, latest, row)


def _keywords(group: Element, row: Row) -> None:
    kind, language = group.get("kwd-group-type") or group.get("specific-use"), group.get(XML_LANG)
    for child in group:
        if child.tag == "kwd":
            text = plain(child)
        elif child.tag == "compound-kwd":
            text = ": ".join(filter(None, (plain(p) for p in child if p.tag == "compound-kwd-part"))) or plain(child)
        elif child.tag == "nested-kwd":
            for kwd in child.iter("kwd", "compound-kwd"):
                _keyword(row, kind, language, plain(kwd))
            continue
        else:
            if child.tag == "kwd-group":
                _keywords(child, row)
            continue
        _keyword(row, kind, language, text)


def _keyword(row: Row, kind: str | None, language: str | None, text: str | None) -> None:
    if text:
        row["keywords"].append({"group": kind or None, "language": language or None, "keyword": text})


# ---- the rest --------------------------------------------------------------------------------------------------


def _date_type(element: Element) -> str | None:
    kind = element.get("pub-type") or element.get("date-type")
    form = element.get("publication-format")
    if form and kind == "pub":
        return f"pub-{form}"
    return kind or form


def _date(element: Element, row: Row, kind: str | None) -> None:
    date, precision = read_date(element)
    if date:
        row["dates"].append({"type": kind or None, "date": date, "precision": precision})


def _publication_date(row: Row) -> None:
    """The earliest publication date; of dates that agree as far as they go, the more precise one."""
    dates = [d["date"] for d in row["dates"] if (d["type"] or "") in _PUBLICATION_TYPES]
    if not dates:
        dates = [d["date"] for d in row["dates"] if (d["type"] or "").startswith(("pub", "epub", "ppub"))]
    # "2020" against "2020-03-01": the year alone may be any day of it, so the known day counts.
    best = min(dates, key=lambda d: d.ljust(10, "~"), default=None)
    row["publication_date"] = best
    row["publication_year"] = int(best[:4]) if best else None


def _funding(element: Element, row: Row) -> None:
    if element.tag != "funding-group":  # NLM 2.x: contract-num and contract-sponsor in article-meta
        text = plain(element)
        if text:
            awards = [text] if element.tag == "contract-num" else []
            row["funding"].append({"funder": None if awards else text, "funder_id": None, "award_ids": awards})
        return
    for group in element:
        if group.tag != "award-group":
            continue
        funder = funder_id = None
        awards = []
        for child in group:
            if child.tag in ("funding-source", "institution"):
                name, identifier = _funder(child)
                funder = funder or name
                funder_id = funder_id or identifier
            elif child.tag == "award-id":
                text = plain(child)
                if text:
                    awards.append(text)
        if funder or awards:
            row["funding"].append({"funder": funder, "funder_id": funder_id, "award_ids": awards})


_FUNDER_IDS = ("institution-id", "named-content")


def _funder(source: Element) -> tuple[str | None, str | None]:
    """Name and identifier of a funding source; an identifier inside the name's element is no part of the name."""
    identifier = next((text for i in source.iter(*_FUNDER_IDS) if (text := plain(i)) and re.search(r"\d", text)), None)
    institution = next((text for i in source.iter("institution") if (text := plain(i))), None)
    if institution:
        return institution, identifier
    out = Inline([], flat=True)
    if source.text:
        out.parts.append(source.text)
    for child in source:
        if child.tag not in _FUNDER_IDS or plain(child) != identifier:
            out.add(child)
        if child.tail:
            out.parts.append(child.tail)
    return out.finish() or None, identifier


def _related(element: Element, row: Row) -> None:
    identifier = href_of(element) or element.get("id") or plain(element)
    if identifier:
        row["related_articles"].append(
            {
                "type": element.get("related-article-type") or None,
                "id_type": element.get("ext-link-type") or None,
                "id": identifier,
            }
        )


def _custom_meta(walk: Walk, group: Element, row: Row) -> None:
    for meta in group:
        name = child_of(meta, "meta-name")
        value = child_of(meta, "meta-value")
        if name is None or value is None:
            continue
        if (name.text or "").strip() == "pmc-license-ref":
            row["_pmc_licence"] = plain(value)
        elif len(value):
            walk.text_block(value, "other", always=False)


def _pmc_licence(row: Row) -> None:
    """PMC's own statement of the licence, where the publisher's gives none."""
    stated = row.pop("_pmc_licence", None)
    if row["licence_code"] is None and stated:
        code = normalise_code(stated)
        if licence_group(code) != "other" or licence_from_words(stated):
            row["licence_code"], row["licence_reason"] = code, "pmc-license-ref in the XML"


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else None


def _doi(text: str | None) -> str | None:
    if not text:
        return None
    return _DOI_PREFIX.sub("", text.strip()) or None


_DOI_PREFIX = re.compile(r"^(?:https?://(?:dx\.)?doi\.org/|doi:\s*)", re.IGNORECASE)
