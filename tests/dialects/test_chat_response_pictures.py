"""Pictures in chat answers; streamed and whole answers agree."""

from __future__ import annotations

from typing import Any

from lib.canonical.events import Event
from tests.dialects.chat_streams import (
    added,
    created,
    deltas,
    done,
    ended,
    event,
    finish,
    joined,
    message,
    output_text,
    rendered,
    renderer,
    response,
)

CITATION = {"type": "url_citation", "start_index": 1, "end_index": 3, "title": "T", "url": "https://example.org/"}


def picture(id: str = "ig_1", **members: Any) -> dict[str, Any]:
    return {"id": id, "type": "image_generation_call", "action": "generate", "result": "iVBORw0KGgo=", **members}


def text_at(index: int, *deltas: str) -> list[Event]:
    return [event("response.output_text.delta", output_index=index, content_index=0, delta=text) for text in deltas]


def test_a_finished_picture_is_one_delta_of_content() -> None:
    assert deltas(rendered([created(), added(0, picture(result=None)), done(0, picture()), ended([picture()])])) == [
        {"content": "![image](data:image/png;base64,iVBORw0KGgo=)"}
    ]


def test_a_picture_that_was_put_somewhere_is_shown_from_there() -> None:
    there = picture(result=None, url="https://a.example/b.png?c=d")
    stream = rendered([created(), done(0, there), ended([there])])
    assert joined(stream)["content"] == "![image](https://a.example/b.png?c=d)"
    assert renderer().body(response([there]))["choices"][0]["message"] == joined(stream)


def test_blank_lines_part_pictures_from_text_in_streamed_and_whole_answers() -> None:
    cite = event("response.output_text.annotation.added", output_index=3, content_index=0, annotation=CITATION)
    output = [
        message(output_text("Look:")),
        picture(),
        picture("ig_2", output_format="webp"),
        message(output_text("Fine?", CITATION), output_text(" Yes."), id="msg_2"),
    ]
    events = [*text_at(0, "Lo", "ok:"), done(1, output[1]), done(2, output[2]), *text_at(3, "Fi", "ne?"), cite]
    stream = rendered([created(), *events, ended(output)])
    whole = renderer().body(response(output))["choices"][0]
    assert joined(stream) == whole["message"]
    first, second = (f"![image](data:image/{kind};base64,iVBORw0KGgo=)" for kind in ("png", "webp"))
    assert whole["message"]["content"] == f"Look:\n\n{first}\n\n{second}\n\nFine? Yes."
    [found] = whole["message"]["annotations"]
    start, end = found["url_citation"]["start_index"], found["url_citation"]["end_index"]
    assert whole["message"]["content"][start:end] == "in"
    assert (whole["finish_reason"], finish(stream)) == ("stop", "stop")


def test_text_that_goes_on_behind_a_picture_has_its_blank_line() -> None:
    events = [*text_at(0, "a"), done(1, picture()), *text_at(0, "b", "c")]
    contents = [delta["content"] for delta in deltas(rendered([created(), *events, ended()]))]
    assert [contents[0], *contents[2:]] == ["a", "\n\nb", "c"]


def test_a_picture_that_only_the_end_tells_of_is_shown_once() -> None:
    events = [created(), *text_at(0, "a"), ended([message(output_text("a")), picture()])]
    assert joined(rendered(events))["content"] == "a\n\n![image](data:image/png;base64,iVBORw0KGgo=)"
    again = [created(), done(0, picture()), done(0, picture()), ended([picture()])]
    assert len(deltas(rendered(again))) == 1
