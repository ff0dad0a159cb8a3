"""The parts of a whole message."""

from __future__ import annotations

from typing import Any

import pytest

from lib.canonical.request import CanonicalRequest
from lib.dialects.messages_body import citations, ending_of, output_item, search_blocks, usage
from lib.dialects.output_items import OutputItem
from lib.errors import UpstreamError
from tests.dialects.chat_streams import call, message, output_text, reasoning, response
from tests.dialects.messages_streams import THINKING, renderer, request

SEALED = {**reasoning("One.", "Two."), "encrypted_content": "gAAAsealed"}


def whole(*output: dict[str, Any], **body: Any) -> dict[str, Any]:
    return renderer(**body).body(response(list(output)))


def test_the_answer_echoes_the_name_that_was_asked_for() -> None:
    assert whole(message(output_text("Hi")))["model"] == "claude-asked"


@pytest.mark.parametrize(
    ("thinking", "block"),
    [
        (THINKING, {"type": "thinking", "thinking": "One.\n\nTwo.", "signature": "reasoning.v1:gAAAsealed"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, None),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            {"type": "thinking", "thinking": "", "signature": "reasoning.v1:gAAAsealed"},
        ),
    ],
)
def test_thinking_carries_the_sealed_reasoning(thinking: dict[str, Any], block: dict[str, Any] | None) -> None:
    content = whole(SEALED, message(output_text("Hi")), **thinking)["content"]
    assert content[0] == (block or {**content[0], "thinking": "One.\n\nTwo."})
    assert content[1]["type"] == "text"


@pytest.mark.parametrize("thinking", [{}, {"thinking": {"type": "disabled"}}])
def test_reasoning_that_nobody_asked_for_is_not_shown(thinking: dict[str, Any]) -> None:
    content = whole(SEALED, message(output_text("Hi")), **thinking)["content"]
    assert content == [{"type": "text", "text": "Hi"}]


def test_reasoning_that_is_not_sealed_still_has_a_signature() -> None:
    assert whole(reasoning("Hm."), **THINKING)["content"][0]["signature"] == "reasoning.v1:"
    assert whole(reasoning(), **THINKING)["content"] == [{"type": "text", "text": ""}]


def test_a_call_keeps_its_id_and_a_custom_one_is_wrapped() -> None:
    custom = {"type": "custom_tool_call", "call_id": "call_2", "name": "edit", "input": "free\ntext"}
    assert whole(call("call_1", '{"n":12345678901234567890}'), custom)["content"] == [
        {"type": "tool_use", "id": "call_1", "name": "lookup", "input": {"n": 12345678901234567890}},
        {"type": "tool_use", "id": "call_2", "name": "edit", "input": {"input": "free\ntext"}},
    ]


@pytest.mark.parametrize(
    ("members", "stop", "has", "reason"),
    [
        ({"status": "completed"}, None, {}, "end_turn"),
        ({"status": "completed"}, None, {"has_calls": True}, "tool_use"),
        ({"status": "completed"}, None, {"has_refusal": True}, "refusal"),
        ({"status": "completed"}, "END", {"has_calls": True}, "stop_sequence"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, None, {}, "max_tokens"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, None, {}, "refusal"),
        ({"status": "incomplete", "incomplete_details": {"reason": "other"}}, None, {"has_calls": True}, "max_tokens"),
        ({"status": "incomplete", "incomplete_details": None}, None, {}, "max_tokens"),
    ],
)
def test_each_ending_has_its_reason(members: Any, stop: str | None, has: dict[str, bool], reason: str) -> None:
    ending = ending_of(members, stop, **{"has_calls": False, "has_refusal": False, **has})
    assert (ending["stop_reason"], ending["stop_sequence"]) == (reason, stop)
    assert (ending["stop_details"] is not None) is (reason == "refusal")


def test_cached_input_stands_beside_the_rest() -> None:
    counts = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 5},
    }
    assert usage(request(), response(usage=counts)) == {
        "input_tokens": 30,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 60,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 5},
    }


@pytest.mark.parametrize("counts", [None, {}, "x", {"input_tokens": "1", "output_tokens": -1}])
def test_usage_that_nobody_reports_is_an_estimate(counts: Any) -> None:
    asked: CanonicalRequest = request()
    assert usage(asked, response(usage=counts))["input_tokens"] > 0


def test_a_search_is_a_tool_use_with_its_result() -> None:
    action = {"type": "search", "query": "tide", "sources": [{"type": "url", "url": "https://a.example/"}, {"url": 1}]}
    item = output_item({"type": "web_search_call", "id": "ws_1", "action": action})
    assert item is not None
    found = search_blocks(item)
    assert found is not None
    use, result = found
    assert use == {"type": "server_tool_use", "id": "srvtoolu_ws_1", "name": "web_search", "input": {"query": "tide"}}
    assert result["tool_use_id"] == use["id"]
    assert [each["url"] for each in result["content"]] == ["https://a.example/"]


@pytest.mark.parametrize("action", [None, {}, {"type": "open_page", "url": "https://a.example/"}, {"type": "search"}])
def test_what_is_no_search_is_not_shown(action: Any) -> None:
    item = output_item({"type": "web_search_call", "id": "ws_1", "action": action})
    assert item is not None and search_blocks(item) is None


def test_only_url_citations_are_citations() -> None:
    given = [{"type": "url_citation", "url": "https://a.example/", "title": "A"}, {"type": "file_citation"}, {}]
    assert [(each["url"], each["title"]) for each in citations(given)] == [("https://a.example/", "A")]
    assert citations(None) == []


def test_items_of_the_wrong_shape_are_an_upstream_error() -> None:
    assert output_item({"type": "local_shell_call"}) is None and output_item("x") is None
    with pytest.raises(UpstreamError):
        output_item({"type": "message", "content": "x"})


@pytest.mark.parametrize(("arguments", "kinds"), [('{"a":', ["text"]), ('{"a":1}', ["tool_use"])])
def test_a_cut_answer_keeps_the_calls_that_are_whole(arguments: str, kinds: list[str]) -> None:
    found = renderer().body(response([call("c1", arguments)], status="incomplete"))
    assert [block["type"] for block in found["content"]] == kinds
    assert found["stop_reason"] == "max_tokens"


@pytest.mark.parametrize("kind", [[], {}, None, 5])
def test_an_item_of_no_type_is_none(kind: Any) -> None:
    assert output_item({"type": kind}) is None


@pytest.mark.parametrize("sources", [1.5, True, "x", {"url": "u"}, [1, {"url": 2}]])
def test_sources_that_cannot_be_read_are_left_out(sources: Any) -> None:
    action = {"type": "search", "query": "q", "sources": sources}
    found = search_blocks(OutputItem("web_search_call", action=action))
    assert found is not None and found[1]["content"] == []
