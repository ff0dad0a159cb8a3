"""What clients need of an answer: each judge says what is wrong with it, or None."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from lib.doctor.walk import Judge, Seen

_DONE = b"[DONE]"


def listing(seen: Seen) -> str | None:
    """GET /v1/models"""
    entries = _good(seen)["data"]
    if not entries:
        return "an empty list"
    return _first(
        (not all(isinstance(entry["id"], str) for entry in entries), "an entry without an id"),
        (not all(type(entry["created"]) is int for entry in entries), "'created' is no whole number"),
        (not all(entry["object"] == "model" for entry in entries), "an entry is no model"),
    )


def chat(seen: Seen) -> str | None:
    """A whole answer of Chat Completions; a channel test fails without counted tokens."""
    answer = _good(seen)
    message, usage = answer["choices"][0]["message"], answer["usage"]
    return _first(
        (not isinstance(message["content"], str), "no text"),
        (usage["completion_tokens"] < 1 or usage["prompt_tokens"] < 1, "no tokens are counted"),
    )


def chat_stream(*, counts: bool = False, calls: Sequence[str] = ()) -> Judge:
    """A stream of Chat Completions. counts: whether tokens were asked for. calls: the tools that were to be called."""

    def judge(seen: Seen) -> str | None:
        wrong = _not_stream(seen)
        events = [data for _, data in seen.events()]
        if wrong or not events or events[-1] != _DONE:
            return wrong or "the stream does not end with [DONE]"
        chunks = [_decoded(data) for data in events[:-1]]
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        reasons = [choice["finish_reason"] for choice in choices if choice["finish_reason"] is not None]
        entries = [choice["delta"].get("tool_calls", []) for choice in choices]
        named = [entry["function"]["name"] for each in entries for entry in each if "id" in entry]
        counted = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
        return _first(
            (len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) != 1, "the chunks differ"),
            (reasons != ["tool_calls" if calls else "stop"], f"finish reasons {reasons}"),
            (any(len(each) > 1 for each in entries), "two tool calls in one chunk"),
            (any(type(entry["index"]) is not int for each in entries for entry in each), "a tool call without index"),
            (named != list(calls), "not the tools that were asked for"),
            (len(counted) != int(counts), "no tokens are counted" if counts else "tokens are counted unasked"),
        )

    return judge


def responses_stream(seen: Seen) -> str | None:
    """A stream of the Responses API."""
    wrong = _not_stream(seen)
    if wrong:
        return wrong
    events = [(str(name, "utf-8"), _decoded(data)) for name, data in seen.events()]
    deltas = "".join(event["delta"] for _, event in events if event["type"] == "response.output_text.delta")
    done = "".join(event["text"] for _, event in events if event["type"] == "response.output_text.done")
    return _first(
        (any(name != event["type"] for name, event in events), "an event's name is not its type"),
        ([event["sequence_number"] for _, event in events] != list(range(len(events))), "events are not numbered"),
        (events[0][1]["type"] != "response.created", "the first event is not response.created"),
        (events[-1][1]["type"] != "response.completed", "the last event is not response.completed"),
        (deltas != done, "the pieces of the text do not make it up"),
    )


def response(seen: Seen) -> str | None:
    """A whole answer of the Responses API."""
    answer = _good(seen)
    return _first(
        (answer["status"] != "completed", f"status {answer['status']}"),
        (not any(item["type"] == "message" for item in answer["output"]), "no message"),
        (answer["usage"]["output_tokens"] < 1, "no tokens are counted"),
    )


def messages_stream(tool: str) -> Judge:
    """A stream of the Messages API in which this tool was to be called."""

    def judge(seen: Seen) -> str | None:
        wrong = _not_stream(seen)
        if wrong:
            return wrong
        events = [_decoded(data) for _, data in seen.events()]
        blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
        pieces = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        arguments = "".join(piece["partial_json"] for piece in pieces if piece["type"] == "input_json_delta")
        return _first(
            (events[0]["type"] != "message_start", "the first event is not message_start"),
            (events[-1]["type"] != "message_stop", "the last event is not message_stop"),
            (tool not in [block.get("name") for block in blocks], "the tool is not called"),
            (not isinstance(_decoded(arguments.encode()), dict), "the tool's input is no object"),
        )

    return judge


def member(name: str, fits: Callable[[Any], bool]) -> Judge:
    """Any good answer of JSON with a member that fits."""
    return lambda seen: None if fits(_good(seen)[name]) else f"'{name}' is not as it should be"


def content(kind: str) -> Judge:
    """Any good answer of this content type that holds anything."""

    def judge(seen: Seen) -> str | None:
        found = seen.headers.get("content-type", "")
        return _first(
            (seen.status != 200, f"answered with {seen.status}"),
            (not found.startswith(kind), f"content type {found}"),
            (not seen.body, "an empty answer"),
        )

    return judge


def refused(status: int, code: str, *, family: str = "openai") -> Judge:
    """An error that says what clients look for. family: openai or anthropic."""

    def judge(seen: Seen) -> str | None:
        error = seen.json()["error"]
        found = error["code"] if family == "openai" else error["type"]
        wrong = (seen.status, found) != (status, code)
        return f"answered with {seen.status} {found}, not {status} {code}" if wrong else None

    return judge


def preflight(seen: Seen) -> str | None:
    """What a browser asks before it lets a page call."""
    allowed = seen.headers.get("access-control-allow-headers", "")
    missing = [name for name in ("authorization", "x-stainless-os") if name not in allowed]
    return _first((seen.status != 200, f"answered with {seen.status}"), (bool(missing), "headers are not allowed"))


def _good(seen: Seen) -> Mapping[str, Any]:
    answer = seen.json()
    if seen.status != 200 or not isinstance(answer, dict):
        raise TypeError
    return answer


def _not_stream(seen: Seen) -> str | None:
    kind = seen.headers.get("content-type", "")
    return _first(
        (seen.status != 200, f"answered with {seen.status}"),
        (not kind.startswith("text/event-stream"), f"content type {kind}"),
    )


def _decoded(data: bytes) -> Any:
    return msgspec.json.decode(data)


def _first(*wrongs: tuple[bool, str]) -> str | None:
    return next((what for holds, what in wrongs if holds), None)
