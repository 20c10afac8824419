# ruff: noqa: E501 - lines of XML are easier to compare with a source when they are not broken
"""The article's row: titles, abstracts, people, dates, keywords, journal, funding, licence, old and new forms."""

from __future__ import annotations

import pytest
from lxml import etree

from biomedica_assets import schemas
from biomedica_assets.jats import parse_article
from biomedica_assets.jats.dates import read_date

from .conftest import SHARED, parse


def row(meta: str = "", journal: str = "", **parts: str) -> dict:
    return parse(meta=meta, front=f"<journal-meta>{journal}</journal-meta>", **parts).article


def test_titles_with_markup_keep_their_order() -> None:
    article = row(
        "<title-group><article-title>Role of <italic>p53</italic> in CO<sub>2</sub>\n uptake<xref ref-type='fn' rid='n'>*</xref>"
        "</article-title><subtitle>A study</subtitle><trans-title-group xml:lang='pt'><trans-title>Papel</trans-title>"
        "</trans-title-group><alt-title>Short</alt-title></title-group>"
    )
    assert article["title"] == "Role of p53 in CO2 uptake"  # without its footnote mark
    assert article["subtitle"] == "A study"
    assert article["translated_titles"] == [{"language": "pt", "title": "Papel"}]


def test_footnote_marks_are_no_part_of_a_title() -> None:
    mark = "<xref ref-type='fn' rid='n'><sup><inline-graphic xlink:href='box.jpg'/></sup></xref>"
    meta = f"<title-group><article-title>Phospholipase A<sub>2</sub>{mark}<sup><xref ref-type='fn' rid='m'>☆</xref></sup></article-title></title-group>"
    article = parse(meta=meta)
    assert article.article["title"] == "Phospholipase A2"
    assert [o["file_name"] for o in article.objects] == ["box.jpg"]


def test_abstract_without_doi_lines_and_doubled_signs() -> None:
    article = row(
        "<abstract><sec><title>Background:</title><p>One.</p></sec><sec><title>Why?</title><p>Two.</p></sec>"
        "<p>DOI: http://dx.doi.org/10.7554/eLife.01085.001</p></abstract>"
    )
    assert article["abstract"] == "Background: One.\n\nWhy? Two."
    assert len(article["abstract_parts"]) == 2


def test_affiliations_in_parts() -> None:
    article = row(
        "<contrib-group><contrib contrib-type='author'><name><surname>A</surname></name><xref ref-type='aff' rid='a'/>"
        "<xref ref-type='aff' rid='b'/></contrib></contrib-group>"
        "<aff id='a'><label>1</label><institution>Children's Hospital</institution><addr-line>Columbus, Ohio</addr-line></aff>"
        "<aff id='b'><institution content-type='orgname'>Fundação X</institution>\n<country>Brasil</country>\n"
        "<institution content-type='original'> Fundação X. Salvador, BA, Brasil</institution></aff>"
    )
    assert article["authors"][0]["affiliations"] == [
        "Children's Hospital, Columbus, Ohio",
        "Fundação X. Salvador, BA, Brasil",
    ]


def test_citation_has_the_year_of_its_volume() -> None:
    article = row(
        "<pub-date pub-type='epub'><day>12</day><month>12</month><year>2016</year></pub-date>"
        "<pub-date pub-type='collection'><year>2017</year></pub-date><volume>8</volume><issue>4</issue><fpage>5</fpage>",
        "<journal-id journal-id-type='nlm-ta'>Oncotarget</journal-id>",
    )
    assert article["publication_date"] == "2016-12-12"
    assert article["citation"] == "Oncotarget. 2017;8(4):5."


def test_licence_words_without_the_bare_url() -> None:
    url = "https://creativecommons.org/licenses/by/4.0/"
    article = row(
        f"<permissions><copyright-holder>Copyright © 2015 Wiley</copyright-holder><license><ali:license_ref>{url}</ali:license_ref>"
        "<license-p>Free for all.</license-p></license></permissions>"
    )
    assert (article["licence_text"], article["licence_url"]) == ("Free for all.", url)
    assert article["copyright"] == "Copyright © 2015 Wiley"


def test_structured_abstracts() -> None:
    article = row(
        "<abstract><sec><title>Background</title><p>One.</p><p>Two.</p></sec><sec><title>Results</title><p>Three.</p></sec></abstract>"
        "<abstract abstract-type='teaser'><p>Short.</p></abstract>"
        "<trans-abstract xml:lang='es'><title>Resumen</title><p>Uno.</p></trans-abstract>"
    )
    assert article["abstract"] == "Background: One. Two.\n\nResults: Three."
    assert article["abstract_parts"] == [
        {"kind": "main", "language": None, "title": "Background", "text": "One. Two."},
        {"kind": "main", "language": None, "title": "Results", "text": "Three."},
        {"kind": "teaser", "language": None, "title": None, "text": "Short."},
        {"kind": "main", "language": "es", "title": None, "text": "Uno."},
    ]


def test_typed_summary_stands_in_for_the_main_abstract() -> None:
    assert row("<abstract abstract-type='executive-summary'><p>All.</p></abstract>")["abstract"] == "All."
    assert row("<abstract abstract-type='graphical'><p>Pic.</p></abstract>")["abstract"] is None


def test_keywords_in_several_groups_and_forms() -> None:
    article = row(
        "<kwd-group kwd-group-type='author' xml:lang='en'><title>Keywords</title><kwd>a <italic>b</italic></kwd><kwd/></kwd-group>"
        "<kwd-group xml:lang='pt'><kwd>c</kwd><compound-kwd><compound-kwd-part>d</compound-kwd-part>"
        "<compound-kwd-part>e</compound-kwd-part></compound-kwd><nested-kwd><kwd>f</kwd></nested-kwd></kwd-group>"
    )
    assert [(k["group"], k["language"], k["keyword"]) for k in article["keywords"]] == [
        ("author", "en", "a b"),
        (None, "pt", "c"),
        (None, "pt", "d: e"),
        (None, "pt", "f"),
    ]


def test_subjects_are_nested() -> None:
    article = row(
        "<article-categories><subj-group subj-group-type='heading'><subject>Biology</subject>"
        "<subj-group><subject>Genes</subject></subj-group></subj-group></article-categories>"
    )
    assert [s["subject"] for s in article["subjects"]] == ["Biology", "Biology / Genes"]


PEOPLE = """
<contrib-group>
 <contrib contrib-type="author"><contrib-id contrib-id-type="orcid">https://orcid.org/0000-0002-1825-009x</contrib-id>
  <name><surname>Li</surname><given-names>Wei J.</given-names><suffix>Jr</suffix></name><xref ref-type="aff" rid="A1 A2"/></contrib>
 <contrib contrib-type="author"><name-alternatives><name name-style="eastern"><surname>山田</surname><given-names>太郎</given-names></name>
  <name name-style="western"><surname>Yamada</surname><given-names>Taro</given-names></name></name-alternatives>
  <aff>Inline Institute</aff></contrib>
 <contrib contrib-type="author"><string-name>Madonna</string-name></contrib>
 <contrib contrib-type="author"><collab>The Group<contrib-group><contrib contrib-type="author"><name><surname>Member</surname></name></contrib></contrib-group></collab></contrib>
 <contrib contrib-type="editor"><name><surname>Editor</surname></name></contrib>
</contrib-group>
<aff id="A1"><label>1</label><institution>Univ. X</institution>, <city>Rome</city>, <country>Italy</country></aff>
<aff id="A2"><sup>2</sup>Dept. of the 2<sup>nd</sup> Kind <email>a@b.c</email></aff>
"""


def test_authors() -> None:
    authors = row(PEOPLE)["authors"]
    assert [(a["name"], a["surname"], a["given_names"], a["collective"]) for a in authors] == [
        ("Wei J. Li Jr", "Li", "Wei J.", False),
        ("Taro Yamada", "Yamada", "Taro", False),
        ("Madonna", None, None, False),
        ("The Group", None, None, True),
    ]
    assert [a["orcid"] for a in authors] == ["0000-0002-1825-009X", None, None, None]
    assert [a["affiliations"] for a in authors] == [
        ["Univ. X, Rome, Italy", "Dept. of the 2nd Kind"],
        ["Inline Institute"],
        [],
        [],
    ]


def test_affiliation_that_nobody_links_to_is_everybodys() -> None:
    article = row(
        "<contrib-group><contrib contrib-type='author'><name><surname>A</surname></name></contrib></contrib-group>"
        "<aff>Univ. Y</aff>"
    )
    assert article["authors"][0]["affiliations"] == ["Univ. Y"]


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<d><day>3</day><month>7</month><year>2020</year></d>", ("2020-07-03", "day")),
        ("<d><month>Sept</month><year>2020</year></d>", ("2020-09", "month")),
        ("<d><month>June</month><year>2020</year></d>", ("2020-06", "month")),
        ("<d><year>2020</year></d>", ("2020", "year")),
        ("<d><season>Winter</season><year>2020</year></d>", ("2020", None)),
        ("<d><month>Jan-Feb</month><year>2020</year></d>", ("2020", None)),
        ("<d><day>31</day><year>2020</year></d>", ("2020", "year")),
        ("<d iso-8601-date='2019-02-03'/>", ("2019-02-03", "day")),
        ("<d iso-8601-date='2019-02-03'><year>2019</year></d>", ("2019-02-03", "day")),
        ("<d><string-date>2018-05</string-date></d>", ("2018-05", "month")),
        ("<d><month>13</month><year>2020</year></d>", ("2020", None)),
        ("<d><day>31</day><month>2</month><year>2020</year></d>", ("2020-02", "month")),
        ("<d><day>29</day><month>2</month><year>2020</year></d>", ("2020-02-29", "day")),
        ("<d><year>99999</year></d>", (None, None)),
        ("<d><year>in press</year></d>", (None, None)),
        ("<d/>", (None, None)),
    ],
)
def test_dates(xml: str, expected: tuple[str | None, str | None]) -> None:
    assert read_date(etree.fromstring(xml)) == expected


def test_publication_date_is_the_earliest() -> None:
    article = row(
        "<pub-date pub-type='collection'><year>2020</year></pub-date>"
        "<pub-date date-type='pub' publication-format='electronic'><day>5</day><month>3</month><year>2020</year></pub-date>"
        "<pub-date pub-type='ppub'><month>6</month><year>2020</year></pub-date>"
        "<pub-date pub-type='pmc-release'><year>2019</year></pub-date>"
        "<history><date date-type='received'><day>1</day><month>1</month><year>2019</year></date></history>"
    )
    assert (article["publication_date"], article["publication_year"]) == ("2020-03-05", 2020)
    assert [d["type"] for d in article["dates"]] == ["collection", "pub-electronic", "ppub", "pmc-release", "received"]


def test_electronic_only_article_has_a_date() -> None:
    """54 of 532 corpus files have neither a ppub nor a collection date."""
    meta = "<pub-date pub-type='epub'><day>9</day><month>12</month><year>2011</year></pub-date>"
    assert row(meta)["publication_date"] == "2011-12-09"


def test_journal() -> None:
    article = row(
        "<volume>3</volume><issue>1</issue><fpage>55</fpage><lpage>60</lpage>"
        "<pub-date pub-type='ppub'><year>2001</year></pub-date>",
        "<journal-id journal-id-type='nlm-ta'>Clin. Exp. Immunol.</journal-id><journal-id journal-id-type='iso-abbrev'>CEI</journal-id>"
        "<journal-title-group><journal-title>Clin. Exp. Immunol. &amp; Food 3D</journal-title></journal-title-group>"
        "<issn pub-type='ppub'>1465-5411</issn><issn publication-format='electronic'>1465542x</issn><issn-l>1465-5411</issn-l>"
        "<publisher><publisher-name>BMC</publisher-name></publisher>",
    )
    assert article["journal"] == "Clin. Exp. Immunol. & Food 3D"
    assert article["journal_abbreviation"] == "Clin. Exp. Immunol."
    assert [(i["type"], i["issn"]) for i in article["issns"]] == [
        ("ppub", "1465-5411"),
        ("epub", "1465-542X"),
        ("linking", "1465-5411"),
    ]
    assert article["publisher"] == "BMC"
    assert article["citation"] == "Clin. Exp. Immunol. 2001;3(1):55-60."


def test_old_journal_abbreviation() -> None:
    assert row(journal="<abbrev-journal-title>J Old</abbrev-journal-title>")["journal_abbreviation"] == "J Old"


@pytest.mark.parametrize(
    ("meta", "code", "version"),
    [
        ("<permissions><license xlink:href='https://creativecommons.org/licenses/by-nc/4.0/'/></permissions>", "CC BY-NC", "4.0"),
        ("<permissions><license><license-p>Open <ext-link xlink:href='http://creativecommons.org/licenses/by/3.0'>here</ext-link></license-p></license></permissions>", "CC BY", "3.0"),
        ("<permissions><license><ali:license_ref>http://creativecommons.org/licenses/by-nd/4.0/</ali:license_ref></license></permissions>", "CC BY-ND", "4.0"),
        ("<permissions><license><ali:license_ref content-type='ccbyncndlicense'>https://x.org</ali:license_ref></license></permissions>", "CC BY-NC-ND", None),
        ("<permissions><license><license-p>Creative Commons Attribution-ShareAlike 4.0 License</license-p></license></permissions>", "CC BY-SA", "4.0"),
        ("<permissions><license xlink:href='http://creativecommons.org/licenses/by-ncnd/3.0'/></permissions>", "CC BY-NC-ND", "3.0"),
        ("<copyright-statement>© A. This is distributed under the Creative Commons Attribution License.</copyright-statement>", "CC BY", None),
        ("<license xlink:href='http://creativecommons.org/licenses/by/2.0'><p>x</p></license>", "CC BY", "2.0"),
        ("<permissions><license><license-p>Free to read.</license-p></license></permissions>", None, None),
        ("", None, None),
    ],
)  # fmt: skip
def test_licence(meta: str, code: str | None, version: str | None) -> None:
    article = row(meta)
    assert (article["licence_code"], article["licence_version"]) == (code, version)
    assert article["licence_reason"]
    assert article["licence_group"] == {"CC BY-NC": "noncommercial", "CC BY-NC-ND": "noncommercial"}.get(
        code or "", "commercial" if code else "other"
    )


def test_pmc_licence_reference() -> None:
    meta = "<custom-meta-group><custom-meta><meta-name>pmc-license-ref</meta-name><meta-value>CC BY</meta-value></custom-meta></custom-meta-group>"
    assert (row(meta)["licence_code"], row(meta)["licence_reason"]) == ("CC BY", "pmc-license-ref in the XML")


def test_funding_old_and_new() -> None:
    article = row(
        "<funding-group><award-group><funding-source><institution-wrap><institution>NIH</institution>"
        "<institution-id>http://dx.doi.org/10.13039/1</institution-id></institution-wrap></funding-source>"
        "<award-id>R01</award-id><award-id>R02</award-id></award-group>"
        "<award-group><funding-source>BMS<named-content>100002491</named-content></funding-source></award-group></funding-group>"
        "<contract-num>C-7</contract-num>"
    )
    assert article["funding"] == [
        {"funder": "NIH", "funder_id": "http://dx.doi.org/10.13039/1", "award_ids": ["R01", "R02"]},
        {"funder": "BMS", "funder_id": "100002491", "award_ids": []},
        {"funder": None, "funder_id": None, "award_ids": ["C-7"]},
    ]


def test_ids_and_related_articles() -> None:
    article = row(
        "<article-id pub-id-type='pmid'>123</article-id><article-id pub-id-type='doi'>https://doi.org/10.1/X</article-id>"
        "<article-id pub-id-type='publisher-id'>p_1</article-id><article-id pub-id-type='manuscript'>NIHMS9</article-id>"
        "<related-article related-article-type='corrected-article' ext-link-type='doi' xlink:href='10.1/y'/>",
        attributes='article-type="research-article" dtd-version="1.3" xml:lang="en"',
    )
    assert (article["pmid"], article["doi"], article["publisher_id"], article["manuscript_id"]) == (
        123,
        "10.1/X",
        "p_1",
        "NIHMS9",
    )
    assert article["related_articles"] == [{"type": "corrected-article", "id_type": "doi", "id": "10.1/y"}]
    assert (article["article_type"], article["dtd_version"], article["language"]) == ("research-article", "1.3", "en")


def test_nothing_is_an_empty_string() -> None:
    """Missing values are null: neither "" nor the text "None"."""
    article = parse(
        meta="<title-group><article-title> </article-title></title-group><volume/><permissions/><abstract/>"
    )
    assert article.article["title"] is None and article.article["volume"] is None

    def walk(value: object) -> None:
        assert value not in ("", "None")
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    walk(article.article)


def test_sub_articles_do_not_touch_the_articles_own_metadata() -> None:
    tail = (
        "<sub-article article-type='translation'><front-stub><article-id pub-id-type='doi'>10.9/z</article-id><title-group>"
        "<article-title>Other</article-title></title-group></front-stub><body><p>x</p></body></sub-article>"
    )
    article = row("<title-group><article-title>Main</article-title></title-group>", tail=tail)
    assert (article["title"], article["doi"]) == ("Main", None)


def test_every_row_of_the_corpus_fits_its_table() -> None:
    files = sorted((SHARED / "corpus" / "articles").glob("*/*.xml"))[:60]
    if not files:
        pytest.skip("corpus is not at hand")
    for file in files:
        article = parse_article(file.read_bytes())
        for name, rows in article.tables().items():
            schemas.rows_to_table(schemas.CHUNK_TABLES[name], [r | {"chunk": "c"} for r in rows])
