"""What the reader of Responses streams adds to the shared one."""

from __future__ import annotations

import pytest

from lib.errors import UpstreamError
from lib.upstreams.codex_names import Names
from lib.upstreams.openai_responses_events import ResponsesEvents
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


@pytest.mark.parametrize("body", [b"nonsense", b"{}", b'{"output": 5}', b"[]"])
def test_a_body_that_is_no_response_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamError):
        reader().take_whole(body)


def test_the_end_of_the_body_ends_no_response() -> None:
    assert reader().may_end is False
