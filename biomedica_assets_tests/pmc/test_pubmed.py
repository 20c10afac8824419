"""PubMed's XML to rows: shapes of the DTD, the faults of others, damage; real replies with values read by eye."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets import schemas
from biomedica_assets.pmc.pubmed import ErrorReply, UnreadableReply, read_pubmed, read_search

SHARED = Path(os.environ.get("BIOMEDICA_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
REPLIES = SHARED / "corpus" / "entrez"
real = pytest.mark.skipif(not REPLIES.exists(), reason="no real replies here")

HEAD = (
    '<?xml version="1.0" ?><!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN" '
    '"https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">'
)


def one(article: str = "", citation: str = "", data: str = "", status: str = 'Status="MEDLINE"') -> dict:
    """The row of one record with this inside Article, behind it, and inside PubmedData."""
    xml = (
        f"{HEAD}<PubmedArticleSet><PubmedArticle><MedlineCitation {status}><PMID Version='1'>7</PMID>"
        f"<Article>{article}</Article>{citation}</MedlineCitation><PubmedData>{data}</PubmedData></PubmedArticle>"
        "</PubmedArticleSet>"
    )
    (row,) = read_pubmed(xml.encode()).records
    schemas.rows_to_table(schemas.METADATA, [{"partition": "p", "pmid": 7, "outcome": "found", **row}])
    return row


def test_inline_markup_keeps_every_word_in_reading_order():
    row = one(
        "<ArticleTitle><i>Bacillus</i> at 10<sup>-3</sup> M Zn<sub>2</sub>&#x3b2; (<b>a <i>nested</i> case</b>).\n"
        '   End <mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:mi>x</mml:mi></mml:math>.</ArticleTitle>'
        "<Abstract><AbstractText><b>Aim:</b> H<sub>2</sub>O <u>stays</u> here.</AbstractText></Abstract>"
    )
    assert row["title"] == "Bacillus at 10-3 M Zn2β (a nested case). End x."
    assert row["abstract"] == [{"label": None, "category": None, "text": "Aim: H2O stays here."}]


def test_structured_abstract_keeps_its_parts():
    row = one(
        '<Abstract><AbstractText Label="AIMS" NlmCategory="OBJECTIVE">To see.</AbstractText>'
        '<AbstractText Label="RESULTS">Seen.</AbstractText><AbstractText Label="EMPTY"/>'
        "<CopyrightInformation>© somebody</CopyrightInformation></Abstract>",
        '<OtherAbstract Type="plain-language-summary" Language="eng"><AbstractText>Simply.</AbstractText>'
        "</OtherAbstract>",
    )
    assert row["abstract"] == [
        {"label": "AIMS", "category": "OBJECTIVE", "text": "To see."},
        {"label": "RESULTS", "category": None, "text": "Seen."},
    ]
    assert row["other_abstracts"] == [
        {"type": "plain-language-summary", "language": "eng", "label": None, "category": None, "text": "Simply."}
    ]


def test_a_single_heading_is_a_list_of_one():
    heading = '<MeshHeading><DescriptorName UI="D008099" MajorTopicYN="Y">Liver</DescriptorName></MeshHeading>'
    assert one(citation=f"<MeshHeadingList>{heading}</MeshHeadingList>")["mesh"] == [
        {"descriptor": "Liver", "descriptor_ui": "D008099", "type": None, "major": True, "qualifiers": []}
    ]


def test_headings_with_qualifiers_and_places():
    row = one(
        citation='<MeshHeadingList><MeshHeading><DescriptorName UI="D006331" MajorTopicYN="N">Heart Diseases'
        '</DescriptorName><QualifierName UI="Q000473" MajorTopicYN="Y">pathology</QualifierName><QualifierName '
        'UI="Q000188" MajorTopicYN="N">drug therapy</QualifierName></MeshHeading><MeshHeading><DescriptorName '
        'UI="D005858" MajorTopicYN="N" Type="Geographic">Germany</DescriptorName></MeshHeading></MeshHeadingList>'
        '<SupplMeshList><SupplMeshName Type="Disease" UI="C538231">Some syndrome</SupplMeshName></SupplMeshList>'
    )
    assert row["mesh"] == [
        {
            "descriptor": "Heart Diseases",
            "descriptor_ui": "D006331",
            "type": None,
            "major": False,
            "qualifiers": [
                {"name": "pathology", "ui": "Q000473", "major": True},
                {"name": "drug therapy", "ui": "Q000188", "major": False},
            ],
        },
        {"descriptor": "Germany", "descriptor_ui": "D005858", "type": "Geographic", "major": False, "qualifiers": []},
    ]
    assert row["supplementary_mesh"] == [{"name": "Some syndrome", "ui": "C538231", "type": "Disease"}]


REFERENCE = (
    "<Reference><Citation>J. 2001;<i>1</i>:2.</Citation><ArticleIdList><ArticleId IdType='pubmed'>11</ArticleId>"
    "<ArticleId IdType='pmc'>PMC22</ArticleId><ArticleId IdType='doi'>10.1/x</ArticleId></ArticleIdList></Reference>"
)


def test_one_reference_is_one_reference():
    row = one(data=f"<ReferenceList>{REFERENCE}</ReferenceList>")
    assert row["references"] == [{"citation": "J. 2001;1:2.", "pmid": 11, "pmcid": 22, "doi": "10.1/x"}]


def test_nested_reference_lists_in_order():
    bare = "<Reference><Citation>Second.</Citation></Reference>"
    nested = (
        f"<ReferenceList><Title>All</Title>{REFERENCE}"
        f"<ReferenceList>{bare}<ReferenceList>{REFERENCE}</ReferenceList></ReferenceList></ReferenceList>"
    )
    assert [r["pmid"] for r in one(data=nested)["references"]] == [11, None, 11]


def test_ids_of_references_are_not_the_article_s():
    row = one(data=f"<ReferenceList>{REFERENCE}</ReferenceList>")
    assert (row["record_pmcid"], row["record_doi"]) == (None, None)
    own = '<ArticleIdList><ArticleId IdType="pmc">PMC9.1</ArticleId></ArticleIdList>'
    row = one(data=f"{own}<ReferenceList>{REFERENCE}</ReferenceList>")
    assert (row["record_pmcid"], row["record_doi"]) == (9, None)


def test_old_records_cite_by_links():
    cites = "<CommentsCorrections RefType='Cites'><RefSource>J. 1999</RefSource><PMID>5</PMID></CommentsCorrections>"
    row = one(citation=f"<CommentsCorrectionsList>{cites}</CommentsCorrectionsList>")
    assert row["references"] == [{"citation": "J. 1999", "pmid": 5}]
    assert row["comments_corrections"] == []


def link(kind: str) -> str:
    return (
        f"<CommentsCorrectionsList><CommentsCorrections RefType='{kind}'><RefSource>J. 2020</RefSource><PMID>8</PMID>"
        "</CommentsCorrections></CommentsCorrectionsList>"
    )


def kind(name: str) -> str:
    return f"<PublicationTypeList><PublicationType UI='D1'>{name}</PublicationType></PublicationTypeList>"


@pytest.mark.parametrize(
    ("article", "citation", "status"),
    [
        (kind("Retracted Publication"), "", "retracted"),
        ("", link("RetractionIn"), "retracted"),
        ("", link("RetractedandRepublishedIn"), "retracted"),
        (kind("Retracted Publication"), link("ExpressionOfConcernIn"), "retracted"),
        ("", link("ExpressionOfConcernIn"), "concern"),
        ("", link("PartialRetractionIn"), "concern"),
        (kind("Retraction of Publication"), link("RetractionOf"), None),
        (kind("Expression of Concern"), link("ExpressionOfConcernFor"), None),
        (kind("Journal Article"), link("ErratumIn"), None),
    ],
)
def test_status(article, citation, status):
    row = one(article, citation)
    assert row["pubmed_status"] == status
    if citation:
        (found,) = row["comments_corrections"]
        assert found == {
            "kind": re.search("RefType='(.*?)'", citation)[1],
            "source": "J. 2020",
            "pmid": 8,
            "note": None,
        }


def test_the_smallest_record_is_full_of_nulls_and_never_of_the_word_none():
    row = one(status="")
    assert row["record_pmid"] == 7
    assert all(
        value in (None, [])
        for name, value in row.items()
        if name not in ("record_pmid", "record_version", "record_type")
    )
    row = one(
        "<ArticleTitle/><Language> </Language>", "<ChemicalList><Chemical><RegistryNumber/></Chemical></ChemicalList>"
    )
    assert (row["title"], row["languages"], row["chemicals"]) == (None, [], [])


def test_chemicals_grants_databanks_keywords_and_dates():
    row = one(
        "<GrantList><Grant><GrantID>R01</GrantID><Agency>NCI</Agency><Country/></Grant><Grant/></GrantList>"
        "<DataBankList><DataBank><DataBankName>GEO</DataBankName><AccessionNumberList><AccessionNumber>GSE1"
        "</AccessionNumber><AccessionNumber>GSE2</AccessionNumber></AccessionNumberList></DataBank></DataBankList>",
        "<DateRevised><Year>2020</Year><Month>Nov</Month><Day>5</Day></DateRevised>"
        "<ChemicalList><Chemical><RegistryNumber>0</RegistryNumber><NameOfSubstance UI='D1'>A</NameOfSubstance>"
        "</Chemical>"
        "<Chemical><RegistryNumber>7-1</RegistryNumber><NameOfSubstance>B</NameOfSubstance></Chemical></ChemicalList>"
        "<KeywordList Owner='NOTNLM'><Keyword MajorTopicYN='Y'>x <i>y</i></Keyword><Keyword>z</Keyword></KeywordList>",
        "<History><PubMedPubDate PubStatus='received'><Year>2019</Year><Month>2</Month></PubMedPubDate>"
        "<PubMedPubDate PubStatus='odd'><Year>soon</Year></PubMedPubDate></History>",
    )
    assert row["grants"] == [{"id": "R01", "acronym": None, "agency": "NCI", "country": None}]
    assert row["databanks"] == [{"name": "GEO", "accession_numbers": ["GSE1", "GSE2"]}]
    assert row["chemicals"] == [
        {"name": "A", "ui": "D1", "registry_number": None},
        {"name": "B", "ui": None, "registry_number": "7-1"},
    ]
    assert row["keywords"] == [
        {"keyword": "x y", "major": True, "owner": "NOTNLM"},
        {"keyword": "z", "major": False, "owner": "NOTNLM"},
    ]
    assert row["date_revised"] == "2020-11-05"
    assert row["history"] == [{"event": "received", "date": "2019-02"}]


def test_several_languages():
    assert one("<Language>eng</Language><Language>spa</Language>")["languages"] == ["eng", "spa"]


def test_books_and_deletions_in_one_reply():
    reply = read_pubmed(
        b"<PubmedArticleSet><PubmedBookArticle><BookDocument><PMID Version='1'>21</PMID><ArticleIdList><ArticleId "
        b"IdType='bookaccession'>NBK1</ArticleId></ArticleIdList><Book><BookTitle>Whole book</BookTitle></Book>"
        b"<ArticleTitle>A chapter</ArticleTitle><Language>eng</Language><PublicationType UI='D016454'>Review"
        b"</PublicationType><Abstract><AbstractText>What it says.</AbstractText></Abstract></BookDocument>"
        b"<PubmedBookData><PublicationStatus>ppublish</PublicationStatus></PubmedBookData></PubmedBookArticle>"
        b"<DeleteCitation><PMID Version='1'>30</PMID><PMID Version='1'>31</PMID></DeleteCitation></PubmedArticleSet>"
    )
    (book,) = reply.records
    assert (book["record_pmid"], book["record_type"], book["title"]) == (21, "book", "A chapter")
    assert book["publication_types"] == [{"name": "Review", "ui": "D016454"}]
    assert book["abstract"][0]["text"] == "What it says."
    assert reply.deleted == [30, 31]


def test_an_empty_set_is_a_reply():
    assert read_pubmed(b"<PubmedArticleSet></PubmedArticleSet>").records == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"<html><body>Error</body></html>",
        b"<PubmedArticleSet><PubmedArticle>",
        b"\x00\xff\xfe",
        b'{"error":"no"}',
        b'<!DOCTYPE a [<!ENTITY x "y">]><PubmedArticleSet>&x;</PubmedArticleSet>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><PubmedArticleSet>&x;</PubmedArticleSet>',
    ],
)
def test_what_is_no_reply_is_unreadable(data):
    with pytest.raises(UnreadableReply):
        read_pubmed(data)


def test_a_reply_cut_anywhere_is_never_taken_for_a_whole_one():
    whole = (
        HEAD + "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>7</PMID></MedlineCitation></PubmedArticle>"
        "</PubmedArticleSet>"
    ).encode()
    assert len(read_pubmed(whole).records) == 1
    for length in range(len(whole)):
        with pytest.raises(UnreadableReply):
            read_pubmed(whole[:length])


def test_an_error_is_told_in_ncbi_s_words():
    with pytest.raises(ErrorReply, match="Invalid db name"):
        read_pubmed(b"<eFetchResult><ERROR>Invalid db name specified: nothing</ERROR></eFetchResult>")


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=60))
def test_any_text_comes_through_with_white_space_collapsed(text):
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;")
    allowed = not re.search("[\ufffe\uffff]", text)
    if allowed:
        assert one(f"<ArticleTitle>{escaped}</ArticleTitle>")["title"] == (" ".join(text.split()) or None)


def test_search_replies():
    reply = read_search(
        b"<eSearchResult><Count>3</Count><RetMax>2</RetMax><RetStart>0</RetStart><QueryKey>1</QueryKey><WebEnv>MCID_1"
        b"</WebEnv><IdList><Id>9</Id><Id>8</Id></IdList></eSearchResult>"
    )
    assert (reply.count, reply.pmids, reply.web_env, reply.query_key) == (3, [9, 8], "MCID_1", "1")
    assert read_search(b"<eSearchResult><Count>0</Count><IdList/></eSearchResult>").pmids == []
    with pytest.raises(UnreadableReply, match="no count"):
        read_search(b"<eSearchResult><IdList/></eSearchResult>")


@real
def test_real_record_28495875():
    (row,) = read_pubmed((REPLIES / "pubmed_efetch" / "28495875.xml").read_bytes()).records
    assert (row["record_pmid"], row["record_pmcid"], row["record_doi"]) == (
        28495875,
        5556699,
        "10.1126/science.aai8132",
    )
    assert row["pii"] == "science.aai8132"
    assert (row["indexing_status"], row["indexing_method"]) == ("MEDLINE", "Manual")
    assert len(row["mesh"]) == 11
    assert row["mesh"][2] == {
        "descriptor": "Inflammation",
        "descriptor_ui": "D007249",
        "type": None,
        "major": False,
        "qualifiers": [
            {"name": "chemically induced", "ui": "Q000139", "major": False},
            {"name": "pathology", "ui": "Q000473", "major": False},
        ],
    }
    assert [m["descriptor"] for m in row["mesh"] if m["major"]] == ["Regeneration"]
    assert [g["id"] for g in row["grants"]] == [
        "R37 AR040072", "T32 AI007019", "UL1 TR001863", "R01 CA212376", "R01 AI089824",
    ]  # fmt: skip
    assert [(c["name"], c["registry_number"]) for c in row["chemicals"]] == [
        ("Interleukin-13", None),
        ("Thioglycolates", None),
        ("Interleukin-4", "207137-56-2"),
    ]
    assert row["comments_corrections"] == [
        {
            "kind": "CommentIn",
            "source": "Science. 2017 Jun 9;356(6342):1014. doi: 10.1126/science.aan6782.",
            "pmid": 28596328,
            "note": None,
        }
    ]
    assert [t["ui"] for t in row["publication_types"]] == ["D016428", "D052061", "D013485"]
    assert (row["journal_nlm_id"], row["journal_issn"], row["journal_country"]) == (
        "0404511",
        "0036-8075",
        "United States",
    )


@real
def test_real_record_in_german():
    (row,) = read_pubmed((REPLIES / "pubmed_efetch" / "25760099.xml").read_bytes()).records
    assert row["languages"] == ["ger"]
    assert row["title"].startswith("[Market Concentration in the Statutory Health Insurance of Germany")
    assert row["vernacular_title"].endswith("seit Einführung der freien Kassenwahl.")
    assert row["abstract"][0]["text"].startswith("Background: The expansion of trust law")
    assert row["mesh"][0]["qualifiers"][1] == {"name": "statistics & numerical data", "ui": "Q000706", "major": False}


@real
def test_real_record_of_2014_s_dtd_cites_by_links():
    (row,) = read_pubmed((REPLIES / "pubmed_efetch" / "11250747.xml").read_bytes()).records
    assert (row["record_pmcid"], row["record_doi"], row["date_revised"]) == (13901, None, "2013-09-15")
    assert row["references"][0] == {"citation": "Science. 1994 Oct 7;266(5182):66-71", "pmid": 7545954}
    assert row["comments_corrections"] == []
    assert [m["descriptor"] for m in row["mesh"] if m["major"]] == ["X Chromosome"]
    assert {"event": "received", "date": "2000-05-02"} in row["history"]


@real
@pytest.mark.parametrize("path", sorted((REPLIES / "pubmed_efetch").glob("*.xml")), ids=lambda p: p.stem)
def test_real_replies_fit_the_table_and_lose_nothing_that_is_counted(path):
    data = path.read_bytes()
    reply = read_pubmed(data)
    rows = [{"partition": "p", "pmid": r["record_pmid"], "outcome": "found", **r} for r in reply.records]
    schemas.rows_to_table(schemas.METADATA, rows)
    text = data.decode()
    assert len(rows) == text.count("<PubmedArticle>")
    assert sum(len(r["mesh"]) for r in rows) == text.count("<MeshHeading>")
    assert sum(len(q["qualifiers"]) for r in rows for q in r["mesh"]) == text.count("<QualifierName ")
    assert sum(len(r["keywords"]) for r in rows) == text.count("<Keyword ")
    assert sum(len(r["chemicals"]) for r in rows) == text.count("<Chemical>")
    assert sum(len(r["grants"]) for r in rows) == text.count("<Grant>")
    cited = text.count("<Reference>") or text.count('RefType="Cites"')
    blank = text.count("<Citation>&#xa0;</Citation>")  # 18 entries of one record hold a space and nothing else
    assert sum(len(r["references"]) for r in rows) == cited - blank


@real
def test_real_search_replies():
    reply = read_search((REPLIES / "esearch" / "biopython_esearch1.xml").read_bytes())
    assert (reply.count, len(reply.pmids), reply.pmids[0], reply.pmids[-1]) == (63, 20, 41282813, 37810457)
