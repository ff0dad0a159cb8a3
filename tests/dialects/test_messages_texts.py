from __future__ import annotations

from lib.dialects.messages_blocks import Blocks
from lib.dialects.messages_texts import Texts
from lib.dialects.output_items import Part
from lib.dialects.places import Places
from tests.dialects.messages_streams import frames


def deltas(stream: bytes) -> list[str]:
    return [each["delta"]["text"] for each in frames(stream) if "text" in each.get("delta", {})]


def test_a_finished_message_brings_what_no_delta_brought() -> None:
    texts = Texts(Blocks(), Places(), [])
    sent = texts.write((0, 0), "a")
    rest = texts.finish(0, [Part(text="a"), Part(text="b"), Part(refusal="c"), Part(text="")])
    assert (deltas(sent), deltas(rest)) == (["a"], ["b", "c"])
    assert texts.has_refusal
    assert texts.finish(0, [Part(text="a")]) == b""


def test_annotations_come_once() -> None:
    texts = Texts(Blocks(), Places(), [])
    texts.write((0, 0), "a")
    cited = [{"type": "url_citation", "url": f"https://example.org/{name}"} for name in "xy"]
    stream = texts.cite((0, 0), cited[0]) + texts.finish(0, [Part(text="a", annotations=cited)])
    urls = [each["delta"]["citation"]["url"] for each in frames(stream) if "citation" in each.get("delta", {})]
    assert urls == ["https://example.org/x", "https://example.org/y"]


def test_a_refusal_is_no_place_for_stop_sequences() -> None:
    texts = Texts(Blocks(), Places(), ["no"])
    assert deltas(texts.refuse((0, 0), "no way")) == ["no way"]
    assert texts.stops.found is None
