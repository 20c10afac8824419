# ruff: noqa: E501 - lines of XML are easier to compare with a source when they are not broken
"""Bytes to articles: wrappers, entities, damaged and hostile input, identity."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomedica_assets.jats import Article, MalformedXML, NotAnArticle, TooDeep, parse_article, parse_articles
from biomedica_assets.jats.figures import escape_id, unescape_id

from .conftest import corpus_file, figures, make, parse


def ids(meta: str) -> str:
    return parse_article(f"<article><front><article-meta>{meta}</article-meta></front></article>".encode()).article_id


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        (
            '<article-id pub-id-type="pmcaid">77</article-id><article-id pub-id-type="pmcid">PMC12</article-id>'
            '<article-id pub-id-type="pmcid-ver">PMC12.3</article-id>',
            "PMC12.3",
        ),
        ('<article-id pub-id-type="pmcid">PMC12</article-id>', "PMC12.1"),
        ('<article-id pub-id-type="pmc">12</article-id>', "PMC12.1"),
        ('<article-id pub-id-type="pmc">PMC12</article-id><article-id pub-id-type="pmcaiid">9</article-id>', "PMC12.1"),
    ],
)
def test_article_id(meta: str, expected: str) -> None:
    assert ids(meta) == expected


def test_private_ids_are_stable_and_in_their_range() -> None:
    by_doi = ids('<article-id pub-id-type="doi">10.1/ABC</article-id>')
    assert by_doi == ids('<article-id pub-id-type="doi">10.1/abc</article-id>')
    assert 900_000_000_000 <= int(by_doi[3:-2]) <= 999_999_999_999
    assert ids('<article-id pub-id-type="pmcaid">77</article-id>') != ids("")
    assert parse_article(make(), article_id="PMC7.2").article["pmcid"] == 7
    assert parse_article(make(), article_id="PMC7.2").article["version"] == 2


def test_several_articles_of_one_file() -> None:
    one = make("<p>One.</p>").decode()
    two = one.replace("PMC1<", "PMC2<").replace("One", "Two")
    articles = parse_articles(f"<pmc-articleset>{one}{two}</pmc-articleset>".encode())
    assert [a.article_id for a in articles] == ["PMC1.1", "PMC2.1"]
    assert articles[1].paragraphs[0]["text"] == "Two."
    assert articles[0].article["root"] == "pmc-articleset"


def test_oai_record_with_default_namespace_and_other_prefixes() -> None:
    xml = (
        b'\xef\xbb\xbf<?xml version="1.0"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><record><metadata>'
        b'<article xmlns="https://jats.nlm.nih.gov/ns/archiving/1.4/" xmlns:xl="http://www.w3.org/1999/xlink" '
        b'xmlns:m="http://www.w3.org/1998/Math/MathML"><front><article-meta><article-id pub-id-type="pmcid">PMC5'
        b'</article-id></article-meta></front><body><fig id="F1"><label>Fig. 1</label><caption><p>At <m:math><m:mi>x'
        b'</m:mi></m:math>.</p></caption><graphic xl:href="a.jpg"/></fig><p>See <xref rid="F1">Fig. 1</xref>.</p>'
        b"</body></article></metadata></record></OAI-PMH>"
    )
    article = parse_article(xml)
    assert article.article["root"] == "OAI-PMH"
    assert article.captions[0]["text"] == "At x."
    assert article.images[0]["href"] == "a.jpg"
    assert article.mentions[0]["text"] == "Fig. 1"
    assert article.failures == []


DOCTYPE = '<!DOCTYPE article PUBLIC "-//NLM//DTD X//EN" "http://127.0.0.1:9/never.dtd">'


def test_named_entities_are_known_without_their_dtd() -> None:
    body = "<p>&alpha;&nbsp;&lt; 5 &rarr; <italic>&ast;</italic>&ThickSpace;x <![CDATA[&alpha;]]></p>"
    for prefix in ("", DOCTYPE):
        article = parse_article(prefix.encode() + make(body))
        assert article.paragraphs[0]["text"] == "α < 5 → * x &alpha;"


def test_unknown_entity_is_left_out_and_recorded() -> None:
    article = parse_article(DOCTYPE.encode() + make("<p>one &nonsense; two</p>"))
    assert article.paragraphs[0]["text"] == "one two"
    assert [f["error"] for f in article.failures] == ["UndefinedEntity"]


def test_external_entities_are_never_read(tmp_path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("TOP SECRET")
    doctype = f'<!DOCTYPE article [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
    article = parse_article(doctype.encode() + make("<p>a&x;b</p>"))
    assert article.paragraphs[0]["text"] == "ab"
    assert [f["error"] for f in article.failures] == ["UndefinedEntity"]


def test_parameter_entities_and_external_dtd_are_never_read(tmp_path) -> None:
    dtd = tmp_path / "evil.dtd"
    dtd.write_text('<!ENTITY alpha "EVIL">')
    doctype = f'<!DOCTYPE article SYSTEM "{dtd.as_uri()}" [<!ENTITY % p SYSTEM "{dtd.as_uri()}"> %p;]>'
    article = parse_article(doctype.encode() + make("<p>&alpha;</p>"))
    assert "EVIL" not in str(article.tables())


def test_billion_laughs_do_no_harm() -> None:
    lines = ['<!ENTITY a0 "ha">'] + [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)]
    start = time.process_time()
    for body in ("<p>x&a11;y</p>", '<fig id="&a11;"/><p>y</p>'):
        try:
            article = parse_article(f"<!DOCTYPE article [{''.join(lines)}]>".encode() + make(body))
        except NotAnArticle:
            continue
        assert sum(len(p["text"]) for p in article.paragraphs) < 100
        assert article.failures
    assert time.process_time() - start < 20


def test_truncated_file_keeps_what_is_there_and_says_so() -> None:
    whole = make('<p>First.</p><fig id="F1"><label>Figure 1</label><caption><p>Cut here</p></caption></fig>')
    article = parse_article(whole[: whole.index(b"here")])
    assert [p["text"] for p in article.paragraphs] == ["First."]
    assert article.captions[0]["text"] == "Cut"
    assert [(f["stage"], f["error"], f["fatal"]) for f in article.failures] == [("parse", "MalformedXML", False)]


def test_bad_bytes_are_repaired() -> None:
    article = parse_article(make("<p>na\xefve \x0b text</p>").decode().encode("latin-1"))
    assert article.paragraphs[0]["text"] == "na\ufffdve text"
    assert [f["error"] for f in article.failures] == ["MalformedXML"]


@pytest.mark.parametrize("reference", ["&#xD800;", "&#xDFFF;", "&#55296;", "&#0;", "&#x110000;", "&#xFFFE;", "&#1;"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "doctype", ["", '<!DOCTYPE article [<!ENTITY x "&#xD800;">', "<!DOCTYPE article [<!ENTITY y 'z'>]>"]
)
def test_references_to_no_characters(reference: str, encoding: str, doctype: str) -> None:
    body = (
        f'<fig id="F{reference}1"><label>Fig. 1{reference}</label><graphic xlink:href="a{reference}.jpg"/></fig>'
        f'<p>One {reference}two <xref ref-type="fig" rid="F{reference}1">Fig.{reference}</xref> <?pi ]>?> <![CDATA[{reference}]]></p><p>Three</p>'
    )
    meta = f"<copyright-statement>By{reference} us</copyright-statement>"  # NLM 2.x
    try:
        article = parse_article((doctype + make(body, meta=meta).decode()).encode(encoding))
    except NotAnArticle:
        assert doctype.endswith('">')  # never closed: the article is part of the DOCTYPE
        return
    assert article.paragraphs[-1]["text"] == "Three"
    assert article.paragraphs[0]["text"].startswith("One")
    assert next(f["error"] for f in article.failures) == "MalformedXML"
    str(article.tables()).encode()  # no half of a surrogate pair anywhere


@given(
    st.lists(
        st.sampled_from(
            ["&#xD800;", "&#xDC00", "&#", "x", ";", "&#x", "0", "FFFF;", "&#1;", "\ufffe", "]]>", "<!--", "&q;", '"']
        )
    )
)
@settings(max_examples=200, deadline=None)
def test_no_piece_of_a_reference_crashes(pieces: list[str]) -> None:
    junk = "".join(pieces)
    body = f'<fig id="F{junk}"><label>Fig. 1{junk}</label></fig><p>a<xref rid="F{junk}">{junk}</xref></p>'
    for data in (make(body), make(body).decode().encode("utf-16"), b"<!DOCTYPE article []" + make(body)):
        with suppress(NotAnArticle):
            str(parse_article(data).tables()).encode()


def test_leading_blank_lines_and_undeclared_prefixes() -> None:
    xml = b"\n\n<?xml version='1.0'?>\n<article><body><fig id='F1'><graphic xlink:href='a.jpg'/></fig></body></article>"
    assert parse_article(xml).images[0]["href"] == "a.jpg"


@pytest.mark.parametrize("data", [b"", b"   ", b"not xml at all", b"\x89PNG\r\n", b"%PDF-1.4 x"])
def test_not_xml(data: bytes) -> None:
    with pytest.raises(NotAnArticle):
        parse_article(data)


@pytest.mark.parametrize("data", [b"<html><body>404</body></html>", b"<Error><Code>NoSuchKey</Code></Error>"])
def test_other_xml(data: bytes) -> None:
    with pytest.raises(NotAnArticle) as caught:
        parse_article(data)
    assert not isinstance(caught.value, MalformedXML)


@pytest.mark.parametrize("depth", [200, 1500, 5000])
def test_nesting_without_end(depth: int) -> None:
    """Deep nesting is read, recovered in part and recorded, or refused: never a crash."""
    try:
        article = parse_article(make(f"<p>{'<italic>' * depth}x{'</italic>' * depth}</p><p>after</p>"))
    except TooDeep:
        return
    assert article.failures or article.paragraphs[0]["text"] == "x"


@given(st.text(min_size=1))
def test_escaped_ids_are_reversible_and_safe(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    escaped = escape_id(name)
    assert unescape_id(escaped) == name
    assert "/" not in escaped and not escaped.startswith("@")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 400), st.integers(0, 400))
def test_damage_never_crashes(junk: bytes, at: int, cut: int) -> None:
    whole = make(
        '<sec><title>T</title><p>See <xref rid="F1">Fig. 1A</xref>.</p><fig id="F1"><label>1</label></fig></sec>'
    )
    data = whole[:at] + junk + whole[at + cut :]
    try:
        article = parse_article(data)
    except NotAnArticle:
        return
    assert set(article.tables()) >= {"articles", "figures", "mentions"}


def test_file_that_no_strict_parser_reads() -> None:
    """publisher/doi_10.1371_journal.pone.0000010 uses &ast; and others from a DTD that is not there."""
    article = parse_article(corpus_file("publisher/doi_10.1371_journal.pone.0000010/pone.0000010.xml"))
    assert article.article["doi"] == "10.1371/journal.pone.0000010"
    assert len([f for f in article.figures if f["element"] == "fig"]) == 3
    assert all("&" not in (c["text"] or "") for c in article.captions)


@pytest.mark.soak  # compares times, which a busy machine can spoil
@pytest.mark.parametrize(
    "piece",
    [
        '<fig id="F1"><label>Figure {0}</label></fig>',  # one id for all
        "<fig><label>Figure {0}</label></fig>",  # no id at all
        '<sec><fig id="F{0}"/><p>As in Figure {0} (<xref ref-type="fig" rid="F{0}">Fig. {0}</xref>) of</p></sec>',
        '<xref ref-type="fig" rid="F{0}">Figure {0}</xref>, Figure {0}, ',  # pointing nowhere
        '(Figure 1; <xref ref-type="fig" rid="F1">Fig. 1</xref>; Fig. 1<xref ref-type="fig" rid="F1"/>), ',
    ],
)
def test_time_grows_with_length(piece: str) -> None:
    def seconds(n: int) -> float:
        many = "".join(piece.format(i) for i in range(n))
        body = (
            many if piece.startswith(("<fig", "<sec")) else f'<p>{many}</p><fig id="F1"><label>Figure 1</label></fig>'
        )
        start = time.process_time()
        parse(body)
        return time.process_time() - start

    def least(n: int) -> float:
        return min(seconds(n) for _ in range(5))  # the others met the garbage collector, or caches full of other work

    assert least(8000) < 16 * max(least(1000), 0.01)  # eight times the length; 64 times the time, were it quadratic


def test_counts_of_one_article_are_consistent() -> None:
    article = parse("<p>One.</p><p>Two.</p>")
    assert article.article["n_paragraphs"] == len(article.paragraphs) == 2
    assert article.article["n_characters"] == 8


def references(*items: str) -> Article:
    links = '<p>See <xref ref-type="fig" rid="F1">Fig. 1</xref>, <xref ref-type="fig" rid="c2">2</xref>.</p>'
    return parse(
        links + figures(1), tail=f"<back><ref-list><title>References</title>{''.join(items)}</ref-list></back>"
    )


def test_references_are_counted_however_they_are_written() -> None:
    one = '<ref id="B1"><label>1</label><element-citation id="c1">A</element-citation></ref>'
    two = '<ref id="B2"><mixed-citation id="c2">B <bold>1</bold></mixed-citation></ref>'
    rows = references(one, two)
    assert rows.article["n_references"] == 2
    assert rows.failures == []  # the second link points at something, though at no figure
    assert references(one, '<ref id="B3"/>', two).article["n_references"] == 3
    assert references(f"<!-- {one} -->", two).article["n_references"] == 1
    assert references(one, f"<ref-list>{two}</ref-list>").article["n_references"] == 2
    assert references(one, "\n", two, "\n").article["n_references"] == 2
    assert references().article["n_references"] == 0


def test_notes_and_paragraphs_among_references_are_read() -> None:
    one = '<ref id="B1"><mixed-citation id="c2">A</mixed-citation></ref>'
    link = '<p>As in <xref ref-type="fig" rid="F1">Fig. 1</xref>.</p>'
    for other in (link, f'<ref id="B2"><note>{link}</note></ref>'):
        texts = [p["text"] for p in references(one, other, one).paragraphs]
        assert texts == ["See Fig. 1, 2.", "As in Fig. 1."]


def test_damage_within_references_loses_nothing() -> None:
    rows = references('<ref id="B1"><mixed-citation id="c2">A <bold>1</mixed-citation></ref>')
    assert rows.article["n_references"] == 1
    assert [p["text"] for p in rows.paragraphs] == ["See Fig. 1, 2."]
