"""Marked keys of an OpenAI-compatible upstream: they may stand in no reply, header, log line or repr."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes.codex_behaviours import Behaviour, Drop, bad_gateway, challenge, http_error, raw, redirect
from tests.fakes.codex_errors import error_body
from tests.fakes.openai_backend import api_error, quota, rate_limited
from tests.fakes.openai_chat import chat_stream, chunks
from tests.journeys.compatible import GENERATIONS, KEYS, Compatible, Start, compatible
from tests.journeys.gateway import KEY, Host
from tests.journeys.secrets_kept import leaked

PLAIN = "plainkey-own-canary-0123456789-HvYd"
"""A key of no known form, as self-hosted servers have them: only where it was sent can it be told from other words."""
ALL = (*KEYS, PLAIN)
SIGNING = "signing-canary-secret-0123456789-TbXc"
ECHO = " ".join([f"authorization: Bearer {PLAIN}.", *(f"key {key}, authorization: Bearer {key}." for key in KEYS)])
SHORTENED = f"Incorrect API key provided: {KEYS[0][:8]}***{KEYS[0][-4:]}, {PLAIN[:8]}***{PLAIN[-4:]}."
FAULTS: dict[str, Behaviour] = {
    "401": api_error(401, SHORTENED, code="invalid_api_key"),
    "403": api_error(403, ECHO),
    "400": api_error(400, ECHO),
    "404": api_error(404, ECHO),
    "422": http_error(422, {"detail": [{"loc": ["header", "authorization"], "input": f"Bearer {PLAIN}"}]}),
    "429": rate_limited(retry_after="3"),
    "quota": quota(),
    "500": api_error(500, ECHO),
    "html": bad_gateway(),
    "challenge": challenge(),
    "redirect": redirect(f"http://127.0.0.1:9/?key={KEYS[0]}"),
    "200 error": http_error(200, error_body(ECHO)),
    "event": raw(b'data: {"error":{"message":"%b","code":"invalid_request_error"}}\n\n' % ECHO.encode()),
    "header": http_error(200, {"text": "fine"}, {"set-cookie": PLAIN, "x-upstream-key": PLAIN, "via": KEYS[0]}),
    "reset": Drop(),
    "garbage": raw(b"data: {\n\n"),
}


@pytest.fixture(autouse=True)
def verbose(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    fixed: dict[str, Any] = {"keys": ALL, "key_pairs": f"team:{SIGNING}", "log_level": "DEBUG", "max_attempts": 3}
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, **{**fixed, **settings}))


def ask_all(gateway: Compatible) -> list[httpx.Response]:
    messages = [{"role": "user", "content": "Hi"}]
    chat: dict[str, Any] = {"model": "m", "messages": messages}
    responses: dict[str, Any] = {"model": "m", "input": "Hi"}
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/v1/chat/completions", chat),
        ("/v1/responses", responses),
        ("/v1/messages", {**chat, "max_tokens": 9}),
    ]
    asked = [(path, {**body, "stream": streamed}) for path, body in bodies for streamed in (True, False)]
    asked += [("/v1/embeddings", {"model": "m", "input": "Hi"}), ("/v1/images/generations", {"prompt": "Hi"})]
    asked += [("/v1/audio/speech", {"model": "m", "input": "Hi", "voice": "v"})]
    return [gateway.send("POST", path, json=body) for path, body in asked] + [gateway.send("GET", "/v1/models")]


def assert_kept(gateway: Compatible, answers: list[httpx.Response], caplog: Any, capfd: Any, *own: str) -> None:
    said = [f"{answer.headers}\n{answer.text}" for answer in answers]
    said += [gateway.log, *capfd.readouterr()]
    said.append("\n".join(each.getMessage() for each in caplog.records if each.threadName != "MainThread"))
    said.append(f"{gateway.settings!r} {gateway.settings} {gateway.settings.model_dump()} {gateway.settings.problems}")
    found = [(leaked(text, (KEY, *ALL, SIGNING, *own)), text) for text in said]
    assert not any(forms for forms, _ in found), [(forms, text[:1500]) for forms, text in found if forms]


@pytest.mark.parametrize("wire", ["chat", "responses"])
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_keep_the_keys(start: Start, wire: str, fault: str, caplog: Any, capfd: Any) -> None:
    gateway = start(openai_wire=wire)
    for path in (*GENERATIONS, "/models", "/embeddings", "/audio/speech", "/images/generations"):
        gateway.backend.always(FAULTS[fault], path=path)
    assert_kept(gateway, ask_all(gateway), caplog, capfd)


def test_no_object_shows_a_key(start: Start) -> None:
    gateway = start(openai_wire="chat")
    gateway.backend.script(FAULTS["400"], FAULTS["event"])
    ask_all(gateway)
    ours = [each for each in gc.get_objects() if str(type(each).__module__).startswith("lib.")]
    assert len(ours) > 10 and not leaked("\n".join(map(repr, ours)), (KEY, *ALL, SIGNING))


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_failure_in_mid_stream_keeps_the_keys(
    start: Start, path: str, streamed: bool, caplog: Any, capfd: Any
) -> None:
    """Where events are read; what is forwarded unread says what its upstream said."""
    gateway = start(openai_wire="chat")
    failure = {"error": {"message": ECHO, "code": "server_error"}}
    gateway.backend.always(chat_stream(*chunks("Hi")[:2], failure, done=False))
    content: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    content = {"input": "Hi"} if path == "/v1/responses" else content
    answer = gateway.send("POST", path, json={"model": "m", "stream": streamed, **content})
    assert "[removed]" in answer.text
    assert_kept(gateway, [answer], caplog, capfd)


@pytest.mark.parametrize(
    "settings",
    [
        {"openai_api_key": f"{PLAIN} with blanks"},
        {"openai_api_key": f"{PLAIN}\u00e9"},
        {"openai_base_url": f"https://user:{PLAIN}@example.org/v1"},
        {"openai_base_url": f"http://[{PLAIN}"},
        {"openai_wire": PLAIN},
        {"openai_tools": PLAIN},
        {"key_a": SIGNING + " x", "key_b": SIGNING, "signed_base_url": "http://127.0.0.1:9"},
        {"key_pairs": f"{SIGNING}"},
        {"image_bucket": f"s3://{PLAIN}@x"},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_malformed_settings_keep_the_keys(start: Start, settings: Any, caplog: Any, capfd: Any) -> None:
    gateway = start(**settings)
    assert gateway.settings.problems
    assert_kept(gateway, ask_all(gateway)[:2], caplog, capfd)


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_a_key_of_no_known_form_is_hidden_from_the_answer_to_it(start: Start, status: int) -> None:
    gateway = start(keys=(PLAIN,))
    gateway.backend.always(api_error(status, f"key {PLAIN} in {PLAIN}"))
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    answer = gateway.send("POST", "/v1/chat/completions", json=body)
    assert answer.status_code >= 400 and PLAIN not in answer.text
