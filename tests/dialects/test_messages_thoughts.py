from __future__ import annotations

import pytest

from lib.dialects.messages_blocks import Blocks
from lib.dialects.messages_thinking import Display
from lib.dialects.messages_thoughts import Thoughts
from lib.dialects.output_items import OutputItem, Part
from lib.dialects.places import Places
from tests.dialects.messages_streams import frames


def deltas(stream: bytes) -> list[str]:
    found = [each["delta"] for each in frames(stream) if "delta" in each]
    return [each.get("thinking", each.get("signature")) for each in found]


def item(sealed: str | None = "gAAA", *texts: str) -> OutputItem:
    return OutputItem("reasoning", summary=[Part(text=text) for text in texts], encrypted_content=sealed)


def test_parts_are_joined_and_the_signature_comes_last() -> None:
    thoughts = Thoughts(Blocks(), Places(), Display.TEXT)
    stream = thoughts.write((0, "summary", 0), "On", "") + thoughts.write((0, "summary", 0), "e", "")
    stream += thoughts.write((0, "summary", 0), "", "One") + thoughts.finish(0, item("gAAA", "One", "Two"))
    assert deltas(stream) == ["On", "e", "\n\nTwo", "reasoning.v1:gAAA"]


def test_two_items_are_two_blocks() -> None:
    thoughts = Thoughts(Blocks(), Places(), Display.TEXT)
    stream = thoughts.finish(0, item("a", "One")) + thoughts.finish(1, item("b", "Two"))
    assert deltas(stream) == ["One", "reasoning.v1:a", "Two", "reasoning.v1:b"]


@pytest.mark.parametrize(
    ("display", "sealed", "sent"),
    [
        (Display.NOTHING, "gAAA", []),
        (Display.SIGNATURE, "gAAA", ["reasoning.v1:gAAA"]),
        (Display.SIGNATURE, None, []),
        (Display.TEXT, None, ["One", "reasoning.v1:"]),
    ],
)
def test_only_what_was_asked_for_is_shown(display: Display, sealed: str | None, sent: list[str]) -> None:
    thoughts = Thoughts(Blocks(), Places(), display)
    assert deltas(thoughts.write((0, "summary", 0), "One", "") + thoughts.finish(0, item(sealed, "One"))) == sent
