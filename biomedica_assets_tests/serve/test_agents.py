"""Chat agents: real MCP sessions over stdio and HTTP, function calls, and what agents get wrong."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from biomedica_assets.dataset.filters import Filters
from biomedica_assets.search.generation import build_index
from biomedica_assets.serve.keys import new_key
from biomedica_assets.serve.metrics import Metrics
from biomedica_assets.serve.state import State
from biomedica_assets.serve.tools import TOOLS, ToolError, call
from biomedica_assets.settings import Settings
from biomedica_assets_tests.ingest.releases import DAYS, Art, World, picture
from biomedica_assets_tests.serve.conftest import serving

NAMES = ["search_figures", "get_figure", "find_similar_figures", "get_article", "dataset_statistics"]
SECTIONS = (
    Art(31, title="Fibrosis of livers", caption="H&E stained sections of the liver", year=2019,
        files=(("a.png", picture(31)), ("b.jpg", picture(32, "JPEG", (900, 600))))),
    Art(32, title="Livers again", caption="H&E staining of liver biopsies", year=2021, licence="CC BY-NC",
        files=(("c.png", picture(33)),)),
    Art(33, title="Closed livers", caption="H&E stained liver nobody may see", licence="custom",
        files=(("d.png", picture(34)),)),
    Art(34, title="Retinas", caption="Fundus photograph", files=(("e.png", picture(35)),)),
)  # fmt: skip


def build(root):
    (root / "release").mkdir(parents=True)
    world = World(root, chunk_size=4)
    world.build(DAYS[0], *SECTIONS)
    build_index(world.files)
    return world


@pytest.fixture(scope="module")
def livers(tmp_path_factory):
    return build(tmp_path_factory.mktemp("agents") / "world")


@pytest.fixture(scope="module")
def server(livers):
    with serving(livers) as found:
        yield found


@contextmanager
def a_state(world):
    state = State(Settings(store=world.given["store"], cache=str(world.root / "cache"), _env_file=None), Metrics())
    state.refresh()
    try:
        yield state
    finally:
        state.close()


@pytest.fixture(scope="module")
def state(livers):
    with a_state(livers) as found:
        yield found


def stdio(world):
    environment = {"BIOMEDICA_STORE": world.given["store"], "BIOMEDICA_CACHE": str(world.root / "cache")}
    command = ["-m", "biomedica_assets.cli", "mcp"]
    return stdio_client(
        StdioServerParameters(command=sys.executable, args=command, env={**os.environ, **environment}),
        errlog=Path(os.devnull).open("w"),
    )


def run(coroutine):
    async def bounded():
        async with asyncio.timeout(60):
            return await coroutine

    return asyncio.run(bounded())


async def agent(client, question):
    """What a chat agent does, without a model: looks what tools there are, searches, looks closer, answers citing."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert tools.keys() >= {"search_figures", "get_figure"}
    assert "filters" in tools["search_figures"].input_schema["properties"]
    wanted = re.sub(r"^show me (.*) images of (.*)$", r"\1 \2", question, flags=re.IGNORECASE)
    asked = {"query": wanted, "filters": {"licence_group": ["commercial", "noncommercial"]}, "limit": 2}
    found = await client.call_tool("search_figures", asked)
    assert not found.is_error, found.content
    lines, pictures = [], []
    for hit in found.structured_content["figures"]:
        seen = await client.call_tool("get_figure", {"figure_id": hit["figure_id"], "include_images": True})
        assert not seen.is_error, seen.content
        figure = seen.structured_content
        pictures += [block for block in seen.content if block.type == "image"]
        lines.append(
            f"- {figure['caption']} [{figure['figure_id']}, {figure['licence']}]\n"
            f"  {figure['citation']}. {figure['article_url']}"
        )
    return "\n".join(lines), pictures


def check_answer(text, pictures):
    assert "PMC33" not in text, "not served"
    cited = set(re.findall(r"\[(PMC\d+\.\d+/f\d+), CC BY", text))
    assert cited <= {"PMC31.1/f1", "PMC31.1/f2", "PMC32.1/f1"}
    assert len(cited) == 2
    for line in text.splitlines()[1::2]:
        assert re.fullmatch(
            r"  .*\((2019|2021)\)\. (Fibrosis of livers|Livers again)\. .*PMC3[12], Fig.*"
            r"\. https://pmc\.ncbi\.nlm\.nih\.gov/articles/PMC3[12]/",
            line,
        ), line
    assert pictures
    for block in pictures:
        assert block.mime_type == "image/webp"
        assert max(Image.open(io.BytesIO(base64.b64decode(block.data))).size) <= 640


def test_an_agent_answers_with_citations_over_stdio(livers):
    async def session():
        async with Client(stdio(livers), mode="legacy") as client:
            assert client.server_info.name == "biomedica_assets"
            assert "cite" in client.instructions
            return await agent(client, "Show me H&E images of liver")

    check_answer(*run(session()))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_agent_answers_with_citations_over_http(server, mode):
    async def session():
        async with Client(f"{server.url}/mcp", mode=mode) as client:
            answer = await agent(client, "Show me H&E images of liver")
            found = await client.call_tool("get_figure", {"figure_id": "PMC31.1/f1"})
            return answer, found.structured_content

    answer, figure = run(session())
    check_answer(*answer)
    with server.client() as client:
        shown = client.get(figure["images"][0]["url"])
        assert shown.content == picture(31), "links lead to this server"
        assert client.get(figure["images"][0]["thumbnail_url"]).headers["content-type"] == "image/webp"


def test_sessions_need_a_key_where_there_are_keys(livers, tmp_path):
    key, line = new_key("agent")
    (tmp_path / "keys").write_text(line + "\n")
    with serving(livers, serve_keys=str(tmp_path / "keys")) as served:
        assert served.client().post("/mcp", json={}).status_code == 401

        async def session():
            async with (
                httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http,
                Client(streamable_http_client(f"{served.url}/mcp", http_client=http)) as client,
            ):
                return [tool.name for tool in (await client.list_tools()).tools]

        assert run(session()) == NAMES


def test_pages_of_other_origins_may_not_call(livers, server):
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"Accept": "application/json, text/event-stream"}
    with server.client() as client:

        def post(**more):
            return client.post("/mcp", json=body, headers={**headers, **more})

        assert len(post().json()["result"]["tools"]) == len(NAMES)
        assert post(Origin=server.url).status_code == 200
        refused = post(Origin="https://evil.example")
        assert (refused.status_code, refused.json()["reason"]) == (403, "origin")
        assert post(Host="evil.example").status_code == 421
        assert client.get("/mcp").status_code == 405
        assert client.post("/mcp", content=b"nonsense").status_code == 400
        assert client.post("/mcp", content=b'"' + b"x" * (1 << 19) + b'"').status_code == 413
    with serving(livers, serve_origins="https://site.example") as named, named.client() as client:
        given_origin = {**headers, "Origin": "https://site.example"}
        assert client.post("/mcp", json=body, headers=given_origin).status_code == 200


WRONG = [
    ("search_figures", {"limit": 1000}, "limit: Input should be less than or equal to 25"),
    ("search_figures", {"limit": "many"}, "limit: Input should be a valid integer"),
    ("search_figures", {"qeury": "x"}, "qeury: there is no such argument"),
    ("search_figures", {"filters": {"published_from": "yesterday"}}, "published_from: 'yesterday' is no date"),
    ("search_figures", {"filters": {"colour": "red"}}, "filters.colour: there is no such argument"),
    ("search_figures", {"filters": "red"}, "filters: "),
    ("search_figures", {"cursor": "zz"}, "cursor: this is no cursor"),
    ("get_figure", {}, "figure_id: Field required"),
    ("get_figure", {"figure_id": "../../etc"}, "they look like PMC90000001.1/F1"),
    ("get_figure", {"figure_id": "PMC999.1/F1"}, "unknown: there is no article PMC999.1"),
    ("get_figure", {"figure_id": "PMC31.1/f9"}, "unknown: PMC31.1 has no figure f9"),
    ("get_figure", {"figure_id": "PMC33.1/f1"}, "licence: the licence of PMC33.1 is in group other"),
    ("find_similar_figures", {"figure_id": "PMC31.7/f1"}, "superseded: "),
    ("get_article", {"article": "31"}, "neither a PMCID"),
    ("dataset_statistics", {"count_by": ["colour"]}, "count_by.0: Input should be"),
    ("make_coffee", {}, "unknown: there is no tool 'make_coffee'; there are: search_figures"),
]


def test_wrong_arguments_give_errors_that_say_what_to_do(server):
    async def session():
        async with Client(f"{server.url}/mcp") as client:
            return [await client.call_tool(name, arguments) for name, arguments, _ in WRONG]

    for (name, arguments, words), answer in zip(WRONG, run(session()), strict=True):
        assert answer.is_error, (name, arguments)
        assert words in answer.content[0].text, (name, arguments, answer.content[0].text)


def test_schemas_are_valid_and_stand_for_themselves(server):
    with server.client() as client:
        listed = client.get("/v1/tools").json()
    printed = subprocess.run(
        [sys.executable, "-m", "biomedica_assets.cli", "mcp", "--schema"], capture_output=True, check=True, timeout=60
    ).stdout
    assert json.loads(printed) == listed
    assert [tool["function"]["name"] for tool in listed["tools"]] == NAMES
    for tool in listed["tools"]:
        schema = tool["function"]["parameters"]
        Draft202012Validator.check_schema(schema)
        assert "$ref" not in json.dumps(schema)
        assert (schema["type"], schema["additionalProperties"]) == ("object", False)
        for name, argument in schema["properties"].items():
            assert argument.get("description"), (tool["function"]["name"], name)
    search = Draft202012Validator(listed["tools"][0]["function"]["parameters"])
    assert search.is_valid({"query": "x", "filters": {"licence": ["CC BY"], "width_min": 300}})
    assert not search.is_valid({"limit": 0})
    assert set(listed["tools"][0]["function"]["parameters"]["properties"]["filters"]["properties"]) == set(
        Filters.model_fields
    )


def test_answers_are_as_their_schema_says(server):
    async def session():
        async with Client(f"{server.url}/mcp") as client:
            schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
            calls = (
                ("search_figures", {"query": "liver", "one_per_article": True}),
                ("get_figure", {"figure_id": "PMC31.1/f1"}),
                ("find_similar_figures", {"figure_id": "PMC31.1/f1", "limit": 2}),
                ("get_article", {"article": "pmc31"}),
                ("dataset_statistics", {"query": "liver", "count_by": ["licence", "year"]}),
            )
            return [(schemas[name], await client.call_tool(name, arguments)) for name, arguments in calls]

    answers = run(session())
    for schema, answer in answers:
        assert not answer.is_error, answer.content
        Draft202012Validator(schema).validate(answer.structured_content)
        assert len(answer.content[0].text) < 8000
    search, figure, similar, article, counted = (answer.structured_content for _, answer in answers)
    assert {hit["article_id"] for hit in search["figures"]} >= {"PMC31.1", "PMC32.1"}
    assert figure["attribution"].count("https://pmc.ncbi.nlm.nih.gov/articles/PMC31/") == 1
    assert "PMC31.1/f1" not in [hit["figure_id"] for hit in similar["figures"]]
    assert [line["figure_id"] for line in article["figures"]] == ["PMC31.1/f1", "PMC31.1/f2"]
    assert counted["counts"]["licence"] == {"CC BY": 2, "CC BY-NC": 1}


def test_functions_are_called_over_plain_http(server):
    with server.client() as client:
        listed = client.get("/v1/tools").json()["tools"]
        # As a model would: arguments as a JSON text, filters written into a text of their own.
        written = '{"query": "H&E liver", "filters": "{\\"licence\\": \\"CC BY-NC\\"}"}'
        answer = client.post(f"/v1/tools/{listed[0]['function']['name']}", json=json.loads(written)).json()
        assert [hit["figure_id"] for hit in answer["result"]["figures"]] == ["PMC32.1/f1"]
        asked = {"figure_id": "PMC32/f1", "include_images": True, "image_size": 320}
        figure = client.post("/v1/tools/get_figure", json=asked).json()
        assert (figure["result"]["licence"], figure["result"]["licence_group"]) == ("CC BY-NC", "noncommercial")
        assert base64.b64decode(figure["images"][0]["data"])[8:12] == b"WEBP"
        for name, body, status in (
            ("get_figure", {"figure_id": "PMC999.1/F1"}, 404),
            ("get_figure", {"figure_id": 7}, 422),
            ("get_figure", [], 422),
            ("nothing", {}, 422),
        ):
            problem = client.post(f"/v1/tools/{name}", json=body)
            assert (problem.status_code, problem.headers["content-type"]) == (status, "application/problem+json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = sorted({name for tool in TOOLS.values() for name in tool.arguments.model_fields})


@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(ARGUMENTS), JSON, max_size=4) | JSON)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_an_agent_writes_is_answered_or_refused(state, name, arguments):
    try:
        answer = call(state, name, arguments)
    except ToolError as error:
        assert error.reason in ("invalid", "unknown", "query", "cursor", "no-statistics")
        assert 0 < len(error.detail) <= 1500
    else:
        assert isinstance(answer.data, TOOLS[name].result)


def test_what_is_retracted_is_told(tmp_path):
    world = build(tmp_path / "world")
    world.build(DAYS[1], SECTIONS[0].but(fields={"is_retracted": True}), *SECTIONS[1:])
    with a_state(world) as state:
        with pytest.raises(ToolError, match=r"PMC31\.1 has been withdrawn: .*retracted") as refused:
            call(state, "get_figure", {"figure_id": "PMC31.1/f1"})
        assert refused.value.status == 410
        found = call(state, "search_figures", {"query": "H&E liver"}).data
        assert "PMC31.1" not in {hit.article_id for hit in found.figures}
