"""Names in the XML against names of files: every way in which they differ, and what must not be joined."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.images import match_graphics


@dataclass
class Named:
    """What matching uses of an article."""

    images: list[dict[str, Any]]
    renditions: dict[str, list[str]] = field(default_factory=dict)
    objects: list[dict[str, Any]] = field(default_factory=list)


def article(*hrefs: str, renditions: dict[str, list[str]] | None = None, **others: str) -> Any:
    """Figures' hrefs in order (image ids 1, 2 ...); others: object class of each further name, dots as __."""
    return Named(
        [{"image_id": str(n), "href": href} for n, href in enumerate(hrefs, 1)],
        renditions or {},
        [{"file_name": name.replace("__", "."), "object_class": kind} for name, kind in others.items()],
    )


def files(named: Any, *names: str, sizes: dict[str, int] | None = None) -> list[str | None]:
    matching = match_graphics(named, names, sizes)
    return [matching.files.get(image["image_id"]) for image in named.images]


def rows(named: Any, *names: str, sizes: dict[str, int] | None = None) -> dict[str, tuple[str, str | None]]:
    found = match_graphics(named, names, sizes).objects
    assert len({row["file_name"] for row in found}) == len(found)
    assert all(row["collected"] == (row["reason"] is None) for row in found)
    return {row["file_name"]: (row["object_class"], row["reason"]) for row in found}


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("gr1.jpg", "gr1.jpg"),
        ("gr1.jpg", "sub/gr1.jpg"),
        ("images/gr1.jpg", "gr1.jpg"),
        ("gr1.JPG", "GR1.jpg"),
        ("gr%201.jpg", "gr 1.jpg"),
        ("gr 1.jpg", "gr%201.jpg"),
        ("a&amp;b.png", "a&b.png"),
        ("u\u0308ber.png", "über.png"),
        ("gr1", "gr1.jpg"),
        ("gr1", "gr1.PNG"),
        ("gr1.tif", "gr1.jpg"),
        ("gr1.eps", "gr1.gif"),
        ("gr1.ai", "GR1.webp"),
        ("1471-2164-9-S1-S1-1", "1471-2164-9-S1-S1-1.jpg"),
        ("pone.0000010.g001", "pone.0000010.g001.tif"),
        ("info:doi/10.1371/journal.pone.0000010.g001", "journal.pone.0000010.g001.png"),
        ("info:doi/10.1371/journal.pone.0000010.g001", "pone.0000010.g001.PNG"),
        ("pone.0000010.g001", "journal.pone.0000010.g001.png"),
        ("BCRI2011-164197.001", "BCRI2011-164197.001.jpg"),
    ],
)
def test_spellings_of_one_name(href: str, name: str) -> None:
    assert files(article(href, "other"), name, "other.jpg") == [name, "other.jpg"]


@pytest.mark.parametrize(
    ("href", "names"),
    [
        ("gr1.jpg", ["gr10.jpg", "gr1a.jpg", "xgr1.jpg"]),
        ("gr1", ["a/gr1.jpg", "b/gr1.jpg"]),
        ("gr1.JPG", ["Gr1.jpg", "gR1.jpg"]),
        ("pone.0000010.g001", ["pone.0000010.g002.tif"]),
        ("gr1", ["gr1.pdf", "gr1.xlsx"]),
        ("https://example.org/", ["x.jpg"]),
    ],
)
def test_what_is_not_or_not_surely_the_same_name(href: str, names: list[str]) -> None:
    named = article(href)
    assert files(named, *names) == [None]
    assert rows(named, *names)[href] == ("figure", "named by the XML, not in the release")


def test_exact_names_go_before_looser_ones() -> None:
    names = ["Gr1.jpg", "gr1.jpg", "gr1.png", "x/gr1.jpg"]
    assert files(article("gr1.jpg", "Gr1.jpg", "x/gr1.jpg"), *names) == ["gr1.jpg", "Gr1.jpg", "x/gr1.jpg"]
    # What the first has by its exact name is not there for the second.
    assert files(article("gr1.jpg", "gr1.tif"), "gr1.jpg") == ["gr1.jpg", None]
    assert files(article("gr1.tif", "gr1.jpg"), "gr1.jpg") == [None, "gr1.jpg"]


def test_a_file_that_two_names_fit_goes_to_neither() -> None:
    assert files(article("a/gr1.jpg", "b/gr1.jpg"), "gr1.jpg") == [None, None]


def test_a_name_written_twice_is_one_file_twice() -> None:
    assert files(article("gr1.jpg", "gr1.jpg", "GR1.jpg"), "gr1.jpg") == ["gr1.jpg"] * 3
    assert files(article("gr1", "gr1"), "gr1.jpg", "gr1.gif") == ["gr1.jpg"] * 2
    assert rows(article("gr1", "gr1"), "gr1.jpg") == {"gr1.jpg": ("figure", None)}


def test_old_packages_hold_a_thumbnail_of_each_figure() -> None:
    """As in PMC12419688's package: koaf197f1.jpg of 71,874 bytes beside koaf197f1.gif of 5,009."""
    names = ["koaf197f1.gif", "koaf197f1.jpg", "koaf197.pdf"]
    expected = {
        "koaf197f1.jpg": ("figure", None),
        "koaf197f1.gif": ("thumbnail", "thumbnail of koaf197f1.jpg"),
        "koaf197.pdf": ("unreferenced", "not an image"),
    }
    assert rows(article("koaf197f1"), *names) == expected
    assert rows(article("koaf197f1"), *names, sizes=dict(zip(names, (5009, 71_874, 206_006), strict=True))) == expected
    assert rows(article("koaf197f1.jpg"), *names) == expected
    assert rows(article("koaf197f1.gif"), *names) == expected
    assert rows(article("koaf197f1.tif"), *names) == expected


@pytest.mark.parametrize(
    ("names", "sizes", "best"),
    [
        (["f.jpg", "f.tif"], None, "f.jpg"),
        (["f.tif", "f.png"], {"f.tif": 9_000_000, "f.png": 80_000}, "f.png"),
        (["f.gif", "f.tif"], None, "f.tif"),
        (["f.gif"], None, "f.gif"),
        (["f.tiff"], None, "f.tiff"),
        (["f.jpg", "f.png"], {"f.jpg": 10, "f.png": 20}, "f.png"),
        (["f.jpg", "f.png"], {"f.jpg": 20, "f.png": 10}, "f.jpg"),
        (["f.gif", "f.jpg"], {"f.gif": 30, "f.jpg": 10}, "f.gif"),
        (["f.jpg", "f.pdf", "f.eps", "f.svg"], None, "f.jpg"),
    ],
)
def test_best_of_several_files_of_one_stem(names: list[str], sizes: dict[str, int] | None, best: str) -> None:
    assert files(article("f"), *names, sizes=sizes) == [best]
    assert files(article("f"), *reversed(names), sizes=sizes) == [best]


def test_alternatives_are_one_image() -> None:
    """Taylor & Francis: a colour and a print version of one picture (PMC7849732)."""
    named = article("f0001_OC.jpg", renditions={"1": ["f0001_OC.jpg", "f0001_PB.jpg"]})
    names = ["f0001_OC.jpg", "f0001_PB.jpg"]
    expected = {"f0001_OC.jpg": ("figure", None), "f0001_PB.jpg": ("rendition", "rendition of f0001_OC.jpg")}
    assert rows(named, *names) == expected
    assert files(named, *names, sizes={"f0001_OC.jpg": 10, "f0001_PB.jpg": 20}) == ["f0001_PB.jpg"]
    assert rows(named, "f0001_PB.jpg") == {
        "f0001_PB.jpg": ("figure", None),
        "f0001_OC.jpg": ("figure", "named by the XML, not in the release"),
    }
    assert rows(named, "f0001_OC.jpg")["f0001_PB.jpg"] == ("rendition", "named by the XML, not in the release")


def test_alternatives_of_other_formats() -> None:
    named = article("f1.tif", renditions={"1": ["f1_web.jpg", "f1_thumb.gif"]})
    assert rows(named, "f1.tif", "f1_web.jpg", "f1_thumb.gif") == {
        "f1.tif": ("rendition", "rendition of f1_web.jpg"),
        "f1_web.jpg": ("figure", None),
        "f1_thumb.gif": ("thumbnail", "thumbnail of f1_web.jpg"),
    }


def test_thumbnails_by_name() -> None:
    assert rows(article("f1.jpg"), "f1.jpg", "f1_thumb.jpg", "f1-thumb.png", "f2_thumb.jpg") == {
        "f1.jpg": ("figure", None),
        "f1_thumb.jpg": ("thumbnail", "thumbnail of f1.jpg"),
        "f1-thumb.png": ("thumbnail", "thumbnail of f1.jpg"),
        "f2_thumb.jpg": ("unreferenced", "no figure names it"),
    }


def test_panels_are_separate_images() -> None:
    names = [f"entropy-g004{letter}.jpg" for letter in "abcd"]
    assert files(article(*names), *names) == names


def test_every_other_file_has_a_row_with_its_class_and_a_reason() -> None:
    named = article(
        "g1.jpg",
        e001__gif="formula",
        t1__jpg="table",
        mmc1__pdf="supplement",
        movie__mp4="media",
        gone__xls="supplement",
    )
    assert rows(named, "g1.jpg", "e001.gif", "t1.jpg", "mmc1.pdf", "movie.mp4", "stray.jpg", "stray.doc") == {
        "g1.jpg": ("figure", None),
        "e001.gif": ("formula", "formula graphic, no figure names it"),
        "t1.jpg": ("table", "table graphic, no figure names it"),
        "mmc1.pdf": ("supplement", "not an image"),
        "movie.mp4": ("media", "not an image"),
        "gone.xls": ("supplement", "named by the XML, not in the release"),
        "stray.jpg": ("unreferenced", "no figure names it"),
        "stray.doc": ("unreferenced", "not an image"),
    }


def test_a_figure_whose_file_no_browser_shows() -> None:
    assert rows(article("movie.mp4"), "movie.mp4") == {"movie.mp4": ("figure", "not an image")}


def test_a_supplement_does_not_take_a_figures_file() -> None:
    named = article("f1", f1__pdf="supplement")
    assert files(named, "f1.jpg") == ["f1.jpg"]
    assert rows(named, "f1.jpg")["f1.pdf"] == ("supplement", "named by the XML, not in the release")


def test_one_file_of_a_figure_and_of_a_table_is_the_figures() -> None:
    named = article("x.jpg")
    named.objects = [{"file_name": "X.jpg", "object_class": "table"}]
    assert rows(named, "x.jpg") == {"x.jpg": ("figure", None)}


def test_nothing_named_nothing_there() -> None:
    assert match_graphics(article(), []).objects == []
    assert rows(article(), "a.jpg") == {"a.jpg": ("unreferenced", "no figure names it")}


_NAME = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "a/", "info:doi/10.1/journal."]),
    st.sampled_from(["f1", "F1", "f2", "f1_thumb", "f%201", "f 1"]),
    st.sampled_from(["", ".jpg", ".JPG", ".gif", ".tif", ".pdf"]),
)


@given(
    st.lists(_NAME, max_size=5),
    st.lists(_NAME, max_size=3),
    st.lists(_NAME, max_size=6, unique=True),
    st.none() | st.dictionaries(_NAME, st.integers(0, 9)),
)
def test_laws(hrefs: list[str], objects: list[str], names: list[str], sizes: dict[str, int] | None) -> None:
    named = article(*hrefs, **dict.fromkeys(objects, "formula"))
    matching = match_graphics(named, names, sizes)
    assert matching == match_graphics(named, names[::-1], sizes)
    assert set(matching.files.values()) <= set(names)
    for image in named.images:  # an exact name is never given to another graphic
        best = matching.files.get(image["image_id"])
        if best in hrefs and best != image["href"]:
            assert image["href"].lower().replace("%20", " ") == best.lower().replace("%20", " ")
    found = {row["file_name"]: row for row in matching.objects}
    assert len(found) == len(matching.objects)
    assert set(names) <= found.keys() <= {*names, *hrefs, *objects}
    assert {name for name, row in found.items() if row["collected"]} == set(matching.files.values())
    assert all(
        (row["reason"] == "named by the XML, not in the release") == (n not in names) for n, row in found.items()
    )
