"""The rule table: what a set of statements allows, by which rule, and never more than any of them."""

from __future__ import annotations

import itertools

import pytest

from biomedica_assets.licences import (
    GROUPS,
    RULES,
    article_licence,
    decide_licence,
    image_licence,
    licence_from_words,
    licence_group,
)

BY_WORDS = "distributed under the terms of the Creative Commons Attribution License"


@pytest.mark.parametrize(
    ("pmc", "xml", "words", "code", "group", "rule"),
    [
        ("CC BY", "CC BY", BY_WORDS, "CC BY", "commercial", "agreed"),
        (None, "CC BY", None, "CC BY", "commercial", "one_source"),
        ("CC BY-NC", None, None, "CC BY-NC", "noncommercial", "one_source"),
        ("CC BY", "CC BY-NC", None, "CC BY-NC", "noncommercial", "conflict"),
        ("CC BY-ND", "CC BY-NC", None, "CC BY-NC-ND", "noncommercial", "conflict"),
        ("CC BY", "CC BY", BY_WORDS + " for non-commercial purposes", "CC BY-NC", "noncommercial", "conflict"),
        ("CC0", "CC BY", None, "CC BY", "commercial", "conflict"),
        ("NO-CC CODE", "CC BY", None, "NO-CC CODE", "other", "not_cc"),
        ("TDM", None, None, "TDM", "other", "not_cc"),
        (None, None, "Open access.", None, "other", "unstated"),
    ],
)
def test_article(pmc: str | None, xml: str | None, words: str | None, code: str | None, group: str, rule: str) -> None:
    decision = article_licence(pmc, {"licence_code": xml, "licence_text": words})
    assert (decision.code, decision.group, decision.rule) == (code, group, rule)


def test_the_reason_names_every_source() -> None:
    decision = article_licence("CC BY", {"licence_code": "CC BY", "licence_text": BY_WORDS + ", NonCommercial"})
    assert decision.reason == "PMC says CC BY, the XML says CC BY, its wording says CC BY-NC: CC BY-NC counts"
    assert decide_licence({"PMC": None, "XML": ""}).reason == "no licence stated by PMC or XML"


@pytest.mark.parametrize(
    ("figure", "code", "group", "rule"),
    [
        ({}, "CC BY", "commercial", "article"),
        ({"licence_code": "CC BY"}, "CC BY", "commercial", "figure_agrees"),
        ({"licence_code": "CC BY-NC"}, "CC BY-NC", "noncommercial", "figure_conflict"),
        ({"licence_code": "CC0"}, "CC BY", "commercial", "figure_conflict"),
        ({"third_party_notice": "Reproduced with permission from Elsevier."}, None, "other", "notice"),
        ({"third_party_notice": "Adapted from Li under CC BY-NC 4.0."}, "CC BY-NC", "noncommercial", "notice_licence"),
        (
            {"third_party_notice": "From X, https://creativecommons.org/licenses/by/4.0/"},
            "CC BY",
            "commercial",
            "notice_licence",
        ),
    ],
)
def test_image(figure: dict[str, str], code: str | None, group: str, rule: str) -> None:
    article = {"licence_code": "CC BY", "licence_version": "4.0", "licence_url": "https://x/by/4.0"}
    row = image_licence(figure, article, article_licence("CC BY", article))
    assert (row["licence_code"], row["licence_group"], row["licence_rule"]) == (code, group, rule)
    assert row["third_party_notice"] == figure.get("third_party_notice")
    # The article's URL goes with the article's licence only.
    assert row["licence_url"] == ("https://x/by/4.0" if code == "CC BY" else None)


def test_a_figures_own_licence_never_allows_what_the_article_forbids() -> None:
    licence = decide_licence({"PMC": None})
    row = image_licence({"licence_code": "CC BY", "licence_url": "u", "licence_version": "3.0"}, {}, licence)
    assert (row["licence_code"], row["licence_version"], row["licence_rule"]) == ("CC BY", "3.0", "figure_conflict")


def test_together_forbids_what_either_forbids() -> None:
    def terms(code: str) -> set[str]:
        return set(code.replace("CC0", "").removeprefix("CC ").split("-")) - {""}

    for one, other in itertools.product(GROUPS, repeat=2):
        code = decide_licence({"a": one, "b": other}).code
        assert code in GROUPS
        missing = (terms(one) | terms(other)) - terms(code)
        assert missing <= {"SA"} and (not missing or "ND" in terms(code))
        assert not (licence_group(code) == "commercial" and "noncommercial" in (GROUPS[one], GROUPS[other]))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (
            "Creative Commons Attribution-NoDerivatives License 4.0, which allows for redistribution, commercial and "
            "non-commercial, as long as it is passed along unchanged",
            "CC BY-ND",
        ),
        ("Creative Commons Attribution License, provided it is for non-commercial purposes", "CC BY-NC"),
        ("CC BY: commercial/non-commercial use", "CC BY"),
    ],
)
def test_words_that_allow_both(words: str, code: str) -> None:
    licence = licence_from_words(words)
    assert licence is not None and licence.code == code


def test_every_rule_is_in_the_table_once() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
