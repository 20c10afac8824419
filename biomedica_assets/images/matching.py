"""Which file of a release is which graphic of the article: the names in the XML against the names that exist.

The XML's names (hrefs) and the files' names agree in new releases and differ in older and publishers' ones: folder or
``info:doi/`` prefixes, other case, percent-encoding, no extension or another one, PLOS's leading ``journal.`` lost.
A name is matched at the first step at which exactly one file fits; what stays ambiguous stays unmatched.
What does not belong here: looking into files (see `probe`), downloading them, choosing licences.
"""

from __future__ import annotations

import html
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from biomedica_assets.schemas import Row

if TYPE_CHECKING:
    from biomedica_assets.jats import Article

_BROWSER = {"jpg", "jpeg", "jpe", "png", "gif", "webp", "bmp"}
_TIFF = {"tif", "tiff"}
IMAGE_EXTENSIONS = frozenset(_BROWSER | _TIFF)
"""Extensions of the files that can be collected as a figure's image; magic bytes have the last word (`probe`)."""
# Stripped when stems are compared, since hrefs name originals (.eps, .ai) where releases hold pictures made of them.
_EXTENSIONS = IMAGE_EXTENSIONS | {"eps", "ai", "ps", "svg", "pdf", "emf", "wmf", "ppt", "pptx", "psd"}
_THUMB_ENDINGS = ("_thumb", "-thumb", ".thumb", "_thumbnail", "-thumbnail", "_tn", "-tn")

ABSENT = "named by the XML, not in the release"


@dataclass(frozen=True, slots=True)
class Matching:
    """What joins one article's XML to the files of its release.

    ``files``: image_id -> name of the file to collect; images without a usable file have no entry.
    ``objects``: one row of table ``objects`` per file and per absent name, with ``file_name``, ``object_class``,
    ``collected`` (true for the files above: false it is for the caller to make when the file can't be had) and
    ``reason``; the caller adds ids, key, md5 and bytes.
    """

    files: dict[str, str]
    objects: list[Row]


@dataclass(slots=True)
class _Graphic:
    """One picture as the XML names it: by its own href, then by those of its alternatives."""

    image_id: str | None
    object_class: str
    hrefs: list[str]
    found: list[str] = field(default_factory=list)
    best: str | None = None


def match_graphics(article: Article, names: Sequence[str], sizes: Mapping[str, int] | None = None) -> Matching:
    """Join the graphics of an article to the file names of its release.

    Of several renditions of one graphic the largest that a browser shows is chosen: by ``sizes`` (bytes) when they
    are known (packages), else jpeg, png and webp before tiff, and then in the XML's order. Thumbnails come last.

    Args:
        article: uses ``images`` (image_id, href), ``renditions`` (image_id -> further hrefs) and ``objects``
            (file_name, object_class: every other name in the XML).
        names: the media files of the release, without folders of the release's own.
        sizes: their sizes in bytes, when known before download.
    """
    names = sorted(set(names))
    graphics = _graphics(article)
    found = _resolve(graphics, names)
    owned = {name for hits in found.values() for name in hits}
    by_stem = _grouped((_stem(name).lower(), name) for name in names if _is_image(name))
    lent: dict[str, list[str]] = {}
    files: dict[str, str] = {}
    for graphic in graphics:
        graphic.found = list(dict.fromkeys(name for href in graphic.hrefs for name in found.get(href, ())))
        siblings = [s for name in graphic.found for s in by_stem.get(_stem(name).lower(), ()) if s not in owned]
        # The same picture named in two figures may take the same sibling, two different pictures may not.
        siblings = [s for s in siblings if lent.setdefault(s, graphic.found) == graphic.found]
        candidates = [name for name in dict.fromkeys(graphic.found + siblings) if _is_image(name)]
        if candidates:
            graphic.best = min(candidates, key=lambda name: _rank(name, candidates, graphic.found, sizes))
            if graphic.image_id:
                files[graphic.image_id] = graphic.best
    rows: dict[str, Row] = {}
    chosen = set(files.values())
    for graphic in graphics:
        _describe(graphic, chosen, rows)
    for name in names:
        if name not in rows:
            rows[name] = _leftover(name, graphics)
    for graphic in graphics:
        for position, href in enumerate(graphic.hrefs):
            if href not in found and href not in rows:
                rows[href] = _row(href, graphic.object_class if position == 0 else "rendition", ABSENT)
    return Matching(files, list(rows.values()))


def _graphics(article: Article) -> list[_Graphic]:
    """Figures' images first, then whatever else the XML names, each name once."""
    classes = {row["file_name"]: row["object_class"] for row in article.objects}
    graphics = [
        _Graphic(
            image["image_id"],
            classes.get(image["href"], "figure"),
            list(dict.fromkeys([image["href"], *article.renditions.get(image["image_id"], ())])),
        )
        for image in article.images
    ]
    seen = {href for graphic in graphics for href in graphic.hrefs}
    graphics += [_Graphic(None, kind, [href]) for href, kind in classes.items() if href not in seen]
    return graphics


# --- names -----------------------------------------------------------------------------------------------------------


def _split(name: str) -> tuple[str, str]:
    """(stem, lower-case extension); only extensions of pictures count, stems hold dots: 'pone.0000010.g001'."""
    stem, dot, extension = name.rpartition(".")
    return (stem, extension.lower()) if dot and stem and extension.lower() in _EXTENSIONS else (name, "")


def _stem(name: str) -> str:
    return _split(name)[0]


def _is_image(name: str) -> bool:
    return _split(name)[1] in IMAGE_EXTENSIONS


def _base(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _plain(name: str) -> str:
    """Without percent-encoding, left-over XML escapes, differences of case and of Unicode composition."""
    return unicodedata.normalize("NFC", unquote(html.unescape(name))).lower()


def _unprefixed(name: str) -> str:
    return _base(_plain(name)).removeprefix("journal.")


_STEPS: tuple[Callable[[str], str], ...] = (
    lambda name: name,
    _base,
    lambda name: _base(name).lower(),
    lambda name: _base(_plain(name)),
    _unprefixed,
)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key, name in pairs:
        groups[key].append(name)
    return groups


def _resolve(graphics: Sequence[_Graphic], names: Sequence[str]) -> dict[str, list[str]]:
    """Files by href: one, or several of one stem when the href is matched without its extension.

    A file belongs to one href, to those of the same graphic, and to other spellings of the same name. A looser step
    never takes what a stricter one has given away; at one step a file that two names fit goes to neither.
    """
    by_spelling = _grouped((_plain(href), href) for graphic in graphics for href in graphic.hrefs)
    kin: dict[str, set[str]] = defaultdict(set)
    for graphic in graphics:
        for href in graphic.hrefs:
            kin[href].update(graphic.hrefs, by_spelling[_plain(href)])
    figures = {href for graphic in graphics if graphic.image_id for href in graphic.hrefs}
    images = [name for name in names if _is_image(name)]
    found: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    # Whole names for all; then stems, figures first: "x.pdf" of a supplement must not contest "x" of a figure.
    rounds = ((list(kin), names, str), (sorted(figures), images, _stem), (sorted(kin.keys() - figures), images, _stem))
    for hrefs, files, part in rounds:
        for step in _STEPS:
            hrefs = [href for href in hrefs if href not in found]
            if not (hrefs and files):
                break
            index = _grouped((step(part(name)), name) for name in files)
            claims: dict[str, list[str]] = {}
            for href in hrefs:
                hits = [n for n in index.get(step(part(href)), ()) if n not in owner or owner[n] in kin[href]]
                if len({part(name) for name in hits}) == 1:
                    claims[href] = hits
            takers: dict[str, set[str]] = defaultdict(set)
            for href, hits in claims.items():
                for name in hits:
                    takers[name].add(href)
            for href, hits in claims.items():
                if all(takers[name] <= kin[href] for name in hits):
                    found[href] = hits
                    owner.update(dict.fromkeys(hits, href))
    return found


# --- renditions ------------------------------------------------------------------------------------------------------


def _rank(
    name: str, candidates: Sequence[str], named: Sequence[str], sizes: Mapping[str, int] | None
) -> tuple[int, int, int, str]:
    """Sort key, best first."""
    extension = _split(name)[1]
    tier = 2 if _is_thumbnail(name, candidates, sizes) else 0 if extension in _BROWSER else 1
    position = named.index(name) if name in named else len(named)
    return tier, -(sizes or {}).get(name, 0), position, name


def _is_thumbnail(name: str, candidates: Iterable[str], sizes: Mapping[str, int] | None = None) -> bool:
    """Old packages hold a small .gif beside each picture; other sites write it into the name."""
    stem, extension = _split(name)
    if stem.lower().endswith(_THUMB_ENDINGS):
        return True
    others = [
        c for c in candidates if c != name and _stem(c).lower() == stem.lower() and not c.lower().endswith(".gif")
    ]
    if extension != "gif" or not others:
        return False
    return not sizes or sizes.get(name, 0) <= max(sizes.get(other, 0) for other in others)


def _without_thumb(stem: str) -> str:
    for ending in _THUMB_ENDINGS:
        stem = stem.removesuffix(ending)
    return stem


# --- rows ------------------------------------------------------------------------------------------------------------


def _row(name: str, object_class: str, reason: str | None) -> Row:
    return {"file_name": name, "object_class": object_class, "collected": reason is None, "reason": reason}


def _describe(graphic: _Graphic, chosen: set[str], rows: dict[str, Row]) -> None:
    """Rows of the files that the XML names for this graphic (the first graphic that has a file describes it)."""
    for name in dict.fromkeys([*graphic.found, *([graphic.best] if graphic.best else [])]):
        if name in rows and not (name in chosen and graphic.best == name):
            continue
        if name in chosen:
            if graphic.image_id and graphic.best == name:
                rows[name] = _row(name, graphic.object_class, None)
        elif graphic.best and name != graphic.best:
            rows[name] = _rendition(name, graphic.best)
        elif not _is_image(name):
            rows[name] = _row(name, graphic.object_class, "not an image")
        else:
            rows[name] = _row(name, graphic.object_class, f"{graphic.object_class} graphic, no figure names it")


def _rendition(name: str, best: str) -> Row:
    kind = "thumbnail" if _is_thumbnail(name, [best]) else "rendition"
    return _row(name, kind, f"{kind} of {best}")


def _leftover(name: str, graphics: Sequence[_Graphic]) -> Row:
    """Row of a file that no name in the XML leads to."""
    if not _is_image(name):
        return _row(name, "unreferenced", "not an image")
    stem = _without_thumb(_stem(name).lower())
    for graphic in graphics:
        if graphic.best and _stem(graphic.best).lower() == stem:
            return _rendition(name, graphic.best)
    return _row(name, "unreferenced", "no figure names it")
