"""JATS: the XML bytes of an article to its records.

One lxml parse and one pass give every row that the XML holds: article, paragraphs, figures, captions, mentions,
images (by name), other graphics, and what was wrong with the input. Nothing here reads files or the network, knows
of image bytes (`images/`), of chunks or of where rows are stored.

    article = parse_article(data)
    article.captions[0]["text"], article.mentions[0]["panels"]
"""

from biomedica_assets.jats.article import PARSER_VERSION, Article, parse_article, parse_articles, private_pmcid
from biomedica_assets.jats.document import MalformedXML, NotAnArticle, TooDeep

__all__ = [
    "PARSER_VERSION",
    "Article",
    "MalformedXML",
    "NotAnArticle",
    "TooDeep",
    "parse_article",
    "parse_articles",
    "private_pmcid",
]
