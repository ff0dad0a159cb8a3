from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import jsonschema
import msgspec
import pytest

from tests.fakes import tokens
from tests.fakes.codex_accounts import CLIENT_ID
from tests.fakes.codex_backend import COMPACT, EDITS, GENERATIONS, MODELS, RESPONSES, TOKEN, USAGE, CodexBackend
from tests.fakes.codex_behaviours import Never, challenge, raw, redirect, stream, token_refused, usage_limit
from tests.fakes.codex_requests import PNG, Fields, body, call, function, headers, post, result, said, send
from tests.fakes.codex_streams import STREAMS, TERMINAL, load, parse


@pytest.fixture
def backend() -> Iterator[CodexBackend]:
    with CodexBackend() as running:
        yield running


def test_methods_and_paths(backend: CodexBackend) -> None:
    assert send("GET", backend.url + RESPONSES).status_code == 405
    assert send("GET", backend.url + RESPONSES, headers={"upgrade": "websocket"}).status_code == 426
    assert send("POST", backend.url + "/backend-api/codex/chat/completions").json() == {"detail": "Not Found"}
    backend.blocked = True
    assert "Just a moment" in send("GET", backend.url + MODELS).text


def test_models_need_a_client_version_and_depend_on_it_and_on_the_plan(backend: CodexBackend) -> None:
    def slugs(version: str) -> list[str]:
        found = send("GET", f"{backend.url}{MODELS}?client_version={version}", headers=headers()).json()["models"]
        return [entry["slug"] for entry in found]

    assert send("GET", backend.url + MODELS, headers=headers()).status_code == 400
    assert "gpt-5.6-sol" in slugs("0.154.0")
    assert slugs("0.124.0") == ["gpt-5.5", "codex-auto-review"]
    backend.accounts["acct-1"].plan = "free"
    assert slugs("0.154.0") == ["gpt-5.5", "gpt-5.6-luna"]


def test_an_exhausted_account_is_429_until_its_reset(backend: CodexBackend) -> None:
    backend.accounts["acct-1"].exhausted_until = time.time() + 60
    answer = post(backend, body())
    assert answer.status_code == 429
    assert answer.json()["error"]["type"] == "usage_limit_reached"
    assert answer.headers["x-codex-primary-used-percent"] == "100"
    assert send("GET", backend.url + USAGE, headers=headers()).json()["rate_limit"]["limit_reached"] is True


def test_scripts_are_consumed_one_by_one_and_by_account_first(backend: CodexBackend) -> None:
    backend.script(challenge(), token_refused())
    backend.script(usage_limit(60), account="acct-2")
    accounts = ("acct-1", "acct-2", "acct-1", "acct-1")
    statuses = [send("POST", backend.url + RESPONSES, json=body(), headers=headers(a)).status_code for a in accounts]
    assert statuses == [403, 429, 401, 200]
    assert backend.scripts_left() == 0
    assert [request.account for request in backend.generations] == list(accounts)


def test_a_refused_request_consumes_no_script(backend: CodexBackend) -> None:
    backend.script(redirect("http://127.0.0.1:1/"))
    assert post(backend, body(store=True)).status_code == 400
    assert post(backend, body()).headers["location"] == "http://127.0.0.1:1/"


@pytest.mark.parametrize("path", sorted(STREAMS.glob("*.sse")), ids=lambda path: path.stem)
def test_example_streams_are_well_formed_and_arrive_as_they_are(backend: CodexBackend, path: Any) -> None:
    events = load(path.stem)
    backend.script(stream(path.stem, cut=50))
    answer = post(backend, body())
    assert answer.content == path.read_bytes()
    numbered = [event["sequence_number"] for event in events if event["type"] != "codex.rate_limits"]
    assert numbered == list(range(len(numbered)))
    assert (events[-1]["type"] in TERMINAL) == (path.stem != "truncated")


BYTES: list[tuple[dict[str, Any], Callable[[httpx.Response], bool]]] = [
    ({"encoding": "gzip"}, lambda answer: answer.headers["content-encoding"] == "gzip"),
    ({"crlf": True}, lambda answer: b"\r\n\r\n" in answer.content),
    ({"event_lines": False}, lambda answer: b"event:" not in answer.content),
    ({"content_type": None}, lambda answer: "content-type" not in answer.headers),
    ({"cut_utf8": True}, lambda answer: "🌊" in answer.text),
    ({"cut": 1}, lambda answer: "🌊" in answer.text),
    ({"one_delta": True}, lambda answer: answer.text.count("event: response.output_text.delta") == 1),
    ({"huge_bytes": 1 << 20}, lambda answer: len(answer.content) > 1 << 20),
    ({"keepalives": 2}, lambda answer: answer.text.count("event: keepalive") == 2),
    ({"rate_limits_first": True}, lambda answer: answer.text.startswith("event: codex.rate_limits")),
    ({"empty_output": True}, lambda answer: parse(answer.content)[-1]["response"]["output"] == []),
    ({"extra": [{"type": "late"}]}, lambda answer: parse(answer.content)[-1] == {"type": "late"}),
    ({"truncate_after": 5, "drop_bytes": 9}, lambda answer: not answer.content.endswith(b"\n")),
]


@pytest.mark.parametrize(("options", "holds"), BYTES)
def test_stream_options(
    backend: CodexBackend, options: dict[str, Any], holds: Callable[[httpx.Response], bool]
) -> None:
    backend.script(stream(**options))
    answer = post(backend, body())
    assert answer.status_code == 200
    assert holds(answer)


@pytest.mark.parametrize("options", [{"reset_after": 4}, {"close_after": 4}])
def test_a_broken_connection_is_seen_by_the_client(backend: CodexBackend, options: dict[str, Any]) -> None:
    backend.script(stream(**options))
    with pytest.raises(httpx.TransportError):
        post(backend, body())
    assert backend.wait_closed()
    assert not backend.requests[0].client_left


@pytest.mark.parametrize(("behaviour", "left"), [(stream(stall_after=4), True), (stream(keep_open=True), False)])
def test_a_client_that_leaves_is_noticed(backend: CodexBackend, behaviour: Any, left: bool) -> None:
    backend.script(behaviour)
    with httpx.stream(
        "POST", backend.url + RESPONSES, verify=False, trust_env=False, json=body(), headers=headers()
    ) as answer:
        received = b""
        for chunk in answer.iter_raw():
            received += chunk
            if b"response.completed\n" in received or received.count(b"\n\n") == 4 and left:
                assert not backend.requests[0].closed.is_set()
                break
    assert backend.wait_closed()
    assert backend.requests[0].client_left is left
    assert backend.connections == 0


def test_headers_can_stay_away_for_ever(backend: CodexBackend) -> None:
    backend.always(Never())
    with pytest.raises(httpx.ReadTimeout):
        send("POST", backend.url + RESPONSES, json=body(), headers=headers(), timeout=0.1)
    assert backend.wait_closed()
    assert backend.requests[0].client_left


def test_raw_bytes_under_200(backend: CodexBackend) -> None:
    backend.script(raw(b"<html>", content_type="text/html"), raw(b""))
    assert [post(backend, body()).content for _ in range(2)] == [b"<html>", b""]


def test_the_answer_reacts_to_the_request(backend: CodexBackend) -> None:
    def output(**changes: Any) -> list[Fields]:
        items: list[Fields] = parse(post(backend, body(**changes)).content)[-1]["response"]["output"]
        return items

    assert output()[0]["content"][0]["text"] == "You said: Hej 🌊"
    assert output(reasoning={"summary": "auto"})[0]["encrypted_content"].startswith("gAAA")
    [made] = output(tools=[function()], tool_choice="required")
    jsonschema.validate(msgspec.json.decode(made["arguments"]), function()["parameters"])
    assert [item["type"] for item in output(tools=[{"type": "web_search"}])] == ["web_search_call", "message"]
    after = output(input=[said("dive"), call(), result()], tools=[function()])
    assert after[0]["content"][0]["text"] == "The tool said: 42"
    two = [function(), function(name="swim")]
    assert [item["name"] for item in output(input=[said("dive and swim")], tools=two)] == ["dive", "swim"]


def test_compact_images_and_their_rules(backend: CodexBackend) -> None:
    shrink = {"model": "gpt-5.5", "instructions": "", "input": [said("a")], "parallel_tool_calls": False}
    compacted = post(backend, shrink, COMPACT).json()
    assert compacted["output"][-1]["type"] == "compaction"
    assert post(backend, {**shrink, "stream": True}, COMPACT).status_code == 400
    picture = {"model": "gpt-image-2", "prompt": "a buoy", "n": 2}
    assert len(post(backend, picture, GENERATIONS).json()["data"]) == 2
    assert post(backend, {**picture, "size": "100x100"}, GENERATIONS).status_code == 400
    assert post(backend, {**picture, "images": [{"image_url": PNG}]}, EDITS).status_code == 200
    assert post(backend, picture, EDITS).status_code == 400


def test_refresh_tokens_are_good_for_one_use(backend: CodexBackend) -> None:
    form = {"client_id": CLIENT_ID, "grant_type": "refresh_token", "refresh_token": backend.authority.issue("acct-3")}
    first = send("POST", backend.url + TOKEN, json=form).json()
    claims = tokens.claims(first["access_token"])
    assert claims is not None
    assert claims[tokens.AUTH_CLAIM]["chatgpt_account_id"] == "acct-3"
    again = send("POST", backend.url + TOKEN, data=form)
    assert (again.status_code, again.json()["error"]["code"]) == (401, "refresh_token_reused")
    backend.authority.omit = frozenset({"id_token"})
    rotated = send("POST", backend.url + TOKEN, json={**form, "refresh_token": first["refresh_token"]})
    assert "id_token" not in rotated.json()


def test_bytes_that_are_not_http_are_an_error_of_the_test() -> None:
    with pytest.raises(AssertionError, match="not HTTP"), CodexBackend() as backend:
        port = int(backend.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
            assert connection.recv(1) == b""
