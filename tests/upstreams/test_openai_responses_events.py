"""What the reader of Responses streams adds to the shared one."""

from __future__ import annotations

import msgspec
import pytest

from lib.errors import UpstreamError
from lib.upstreams.openai_responses_events import ResponsesEvents
from lib.upstreams.tool_names import Names
from tests.upstreams.openai_asking import request


def reader() -> ResponsesEvents:
    return ResponsesEvents(request(), Names(()), now=lambda: 5.0)


def test_a_beginning_is_made_once_where_the_server_leaves_it_out() -> None:
    events = reader()
    delta = (b"response.output_text.delta", b'{"type":"response.output_text.delta","delta":"a","output_index":0}')
    assert events.take([]) == []
    assert [event.type for event in events.take([delta])] == ["response.created", "response.output_text.delta"]
    assert [event.type for event in events.take([delta])] == ["response.output_text.delta"]


def test_the_server_s_own_beginning_stays() -> None:
    frame = (b"", b'{"type":"response.created","response":{"id":"resp_9"}}')
    [event] = reader().take([frame])
    assert event.fields["response"] == {"id": "resp_9"}


def test_a_whole_response_becomes_its_stream_with_the_caller_s_names() -> None:
    names = Names(["mcp.server/tool"])
    call = {"type": "function_call", "call_id": "c", "name": names.short("mcp.server/tool"), "arguments": "{}"}
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}
    body = msgspec.json.encode({"status": "completed", "output": [message, call]})
    events = ResponsesEvents(request(), names, now=lambda: 5.0)
    taken = events.take_whole(body)
    assert [event.fields["delta"] for event in taken if event.type.endswith(".delta")] == ["Hi", "{}"]
    assert taken[-1].type == "response.completed"
    assert taken[-1].fields["response"]["output"][1]["name"] == "mcp.server/tool"
    assert events.ended


@pytest.mark.parametrize("body", [b'{"output": [], "status": "queued"}', b"nonsense", b"{}", b'{"output": 5}', b"[]"])
def test_a_body_that_is_no_response_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        reader().take_whole(body)


def test_the_end_of_the_body_ends_no_response() -> None:
    assert reader().may_end is False
