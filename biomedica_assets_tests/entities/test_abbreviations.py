"""Short forms and where their long forms stand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.entities.abbreviations import abbreviations


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("Patients with hepatocellular carcinoma (HCC) and others.", [("HCC", "hepatocellular carcinoma")]),
        ("The green fluorescent protein (GFP; green) is shown.", [("GFP", "green fluorescent protein")]),
        (
            "HCC, hepatocellular carcinoma; NC, normal control.",
            [("HCC", "hepatocellular carcinoma"), ("NC", "normal control")],
        ),
        ("LV = left ventricle, RV: right ventricle.", [("LV", "left ventricle"), ("RV", "right ventricle")]),
        ("tumor necrosis factor-α (TNF-α)", [("TNF-α", "tumor necrosis factor-α")]),
        ("as seen before (Fig. 2) and (left)", []),
        ("results (ABC) without such words", []),
        ("(A) Mice, (B) rats", []),
    ],
)
def test_pairs(text, pairs):
    assert [(a.short, text[a.start : a.end]) for a in abbreviations(text)] == pairs


@given(st.text(alphabet="aAbB ()-,=;:.1", max_size=60))
def test_long_forms_lie_in_the_text(text):
    for one in abbreviations(text):
        assert 0 <= one.start < one.end <= len(text)
        assert one.short in text
