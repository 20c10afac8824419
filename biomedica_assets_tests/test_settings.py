"""Settings: where they come from, what they refuse, documentation made from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from biomedica_assets import settings
from biomedica_assets.settings import Scope, Settings

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch, tmp_path):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BIOMEDICA_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_documentation_is_up_to_date():
    written = (ROOT / "docs" / "settings.md").read_text()
    assert written == settings.to_markdown(), "run: python -m biomedica_assets.settings > docs/settings.md"


def test_defaults_run_the_demo_from_any_folder():
    defaults = Settings()
    assert defaults.uses_sample
    assert defaults.rows_per_chunk == 10
    assert defaults.store == str(ROOT / "data")
    assert defaults.source_url == str(ROOT / "data-sample")


def test_environment_and_dotenv(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("BIOMEDICA_SOURCE=s3://pmc-oa-opendata\nBIOMEDICA_CONCURRENCY=4\n")
    monkeypatch.setenv("BIOMEDICA_CONCURRENCY", "7")
    monkeypatch.setenv("BIOMEDICA_SCOPE", '{"pmcids": ["PMC7", "pmc10-PMC20"], "years": [2020, 2021]}')
    found = Settings()
    assert found.source_url == "s3://pmc-oa-opendata"
    assert found.rows_per_chunk == 5000
    assert found.concurrency == 7
    assert found.scope.pmcid_ranges == [(7, 7), (10, 20)]
    assert found.scope.years == (2020, 2021)


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ({"pmcids": ["PMX1"]}, "neither a PMCID"),
        ({"pmcids": ["PMC20-PMC10"]}, "ends before it begins"),
        ({"licence_groups": ["free"]}, "unknown licence groups"),
        ({"licences": ["CC BY"]}, "Extra inputs"),
    ],
)
def test_a_wrong_scope_is_refused_with_the_reason(scope, message):
    with pytest.raises(ValidationError, match=message):
        Scope(**scope)
