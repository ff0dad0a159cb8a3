"""What a client sees of an answer, the same for every dialect, streamed or whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import msgspec

from lib.dialects.messages_errors import error_type

PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


@dataclass(frozen=True, slots=True)
class Seen:
    """`ending` is "good", "cut" (a length or an incomplete answer) or None; `error` is the error object.

    The Messages API has no codes: there `code` is the type of the error."""

    dialect: str
    status: int
    headers: httpx.Headers
    raw: str
    said: str = ""
    ending: str | None = None
    error: Mapping[str, Any] | None = None

    @property
    def code(self) -> str | None:
        return None if self.error is None else self.error["type" if self.dialect == "messages" else "code"]


def told(dialect: str, status: int, code: str | None) -> str | None:
    """How a dialect says this code, which comes with this status."""
    return error_type(status) if dialect == "messages" and code is not None else code


def body_of(dialect: str, text: str = "Hi", **fields: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if dialect == "responses":
        content = {"input": text}
    if dialect == "messages":
        content["max_tokens"] = 100
    return {"model": "gpt-5.5", **content, **fields}


class Asked(Protocol):
    """A running gateway, whatever its upstream."""

    def send(self, method: str, path: str, **options: Any) -> httpx.Response: ...


def ask(gateway: Asked, dialect: str, streamed: bool, text: str = "Hi", **fields: Any) -> Seen:
    """One request, read to its end. Asserts what holds of every answer of the dialect."""
    answer = gateway.send("POST", PATHS[dialect], json=body_of(dialect, text, stream=streamed, **fields))
    assert "x-request-id" in answer.headers
    if answer.status_code != 200:
        return _refused(answer, dialect)
    if streamed:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        return _READERS[dialect](answer)
    return _whole(answer, dialect)


def _refused(answer: httpx.Response, dialect: str) -> Seen:
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    if dialect == "messages":
        assert set(body) == {"type", "error", "request_id"} and body["type"] == "error"
        assert body["request_id"] == answer.headers["x-request-id"]
    error = body["error"]
    assert set(error) == ({"message", "type"} if dialect == "messages" else {"message", "type", "param", "code"})
    assert error["message"]
    return Seen(dialect, answer.status_code, answer.headers, answer.text, error=error)


def _whole(answer: httpx.Response, dialect: str) -> Seen:
    body = answer.json()
    if dialect == "chat":
        choice = body["choices"][0]
        return _seen("chat", answer, choice["message"]["content"] or "", _ENDINGS[choice["finish_reason"]])
    if dialect == "messages":
        said = "".join(block["text"] for block in body["content"] if block["type"] == "text")
        return _seen("messages", answer, said, _ENDINGS[body["stop_reason"]])
    parts = [part for item in body["output"] if item["type"] == "message" for part in item["content"]]
    return _seen("responses", answer, "".join(part["text"] for part in parts), _ENDINGS[body["status"]])


def _chat(answer: httpx.Response) -> Seen:
    frames = [frame for frame in answer.text.split("\n\n") if frame and not frame.startswith(":")]
    assert all(frame.startswith("data: ") for frame in frames)
    assert frames.pop() == "data: [DONE]"
    chunks = [msgspec.json.decode(frame[6:]) for frame in frames]
    errors = [chunk["error"] for chunk in chunks if "error" in chunk]
    choices = [choice for chunk in chunks if "error" not in chunk for choice in chunk["choices"]]
    reasons = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    assert len(errors) + len(reasons) == 1, (errors, reasons)
    said = "".join(choice["delta"].get("content") or "" for choice in choices)
    return _seen("chat", answer, said, _ENDINGS[reasons[0]] if reasons else None, errors[0] if errors else None)


def _responses(answer: httpx.Response) -> Seen:
    events = events_of(answer)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events if event["type"] in TERMINAL] == [events[-1]["type"]]
    said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    failed = events[-1]["type"] == "response.failed"
    errors = [event["error"] for event in events if event["type"] == "error"]
    assert len(errors) == failed
    ending = None if failed else _ENDINGS[events[-1]["response"]["status"]]
    return _seen("responses", answer, said, ending, errors[0] if failed else None)


def _messages(answer: httpx.Response) -> Seen:
    """`message_start`, blocks that open and close in turn, then `message_delta` and `message_stop`, or `error`."""
    events = [event for event in events_of(answer) if event["type"] != "ping"]
    kinds = [event["type"] for event in events]
    failed = kinds[-1] == "error"
    assert kinds[0] == "message_start" or kinds == ["error"]
    assert kinds.count("message_stop") == (not failed) and kinds.count("error") == failed
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    said = "".join(delta["text"] for delta in deltas if delta["type"] == "text_delta")
    if failed:
        return _seen("messages", answer, said, None, events[-1]["error"])
    assert kinds[-2:] == ["message_delta", "message_stop"]
    places = [
        (event["type"], event["index"])
        for event in events
        if event["type"].endswith(("_start", "_stop")) and "index" in event
    ]
    blocks = range(len(places) // 2)
    assert places == [(kind, block) for block in blocks for kind in ("content_block_start", "content_block_stop")]
    return _seen("messages", answer, said, _ENDINGS[events[-2]["delta"]["stop_reason"]])


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The events of a Responses or a Messages stream; their names are their types."""
    found = []
    for frame in answer.text.split("\n\n"):
        if frame and not frame.startswith(":"):
            name, _, data = frame.partition("\ndata: ")
            found.append(msgspec.json.decode(data))
            assert name == f"event: {found[-1]['type']}"
    return found


def _seen(
    dialect: str, answer: httpx.Response, said: str, ending: str | None, error: Mapping[str, Any] | None = None
) -> Seen:
    return Seen(dialect, answer.status_code, answer.headers, answer.text, said, ending, error)


_READERS = {"chat": _chat, "responses": _responses, "messages": _messages}
_ENDINGS = {
    **dict.fromkeys(("stop", "tool_calls", "function_call", "completed", "end_turn", "tool_use"), "good"),
    **dict.fromkeys(("length", "content_filter", "incomplete", "max_tokens", "refusal"), "cut"),
}
