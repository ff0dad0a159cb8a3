"""What the demo upstream answers: decided from the request alone, the same each time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lib.canonical.hosted import IMAGE_GENERATION
from lib.canonical.request import CanonicalRequest, Item, Tool
from lib.upstreams.demo_hosted import FINDING, SOURCE
from lib.upstreams.demo_input import attachments, bounded, item_text, tool_output, user_message
from lib.upstreams.demo_tools import Call, calls, encoded_example

_MIN_REASONING_BUDGET = 16
"""With fewer output tokens than this there is no thinking: it would leave nothing for the answer."""

_TOKEN = re.compile(r"\s*\S{1,16}|\s+$")


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer: a reasoning summary (or none), then tool calls, or the work of hosted tools and a text."""

    reasoning: str
    calls: Sequence[Call]
    hosted: Sequence[Tool]
    prompt: str
    """What the hosted tools are given."""
    text: str

    @property
    def cites(self) -> bool:
        """Whether the text ends with the page that a search found."""
        return any(tool["type"] != IMAGE_GENERATION for tool in self.hosted) and self.text.endswith(SOURCE)


def plan(request: CanonicalRequest) -> Plan:
    """The answer to a request. Raises InvalidRequest for a demanded tool that the demo upstream cannot play."""
    message = user_message(request.input)
    said = item_text(message)
    called, hosted = calls(request, said)
    text = "" if called else _text(request, message)
    is_plain = ((request.text or {}).get("format") or {}).get("type", "text") == "text"
    if is_plain and any(tool["type"] != IMAGE_GENERATION for tool in hosted):
        text += FINDING + SOURCE
    return Plan(_reasoning(request), called, hosted, bounded(said) or "nothing", _until_stop(text, request))


def tokens(text: str) -> list[str]:
    """The text in pieces of a word, 16 characters at most; the demo upstream counts each as one token."""
    return _TOKEN.findall(text)


def _reasoning(request: CanonicalRequest) -> str:
    asked = request.reasoning or {}
    budget = request.parameters.get("max_output_tokens")
    if asked.get("effort") in ("none", "minimal") or not (asked.get("effort") or asked.get("summary")):
        return ""
    if budget is not None and budget < _MIN_REASONING_BUDGET:
        return ""
    return "**Reading the request**"


def _text(request: CanonicalRequest, message: Item) -> str:
    settings = request.text or {}
    format = settings.get("format") or {}
    if format.get("type") == "json_schema":
        return encoded_example(format.get("schema"), "text.format")
    if format.get("type") == "json_object":
        return _object(message)
    output = tool_output(request.input)
    if output is not None:
        return _quoted("The tool answered:", "The tool sent no text", output)
    quote = _quoted("You said:", "You sent no text", message)
    if settings.get("verbosity") == "low":
        return quote
    sentences = ["Hello from the demo upstream! No account is configured yet, so no model reads this.", quote]
    if request.instructions:
        sentences.append(f"Your instructions arrived too ({len(request.instructions)} characters).")
    if settings.get("verbosity") == "high":
        sentences.append("Configure an account, and the same request will be answered by a real model.")
    return " ".join(sentences)


def _quoted(introduction: str, otherwise: str, item: Item) -> str:
    text, more = bounded(item_text(item)), attachments(item)
    beside = f" (with {more})" if more else ""
    return f"{introduction} {text}{beside}" if text else f"{otherwise}{beside}."


def _object(message: Item) -> str:
    fields: dict[str, Any] = {"upstream": "demo", "you_said": bounded(item_text(message))}
    more = attachments(message)
    return msgspec.json.encode({**fields, "with": more} if more else fields).decode()


def _until_stop(text: str, request: CanonicalRequest) -> str:
    """The text up to the first of the stop sequences."""
    stop = request.parameters.get("stop") or ()
    for sequence in (stop,) if isinstance(stop, str) else stop:
        if sequence:
            text = text.partition(sequence)[0]
    return text
