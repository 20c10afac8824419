"""Views over panels, entities and paragraph quality, and what they say of each image and figure.

Of current rows only: they stand on the catalogue's views. What does not belong here: the tables' own views
(`catalogue`), how recipes and filters name what these give (`dataset.predicates`).
"""

DETAIL_VIEWS = (
    # Panels with a text that is theirs alone: their part of the caption; all of it where the figure is one panel.
    """
    CREATE OR REPLACE VIEW panel_pairs AS
    SELECT p.* EXCLUDE (caption, caption_start, caption_end), coalesce(p.caption, c.text) AS "text",
           p.caption IS NULL AS whole_caption
    FROM (SELECT *, count(*) OVER (PARTITION BY chunk, figure_id) AS _of_figure FROM panels) p
    LEFT JOIN captions c ON c.chunk = p.chunk AND c.figure_id = p.figure_id
    WHERE p.caption IS NOT NULL
       OR (p._of_figure = 1 AND c.text IS NOT NULL AND coalesce(len(c.sub_captions), 0) < 2)
    """,
    """
    CREATE OR REPLACE VIEW image_panels AS
    SELECT chunk, article_id, figure_id, image_id, any_value(n_panels) AS n_panels,
           list(letter ORDER BY ordinal) FILTER (letter IS NOT NULL) AS letters,
           list(struct_pack(panel_id := panel_id, letter := letter, x := x, y := y, width := width, height := height,
                            caption := caption) ORDER BY ordinal) AS panels
    FROM panels GROUP BY chunk, article_id, figure_id, image_id
    """,
    # Of captions. `terms` is what a filter may name: preferred name, id, the words themselves, in lower case.
    """
    CREATE OR REPLACE VIEW figure_entities AS
    SELECT chunk, article_id, text_id AS figure_id, list_sort(list_distinct(list(type))) AS types,
           list_sort(list_distinct(list(coalesce(name, "text")))) AS names,
           list_sort(list_distinct(list(struct_pack(
               type := type, name := coalesce(name, "text"), id := ids[1])))) AS named,
           list_sort(list_distinct(flatten(list(ids)))) AS ids,
           list_sort(list_distinct(flatten(list(list_transform(
               list_concat([name, "text"], ids), lambda t: lower(t)))))) AS terms,
           list(struct_pack("start" := "start", "end" := "end", "text" := "text", type := type, ids := ids,
                            name := name) ORDER BY "start", "end", type) AS mentions
    FROM entities WHERE field = 'caption' GROUP BY chunk, article_id, text_id
    """,
    # Of the paragraphs that mention a figure: what one of them is, and the best score.
    """
    CREATE OR REPLACE VIEW figure_paragraphs AS
    SELECT m.chunk, m.article_id, m.figure_id, list_sort(list_distinct(list(q.type))) AS types,
           list_sort(list_distinct(list(q.domain))) AS domains, max(q.score)::DOUBLE AS score
    FROM mentions m JOIN paragraph_quality q ON q.chunk = m.chunk AND q.paragraph_id = m.paragraph_id
    GROUP BY m.chunk, m.article_id, m.figure_id
    """,
    """
    CREATE OR REPLACE VIEW paragraphs_rated AS
    SELECT p.*, q.type, q.type_probability, q.domain, q.domain_probability, q.score, q.source, q.model
    FROM paragraphs p JOIN paragraph_quality q ON q.chunk = p.chunk AND q.paragraph_id = p.paragraph_id
    """,
)
