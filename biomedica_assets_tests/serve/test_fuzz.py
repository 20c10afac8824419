"""Whatever the OpenAPI description allows, and what it forbids, is answered without a server error."""

from __future__ import annotations

from urllib.parse import quote

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from biomedica_assets.serve.app import create_app
from biomedica_assets.settings import Settings

EXPECTED = {503}
"""Statistics, before the first; an index, before the first."""


def _store(tmp_path_factory):
    return Settings(store=str(tmp_path_factory.mktemp("no") / "store"), _env_file=None)


def test_no_server_error(served):
    schema = schemathesis.openapi.from_url(f"{served.url}/v1/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 15
    for operation in operations:
        _check(served, operation)


def _check(served, operation):
    @given(operation.as_strategy())
    @settings(max_examples=25, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    def calls(case):
        reply = case.call(base_url=served.url, timeout=20)
        where = f"{case.method} {case.formatted_path}: {reply.status_code} {reply.content[:300]!r}"
        assert reply.status_code < 500 or reply.status_code in EXPECTED, where
        if reply.status_code >= 400:
            assert reply.headers["content-type"][0] == "application/problem+json", where

    calls()


PARTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(PARTS, PARTS, PARTS, st.sampled_from(["figures", "images", "articles", "stream", "exports"]))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_address_is_answered(served, one, two, three, kind):
    with served.client() as client:
        path = "/".join(quote(part, safe="@~") for part in (one, two, three))
        for prefix in ("/v1", ""):
            reply = client.get(f"{prefix}/{kind}/{path}")
            assert reply.status_code < 500


def test_the_description_has_a_type_and_an_example_for_what_matters(tmp_path_factory):
    document = create_app(_store(tmp_path_factory)).openapi()
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary"), (path, method)
            assert operation.get("tags"), (path, method)
            if path.startswith("/v1/health/live"):
                continue
            problems = [code for code in operation["responses"] if int(code) >= 400]
            assert problems, (path, method)
    assert document["components"]["schemas"]["SearchBody"]["examples"]
