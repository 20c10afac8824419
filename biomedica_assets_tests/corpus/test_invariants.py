"""What must hold for the rows of every article, whatever it says."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from lxml import etree

from biomedica_assets import schemas
from biomedica_assets.jats import Article

from .conftest import Parsed


def _articles(corpus: list[Parsed]) -> list[Article]:
    return [article for parsed in corpus for article in parsed.articles]


def test_ids_are_unique_and_rows_join(corpus: list[Parsed]) -> None:
    assert len({a.article_id for a in _articles(corpus)}) == len(_articles(corpus)) == 532
    for a in _articles(corpus):
        figures = [f["figure_id"] for f in a.figures]
        paragraphs = [p["paragraph_id"] for p in a.paragraphs]
        images = [i["image_id"] for i in a.images]
        for ids in (figures, paragraphs, images):
            assert len(set(ids)) == len(ids), a.article_id
        assert {c["figure_id"] for c in a.captions} <= set(figures), a.article_id
        assert {i["figure_id"] for i in a.images} <= set(figures), a.article_id
        assert {m["figure_id"] for m in a.mentions} <= set(figures), a.article_id
        assert {m["paragraph_id"] for m in a.mentions} <= set(paragraphs), a.article_id
        for key in ("group_id", "parent_id"):
            assert {f[key] for f in a.figures if f.get(key)} <= set(figures), a.article_id
        assert len({c["figure_id"] for c in a.captions}) == len(a.captions), a.article_id


def test_ordinals_count_in_document_order(corpus: list[Parsed]) -> None:
    for a in _articles(corpus):
        for rows in (a.figures, a.paragraphs, a.mentions):
            assert [row["ordinal"] for row in rows] == list(range(len(rows))), a.article_id
        order = {p["paragraph_id"]: p["ordinal"] for p in a.paragraphs}
        places = [(order[m["paragraph_id"]], m["start"]) for m in a.mentions]
        assert places == sorted(places), a.article_id


def test_mentions_stand_where_their_offsets_say(corpus: list[Parsed]) -> None:
    for a in _articles(corpus):
        texts = {p["paragraph_id"]: p["text"] for p in a.paragraphs}
        for m in a.mentions:
            assert texts[m["paragraph_id"]][m["start"] : m["end"]] == m["text"], (a.article_id, m)
            assert all(re.fullmatch(r"[A-Z]+\d*|[A-Z]?\d+|[IVX]+", panel) for panel in m["panels"]), (a.article_id, m)
            assert (m["kind"] == "text") <= (m.get("rid") is None), (a.article_id, m)


def test_no_panel_is_a_supplementary_figure(corpus: list[Parsed]) -> None:
    found = [
        (a.article_id, m["text"], m["panels"])
        for a in _articles(corpus)
        for m in a.mentions
        if any(re.fullmatch(r"S\d+", panel) for panel in m["panels"])
    ]
    assert found == []


def test_caption_text_is_title_and_paragraphs_and_offsets_fit_it(corpus: list[Parsed]) -> None:
    for a in _articles(corpus):
        for c in a.captions:
            text = c.get("text")
            pieces = [c.get("title"), *(c.get("paragraphs") or [])]
            assert text == (" ".join(filter(None, pieces)) or None), c
            for key in ("rich", "math", "sub_captions"):
                for span in c.get(key) or []:
                    assert text is not None and 0 <= span["start"] < span["end"] <= len(text), (key, c)
            for panel in c.get("sub_captions") or []:
                assert text is not None and text[panel["start"] : panel["end"]] == panel["text"], c


def test_text_has_single_spaces_and_null_is_null(corpus: list[Parsed]) -> None:
    def check(value: Any, where: tuple[str, str, str]) -> None:
        assert value != "", where
        if isinstance(value, list):
            for item in value:
                check(item, where)
        elif isinstance(value, dict):
            for item in value.values():
                check(item, where)

    for a in _articles(corpus):
        for row in [*a.paragraphs, *a.captions]:
            text = row.get("text")
            assert text is None or text == " ".join(text.split()), row
        for table, rows in a.tables().items():
            for row in rows:
                for key, value in row.items():
                    # A link without words, beside which none stand (PMC2833239), has nothing to show.
                    if (table, key) != ("mentions", "text"):
                        check(value, (a.article_id, table, key))


def test_graphics_are_counted_and_every_named_file_is_in_some_table(corpus: list[Parsed]) -> None:
    missing: Counter[str] = Counter()
    for parsed in corpus:
        named = set(re.findall(rb"<(?:graphic|inline-graphic)\b[^>]*?\bxlink:href=[\"']([^\"'&]+)[\"']", parsed.data))
        rows = {
            name
            for a in parsed.articles
            for name in [
                *(i["href"] for i in a.images),
                *(h for hrefs in a.renditions.values() for h in hrefs),
                *(o["file_name"] for o in a.objects),
            ]
        }
        missing[parsed.name] = len({n.decode().strip() for n in named} - rows)
        for a in parsed.articles:
            images = Counter(i["figure_id"] for i in a.images)
            assert all(f["n_graphics"] == images[f["figure_id"]] for f in a.figures), a.article_id
    assert +missing == Counter()


def test_rows_fit_the_schemas(corpus: list[Parsed]) -> None:
    for name in schemas.RECORD_TABLES:
        rows = [{**row, "chunk": "c"} for a in _articles(corpus) for row in a.tables()[name]]
        assert schemas.rows_to_table(schemas.CHUNK_TABLES[name], rows).num_rows == len(rows)


# Blocks whose text is not the paragraph's own; what stands between them must be in some paragraph.
_OTHER = {
    *("list", "fig", "fig-group", "table-wrap", "disp-quote", "boxed-text", "def-list", "supplementary-material"),
    *("media", "p", "array", "statement", "graphic", "disp-formula", "inline-formula", "tex-math", "math"),
    *("alternatives", "chem-struct-wrap", "preformat", "code", "fn", "sec", "object-id", "verse-group"),
}
_ELSEWHERE = {
    *("fig", "table-wrap", "ref-list", "ref", "caption", "front", "front-stub", "supplementary-material"),
    *("media", "fn", "table", "contrib-group", "bio"),
}


def test_no_text_of_any_paragraph_is_lost(corpus: list[Parsed], counts: Any) -> None:
    lost, pieces = [], 0
    for parsed in corpus:
        texts = "\n".join(_bare(p["text"]) for a in parsed.articles for p in a.paragraphs)
        for element in counts.parse(parsed.data).iter("{*}p"):
            around = {counts.tag(e) for e in element.iterancestors()}
            if around & _ELSEWHERE or not around & {"body", "back", "floats-group"}:
                continue
            for piece in _own_text(element, counts.tag):
                bare = _bare(piece).strip(".,;")
                pieces += len(bare) >= 8
                if len(bare) >= 8 and bare not in texts:
                    lost.append((parsed.name, bare[:80]))
    assert pieces > 20_000
    assert lost == []


def _bare(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _own_text(paragraph: etree._Element, tag: Any) -> list[str]:
    pieces = [paragraph.text or ""]

    def visit(element: etree._Element) -> None:
        for child in element:
            if tag(child) in _OTHER:
                pieces.append("")
            elif tag(child):
                pieces[-1] += child.text or ""
                visit(child)
            pieces[-1] += child.tail or ""

    visit(paragraph)
    return pieces
