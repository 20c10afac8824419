# ruff: noqa: E501 - an article reads better when each element keeps its line
"""Articles about where figures stand: in paragraphs, floats, back matter, boxes, abstracts, sub-articles, groups."""

from __future__ import annotations

from biomedica_assets.sample.articles.parts import cite, fig, graphic, picture, research
from biomedica_assets.sample.model import Article, Figure, Mention

SMALL = (360, 270)

IN_PARAGRAPH = Article(
    pmcid=90_000_001, topic="renal", journal=0, date=(2024, 3, 5), shapes=("fig_in_p", "fig_in_list_item"),
    title="Podocyte stress precedes albuminuria in a mouse model",
    body=research(
        f"<p>Before the picture, {cite('F1', 'Figure 1')} is cited."
        + fig("F1", "Figure 1", "<title>Glomeruli at week eight.</title><p>Scale bar, 50 um.</p>", graphic("bas-000001-g001.jpg"))
        + "After the picture the sentence goes on.</p>"
        "<p>Two steps were taken:</p><list list-type=\"order\"><list-item><p>The cortex was sampled."
        + fig("F2", "Figure 2", "<p>Sampling of the cortex.</p>", graphic("bas-000001-g002.jpg"))
        + f"</p></list-item><list-item><p>Samples were pooled, see {cite('F2', 'Figure 2')}.</p></list-item></list>"
    ),
    pictures=(picture("bas-000001-g001.jpg", "histology"), picture("bas-000001-g002.jpg", "anatomy")),
    figures=(
        Figure("F1", "Figure 1", "Glomeruli at week eight. Scale bar, 50 um.", ("bas-000001-g001.jpg",)),
        Figure("F2", "Figure 2", "Sampling of the cortex.", ("bas-000001-g002.jpg",)),
    ),
    mentions=(Mention("F1", text="Figure 1", near="Before the picture"), Mention("F2", text="Figure 2", near="pooled")),
    paragraphs=("Before the picture, Figure 1 is cited. After the picture the sentence goes on.", "The cortex was sampled."),
)  # fmt: skip

FLOATS = Article(
    pmcid=90_000_002, topic="cardio", journal=1, date=(2021, 11, 30), shapes=("floats_group",), pdf=True,
    title="Titin stiffness and exercise capacity in the ageing heart",
    body=research(f"<p>Mass fell in both arms ({cite('F1', 'Fig. 1')}), pressure did not ({cite('F2', 'Fig. 2')}).</p>"),
    floats=fig("F1", "Fig. 1", "<p>Left ventricular mass by arm.</p>", graphic("bas-000002-g001.jpg"))
    + fig("F2", "Fig. 2", "<title>Pressure</title><p>Mean of three readings.</p>", graphic("bas-000002-g002.jpg")),
    pictures=(picture("bas-000002-g001.jpg", "box_plot"), picture("bas-000002-g002.jpg", "signal_trace")),
    figures=(
        Figure("F1", "Fig. 1", "Left ventricular mass by arm.", ("bas-000002-g001.jpg",)),
        Figure("F2", "Fig. 2", "Pressure Mean of three readings.", ("bas-000002-g002.jpg",)),
    ),
    mentions=(Mention("F1", text="Fig. 1"), Mention("F2", text="Fig. 2")),
)  # fmt: skip

FLOATS_WRAP = Article(
    pmcid=90_000_003, topic="infect", journal=3, date=(1998, 2), flavour="nlm23", pmid=None, licence_version="2.0",
    shapes=("floats_wrap", "nlm23", "date_without_day", "pmid_null"),
    title="Granuloma necrosis in guinea pigs: an early account",
    body=research(f"<p>Necrosis was central ({cite('fig1', 'Fig. 1')}).</p>"),
    floats=fig("fig1", "Figure 1.", "<p>Section of a granuloma, day 28.</p>", graphic("bas-000003-1.jpg")),
    pictures=(picture("bas-000003-1.jpg", "histology"),),
    figures=(Figure("fig1", "Figure 1.", "Section of a granuloma, day 28.", ("bas-000003-1.jpg",)),),
    mentions=(Mention("fig1", text="Fig. 1", near="Necrosis was central"),),
)  # fmt: skip

BACK = Article(
    pmcid=90_000_004, topic="health", journal=8, date=(2019, 6, 1), shapes=("fig_in_back", "fig_in_app"),
    title="Nurse-led follow-up after discharge: protocol and first year",
    body=research(f"<p>The area served is drawn in {cite('A1', 'Figure A1')}; the flow is in {cite('B1', 'Figure 1')}.</p>"),
    back="<sec><title>Supporting figures</title>"
    + fig("B1", "Figure 1", "<p>Flow of referrals.</p>", graphic("bas-000004-g001.png"))
    + "</sec><app-group><app id=\"app1\"><title>Appendix A</title><p>The map was drawn by the authors.</p>"
    + fig("A1", "Figure A1", "<title>Area served.</title><p>Dots are practices.</p>", graphic("bas-000004-g002.png"))
    + "</app></app-group>",
    pictures=(picture("bas-000004-g001.png", "flowchart"), picture("bas-000004-g002.png", "region_map")),
    figures=(
        Figure("B1", "Figure 1", "Flow of referrals.", ("bas-000004-g001.png",)),
        Figure("A1", "Figure A1", "Area served. Dots are practices.", ("bas-000004-g002.png",)),
    ),
    mentions=(Mention("A1", text="Figure A1"), Mention("B1", text="Figure 1")),
)  # fmt: skip

BOXED = Article(
    pmcid=90_000_005, topic="derm", journal=6, date=(2022, 9, 14), kind="review-article", shapes=("fig_in_boxed_text",),
    title="How to photograph plaques: a practical review",
    body=(
        "<sec><title>Background</title>[[review:3]]</sec><sec><title>Practice</title>[[review:2]]"
        '<boxed-text id="box1"><label>Box 1</label><caption><title>Checklist</title></caption>'
        f"<p>Use the same light every time, as in {cite('F1', 'Figure 1')}.</p>"
        + fig("F1", "Figure 1", "<p>Plaque under standard light.</p>", graphic("bas-000005-g001.jpg"))
        + "</boxed-text>[[review:2]]</sec>"
    ),
    pictures=(picture("bas-000005-g001.jpg", "skin_lesion"),),
    figures=(Figure("F1", "Figure 1", "Plaque under standard light.", ("bas-000005-g001.jpg",), kind=None),),
    mentions=(Mention("F1", text="Figure 1", near="same light"),),
)  # fmt: skip

GRAPHICAL_ABSTRACT = Article(
    pmcid=90_000_006, topic="chem", journal=9, date=(2025, 1, 20), shapes=("graphical_abstract",),
    title="Bile acid export as a target: synthesis and first results of compound 7b",
    front='<abstract abstract-type="graphical"><title>Graphical abstract</title><p>'
    + fig("undfig1", None, None, graphic("bas-000006-ga1.jpg")) + "</p></abstract>",
    body=research(
        f"<p>The yield was 61% ({cite('F1', 'Fig. 1')}).</p>"
        + fig("F1", "Fig. 1", "<p>Route to compound 7b.</p>", graphic("bas-000006-g001.jpg"))
    ),
    pictures=(
        picture("bas-000006-ga1.jpg", "pathway chemical_structure", columns=2, size=(700, 300)),
        picture("bas-000006-g001.jpg", "chemical_structure"),
    ),
    figures=(
        Figure("undfig1", None, None, ("bas-000006-ga1.jpg",), kind="graphical_abstract"),
        Figure("F1", "Fig. 1", "Route to compound 7b.", ("bas-000006-g001.jpg",)),
    ),
    mentions=(Mention("F1", text="Fig. 1"),),
)  # fmt: skip

SUB_ARTICLE = Article(
    pmcid=90_000_007, topic="neuro", journal=3, date=(2023, 4, 11), shapes=("sub_article", "response", "same_label_twice"),
    title="Remyelination needs a second signal",
    body=research(
        f"<p>Signal rose twofold ({cite('F1', 'Figure 1')}).</p>"
        + fig("F1", "Figure 1", "<p>Myelin after four weeks.</p>", graphic("bas-000007-g001.jpg"))
    ),
    after=(
        '<sub-article article-type="decision-letter" id="sa1"><front-stub><title-group><article-title>Decision letter'
        "</article-title></title-group></front-stub><body><p>The reviewers ask for controls.</p></body></sub-article>"
        '<sub-article article-type="reply" id="sa2"><front-stub><title-group><article-title>Author response'
        f"</article-title></title-group></front-stub><body><p>Controls are in {cite('sa2fig1', 'Author response image 1')}."
        "</p>" + fig("sa2fig1", "Author response image 1.", None, graphic("bas-000007-sa2-fig1.jpg")) + "</body></sub-article>"
        '<response id="r1" response-type="discussion"><front-stub><title-group><article-title>A comment</article-title>'
        f"</title-group></front-stub><body><p>Our own data ({cite('r1f1', 'Figure 1')}) agree.</p>"
        + fig("r1f1", "Figure 1", "<p>Independent replication.</p>", graphic("bas-000007-r1-g001.jpg"))
        + "</body></response>"
    ),
    pictures=(
        picture("bas-000007-g001.jpg", "confocal_stack"),
        picture("bas-000007-sa2-fig1.jpg", "bar_plot", size=SMALL),
        picture("bas-000007-r1-g001.jpg", "line_plot", size=SMALL),
    ),
    figures=(
        Figure("F1", "Figure 1", "Myelin after four weeks.", ("bas-000007-g001.jpg",)),
        Figure("sa2fig1", "Author response image 1.", None, ("bas-000007-sa2-fig1.jpg",)),
        Figure("r1f1", "Figure 1", "Independent replication.", ("bas-000007-r1-g001.jpg",)),
    ),
    mentions=(
        Mention("F1", text="Figure 1"),
        Mention("sa2fig1", text="Author response image 1"),
        Mention("r1f1", text="Figure 1", near="Our own data"),
    ),
)  # fmt: skip

SUPPLEMENTARY = Article(
    pmcid=90_000_008, topic="gastro", journal=7, date=(2020, 12, 8), shapes=("supplementary_figure", "supplement_files"),
    title="Barrier repair after colitis: data and code",
    body=research(
        f"<p>Healing was complete ({cite('F1', 'Figure 1')}, {cite('S1', 'Figure S1')}).</p>"
        + fig("F1", "Figure 1", "<p>Endoscopic healing.</p>", graphic("bas-000008-g001.jpg"))
        + '<sec sec-type="supplementary-material"><title>Supporting information</title>'
        '<supplementary-material content-type="local-data" id="S1"><label>Figure S1</label><caption><title>Permeability.'
        f"</title><p>All animals.</p></caption>{graphic('bas-000008-s001.jpg')}</supplementary-material>"
        '<supplementary-material content-type="local-data" id="S2"><label>Data S1</label><caption><p>Raw data.</p></caption>'
        '<media xlink:href="bas-000008-s002.xlsx"/></supplementary-material></sec>'
    ),
    pictures=(picture("bas-000008-g001.jpg", "endoscopy"), picture("bas-000008-s001.jpg", "scatter_plot", size=SMALL)),
    supplements=("bas-000008-s002.xlsx",),
    figures=(
        Figure("F1", "Figure 1", "Endoscopic healing.", ("bas-000008-g001.jpg",)),
        Figure("S1", "Figure S1", "Permeability. All animals.", ("bas-000008-s001.jpg",), kind="supplementary"),
    ),
    mentions=(Mention("F1", text="Figure 1"), Mention("S1", text="Figure S1")),
)  # fmt: skip

_SUPPLEMENT_NAMES = tuple(f"bas-000009-fig1-s{n}.jpg" for n in range(1, 12))

FIGURE_SUPPLEMENTS = Article(
    pmcid=90_000_009, topic="onco", journal=3, date=(2023, 8, 2), flavour="jats12",
    shapes=("fig_group_supplements", "caption_object_id", "caption_source_data", "supplement_range", "doi_boilerplate"),
    title="Stromal cells shape the response to tarunib",
    body=research(
        f"<p>Cells cluster by origin ({cite('fig1', 'Figure 1A–C')}), and every patient is shown in "
        f"{cite('fig1s6', 'Figure 1—figure supplements 6')}–{cite('fig1s11', '11')}.</p>"
        '<fig-group>'
        + fig(
            "fig1", "Figure 1.",
            '<title>Clusters of stromal cells.</title><p>(<bold>A</bold>) All cells. (<bold>B</bold>) Fibroblasts. '
            '(<bold>C</bold>) Marker genes.</p><p><bold>DOI:</bold> <ext-link ext-link-type="doi" '
            'xlink:href="10.5555/bas.000009.003">http://dx.doi.org/10.5555/bas.000009.003</ext-link></p><p>'
            '<supplementary-material id="SD1-data"><object-id pub-id-type="doi">10.5555/bas.000009.004</object-id>'
            "<label>Figure 1—source data 1.</label><caption><title>Counts per cluster.</title></caption>"
            '<media mime-subtype="csv" mimetype="text" xlink:href="bas-000009-fig1-data1.csv"/></supplementary-material></p>',
            '<object-id pub-id-type="doi">10.5555/bas.000009.003</object-id>', graphic("bas-000009-fig1.jpg"),
        )
        + "".join(
            fig(f"fig1s{n}", f"Figure 1—figure supplement {n}.", f"<title>Patient {n}.</title>",
                graphic(_SUPPLEMENT_NAMES[n - 1]), attributes='specific-use="child-fig"')
            for n in range(1, 12)
        )
        + "</fig-group>"
    ),
    pictures=(
        picture("bas-000009-fig1.jpg", "cluster_plot cluster_plot heat_map", "ABC", size=(720, 520)),
        *(picture(name, "cluster_plot", size=(220, 180)) for name in _SUPPLEMENT_NAMES),
    ),
    supplements=("bas-000009-fig1-data1.csv",),
    figures=(
        Figure(None, None, None, (), kind="fig_group"),  # no caption of its own: it only holds its members together
        Figure("fig1", "Figure 1.", "Clusters of stromal cells. (A) All cells. (B) Fibroblasts. (C) Marker genes.",
               ("bas-000009-fig1.jpg",), kind=None),
        *(Figure(f"fig1s{n}", f"Figure 1—figure supplement {n}.", f"Patient {n}.", (_SUPPLEMENT_NAMES[n - 1],), kind=None)
          for n in range(1, 12)),
    ),
    mentions=(
        Mention("fig1", ("A", "B", "C"), "Figure 1A–C"),
        Mention("fig1s6", text="Figure 1—figure supplements 6"),
        *(Mention(f"fig1s{n}", expanded=True) for n in range(7, 11)),
        Mention("fig1s11"),
    ),
)  # fmt: skip

GROUP = Article(
    pmcid=90_000_010, topic="eye", journal=4, date=(2018, 5, 5), flavour="jats10", shapes=("fig_group_caption", "nested_fig"),
    title="Fundus photographs and tomograms of geographic atrophy",
    body=research(
        f"<p>Members are cited alone ({cite('F2b', 'Figure 2b')}) or together ({cite('FG2', 'Figure 2')}).</p>"
        '<fig-group id="FG2"><label>Figure 2</label><caption><title>Right eye over time.</title><p>Same camera.</p></caption>'
        + fig("F2a", "(a)", "<p>First visit.</p>", graphic("bas-000010-g002a.jpg"))
        + fig("F2b", "(b)", "<p>Second visit.</p>", graphic("bas-000010-g002b.jpg"))
        + "</fig-group>"
        f"<p>Nested figures follow ({cite('F3', 'Figure 3')}).</p>"
        + fig(
            "F3", "Figure 3", "<p>Layers of the macula.</p>",
            fig("F3i", "Figure 3(i)", "<p>Left eye.</p>", graphic("bas-000010-g003i.jpg")),
            fig("F3ii", "Figure 3(ii)", "<p>Right eye.</p>", graphic("bas-000010-g003ii.jpg")),
        )
    ),
    pictures=(
        picture("bas-000010-g002a.jpg", "fundus", size=SMALL), picture("bas-000010-g002b.jpg", "fundus", size=SMALL),
        picture("bas-000010-g003i.jpg", "oct", size=SMALL), picture("bas-000010-g003ii.jpg", "oct", size=SMALL),
    ),
    figures=(
        Figure("FG2", "Figure 2", "Right eye over time. Same camera.", (), kind="fig_group"),
        Figure("F2a", "(a)", "First visit.", ("bas-000010-g002a.jpg",), "group_member", "Right eye over time. Same camera."),
        Figure("F2b", "(b)", "Second visit.", ("bas-000010-g002b.jpg",), "group_member", "Right eye over time. Same camera."),
        Figure("F3", "Figure 3", "Layers of the macula.", ()),
        Figure("F3i", "Figure 3(i)", "Left eye.", ("bas-000010-g003i.jpg",), kind="nested"),
        Figure("F3ii", "Figure 3(ii)", "Right eye.", ("bas-000010-g003ii.jpg",), kind="nested"),
    ),
    mentions=(
        Mention("F2b", panels=None), Mention("FG2", text="Figure 2"), Mention("F3", text="Figure 3"),
    ),
)  # fmt: skip

NOT_FIGURES = Article(
    pmcid=90_000_011, topic="chem", journal=9, date=(2017, 10, 3), flavour="jats11",
    shapes=("table_graphic", "scheme", "chem_struct", "formula_graphic", "inline_graphic"),
    title="Hepatocyte cultures in three dimensions: a table, a scheme and some symbols",
    body=research(
        '<p>Values are in <xref ref-type="table" rid="T1">Table 1</xref>; the route is in '
        '<xref ref-type="scheme" rid="Sch1">Scheme 1</xref>. Recovery <inline-graphic xlink:href="@{bas-000011-i001.gif}"/> '
        'was high.</p><table-wrap id="T1"><label>Table 1</label><caption><p>Recovery by batch.</p></caption>'
        f"{graphic('bas-000011-t001.jpg')}</table-wrap>"
        f'<disp-formula id="E1">{graphic("bas-000011-e001.gif")}</disp-formula>'
        + fig("Sch1", "Scheme 1", "<p>Route to the scaffold.</p>", graphic("bas-000011-sch001.jpg"), attributes='fig-type="scheme"')
        + '<chem-struct-wrap id="C1"><label>1</label><caption><p>Parent scaffold.</p></caption>'
        f"{graphic('bas-000011-c001.png')}</chem-struct-wrap>"
    ),
    pictures=(
        picture("bas-000011-t001.jpg", "table_image"), picture("bas-000011-i001.gif", "chemical_structure", size=(24, 18)),
        picture("bas-000011-e001.gif", "chemical_structure", size=(200, 60)),
        picture("bas-000011-sch001.jpg", "chemical_structure"), picture("bas-000011-c001.png", "chemical_structure", size=SMALL),
    ),
    figures=(
        Figure("T1", "Table 1", "Recovery by batch.", ("bas-000011-t001.jpg",), kind="table"),
        Figure("Sch1", "Scheme 1", "Route to the scaffold.", ("bas-000011-sch001.jpg",), kind="scheme"),
        Figure("C1", "1", "Parent scaffold.", ("bas-000011-c001.png",), kind="chemical"),
    ),
    mentions=(Mention("T1", text="Table 1"), Mention("Sch1", text="Scheme 1")),
)  # fmt: skip

ARTICLES = (
    IN_PARAGRAPH, FLOATS, FLOATS_WRAP, BACK, BOXED, GRAPHICAL_ABSTRACT, SUB_ARTICLE, SUPPLEMENTARY, FIGURE_SUPPLEMENTS,
    GROUP, NOT_FIGURES,
)  # fmt: skip
