"""`/completions`, the legacy endpoint, of the demo upstream: an honest text that quotes the prompt.

`n`, `echo`, `max_tokens`, `stop` and the stream's usage are honoured. Without `max_tokens` the text is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lib import sse
from lib.errors import InvalidRequest
from lib.upstreams.demo_fields import Made, Members, json_answer, wrong_type, wrong_value
from lib.upstreams.demo_input import bounded
from lib.upstreams.demo_plan import tokens

MAX_CHOICES = 128
MAX_PROMPT_CHARS = 65_536

_MAX_STOPS = 4
_INTRODUCTION = "Hello from the demo upstream! No model reads this."


@dataclass(frozen=True, slots=True)
class _Choice:
    index: int
    echo: str
    words: Sequence[str]
    finish_reason: str
    prompt_tokens: int


def completions(content: bytes, *, answer_id: str, created: int) -> Made:
    """Whole, or streamed word by word, all choices side by side. Raises InvalidRequest."""
    members = Members.of_json(content)
    answer = {"id": f"cmpl-{answer_id}", "object": "text_completion", "created": created, "model": members.model()}
    prompts = _prompts(members)
    n = members.integer("n", 1, MAX_CHOICES) or 1
    if len(prompts) * n > MAX_CHOICES:
        raise InvalidRequest(
            f"The prompts times 'n' make {len(prompts) * n} completions; at most {MAX_CHOICES} are made at once.",
            param="n",
            code="invalid_value",
        )
    limit, stops, echoes = members.integer("max_tokens", 0), _stops(members), members.boolean("echo")
    choices = [
        _choice(index, prompts[index // n], limit=limit, stops=stops, echoes=echoes)
        for index in range(len(prompts) * n)
    ]
    usage = _usage(choices, n)
    if members.boolean("stream"):
        usage_at_end = usage if _wants_usage(members) else None
        return Made("text/event-stream", _frames(answer, choices, usage_at_end), paced=True, ignored=members.unread())
    whole = [_wire(choice, choice.echo + "".join(choice.words), choice.finish_reason) for choice in choices]
    return json_answer({**answer, "choices": whole, "usage": usage}, members)


def _prompts(members: Members) -> list[str]:
    """The prompts; of tokens there is nothing to quote but their number."""
    value = members.take("prompt")
    if value is None:
        return [""]
    found = value if isinstance(value, list) and not _are_tokens(value) else [value]
    if not found:
        raise wrong_value("prompt", "at least one prompt", value, code="empty_array")
    return [_prompt(each) for each in found]


def _prompt(value: Any) -> str:
    if _are_tokens(value):
        return f"[{len(value)} tokens]"
    if not isinstance(value, str):
        raise wrong_type("prompt", "a string, an array of strings or an array of tokens", value)
    if len(value) > MAX_PROMPT_CHARS:
        raise InvalidRequest(
            f"This prompt is too long for the demo upstream: at most {MAX_PROMPT_CHARS} characters.",
            param="prompt",
            code="context_length_exceeded",
        )
    return value


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


def _stops(members: Members) -> list[str]:
    value = members.take("stop")
    found = [value] if isinstance(value, str) else value or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise wrong_type("stop", "a string or an array of strings", value)
    if len(found) > _MAX_STOPS:
        raise InvalidRequest(
            f"Invalid 'stop': at most {_MAX_STOPS} sequences.", param="stop", code="array_above_max_length"
        )
    return found


def _wants_usage(members: Members) -> bool:
    options = members.take("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise wrong_type("stream_options", "an object", options)
    return options.get("include_usage") is True


def _choice(index: int, prompt: str, *, limit: int | None, stops: Sequence[str], echoes: bool) -> _Choice:
    quote = bounded(prompt)
    text = f" {_INTRODUCTION} The prompt was: {quote}" if quote else f" {_INTRODUCTION} The prompt was empty."
    for stop in filter(None, stops):
        text = text.partition(stop)[0]
    words = tokens(text)
    is_cut = limit is not None and limit < len(words)
    return _Choice(
        index,
        prompt if echoes else "",
        words[:limit] if is_cut else words,
        "length" if is_cut else "stop",
        len(tokens(prompt)),
    )


def _usage(choices: Sequence[_Choice], n: int) -> dict[str, int]:
    """Each prompt counts once, however many completions it has."""
    prompt = sum(choice.prompt_tokens for choice in choices[::n])
    completion = sum(len(choice.words) for choice in choices)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _frames(answer: Mapping[str, Any], choices: Sequence[_Choice], usage: Mapping[str, int] | None) -> Iterator[bytes]:
    """One piece for each word that all choices say, with a frame for each of them in it."""

    def frame(choice: _Choice, text: str, finish_reason: str | None = None) -> bytes:
        chunk = {**answer, "choices": [_wire(choice, text, finish_reason)]}
        return sse.encode(msgspec.json.encode(chunk if usage is None else {**chunk, "usage": None}))

    echoes = b"".join(frame(choice, choice.echo) for choice in choices if choice.echo)
    if echoes:
        yield echoes
    for at in range(max(len(choice.words) for choice in choices)):
        yield b"".join(frame(choice, choice.words[at]) for choice in choices if at < len(choice.words))
    ending = b"".join(frame(choice, "", choice.finish_reason) for choice in choices)
    if usage is not None:
        ending += sse.encode(msgspec.json.encode({**answer, "choices": [], "usage": usage}))
    yield ending + sse.DONE


def _wire(choice: _Choice, text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": choice.index, "logprobs": None, "finish_reason": finish_reason}
