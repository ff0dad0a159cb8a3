"""A collected Response → a `chat.completion`, and the parts of it that the streamed form shares.

Generated pictures are Markdown images in the content, with a blank line between them and the text around them;
`pictures.py` says why. What a web search found is cited in `annotations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from lib.canonical.request import CanonicalRequest
from lib.dialects.chat_logprobs import Tokens, choice_logprobs, wants_logprobs
from lib.dialects.output_items import PART_BREAK, OutputItem, Part, read_item
from lib.dialects.pictures import PICTURE, Breaks, markdown
from lib.dialects.stops import Stops

MAX_CALL_ID = 40
"""What clients of Chat Completions rely on."""

_TIERS = frozenset({"auto", "default", "flex", "scale", "priority"})
_FINISH = {"max_output_tokens": "length", "content_filter": "content_filter"}
_SHOWN = frozenset({"message", "reasoning", "function_call", "custom_tool_call", PICTURE})
_BYTES_PER_TOKEN = 4


def output_item(fields: Any) -> OutputItem | None:
    """None for items that Chat Completions has no place for (searches, …). Raises UpstreamError."""
    return read_item(fields, _SHOWN)


def output_items(response: Mapping[str, Any]) -> list[OutputItem]:
    """The items of a Response that can be shown, in order."""
    return [item for item in map(output_item, response.get("output") or ()) if item is not None]


def completion_id(response_id: str) -> str:
    """The `id` of the answer and of each of its chunks."""
    return f"chatcmpl-{response_id}"


def completion(
    request: CanonicalRequest, response: Mapping[str, Any], *, response_id: str, now: float
) -> dict[str, Any]:
    """The whole answer; `now` stands in for a missing `created_at`."""
    items = output_items(response)
    created, model = origin(request, response, now)
    legacy = is_legacy(request)
    content = _Content(request)
    shown = [item for item in items if content.add(item)]
    has_calls = any(item.is_call for item in shown)
    choice = {
        "index": 0,
        "message": _message(shown, content, legacy, response_id),
        "logprobs": choice_logprobs(content.tokens),
        "finish_reason": finish_reason(
            response, has_calls=has_calls, legacy=legacy, is_stopped=content.stops.found is not None
        ),
    }
    body = {
        "id": completion_id(response_id),
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "usage": usage(request, response, items),
    }
    tier = service_tier(response)
    return body if tier is None else body | {"service_tier": tier}


def _message(items: list[OutputItem], content: _Content, legacy: bool, response_id: str) -> dict[str, Any]:
    reasoning = [part for item in items if item.type == "reasoning" for part in item.thoughts()]
    calls = [item for item in items if item.is_call]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if not content.text and (calls or content.refusal) else content.text,
        "refusal": content.refusal or None,
        "annotations": content.annotations,
    }
    if reasoning:
        message["reasoning_content"] = PART_BREAK.join(reasoning)
    if calls and legacy:
        message["function_call"] = {"name": calls[0].name or "", "arguments": calls[0].payload}
    elif calls:
        message["tool_calls"] = [tool_call(item, call_id(item, response_id, index)) for index, item in enumerate(calls)]
    return message


class _Content:
    """What all messages and pictures add up to, until a stop sequence ends it."""

    def __init__(self, request: CanonicalRequest) -> None:
        self.stops = Stops(stop_sequences(request))
        self.text = self.refusal = ""
        self.annotations: list[dict[str, Any]] = []
        self.tokens: list[Any] = []
        """As `choice_logprobs` takes them."""
        self._breaks = Breaks()
        self._wants_logprobs = wants_logprobs(request)

    def add(self, item: OutputItem) -> bool:
        """Whether the item is shown: it, or at least its beginning, stands before the end."""
        if self.stops.found is not None:
            return False
        shown = markdown(item) if item.type == PICTURE else ""
        if shown:
            self.text += self._breaks.before(is_picture=True) + shown
        for part in (item.content or ()) if item.type == "message" else ():
            if self.stops.found is None:
                self._add_part(part)
        return True

    def _add_part(self, part: Part) -> None:
        if part.text:
            self.text += self._breaks.before(is_picture=False)
        found = citations(part.annotations, len(self.text))
        shown = self.stops.cut(part.text or "")
        self.text += shown
        if self._wants_logprobs:
            tokens = Tokens()
            tokens.add(part.logprobs)
            self.tokens += tokens.rest() if self.stops.found is None else tokens.shown(shown)
        if self.stops.found is None:
            self.refusal += part.refusal or ""
        else:
            found = within(found, len(self.text))
        self.annotations += found


def tool_call(item: OutputItem, id: str) -> dict[str, Any]:
    """A call with all that it holds, without the `index` of streamed ones."""
    if item.type == "custom_tool_call":
        return {"id": id, "type": "custom", "custom": {"name": item.name or "", "input": item.payload}}
    return {"id": id, "type": "function", "function": {"name": item.name or "", "arguments": item.payload}}


def call_id(item: OutputItem, response_id: str, index: int) -> str:
    """At most 40 characters. A longer one is hashed: the client sends the short form back with the call as well as
    with its output, so that nothing has to be remembered. The `index`th call gets one of its own if it has none."""
    found = item.call_id or item.id or f"call_{response_id}_{index}"
    return found if len(found) <= MAX_CALL_ID else f"call_{blake2b(found.encode(), digest_size=16).hexdigest()}"


def citations(annotations: Iterable[Mapping[str, Any]] | None, offset: int) -> list[dict[str, Any]]:
    """URL citations in the form of Chat Completions, the only kind that it has. `offset` is where the annotated part
    begins in the content, which joins all parts."""
    found = []
    for each in annotations or ():
        start, end = each.get("start_index"), each.get("end_index")
        if each.get("type") != "url_citation" or type(start) is not int or type(end) is not int:
            continue
        cited = {
            "start_index": start + offset,
            "end_index": end + offset,
            "title": each.get("title") or "",
            "url": each.get("url") or "",
        }
        found.append({"type": "url_citation", "url_citation": cited})
    return found


def within(annotations: list[dict[str, Any]], length: int) -> list[dict[str, Any]]:
    """Citations, in the form of Chat Completions, of content that ends there."""
    return [each for each in annotations if each["url_citation"]["end_index"] <= length]


def stop_sequences(request: CanonicalRequest) -> list[str]:
    """Where the caller wants the text to end."""
    stop = request.body.get("stop")
    if not stop:
        return []
    return [stop] if type(stop) is str else [each for each in stop if each]


def is_legacy(request: CanonicalRequest) -> bool:
    """Whether the caller speaks of `functions`: then a call is a `function_call`, and there is one at most."""
    return bool(request.body.get("functions"))


def origin(request: CanonicalRequest, response: Mapping[str, Any], now: float) -> tuple[int, str]:
    """(created, model): the upstream's own where it says so."""
    created, model = response.get("created_at"), response.get("model")
    seconds = created if type(created) in (int, float) and created else now
    return int(seconds), model if type(model) is str and model else request.model or "auto"


def service_tier(response: Mapping[str, Any]) -> str | None:
    """The tier that served the request, if it is one that Chat Completions knows."""
    tier = response.get("service_tier")
    return tier if type(tier) is str and tier in _TIERS else None


def finish_reason(response: Mapping[str, Any], *, has_calls: bool, legacy: bool, is_stopped: bool) -> str:
    """An answer that was cut for a reason without a name of its own here has the nearest one, `length`. `is_stopped`:
    it ends at a stop sequence, wherever the upstream's ends."""
    if response.get("status") == "incomplete" and not is_stopped:
        details = response.get("incomplete_details")
        reason = details.get("reason") if type(details) is dict else None
        return _FINISH.get(reason, "length") if type(reason) is str else "length"
    if not has_calls:
        return "stop"
    return "function_call" if legacy else "tool_calls"


def usage(request: CanonicalRequest, response: Mapping[str, Any], items: list[OutputItem]) -> dict[str, Any]:
    """Token counts as reported. Where the upstream reports none, a rough estimate stands in: a token for every four
    bytes of UTF-8 text, rounded up, because clients take zero for a failure."""
    reported = response.get("usage")
    counts: Mapping[str, Any] = reported if type(reported) is dict else {}
    prompt = _count(counts, "input_tokens") or _estimate(_asked(request))
    answered = _count(counts, "output_tokens") or _estimate(_answered(items))
    cached = _details(counts, "input_tokens_details")
    thought = _details(counts, "output_tokens_details")
    prompt_details = {"cached_tokens": _count(cached, "cached_tokens"), "audio_tokens": 0}
    if "cache_write_tokens" in cached:
        prompt_details["cache_write_tokens"] = _count(cached, "cache_write_tokens")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answered,
        "total_tokens": _count(counts, "total_tokens") or prompt + answered,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {
            "reasoning_tokens": _count(thought, "reasoning_tokens"),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _count(counts: Mapping[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if type(value) is int and value > 0 else 0


def _details(counts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = counts.get(name)
    return value if type(value) is dict else {}


def _estimate(texts: Iterable[str]) -> int:
    return -(-sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN)


def _answered(items: list[OutputItem]) -> Iterable[str]:
    for item in items:
        yield from (part.text or part.refusal or "" for part in (*(item.summary or ()), *(item.content or ())))
        if item.is_call:
            yield item.name or ""
            yield item.payload


def _asked(request: CanonicalRequest) -> Iterable[str]:
    yield request.instructions or ""
    for item in request.input:
        for name in ("arguments", "input", "output"):
            if type(item.get(name)) is str:
                yield item[name]
        parts = item.get("content") or item.get("output")
        if type(parts) is list:
            yield from (part["text"] for part in parts if type(part.get("text")) is str)
