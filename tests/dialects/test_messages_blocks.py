from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lib.dialects.messages_blocks import INPUT, TEXT, Blocks
from tests.dialects.messages_streams import frames

CALL = {"type": "tool_use", "id": "c", "name": "n", "input": {}}
WORDS = {"type": "text", "text": ""}


def kinds(stream: bytes) -> list[tuple[str, int]]:
    return [(each["type"].removeprefix("content_block_"), each["index"]) for each in frames(stream)]


def test_a_block_begins_grows_and_ends() -> None:
    blocks = Blocks()
    assert not blocks
    stream = blocks.begin("a", WORDS) + blocks.delta("a", TEXT, "x") + blocks.end("a")
    assert kinds(stream) == [("start", 0), ("delta", 0), ("stop", 0)]
    assert blocks and "a" in blocks and "b" not in blocks
    assert blocks.delta("a", TEXT, "y") == blocks.end("a") == blocks.finish() == b""


def test_what_begins_beside_a_call_waits_for_its_end() -> None:
    blocks = Blocks()
    blocks.begin(1, CALL, is_call=True)
    assert blocks.begin(2, CALL, is_call=True) == blocks.delta(2, INPUT, "{") == blocks.begin(3, WORDS) == b""
    assert kinds(blocks.delta(1, INPUT, "{}")) == [("delta", 0)]
    assert kinds(blocks.end(1)) == [("stop", 0), ("start", 1), ("delta", 1)]
    assert blocks.end(3) == b""
    assert kinds(blocks.end(2)) == [("stop", 1), ("start", 2), ("stop", 2)]


def test_a_closing_delta_comes_last_however_the_block_ends() -> None:
    def closing() -> bytes:
        return TEXT + b'"end"}}\n\n'

    for end in ("itself", "next", "finish", "waited"):
        blocks = Blocks()
        stream = blocks.begin(0, CALL, is_call=True) if end == "waited" else b""
        stream += blocks.begin(1, WORDS, closing=closing)
        if end == "next":
            stream += blocks.begin(2, WORDS)
        elif end != "finish":
            stream += blocks.end(1)
        stream += blocks.finish()
        deltas = [each["delta"]["text"] for each in frames(stream) if each["type"] == "content_block_delta"]
        assert deltas == ["end"], end


@given(st.lists(st.tuples(st.sampled_from(["call", "text", "delta", "end"]), st.integers(0, 5)), max_size=30))
def test_blocks_never_overlap_and_none_is_lost(steps: list[tuple[str, int]]) -> None:
    blocks = Blocks()
    stream = b""
    for step, key in steps:
        if step in ("call", "text") and key not in blocks:
            stream += blocks.begin(key, CALL if step == "call" else WORDS, is_call=step == "call")
        elif step == "delta":
            stream += blocks.delta(key, TEXT, str(key))
        elif step == "end":
            stream += blocks.end(key)
    found = kinds(stream + blocks.finish())
    starts = [index for kind, index in found if kind == "start"]
    assert starts == list(range(len({key for _, key in steps if key in blocks})))
    open_index = None
    for kind, index in found:
        if kind == "start":
            assert open_index is None
            open_index = index
        assert open_index == index
        if kind == "stop":
            open_index = None
    assert open_index is None
