from __future__ import annotations

import pytest

from lib.dialects.messages_blocks import Blocks
from lib.dialects.messages_calls import Calls
from lib.dialects.output_items import OutputItem
from lib.errors import UpstreamError
from tests.dialects.messages_streams import frames


def call(arguments: str, status: str = "completed") -> OutputItem:
    return OutputItem("function_call", call_id="c1", name="look", arguments=arguments, status=status)


def pieces(stream: bytes) -> list[str]:
    return [each["delta"]["partial_json"] for each in frames(stream) if "delta" in each]


def test_the_end_supplies_what_no_delta_brought() -> None:
    calls = Calls(Blocks())
    assert not calls
    stream = calls.announce(0, call("")) + calls.write(0, '{"a"') + calls.finish(0, call('{"a":1}'))
    assert calls and pieces(stream) == ['{"a"', ":1}"]
    assert calls.announce(0, call("")) == b""


def test_a_call_that_was_never_announced_waits_for_its_name() -> None:
    calls = Calls(Blocks())
    assert calls.write(0, "{") == b""
    assert pieces(calls.finish(0, call('{"a":1}'))) == ['{"a":1}']


def test_what_was_sent_decides_whether_a_call_can_be_made() -> None:
    calls = Calls(Blocks())
    calls.announce(0, call(""))
    calls.write(0, '{"b"')
    with pytest.raises(UpstreamError):
        calls.finish(0, call('{"a":1}'))


def test_a_cut_call_is_neither_mended_nor_refused() -> None:
    calls = Calls(Blocks())
    assert calls.finish(0, call('{"a"', "incomplete")) == b""
    calls.announce(1, call(""))
    assert pieces(calls.finish(1, call('{"a"', "incomplete"))) == ['{"a"']


def test_a_search_is_two_blocks() -> None:
    item = OutputItem("web_search_call", id="ws_1", action={"type": "search", "query": "x"})
    blocks = [
        each["content_block"]["type"] for each in frames(Calls(Blocks()).search(0, item)) if "content_block" in each
    ]
    assert blocks == ["server_tool_use", "web_search_tool_result"]
    assert Calls(Blocks()).search(0, OutputItem("web_search_call")) == b""
