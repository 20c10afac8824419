"""Count figures, captions, mentions and images of articles twice: by naive tree walks, and by `biomedica_assets`.

    python benchmarks/corpus_counts.py ../shared/corpus               # table of counts, disagreements below it
    python benchmarks/corpus_counts.py ../shared/corpus --all         # every disagreement, not the first twenty
    python benchmarks/corpus_counts.py ../shared/corpus --store DIR   # also a store built from the packed corpus

The walks share no code with `jats/`: what they lack in finesse they make up for by being short enough to check by
eye. A formula counts as one sign wherever it stands, because there is no one right way to type it. What does not
belong here: anything the package itself could use.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import html
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxml import etree
from pyarrow import parquet

FORMULA = "\ufffc"
_DROPPED = {"object-id", "fig", "supplementary-material", "permissions", "alt-text", "long-desc", "attrib"}
_BLOCKS = {"title", "p", "list", "list-item", "disp-formula", "disp-quote", "def-list", "def-item", "def", "break"}
_FORMULAS = {"inline-formula", "disp-formula", "tex-math", "math", "chem-struct"}
_TEXT_HOLDERS = {"p", "title", "subtitle", "td", "th", "label", "article-title", "attrib", "term", "subject", "kwd"}


@dataclass
class Source:
    """One XML file, and the other files beside it by name."""

    name: str
    data: bytes
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Figure:
    """A `<fig>` as the walk sees it; ``graphics`` holds the hrefs of each graphic, renditions of one together."""

    xml_id: str | None
    label: str | None
    caption: str | None
    graphics: list[list[str]]
    images: int = 0


@dataclass
class Counted:
    """What the walk finds in one file. ``links`` are (id of the figure, text of the block up to the link)."""

    figures: list[Figure]
    links: list[tuple[str, str]]


def sources(root: Path) -> Iterator[Source]:
    """Every article below a folder or in its tars; a tar's member is named ``tar!member``."""
    for path in sorted(p for p in root.rglob("*") if p.suffix in (".xml", ".nxml") and "entrez" not in p.parts):
        if "lists" not in path.parts:
            beside = {p.name: p.read_bytes() for p in sorted(path.parent.iterdir()) if p != path}
            yield Source(str(path.relative_to(root)), path.read_bytes(), beside)
    for path in sorted((root / "bulk").glob("*.tar.gz")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isfile() and member.name.endswith(("xml",)):
                    data = tar.extractfile(member)
                    assert data is not None
                    yield Source(f"{path.relative_to(root)}!{member.name}", data.read())


_DOI_LINE = re.compile(r"(DOI:\s*)?(https?://(dx\.)?doi\.org/)?10\.\d{4,}/\S+")
_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]*);")


def parse(data: bytes) -> Any:
    """Element of the file. Named entities are replaced as text first, so that no DTD is needed."""

    def replace(match: re.Match[bytes]) -> bytes:
        name = match[1].decode()
        if name in ("lt", "gt", "amp", "quot", "apos"):
            return match[0]
        return "".join(f"&#{ord(c)};" for c in html.unescape(f"&{name};")).encode()

    parser = etree.XMLParser(recover=True, no_network=True, load_dtd=False, resolve_entities=False, huge_tree=True)
    root = etree.fromstring(_ENTITY.sub(replace, data), parser)
    for element in root.iter(etree.Comment, etree.ProcessingInstruction):
        element.text = ""
    return root


def tag(element: Any) -> str:
    """Local name; empty for comments and processing instructions."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def typed(element: Any, until: Any = None) -> str:
    """The text a reader would type, formulas as one sign; up to the element ``until`` if given."""
    text = "".join(_pieces(element, until))
    if "\n" in text:
        for pattern, better in _FORMATTED:
            text = re.sub(pattern, better, text)
    return " ".join(text.translate({1: None, 2: None}).split())


# Line breaks of a formatter, which nobody types: in brackets, before punctuation, around scripts (\x01 ... \x02).
_BREAK = r"(?<![ \t\r\n])[ \t\r]*\n[ \t\r\n]*"
_FORMATTED = (
    (rf"([(\[][\x01\x02]*){_BREAK}", r"\1"),
    (rf"{_BREAK}(?=[\x01\x02]*(?:[,;:)\]]|\.(?![\d.])))", ""),
    (rf"\x01{_BREAK}", "\x01"),
    (rf"{_BREAK}\x02(?![^\W_])", "\x02"),
    (rf"{_BREAK}(?=\x01[^\x01\x02]*\x02(?![^\W_]))", ""),
)


def _is_doi(element: Any) -> bool:
    """Whether a caption's paragraph is only the figure's DOI."""
    return tag(element) == "p" and bool(_DOI_LINE.fullmatch("".join(element.itertext()).strip()))


class _StopHere(Exception):  # noqa: N818
    """Raised to leave the walk at an element."""


def _pieces(element: Any, until: Any) -> list[str]:
    pieces: list[str] = []

    def visit(node: Any) -> None:
        if node is until:
            raise _StopHere
        name = tag(node)
        if name in _FORMULAS:
            sign = FORMULA if "".join(node.itertext()).strip() else ""
            pieces.append(f" {sign} " if name == "disp-formula" else sign)
        elif name and not (node is not element and (name in _DROPPED or _is_doi(node))):
            script = name in ("sup", "sub")
            pieces.append("\u2029" * (name in _BLOCKS) + "\x01" * script + (node.text or ""))
            for child in node:
                visit(child)
                pieces.append(child.tail or "")
            pieces.append("\u2029" * (name in _BLOCKS) + "\x02" * script)

    with contextlib.suppress(_StopHere):
        visit(element)
    return pieces


def hrefs(figure: Any) -> list[list[str]]:
    """Names of a figure's own graphics: each graphic alone, members of one `alternatives` together."""
    found: list[list[str]] = []
    together: dict[Any, list[str]] = {}
    for graphic in figure.iter():
        if tag(graphic) != "graphic":
            continue
        holders = [tag(a) for a in _ancestors(graphic, figure)]
        if {"fig", "caption", "supplementary-material", "table-wrap", "disp-formula", "inline-formula"} & set(holders):
            continue
        name = next((v for k, v in graphic.attrib.items() if etree.QName(k).localname == "href"), None)
        if name is None:
            continue
        key = next((a for a in _ancestors(graphic, figure) if tag(a) == "alternatives"), None)
        if key is None:
            found.append([name])
        elif key in together:
            together[key].append(name)
        else:
            found.append(together.setdefault(key, [name]))
    return found


def _ancestors(element: Any, stop: Any) -> Iterator[Any]:
    for ancestor in element.iterancestors():
        if ancestor is stop:
            return
        yield ancestor


def count(source: Source) -> Counted:
    """The walk over one file."""
    root = parse(source.data)
    figures, links = [], []
    elements = [e for e in root.iter() if tag(e) == "fig"]
    stems = {stem(name) for name in source.files}
    for element in elements:
        label = next((c for c in element if tag(c) == "label"), None)
        # Six figures of the corpus have their words in a statement, and no caption.
        captions = [c for c in element if tag(c) == "caption"] or [c for c in element if tag(c) == "statement"]
        # Seven have a legend where credit lines belong.
        captions += [a for a in element if tag(a) == "attrib" and typed(a).startswith(("Notes:", "Abbreviations:"))]
        caption = " ".join(filter(None, (typed(c) for c in captions))) or None
        graphics = hrefs(element)
        images = sum(any(stem(name) in stems for name in names) for names in graphics)
        figure_label = (typed(label) or None) if label is not None else None
        figures.append(Figure(element.get("id"), figure_label, caption, graphics, images))
    ids = {e.get("id") for e in elements}
    for link in root.iter():
        if tag(link) != "xref":
            continue
        block = next((a for a in link.iterancestors() if tag(a) in _TEXT_HOLDERS), link.getparent())
        for rid in (link.get("rid") or "").split():
            if rid in ids:
                links.append((rid, typed(block, until=link)))
    return Counted(figures, links)


def stem(name: str) -> str:
    """File name without folder, extension and case, for finding the file of a graphic."""
    last = name.rsplit("/", 1)[-1].lower()
    return re.sub(r"\.(jpe?g|png|gif|tiff?|svg|eps|webp)$", "", last)


@dataclass
class Compared:
    """Totals over all files, and what differs in words."""

    totals: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def compare(source: Source, compared: Compared) -> None:
    """Add one file to the totals: the walk's counts, and how many of them the package's records agree with."""
    from biomedica_assets.jats import NotAnArticle, parse_articles

    walked = count(source)
    totals, differ = compared.totals, compared.differences
    totals["files"] += 1
    totals["figures"] += len(walked.figures)
    totals["captions"] += sum(f.caption is not None for f in walked.figures)
    totals["labels"] += sum(f.label is not None for f in walked.figures)
    totals["graphics"] += sum(len(f.graphics) for f in walked.figures)
    totals["graphics with an image here"] += sum(f.images for f in walked.figures)
    totals["links to figures"] += len(walked.links)
    try:
        articles = parse_articles(source.data)
    except NotAnArticle as error:
        differ.append(f"{source.name}: not read: {error}")
        return
    totals["files:read"] += 1
    rows = [f for a in articles for f in a.figures if f["element"] == "fig"]
    captions = {c["figure_id"]: c for a in articles for c in a.captions}
    images = Counter(i["figure_id"] for a in articles for i in a.images)
    if len(rows) != len(walked.figures):
        differ.append(f"{source.name}: {len(walked.figures)} <fig>, {len(rows)} rows")
    for figure, row in zip(walked.figures, rows, strict=False):
        where = f"{source.name}: figure {figure.xml_id}"
        totals["figures:read"] += row.get("xml_id") == figure.xml_id
        caption = masked(captions.get(row["figure_id"], {}))
        _agree(compared, "captions", where, figure.caption, caption)
        _agree(compared, "labels", where, figure.label, row.get("label"))
        found = images[row["figure_id"]]
        if found == len(figure.graphics):
            totals["graphics:read"] += found
        else:
            differ.append(f"{where}: graphics {figure.graphics}, {found} rows")
    _compare_links(source, walked, articles, compared)


def _agree(compared: Compared, kind: str, where: str, expected: str | None, found: str | None) -> None:
    if expected == found:
        compared.totals[f"{kind}:read"] += expected is not None
    else:
        compared.differences.append(f"{where}: {kind}\n    walk {expected!r}\n    read {found!r}")


def masked(caption: dict[str, Any]) -> str | None:
    """Text of a caption row with every formula as one sign."""
    text: str | None = caption.get("text")
    for formula in sorted(caption.get("math") or (), key=lambda f: -f["start"]):
        assert text is not None
        text = text[: formula["start"]] + FORMULA + text[formula["end"] :]
    return text


def _compare_links(source: Source, walked: Counted, articles: list[Any], compared: Compared) -> None:
    """Every link is a mention whose paragraph reads the same up to the link (last 40 signs, white space apart)."""
    texts = {p["paragraph_id"]: p["text"] for a in articles for p in a.paragraphs}
    found: dict[str, list[list[str]]] = {}
    for article in articles:
        figures = {f["figure_id"] for f in article.figures if f["element"] == "fig"}
        for mention in article.mentions:
            compared.totals[f"mentions, kind {mention['kind']}, expanded {mention['expanded']}"] += 1
            if mention.get("rid") and mention["figure_id"] in figures:
                text = texts[mention["paragraph_id"]]
                # The link lies within the surface text: at its start, or behind words that stand before the link.
                starts = [_tail(text[:end]) for end in range(mention["start"], mention["end"] + 1)]
                found.setdefault(mention["rid"], []).append(starts)
    for rid, before in walked.links:
        left = found.get(rid, [])
        hit = next((starts for starts in left if any(_same_end(start, _tail(before)) for start in starts)), None)
        if hit is None:
            compared.differences.append(f"{source.name}: link to {rid} after {before[-80:]!r} is no mention")
        else:
            left.remove(hit)
            compared.totals["links to figures:read"] += 1
    for rid, left in found.items():
        compared.differences += [f"{source.name}: mention of {rid} after {starts[0]!r} is no link" for starts in left]


def _tail(text: str) -> str:
    return "".join(text[-200:].split())[-40:]


def _same_end(read: str, walked: str) -> bool:
    """Whether two texts end alike; the walk has formulas as a sign, so only what follows the last is compared."""
    walked = walked.rpartition(FORMULA)[2]
    length = min(len(read), len(walked))
    return read[len(read) - length :] == walked[len(walked) - length :]


class Store:
    """Tables and shards of a store on disk, read with nothing but pyarrow and file reads: a fresh build, one chunk
    file per table and chunk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ids: dict[str, list[str]] = {}
        for row in self._rows("articles", ["article_id", "source_md5"]):
            self.ids.setdefault(row["source_md5"], []).append(row["article_id"])
        self.figures = _by_article(self._rows("figures", ["article_id", "xml_id", "element", "figure_id"]))
        self.captions = {row["figure_id"]: row for row in self._rows("captions", ["figure_id", "text", "math"])}
        self.images = _by_article(
            self._rows("images", ["article_id", "href", "bytes", "md5", "shard", "image_offset", "file_name"])
        )

    def _rows(self, name: str, columns: list[str]) -> list[dict[str, Any]]:
        paths = sorted((self.root / "tables" / name).glob("*.parquet"))
        return [row for path in paths for row in parquet.read_table(path, columns=columns).to_pylist()]

    def image_bytes(self, image: dict[str, Any]) -> bytes:
        """The bytes of an image where its row says they are."""
        with (self.root / image["shard"]).open("rb") as shard:
            shard.seek(image["image_offset"])
            return shard.read(image["bytes"])


def _by_article(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["article_id"], []).append(row)
    return grouped


def compare_store(source: Source, store: Store, compared: Compared) -> None:
    """Every figure and caption of the file is in the store, and every image of a figure, byte for byte."""
    totals, differ = compared.totals, compared.differences
    ids = store.ids.get(hashlib.md5(source.data).hexdigest(), [])
    if len(ids) != 1:
        differ.append(f"{source.name}: {len(ids)} articles in the store have these bytes")
        return
    totals["files:stored"] += 1
    walked = count(source)
    rows = [row for row in store.figures.get(ids[0], []) if row["element"] == "fig"]
    images = store.images.get(ids[0], [])
    for figure, row in zip(walked.figures, rows, strict=False):
        totals["figures:stored"] += row["xml_id"] == figure.xml_id
        caption = masked(store.captions.get(row["figure_id"], {}))
        totals["captions:stored"] += caption is not None and caption == figure.caption
        for names in figure.graphics:
            stems = {stem(name) for name in names}
            files = {data for name, data in source.files.items() if stem(name) in stems}
            if files:
                stored = [store.image_bytes(i) for i in images if i["href"] in names]
                identical = len(stored) == 1 and stored[0] in files
                totals["graphics with an image here:stored"] += identical
                if not identical:
                    differ.append(f"{source.name}: {names}: {len(stored)} images in the shards, none of these files")


def table(totals: Counter[str], stored: bool) -> str:
    """Markdown table: what the walk counts, and how many of these the package reads, and stores, the same."""
    lines = ["| what | in the XML | read the same |" + " in the store |" * stored, "|---|---|---|" + "---|" * stored]
    whats = ("files", "figures", "labels", "captions", "graphics", "links to figures", "graphics with an image here")
    for name in whats:
        cells = [f"{totals[name]:,}", *(_cell(totals, f"{name}:{kind}") for kind in ("read", "stored")[: 1 + stored])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "| mentions by kind | rows |", "|---|---|"]
    lines += [
        f"| {name.split(', ', 1)[1]} | {n:,} |" for name, n in sorted(totals.items()) if name.startswith("mention")
    ]
    return "\n".join(lines)


def _cell(totals: Counter[str], name: str) -> str:
    return f"{totals[name]:,}" if name in totals else ""


def main() -> int:
    """Print the table and the differences; exit status 1 when there are any."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("path", type=Path, help="folder with articles, as described in its README")
    arguments.add_argument("--all", action="store_true", help="print every disagreement")
    arguments.add_argument("--store", type=Path, help="folder of a store built from the packed corpus")
    options = arguments.parse_args()
    compared = Compared()
    store = Store(options.store) if options.store else None
    for source in sources(options.path):
        compare(source, compared)
        if store:
            compare_store(source, store, compared)
    print(table(compared.totals, stored=store is not None))
    shown = compared.differences if options.all else compared.differences[:20]
    print(f"\n{len(compared.differences)} differences" + ("" if not shown else ":"))
    for difference in shown:
        print("-", difference)
    return 1 if compared.differences else 0


if __name__ == "__main__":
    sys.exit(main())
