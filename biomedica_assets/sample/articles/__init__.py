"""The sample's articles and the three states of its release."""

from __future__ import annotations

from biomedica_assets.sample.articles.plain import Fig, plain
from biomedica_assets.sample.model import Article


def release_articles(number: int) -> list[Article]:
    """Articles of release ``number`` (1, 2 or 3), in order of PMCID and version."""
    return [
        plain(
            90_000_001 + i, topic, f"A study of {topic}", [Fig("line_plot"), Fig("bar_plot scatter_plot", "AB", cite=2)]
        )
        for i, topic in enumerate(["renal", "cardio", "onco", "neuro", "infect", "derm", "gastro", "eye", "bone"] * 6)
    ]
