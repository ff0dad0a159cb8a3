"""Chat Completions and Responses to an upstream that speaks the same: the body arrives as it was sent."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import openai
import pytest

from tests.canonical.pictures import png
from tests.fakes.codex_behaviours import http_error, stream
from tests.fakes.openai_chat import chat_stream, chunk, chunks, completion
from tests.journeys.compatible import KEYS, Compatible, Start, compatible
from tests.journeys.gateway import KEY, Host
from tests.journeys.openai_asking import MODES, ask


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, **settings))


@pytest.fixture
def chat(start: Start) -> Compatible:
    return start(openai_wire="chat")


@pytest.fixture
def responses(start: Start) -> Compatible:
    return start(openai_wire="responses")


ODD_CHAT = (
    '{ "stream" : %s,"temperature":1.70,"messages" :[{"content":"H\\u0065j \\ud83c\\udf0a 𝄞","role":"user"}],\n'
    '\t"n":2,"logprobs":true,"top_logprobs":3, "seed":12345678901234567890, "stop":["\\n\\n"],"model":"gpt-test",'
    '"logit_bias":{"50256":-100},"metadata":{},"max_tokens":7,"presence_penalty":-0.0,"user":"ü"  }'
)


@MODES
def test_a_chat_body_arrives_byte_for_byte(chat: Compatible, streamed: bool) -> None:
    body = (ODD_CHAT % ("true" if streamed else "false")).encode()
    answer = chat.send("POST", "/v1/chat/completions", content=body, headers={"content-type": "text/plain"})
    assert answer.status_code == 200, answer.text
    (seen,) = chat.backend.requests
    assert (seen.body, seen.headers["content-type"]) == (body, "application/json")
    assert seen.key == KEYS[0] and KEY not in str(seen.headers)
    assert "x-gateway-ignored" not in answer.headers


@MODES
def test_a_responses_body_arrives_byte_for_byte(responses: Compatible, streamed: bool) -> None:
    body = (
        '{"top_p":0.250,"input":"Hej \\u00e6","model":"gpt-test","stream":%s,"temperature":2,"store":true,'
        '"max_output_tokens":1e2,"truncation":"auto","include":["message.output_text.logprobs"],"top_logprobs":2}'
        % ("true" if streamed else "false")
    ).encode()
    answer = responses.send("POST", "/responses", content=body)
    assert answer.status_code == 200, answer.text
    assert responses.backend.requests[0].body == body


def test_only_the_model_changes_when_it_is_renamed(start: Start) -> None:
    gateway = start(openai_wire="chat", model_map="fast=gpt-test-mini")
    body = (
        b'{"temperature":1.70,"model":"fast","messages":[{"role":"user","content":"\\u00e6"}],"seed":12345678901234567}'
    )
    assert gateway.send("POST", "/v1/chat/completions", content=body).status_code == 200
    sent = gateway.backend.requests[0].body
    assert sent == body.replace(b'"fast"', b'"gpt-test-mini"')


def test_a_body_without_a_model_gets_the_default(start: Start) -> None:
    gateway = start(openai_wire="chat", default_model="gpt-test-mini")
    for model in ({}, {"model": "auto"}, {"model": ""}):
        answer = gateway.send(
            "POST", "/v1/chat/completions", json={**model, "messages": [{"role": "user", "content": "Hi"}]}
        )
        assert answer.status_code == 200, (model, answer.text)
        assert gateway.sent["model"] == "gpt-test-mini"


@pytest.mark.parametrize("wire", ["chat", "responses"])
def test_a_body_without_a_model_gets_the_first_of_the_catalogue(start: Start, wire: str) -> None:
    gateway = start(openai_wire=wire)
    gateway.backend.models = ("gpt-test-mini", "gpt-test")
    content: dict[str, Any] = (
        {"input": "Hi"} if wire == "responses" else {"messages": [{"role": "user", "content": "Hi"}]}
    )
    path = "/v1/responses" if wire == "responses" else "/v1/chat/completions"
    assert gateway.send("POST", path, json=content).status_code == 200
    assert gateway.sent["model"] == "gpt-test-mini"


def test_several_choices_and_logprobs_pass_whole(chat: Compatible) -> None:
    logprobs = {"content": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}], "refusal": None}
    choices = [
        {"index": at, "message": {"role": "assistant", "content": text}, "logprobs": logprobs, "finish_reason": "stop"}
        for at, text in enumerate(("Hi", "Hej"))
    ]
    whole = {"id": "chatcmpl-x", "object": "chat.completion", "created": 1, "model": "gpt-test", "choices": choices}
    chat.backend.script(http_error(200, {**whole, "system_fingerprint": "fp_7", "x_vendor": {"kept": True}}))
    found = chat.sdk().chat.completions.create(
        model="gpt-test", messages=[{"role": "user", "content": "Hi"}], n=2, logprobs=True, temperature=0.3
    )
    assert [choice.message.content for choice in found.choices] == ["Hi", "Hej"]
    assert found.choices[1].logprobs is not None and found.choices[1].logprobs.content is not None
    assert found.choices[1].logprobs.content[0].logprob == -0.1
    assert (found.id, found.system_fingerprint, found.model_extra) == (
        "chatcmpl-x",
        "fp_7",
        {"x_vendor": {"kept": True}},
    )


def test_several_choices_pass_streamed(chat: Compatible) -> None:
    said = [
        chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]),
        chunk(choices=[{"index": 1, "delta": {"role": "assistant", "content": "Hej"}, "finish_reason": None}]),
        chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        chunk(choices=[{"index": 1, "delta": {}, "finish_reason": "length"}]),
    ]
    chat.backend.script(chat_stream(*said, cut=5))
    found = chat.sdk().chat.completions.create(
        model="gpt-test", messages=[{"role": "user", "content": "Hi"}], n=2, stream=True
    )
    choices = [choice for each in found for choice in each.choices]
    assert [(choice.index, choice.delta.content, choice.finish_reason) for choice in choices] == [
        (0, "Hi", None),
        (1, "Hej", None),
        (0, None, "stop"),
        (1, None, "length"),
    ]


@MODES
def test_usage_of_forwarded_answers_is_logged(chat: Compatible, streamed: bool) -> None:
    chat.backend.script(chat_stream(*chunks("Hello"))) if streamed else None
    options: dict[str, Any] = {"stream_options": {"include_usage": True}} if streamed else {}
    answer = chat.send(
        "POST",
        "/v1/chat/completions",
        json={"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}], "stream": streamed, **options},
    )
    assert answer.status_code == 200
    line = chat.line()
    assert "input_tokens=21" in line and "output_tokens=9" in line and "upstream=openai" in line, line


def test_the_sdks_helpers_work_on_a_forwarded_stream(start: Start) -> None:
    gateway = start(openai_wire="responses")
    with gateway.sdk().responses.stream(model="gpt-test", input="one two three") as stream:
        final = stream.get_final_response()
    assert final.output_text == "You said: one two three"
    assert "dialect=responses" in gateway.line()


def test_a_chat_helper_works_on_a_forwarded_stream(chat: Compatible) -> None:
    messages: Any = [{"role": "user", "content": "one two three"}]
    with chat.sdk().chat.completions.stream(model="gpt-test", messages=messages) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "You said: one two three"


def test_foreign_line_ends_comments_and_pieces_are_understood_by_the_sdk(chat: Compatible) -> None:
    said: list[Any] = [b": OPENROUTER PROCESSING\r\n\r\n", *chunks("Grüße ⛴️ \u2028 [DONE] data: x", usage=None)]
    for cut in (1, 3, 0):
        chat.backend.script(chat_stream(*said, crlf=True, cut=cut))
        found = chat.sdk().chat.completions.create(
            model="gpt-test", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        text = "".join(each.choices[0].delta.content or "" for each in found if each.choices)
        assert text == "Grüße ⛴️ \u2028 [DONE] data: x"


def test_a_server_that_cannot_stream_is_streamed_for_it(start: Start) -> None:
    said = [{"type": "output_text", "text": "Hi there", "annotations": []}]
    message = {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": said}
    whole = {"id": "resp_1", "object": "response", "status": "completed", "error": None, "output": [message]}
    gateway = start(openai_wire="responses")
    gateway.backend.script(http_error(200, {**whole, "model": "m", "created_at": 1, "tools": []}), path="/responses")
    with gateway.sdk().responses.stream(model="gpt-test", input="Hi") as stream:
        assert "".join(event.delta for event in stream if event.type == "response.output_text.delta") == "Hi there"
        assert stream.get_final_response().output_text == "Hi there"
    chat = start(openai_wire="chat")
    chat.backend.script(http_error(200, completion(chunks("Hi there", calls=[("dive", "{}")]))))
    with chat.sdk().chat.completions.stream(model="gpt-test", messages=[{"role": "user", "content": "Hi"}]) as chunked:
        final = chunked.get_final_completion().choices[0]
    assert final.message.content == "Hi there" and final.finish_reason == "tool_calls"
    assert final.message.tool_calls is not None and final.message.tool_calls[0].function.name == "dive"


@pytest.mark.parametrize("counted", [True, False])
def test_usage_of_a_server_that_cannot_stream_is_told_to_those_who_asked(chat: Compatible, counted: bool) -> None:
    chat.backend.script(http_error(200, completion(chunks("Hi", calls=[("a", "{}"), ("b", "{}")]))))
    found = list(
        chat.sdk().chat.completions.create(
            model="gpt-test",
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": counted},
        )
    )
    assert [bool(each.usage) for each in found] == [False] * 4 + [True] * counted
    assert max(len(choice.delta.tool_calls or ()) for each in found for choice in each.choices) == 1


@MODES
@pytest.mark.parametrize("wire", ["chat", "responses"])
def test_forwarded_answers_say_where_they_come_from(start: Start, wire: str, streamed: bool) -> None:
    told = ask(start(openai_wire=wire), wire, streamed).headers
    assert (told["x-gateway-upstream"], told["x-gateway-attempts"]) == ("openai", "1")
    assert told["x-gateway-account"].startswith("k1-")
    assert 0 <= int(told["x-gateway-ttfb-ms"]) < 5000
    assert re.fullmatch(r"gateway;dur=\d+, upstream;desc=openai;dur=\d+, total;dur=\d+", told["server-timing"])


def test_a_forwarded_stream_that_begins_late_has_no_time_to_first_byte(start: Start) -> None:
    gateway = start(openai_wire="chat", commit_wait_s=0.05)
    gateway.backend.script(chat_stream(b": wait\n\n", *chunks("Hi"), pause_s=0.1))
    told = ask(gateway, "chat", True).headers
    assert "x-gateway-ttfb-ms" not in told and "upstream;desc=openai;dur=" in told["server-timing"]
    assert "ttfb_s=" in gateway.line()


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", b'{"messages": []}'), ("/v1/messages", b'{"max_tokens": 1, "messages": []}')],
)
def test_a_default_model_that_cannot_be_had_says_whose_it_is(chat: Compatible, path: str, body: bytes) -> None:
    chat.backend.always(http_error(500), path="/models")
    answer = chat.send("POST", path, content=body.replace(b"[]", b'[{"role": "user", "content": "Hi"}]'))
    assert (answer.status_code, answer.headers["x-gateway-upstream"]) == (502, "openai")
    assert "upstream=openai" in chat.line()


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gpt-test"])
def test_a_catalogue_that_fails_says_whose_it_is(chat: Compatible, path: str) -> None:
    chat.backend.always(http_error(500), path="/models")
    answer = chat.send("GET", path)
    assert (answer.status_code, answer.headers["x-gateway-upstream"]) == (502, "openai")
    assert "upstream=openai" in chat.line()


def test_a_forwarded_response_that_is_cut_ends_with_what_was_said(start: Start) -> None:
    gateway = start(openai_wire="responses", max_duration_s=0.4)
    gateway.backend.script(stream("text", stall_after=6), path="/responses")
    events = list(gateway.sdk().responses.create(model="gpt-test", input="Hi", stream=True))
    kinds, last = [event.type for event in events], events[-1]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert kinds[-4:] == [
        *("response.output_text.done", "response.content_part.done", "response.output_item.done"),
        "response.incomplete",
    ]
    assert isinstance(last, openai.types.responses.ResponseIncompleteEvent)
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert last.response.output_text == said != ""
    assert "error=deadline_exceeded" in gateway.line()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions", "//v1//chat/completions/"])
def test_the_upstreams_path_does_not_depend_on_the_callers(chat: Compatible, path: str) -> None:
    body = {"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}]}
    assert chat.send("POST", f"{path}?api-version=1", json=body).status_code == 200
    assert chat.backend.requests[0].path == "/chat/completions"


def test_the_upstreams_own_refusals_reach_the_caller(chat: Compatible) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        chat.sdk().chat.completions.create(
            model="gpt-test", messages=[{"role": "user", "content": "Hi"}], extra_body={"wrong_parameter": 1}
        )
    assert refusal.value.code == "unknown_parameter" and refusal.value.param == "wrong_parameter"
    assert refusal.value.response.headers["x-should-retry"] == "false"
    assert len(chat.backend.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"model": "gpt-test", "messages": []},
        {"model": "gpt-test", "input": "Hi"},
        {"model": ["gpt-test"], "messages": [{"role": "user", "content": "Hi"}]},
        {"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}], "stream": "true"},
        {"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}], "tools": [{"type": "web_search"}]},
        {"model": "gpt-test", "messages": [{"role": "user", "content": "Hi"}], "function_web_search": True},
    ],
)
def test_what_the_gateway_can_see_is_refused_by_it(chat: Compatible, body: dict[str, Any]) -> None:
    answer = chat.send("POST", "/v1/chat/completions", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert not [each for each in chat.backend.requests if each.method == "POST"]


@pytest.mark.parametrize("model", ["gpt-test\r\nx-evil: 1", "../../admin", "a" * 5000, "m\u0000", "\u202e"])
def test_a_hostile_model_name_is_only_data(chat: Compatible, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    answer = chat.send("POST", "/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert "x-evil" not in answer.headers and chat.sent["model"] == model
    assert "\n" not in chat.line()


def test_duplicate_keys_agree_with_what_was_checked(start: Start) -> None:
    gateway = start(openai_wire="chat", model_map="fast=gpt-test-mini")
    body = b'{"model":"other","messages":[{"role":"user","content":"Hi"}],"model":"fast"}'
    assert gateway.send("POST", "/v1/chat/completions", content=body).status_code == 200
    assert msgspec.json.decode(gateway.backend.requests[0].body)["model"] == "gpt-test-mini"


@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_a_shown_picture_goes_back_as_a_picture_whatever_the_encoder(chat: Compatible, slash: str) -> None:
    url = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    shown = msgspec.json.encode(f"![image]({url})").replace(b"/", slash.encode())
    said = (
        b'{"role":"user","content":"Draw"},{"role":"assistant","content":%b},{"role":"user","content":"Blue"}' % shown
    )
    answer = chat.send("POST", "/v1/chat/completions", content=b'{"model":"gpt-test","messages":[%b]}' % said)
    assert answer.status_code == 200, answer.text
    _, assistant, user = chat.sent["messages"]
    assert (assistant["content"], user["content"][1]["image_url"]) == ("[image 1]", {"url": url})
