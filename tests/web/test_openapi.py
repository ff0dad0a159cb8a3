"""The document against the gateway: every example is sent, every answer and error is held against its schema."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from lib.web.openapi_operations import OPERATIONS
from lib.web.setup_clients import CLIENTS
from tests.fakes.redis_server import redis_server
from tests.web.documented import FORM, Demo, data_of, demo, events_of, form_of

EXAMPLES = [
    pytest.param(method, path, kind, title, id=f"{path}-{kind.partition('/')[2]}-{title}")
    for (method, path), operation in OPERATIONS.items()
    for kind, (_, examples) in operation.requests.items()
    for title in examples
]
GETS = [path for method, path in OPERATIONS if method == "GET" and not path.startswith("/v1/responses")]


@pytest.fixture(scope="module")
def gateway() -> Iterator[Demo]:
    with demo() as found:
        yield found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def test_every_endpoint_is_described_and_nothing_else(gateway: Demo) -> None:
    found = {(method, path) for method, path, _ in gateway.operations()}
    assert found == set(OPERATIONS)
    ids = [operation["operationId"] for *_, operation in gateway.operations()]
    assert len(set(ids)) == len(ids)
    assert "get_v1_models_id" in ids


def test_schemas_are_sound_and_every_reference_leads_somewhere(gateway: Demo) -> None:
    document = gateway.document
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for reference in set(references(document)):
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
        assert node


def test_endpoints_that_need_a_key_say_so(gateway: Demo) -> None:
    for _, path, operation in gateway.operations():
        expected: Any = None if path in ("/ping", "/healthz", "/admin") else [{"bearer": []}, {"x-api-key": []}]
        assert operation.get("security") == expected, path


def test_path_parameters_are_described(gateway: Demo) -> None:
    [parameter] = gateway.document["paths"]["/v1/models/{id}"]["get"]["parameters"]
    listed = gateway.document["paths"]["/v1/responses/{id}/input_items"]["get"]["parameters"]
    assert [each["in"] for each in listed] == ["query", "query", "query", "path"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("id", "path", True)


@pytest.mark.parametrize(("method", "path", "kind", "title"), EXAMPLES)
def test_every_example_works_as_it_stands(gateway: Demo, method: str, path: str, kind: str, title: str) -> None:
    operation = gateway.document["paths"][path][method.lower()]
    media = operation["requestBody"]["content"][kind]
    [body] = [example["value"] for example in media["examples"].values() if example["summary"] == title]
    gateway.fits(media["schema"], body)
    answer = gateway.http.request(method, path, **(form_of(body) if kind == FORM else {"json": body}))
    assert answer.status_code == 200, answer.text
    fits_its_schema(gateway, operation, answer)


@pytest.mark.parametrize("path", GETS)
def test_answers_to_get_are_as_described(gateway: Demo, path: str) -> None:
    answer = gateway.http.get(path.replace("{id}", "demo-mini"))
    assert answer.status_code == 200
    fits_its_schema(gateway, gateway.document["paths"][path]["get"], answer)


def test_kept_responses_are_as_described() -> None:
    with redis_server() as server, demo(state_url=server.url) as keeping:
        made = keeping.http.post("/v1/responses", json={"input": "Hi", "store": True}).json()
        for method, rest in (("GET", ""), ("GET", "/input_items"), ("DELETE", "")):
            path = f"/v1/responses/{{id}}{rest}"
            answer = keeping.http.request(method, path.replace("{id}", made["id"]))
            assert answer.status_code == 200
            fits_its_schema(keeping, keeping.document["paths"][path][method.lower()], answer)


@pytest.mark.parametrize("path", [path for method, path in OPERATIONS if method == "POST"])
def test_errors_are_as_described(gateway: Demo, path: str) -> None:
    responses = gateway.document["paths"][path]["post"]["responses"]
    schema = responses["4XX"]["content"]["application/json"]["schema"]
    assert responses["5XX"]["content"]["application/json"]["schema"] == schema
    for answer in (
        gateway.http.post(path, json={"days": 0}),  # of no use to any of them, and nothing else is there
        gateway.http.post(path, content=b"{"),
        gateway.http.post(path, json={}, headers={"authorization": "Bearer wrong"}),
    ):
        assert 400 <= answer.status_code < 500
        gateway.fits(schema, answer.json())
        assert set(responses["4XX"]["headers"]) >= {name for name in ("x-should-retry",) if name in answer.headers}


@pytest.mark.parametrize(
    ("method", "path"), [key for key, operation in OPERATIONS.items() if "403" in operation.errors]
)
def test_what_is_for_the_operator_is_refused_as_described(gateway: Demo, method: str, path: str) -> None:
    key = gateway.http.post("/v1/keys", json={"endpoints": ["*"]}).json()["key"]
    answer = gateway.http.request(method, path, headers={"authorization": f"Bearer {key}"})
    described = gateway.document["paths"][path][method.lower()]["responses"]["403"]
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "local_key_required")
    assert "`local_key_required`" in described["description"]
    gateway.fits(described["content"]["application/json"]["schema"], answer.json())


@pytest.mark.parametrize(
    ("method", "path", "settings", "status"),
    [
        ("POST", "/v1/keys", {"key_secret": ""}, "404"),
        ("GET", "/v1/setup?client=emacs", {}, "404"),
        ("GET", "/v1/setup?client=codex&model=%22", {}, "400"),
    ],
)
def test_further_errors_are_as_described(method: str, path: str, settings: dict[str, str], status: str) -> None:
    with demo(**settings) as found:
        answer = found.http.request(method, path)
        described = found.document["paths"][path.partition("?")[0]][method.lower()]["responses"][status]
        assert answer.status_code == int(status)
        found.fits(described["content"]["application/json"]["schema"], answer.json())


def test_every_form_of_an_answer_is_as_described(gateway: Demo) -> None:
    for path, form, kind in (
        ("/v1/setup", "text", "text/plain"),
        ("/v1/doctor", "text", "text/plain"),
        ("/v1/doctor", "html", "text/html"),
    ):
        answer = gateway.http.get(path, params={"format": form})
        assert answer.headers["content-type"].startswith(kind)
        fits_its_schema(gateway, gateway.document["paths"][path]["get"], answer)


@pytest.mark.parametrize("client", CLIENTS)
def test_every_configuration_is_as_described(gateway: Demo, client: str) -> None:
    answer = gateway.http.get("/v1/setup", params={"client": client})
    fits_its_schema(gateway, gateway.document["paths"]["/v1/setup"]["get"], answer)
    assert answer.json()["client"] == client


def test_the_document_is_made_once_and_without_it_there_is_no_fastapi() -> None:
    code = """
import asyncio, sys
from lib.settings import Settings
from lib.web.app import create_app

def get(app, path):
    sent = []
    async def send(message): sent.append(message)
    async def receive(): return {"type": "http.request", "body": b""}
    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 200, path
    return sent[1]["body"]

app = create_app(Settings(_env_file=None))
get(app, "/docs"), get(app, "/")
assert not {"fastapi", "lib.web.openapi"} & set(sys.modules)
assert get(app, "/openapi.json") is get(app, "/openapi.json")
assert "fastapi" in sys.modules
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def fits_its_schema(gateway: Demo, operation: dict[str, Any], answer: httpx.Response) -> None:
    good = operation["responses"]["200"]
    named = {name for name in answer.headers if name.startswith("x-gateway-")}
    assert named <= set(good["headers"])
    kind = answer.headers["content-type"].partition(";")[0]
    media = good["content"][kind]
    if kind == "application/json":
        gateway.fits(media["schema"], answer.json())
    elif kind == "text/event-stream":
        events = events_of(answer.content)
        assert len(events) > 1 or "image" in str(events)[:100]
        for event in events:
            gateway.fits(data_of(media), event)
    else:
        assert answer.content
