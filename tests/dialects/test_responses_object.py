from typing import Any

import pytest
from openai.types.responses import Response

from lib.dialects.responses import RESPONSES
from lib.dialects.responses_object import ResponseObject, error_code
from tests.dialects.responses_streams import RESPONSE, USAGE, Fields


def maker(**body: Any) -> ResponseObject:
    request = RESPONSES.parse({"input": "hi", "model": "gpt-demo", **body})
    return ResponseObject(request, response_id="r1", now=1_700_000_000.9)


def complete(response: Fields, status: str = "completed", **body: Any) -> Fields:
    whole = maker(**body).complete(response, status)
    Response.model_validate(whole)
    return whole


REQUIRED = {
    *("background", "completed_at", "created_at", "error", "frequency_penalty", "id", "incomplete_details"),
    *("instructions", "max_output_tokens", "max_tool_calls", "metadata", "model", "object", "output"),
    *("parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt_cache_key", "reasoning"),
    *("safety_identifier", "service_tier", "status", "store", "temperature", "text", "tool_choice", "tools"),
    *("top_logprobs", "top_p", "truncation", "usage"),
}


@pytest.mark.parametrize("status", ["queued", "in_progress", "completed", "incomplete", "failed"])
@pytest.mark.parametrize("response", [{}, RESPONSE], ids=["nothing", "much"])
def test_every_member_of_the_schema_is_there_whatever_the_upstream_said(response: Fields, status: str) -> None:
    whole = complete(response, status)
    assert set(whole) == REQUIRED
    assert whole["status"] == status


def test_defaults_are_those_of_the_api() -> None:
    whole = complete({})
    assert (whole["id"], whole["created_at"], whole["model"]) == ("resp_r1", 1_700_000_000, "gpt-demo")
    assert (whole["temperature"], whole["top_p"], whole["truncation"]) == (1.0, 1.0, "disabled")
    assert (whole["text"], whole["reasoning"]) == ({"format": {"type": "text"}}, {"effort": None, "summary": None})
    assert (whole["tools"], whole["tool_choice"], whole["parallel_tool_calls"]) == ([], "auto", True)
    assert (whole["instructions"], whole["metadata"], whole["store"]) == (None, {}, False)


def test_parameters_are_echoed_as_sent_though_the_upstream_never_saw_them() -> None:
    sent: Fields = {
        "instructions": "Be brief.",
        "max_output_tokens": 9,
        "max_tool_calls": 2,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "key",
        "prompt_cache_retention": "24h",
        "safety_identifier": "mine",
        "temperature": 0.25,
        "tool_choice": {"type": "function", "name": "look"},
        "tools": [{"type": "function", "name": "look", "description": "d", "parameters": {}, "strict": True}],
        "top_logprobs": 3,
        "top_p": 0.5,
        "truncation": "auto",
        "user": "u",
    }
    whole = complete(RESPONSE, **sent)
    assert {name: whole[name] for name in sent} == sent


def test_reasoning_and_text_are_the_upstreams_under_what_was_sent() -> None:
    whole = complete(RESPONSE, reasoning={"effort": "low"}, text={"format": {"type": "json_object"}})
    assert whole["reasoning"] == {"effort": "low", "summary": "auto"}
    assert whole["text"] == {"format": {"type": "json_object"}, "verbosity": "low"}


def test_account_and_gateway_words_of_the_upstream_are_not_told() -> None:
    whole = complete({**RESPONSE, "user": "user-OF-THE-ACCOUNT", "headers": {"a": "b"}, "end_turn": True})
    assert not {"user", "headers", "end_turn"} & set(whole)
    assert "user-OF-THE-ACCOUNT" not in str(whole)
    assert "made-by-the-gateway" not in str(whole)
    assert whole["instructions"] is None


def test_store_is_answered_truthfully() -> None:
    assert complete({**RESPONSE, "store": True}, store=True)["store"] is False


def test_a_kept_answer_has_an_id_of_the_gateways_own() -> None:
    request = RESPONSES.parse({"input": "Hi"})
    upstreams = {"id": "resp_guessable", "model": "m-dated"}
    whole = ResponseObject(request, response_id="r1", now=0.0, kept=True).complete(upstreams, "completed")
    assert (whole["id"], whole["store"], whole["model"]) == ("resp_r1", True, "m-dated")


def test_function_tools_get_the_members_that_the_schema_has() -> None:
    [function, search] = complete({}, tools=[{"type": "function", "name": "f"}, {"type": "web_search"}])["tools"]
    assert function == {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}
    assert search == {"type": "web_search"}


def test_usage_has_its_details() -> None:
    usage = complete({"usage": USAGE})["usage"]
    assert usage["input_tokens_details"] == {"cached_tokens": 0, "cache_write_tokens": 0}
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}
    told = {"input_tokens": 3, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 2}}
    usage = complete({"usage": {**told, "input_tokens_details": {"cached_tokens": 1}}})["usage"]
    assert (usage["total_tokens"], usage["input_tokens_details"]["cached_tokens"]) == (7, 1)
    assert usage["output_tokens_details"]["reasoning_tokens"] == 2


def test_usage_of_tools_has_a_count_for_each_family() -> None:
    usage = complete({"tool_usage": {"web_search": {"num_requests": 2}}})["tool_usage"]
    assert (usage["web_search"]["num_requests"], usage["image_gen"]["total_tokens"]) == (2, 0)


def test_details_fit_the_status() -> None:
    response = {"incomplete_details": {"reason": "content_filter"}, "error": {"code": "x"}, "completed_at": 5}
    assert [complete(response)[name] for name in ("incomplete_details", "error", "completed_at")] == [None, None, 5]
    cut = complete(response, "incomplete")
    assert (cut["incomplete_details"], cut["error"], cut["completed_at"]) == ({"reason": "content_filter"}, None, None)
    assert complete({}, "incomplete")["incomplete_details"] == {"reason": "max_output_tokens"}
    assert complete({}, "failed")["error"]["code"] == "server_error"


def test_model_falls_back_to_the_one_asked_for() -> None:
    assert complete({"model": "gpt-other"})["model"] == "gpt-other"
    assert maker(model=None).complete({}, "completed")["model"] == "auto"


@pytest.mark.parametrize(
    ("item", "whole"),
    [
        (
            {"type": "message", "content": None},
            {"id": "msg_r1_2", "type": "message", "role": "assistant", "content": [], "status": "incomplete"},
        ),
        ({"type": "reasoning", "id": "rs_1", "content": None}, {"type": "reasoning", "id": "rs_1", "summary": []}),
        (
            {"type": "function_call", "name": "f", "call_id": "c"},
            {
                **{"id": "fc_r1_2", "type": "function_call", "name": "f", "call_id": "c"},
                **{"arguments": "", "status": "incomplete"},
            },
        ),
        (
            {"type": "web_search_call", "id": "ws", "status": "in_progress"},
            {
                **{"type": "web_search_call", "id": "ws", "status": "in_progress"},
                "action": {"type": "search", "query": ""},
            },
        ),
        (
            {"type": "compaction", "encrypted_content": "g"},
            {"type": "compaction", "encrypted_content": "g", "id": "item_r1_2"},
        ),
        ({"type": ["?"]}, {"type": ["?"], "id": "item_r1_2"}),
    ],
)
def test_items_are_completed(item: Fields, whole: Fields) -> None:
    assert maker().item(item, 2, "incomplete") == whole


@pytest.mark.parametrize("output", [None, "x", [None], [{}], [{"type": "message", "content": 3}]])
def test_nonsense_from_the_upstream_is_survived(output: Any) -> None:
    junk = dict.fromkeys(("usage", "error", "text", "reasoning", "incomplete_details", "tool_usage"), "junk")
    for status in ("completed", "failed", "incomplete"):
        maker().complete({**junk, "output": output}, status)


def test_codes_of_the_schema_stay_and_others_become_one() -> None:
    assert error_code("image_too_small") == "image_too_small"
    assert error_code(None) == error_code("strange", 502) == "server_error"
    assert error_code("quota_exceeded") == error_code("strange", 429) == "rate_limit_exceeded"
