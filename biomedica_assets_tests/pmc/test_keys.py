import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biomedica_assets.pmc import keys

MD5 = "99210445a56f3315af7e95797556bd6b"


def test_article_id_both_ways():
    assert keys.parse_article_id("PMC11370360.10") == (11370360, 10)
    assert keys.format_article_id(11370360, 10) == "PMC11370360.10"
    assert keys.metadata_key("PMC1.1") == "metadata/PMC1.1.json"
    assert keys.xml_key("PMC1.1") == "PMC1.1/PMC1.1.xml"


@pytest.mark.parametrize(
    "text", ["PMC1", "PMC1.", "PMC.1", "1.1", "pmc1.1", "PMC1.1\n", "PMC1.1.1", "PMC١.1", "PMC" + "9" * 30 + ".1", ""]
)
def test_article_id_refused(text):
    with pytest.raises(keys.InvalidArticleIdError):
        keys.parse_article_id(text)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("metadata/PMC10000002.1.json", (10000002, 1)),
        ("metadata/PMC1.12.json", (1, 12)),
        ("metadata/PMC1.json", None),
        ("metadata/PMC1.1.json.gz", None),
        ("deprecated/metadata/PMC1.1.json", None),
        ("metadata/PMC1.1.json\n", None),
    ],
)
def test_metadata_key(key, expected):
    assert keys.parse_metadata_key(key) == expected
    assert bool(keys.METADATA_KEY.fullmatch(key)) == (expected is not None)


def test_private_range_is_a_nine_and_eleven_digits():
    assert keys.is_private(900000000000)
    assert keys.is_private(999999999999)
    assert not keys.is_private(13516851)
    assert not keys.is_private(1000000000000)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"s3://b/PMC1.1/PMC1.1.xml?md5={MD5}", ("b", "PMC1.1/PMC1.1.xml", MD5)),
        (f"s3://b/PMC1.1/a b+c#d.jpg?md5={MD5.upper()}", ("b", "PMC1.1/a b+c#d.jpg", MD5)),
        (f"s3://b/PMC1.1/a%20b.jpg?md5={MD5}", ("b", "PMC1.1/a%20b.jpg", MD5)),
        (f"s3://b/PMC1.1/what?.jpg?versionId=x&md5={MD5}", ("b", "PMC1.1/what?.jpg", MD5)),
        ("s3://b/PMC1.1/x.jpg", ("b", "PMC1.1/x.jpg", None)),
        ("s3://b/PMC1.1/what?.jpg", ("b", "PMC1.1/what?.jpg", None)),
    ],
)
def test_object_url(url, expected):
    assert keys.parse_object_url(url) == expected


@pytest.mark.parametrize("url", ["", "s3://b", "s3:///k", "https://b/k", "b/k", "s3://b/k?md5=12", "s3://b/k?md5="])
def test_object_url_refused(url):
    with pytest.raises(keys.InvalidObjectUrlError):
        keys.parse_object_url(url)


def test_spellings():
    assert keys.spellings("V/a.jpg") == ("V/a.jpg",)
    assert keys.spellings("V/a%20b.jpg") == ("V/a%20b.jpg", "V/a b.jpg")


@pytest.mark.parametrize("name", ["x-g001.jpg", "sub/x.jpg", "a b.jpg", "Ünï.png", "..x.jpg", "a%20b.jpg", "100%.gif"])
def test_safe_member(name):
    assert keys.safe_member("PMC1.1", f"PMC1.1/{name}") == name


@pytest.mark.parametrize(
    "key",
    [
        "PMC1.2/x.jpg",
        "PMC1.10/x.jpg",
        "x.jpg",
        "/PMC1.1/x.jpg",
        "PMC1.1/",
        "PMC1.1//x.jpg",
        "PMC1.1/../PMC2.1/x.jpg",
        "PMC1.1/./x.jpg",
        "PMC1.1/%2e%2e/x.jpg",
        "PMC1.1/..%2fx.jpg",
        "PMC1.1/a\\b.jpg",
        "PMC1.1/a%5Cb.jpg",
        "PMC1.1/C:/x.jpg",
        "PMC1.1/c:x.jpg",
        "PMC1.1/a\nb.jpg",
        "PMC1.1/a%00.jpg",
        "PMC1.1/\ud800.jpg",
        "PMC1.1/" + "a" * 1024,
    ],
)
def test_unsafe_member(key):
    with pytest.raises(keys.UnsafeKeyError):
        keys.safe_member("PMC1.1", key)


@given(st.text(max_size=60))
def test_whatever_is_accepted_stays_below_the_prefix(tail):
    try:
        name = keys.safe_member("PMC1.1", f"PMC1.1/{tail}")
    except keys.UnsafeKeyError:
        return
    assert not re.search(r"(^|/)\.\.?(/|$)|[\\\x00-\x1f]|^[A-Za-z]:|//", name)


@given(st.text(min_size=1, max_size=60).filter(lambda s: "?" not in s and s == s.strip()))
def test_object_url_round_trip(key):
    assert keys.parse_object_url(keys.format_object_url("b", key, MD5)) == ("b", key, MD5)
