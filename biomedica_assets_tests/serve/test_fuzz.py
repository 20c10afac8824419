"""Whatever the OpenAPI description allows, and what it forbids, is answered without a server error."""

from __future__ import annotations

from collections import Counter
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from biomedica_assets.serve.app import create_app
from biomedica_assets.settings import Settings

EXPECTED = {503}
"""Statistics, before the first; an index, before the first."""


def _store(tmp_path_factory):
    return Settings(store=str(tmp_path_factory.mktemp("no") / "store"), _env_file=None)


def wrong_values_are_rejected(ctx, response, case):
    """As Schemathesis checks it, but for what an address cannot say: null and {} arrive as texts, which may be good."""

    def unsayable(value):
        return value is None or value == {} or (isinstance(value, list) and any(map(unsayable, value)))

    if any(unsayable(value) for value in (case.query or {}).values()):
        return None
    return negative_data_rejection(ctx, response, case)


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    wrong_values_are_rejected,
]
KNOWN = {"article_id": "PMC11.1", "article": "PMC11", "figure": "f1", "ordinal": 1}
"""So that half the cases are about something that is there."""


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_every_operation_answers_as_described(served, mode):
    schema = schemathesis.openapi.from_url(f"{served.url}/v1/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 18
    answered = Counter()
    for operation in operations:
        try:
            strategy = operation.as_strategy(generation_mode=mode)
            _check(served, operation, strategy, mode, answered)
        except Unsatisfiable:  # nothing about it can be wrong: it takes no parameters
            assert mode is GenerationMode.NEGATIVE
    assert not {status for status in answered if status >= 500} - EXPECTED
    assert answered[422] if mode is GenerationMode.NEGATIVE else answered[200] and answered[404]


def _check(served, operation, strategy, mode, answered):
    # This schemathesis misreads arrays of fixed length (prefixItems) below further arrays.
    checks = [
        check for check in CHECKS if operation.path != "/v1/statistics" or check is not response_schema_conformance
    ]

    @given(strategy, st.booleans())
    @settings(max_examples=20, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    def calls(case, known):
        if known and mode is GenerationMode.POSITIVE:
            case.path_parameters = {
                name: KNOWN.get(name, value) for name, value in (case.path_parameters or {}).items()
            }
        reply = case.call(base_url=served.url, timeout=20)
        if len(reply.request.url) > 60_000:  # uvicorn itself refuses an address of 64 kB, in its own words
            assert reply.status_code < 500
            return
        answered[reply.status_code] += 1
        if reply.status_code not in EXPECTED:
            case.validate_response(reply, checks=checks)
        if reply.status_code >= 400:
            assert reply.headers["content-type"][0] == "application/problem+json", (case.as_curl_command(), reply.text)

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
