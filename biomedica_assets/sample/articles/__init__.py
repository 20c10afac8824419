"""The sample's articles and the three states of its release.

`shapes` says which article stands for which odd shape; the articles themselves are in the modules beside this one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from biomedica_assets.sample.articles import captions, catalogue, citations, files, fronts, places
from biomedica_assets.sample.model import Article

FIRST: tuple[Article, ...] = (
    *places.ARTICLES, *captions.ARTICLES, *citations.ARTICLES, *files.ARTICLES, *fronts.ARTICLES, *catalogue.ARTICLES,
)  # fmt: skip
"""Articles of the first release."""


def _figure_changed(a: Article) -> Article:
    """The first picture is drawn anew under the same name."""
    return replace(a, pictures=(replace(a.pictures[0], seed=f"corrected/{a.pmcid}"), *a.pictures[1:]))


def _text_changed(a: Article) -> Article:
    """Another title; every file keeps its bytes."""
    return replace(a, title=f"{a.title} (corrected)")


def _licence_changed(a: Article) -> Article:
    return replace(a, licence="CC BY")


def _retracted(a: Article) -> Article:
    notice = 'ext-link-type="doi" xlink:href="10.5555/bas.900054"'
    forward = f'<related-article related-article-type="retraction-forward" {notice}/>'
    return replace(a, retracted=True, outcome="retracted", front=a.front + forward)


CHANGES: dict[int, dict[str, Callable[[Article], Article] | None]] = {
    2: {
        "PMC90000045.1": _figure_changed,
        "PMC90000051.1": _licence_changed,
        "PMC90000053.1": _text_changed,
        "PMC90000054.1": _retracted,
        "PMC90000056.1": None,  # removed; it comes back, unchanged, in release 3
    },
    3: {"PMC90000062.1": _figure_changed, "PMC90000044.1": None},
}
"""What a release does to articles of the release before; None removes. Additions are in `release_articles`."""


def release_articles(number: int) -> list[Article]:
    """Articles of release ``number``, in order of PMCID and version.

    1: the base. 2: three additions, a changed figure, a changed licence, a changed title, a retraction, a removal.
    3: the removed article is back, one of the added ones gets a new figure, a letter is removed.
    """
    state = {a.article_id: a for a in FIRST}
    if number >= 2:
        state |= {a.article_id: a for a in catalogue.ADDED}
    removed: dict[str, Article] = {}
    for step in range(2, number + 1):
        back, removed = removed, {}
        for article_id, change in CHANGES[step].items():
            if change is None:
                removed[article_id] = state.pop(article_id)
            else:
                state[article_id] = change(state[article_id])
        state |= back
    return sorted(state.values(), key=lambda a: (a.pmcid, a.version))


def shapes() -> dict[str, list[str]]:
    """Ids of the articles that stand for each shape, by name of the shape."""
    found: dict[str, list[str]] = defaultdict(list)
    for article in FIRST:
        for shape in article.shapes:
            found[shape].append(article.article_id)
    return dict(found)
