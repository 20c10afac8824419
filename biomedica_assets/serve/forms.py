"""Records as the API's models: pure functions, used by REST and gallery alike.

What does not belong here: reading records, HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from biomedica_assets.dataset.subsets import Subset
from biomedica_assets.schemas import Row
from biomedica_assets.serve import models
from biomedica_assets.serve.ids import figure_path
from biomedica_assets.serve.records import ArticleRecord, FigureRecord
from biomedica_assets.serve.vocabularies import page

PMC = "https://pmc.ncbi.nlm.nih.gov/articles/PMC{}/"


class Site(NamedTuple):
    """What forms depend on besides the record: licence groups that are shown, and where the server is mounted."""

    served: Callable[[str | None], bool]
    root: str = ""

    def addresses(self, image_id: str, sha256: str | None, width: int | None) -> tuple[str, str | None]:
        """Of an image's bytes, and of its thumbnail when it can have one.

        They carry a part of its hash, so that caches may keep what they get.
        """
        url, version = f"{self.root}/v1/images/{figure_path(image_id)}", f"?v={(sha256 or '')[:16]}"
        return url + version, f"{url}/thumbnail{version}" if width else None


def attribution(article: Mapping[str, Any], figure: Mapping[str, Any], licensed: Mapping[str, Any]) -> str:
    """The line to be printed with a figure: authors, title, journal, links, label, licence, credits.

    The same words as the field ``attribution`` of exports. ``licensed`` is the row whose licence counts: the image's,
    else the article's.
    """
    names = [author["name"] for author in article["authors"] or () if author["name"]]
    year, pmcid = article["publication_year"], article["pmcid"]
    licence = " ".join(filter(None, (licensed[f"licence_{part}"] for part in ("code", "version", "url"))))
    parts = (
        (", ".join(names[:3]) + " et al." if len(names) > 3 else ", ".join(names) + ".") if names else None,
        article["title"] and article["title"].rstrip(".") + ".",
        article["journal"] and article["journal"] + (f" ({year})" if year else "") + ".",
        article["doi"] and f"https://doi.org/{article['doi']}",
        PMC.format(pmcid),
        figure["label"] and figure["label"].rstrip(".") + ".",
        f"Licence: {licence}." if licence else "No licence that allows reuse is known.",
        figure["copyright"] or article["copyright"],
        figure["attribution"],
        licensed.get("third_party_notice"),
    )
    return " ".join(part for part in parts if part)


def licence(row: Row) -> models.Licence:
    """The licence that a row of ``articles`` or ``images`` states."""
    return models.Licence(
        code=row["licence_code"],
        version=row["licence_version"],
        url=row["licence_url"],
        group=row["licence_group"],
        reason=row["licence_reason"],
    )


def image(row: Row, site: Site) -> models.Image:
    """An image."""
    not_served = None
    if not site.served(row["licence_group"]):
        not_served = f"licence group {row['licence_group'] or 'other'} is not served here"
    elif row["shard"] is None or row["bytes"] is None:
        not_served = "the store does not hold its bytes"
    url, thumbnail = (None, None) if not_served else site.addresses(row["image_id"], row["sha256"], row["width"])
    return models.Image(
        url=url,
        thumbnail_url=thumbnail,
        not_served=not_served,
        licence=licence(row),
        **{
            name: row[name]
            for name in (
                *("image_id", "file_name", "media_type", "width", "height", "bytes", "sha256", "perceptual_hash"),
                "third_party_notice",
            )
        },
    )


def head(record: ArticleRecord) -> dict[str, Any]:
    """The fields of `models.ArticleHead`."""
    row = record.row
    return {
        "pmcid": f"PMC{row['pmcid']}",
        "authors": [author["name"] for author in row["authors"] or () if author["name"]],
        "url": PMC.format(row["pmcid"]),
        "licence": licence(row),
        "pubmed_status": record.metadata.get("pubmed_status"),
        **{name: row[name] for name in ("article_id", "pmid", "doi", "title", "journal", "publication_date")},
    }


def figure(record: ArticleRecord, found: FigureRecord, site: Site) -> models.Figure:
    """A figure with everything about it."""
    row, caption = found.row, found.caption
    licensed = found.images[0] if found.images else record.row
    images = {each["image_id"]: image(each, site) for each in found.images}
    return models.Figure(
        caption=caption.get("text"),
        caption_title=caption.get("title"),
        group_caption=caption.get("group_caption"),
        sub_captions=[models.SubCaption(**part) for part in caption.get("sub_captions") or ()],
        styles=[models.Style(**part) for part in caption.get("rich") or ()],
        formulas=[models.Formula(**part) for part in caption.get("math") or ()],
        section_path=row["section_path"] or [],
        attribution=attribution(record.row, row, licensed),
        images=list(images.values()),
        mentions=[mention(each) for each in found.mentions],
        labels=[
            models.ImageLabel(**{name: row[name] for name in models.ImageLabel.model_fields}) for row in found.labels
        ],
        panels=[panel(row, site, images[row["image_id"]].url) for row in found.panels],
        entities=[entity(row) for row in found.entities],
        article=models.ArticleHead(**head(record)),
        **{
            name: row[name]
            for name in (
                *("figure_id", "label", "kind", "place", "alt_text", "long_description", "permissions", "copyright"),
                "third_party_notice",
            )
        },
    )


def panel_version(row: Row) -> str:
    """32 hex digits that name a panel's picture: its image's bytes and its box."""
    return sha256(f"{row['sha256']} {panel_box(row)}".encode()).hexdigest()[:32]


def panel_box(row: Row) -> tuple[int, int, int, int]:
    """Left and upper edge, width and height in the image."""
    return row["x"], row["y"], row["width"], row["height"]


def panel(row: Row, site: Site, image_url: str | None) -> models.Panel:
    """A panel; its crop has an address when its image has one."""
    url, query = f"{site.root}/v1/images/{figure_path(row['image_id'])}", ""
    if image_url:
        query = f"?panel={row['ordinal']}&v={panel_version(row)[:16]}"
    names = models.Panel.model_fields.keys() - {"url", "thumbnail_url"}
    return models.Panel(
        url=url + query if query else None,
        thumbnail_url=f"{url}/thumbnail{query}" if query else None,
        **{name: row[name] for name in names},
    )


def entity(row: Row) -> models.Entity:
    """An entity, linked to its vocabulary."""
    vocabulary, url = (page(row["ids"][0]) if row["ids"] else None) or (None, None)
    names = models.Entity.model_fields.keys() - {"vocabulary", "url"}
    return models.Entity(vocabulary=vocabulary, url=url, **{name: row[name] for name in names})


def mention(row: Row) -> models.Mention:
    """A mention with its paragraph."""
    paragraph = row["paragraph"] or {}
    return models.Mention(
        panels=row["panels"] or [],
        paragraph=paragraph.get("text"),
        section_path=paragraph.get("section_path") or [],
        entities=[entity(each) for each in row["entities"]],
        quality=row["quality"]
        and models.Quality(**{name: row["quality"][name] for name in models.Quality.model_fields}),
        **{name: row[name] for name in ("text", "start", "end", "expanded", "paragraph_id")},
    )


def article(record: ArticleRecord, site: Site) -> models.Article:
    """An article with its figures."""
    row, metadata = record.row, record.metadata
    return models.Article(
        **head(record),
        contributors=[
            models.Author(name=one["name"], orcid=one["orcid"], affiliations=one["affiliations"] or [])
            for one in row["authors"] or ()
        ],
        keywords=_distinct(one["keyword"] for one in row["keywords"] or ()),
        subjects=_distinct(one["subject"] for one in row["subjects"] or ()),
        mesh=[
            models.Mesh(descriptor=one["descriptor"], ui=one["descriptor_ui"], major=bool(one["major"]))
            for one in metadata.get("mesh") or ()
        ],
        publication_types=[one["name"] for one in metadata.get("publication_types") or ()],
        figures=[
            models.FigureSummary(
                caption=each.caption.get("text") or each.caption.get("group_caption"),
                images=[image(one, site) for one in each.images],
                **{name: each.row[name] for name in ("figure_id", "label", "kind")},
            )
            for each in record.figures
        ],
        **{
            name: row[name]
            for name in (
                *("article_type", "language", "subtitle", "abstract", "journal_abbreviation", "publisher", "volume"),
                *("issue", "first_page", "last_page", "citation", "copyright"),
            )
        },
    )


def subset(found: Subset) -> models.Subset:
    """A subset as the API lists it."""
    return models.Subset(
        name=found.name,
        id=found.id,
        description=found.recipe.get("description", ""),
        licence_groups=list(found.recipe.get("licence_groups", ())),
        unit=found.recipe.get("unit", "image"),
        samples=found.samples,
        counts=found.counts,
        steps=[step | {"detail": step.get("detail")} for step in found.steps],
    )


def _distinct(texts: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))
