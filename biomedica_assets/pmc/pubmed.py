"""PubMed's XML to rows: what efetch and esearch of the E-utilities answer, read from the raw bytes.

Belongs here: element names and meanings of PubMed's DTD (https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd,
described at https://www.nlm.nih.gov/bsd/licensee/elements_descriptions.html). Not here: requests (`entrez`), which
article a record belongs to (`ingest.metadata`). Every element may occur once, many times or not at all: all lists are
read as lists. Text is all text below an element, inline markup included, in reading order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from biomedica_assets.schemas import Row

PUBMED_PARSER_VERSION = "1"
"""Raised when the same reply gives other rows; every partition of `metadata` is then fetched anew."""

Element = Any
"""An lxml element; lxml ships no usable types."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_RETRACTED_TYPES = {"Retracted Publication"}
_RETRACTED_LINKS = {"RetractionIn", "RetractedandRepublishedIn"}
_CONCERN_LINKS = {"ExpressionOfConcernIn", "PartialRetractionIn"}


class UnreadableReply(ValueError):  # noqa: N818
    """The bytes are no complete reply: cut off, damaged, another kind of document. Asking again may help."""


class ErrorReply(ValueError):  # noqa: N818
    """The reply is well-formed and says that the request failed; the message is NCBI's."""


@dataclass(frozen=True)
class PubmedReply:
    """One efetch reply: rows of `metadata` without ``partition``, ``pmid`` and ``outcome``, and deleted PMIDs."""

    records: list[Row] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class SearchReply:
    """One esearch reply: PMIDs of this page, how many there are in all, where the rest waits on the history server."""

    count: int
    pmids: list[int]
    web_env: str | None = None
    query_key: str | None = None


def read_pubmed(data: bytes) -> PubmedReply:
    """Records of an efetch reply (``db=pubmed``, ``retmode=xml``) in the reply's order, repeated ones included.

    Raises:
        UnreadableReply: not a complete PubmedArticleSet.
        ErrorReply: NCBI answered with an error.
    """
    root = _root(data, "PubmedArticleSet")
    records = []
    for element in root:
        if element.tag == "PubmedArticle":
            record = _article(element)
        elif element.tag == "PubmedBookArticle":
            record = _book(element)
        else:
            continue
        if record["record_pmid"] is not None:
            records.append(record)
    deleted = [number for e in root.iterfind("DeleteCitation/PMID") if (number := _integer(_text(e))) is not None]
    return PubmedReply(records, deleted)


def read_search(data: bytes) -> SearchReply:
    """An esearch reply.

    Raises:
        UnreadableReply: not a complete eSearchResult, or without a count.
        ErrorReply: NCBI answered with an error, or did not know a field of the term: it would then have searched
            for something else.
    """
    root = _root(data, "eSearchResult")
    unknown = _texts(root.iterfind("ErrorList/FieldNotFound"))
    if unknown:
        raise ErrorReply(f"the search field is unknown: {', '.join(unknown)}")
    count = _integer(_text(root.find("Count")))
    if count is None:
        raise UnreadableReply("the search result states no count")
    pmids = [number for e in root.iterfind("IdList/Id") if (number := _integer(_text(e))) is not None]
    return SearchReply(count, pmids, _text(root.find("WebEnv")), _text(root.find("QueryKey")))


def _root(data: bytes, name: str) -> Element:
    """The root of a whole, harmless document of this name; nothing outside the bytes is read."""
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        start = " ".join(data[:80].decode("utf-8", "replace").split())
        raise UnreadableReply(f"not well-formed XML ({error}); it begins {start!r}") from error
    dtd: Any = root.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise UnreadableReply("the reply declares entities, which no E-utility does")
    message = _text(root if root.tag == "ERROR" else root.find("ERROR"))
    if message:
        raise ErrorReply(message)
    if root.tag != name:
        raise UnreadableReply(f"the reply is {root.tag!r}, not {name!r}")
    return root


def _article(element: Element) -> Row:
    citation, data = element.find("MedlineCitation"), element.find("PubmedData")
    citation = element if citation is None else citation
    data = element if data is None else data
    article = citation.find("Article")
    article = citation if article is None else article
    kinds = _named(article.iterfind("PublicationTypeList/PublicationType"))
    links = [link for e in citation.iterfind("CommentsCorrectionsList/CommentsCorrections") if (link := _link(e))]
    return {
        **_identity(
            citation.find("PMID"), data.findall("ArticleIdList/ArticleId"), article.findall("ELocationID[@ValidYN='Y']")
        ),
        "record_type": "article",
        "title": _text(article.find("ArticleTitle")),
        "vernacular_title": _text(article.find("VernacularTitle")),
        "abstract": _abstract(article.find("Abstract")),
        "other_abstracts": _other_abstracts(citation),
        "languages": _texts(article.iterfind("Language")),
        "publication_types": kinds,
        "mesh": [heading for e in citation.iterfind("MeshHeadingList/MeshHeading") if (heading := _heading(e))],
        "supplementary_mesh": _named(citation.iterfind("SupplMeshList/SupplMeshName"), type="Type"),
        "keywords": _keywords(citation),
        "chemicals": [chemical for e in citation.iterfind("ChemicalList/Chemical") if (chemical := _chemical(e))],
        "grants": [grant for e in article.iterfind("GrantList/Grant") if (grant := _grant(e))],
        "databanks": [bank for e in article.iterfind("DataBankList/DataBank") if (bank := _databank(e))],
        "references": _references(data, links),
        "comments_corrections": [link for link in links if link["kind"] != "Cites"],
        "pubmed_status": pubmed_status(kinds, links),
        "indexing_status": citation.get("Status") or None,
        "indexing_method": citation.get("IndexingMethod") or None,
        "citation_subsets": _texts(citation.iterfind("CitationSubset")),
        "date_completed": _date(citation.find("DateCompleted")),
        "date_revised": _date(citation.find("DateRevised")),
        "publication_status": _text(data.find("PublicationStatus")),
        "history": _history(data),
        "journal_nlm_id": _text(citation.find("MedlineJournalInfo/NlmUniqueID")),
        "journal_abbreviation": _text(citation.find("MedlineJournalInfo/MedlineTA")),
        "journal_issn": _text(citation.find("MedlineJournalInfo/ISSNLinking")),
        "journal_country": _text(citation.find("MedlineJournalInfo/Country")),
    }


def _book(element: Element) -> Row:
    """A chapter or book of NCBI's Bookshelf: it has no MeSH, no indexing status and no journal."""
    document, data = element.find("BookDocument"), element.find("PubmedBookData")
    document = element if document is None else document
    data = element if data is None else data
    kinds = _named(document.iterfind("PublicationType"))
    title = _text(document.find("ArticleTitle"))
    ids = data.findall("ArticleIdList/ArticleId") or document.findall("ArticleIdList/ArticleId")
    return {
        **_identity(document.find("PMID"), ids),
        "record_type": "book",
        "title": _text(document.find("Book/BookTitle")) if title is None else title,
        "vernacular_title": _text(document.find("VernacularTitle")),
        "abstract": _abstract(document.find("Abstract")),
        "other_abstracts": [],
        "languages": _texts(document.iterfind("Language")),
        "publication_types": kinds,
        "mesh": [],
        "supplementary_mesh": [],
        "keywords": _keywords(document),
        "chemicals": [],
        "grants": [grant for e in document.iterfind("GrantList/Grant") if (grant := _grant(e))],
        "databanks": [],
        "references": _references(document, []),
        "comments_corrections": [],
        "pubmed_status": pubmed_status(kinds, []),
        "citation_subsets": [],
        "date_revised": _date(document.find("DateRevised")),
        "publication_status": _text(data.find("PublicationStatus")),
        "history": _history(data),
    }


def pubmed_status(publication_types: list[Row], links: list[Row]) -> str | None:
    """``retracted``, ``concern`` (expression of concern, partial retraction) or null.

    Notices themselves ("Retraction of Publication", links of kind RetractionOf) are no retracted articles. Source:
    https://www.nlm.nih.gov/bsd/policy/errata.html.
    """
    kinds = {link["kind"] for link in links}
    if {kind["name"] for kind in publication_types} & _RETRACTED_TYPES or kinds & _RETRACTED_LINKS:
        return "retracted"
    return "concern" if kinds & _CONCERN_LINKS else None


def _identity(pmid: Element, ids: list[Element], locations: Sequence[Element] = ()) -> Row:
    # Of an id that is given twice the first counts; locations only count where there is no id.
    by_type = {e.get("IdType") or e.get("EIdType"): _text(e) for e in reversed([*ids, *locations])}
    version = _integer(pmid.get("Version")) if pmid is not None else None
    return {
        "record_pmid": _integer(_text(pmid)),
        "record_version": version,
        "record_pmcid": _pmcid(by_type.get("pmc")),
        "record_doi": by_type.get("doi"),
        "pii": by_type.get("pii"),
    }


def _abstract(element: Element) -> list[Row]:
    if element is None:
        return []
    parts = ((e.get("Label") or None, e.get("NlmCategory") or None, _text(e)) for e in element.iterfind("AbstractText"))
    return [{"label": label, "category": category, "text": text} for label, category, text in parts if text]


def _other_abstracts(citation: Element) -> list[Row]:
    return [
        {"type": e.get("Type") or None, "language": e.get("Language") or None, **part}
        for e in citation.iterfind("OtherAbstract")
        for part in _abstract(e)
    ]


def _named(elements: Iterable[Element], **attributes: str) -> list[Row]:
    """Names with their UI; further columns from attributes."""
    rows = []
    for element in elements:
        if name := _text(element):
            more = {column: element.get(attribute) or None for column, attribute in attributes.items()}
            rows.append({"name": name, "ui": element.get("UI") or None, **more})
    return rows


def _heading(element: Element) -> Row | None:
    descriptor = element.find("DescriptorName")
    name = _text(descriptor)
    if name is None:
        return None
    qualifiers = [
        {"name": text, "ui": e.get("UI") or None, "major": e.get("MajorTopicYN") == "Y"}
        for e in element.iterfind("QualifierName")
        if (text := _text(e))
    ]
    return {
        "descriptor": name,
        "descriptor_ui": descriptor.get("UI") or None,
        "type": descriptor.get("Type") or None,
        "major": descriptor.get("MajorTopicYN") == "Y",
        "qualifiers": qualifiers,
    }


def _keywords(element: Element) -> list[Row]:
    return [
        {"keyword": text, "major": e.get("MajorTopicYN") == "Y", "owner": group.get("Owner") or None}
        for group in element.iterfind("KeywordList")
        for e in group.iterfind("Keyword")
        if (text := _text(e))
    ]


def _chemical(element: Element) -> Row | None:
    substance = element.find("NameOfSubstance")
    name, number = _text(substance), _text(element.find("RegistryNumber"))
    if name is None:
        return None
    # PubMed writes "0" for substances without a registry number.
    return {"name": name, "ui": substance.get("UI") or None, "registry_number": None if number == "0" else number}


def _grant(element: Element) -> Row | None:
    tags = {"id": "GrantID", "acronym": "Acronym", "agency": "Agency", "country": "Country"}
    grant = {column: _text(element.find(tag)) for column, tag in tags.items()}
    return grant if any(grant.values()) else None


def _databank(element: Element) -> Row | None:
    name = _text(element.find("DataBankName"))
    numbers = _texts(element.iterfind("AccessionNumberList/AccessionNumber"))
    return {"name": name, "accession_numbers": numbers} if name or numbers else None


def _link(element: Element) -> Row | None:
    link = {
        "kind": element.get("RefType") or None,
        "source": _text(element.find("RefSource")),
        "pmid": _integer(_text(element.find("PMID"))),
        "note": _text(element.find("Note")),
    }
    return link if any(value is not None for value in link.values()) else None


def _references(data: Element, links: list[Row]) -> list[Row]:
    """References in order; lists may be nested in lists. Records from before 2018 name them as links of kind Cites."""
    rows = []
    for element in data.iterfind(".//ReferenceList/Reference"):
        ids = {e.get("IdType"): _text(e) for e in reversed(element.findall("ArticleIdList/ArticleId"))}
        row = {
            "citation": _text(element.find("Citation")),
            "pmid": _integer(ids.get("pubmed")),
            "pmcid": _pmcid(ids.get("pmc")),
            "doi": ids.get("doi"),
        }
        if any(value is not None for value in row.values()):
            rows.append(row)
    cited = [{"citation": link["source"], "pmid": link["pmid"]} for link in links if link["kind"] == "Cites"]
    return rows or cited


def _history(data: Element) -> list[Row]:
    dates = ((e.get("PubStatus") or None, _date(e)) for e in data.iterfind("History/PubMedPubDate"))
    return [{"event": event, "date": date} for event, date in dates if event and date]


def _date(element: Element) -> str | None:
    """ISO 8601, cut to the parts that are given; months are numbers or English names."""
    if element is None:
        return None
    year, month, day = (_text(element.find(name)) or "" for name in ("Year", "Month", "Day"))
    if not (year.isascii() and year.isdigit() and len(year) == 4):
        return None
    number = _integer(month)
    if number is None and month[:3].lower() in _MONTHS:
        number = _MONTHS.index(month[:3].lower()) + 1
    if number is None or not 1 <= number <= 12:
        return year
    of_month = _integer(day)
    return f"{year}-{number:02d}" + (f"-{of_month:02d}" if of_month and 1 <= of_month <= 31 else "")


def _text(element: Element) -> str | None:
    """All text below the element, white space collapsed; null when there is none."""
    if element is None:
        return None
    return " ".join("".join(element.itertext()).split()) or None


def _texts(elements: Iterable[Element]) -> list[str]:
    return [text for e in elements if (text := _text(e))]


def _integer(text: str | None) -> int | None:
    """A number of at most 18 digits; anything else is null."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _pmcid(text: str | None) -> int | None:
    """The number of ``PMC13901``, ``PMC13901.1`` or ``13901``."""
    return _integer((text or "").strip().upper().removeprefix("PMC").partition(".")[0])
