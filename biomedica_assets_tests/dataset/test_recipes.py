"""Recipes: what is accepted, and what is said of what is not."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.dataset.predicates import COLUMNS, PredicateError, from_clause, referenced
from biomedica_assets.dataset.recipes import RecipeError, load_recipes, parse_recipe, read_recipe


def recipe(**keys: str) -> str:
    return "\n".join(f"{key}: {value}" for key, value in ({"name": "r", "description": "d"} | keys).items())


def test_shipped_recipes() -> None:
    recipes = load_recipes()
    assert {"commercial", "noncommercial", "other", "single_image", "microscopy", "histopathology", "dermatology",
            "surgery", "radiology", "concept_balanced", "concept_filtered", "single_panel_pairs",
            "clinical_case_paragraphs", "domain_upsampled"} == set(recipes)  # fmt: skip
    assert [name for name, r in recipes.items() if "other" in r.licence_groups] == ["other"]
    tables = {"images", "duplicates"}
    inactive = {name for name, r in recipes.items() if r.inactive_reason(tables)}
    assert inactive == {
        *("concept_balanced", "concept_filtered", "single_panel_pairs", "clinical_case_paragraphs", "domain_upsampled")
    }
    assert recipes["concept_balanced"].inactive_reason(tables) == (
        "needs the table annotations, which this store does not have yet"
    )


def test_near_duplicates_need_their_table() -> None:
    assert parse_recipe(recipe(dedup="near")).inactive_reason({"images"}) is not None
    assert parse_recipe(recipe(dedup="exact")).inactive_reason({"images"}) is None


@pytest.mark.parametrize(
    ("predicate", "columns"),
    [
        ("width > 100 AND licence_code = 'CC BY'", {"width", "licence_code"}),
        ("regexp_matches(full_caption, 'x|y', 'i')", {"full_caption"}),
        ("len(list_filter(keywords, lambda k: k = 'mri')) > 0", {"keywords"}),
        ("kind IN ('fig', 'scheme') OR n_caption_panels BETWEEN 1 AND 4", {"kind", "n_caption_panels"}),
        ("CASE WHEN width > 5 THEN true ELSE height::DOUBLE > 3.5 END -- why", {"width", "height"}),
    ],
)
def test_columns_of_a_predicate(predicate: str, columns: set[str]) -> None:
    assert referenced(predicate) == columns


@pytest.mark.parametrize(
    ("predicate", "message"),
    [
        ("width >", "not valid SQL"),
        ("true) UNION SELECT 1 WHERE (true", "not one expression"),
        ("true) FROM read_csv('/etc/passwd') WHERE (true", "not one expression"),
        ("true), (false", "not one expression"),
        ("true AS x", "alias|not valid"),
        ("true); DROP TABLE picked; SELECT (true", "not valid SQL"),
        ("kind IN (SELECT kind FROM figures)", "a subquery"),
        ("EXISTS (SELECT 1)", "a subquery"),
        ("sum(width) OVER () > 1", "a window function"),
        ("max(width) > 1", "no function 'max'"),
        ("width > ?", "a parameter"),
        ("*", "a star"),
        ("random() < 0.5", "same answer"),
        ("now() > publication_date", "same answer"),
        ("getenv('HOME') = ''", "getenv"),
        ("widht > 3", "did you mean width"),
        ("list_filter(keywords, lambda k: j = 'x')", "no column 'j'"),
        ("a.title = 'x'", "without a table"),
        ("lenght(kind) > 3", "did you mean length"),
    ],
)
def test_refused_predicates(predicate: str, message: str) -> None:
    with pytest.raises(PredicateError, match=message):
        referenced(predicate)


@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    with contextlib.suppress(PredicateError):
        assert referenced(text) <= set(COLUMNS)


def test_only_needed_tables_are_joined() -> None:
    assert from_clause({"width"}) == "sample_index s"
    assert "captions" in from_clause({"caption"})
    assert "articles" not in from_clause({"caption"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "not a mapping"),
        (": :", "not YAML"),
        ("name: r", "description: Field required"),
        (recipe(name="Big"), "name: "),
        (recipe(wehre="true"), "wehre: no such key; a recipe has name, description"),
        (recipe(where="widht > 2"), "did you mean width"),
        (recipe(licence_groups="[tdm]"), "licence_groups"),
        (recipe(licence_groups="[]"), "licence_groups"),
        (recipe(licence_groups="[other, other]"), "each thing once"),
        (recipe(balance="[{by: journal, max: 0}]"), "balance.0.max"),
        (recipe(balance="[{by: jurnal, max: 2}]"), "did you mean journal"),
        (recipe(fields="[capton]"), "unknown \\['capton'\\]"),
        (recipe(seed="'1'"), "seed: "),
        (recipe(limit="0"), "limit: "),
        (recipe(decontaminate="[{list: x, distance: 40}]"), "distance"),
    ],
)
def test_refused_recipes(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text)


def test_a_table_to_come_leaves_its_columns_open() -> None:
    parse_recipe(recipe(requires="[proteins]", where="disease = 'x'"))
    with pytest.raises(RecipeError):
        parse_recipe(recipe(where="disease = 'x'"))


def test_columns_of_labels_need_the_annotations() -> None:
    labelled = parse_recipe(recipe(where="primary_label = 'x'"))
    assert labelled.needs == ("annotations",)
    assert labelled.inactive_reason({"images"}) == "needs the table annotations, which this store does not have yet"
    assert parse_recipe(recipe(requires="[annotations]", where="concept = 3")).needs == ("annotations",)


def test_hash_is_of_what_counts() -> None:
    plain = parse_recipe(recipe(where="width > 3"))
    assert plain.digest == parse_recipe(recipe(where="width > 3", description="other words")).digest
    assert plain.digest != parse_recipe(recipe(where="width > 4")).digest
    assert plain.digest != parse_recipe(recipe(where="width > 3", seed="1")).digest


def test_folder_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(recipe(name="mine", decontaminate="[{list: held.txt}]"))
    (tmp_path / "commercial.yaml").write_text(recipe(name="commercial", where="width > 5"))
    recipes = load_recipes(tmp_path)
    assert recipes["mine"].decontaminate[0].list == str(tmp_path / "held.txt")
    assert recipes["commercial"].where == "width > 5"
    assert "radiology" in recipes
    # Where the folder lies is no part of what the recipe says.
    assert recipes["mine"].digest == read_recipe(tmp_path / "mine.yaml").digest


def test_folder_errors(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not a folder"):
        load_recipes(tmp_path / "none")
    (tmp_path / "a.yaml").write_text(recipe(name="b"))
    with pytest.raises(RecipeError, match="name the file b"):
        load_recipes(tmp_path)
