from __future__ import annotations

import time
from typing import Any

import pytest

from lib.canonical.request import CanonicalRequest
from lib.errors import InvalidRequest, UpstreamError
from lib.prompted.structured import StructuredUpstream, unfenced
from tests.prompted.speaking import (
    Speaking,
    asked,
    batches_of,
    events_of,
    makes_calls,
    outline,
    response_of,
    says,
    text_of,
)

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def request(schema: Any = SCHEMA, **fields: Any) -> CanonicalRequest:
    wanted = {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}
    return asked(text={"format": wanted, "verbosity": "low"}, **fields)


OBJECT = asked(text={"format": {"type": "json_object"}})


def said(*scripts: Any, to: CanonicalRequest | None = None) -> str:
    return outline(response_of(StructuredUpstream(Speaking(*scripts)), to or request()))[-1][1]


@pytest.mark.parametrize("text", ['{"n": 1}', '\n{"n": 1} \n', '```json\n{"n": 1}\n```', '```\n{"n": 1}\n```\n'])
def test_a_valid_answer_is_nothing_but_its_json(text: str) -> None:
    assert said(text) == '{"n": 1}'


def test_the_schema_is_asked_for_in_words() -> None:
    upstream = Speaking('{"n": 1}')
    events_of(StructuredUpstream(upstream), request(instructions="Be kind."))
    sent = upstream.requests[0]
    assert (sent.instructions or "").startswith("Be kind.\n\nReply with one JSON value")
    assert '"required":["n"]' in (sent.instructions or "")
    assert sent.text == {"verbosity": "low"}


@pytest.mark.parametrize(
    "text", ['{"n": "1"}', "{}", '{"n": 1, "m": 2}', "[]", "Here: {}", '{"n": 1}\n\nDone.', '{"n": NaN}', "", "{"]
)
def test_an_invalid_answer_is_asked_for_once_more(text: str) -> None:
    upstream = Speaking(text, '{"n": 2}')
    response = response_of(StructuredUpstream(upstream), request())
    assert outline(response) == [("message", '{"n": 2}')]
    assert response["usage"]["total_tokens"] == 30
    again = upstream.requests[1].input
    assert text_of(again[-1]).startswith("Your last reply was not accepted: ")
    if text:
        assert text_of(again[-2]) == text


def test_an_answer_that_stays_invalid_is_a_typed_error() -> None:
    upstream = Speaking('{"n": "1"}', '{"m": 1}', "never asked")
    with pytest.raises(UpstreamError) as caught:
        events_of(StructuredUpstream(upstream), request())
    assert (caught.value.code, caught.value.status) == ("structured_output_invalid", 502)
    assert len(upstream.requests) == 2


def test_nothing_goes_out_before_it_is_valid() -> None:
    batches = batches_of(StructuredUpstream(Speaking("oops, no", '{"n": 1}')), request())
    assert [bool(batch) for batch in batches].count(True) == 1


def test_any_object_will_do_for_json_object() -> None:
    assert said('{"a": [1]}', to=OBJECT) == '{"a": [1]}'
    assert said("[1]", '{"a": 1}', to=OBJECT) == '{"a": 1}'


@pytest.mark.parametrize("format", [None, {"type": "text"}])
def test_without_a_format_nothing_is_touched(format: Any) -> None:
    upstream = Speaking("plain")
    plain = asked(text={"format": format} if format else None)
    assert len(batches_of(StructuredUpstream(upstream), plain)) == 4
    assert upstream.requests[0] is plain


def test_calls_and_cut_answers_are_handed_on() -> None:
    assert said(makes_calls("f")) == "f"
    response = response_of(StructuredUpstream(Speaking(says('{"n"', reason="max_output_tokens"))), request())
    assert response["status"] == "incomplete"


def test_reasoning_is_kept() -> None:
    def script(builder: Any) -> Any:
        return [builder.reasoning("hm"), builder.text('```\n{"n": 1}\n```'), builder.finish(None)]

    response = response_of(StructuredUpstream(Speaking(script)), request())
    assert outline(response) == [("reasoning", "hm"), ("message", '{"n": 1}')]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "wat"},
        {"required": "n"},
        5,
        None,
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"properties": {"n": {"pattern": "(?=x)"}}},
        {"unevaluatedProperties": False},
    ],
)
def test_a_schema_that_cannot_be_checked_is_the_callers_mistake(schema: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        events_of(StructuredUpstream(Speaking('{"n": "x"}')), request(schema))
    assert caught.value.code == "invalid_json_schema"


def test_patterns_take_linear_time() -> None:
    schema = {"patternProperties": {"^(a+)+$": {"pattern": "^(b|b)*$"}}, "additionalProperties": False}
    name, value = "a" * 2000, "b" * 2000
    started = time.perf_counter()
    assert said(f'{{"{name}!": 1}}', f'{{"{name}": "{value}"}}', to=request(schema))
    assert time.perf_counter() - started < 3


def test_patterns_mean_what_they_say() -> None:
    schema = {
        "properties": {"id": {"pattern": "^[A-Z]\\d$"}},
        "patternProperties": {"^x-": {"type": "null"}},
        "additionalProperties": {"type": "integer"},
    }
    for wrong in ('{"id": "a1"}', '{"x-a": 1}', '{"other": "1"}'):
        assert said(wrong, '{"id": "A1", "x-a": null, "other": 1}', to=request(schema)).startswith('{"id": "A1"')


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("```json\n1\n```", "1"),
        ("```\n1```", "1"),
        ("  ```JSON\r\n1\r\n```  ", "1"),
        ("x\n```json\n1\n```", "x\n```json\n1\n```"),
        ("```json\n1\n```\nx", "```json\n1\n```\nx"),
        ("```json 1```", "```json 1```"),
        ("``` a b\n1\n```", "``` a b\n1\n```"),
        ("1", "1"),
        ("```", "```"),
    ],
)
def test_a_fence_is_taken_off_where_it_is_the_whole_reply(text: str, left: str) -> None:
    assert unfenced(text) == left
