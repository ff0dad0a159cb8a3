"""The OpenAI-compatible upstream over real sockets, on both wires, against an API that is as strict as OpenAI's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from lib.errors import UpstreamError, Verdict
from lib.types import Lease, Model
from lib.upstreams.http import HttpClients
from lib.upstreams.openai import Wire
from tests.canonical.agreement import accumulated, assert_agreement
from tests.fakes.codex_behaviours import Behaviour, Never, http_error, raw, redirect, stream
from tests.fakes.openai_backend import CHAT, MODELS, RESPONSES, OpenAIBackend, api_error, quota, rate_limited
from tests.fakes.openai_chat import chat_stream, chunk, chunks, completion
from tests.upstreams.openai_asking import LEASE, TIMEOUTS, TOOL, ask, assistant, models, request, upstream, user

WIRES: tuple[Wire, ...] = ("chat", "responses")


@pytest.fixture
def backend() -> Iterator[OpenAIBackend]:
    with OpenAIBackend() as running:
        yield running


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_arrives_and_the_client_names_itself(backend: OpenAIBackend, wire: Wire) -> None:
    read = ask(backend.url, wire=wire)
    assert read.text == "You said: Hello"
    assert read.types[0] == "response.created" and read.types[-1] == "response.completed"
    seen = backend.requests[-1]
    assert seen.path == (CHAT if wire == "chat" else RESPONSES)
    assert seen.headers["user-agent"] == "chat2api" and seen.headers["authorization"] == "Bearer sk-test"
    assert seen.headers["accept"] == "text/event-stream" and seen.json["stream"] is True


@pytest.mark.parametrize("wire", WIRES)
def test_a_tool_is_called_and_its_output_read(backend: OpenAIBackend, wire: Wire) -> None:
    first = ask(backend.url, request(user("Please look_up this"), tools=[TOOL]), wire=wire)
    [(name, arguments, call_id)] = first.calls
    assert name == "look_up" and arguments
    output = {"type": "function_call_output", "call_id": call_id, "output": "42"}
    history = [user("Please look_up this"), *first.output, output]
    assert ask(backend.url, request(*history, tools=[TOOL]), wire=wire).text == "The tool said: 42"


@pytest.mark.parametrize("wire", WIRES)
def test_a_conversation_with_a_call_that_was_never_answered_is_taken(backend: OpenAIBackend, wire: Wire) -> None:
    call = {"type": "function_call", "call_id": "call_1" * 20, "name": "a.very/odd:name", "arguments": "{}"}
    question = request(user("Hi"), assistant("Yes?"), call, user("Never mind"))
    assert ask(backend.url, question, wire=wire).text == "You said: Never mind"


@pytest.mark.parametrize("options", [{}, {"cut": 1}, {"cut": 7, "crlf": True}, {"done": False}, {"keep_open": True}])
def test_a_chat_does_not_depend_on_its_packaging(backend: OpenAIBackend, options: dict[str, object]) -> None:
    said = chunks("It is warm – 20 °C", reasoning="Let me think.", calls=[("look_up", '{"q":"°"}'), ("other", "{}")])
    backend.script(chat_stream(*said, **options))
    started = time.monotonic()
    read = ask(backend.url, request(tools=[TOOL]))
    assert time.monotonic() - started < 1.5
    assert read.text == "It is warm – 20 °C"
    assert read.output[0]["summary"] == [{"type": "summary_text", "text": "Let me think."}]
    assert read.calls == [("look_up", '{"q":"°"}', "call_0"), ("other", "{}", "call_1")]
    assert read.response["usage"] == {
        "input_tokens": 21,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 30,
    }
    assert_agreement(read.events)
    assert len(accumulated(read.events)) == 4


@pytest.mark.parametrize("name", ["reasoning", "function_call", "parallel_calls", "image", "empty_completed_output"])
@pytest.mark.parametrize("options", [{}, {"cut": 7, "crlf": True}, {"event_lines": False}, {"encoding": "gzip"}])
def test_a_response_does_not_depend_on_its_packaging(
    backend: OpenAIBackend, name: str, options: dict[str, object]
) -> None:
    backend.script(stream(name, **options), path=RESPONSES)
    read = ask(backend.url, wire="responses")
    assert read.types[0] == "response.created" and read.output


def test_a_server_that_answers_in_one_piece_is_understood(backend: OpenAIBackend) -> None:
    backend.script(http_error(200, completion(chunks("Whole", reasoning="Hm", calls=[("look_up", "{}")]))))
    read = ask(backend.url, request(tools=[TOOL]))
    assert read.text == "Whole" and read.calls == [("look_up", "{}", "call_0")]
    assert_agreement(read.events)


def test_a_response_in_one_piece_is_understood(backend: OpenAIBackend) -> None:
    response = {
        "id": "resp_1",
        "object": "response",
        "status": "incomplete",
        "error": None,
        "output": [assistant("Hi")],
    }
    backend.script(http_error(200, response | {"incomplete_details": {"reason": "max_output_tokens"}}), path=RESPONSES)
    read = ask(backend.url, wire="responses")
    assert read.types[0] == "response.created" and read.types[-1] == "response.incomplete" and read.text == "Hi"


def test_a_stream_without_its_beginning_gets_one(backend: OpenAIBackend) -> None:
    response = {"object": "response", "status": "completed", "output": [assistant("Hi")]}
    backend.script(stream([{"type": "response.completed", "response": response}]), path=RESPONSES)
    read = ask(backend.url, wire="responses")
    assert read.types == ["response.created", "response.completed"] and read.text == "Hi"


@pytest.mark.parametrize("options", [{"done": False}, {"close_after": 4}, {"stall_after": 4}])
def test_a_chat_is_good_once_its_finish_reason_came(backend: OpenAIBackend, options: dict[str, object]) -> None:
    backend.script(chat_stream(*chunks("Hello there", usage=None), **options))
    read = ask(backend.url)
    assert read.text == "Hello there" and read.response["status"] == "completed"


@pytest.mark.parametrize(
    ("behaviour", "verdict", "code"),
    [
        (chat_stream(*chunks("Hello there"), truncate_after=2), Verdict.SERVICE, "upstream_truncated"),
        (chat_stream(*chunks("Hello there"), close_after=2), Verdict.SERVICE, "upstream_truncated"),
        (chat_stream(*chunks("Hello there"), stall_after=2), Verdict.SERVICE, "upstream_stalled"),
        (chat_stream(b": nothing\n\n", done=False), Verdict.SERVICE, "upstream_empty_response"),
        (chat_stream(), Verdict.SERVICE, "upstream_empty_response"),
        (raw(b""), Verdict.SERVICE, "upstream_empty_response"),
        (raw(b"data: nonsense\n\n"), Verdict.SERVICE, "upstream_bad_response"),
        (raw(b'data: {"a": 1}\n\n'), Verdict.SERVICE, "upstream_bad_response"),
        (raw(b'{"a": 1}', content_type="application/json"), Verdict.SERVICE, "upstream_bad_response"),
        (raw(b"<html>marked</html>", content_type="text/html"), Verdict.SERVICE, "upstream_bad_response"),
        (raw(b'{"error": {"code": 429, "message": "Slow"}}'), Verdict.LIMIT, "rate_limit_exceeded"),
        (raw(b'[{"error": {"code": 400, "message": "No"}}]'), Verdict.REQUEST, "invalid_request"),
        (Never(), Verdict.SERVICE, "upstream_timeout"),
        (redirect("https://elsewhere.example/"), Verdict.SERVICE, "upstream_bad_response"),
        (rate_limited(), Verdict.LIMIT, "rate_limit_exceeded"),
        (quota(), Verdict.LIMIT, "insufficient_quota"),
        (api_error(500), Verdict.SERVICE, "upstream_error"),
        (api_error(400, code="context_length_exceeded"), Verdict.REQUEST, "context_length_exceeded"),
    ],
)
def test_failures_are_told_by_kind(backend: OpenAIBackend, behaviour: Behaviour, verdict: Verdict, code: str) -> None:
    backend.script(behaviour)
    error = ask(backend.url).error
    assert error is not None and (error.verdict, error.code) == (verdict, code)
    assert "marked" not in error.message


@pytest.mark.parametrize("name", ["failed_overloaded", "failed_midstream", "failed_rate_limit", "truncated"])
def test_failures_inside_a_response_are_raised(backend: OpenAIBackend, name: str) -> None:
    backend.script(stream(name), path=RESPONSES)
    error = ask(backend.url, wire="responses").error
    assert error is not None and error.verdict in (Verdict.SERVICE, Verdict.LIMIT)


def test_an_error_in_mid_stream_comes_behind_what_was_said(backend: OpenAIBackend) -> None:
    said = [chunk({"content": "Well"}), {"error": {"message": "Provider went away", "code": 502}}]
    backend.script(chat_stream(*said, done=False))
    read = ask(backend.url)
    assert read.error is not None and read.error.message == "Provider went away"
    assert "response.output_text.delta" in read.types


@pytest.mark.parametrize("wire", WIRES)
def test_an_event_beyond_the_limit_is_refused(backend: OpenAIBackend, wire: Wire) -> None:
    backend.script(chat_stream(chunk({"content": "x" * 5000})))
    backend.script(stream("text", huge_bytes=5000), path=RESPONSES)
    error = ask(backend.url, wire=wire, max_event_bytes=4000).error
    assert error is not None and error.code == "upstream_bad_response"


def test_a_whole_body_beyond_the_limit_is_refused(backend: OpenAIBackend) -> None:
    backend.script(http_error(200, completion(chunks("x" * 9000))))
    error = ask(backend.url, max_event_bytes=4000).error
    assert error is not None and error.code == "upstream_bad_response"


def test_a_wrong_key_is_the_account_s_fault_and_is_not_quoted(backend: OpenAIBackend) -> None:
    error = ask(backend.url, lease=Lease("a1", "openai", {"authorization": "Bearer sk-wrong-1234"})).error
    assert error is not None and error.verdict is Verdict.ACCOUNT and error.code == "invalid_api_key"
    assert "1234" not in error.message


def test_an_unknown_model_is_the_request_s_fault(backend: OpenAIBackend) -> None:
    error = ask(backend.url, request(model="gpt-99")).error
    assert error is not None and (error.verdict, error.status) == (Verdict.REQUEST, 404)
    assert (error.code, error.param) == ("model_not_found", "model") and "gpt-99" in error.message


@pytest.mark.parametrize("wire", WIRES)
def test_the_connection_is_kept_when_a_stream_ends_well(backend: OpenAIBackend, wire: Wire) -> None:
    async def main() -> None:
        clients = HttpClients(timeouts=TIMEOUTS)
        try:
            for _ in range(2):
                answer = await upstream(clients, backend.url, wire).open(request(), LEASE, timeout_s=0.5)
                async for _ in answer:
                    pass
                await answer.aclose()
                await asyncio.sleep(0.05)  # what is left of the body is read behind the answer
        finally:
            await clients.aclose()

    asyncio.run(main())
    assert [seen.connection for seen in backend.requests] == [1, 1]


def test_models_are_listed_in_the_server_s_order(backend: OpenAIBackend) -> None:
    assert [model.id for model in models(backend.url)] == ["gpt-test", "gpt-test-mini"]
    assert backend.requests[-1].method == "GET" and "content-type" not in backend.requests[-1].headers


def test_models_bear_what_the_server_tells_of_them(backend: OpenAIBackend) -> None:
    entry = {"id": "m", "name": "M", "context_length": 9, "architecture": {"input_modalities": ["text", "image"]}}
    backend.script(http_error(200, [entry, {"id": "n", "max_model_len": 7}, {"name": "none"}, 5]), path=MODELS)
    assert models(backend.url) == [Model("m", "M", 9, ("text", "image")), Model("n", context_length=7)]


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_a_catalogue_has_an_empty_one(backend: OpenAIBackend, status: int) -> None:
    backend.script(api_error(status), path=MODELS)
    assert models(backend.url) == []


@pytest.mark.parametrize("behaviour", [http_error(200, {"data": 5}), raw(b"nonsense"), api_error(401)])
def test_an_unreadable_catalogue_is_a_clear_error(backend: OpenAIBackend, behaviour: Behaviour) -> None:
    backend.script(behaviour, path=MODELS)
    with pytest.raises(UpstreamError):
        models(backend.url)
