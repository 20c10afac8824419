"""Rules: what they say of paragraphs whose type, domain and score are plain."""

from __future__ import annotations

import pytest

from biomedica_assets.quality.paragraphs import Context, Paragraph
from biomedica_assets.quality.rules import shipped_rules

LONG = " The findings were discussed with the family, and he was followed for two years without any new complaint." * 8


@pytest.mark.parametrize(
    ("text", "context", "label"),
    [
        ("The authors declare no conflict of interest.", Context(), ("other", "other", 1)),
        ("This work was supported by a grant of the ministry of health.", None, ("other", "other", 1)),
        ("J.D. and K.L. wrote it.", Context(sections=("Author contributions",)), ("other", "other", 1)),
        ("Not applicable.", Context(sections=("Consent",)), ("other", "other", 1)),
        ("In the published article there was an error.", Context(article_type="correction"), ("other", "other", 1)),
        (
            "A 45-year-old man presented with chest pain. He was admitted and treated with heparin." + LONG,
            Context(sections=("Case presentation",), article_type="case-report"),
            ("clinical_case", "clinical", 4),
        ),
        (
            "An 8-week-old male mice cohort was treated with the drug; liver tissue and serum were collected and "
            "gene expression was measured by PCR in all of the animals at the end of the treatment period, and "
            "proteins of the liver cells were detected by western blot.",
            Context(sections=("Methods",)),
            ("study", "biomedical", 2),
        ),
        (
            "Insulin is a peptide hormone that is produced by beta cells of the pancreas and is known to regulate "
            "glucose metabolism. Several studies have shown that insulin signalling plays a central role in cells, "
            "because receptors of the kinase family lead to phosphorylation of many proteins, including those of "
            "the mitochondria.",
            Context(sections=("Introduction",)),
            ("review", "biomedical", 3),
        ),
        (
            "We compared mortality of patients in both groups; 30-day mortality was significantly lower with "
            "treatment (p < 0.001, 95% CI 0.4-0.8), and hospital discharge was earlier in the intervention group of "
            "patients than in the placebo group, whose complications were more frequent.",
            Context(sections=("Results",)),
            ("study", "clinical", 2),
        ),
        (
            "The flour was stored for a year and the yield of grain was measured twice; farmers told us of "
            "their prices, of trade and of the costs of energy, which rose in all villages where interviews were held "
            "during the harvest.",
            Context(sections=("Results",)),
            ("study", "other", 2),
        ),
    ],
)
def test_plain_paragraphs(text, context, label):
    found = shipped_rules().label(Paragraph(text, context))
    assert (found.type, found.domain, found.score) == label


def test_a_label_is_by_rules_of_a_known_version():
    assert shipped_rules().id.startswith("rules-1-")
