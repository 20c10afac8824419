"""What the article definitions say, written by hand, against what the parser reads from their XML."""

import pytest

from biomedica_assets import jats
from biomedica_assets.images import match_graphics
from biomedica_assets.sample.articles import release_articles
from biomedica_assets.sample.markup import build

ARTICLES = [article for article in release_articles(2) if not article.absent]


def cases():
    return [
        pytest.param(a, layout, id=f"{a.article_id}-{layout}") for a in ARTICLES for layout in ("cloud", "packages")
    ]


@pytest.mark.parametrize(("article", "layout"), cases())
def test_the_parser_reads_what_was_written(article, layout):
    records = jats.parse_article(build(article, layout))
    row = records.article
    assert (row["article_id"], row.get("pmid"), row.get("doi")) == (
        article.article_id,
        article.pmid_number,
        article.doi_text,
    )
    if article.licence != "TDM":
        assert row.get("licence_code") == article.licence
    captions = {caption["figure_id"]: caption for caption in records.captions}
    found = [(f.get("xml_id"), f.get("label"), captions.get(f["figure_id"], {}).get("text")) for f in records.figures]
    assert found == [(f.xml_id, f.label, f.caption) for f in article.figures]
    for figure, truth in zip(records.figures, article.figures, strict=True):
        assert truth.kind in (None, figure["kind"])
        assert truth.group_caption in (None, captions.get(figure["figure_id"], {}).get("group_caption"))
    texts = {p["paragraph_id"]: p["text"] for p in records.paragraphs}
    assert set(article.paragraphs) <= set(texts.values())
    assert [m["figure_id"].split("/", 1)[1] for m in records.mentions] == [m.figure for m in article.mentions]
    for mention, expected in zip(records.mentions, article.mentions, strict=True):
        assert (mention["expanded"], mention["kind"]) == (expected.expanded, expected.kind)
        assert expected.panels is None or tuple(mention["panels"] or ()) == expected.panels
        assert expected.text in (None, mention["text"])
        assert expected.near in texts[mention["paragraph_id"]]


@pytest.mark.parametrize("article", ARTICLES, ids=lambda a: a.article_id)
def test_files_of_figures(article):
    """Of the media that the release lists and has, each figure gets those its definition names, in order."""
    records = jats.parse_article(build(article))
    there = [picture.name for picture in article.pictures] + list(article.supplements)
    if not article.pictures:  # a manuscript for text mining only: no media
        return
    chosen = match_graphics(records, there).files
    found = {figure["figure_id"]: [] for figure in records.figures}
    for image in records.images:
        if name := chosen.get(image["image_id"]):
            found[image["figure_id"]].append(name)
    assert list(found.values()) == [list(figure.files) for figure in article.figures]
