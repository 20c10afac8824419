"""The sample's own PubMed: answers the E-utilities' requests in this process, so that `make demo` needs no network.

The records are invented like the articles (MeSH names and UIs are real). They hold what real replies hold: records in
another order than asked, one twice, a single heading, none yet, a missing, a deleted and a merged PMID, a book
chapter, an expression of concern; on `CHANGES`' days headings arrive and an article is retracted.
"""

from __future__ import annotations

import re
import urllib.request
from functools import cache
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from lxml import etree

from biomedica_assets.pmc.entrez import EntrezClient, Patience, Reply
from biomedica_assets.sample.markup import JOURNALS
from biomedica_assets.sample.model import Article
from biomedica_assets.sample.prose import TOPICS
from biomedica_assets.sample.release import RELEASES, _characters, expected

CHANGES = {"2026-11-20": {970000027: "indexed", 970000050: "indexed", 970000057: "indexed", 970000059: "retracted"}}
"""By day what PubMed changes: a record gets its MeSH headings, or is marked as retracted."""
MISSING, DELETED, BOOK, CONCERN, SINGLE = 970000033, 970000038, 970000037, 970000052, 970000013
MERGED = {970000032: 970900032}
"""PMID that an article states -> PMID of the record that took its place."""

_UI = {
    "Aftercare": "D000359", "Albuminuria": "D000419", "Bile Acids and Salts": "D001647", "Bone Density": "D015519",
    "Carcinoma, Pancreatic Ductal": "D021441", "Chemical and Drug Induced Liver Injury": "D056486",
    "Colitis, Ulcerative": "D003093", "Complement System Proteins": "D003165", "Diabetic Nephropathies": "D003928",
    "Disease Resistance": "D060467", "Drug Resistance, Bacterial": "D024881", "Echocardiography": "D004452",
    "Fibroblasts": "D005347", "Gastrointestinal Microbiome": "D000069196", "Geographic Atrophy": "D057092",
    "Granuloma": "D006099", "Heart Failure": "D006333", "Hepatocytes": "D022781", "Intestinal Mucosa": "D007413",
    "Keratinocytes": "D015603", "Multiple Sclerosis": "D009103", "Myelin Sheath": "D009186",
    "Oligodendroglia": "D009836", "Osteoblasts": "D010006", "Osteoporosis, Postmenopausal": "D015663",
    "Patient Readmission": "D010359", "Plant Diseases": "D010935", "Podocytes": "D050199",
    "Primary Health Care": "D011320", "Psoriasis": "D011565", "Retinal Pigment Epithelium": "D055213",
    "Severity of Illness Index": "D012720", "Stroke Volume": "D013318", "Triticum": "D014908",
    "Tuberculosis, Multidrug-Resistant": "D018088", "Tumor Microenvironment": "D059016",
}  # fmt: skip
_QUALIFIER = '<QualifierName UI="Q000473" MajorTopicYN="Y">pathology</QualifierName>'
_TERM = re.compile(r'\("(\d{4}/\d\d/\d\d)"\[mdat\] : "(\d{4}/\d\d/\d\d)"\[mdat\]\) AND (\d+):(\d+)\[uid\]')


def sample_client(day: str | None = None) -> EntrezClient:
    """A client of the sample's PubMed as it stands at the end of ``day`` (YYYY-MM-DD); null: before all `CHANGES`."""

    def answer(request: urllib.request.Request, _: float) -> Reply:
        asked = {name: values[0] for name, values in parse_qs(bytes(request.data or b"").decode()).items()}  # type: ignore[arg-type]
        if request.full_url.endswith("/efetch.fcgi"):
            return 200, None, _fetched([int(pmid) for pmid in asked["id"].split(",")], day or "")
        return 200, None, _found(asked["term"])

    return EntrezClient("sample@example.org", transport=answer, patience=Patience(between=0))


def _fetched(pmids: list[int], day: str) -> bytes:
    articles, parts = _articles(), []
    for pmid in reversed(pmids):
        if pmid in articles and pmid not in (MISSING, DELETED):
            parts.append(_book(pmid) if pmid == BOOK else _record(articles[pmid], pmid, day))
    deleted = f"<DeleteCitation><PMID>{DELETED}</PMID></DeleteCitation>" if DELETED in pmids else ""
    return f"<PubmedArticleSet>{''.join(parts + parts[:1])}{deleted}</PubmedArticleSet>".encode()


def _found(term: str) -> bytes:
    match = _TERM.fullmatch(term)
    if match is None:
        return f"<eSearchResult><ERROR>the sample cannot search for {escape(term)}</ERROR></eSearchResult>".encode()
    first, last = match[1].replace("/", "-"), match[2].replace("/", "-")
    changed = {pmid for day, changes in CHANGES.items() if first <= day <= last for pmid in changes}
    pmids = sorted((pmid for pmid in changed if int(match[3]) <= pmid <= int(match[4])), reverse=True)
    ids = "".join(f"<Id>{pmid}</Id>" for pmid in pmids)
    return f"<eSearchResult><Count>{len(pmids)}</Count><IdList>{ids}</IdList></eSearchResult>".encode()


@cache
def _articles() -> dict[int, Article]:
    """The newest form of every article by PMID, over all states of the release."""
    found = (a for number in sorted(RELEASES) for a in expected(number).values())
    return {a.pmid_number: a for a in found if a.pmid_number is not None}


def _record(a: Article, pmid: int, day: str) -> str:
    changes = {change: when for when, changes in CHANGES.items() if when <= day and (change := changes.get(pmid))}
    waiting = any(changes.get(pmid) == "indexed" for changes in CHANGES.values()) and "indexed" not in changes
    revised = max([f"{a.date[0]}-12-31" if a.date[0] < 2026 else "2026-11-18", *changes.values()]).split("-")
    status = 'Status="In-Process"' if waiting else 'Status="MEDLINE" IndexingMethod="Automated"'
    topic, journal = TOPICS[a.topic], JOURNALS[a.journal]
    names = () if waiting else topic.keywords[:1] if pmid == SINGLE else topic.keywords
    headings = "".join(
        f'<MeshHeading><DescriptorName UI="{_UI[name]}" MajorTopicYN="{"N" if n else "Y"}">{name}</DescriptorName>'
        f"{_QUALIFIER if n == 1 else ''}</MeshHeading>"
        for n, name in enumerate(names)
    )
    kinds = [("D016428", "Journal Article")] + [("D016441", "Retracted Publication")] * ("retracted" in changes)
    types = "".join(f'<PublicationType UI="{ui}">{name}</PublicationType>' for ui, name in kinds)
    link = "RetractionIn" if "retracted" in changes else "ExpressionOfConcernIn" if pmid == CONCERN else None
    links = (
        f'<CommentsCorrectionsList><CommentsCorrections RefType="{link}"><RefSource>{journal.abbreviation}. 2026;1:1'
        f"</RefSource><PMID>{pmid + 900_000}</PMID></CommentsCorrections></CommentsCorrectionsList>"
    ) * bool(link)
    references = "".join(
        f"<Reference><Citation>{journal.abbreviation}. {a.date[0] - n};{n}:1.</Citation><ArticleIdList>"
        f'<ArticleId IdType="pubmed">{pmid - n}</ArticleId></ArticleIdList></Reference>'
        for n in range(1, 2 if pmid == SINGLE else min(a.references, 3) + 1)
    )
    doi = f'<ArticleId IdType="doi">{a.doi_text}</ArticleId>' if a.doi_text else ""
    return (
        f'<PubmedArticle><MedlineCitation {status} Owner="NLM"><PMID Version="1">{MERGED.get(pmid, pmid)}</PMID>'
        f"<DateRevised><Year>{revised[0]}</Year><Month>{revised[1]}</Month><Day>{revised[2]}</Day></DateRevised>"
        f"<Article><Journal><Title>{journal.title}</Title></Journal>{_title(a)}<Abstract>"
        f'<AbstractText Label="AIM" NlmCategory="OBJECTIVE">To study {escape(topic.disease)}.</AbstractText>'
        f'<AbstractText Label="RESULT" NlmCategory="RESULTS">We invented <i>{escape(topic.gene)}</i>, at 10<sup>3</sup>'
        f" copies.</AbstractText></Abstract><Language>{'spa' if a.language == 'es' else 'eng'}</Language>"
        f"<PublicationTypeList>{types}</PublicationTypeList></Article><MedlineJournalInfo><Country>Nowhere</Country>"
        f"<MedlineTA>{journal.abbreviation}</MedlineTA><ISSNLinking>{journal.issn}</ISSNLinking></MedlineJournalInfo>"
        f"{links}{f'<MeshHeadingList>{headings}</MeshHeadingList>' if names else ''}</MedlineCitation><PubmedData>"
        f'<PublicationStatus>epublish</PublicationStatus><ArticleIdList><ArticleId IdType="pubmed">{pmid}</ArticleId>'
        f'{doi}<ArticleId IdType="pmc">PMC{a.pmcid}</ArticleId></ArticleIdList>'
        f"<ReferenceList>{references}</ReferenceList></PubmedData></PubmedArticle>"
    )


def _book(pmid: int) -> str:
    return (
        f'<PubmedBookArticle><BookDocument><PMID Version="1">{pmid}</PMID><Book><BookTitle>An atlas of nowhere'
        "</BookTitle></Book><Language>eng</Language><Abstract><AbstractText>Invented.</AbstractText></Abstract>"
        '<PublicationType UI="D016454">Review</PublicationType></BookDocument></PubmedBookArticle>'
    )


def _title(a: Article) -> str:
    """The title with PubMed's markup, which knows i, b, u, sub and sup."""
    element = etree.fromstring(f"<ArticleTitle>{_characters(a.title)}</ArticleTitle>")
    for tag, new in (("italic", "i"), ("bold", "b"), ("underline", "u")):
        for found in element.iter(tag):
            found.tag = new
    etree.strip_tags(
        element, *{e.tag for e in element.iter() if e.tag not in ("ArticleTitle", "i", "b", "u", "sub", "sup")}
    )
    return etree.tostring(element, encoding="unicode")
