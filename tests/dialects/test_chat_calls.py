"""Calls of a chat stream: each byte is sent once."""

from __future__ import annotations

import time

from lib.dialects.chat_calls import Calls
from lib.dialects.chat_chunks import Chunks
from lib.dialects.output_items import OutputItem
from tests.dialects.chat_streams import request


def calls(*, legacy: bool = False) -> Calls:
    return Calls(Chunks(request(), id="chatcmpl-1", now=1.0), response_id="r1", legacy=legacy)


def item(arguments: str = "") -> OutputItem:
    return OutputItem("function_call", call_id="call_a", name="lookup", arguments=arguments)


def test_call_is_announced_once() -> None:
    made = calls()
    assert not made
    assert made.announce(3, item()) and made
    assert made.announce(3, item()) == b""


def test_only_what_is_missing_of_the_whole_is_sent() -> None:
    made = calls()
    made.announce(0, item())
    assert b'{"arguments":"ab"}' in made.advance(0, "ab", None)
    assert b'{"arguments":"c"}' in made.advance(0, "", "abc")
    assert made.advance(0, "", "abc") == made.finish(0, item("abc")) == b""


def test_whole_that_contradicts_the_deltas_is_not_sent() -> None:
    made = calls()
    made.announce(0, item())
    made.advance(0, "ab", None)
    assert made.finish(0, item("xyz")) == b""


def test_piece_of_an_unknown_call_waits_for_its_item() -> None:
    made = calls()
    assert made.advance(0, "ab", None) == made.advance(0, "", "ab") == b""
    assert b'"arguments":"ab"' in made.finish(0, item("ab"))


def test_second_call_has_no_place_in_the_legacy_shape() -> None:
    made = calls(legacy=True)
    assert b"function_call" in made.announce(0, item())
    assert made.announce(1, item()) == made.advance(1, "ab", None) == made.finish(1, item("abc")) == b""


def test_many_pieces_take_linear_time() -> None:
    made = calls()
    made.announce(0, item())
    started = time.perf_counter()
    for _ in range(50_000):
        made.advance(0, "0123456789", None)
    assert made.finish(0, item("0123456789" * 50_000)) == b""
    assert time.perf_counter() - started < 3
