# ruff: noqa: E501 - an article reads better when each element keeps its line
"""Articles about the files behind figures: renditions, odd hrefs, formats, what is missing or used twice."""

from __future__ import annotations

from biomedica_assets.sample.articles.parts import cite, fig, graphic, picture, research
from biomedica_assets.sample.model import Article, Figure, Mention

SMALL = (360, 270)

RENDITIONS = Article(
    pmcid=90_000_024, topic="bone", journal=1, date=(2021, 6, 17), flavour="jats13",
    shapes=("several_graphics", "alternatives", "colour_and_print", "jpg_and_gif"),
    title="One picture, many files: trabecular bone in detail",
    body=research(
        f"<p>Parts ({cite('F1', 'Figure 1')}), formats ({cite('F2', 'Figure 2')}, {cite('F4', 'Figure 4')}) and colour "
        f"versions ({cite('F3', 'Figure 3')}).</p>"
        + fig("F1", "Figure 1", "<p>Two parts of one figure.</p>", graphic("bas-000024-g001a.jpg"), graphic("bas-000024-g001b.jpg"))
        + fig("F2", "Figure 2", "<p>One image in two formats.</p>",
              "<alternatives>" + graphic("bas-000024-g002.tif", 'specific-use="print"')
              + graphic("bas-000024-g002.jpg", 'specific-use="web"') + "</alternatives>")
        + fig("F3", "Figure 3", "<p>Colour on line, grey in print.</p>",
              "<alternatives>"
              + graphic("BAS_A_000024_F0003_PB.jpg", 'specific-use="print-only" content-type="black-white"')
              + graphic("BAS_A_000024_F0003_OC.jpg", 'specific-use="web-only" content-type="color"')
              + "</alternatives>")
        + fig("F4", "Figure 4", "<p>A figure with a thumbnail.</p>",
              "<alternatives>" + graphic("bas-000024-g004.jpg")
              + graphic("bas-000024-g004.gif", 'content-type="thumbnail"') + "</alternatives>")
    ),
    pictures=(
        picture("bas-000024-g001a.jpg", "electron", size=SMALL), picture("bas-000024-g001b.jpg", "bar_plot", size=SMALL),
        picture("bas-000024-g002.tif", "bone_xray", size=SMALL, seed="f2"), picture("bas-000024-g002.jpg", "bone_xray", size=(480, 360), seed="f2"),
        picture("BAS_A_000024_F0003_PB.jpg", "histology", size=(480, 360), seed="f3", grey=True), picture("BAS_A_000024_F0003_OC.jpg", "histology", size=(480, 360), seed="f3"),
        picture("bas-000024-g004.jpg", "line_plot", seed="f4"), picture("bas-000024-g004.gif", "line_plot", seed="f4", scale=0.16),
    ),
    figures=(
        Figure("F1", "Figure 1", "Two parts of one figure.", ("bas-000024-g001a.jpg", "bas-000024-g001b.jpg")),
        Figure("F2", "Figure 2", "One image in two formats.", ("bas-000024-g002.jpg",)),
        Figure("F3", "Figure 3", "Colour on line, grey in print.", ("BAS_A_000024_F0003_OC.jpg",)),
        Figure("F4", "Figure 4", "A figure with a thumbnail.", ("bas-000024-g004.jpg",)),
    ),
    mentions=tuple(Mention(f"F{n}", text=f"Figure {n}") for n in (1, 2, 4, 3)),
)  # fmt: skip

WRAPPED = Article(
    pmcid=90_000_025, topic="gastro", journal=7, date=(2022, 12, 1), kind="case-report", supplements=("bas-000025-v001.mp4",),
    shapes=("graphic_in_p", "graphic_in_media", "video"),
    title="Endoscopic removal of a foreign body: still frames and a film",
    body=(
        "<sec><title>Case presentation</title>[[case:2]]"
        f"<p>See {cite('F1', 'Figure 1')}, {cite('F2', 'Figure 2')} and {cite('V1', 'Video 1')}.</p>"
        + fig("F1", "Figure 1", "<p>View at entry.</p>", f"<p>{graphic('bas-000025-g001.jpg')}</p>")
        + fig("F2", "Figure 2", "<p>View after removal.</p>",
              '<media mimetype="image" mime-subtype="jpeg" xlink:href="@{bas-000025-g002.jpg}"/>')
        + fig("V1", "Video 1", "<p>The procedure in forty seconds.</p>",
              '<media mimetype="video" mime-subtype="mp4" xlink:href="bas-000025-v001.mp4"/>')
        + "[[case:1]]</sec><sec><title>Discussion</title>[[discussion:3]]</sec>"
    ),
    pictures=(picture("bas-000025-g001.jpg", "endoscopy"), picture("bas-000025-g002.jpg", "endoscopy")),
    figures=(
        Figure("F1", "Figure 1", "View at entry.", ("bas-000025-g001.jpg",)),
        Figure("F2", "Figure 2", "View after removal.", ("bas-000025-g002.jpg",)),
        Figure("V1", "Video 1", "The procedure in forty seconds.", (), kind="video"),
    ),
    mentions=(Mention("F1", text="Figure 1"), Mention("F2", text="Figure 2"), Mention("V1", text="Video 1")),
)  # fmt: skip

ODD_HREFS = Article(
    pmcid=90_000_026, topic="infect", journal=3, date=(2010, 4, 6), flavour="jats10", licence_version="2.5",
    shapes=("href_without_extension", "href_other_case", "href_with_path", "href_info_doi", "href_percent_encoded", "href_ampersand", "href_jpeg_named_jpg"),
    title="File names of a working group, 1999 to 2009",
    body=research(
        "<p>" + ", ".join(cite(f"F{n}", f"Figure {n}") for n in range(1, 8)) + ".</p>"
        + fig("F1", "Figure 1", "<p>Stem only.</p>", '<graphic xlink:href="bas-000026-g001"/>')
        + fig("F2", "Figure 2", "<p>Other case.</p>", '<graphic xlink:href="BAS-000026-G002.JPG"/>')
        + fig("F3", "Figure 3", "<p>With a path.</p>", '<graphic xlink:href="images/large/bas-000026-g003.jpg"/>')
        + fig("F4", "Figure 4", "<p>As a DOI.</p>", '<graphic xlink:href="info:doi/10.5555/journal.bas.000026.g004"/>')
        + fig("F5", "Figure 5", "<p>Percent-encoded.</p>", '<graphic xlink:href="Figure%205.jpg"/>')
        + fig("F6", "Figure 6", "<p>Ampersand.</p>", '<graphic xlink:href="a&amp;b-g006.jpg"/>')
        + fig("F7", "Figure 7", "<p>Another ending.</p>", '<graphic xlink:href="bas-000026-g007.jpeg"/>')
    ),
    pictures=tuple(
        picture(name, kind, size=SMALL)
        for name, kind in (
            ("bas-000026-g001.jpg", "xray"), ("bas-000026-g002.jpg", "ct"), ("bas-000026-g003.jpg", "line_plot"),
            ("journal.bas.000026.g004.jpg", "tree"), ("Figure 5.jpg", "blood_smear"), ("a&b-g006.jpg", "agarose_gel"),
            ("bas-000026-g007.jpg", "alignment"),
        )
    ),
    figures=(
        Figure("F1", "Figure 1", "Stem only.", ("bas-000026-g001.jpg",)),
        Figure("F2", "Figure 2", "Other case.", ("bas-000026-g002.jpg",)),
        Figure("F3", "Figure 3", "With a path.", ("bas-000026-g003.jpg",)),
        Figure("F4", "Figure 4", "As a DOI.", ("journal.bas.000026.g004.jpg",)),
        Figure("F5", "Figure 5", "Percent-encoded.", ("Figure 5.jpg",)),
        Figure("F6", "Figure 6", "Ampersand.", ("a&b-g006.jpg",)),
        Figure("F7", "Figure 7", "Another ending.", ("bas-000026-g007.jpg",)),
    ),
    mentions=tuple(Mention(f"F{n}", text=f"Figure {n}") for n in range(1, 8)),
)  # fmt: skip

FORMATS = Article(
    pmcid=90_000_027, topic="eye", journal=4, date=(2026, 4, 2), shapes=("png", "gif", "tiff", "webp", "jpeg_ending"), pdf=True,
    title="Five file formats, one macula",
    body=research(
        "<p>" + " ".join(cite(f"F{n}", f"Figure {n}") for n in range(1, 6)) + "</p>"
        + "".join(
            fig(f"F{n}", f"Figure {n}", f"<p>Stored as {word}.</p>", graphic(f"bas-000027-g{n:03d}.{ending}"))
            for n, (word, ending) in enumerate((("PNG", "png"), ("GIF", "gif"), ("TIFF", "tif"), ("WebP", "webp"), ("JPEG", "jpeg")), 1)
        )
    ),
    pictures=tuple(
        picture(f"bas-000027-g{n:03d}.{ending}", kind, size=SMALL)
        for n, (kind, ending) in enumerate((("oct", "png"), ("bar_plot", "gif"), ("fundus", "tif"), ("fundus", "webp"), ("oct", "jpeg")), 1)
    ),
    figures=tuple(
        Figure(f"F{n}", f"Figure {n}", f"Stored as {word}.", (f"bas-000027-g{n:03d}.{ending}",))
        for n, (word, ending) in enumerate((("PNG", "png"), ("GIF", "gif"), ("TIFF", "tif"), ("WebP", "webp"), ("JPEG", "jpeg")), 1)
    ),
    mentions=tuple(Mention(f"F{n}", text=f"Figure {n}") for n in range(1, 6)),
)  # fmt: skip

MISSING_FILES = Article(
    pmcid=90_000_028, topic="renal", journal=2, date=(2025, 10, 10), missing=("bas-000028-g002.jpg",),
    shapes=("listed_file_missing", "unlisted_file", "unreferenced_image"), supplements=("bas-000028-s001.pdf",),
    title="Filtration rate after transplantation: incomplete records",
    body=research(
        f"<p>{cite('F1', 'Figure 1')}, {cite('F2', 'Figure 2')} and {cite('F3', 'Figure 3')}.</p>"
        + fig("F1", "Figure 1", "<p>There.</p>", graphic("bas-000028-g001.jpg"))
        + fig("F2", "Figure 2", "<p>Listed, but gone.</p>", graphic("bas-000028-g002.jpg"))
        + fig("F3", "Figure 3", "<p>Never listed.</p>", graphic("bas-000028-g003.jpg"))
    ),
    pictures=(picture("bas-000028-g001.jpg", "ultrasound"), picture("bas-000028-cover.jpg", "device", size=SMALL)),
    figures=(
        Figure("F1", "Figure 1", "There.", ("bas-000028-g001.jpg",)),
        Figure("F2", "Figure 2", "Listed, but gone.", ()),
        Figure("F3", "Figure 3", "Never listed.", ()),
    ),
    mentions=tuple(Mention(f"F{n}", text=f"Figure {n}") for n in (1, 2, 3)),
)  # fmt: skip

ARTICLES = (RENDITIONS, WRAPPED, ODD_HREFS, FORMATS, MISSING_FILES)
