"""The statistics report: one HTML file that needs nothing else, and Markdown for the Dagster UI.

What does not belong here: the numbers (`statistics`, `licence_audit`), the words of the card (`card`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import duckdb
import jinja2
from markupsafe import Markup
from PIL import Image

from biomedica_assets.dataset import plots
from biomedica_assets.dataset.statistics import TOP, Statistics
from biomedica_assets.images.probe import UNREADABLE, ImageError, open_image
from biomedica_assets.settings import MAX_PIXELS
from biomedica_assets.store.files import Files
from biomedica_assets.store.shards import read_image

PICTURES = 12
_LARGEST = 3_000_000  # bytes of a file worth reading for a thumbnail
_SIDE = 320  # pixels of a thumbnail's longer side
_CAPTION = 160


@dataclass(frozen=True)
class Chart:
    """A series of the statistics, how it is drawn, and what it says; ``unit`` is what is counted."""

    name: str
    title: str
    unit: str
    upright: bool = False


SECTIONS: dict[str, tuple[Chart, ...]] = {
    "Articles": (
        Chart("articles_per_year", "Articles per year", "articles", True),
        Chart("languages", "Languages", "articles"),
        Chart("journals", "Journals", "articles"),
        Chart("article_types", "Article types", "articles"),
    ),
    "Licences": (
        Chart("articles_by_licence", "Articles by licence", "articles"),
        Chart("images_by_group", "Images by licence group", "images"),
    ),
    "Figures and captions": (
        Chart("figures_per_article", "Figures per article", "articles", True),
        Chart("figure_kinds", "Kinds of figures", "figures"),
        Chart("caption_words", "Words per caption", "captions", True),
        Chart("mentions_per_figure", "Mentions per figure", "figures", True),
    ),
    "Images": (
        Chart("image_long_side", "Longer side in pixels", "images", True),
        Chart("image_kilobytes", "File size in kB", "images", True),
        Chart("media_types", "File formats", "images"),
    ),
    "Subjects": (
        Chart("mesh", "MeSH headings", "articles"),
        Chart("publication_types", "Publication types", "articles"),
    ),
    "Panels, entities, paragraphs": (
        Chart("panels_per_image", "Panels per image", "images", True),
        Chart("entity_types", "Entities by type", "mentions"),
        Chart("entities", "Entities met most", "mentions"),
        Chart("paragraph_types", "Types of paragraphs", "paragraphs"),
        Chart("paragraph_domains", "Domains of paragraphs", "paragraphs"),
        Chart("paragraph_scores", "Educational scores", "paragraphs", True),
    ),
    "What is missing": (
        Chart("outcomes", "Outcome of every listed version", "versions"),
        Chart("failures", "Open failures", "failures"),
        Chart("withdrawals", "Withdrawn versions", "versions"),
    ),
}


@dataclass(frozen=True)
class Picture:
    """A thumbnail with what must stand beside it."""

    jpeg: bytes
    label: str
    caption: str
    article_id: str
    licence: str
    source: str


def environment() -> jinja2.Environment:
    """Templates of this room; a missing value is an error, never an empty place."""
    loader = jinja2.PackageLoader("biomedica_assets.dataset", "templates")
    found = jinja2.Environment(
        loader=loader, autoescape=jinja2.select_autoescape(["html"]), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters |= {"number": _number, "size": _size, "share": _share}
    return found


def render_html(statistics: Statistics, rules: list[dict[str, Any]], pictures: list[Picture]) -> str:
    """The report.

    Args:
        statistics: of `compute_statistics`, with ``state``.
        rules: `LicenceAudit.by_rule`.
        pictures: of `choose_pictures`.
    """
    drawn = {
        chart.name: Markup(plots.svg(_named(statistics["series"][chart.name]), upright=chart.upright, name=chart.name))  # noqa: S704 - our own SVG
        for charts in SECTIONS.values()
        for chart in charts
        if statistics["series"][chart.name]
    }
    shown = [
        (picture, base64.b64encode(picture.jpeg).decode())
        for picture in pictures
    ]  # fmt: skip
    return environment().get_template("report.html").render(
        **statistics, rules=rules, sections=SECTIONS, charts=drawn, pictures=shown
    )  # fmt: skip


def _named(series: list[list[Any]]) -> list[list[Any]]:
    """Without the sum of all others, which would dwarf what is named."""
    return series[:TOP] if series[TOP:] and str(series[-1][0]).endswith(" others") else series


def render_markdown(statistics: Statistics) -> str:
    """Totals, the articles per year as a picture, and the most frequent of each series, for the Dagster UI."""
    years = statistics["series"]["articles_per_year"]
    picture = base64.b64encode(plots.png(years, upright=True)).decode() if years else None
    return environment().get_template("report.md").render(**statistics, sections=SECTIONS, picture=picture)


def choose_pictures(files: Files, catalogue: duckdb.DuckDBPyConnection) -> list[Picture]:
    """Some pictures of different articles, those with the lowest SHA-256: as good as random, and always the same.

    Only what may be shown to anybody: licence group commercial, without a third party's notice.
    """
    query = f"""
        SELECT * FROM samples
        WHERE licence_group = 'commercial' AND third_party_notice IS NULL AND caption IS NOT NULL
          AND bytes < {_LARGEST} AND width > 150 AND height > 150 AND shard IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY pmcid ORDER BY sha256) = 1
        ORDER BY sha256 LIMIT {2 * PICTURES}
    """
    found: list[Picture] = []
    for row in catalogue.sql(query).to_arrow_table().to_pylist():
        if len(found) < PICTURES and (jpeg := _thumbnail(read_image(files, row))):
            found.append(_picture(row, jpeg))
    return found


def _picture(row: Mapping[str, Any], jpeg: bytes) -> Picture:
    words = row["caption"]
    caption = words if len(words) <= _CAPTION else f"{words[: _CAPTION - 1].rsplit(' ', 1)[0]}…"
    source = ", ".join(str(row[name]) for name in ("journal", "publication_year") if row[name] is not None)
    return Picture(jpeg, row["label"] or "", caption, row["article_id"], row["licence_code"], source)


def _thumbnail(data: bytes) -> bytes | None:
    try:
        image, _ = open_image(data, max_pixels=MAX_PIXELS)
        small: Image.Image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        small.thumbnail((_SIDE, _SIDE))
    except (ImageError, *UNREADABLE):
        return None
    white = Image.new("RGB", small.size, "white")
    white.paste(small, mask=small if small.mode == "RGBA" else None)
    out = BytesIO()
    white.save(out, "JPEG", quality=72, optimize=True)
    return out.getvalue()


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _size(value: int) -> str:
    """Bytes in words, decimal units."""
    for size, unit in ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value} bytes"


def _share(part: int, whole: int) -> str:
    """A percentage in words that never says 100 % or 0 % of what is not."""
    if not whole:
        return "none"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.1f} %"
