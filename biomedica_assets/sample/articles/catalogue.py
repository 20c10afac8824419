# ruff: noqa: E501 - an article reads better when each element keeps its line
"""The plain articles of the sample: a mix of fields, forms and pictures, as an issue of real journals would have."""

from __future__ import annotations

from biomedica_assets.sample.articles.plain import Fig, plain
from biomedica_assets.sample.model import Article

WIDE = (760, 340)
TALL = (460, 640)
SMALL = (420, 320)

SHARED = "shared/scan"
"""Seed of a picture that several articles show, as reviews reuse a figure."""

ARTICLES: tuple[Article, ...] = (
    plain(90_000_045, "cardio", "Angiographic findings in two brothers with chest pain",
          [Fig("angiogram"), Fig("xray ct", "AB", size=WIDE, columns=2, cite=4), Fig("signal_trace")], form="case", journal=2, date=(2024, 8, 19)),
    plain(90_000_046, "infect", "Chest radiographs in second-line treatment: a reading study",
          [Fig("xray", seed=SHARED), Fig("roc_curve box_plot", "ab", style="(a)", cite=2), Fig("table_image", size=SMALL)], journal=4, date=(2023, 5, 12), where="floats",
          shapes=("duplicate_image",)),
    plain(90_000_047, "infect", "What radiographs can and cannot show: a review",
          [Fig("xray", seed=SHARED), Fig("timeline", format="png")], form="review", journal=1, date=(2025, 3, 3), licence="CC BY-NC-ND", shapes=("duplicate_image",)),
    plain(90_000_048, "infect", "Teaching collection of chest films",
          [Fig("xray", seed=SHARED, scale=0.6), Fig("xray xray xray xray", "ABCD", cite=5)], form="review", journal=4, date=(2025, 9, 1), shapes=("near_duplicate_image",)),
    plain(90_000_049, "gastro", "Mucosal healing after senobiotic LX-4: a randomised trial",
          [Fig("flowchart", format="png"), Fig("endoscopy endoscopy histology histology", "ABCD", cite=4, style="inside"), Fig("bar_plot survival_plot", "AB", size=WIDE, columns=2, cite=2)],
          journal=7, date=(2025, 11, 27), pdf=True),
    plain(90_000_050, "onco", "Tarunib in xenografts: growth, staining and sequence",
          [Fig("line_plot western_blot immunohistochemistry volcano_plot heat_map", "ABCDE", size=TALL, columns=2, cite=5), Fig("pathway"), Fig("flow_cytometry flow_cytometry", size=WIDE)],
          journal=5, date=(2026, 2, 6), where="p"),
    plain(90_000_051, "derm", "Elovimab for plaques: photographs of twelve weeks",
          [Fig("skin_lesion skin_lesion skin_lesion skin_lesion skin_lesion skin_lesion", "abcdef", columns=3, size=(760, 460), cite=5), Fig("violin_plot")],
          form="case", journal=6, date=(2021, 7, 7), licence="CC BY-NC"),
    plain(90_000_052, "eye", "Layers lost: tomography of the ageing macula",
          [Fig("oct fundus", "AB", columns=2, size=WIDE, cite=3), Fig("scatter_plot", inset="histogram"), Fig("fundus", size=SMALL)], journal=4, date=(2020, 9, 16), where="floats"),
    plain(90_000_053, "chem", "Fragments of compound 7b seen by mass spectrometry",
          [Fig("spectrum", inset="chemical_structure"), Fig("chemical_structure", format="png", size=WIDE), Fig("dose_response")], journal=9, date=(2018, 3, 28)),
    plain(90_000_054, "plant", "Mapping rust resistance in wheat",
          [Fig("region_map"), Fig("leaf leaf gene_map", "ABC", cite=5), Fig("alignment"), Fig("landscape", size=SMALL)], journal=10, date=(2017, 12, 13), flavour="jats11"),
    plain(90_000_055, "bone", "Micro-tomography of vertebrae in ovariectomised rats",
          [Fig("ct bone_xray bar_plot", "ABC", cite=5), Fig("table_image", format="png"), Fig("specimen")], journal=0, date=(2008, 11, 4), flavour="nlm30", licence_version="2.0"),
    plain(90_000_056, "renal", "Podocytes in culture: shape, stain and fate",
          [Fig("phase_contrast fluorescence confocal_stack electron", "ABCD", cite=5, style="inside"), Fig("agarose_gel"), Fig("cluster_plot", inset="pie_chart")],
          journal=1, date=(2023, 1, 24), licence="CC BY-SA", licence_version="3.0"),
    plain(90_000_057, "health", "A score that predicts readmission: derivation and maps",
          [Fig("roc_curve forest_plot", "AB", size=WIDE, columns=2, cite=4), Fig("region_map", format="webp"), Fig("device", size=SMALL)], journal=8, date=(2026, 6, 11)),
    plain(90_000_058, "neuro", "Axons regrow along repaired tracts",
          [Fig("confocal_stack mri pet", "ABC", columns=3, size=WIDE, cite=5), Fig("network"), Fig("protein")], journal=3, date=(2022, 8, 8), licence="CC BY-NC-SA"),
    plain(90_000_059, "onco", "Whole-body imaging after tarunib",
          [Fig("pet", size=TALL), Fig("blood_smear culture_plate", "AB", cite=2), Fig("surgery", size=SMALL)], form="case", journal=5, date=(2015, 4, 23), flavour="jats10"),
)  # fmt: skip

ADDED: tuple[Article, ...] = (
    plain(90_000_060, "cardio", "Corvastin at rest and on exertion", [Fig("signal_trace line_plot", "AB", cite=2), Fig("ultrasound")], journal=0, date=(2026, 11, 17)),
    plain(90_000_061, "derm", "Moles under polarised light", [Fig("skin_lesion"), Fig("histology", size=SMALL)], journal=6, date=(2026, 11, 18), licence="CC BY-NC"),
    plain(90_000_062, "gastro", "Barrier genes in remission", [Fig("heat_map"), Fig("violin_plot bar_plot", "AB", cite=3)], journal=7, date=(2026, 11, 18)),
)  # fmt: skip
"""Articles that the second release adds."""
