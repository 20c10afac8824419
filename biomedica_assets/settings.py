"""All configuration in one typed place. Environment variables ``BIOMEDICA_*`` and ``NCBI_*``, ``.env``, or resources.

The defaults run `make demo`: the embedded sample release into ``data/`` of the checkout. What does not belong
here: anything that reads these values at import time; functions get a `Settings` handed to them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SAMPLE_CHUNK_SIZE = 10
DEFAULT_CHUNK_SIZE = 5000
MAX_PIXELS = 50_000_000
"""Larger images are not decoded by default, wherever that is."""


def project_root() -> Path:
    """The checkout this package runs from, else the current folder: what relative paths refer to."""
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "pyproject.toml").exists() else Path.cwd()


class Scope(BaseModel):
    """What a store wants of PMC OA. Empty means everything openly licensed.

    ``pmcids`` holds single ids ("PMC13901") and ranges ("PMC1000000-PMC1999999"). ``pmcids`` decides which rows
    a file list gets; all else is known only after fetching and gives the outcome ``out_of_scope``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pmcids: tuple[str, ...] = ()
    licence_groups: tuple[str, ...] = ()
    years: tuple[int, int] | None = None
    article_types: tuple[str, ...] = ()
    tables_only: bool = Field(False, description="read no images now; they are fetched when this is taken back")
    max_bytes: int | None = Field(None, ge=0, description="start no new chunk once the store holds this many bytes")

    @field_validator("pmcids")
    @classmethod
    def _pmcid_ranges(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            _pmcid_range(value)
        return values

    @field_validator("licence_groups")
    @classmethod
    def _known_groups(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(values) - {"commercial", "noncommercial", "other"}
        if unknown:
            raise ValueError(f"unknown licence groups {sorted(unknown)}; known: commercial, noncommercial, other")
        return values

    @property
    def pmcid_ranges(self) -> list[tuple[int, int]]:
        """Inclusive (first, last) PMCID numbers; empty means all."""
        return [_pmcid_range(value) for value in self.pmcids]


def _pmcid_range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(?:PMC)?(\d+)(?:\s*-\s*(?:PMC)?(\d+))?", text.strip(), re.IGNORECASE)
    if not match:
        raise ValueError(f"{text!r} is neither a PMCID ('PMC13901') nor a range of them ('PMC1000-PMC1999')")
    first, last = int(match[1]), int(match[2] or match[1])
    if last < first:
        raise ValueError(f"the range {text!r} ends before it begins")
    return first, last


Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseSettings):
    """Every setting. Each is read from ``BIOMEDICA_<NAME>``, NCBI's own from ``NCBI_<NAME>``; scope is JSON."""

    model_config = SettingsConfigDict(
        env_prefix="BIOMEDICA_", env_file=".env", extra="ignore", frozen=True, populate_by_name=True
    )

    source: str = Field("", description="fsspec URL of a release (cloud layout or file list + packages); empty: sample")
    store: str = Field("data", description="fsspec URL of the store")
    sample: str = Field("data-sample", description="where the embedded sample release is written when it is the source")
    scope: Scope = Field(default_factory=Scope, description="what the store wants, as JSON")
    chunk_size: int = Field(0, ge=0, description="rows per chunk; 0: 10 for the sample release, else 5000")

    source_anonymous: bool = Field(True, description="sign no request to an s3:// source")
    concurrency: int = Field(32, ge=1, description="articles fetched at the same time within one run")
    window_bytes: int = Field(128 << 20, ge=1, description="bytes fetched ahead of the article being written")
    max_object_bytes: int = Field(256 << 20, ge=1, description="larger objects are not fetched, but listed")
    max_pixels: int = Field(MAX_PIXELS, ge=1, description="larger images are stored, but never decoded")
    shard_bytes: int = Field(1_000_000_000, ge=1, description="an archive shard is closed when it passes this size")

    historical_ocr: bool = Field(False, description="collect scanned back issues (no structure, no figures)")
    max_attempts: int = Field(5, ge=1, description="how often a transient failure is listed again")
    max_failed_share: Share = Field(0.25, description="a chunk whose share of failed rows passes this is not committed")
    failed_floor: int = Field(20, ge=0, description="so many failed rows are always tolerated")

    hold_removed_share: Share = Field(0.001, description="a release that removes more is held")
    hold_changed_share: Share = Field(0.05, description="a release that changes more is held")
    hold_floor: int = Field(100, ge=0, description="so many removed or changed rows never hold a release")

    ncbi_email: str = Field(
        "", validation_alias="NCBI_EMAIL", description="whom NCBI writes to; without it, no PubMed metadata"
    )
    ncbi_api_key: SecretStr = Field(
        SecretStr(""), validation_alias="NCBI_API_KEY", description="10 instead of 3 requests a second to NCBI"
    )
    entrez_url: str = Field("", description="base address of the E-utilities; empty: NCBI's")
    honour_pubmed_retractions: bool = Field(True, description="what PubMed calls retracted leaves the current articles")

    release_sensor_seconds: int = Field(600, ge=1, description="how often the sensor looks for a newer release")
    backfill_cron: str = Field("*/10 * * * *", description="when the scheduled partition backfill looks for work")
    chunks_per_tick: int = Field(40, ge=1, description="chunks that one tick of the schedule launches at most")
    chunks_per_run: int = Field(10, ge=1, description="contiguous chunks in one run")
    recipes: str = Field("", description="folder of recipes of one's own, added to the shipped ones by name")
    taxonomy: str = Field("", description="YAML file of a taxonomy of one's own; empty: the shipped one")
    near_distance: int = Field(6, ge=0, le=16, description="bits of the perceptual hash within which pictures are near")
    exports: str = Field("", description="URL that exports are written to; empty: the store")
    export_shard_bytes: int = Field(500_000_000, ge=1, description="about the size of an export's shard")
    hub_repository: str = Field("", description="owner/prefix of hub repositories for uploads; empty: none")
    hub_endpoint: str = Field("", description="address of the hub; empty: its default")
    text_encoder: str = Field("wordllama", description="encoder of captions and queries, see docs/encoders.md")
    image_encoder: str = Field("efficientnet-lite0", description="encoder of images")
    encoder_weights: str = Field("", description="path or URL of weights, for open_clip encoders")
    encoder_device: str = Field("auto", description="auto, cpu or cuda: where encoders that need torch run")
    panels: str = Field("cuts", description="what finds panels: cuts, or onnx:/path/model.onnx, see docs/panels.md")
    entities: str = Field("offline", description="annotator of texts: offline or gliner:<folder>, see docs/entities.md")
    concept_components: int = Field(50, ge=1, description="axes of variance that the concept space keeps")
    concept_clusters: int = Field(0, ge=0, description="concepts; 0: 4 times the root of the pictures, 2000 at most")
    concept_sample: int = Field(500_000, ge=4, description="pictures that the concept space is fitted on at most")
    concept_seed: int = Field(20, ge=0, description="seed of that sample and of the first centres")
    concept_drift_far: Share = Field(
        0.05, description="share of new pictures that may lie farther off than 99 % did before the check warns"
    )
    concept_drift_spread: float = Field(
        0.25, ge=0, description="nats beyond chance by which new pictures may spread otherwise over the concepts"
    )
    label_precision: Share = Field(0.85, description="share of right decisions that a label's threshold must reach")
    label_examples: int = Field(50_000, ge=10, description="pictures that the label model is fitted on at most")
    label_rules: str = Field("", description="path of one's own rules for weak labels; empty: labels/rules.yaml")
    teacher_url: str = Field("", description="OpenAI-compatible address of a model that labels paragraphs; empty: none")
    teacher_model: str = Field("", description="name of that model, as its endpoint knows it")
    teacher_key: SecretStr = Field(SecretStr(""), description="key of that endpoint")
    teacher_labels: str = Field("", description="CSV or JSONL file of labels of paragraphs, which count before others")
    teacher_sample: int = Field(2000, ge=0, description="paragraphs that the model is asked about")
    teacher_seed: int = Field(20, ge=0, description="seed of that sample")
    teacher_tokens: int = Field(5_000_000, ge=0, description="tokens that one model's answers may cost in all; 0: any")
    teacher_rate: float = Field(0, ge=0, description="requests a minute to the endpoint; 0: no limit")
    teacher_concurrency: int = Field(4, ge=1, le=256, description="requests to it at the same time")
    teacher_timeout: float = Field(60, gt=0, description="seconds after which an unanswered request is sent again")
    teacher_answer_tokens: int = Field(1000, ge=20, description="tokens of one answer at most, thoughts included")
    keep_runs_days: int = Field(60, ge=1, description="Dagster runs and events older than this are pruned")
    garbage_hours: float = Field(24, ge=0, description="an unreferenced file is deleted after this; > longest stream")
    scratch: str = Field("", description="local folder for files being written; empty: the system's")
    alert_webhook: str = Field("", description="URL that gets a JSON digest of failures and unfinished chunks")

    search_article_text: bool = Field(
        True, description="index the paragraphs of articles too, which is most of the search index"
    )
    served_groups: tuple[str, ...] = Field(
        ("commercial", "noncommercial"), description="licence groups that search, streams and the web server may show"
    )
    cache: str = Field("", description="local folder for what can be made again: index copies, thumbnails")
    serve_host: str = Field("127.0.0.1", description="address the web server listens on")
    serve_port: int = Field(8000, ge=0, le=65535, description="port of the web server")
    serve_workers: int = Field(1, ge=1, le=64, description="processes of the web server")
    serve_keys: str = Field("", description="file of hashed API keys (`biomedica key`); with it, callers need a key")
    serve_open: bool = Field(False, description="serve callers without a key, on any address; keys then lift limits")
    serve_names: str = Field("", description="host names to answer for, by comma; empty: loopback's, or any elsewhere")
    serve_origins: str = Field("", description="origins of other sites' pages that may call the API, by comma")
    serve_proxies: str = Field("", description="addresses of reverse proxies whose X-Forwarded-* count, by comma")
    serve_labelling: bool | None = Field(
        None, description="let callers vote; unset: on loopback without a proxy, names or serve_open"
    )
    serve_root: str = Field("", description="path below which a proxy mounts the server, e.g. /figures")
    serve_rate: float = Field(0, ge=0, description="requests a second per caller and process; 0: no limit")
    serve_burst: int = Field(60, ge=1, description="requests that a caller may make at once before the rate counts")
    serve_concurrency: int = Field(32, ge=1, description="requests under way per process; more are answered 503")
    serve_timeout: float = Field(30, gt=0, description="seconds after which an unanswered request is given up")
    serve_body_bytes: int = Field(12 << 20, ge=1024, description="largest request body: an image as query")
    serve_refresh_seconds: float = Field(15, gt=0, description="how often the server looks for news in the store")
    serve_streams: int = Field(16, ge=1, description="streams under way per process; more are answered 503")
    stream_stall_seconds: float = Field(120, gt=0, description="a stream whose reader takes nothing so long is cut")
    stream_cache_bytes: int = Field(1 << 30, ge=0, description="memory per process for planned streams")
    image_cache_seconds: int = Field(86_400, ge=0, description="how long others may keep an image, withdrawn or not")
    thumbnail_bytes: int = Field(1 << 30, ge=0, description="bytes of thumbnails kept in the cache folder")

    @model_validator(mode="after")
    def _absolute_paths(self) -> Self:
        # Run workers may start in another folder than the web server: a relative path must mean one place.
        for name in ("source", "store", "sample"):
            value = getattr(self, name)
            if value and "://" not in value and not Path(value).is_absolute():
                object.__setattr__(self, name, str(project_root() / value))
        return self

    @property
    def uses_sample(self) -> bool:
        """True when the source is the embedded sample release."""
        return not self.source

    @property
    def recipe_folder(self) -> str:
        """Folder of recipes of one's own, or an empty text."""
        return str(project_root() / self.recipes) if self.recipes else ""

    @property
    def taxonomy_file(self) -> str:
        """File of a taxonomy of one's own, or an empty text."""
        return str(project_root() / self.taxonomy) if self.taxonomy else ""

    @property
    def teacher_labels_file(self) -> str:
        """File of labels of paragraphs, or an empty text."""
        return str(project_root() / self.teacher_labels) if self.teacher_labels else ""

    @property
    def source_url(self) -> str:
        return self.source or self.sample

    @property
    def rows_per_chunk(self) -> int:
        return self.chunk_size or (SAMPLE_CHUNK_SIZE if self.uses_sample else DEFAULT_CHUNK_SIZE)


def to_markdown() -> str:
    """`docs/settings.md`: every variable, its default and meaning."""
    lines = [
        "# Settings",
        "",
        "Made from `biomedica_assets/settings.py` by `python -m biomedica_assets.settings > docs/settings.md`.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory else field.default
        shown = (
            ""
            if default in ("", None, SecretStr(""))
            else f"`{json.dumps(default) if isinstance(default, bool | tuple) else default}`"
        )
        variable = field.validation_alias or f"BIOMEDICA_{name.upper()}"
        lines.append(f"| `{variable}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(to_markdown(), end="")
