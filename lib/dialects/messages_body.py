"""A collected Response → a `message`, and the parts of it that the streamed form shares.

The format has no generated pictures; one is shown as a text block that holds a Markdown image, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from lib.canonical.request import CanonicalRequest
from lib.dialects.messages_count import rough_count
from lib.dialects.messages_thinking import Display, display_of, signature_of
from lib.dialects.output_items import PART_BREAK, OutputItem, Part, read_item
from lib.dialects.pictures import PICTURE, markdown
from lib.dialects.stops import Stops
from lib.errors import UpstreamError, Verdict

_SHOWN = frozenset({"message", "reasoning", "function_call", "custom_tool_call", "web_search_call", PICTURE})

Block = dict[str, Any]


def output_item(fields: Any) -> OutputItem | None:
    """None for items that a message has no place for. Raises UpstreamError."""
    return read_item(fields, _SHOWN)


def payload_of(item: OutputItem) -> str:
    """A call's input as JSON text; the free text of a custom tool is wrapped into an object."""
    if item.type == "custom_tool_call":
        return msgspec.json.encode({"input": item.payload}).decode()
    return item.payload


def input_of(item: OutputItem, payload: str) -> dict[str, Any]:
    """The input of a call. Raises UpstreamError for what is no JSON object: no client could call the tool with it."""
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise UpstreamError(
            f"The model called the tool '{item.name or ''}' with an input that is no JSON object. Ask again.",
            verdict=Verdict.SERVICE,
            code="upstream_bad_response",
        ) from error


# --- Blocks ---------------------------------------------------------------------------------------------------------


def text_block(text: str = "") -> Block:
    return {"type": "text", "text": text}


def tool_use_block(item: OutputItem, input: dict[str, Any]) -> Block:
    """The id is the upstream's: it comes back with the tool's result."""
    return {"type": "tool_use", "id": item.call_id or item.id or "call_0", "name": item.name or "", "input": input}


def search_blocks(item: OutputItem) -> tuple[Block, Block] | None:
    """A finished web search, as the tool use and the result that the Messages API makes of it. None for what is no
    search: pages that were opened after one."""
    action = item.action if type(item.action) is dict else {}
    query = action.get("query")
    if action.get("type") != "search" or type(query) is not str:
        return None
    id = f"srvtoolu_{item.id or 'search'}"
    told = action.get("sources")
    sources = told if type(told) is list else ()
    found = [_result(source["url"]) for source in sources if type(source) is dict and type(source.get("url")) is str]
    return (
        {"type": "server_tool_use", "id": id, "name": "web_search", "input": {"query": query}},
        {"type": "web_search_tool_result", "tool_use_id": id, "content": found},
    )


def _result(url: str) -> Block:
    # The upstream names addresses alone, and nothing of it has to come back.
    return {"type": "web_search_result", "url": url, "title": url, "encrypted_content": "", "page_age": None}


def citations(annotations: Iterable[Mapping[str, Any]] | None) -> list[Block]:
    """URL citations, the only kind that both sides have. The upstream does not quote what it cites."""
    return [
        {
            "type": "web_search_result_location",
            "url": each["url"],
            "title": each.get("title") if type(each.get("title")) is str else None,
            "cited_text": "",
            "encrypted_index": "",
        }
        for each in annotations or ()
        if each.get("type") == "url_citation" and type(each.get("url")) is str
    ]


# --- The whole message ----------------------------------------------------------------------------------------------


def message(request: CanonicalRequest, response: Mapping[str, Any], *, id: str) -> dict[str, Any]:
    """The whole answer. Raises UpstreamError for tool calls that no client could make."""
    items = [item for item in map(output_item, response.get("output") or ()) if item is not None]
    stops = Stops(request.body.get("stop_sequences") or ())
    display = display_of(request.body.get("thinking"))
    is_cut = response.get("status") == "incomplete"
    content: list[Block] = []
    for item in items:
        if stops.found is None:
            content += _blocks_of(item, display, stops, is_cut)
    if not content:
        content.append(text_block())
    kinds = {block["type"] for block in content}
    ending = ending_of(response, stops.found, has_calls="tool_use" in kinds, has_refusal=any(map(_refuses, items)))
    head = opening(request, id)
    return {**head, "content": content, **ending, "usage": usage(request, response)}


def _blocks_of(item: OutputItem, display: Display, stops: Stops, is_cut: bool) -> list[Block]:
    if item.type == "reasoning":
        block = _thinking_block(item, display)
        return [] if block is None else [block]
    if item.type == "web_search_call":
        return list(search_blocks(item) or ())
    if item.type == PICTURE:
        shown = markdown(item)
        return [text_block(shown)] if shown else []
    if item.is_call:
        if is_cut and (item.status == "incomplete" or not _is_whole(payload_of(item))):
            return []  # half a call is none
        return [tool_use_block(item, input_of(item, payload_of(item)))]
    parts = [part for part in item.content or () if part.refusal or part.text]
    return [_text_block_of(part, stops) for part in parts if stops.found is None]


def _text_block_of(part: Part, stops: Stops) -> Block:
    text = part.refusal or stops.cut(part.text or "")
    cited = citations(part.annotations) if stops.found is None else []
    return text_block(text) | ({"citations": cited} if cited else {})


def _thinking_block(item: OutputItem, display: Display) -> Block | None:
    thoughts = item.thoughts() if display is Display.TEXT else []
    if display is Display.NOTHING or not (thoughts or item.encrypted_content):
        return None
    text = PART_BREAK.join(thoughts)
    return {"type": "thinking", "thinking": text, "signature": signature_of(item.encrypted_content)}


def _is_whole(payload: str) -> bool:
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _refuses(item: OutputItem) -> bool:
    return any(part.refusal for part in item.content or ())


def opening(request: CanonicalRequest, id: str) -> dict[str, Any]:
    """What a message has from its start on. `model` is the name that was asked for."""
    return {"id": id, "type": "message", "role": "assistant", "model": request.model or "auto"}


def ending_of(
    response: Mapping[str, Any], stop: str | None, *, has_calls: bool, has_refusal: bool
) -> dict[str, str | dict[str, Any] | None]:
    """`stop_reason` and what belongs to it. An answer that was cut for a reason without a name here has the nearest
    one, `max_tokens`."""
    reason, details = "end_turn", None
    if stop is not None:
        reason = "stop_sequence"
    elif response.get("status") == "incomplete":
        told = response.get("incomplete_details")
        is_filtered = type(told) is dict and told.get("reason") == "content_filter"
        reason = "refusal" if is_filtered else "max_tokens"
    elif has_calls:
        reason = "tool_use"
    elif has_refusal:
        reason = "refusal"
    if reason == "refusal":
        details = {"type": "refusal", "category": None, "explanation": None}
    return {"stop_reason": reason, "stop_sequence": stop, "stop_details": details}


def usage(request: CanonicalRequest, response: Mapping[str, Any]) -> dict[str, Any]:
    """Token counts as reported; where the upstream reports none, a rough estimate of the input.

    Cached tokens are a part of the input upstream, and stand beside it here.
    """
    counts = _object(response, "usage")
    total = _count(counts, "input_tokens") or rough_count(request)
    details = _object(counts, "input_tokens_details")
    cached, written = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    thought = _count(_object(counts, "output_tokens_details"), "reasoning_tokens")
    found: dict[str, Any] = {
        "input_tokens": max(0, total - cached - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": _count(counts, "output_tokens"),
        "output_tokens_details": {"thinking_tokens": thought},
    }
    items = map(output_item, response.get("output") or ())
    searches = sum(item is not None and search_blocks(item) is not None for item in items)
    if searches:
        found["server_tool_use"] = {"web_search_requests": searches, "web_fetch_requests": 0}
    return found


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if type(value) is dict else {}


def _count(counts: Mapping[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if type(value) is int and value > 0 else 0
