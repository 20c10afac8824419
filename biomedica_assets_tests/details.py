"""Rows of panels, entities and paragraph quality put into a store by hand, as their rooms would commit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biomedica_assets import schemas
from biomedica_assets.store.catalogue import build_generation
from biomedica_assets.store.derived import commit_derived
from biomedica_assets_tests.ingest.releases import World

Box = tuple[int, int, int, int]


def commit_panels(world: World, panels: Mapping[str, Sequence[tuple[Box, str | None, str | None]]]) -> None:
    """(box, letter, own part of the caption) of each panel, by image_id; all other images are one panel without."""
    images = "SELECT i.chunk, i.article_id, i.figure_id, i.image_id, i.sha256, i.width, i.height, c.text"
    rows = world.sql(f"{images} FROM images i LEFT JOIN captions c USING (chunk, figure_id) ORDER BY image_id")
    lines: dict[str, list[dict[str, Any]]] = {}
    for chunk, article_id, figure_id, image_id, sha256, width, height, text in rows:
        given = panels.get(image_id, [((0, 0, width, height), None, None)])
        for ordinal, ((x, y, w, h), letter, caption) in enumerate(given, 1):
            start = text.index(caption) if caption else None
            lines.setdefault(chunk, []).append(
                {
                    **{"chunk": chunk, "article_id": article_id, "figure_id": figure_id, "image_id": image_id},
                    **{"sha256": sha256, "panel_id": f"{image_id}/panel{ordinal}", "ordinal": ordinal},
                    **{"n_panels": len(given), "x": x, "y": y, "width": w, "height": h, "letter": letter},
                    **{"letter_source": letter and "glyph", "letter_probability": letter and 0.9, "probability": 0.8},
                    **{"caption_start": start, "caption_end": start + len(caption) if caption else None},
                    **{"caption": caption, "detector": "by hand", "known": "by hand"},
                }
            )
    _commit(world, schemas.PANELS, lines)


def commit_entities(world: World, entities: Mapping[str, Sequence[tuple[str, str, str | None, str | None]]]) -> None:
    """(words, type, id, preferred name) of what texts name, by figure_id or paragraph_id; where it first stands."""
    captions = dict(world.sql("SELECT figure_id, (chunk, article_id, text) FROM captions"))
    paragraphs = dict(world.sql("SELECT paragraph_id, (chunk, article_id, text) FROM paragraphs"))
    lines: dict[str, list[dict[str, Any]]] = {}
    for text_id, said in entities.items():
        chunk, article_id, text = captions.get(text_id) or paragraphs[text_id]
        for words, kind, identifier, name in said:
            start = text.index(words)
            lines.setdefault(chunk, []).append(
                {
                    **{"chunk": chunk, "article_id": article_id, "text_id": text_id, "text": words, "type": kind},
                    **{"field": "caption" if text_id in captions else "paragraph"},
                    **{"start": start, "end": start + len(words), "ids": [identifier] if identifier else []},
                    **{"name": name, "source": "dictionary", "probability": 0.9, "annotator": "by hand"},
                }
            )
    _commit(world, schemas.ENTITIES, lines)


def commit_quality(world: World, quality: Mapping[str, tuple[str, str, float]]) -> None:
    """(type, domain, score) of paragraphs by their id; all other paragraphs have no row."""
    found = dict(world.sql("SELECT paragraph_id, (chunk, article_id) FROM paragraphs"))
    lines: dict[str, list[dict[str, Any]]] = {}
    for paragraph_id, (kind, domain, score) in quality.items():
        chunk, article_id = found[paragraph_id]
        lines.setdefault(chunk, []).append(
            {
                **{"chunk": chunk, "article_id": article_id, "paragraph_id": paragraph_id, "type": kind},
                **{"domain": domain, "score": score, "type_probability": 0.9, "domain_probability": 0.9},
                **{"source": "model", "model": "by hand"},
            }
        )
    _commit(world, schemas.PARAGRAPH_QUALITY, lines)


def _commit(world: World, table: schemas.Table, lines: Mapping[str, list[dict[str, Any]]]) -> None:
    """One partition for each chunk, empty where there is nothing to say; and the catalogue of it."""
    for (chunk,) in world.sql("SELECT DISTINCT chunk FROM articles ORDER BY 1"):
        commit_derived(world.files, table, chunk, lines.get(chunk, []), inputs={"schema": schemas.SCHEMA_VERSION})
    build_generation(world.files)
