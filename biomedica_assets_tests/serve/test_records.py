"""Articles, figures and images as served: values of the release, bytes as published, refusals with a reason."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from biomedica_assets.serve.problems import ProblemError
from biomedica_assets.serve.ranges import requested_part
from biomedica_assets_tests.ingest.releases import picture
from biomedica_assets_tests.serve.conftest import tiff


def figures(client, key):
    return client.get(f"/v1/articles/{key}").json()["figures"]


def image_path(client, key, figure=0, image=0):
    return figures(client, key)[figure]["images"][image]["url"]


def test_an_article_by_pmcid_and_by_version(client):
    by_pmcid, by_version = client.get("/v1/articles/pmc11"), client.get("/v1/articles/PMC11.1")
    assert by_pmcid.status_code == 200
    assert by_pmcid.json() == by_version.json()
    found = by_pmcid.json()
    assert (found["article_id"], found["title"]) == ("PMC11.1", "Kidneys of mice")
    assert found["licence"]["group"] == "commercial"
    assert found["url"] == "https://pmc.ncbi.nlm.nih.gov/articles/PMC11/"
    assert [len(figure["images"]) for figure in found["figures"]] == [1, 1]


def test_a_figure_says_everything(client):
    figure_id = figures(client, "PMC12")[0]["figure_id"]
    found = client.get(f"/v1/figures/{figure_id}").json()
    assert "Fundus photograph & <b>bold</b>" in found["caption"]
    assert found["article"]["title"] == "Retinas of men"
    assert "Retinas of men." in found["attribution"]
    assert "https://pmc.ncbi.nlm.nih.gov/articles/PMC12/" in found["attribution"]
    assert "Licence: CC BY-NC" in found["attribution"]
    [image] = found["images"]
    assert (image["media_type"], image["width"], image["height"]) == ("image/jpeg", 640, 480)
    assert (found["labels"], found["panels"], found["entities"]) == ([], [], [])


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/v1/articles/PMC999", 404, "unknown"),
        ("/v1/articles/PMC11.2", 404, "superseded"),
        ("/v1/articles/PMC13", 404, "licence"),
        ("/v1/articles/PMC", 422, "invalid"),
        ("/v1/articles/PMC1;drop", 422, "invalid"),
        ("/v1/articles/PMC99999999999999999999", 422, "invalid"),
        ("/v1/figures/PMC11.1/nothing", 404, "unknown"),
        ("/v1/figures/PMC11/F1", 422, "invalid"),
        ("/v1/images/PMC11.1/F1/99", 404, "unknown"),
        ("/v1/images/PMC11.1/F1/0", 422, "invalid"),
        ("/v1/images/PMC13.1/F1/1", 404, None),
        ("/v1/nothing", 404, "not_found"),
        ("/v1/articles/%00", 422, "invalid"),
        ("/v1/articles/..%2F..%2Fetc%2Fpasswd", 404, "not_found"),
    ],
)
def test_refusals_are_problem_details_with_a_reason(client, path, status, reason):
    reply = client.get(path)
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["status"] == status
    assert problem["request_id"] == reply.headers["x-request-id"]
    if reason:
        assert problem["reason"] == reason
    assert problem["detail"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/search", "GET, POST"),
        ("/v1/stream", "GET, HEAD"),
        ("/v1/images/PMC11.1/F1/1", "GET, HEAD"),
        ("/v1/articles/PMC11", "GET"),
        ("/label", "GET, POST"),
        ("/mcp", "POST"),
    ],
)
def test_a_refused_method_is_told_which_ones_there_are(client, path, methods):
    reply = client.delete(path)
    assert (reply.status_code, reply.json()["reason"]) == (405, "method_not_allowed")
    assert reply.headers["allow"] == methods


def test_the_bytes_are_those_that_were_published(client):
    reply = client.get(image_path(client, "PMC11"))
    assert reply.content == picture(1)
    assert reply.headers["etag"] == f'"{hashlib.sha256(picture(1)).hexdigest()}"'
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["cache-control"] == "public, max-age=86400, immutable"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in reply.headers["content-security-policy"]
    bare = client.get(image_path(client, "PMC11").partition("?")[0])
    assert bare.headers["cache-control"] == "public, no-cache"


def test_ranges_and_conditions(client):
    url, data = image_path(client, "PMC11"), picture(1)
    part = client.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(data)}"
    assert client.get(url, headers={"Range": "bytes=-7"}).content == data[-7:]
    assert client.get(url, headers={"Range": "bytes=5-"}).content == data[5:]
    assert client.get(url, headers={"Range": "bytes=5-", "If-Range": '"other"'}).content == data
    refused = client.get(url, headers={"Range": f"bytes={len(data)}-"})
    assert (refused.status_code, refused.headers["content-range"]) == (416, f"bytes */{len(data)}")
    etag = part.headers["etag"]
    assert client.get(url, headers={"If-None-Match": f'W/"x", W/{etag}'}).status_code == 304
    head = client.head(url)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(data)))


def test_a_tag_that_a_proxy_has_weakened_still_names_the_bytes(client):
    [image] = figures(client, "PMC11")[0]["images"]
    for path in (image["url"], image["thumbnail_url"], "/v1/stream"):
        tag = client.get(path).headers["etag"]
        for given_tags, status in {f'"x", W/{tag}': 304, tag: 304, "*": 304, f'"x{tag[1:]}': 200}.items():
            assert client.get(path, headers={"If-None-Match": given_tags}).status_code == status, (path, given_tags)


def test_what_browsers_do_not_show_is_offered_for_download(client):
    shown, offered = client.head(image_path(client, "PMC11")), client.head(image_path(client, "PMC14"))
    assert shown.headers["content-disposition"].startswith('inline; filename="PMC11.1_')
    assert offered.headers["content-disposition"].startswith('attachment; filename="PMC14.1_')
    assert offered.headers["content-disposition"].endswith('.tif"')
    assert client.get(image_path(client, "PMC14")).content == tiff()


def test_thumbnails(client):
    [deep], [clear] = (figure["images"] for figure in figures(client, "PMC14"))
    reply = client.get(deep["thumbnail_url"])
    assert reply.headers["content-type"] == "image/webp"
    ramp = np.asarray(Image.open(io.BytesIO(reply.content)).convert("L"), dtype=int)
    assert ramp.shape == (50, 100), "smaller images keep their size"
    assert ramp[:, :5].max() < 30, "16 bits are stretched: the darkest is black"
    assert ramp[:, -5:].min() > 225, "and the brightest white"
    small = Image.open(io.BytesIO(client.get(clear["thumbnail_url"] + "&size=160").content))
    assert small.size == (160, 80)
    assert np.asarray(small.convert("L")).min() > 250, "transparent is white"
    again = client.get(clear["thumbnail_url"] + "&size=160", headers={"If-None-Match": reply.headers["etag"]})
    assert again.status_code == 200, "another picture's tag"
    assert client.get(clear["thumbnail_url"] + "&size=161").status_code == 422


def test_documents_of_the_store(client):
    assert client.get("/v1/labels").json() == {"labels": []}
    assert client.get("/v1/subsets").json() == {"subsets": []}
    missing = client.get("/v1/statistics")
    assert (missing.status_code, missing.json()["reason"]) == (503, "no-statistics")
    assert client.get("/v1/health/live").json()["status"] == "live"
    assert client.get("/v1/health/ready").json()["status"] == "ready"


@given(st.integers(1, 5000), st.integers(0, 6000), st.integers(0, 6000))
@settings(max_examples=200)
def test_a_range_lies_in_the_file(size, first, last):
    try:
        part = requested_part(f"bytes={first}-{last}", size)
    except ProblemError as error:
        assert error.status == 416
        assert first >= size
        return
    if last < first:
        assert part is None, "not valid: the whole is sent"
    else:
        assert part == (first, min(size, last + 1) - first)


@given(st.text(max_size=40))
def test_any_range_header_is_a_part_the_whole_or_refused(header):
    try:
        part = requested_part(header, 100)
    except ProblemError as error:
        assert error.status == 416
    else:
        assert part is None or (0 <= part.offset < 100 and 0 < part.length <= 100 - part.offset)
