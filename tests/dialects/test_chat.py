"""The Chat Completions dialect as one object."""

from __future__ import annotations

from lib.dialects.chat import CHAT
from lib.types import Dialect
from tests.dialects.chat_streams import created, ended, message, output_text, text_deltas


def test_dialect_parses_and_renders() -> None:
    dialect: Dialect = CHAT
    assert dialect.name == "chat"
    request = dialect.parse({"messages": [{"role": "user", "content": "hi"}], "stream": True})
    assert (request.model, request.stream) == (None, True)
    chat = dialect.renderer(request, response_id="abc", now=1.0)
    stream = b"".join(map(chat.feed, [created(), *text_deltas("Hi"), ended()])) + chat.finish()
    assert stream.startswith(b'data: {"id":"chatcmpl-abc",')
    assert stream.endswith(b"data: [DONE]\n\n")
    whole = chat.body(ended([message(output_text("Hi"))]).fields["response"])
    assert whole["choices"][0]["message"]["content"] == "Hi"


def test_two_answers_share_nothing() -> None:
    request = CHAT.parse({"messages": [{"role": "user", "content": "hi"}]})
    first, second = (CHAT.renderer(request, response_id=id, now=1.0) for id in "ab")
    first.feed(created())
    (delta,) = text_deltas("Hi")
    assert b"chatcmpl-a" in first.feed(delta)
    assert b"chatcmpl-b" in second.feed(delta)
