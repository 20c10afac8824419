"""The teacher that needs no model: stated rules on article type, sections, wording and length, in ``rules.yaml``.

They make the labels that the shipped classifier is learnt from. What does not belong here: labels that somebody gave
(`labels_file`, `llm`).
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from biomedica_assets.quality.labels import Label
from biomedica_assets.quality.paragraphs import Context, Paragraph

SHIPPED = Path(__file__).with_name("rules.yaml")
_NUMBERING = re.compile(r"^[\W\d_]*(?:[ivx]+\.)?\s*")
_WORD = re.compile(r"[^\W\d_]+")
SHORT, LONG = 40, 130
"""Words of a paragraph: with fewer it can hardly teach anything, from more on it may hold an argument."""


class RuleTeacher:
    """Labels paragraphs by the rules; ``id`` begins their hash."""

    def __init__(self, path: Path = SHIPPED) -> None:
        data = path.read_bytes()
        rules: dict[str, Any] = yaml.safe_load(data)
        self.id = f"rules-{rules['version']}-{hashlib.sha256(data).hexdigest()[:8]}"
        self._no_sections = _any(rules["boilerplate"]["sections"])
        self._no_texts = _any(rules["boilerplate"]["texts"])
        self._no_articles = re.compile(rules["boilerplate"]["articles"])
        case, study, review = rules["case"], rules["study"], rules["review"]
        self._case_articles, self._case_titles = re.compile(case["articles"]), re.compile(case["titles"])
        self._case_sections, self._case_needed = re.compile(case["sections"]), int(case["needed"])
        self._case_texts, self._study_texts, self._review_texts = (
            [re.compile(pattern) for pattern in part["texts"]] for part in (case, study, review)
        )
        self._study_sections = re.compile(study["sections"])
        self._review_sections, self._review_articles = re.compile(review["sections"]), re.compile(review["articles"])
        self._domains = {name: re.compile(rf"\b(?:{words})\b") for name, words in rules["domain"].items()}
        self._explains = [re.compile(pattern) for pattern in rules["score"]["explains"]]
        self._tedious = [re.compile(pattern) for pattern in rules["score"]["tedious"]]

    def label(self, paragraph: Paragraph) -> Label:
        """What the rules say of a paragraph."""
        context = paragraph.context or Context()
        text = paragraph.text.lower()
        sections = [_NUMBERING.sub("", title.lower()) for title in context.sections]
        if self._is_boilerplate(text, sections, context):
            return Label(type="other", domain="other", score=1.0)
        kind = self._type(text, sections, context, paragraph.citations)
        domain = self._domain(text, kind, context)
        return Label(type=kind, domain=domain, score=self._score(text, kind, domain, paragraph))

    def _is_boilerplate(self, text: str, sections: list[str], context: Context) -> bool:
        if self._no_articles.search(context.article_type or ""):
            return True
        if any(self._no_sections.search(title) for title in sections):
            return True
        # Long paragraphs say such things in passing.
        return len(text) < 900 and self._no_texts.search(text) is not None

    def _type(self, text: str, sections: list[str], context: Context, citations: int) -> str:
        described = " ".join([context.article_type or "", *context.publication_types]).lower()
        in_case = bool(self._case_articles.search(described) or self._case_titles.search((context.title or "").lower()))
        case = _hits(self._case_texts, text)
        case_section = any(self._case_sections.search(title) for title in sections)
        if case >= self._case_needed or (in_case and (case or case_section)):
            return "clinical_case"
        if in_case and not citations:
            return "clinical_case"
        study, review = _hits(self._study_texts, text), _hits(self._review_texts, text)
        if self._review_articles.search(described):
            return "study" if study > review + 2 and any(map(self._study_sections.search, sections)) else "review"
        if any(map(self._study_sections.search, sections)) or (context.kind == "abstract" and study):
            return "study"
        if any(map(self._review_sections.search, sections)):
            return "study" if study > review else "review"
        if study or review:
            return "study" if study >= review else "review"
        return "other" if len(_WORD.findall(text)) < SHORT else "study"

    def _domain(self, text: str, kind: str, context: Context) -> str:
        if kind == "clinical_case":
            return "clinical"
        title = (context.title or "").lower()
        counts = {
            name: len(pattern.findall(text)) + 2 * len(pattern.findall(title))
            for name, pattern in self._domains.items()
        }
        words = max(len(_WORD.findall(text)), 1)
        if counts["neither"] > max(counts["clinical"], counts["biomedical"]):
            return "other"
        if (counts["clinical"] + counts["biomedical"]) * 40 < words:
            return "other"
        return "clinical" if counts["clinical"] > counts["biomedical"] else "biomedical"

    def _score(self, text: str, kind: str, domain: str, paragraph: Paragraph) -> float:
        words = len(_WORD.findall(text))
        if words < SHORT // 2:
            return 1.0
        explains, tedious = _hits(self._explains, text), _hits(self._tedious, text)
        score = 2.0
        if kind == "review":
            clear = domain != "other" and explains >= 2 and words >= LONG
            score += 1 + clear + (clear and explains >= 4 and paragraph.citations > 1 and not tedious)
        elif kind == "clinical_case":
            score += 1 + (words >= LONG)
        elif kind == "study":
            score += explains >= 3 and words >= SHORT and not tedious and domain != "other"
        score -= words < SHORT
        return min(max(score, 1.0 + (kind != "other")), 5.0)


def _any(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def _hits(patterns: list[re.Pattern[str]], text: str) -> int:
    return sum(pattern.search(text) is not None for pattern in patterns)


@lru_cache(maxsize=1)
def shipped_rules() -> RuleTeacher:
    """The rules that the package has."""
    return RuleTeacher()
