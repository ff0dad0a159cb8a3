from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.dialects.output_items import OutputItem
from lib.dialects.pictures import MAX_REPLAYED, PICTURE, Breaks, Replayed, addresses_in, markdown, with_pictures

URL = "data:image/png;base64,iVBORw0KGgo="
SHOWN = f"![image]({URL})"


def item(**members: Any) -> OutputItem:
    return OutputItem(PICTURE, **members)


def replayed(text: str) -> tuple[str, list[str]]:
    """The text that is left, and the pictures that went into the next message."""
    pictures, content = Replayed(), [{"type": "input_text", "text": "now"}]
    left = pictures.taken_from(text)
    pictures.give_to(content)
    pictures.finish()
    assert content[0] == {"type": "input_text", "text": "now"}
    return left, [part["image_url"] for part in content[1:] if part["type"] == "input_image"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"result": "iVBORw0KGgo="}, SHOWN),
        ({"result": "aGk=", "output_format": "webp"}, "![image](data:image/webp;base64,aGk=)"),
        ({"result": "aGk=", "output_format": "x)("}, "![image](data:image/png;base64,aGk=)"),
        ({"result": "aGk=", "url": "https://a.example/b?c=%20&d=e"}, "![image](https://a.example/b?c=%20&d=e)"),
        ({"url": "https://a.example/b) (c\n[d]"}, "![image](https://a.example/b%29%20%28c%0A%5Bd%5D)"),
        ({"status": "failed"}, ""),
        ({"result": ""}, ""),
    ],
)
def test_a_picture_is_an_image_in_markdown(members: dict[str, Any], expected: str) -> None:
    assert markdown(item(**members)) == expected


def test_blank_lines_stand_between_pictures_and_text_and_nowhere_else() -> None:
    breaks = Breaks()
    kinds = [False, False, True, True, False, False]
    assert [breaks.before(is_picture=kind) for kind in kinds] == ["", "", "\n\n", "\n\n", "\n\n", ""]
    assert Breaks().before(is_picture=True) == ""


def test_what_was_shown_comes_back_as_a_picture() -> None:
    assert replayed(f"Here:\n\n{SHOWN}\n\nNice?") == ("Here:\n\n[image 1]\n\nNice?", [URL])
    assert replayed(f"{SHOWN}{SHOWN}") == ("[image 1][image 2]", [URL, URL])


@pytest.mark.parametrize("shown", [f"![]({URL})", f"![a cat]( {URL} )", f'![a]({URL} "A title")', f'![a]({URL} "")'])
def test_other_spellings_of_an_image_are_known(shown: str) -> None:
    assert replayed(shown) == ("[image 1]", [URL])


@pytest.mark.parametrize("bad", ["data:image/png;base64,a", "data:image/svg+xml;base64,aGk=", "data:image/png,x"])
def test_an_invalid_picture_is_taken_out_and_goes_nowhere(bad: str) -> None:
    assert replayed(f"a ![b]({bad}) {SHOWN}") == ("a [image 1] [image 2]", [URL])


@pytest.mark.parametrize(
    "text", ["", "no picture", "![a](https://a.example/b.png)", f"[a]({URL})", f"![a]({URL}", f"![a] ({URL})", URL]
)
def test_all_other_text_stays(text: str) -> None:
    assert replayed(text) == (text, [])


def test_pictures_wait_for_the_next_message_and_the_newest_are_kept() -> None:
    pictures = Replayed()
    contents: list[list[dict[str, Any]]] = []
    for number in range(MAX_REPLAYED + 3):
        pictures.taken_from(f"![a](data:image/png;base64,{number:04d})")
        if number % 2:
            contents.append([])
            pictures.give_to(contents[-1])
    pictures.finish()
    urls = [part["image_url"] for content in contents for part in content]
    assert urls == [f"data:image/png;base64,{number:04d}" for number in range(2, MAX_REPLAYED + 2)]
    assert [len(content) for content in contents] == [0] + [2] * (MAX_REPLAYED // 2)


HOSTILE = [
    "![",
    "![a](",
    f"![a]({URL}",
    "![a](data:image/",
    "](data:image/",
    "![" + "a" * 256,
    "![a](   ",
    '![a](data:image/x "',
    "![a](https://x",
    "![a](http",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_takes_no_longer_than_its_length(piece: str) -> None:
    text = (piece * (2_000_000 // len(piece))) + " data:image/"
    began = time.process_time()
    left, _ = replayed(text)
    assert left == text
    assert addresses_in([said("assistant", text)]) == []
    assert time.process_time() - began < 3


@given(
    st.lists(st.sampled_from([SHOWN, "![", "](", ")", URL, " ", "x", '"', "\n", "[", "]"]), max_size=12).map("".join)
)
def test_no_picture_is_left_and_no_text_is_lost(text: str) -> None:
    left, urls = replayed(text)
    assert SHOWN not in left
    pieces = [re.escape(piece) for piece in re.split(r"\[image \d+\]", left)]
    assert re.fullmatch(r"!\[[^\n]*?\]\(\s*data:[^)]*\)".join(pieces), text)
    assert len(urls) <= len(pieces) - 1  # two URLs in a row are no valid one
    assert set(urls) <= {URL}


OLD, NEW = "https://a.example/b.png?old=%20", "https://a.example/b.png?new=1"
OTHER = "http://b.example/c.png"


def said(role: str, *texts: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text} for text in texts]}


def test_addresses_of_images_are_found_where_the_assistant_shows_them() -> None:
    items = [
        said("user", f"![a]({NEW})"),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": f"![a]({NEW})"},
        said("assistant", f"![a]({OLD}) and {SHOWN}", f'[no image]({NEW}), ![b]( {OTHER} "Title")'),
        said("assistant", f"again: ![]({OLD})"),
    ]
    assert addresses_in(items) == [OTHER, OLD]
    assert addresses_in([]) == []


def test_known_addresses_come_back_as_pictures() -> None:
    items = [
        said("user", "draw"),
        said("assistant", f"Here: ![image]({OLD}), not ![mine]({OTHER})"),
        {"type": "reasoning", "summary": []},
        said("user", "make it blue"),
        said("user", "please"),
    ]
    before = repr(items)
    found = with_pictures(items, {OLD: NEW})
    assert repr(items) == before
    assert found[1] == said("assistant", f"Here: [image 1], not ![mine]({OTHER})")
    assert found[3]["content"] == [
        {"type": "input_text", "text": "make it blue"},
        {"type": "input_image", "image_url": NEW},
    ]
    assert [found[0], found[2], found[4]] == [items[0], items[2], items[4]]


def test_a_refusal_holds_no_picture() -> None:
    refusal = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": f"![a]({OLD})"}]}
    assert addresses_in([refusal]) == []
    assert with_pictures([refusal, said("user", "x")], {OLD: NEW}) == [refusal, said("user", "x")]
