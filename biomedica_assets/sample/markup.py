"""Article definitions to XML bytes: front matter in the forms of NLM 2.3 to JATS 1.4, wrappers, filler.

Here belongs how an article is spelled; what it says is in `articles`, its filler in `prose`.
"""

from __future__ import annotations

import random
import re
from typing import Literal, NamedTuple

from biomedica_assets.sample.model import Article
from biomedica_assets.sample.prose import TOPICS, paragraphs

Layout = Literal["cloud", "packages"]


class Journal(NamedTuple):
    """An invented journal."""

    title: str
    abbreviation: str
    issn: str
    publisher: str


JOURNALS = (
    Journal("Annals of Synthetic Medicine", "Ann Synth Med", "9990-0012", "Fictive Press"),
    Journal("Open Journal of Invented Biology", "Open J Invent Biol", "9990-0020", "Imaginary Open Science"),
    Journal("Case Studies in Fictional Surgery", "Case Stud Fict Surg", "9990-0039", "Fictive Press"),
    Journal("Proceedings of the Notional Academy", "Proc Notional Acad", "9990-0047", "Notional Academy"),
    Journal("Imaging Letters of Nowhere", "Imaging Lett Nowhere", "9990-0055", "Imaginary Open Science"),
    Journal("Hypothetical Oncology", "Hypothet Oncol", "9990-0063", "Paper Moon Publishing"),
    Journal("Mock Dermatology and Skin Science", "Mock Dermatol Skin Sci", "9990-0071", "Paper Moon Publishing"),
    Journal("Pretend Gastroenterology Reports", "Pretend Gastroenterol Rep", "9990-008X", "Fictive Press"),
    Journal("Utopian Public Health", "Utopian Public Health", "9990-0098", "Society for Utopian Health"),
    Journal("Chimera Chemistry", "Chimera Chem", "9990-0101", "Chimera Society"),
    Journal("Imagined Plant Pathology", "Imagined Plant Pathol", "9990-011X", "Chimera Society"),
    Journal("Revista Imaginaria de Medicina", "Rev Imag Med", "9990-0128", "Editorial Quimera"),
)

_SURNAMES = (
    "Aldane", "Brinkov", "Castelo", "Dreyford", "Eskola", "Fennimore", "Gadhia", "Holmqvist", "Ibarro", "Jurek",
    "Kovalen", "Lindgaard", "Mbeki-Rowe", "Nakatomi", "Okonjo", "Pérez-Lund", "Quillon", "Ravndal", "Søberg",
    "Tanaka-Reyes",
    "Ueland", "Varga", "Wójtowicz", "Xanthos", "Yilmaz", "Zetter",
)  # fmt: skip
_GIVEN = (
    "Ana María", "Bo", "Chidi", "Dorothea", "Emre", "Fiona J.", "Goran", "Hye-jin", "Ivo", "Jana", "Kwame", "Lucía",
    "Mats", "Noor", "Olga", "Priya", "Rui", "Sanne", "Tomasz", "Yuki",
)  # fmt: skip
_PLACES = ("Port Elsewhere", "Nova Aldea", "Lower Mirren", "Kestrel Bay", "Sankt Holm", "East Tarn")

_DOCTYPES = {
    "jats14": (
        '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD with MathML3 v1.4 '
        '20241031//EN" "JATS-archivearticle1-4-mathml3.dtd">',
        "1.4",
    ),
    "jats13": (
        '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD with MathML3 v1.3 '
        '20210610//EN" "JATS-archivearticle1-3-mathml3.dtd">',
        "1.3",
    ),
    "jats12": (
        '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD v1.2 20190208//EN" '
        '"JATS-archivearticle1.dtd">',
        "1.2",
    ),
    "jats11": (
        '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Publishing DTD v1.1 20151215//EN" '
        '"JATS-journalpublishing1.dtd">',
        "1.1",
    ),
    "jats10": (
        '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD v1.0 20120330//EN" '
        '"JATS-archivearticle1.dtd">',
        "1.0",
    ),
    "nlm30": (
        '<!DOCTYPE article PUBLIC "-//NLM//DTD Journal Publishing DTD v3.0 20080202//EN" "journalpublishing3.dtd">',
        "3.0",
    ),
    "nlm23": (
        '<!DOCTYPE article PUBLIC "-//NLM//DTD Journal Archiving and Interchange DTD v2.3 20070202//EN" '
        '"archivearticle.dtd">',
        None,
    ),
    "bare": ("", "1.3"),
}
"""Document type declaration and dtd-version by flavour; "bare" has none, as Europe PMC's copies."""

_CC = "creativecommons.org"
LICENCE_URLS = {
    "CC0": f"https://{_CC}/publicdomain/zero/1.0/",
    "CC BY": f"https://{_CC}/licenses/by/VERSION/",
    "CC BY-SA": f"https://{_CC}/licenses/by-sa/VERSION/",
    "CC BY-ND": f"https://{_CC}/licenses/by-nd/VERSION/",
    "CC BY-NC": f"https://{_CC}/licenses/by-nc/VERSION/",
    "CC BY-NC-SA": f"https://{_CC}/licenses/by-nc-sa/VERSION/",
    "CC BY-NC-ND": f"https://{_CC}/licenses/by-nc-nd/VERSION/",
}

_NAMESPACES = (
    'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML" '
    'xmlns:ali="http://www.niso.org/schemas/ali/1.0/"'
)


def build(article: Article, layout: Layout = "cloud") -> bytes:
    """XML of an article in UTF-8, as the layout would carry it."""
    rng = random.Random(f"{article.pmcid}.{article.version}")
    body = _fill(_article(article, rng, layout), article, rng)
    body = re.sub(r"@\{([^}]*?)(\.\w+)\}", r"\1\2" if layout == "cloud" else r"\1", body)
    doctype = _DOCTYPES[article.flavour][0]
    if article.entities:
        doctype = doctype or '<!DOCTYPE article SYSTEM "journal.dtd">'
    if article.wrapper == "pmc-articleset":
        body, doctype = (
            f"<pmc-articleset>{body}</pmc-articleset>",
            '<!DOCTYPE pmc-articleset PUBLIC "-//NLM//DTD ARTICLE SET 2.0//EN" '
            '"https://dtd.nlm.nih.gov/ncbi/pmc/articleset/nlm-articleset-2.0.dtd">',
        )
    elif article.wrapper == "oai":
        doctype = ""
        body = (
            '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2026-11-18T02:11:09Z</responseDate>'
            f'<request verb="GetRecord" metadataPrefix="pmc">https://oai.example.org/</request><GetRecord><record>'
            f"<header><identifier>oai:example.org:{article.pmcid}</identifier><datestamp>2026-11-18</datestamp></header>"
            f"<metadata>{body}</metadata></record></GetRecord></OAI-PMH>"
        )
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    if "byte_order_mark" in article.shapes:
        head = "\ufeff" + head
    return (head + (doctype + "\n" if doctype else "") + body + "\n").encode()


def _fill(text: str, article: Article, rng: random.Random) -> str:
    """Replace ``[[kind:count]]`` by filler paragraphs, ``[[abstract]]`` by one paragraph's text."""

    def filler(match: re.Match[str]) -> str:
        if match[1] == "abstract":
            return " ".join(paragraphs(kind, 1, article.topic, rng)[0] for kind in ("intro", "results", "discussion"))
        made = paragraphs(match[1], int(match[2] or 1), article.topic, rng, article.references)
        return "".join(f"<p>{p}</p>\n" for p in made)

    return re.sub(r"\[\[(\w+)(?::(\d+))?\]\]", filler, text)


def _article(a: Article, rng: random.Random, layout: Layout) -> str:
    default = ' xmlns="https://jats.nlm.nih.gov/ns/archiving/1.4/"' if a.wrapper == "oai" else ""
    version = _DOCTYPES[a.flavour][1]
    attributes = f'{_NAMESPACES}{default} article-type="{a.kind}" xml:lang="{a.language}"'
    if version:
        attributes += f' dtd-version="{version}"'
    processing = ""
    if a.flavour == "jats14":
        processing = (
            '<processing-meta base-tagset="archiving" mathml-version="3.0" table-model="xhtml" tagset-family="jats">'
            "<restricted-by>pmc</restricted-by></processing-meta>"
        )
    back = _back(a, rng)
    body = f"<body>{a.body}</body>" if a.body else ""
    floats = f"<floats-group>{a.floats}</floats-group>" if a.floats else ""
    if floats and a.flavour == "nlm23":
        floats = floats.replace("floats-group", "floats-wrap")
    front = f"<front>{_journal(a)}{_meta(a, rng, layout)}</front>"
    return f"<article {attributes}>{processing}{front}\n{body}\n{back}{floats}{a.after}</article>"


def _journal(a: Article) -> str:
    j = JOURNALS[a.journal]
    title = f"<journal-title>{j.title}</journal-title>"
    if a.flavour != "nlm23":
        title = f"<journal-title-group>{title}</journal-title-group>"
    return (
        f'<journal-meta><journal-id journal-id-type="nlm-ta">{j.abbreviation}</journal-id>'
        f'<journal-id journal-id-type="iso-abbrev">{j.abbreviation}</journal-id>{title}'
        f'<issn pub-type="epub">{j.issn}</issn><publisher><publisher-name>{j.publisher}</publisher-name></publisher>'
        "</journal-meta>"
    )


def _meta(a: Article, rng: random.Random, layout: Layout) -> str:
    if layout == "cloud" and a.flavour in ("jats14", "jats13"):
        ids = f'<article-id pub-id-type="pmcid">PMC{a.pmcid}</article-id>'
        ids += f'<article-id pub-id-type="pmcid-ver">{a.article_id}</article-id>'
    else:
        ids = f'<article-id pub-id-type="pmc">{a.pmcid}</article-id>'
        if a.version > 1:
            ids += f'<article-id pub-id-type="pmcid-ver">{a.article_id}</article-id>'
    if a.pmid_number is not None:
        ids += f'<article-id pub-id-type="pmid">{a.pmid_number}</article-id>'
    if a.doi_text:
        ids += f'<article-id pub-id-type="doi">{a.doi_text}</article-id>'
    if a.manuscript:
        ids += f'<article-id pub-id-type="manuscript">NIHMS{a.pmcid % 10**6:07d}</article-id>'
    ids += f'<article-id pub-id-type="publisher-id">bas-{a.pmcid % 10**6}</article-id>'
    subject = {"case-report": "Case Report", "review-article": "Review"}.get(a.kind, "Research Article")
    parts = [
        ids,
        f'<article-categories><subj-group subj-group-type="heading">'
        f"<subject>{subject}</subject></subj-group></article-categories>",
        f"<title-group><article-title>{a.title}</article-title>{_part(a.front, 'trans-title-group')}</title-group>",
        _authors(a, rng),
        _dates(a),
        f"<volume>{a.date[0] - 1990}</volume><issue>{a.date[1] if len(a.date) > 1 else 1}</issue>",
        f"<elocation-id>e{a.pmcid % 10**5}</elocation-id>"
        if a.date[0] > 2008
        else "<fpage>101</fpage><lpage>112</lpage>",
        _history(a),
        _permissions(a),
        _part(a.front, "related-article"),
        (f"<abstract>{a.abstract}</abstract>" if a.abstract else "") + _part(a.front, "abstract", "trans-abstract"),
        _keywords(a) if a.keywords is None else a.keywords,
        _funding(a, rng),
        _custom(a) if a.flavour in ("jats14", "jats13") else "",
    ]
    return f"<article-meta>{''.join(parts)}</article-meta>"


def _part(front: str, *names: str) -> str:
    """Those top-level elements of the extra front matter that have one of the names."""
    return "".join(m[0] for name in names for m in re.finditer(rf"<{name}\b[^>]*(/>|>.*?</{name}>)", front, re.DOTALL))


def _authors(a: Article, rng: random.Random) -> str:
    contribs = []
    for i in range(rng.randint(2, 7)):
        orcid = ""
        if rng.random() < 0.5 and a.flavour not in ("nlm23", "nlm30"):
            digits = f"0000000{rng.randint(10**7, 10**8 - 1)}"
            number = digits + _orcid_check(digits)
            dashed = "-".join(number[k : k + 4] for k in range(0, 16, 4))
            orcid = f'<contrib-id contrib-id-type="orcid" authenticated="false">https://orcid.org/{dashed}</contrib-id>'
        name = f"<name><surname>{rng.choice(_SURNAMES)}</surname><given-names>{rng.choice(_GIVEN)}</given-names></name>"
        link = f'<xref ref-type="aff" rid="aff{i % 2 + 1}"><sup>{i % 2 + 1}</sup></xref>'
        contribs.append(f'<contrib contrib-type="author">{orcid}{name}{link}</contrib>')
    affs = "".join(
        f'<aff id="aff{n}"><label>{n}</label>Department of {TOPICS[a.topic].organ.title()} Research, '
        f"University of {rng.choice(_PLACES)}, {rng.choice(_PLACES)}</aff>"
        for n in (1, 2)
    )
    return f"<contrib-group>{''.join(contribs)}</contrib-group>{affs}"


def _orcid_check(digits: str) -> str:
    """ISO 7064 MOD 11-2 check character of the first 15 digits."""
    total = 0
    for digit in digits:
        total = (total + int(digit)) * 2
    rest = (12 - total % 11) % 11
    return "X" if rest == 10 else str(rest)


def _dates(a: Article) -> str:
    names = ("year", "month", "day")
    parts = dict(zip(names, a.date, strict=False))
    inner = "".join(f"<{n}>{parts[n]:02d}</{n}>" for n in ("day", "month", "year") if n in parts)
    if a.flavour in ("nlm23", "nlm30", "jats10"):
        return (
            f'<pub-date pub-type="collection"><year>{a.date[0]}</year></pub-date>'
            f'<pub-date pub-type="epub">{inner}</pub-date>'
        )
    iso = "-".join(f"{v:02d}" for v in a.date)
    return (
        f'<pub-date date-type="collection" publication-format="electronic"><year>{a.date[0]}</year></pub-date>'
        f'<pub-date date-type="pub" publication-format="electronic" iso-8601-date="{iso}">{inner}</pub-date>'
    )


def _history(a: Article) -> str:
    year = a.date[0] - 1
    return (
        f'<history><date date-type="received"><day>3</day><month>9</month><year>{year}</year></date>'
        f'<date date-type="accepted"><month>12</month><year>{year}</year></date></history>'
    )


def _permissions(a: Article) -> str:
    year = a.date[0]
    holder = f"<copyright-statement>© {year} The Authors</copyright-statement><copyright-year>{year}</copyright-year>"
    if a.licence_xml is not None:
        return f"<permissions>{holder}{a.licence_xml}</permissions>"
    if a.licence is None or a.licence == "TDM":
        return f"<permissions>{holder}</permissions>"
    url = LICENCE_URLS[a.licence].replace("VERSION", a.licence_version)
    words = "This is an open access article distributed under the terms of the Creative Commons licence."
    if a.flavour in ("nlm23", "nlm30"):
        link = f'<ext-link ext-link-type="uri" xlink:href="{url}">{url}</ext-link>'
        text = f"{words} See {link}."
        text = f"<p>{text}</p>" if a.flavour == "nlm23" else f"<license-p>{text}</license-p>"
        return f'<permissions>{holder}<license license-type="open-access">{text}</license></permissions>'
    tag = a.licence.lower().replace(" ", "").replace("-", "") + "license"
    reference = (
        f'<ali:license_ref specific-use="textmining" content-type="{tag}">{url}</ali:license_ref>'
        if a.flavour in ("jats14", "jats13")
        else ""
    )
    return (
        f'<permissions>{holder}<license xlink:href="{url}">{reference}<license-p>{words}</license-p></license>'
        "</permissions>"
    )


def _keywords(a: Article) -> str:
    t = TOPICS[a.topic]
    author = "".join(f"<kwd>{w}</kwd>" for w in (t.disease, t.method, t.pathway))
    if a.flavour in ("nlm23", "nlm30"):
        return f"<kwd-group>{author}</kwd-group>"
    mesh = "".join(f"<kwd>{w}</kwd>" for w in t.keywords)
    return (
        f'<kwd-group kwd-group-type="author" xml:lang="en"><title>Keywords</title>{author}</kwd-group>'
        f'<kwd-group kwd-group-type="MeSH">{mesh}</kwd-group>'
    )


def _funding(a: Article, rng: random.Random) -> str:
    if a.flavour in ("nlm23", "nlm30", "jats10"):
        return ""
    return (
        f'<funding-group><award-group id="funding-1"><funding-source><institution-wrap><institution>'
        f"Fund for Imaginary Research</institution></institution-wrap></funding-source>"
        f"<award-id>FIR-{rng.randint(1000, 9999)}</award-id></award-group></funding-group>"
    )


def _custom(a: Article) -> str:
    values = {
        "pmc-status-live": "yes",
        "pmc-status-embargo": "no",
        "pmc-license-ref": a.licence or "none",
        "pmc-prop-open-access": "yes" if a.open_access else "no",
        "pmc-prop-manuscript": "yes" if a.manuscript else "no",
        "pmc-prop-is-scanned-article": "yes" if a.historical_ocr else "no",
        "pmc-prop-has-pdf": "yes" if a.pdf else "no",
    }
    inner = "".join(
        f"<custom-meta><meta-name>{n}</meta-name><meta-value>{v}</meta-value></custom-meta>" for n, v in values.items()
    )
    return f"<custom-meta-group>{inner}</custom-meta-group>"


def _back(a: Article, rng: random.Random) -> str:
    references = []
    for n in range(1, a.references + 1):
        j, t = JOURNALS[rng.randrange(len(JOURNALS))], TOPICS[a.topic]
        references.append(
            f'<ref id="R{n}"><label>{n}</label><element-citation publication-type="journal"><person-group '
            f'person-group-type="author"><name><surname>{rng.choice(_SURNAMES)}</surname><given-names>'
            f"{rng.choice(_GIVEN)[0]}</given-names></name></person-group><article-title>On {t.pathway} and {t.organ}"
            f"</article-title><source>{j.abbreviation}</source><year>{rng.randint(1990, a.date[0])}"
            f"</year><volume>{rng.randint(1, 60)}</volume><fpage>{rng.randint(1, 999)}</fpage></element-citation></ref>"
        )
    listed = f"<ref-list><title>References</title>{''.join(references)}</ref-list>" if references else ""
    return f"<back>{a.back}{listed}</back>" if a.back or listed else ""
