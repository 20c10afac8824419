"""Ids in addresses: what a client may write, checked before anything is looked up.

Ids hold slashes (``PMC11370360.1/F1/1``), and an address has one segment for each part. What does not belong here:
whether there is such a thing (`records`).
"""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple
from urllib.parse import quote

from fastapi import Path

_FIGURE = r"@?(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2}){1,400}"
_ARTICLE = re.compile(r"PMC(\d{1,15})(?:\.(\d{1,6}))?", re.ASCII | re.IGNORECASE)
FIGURE_ID = re.compile(rf"(PMC\d{{1,15}}\.\d{{1,6}})/({_FIGURE})", re.ASCII)
IMAGE_ID = re.compile(rf"{FIGURE_ID.pattern}/(\d{{1,6}})", re.ASCII)

ArticleKey = Annotated[
    str,
    Path(
        pattern=r"^[Pp][Mm][Cc][0-9]{1,15}(\.[0-9]{1,6})?$",
        description="PMCID, or article version (PMCID, dot, version number)",
        examples=["PMC90000001"],
    ),
]
ArticleId = Annotated[
    str,
    Path(
        pattern=r"^PMC[0-9]{1,15}\.[0-9]{1,6}$",
        description="article version: PMCID, dot, version number",
        examples=["PMC90000001.1"],
    ),
]
FigurePart = Annotated[
    str,
    Path(
        pattern=r"^@?([A-Za-z0-9_.~-]|%[0-9A-F]{2}){1,400}$",
        description="the figure's part of its id: the escaped XML id",
        examples=["F1"],
    ),
]
Ordinal = Annotated[int, Path(ge=1, le=999_999, description="1-based position of the image in its figure")]


class ArticleName(NamedTuple):
    """An article as a client names it; ``version`` is null when only the PMCID is given."""

    pmcid: int
    version: int | None


def parse_article(key: str) -> ArticleName:
    """``PMC123`` or ``PMC123.1``. Raises ValueError."""
    match = _ARTICLE.fullmatch(key)
    if not match:
        raise ValueError(f"{key!r} is neither a PMCID (PMC13901) nor an article version (PMC13901.1)")
    return ArticleName(int(match[1]), int(match[2]) if match[2] else None)


def figure_path(figure_id: str) -> str:
    """A figure's or image's id as part of a URL.

    >>> figure_path("PMC1.1/fig%201/2")
    'PMC1.1/fig%25201/2'
    """
    return quote(figure_id, safe="/@~")
