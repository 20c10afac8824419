"""What the REST API answers: typed, named in the field's terms, described for OpenAPI.

What does not belong here: how records become these (`forms`), what search answers (`search_models`).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Licence(_Model):
    """A licence, and its group by NLM: commercial, noncommercial or other."""

    code: str | None = Field(description="as PMC spells it", examples=["CC BY"])
    version: str | None = Field(description="Creative Commons version", examples=["4.0"])
    url: str | None = Field(description="as written", examples=["https://creativecommons.org/licenses/by/4.0/"])
    group: str | None = Field(description="commercial, noncommercial or other", examples=["commercial"])
    reason: str | None = Field(None, description="how it was decided")


class Image(_Model):
    """One collected graphic of a figure."""

    image_id: str = Field(examples=["PMC90000001.1/F1/1"])
    url: str | None = Field(description="path of the original bytes; null when they are not served")
    thumbnail_url: str | None = Field(description="path of a thumbnail; add ?size=160, 320, 640, 1280 or 2048")
    not_served: str | None = Field(None, description="why there is no url")
    file_name: str | None = Field(description="as published")
    media_type: str | None = Field(examples=["image/jpeg"])
    width: int | None = Field(description="pixels")
    height: int | None = Field(description="pixels")
    bytes: int | None = Field(description="size of the original")
    sha256: str | None = Field(description="of the original")
    perceptual_hash: str | None = Field(description="64-bit DCT hash, 16 hex digits")
    licence: Licence
    third_party_notice: str | None = Field(description="words that say it belongs to somebody else")


class Span(_Model):
    """Part of a text by offset: code points, from 0, end exclusive."""

    start: int
    end: int


class SubCaption(Span):
    """The part of a caption about one panel."""

    panel: str
    text: str


class Style(Span):
    """Markup of a caption: italic, bold, sup, sub ..."""

    style: str


class Formula(Span):
    """A formula of a caption."""

    tex: str | None


class Entity(Span):
    """A biomedical entity named in a caption or paragraph; offsets are in that text."""

    text: str = Field(description="as it stands there")
    type: str = Field(description="disease, chemical, gene, species, cell_line, cell_type or tissue")
    ids: list[str] = Field(description="what it means, best first", examples=[["MESH:D001943"]])
    name: str | None = Field(description="preferred name of the first id", examples=["Breast Neoplasms"])
    vocabulary: str | None = Field(description="that the first id is of", examples=["MeSH"])
    url: str | None = Field(description="page of the first id there")
    source: str = Field(description="dictionary, model or both")
    probability: float | None


class Quality(_Model):
    """What a paragraph is worth for training."""

    type: str = Field(description="study, review, clinical_case or other")
    type_probability: float | None
    domain: str = Field(description="clinical, biomedical or other")
    domain_probability: float | None
    score: float = Field(description="educational score, 1 (useless) to 5 (fit for a textbook)")
    source: str = Field(description="teacher or model")


class Panel(_Model):
    """A panel found in an image."""

    panel_id: str = Field(examples=["PMC90000001.1/F1/1/panel2"])
    image_id: str
    ordinal: int = Field(description="1-based, in reading order")
    x: int = Field(description="left edge in the image, pixels")
    y: int = Field(description="upper edge in the image, pixels")
    width: int
    height: int
    letter: str | None
    letter_source: str | None = Field(description="glyph (read in the picture), order or file")
    letter_probability: float | None
    probability: float | None = Field(description="of the box being a panel")
    caption: str | None = Field(description="its own part of the caption")
    url: str | None = Field(description="path of the panel alone, cut from the image; null when that is not served")
    thumbnail_url: str | None = Field(description="path of a thumbnail of it; add &size=160, 320, 640, 1280 or 2048")
    detector: str


class Mention(_Model):
    """A citation of a figure in the text, with its paragraph."""

    text: str = Field(description="as it stands in the paragraph", examples=["Figure 1B"])
    start: int = Field(description="offset in paragraph")
    end: int = Field(description="offset in paragraph, exclusive")
    panels: list[str] = Field(description="panels it names")
    expanded: bool = Field(description="the figure stands inside a written range")
    paragraph_id: str
    paragraph: str | None = Field(description="text of the paragraph")
    section_path: list[str] = Field(description="titles of its sections, outermost first")
    entities: list[Entity] = Field(description="named in the paragraph; none until it is annotated")
    quality: Quality | None = Field(description="of the paragraph; null until it is rated")


class ArticleHead(_Model):
    """What a figure says of its article."""

    article_id: str = Field(examples=["PMC90000001.1"])
    pmcid: str = Field(examples=["PMC90000001"])
    pmid: int | None
    doi: str | None
    title: str | None
    journal: str | None
    publication_date: str | None = Field(description="ISO 8601, cut to its precision", examples=["2021-04"])
    authors: list[str]
    url: str = Field(description="the article on PMC")
    licence: Licence
    pubmed_status: str | None = Field(None, description="concern: PubMed knows an expression of concern")


class ImageLabel(_Model):
    """A label that holds of an image, and who says so."""

    image_id: str = Field(examples=["PMC90000001.1/F1/1"])
    axis: str = Field(examples=["modality"])
    label: str = Field(examples=["radiography"])
    probability: float | None
    source: str = Field(description="review, classifier, concept, caption_rule or figure_kind")
    model: str = Field(description="label model, consensus of votes or version of the rules")
    taxonomy: str


class Figure(_Model):
    """A figure with everything that is known of it."""

    figure_id: str = Field(examples=["PMC90000001.1/F1"])
    label: str | None = Field(examples=["Figure 1"])
    kind: str
    place: str | None
    section_path: list[str]
    caption: str | None = Field(description="title and paragraphs, plain text")
    caption_title: str | None
    group_caption: str | None = Field(description="caption of the group of figures it belongs to")
    sub_captions: list[SubCaption]
    styles: list[Style] = Field(description="markup of the caption")
    formulas: list[Formula] = Field(description="formulas of the caption")
    alt_text: str | None
    long_description: str | None
    permissions: str | None = Field(description="the figure's own permissions, in words")
    copyright: str | None
    third_party_notice: str | None
    attribution: str = Field(description="line to be printed with the figure wherever it is used")
    images: list[Image]
    mentions: list[Mention]
    labels: list[ImageLabel] = Field(description="labels that hold of its images; none until they are annotated")
    panels: list[Panel] = Field(description="panels found in its images; none until they are looked for")
    entities: list[Entity] = Field(description="entities in its caption; none until it is annotated")
    article: ArticleHead


class FigureSummary(_Model):
    """A figure in the list of its article's figures."""

    figure_id: str
    label: str | None
    kind: str
    caption: str | None
    images: list[Image]


class Author(_Model):
    """An author, or a group of authors."""

    name: str | None
    orcid: str | None
    affiliations: list[str]


class Mesh(_Model):
    """A MeSH heading of PubMed's record."""

    descriptor: str
    ui: str | None
    major: bool


class Article(ArticleHead):
    """An article with its figures."""

    article_type: str | None
    language: str | None
    subtitle: str | None
    abstract: str | None
    journal_abbreviation: str | None
    publisher: str | None
    volume: str | None
    issue: str | None
    first_page: str | None
    last_page: str | None
    citation: str | None
    copyright: str | None
    contributors: list[Author]
    keywords: list[str]
    subjects: list[str]
    mesh: list[Mesh]
    publication_types: list[str]
    figures: list[FigureSummary]


class Subset(_Model):
    """A named selection of images, panels or paragraphs, made by a recipe."""

    name: str = Field(examples=["commercial"])
    id: str = Field(description="names this state of it")
    description: str
    licence_groups: list[str]
    unit: str = Field(description="what a sample is: image, panel or paragraph", examples=["image"])
    samples: int
    counts: dict[str, int] = Field(description="samples and bytes by licence group")
    steps: list[dict[str, Any]] = Field(description="samples before and after each step of the recipe")


class Subsets(_Model):
    """All subsets."""

    subsets: list[Subset]


class Label(_Model):
    """A label and how many images bear it."""

    label: str
    images: int


class Labels(_Model):
    """All labels; none until images are annotated."""

    labels: list[Label]


class Statistics(_Model):
    """The dataset in numbers, as computed with its newest catalogue."""

    state: dict[str, Any] = Field(description="release and generation they describe")
    totals: dict[str, int | None]
    series: dict[str, list[tuple[str, int]]] = Field(description="label and count, most frequent first")
    spread: dict[str, Any] = Field(description="quantiles and mean")
    quantiles: list[float]


class Health(_Model):
    """Whether the server lives, and whether it can answer."""

    status: str = Field(examples=["ready"])
    catalogue: str | None = Field(None, description="newest release in the catalogue that is served")
    search: bool | None = Field(None, description="a search index is open")
