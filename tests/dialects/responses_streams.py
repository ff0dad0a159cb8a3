"""Canonical event streams of our own making, as an upstream hands them out: bytes, numbers with gaps, bare objects."""

from typing import Any

import msgspec

from lib.canonical.events import Collector, Event

Fields = dict[str, Any]

RESPONSE: Fields = {
    "id": "resp_up1",
    "object": "response",
    "created_at": 1_700_000_000,
    "status": "in_progress",
    "model": "gpt-demo",
    "instructions": "the upstream's own words",
    "output": [],
    "reasoning": {"effort": "medium", "summary": "auto"},
    "safety_identifier": "user-OF-THE-ACCOUNT",
    "prompt_cache_key": "made-by-the-gateway",
    "service_tier": "auto",
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "tools": [],
    "top_p": 0.98,
    "usage": None,
    "user": None,
    "moderation": None,
}
USAGE: Fields = {"input_tokens": 24, "output_tokens": 11, "total_tokens": 35}


def event(kind: str, number: int | None = 0, **fields: Any) -> Event:
    end = {} if number is None else {"sequence_number": number}
    return Event(kind, msgspec.json.encode({"type": kind, **fields, **end}))


def stream(
    *middle: tuple[str, Fields], status: str = "completed", first_number: int = 0, **terminal: Any
) -> list[Event]:
    """Created, in progress, the given events, and the terminal one with the collected output."""
    kinds = [("response.created", {"response": RESPONSE}), ("response.in_progress", {"response": RESPONSE}), *middle]
    events = [event(kind, first_number + number, **fields) for number, (kind, fields) in enumerate(kinds)]
    collector = Collector()
    for each in events:
        collector.feed(each)
    whole = {**RESPONSE, "status": status, "completed_at": 1_700_000_007, "usage": USAGE, "end_turn": True}
    whole |= terminal
    whole["output"] = collector.output(whole)
    events.append(event(f"response.{status}", first_number + len(events), response=whole))
    return events


def message(*deltas: str, index: int = 0, refusal: bool = False, id: str = "msg_1") -> list[tuple[str, Fields]]:
    text = "".join(deltas)
    kind, member = ("refusal", "refusal") if refusal else ("output_text", "text")
    extra: Fields = {} if refusal else {"logprobs": []}
    empty: Fields = {"type": kind, member: "", **({} if refusal else {"annotations": [], "logprobs": []})}
    part = {**empty, member: text}
    item = {"id": id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    at = {"item_id": id, "output_index": index, "content_index": 0}
    return [
        ("response.output_item.added", {"item": item, "output_index": index}),
        ("response.content_part.added", {**at, "part": empty}),
        *[(f"response.{kind}.delta", {**at, "delta": delta, **extra, "obfuscation": "x1"}) for delta in deltas],
        (f"response.{kind}.done", {**at, member: text, **extra}),
        ("response.content_part.done", {**at, "part": part}),
        (
            "response.output_item.done",
            {"item": {**item, "status": "completed", "content": [part]}, "output_index": index},
        ),
    ]


def call(*deltas: str, index: int = 0, name: str = "look", custom: bool = False) -> list[tuple[str, Fields]]:
    text = "".join(deltas)
    kind, member = ("custom_tool_call", "input") if custom else ("function_call", "arguments")
    events = "custom_tool_call_input" if custom else "function_call_arguments"
    item = {"id": f"fc_{index}", "type": kind, "call_id": f"call_{index}", "name": name, "status": "in_progress"}
    at = {"item_id": f"fc_{index}", "output_index": index}
    return [
        ("response.output_item.added", {"item": {**item, member: ""}, "output_index": index}),
        *[(f"response.{events}.delta", {**at, "delta": delta}) for delta in deltas],
        (f"response.{events}.done", {**at, member: text}),
        ("response.output_item.done", {"item": {**item, "status": "completed", member: text}, "output_index": index}),
    ]


def reasoning(*deltas: str, index: int = 0) -> list[tuple[str, Fields]]:
    text = "".join(deltas)
    item: Fields = {"id": "rs_1", "type": "reasoning", "encrypted_content": "gAAA", "summary": []}
    at = {"item_id": "rs_1", "output_index": index, "summary_index": 0}
    part = {"type": "summary_text", "text": text}
    return [
        ("response.output_item.added", {"item": item, "output_index": index}),
        ("response.reasoning_summary_part.added", {**at, "part": {"type": "summary_text", "text": ""}}),
        *[("response.reasoning_summary_text.delta", {**at, "delta": delta}) for delta in deltas],
        ("response.reasoning_summary_text.done", {**at, "text": text}),
        ("response.reasoning_summary_part.done", {**at, "part": part}),
        ("response.output_item.done", {"item": {**item, "summary": [part]}, "output_index": index}),
    ]


def web_search(index: int = 0) -> list[tuple[str, Fields]]:
    item: Fields = {"id": "ws_1", "type": "web_search_call", "status": "in_progress"}
    at = {"item_id": "ws_1", "output_index": index}
    found = {**item, "status": "completed", "action": {"type": "open_page", "url": "https://example.org/"}}
    return [
        ("response.output_item.added", {"item": item, "output_index": index}),
        *[(f"response.web_search_call.{state}", at) for state in ("in_progress", "searching", "completed")],
        ("response.output_item.done", {"item": found, "output_index": index}),
    ]


def image(index: int = 0) -> list[tuple[str, Fields]]:
    item: Fields = {"id": "ig_1", "type": "image_generation_call", "status": "in_progress"}
    at = {"item_id": "ig_1", "output_index": index}
    piece = {"partial_image_index": 0, "partial_image_b64": "aGk="}
    return [
        ("response.output_item.added", {"item": item, "output_index": index}),
        *[(f"response.image_generation_call.{state}", at) for state in ("in_progress", "generating")],
        ("response.image_generation_call.partial_image", {**at, **piece}),
        ("response.image_generation_call.completed", at),
        (
            "response.output_item.done",
            {"item": {**item, "status": "completed", "result": "aGk="}, "output_index": index},
        ),
    ]


STREAMS: dict[str, list[Event]] = {
    "text": stream(*message("Hel", "lo")),
    "odd text": stream(
        *message(" ", "\n\n", "[DONE]\ndata: {}\n\n", "exec_command", "\u2028\u2029\u0085", '"item_id":')
    ),
    "refusal": stream(*message("I can't", ".", refusal=True)),
    "function call": stream(*call('{"city":', '"Lima"}')),
    "call without arguments": stream(*call()),
    "custom tool": stream(*call("*** Begin", "\n*** End", custom=True)),
    "reasoning and text": stream(*reasoning("**Plan", "**"), *message("Hi", index=1)),
    "web search": stream(*web_search(), *message("Found", index=1), tool_usage={"web_search": {"num_requests": 1}}),
    "image": stream(*image()),
    "gaps in the numbers": stream(*message("a", "b", "c"), first_number=3),
    "nothing at all": stream(),
    "cut off": stream(*message("Hel"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
}
