"""What each endpoint takes and answers: rows that the document is filled in with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lib.web import openapi_examples as examples
from lib.web.openapi_examples import Examples
from lib.web.openapi_shapes import Schema, ref
from lib.web.setup_clients import CLIENTS

JSON, FORM, EVENTS = "application/json", "multipart/form-data", "text/event-stream"
_BYTES: Schema = {"type": "string", "format": "binary"}
_TEXT: Schema = {"type": "string"}


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer of server-sent events: the schema of one event's data, and what a stream looks like."""

    event: str
    example: str
    ends_with_done: bool = False
    """Whether the last event's data is `[DONE]`, which is no JSON."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint with one method."""

    group: str
    answer: str | None
    """The schema of the JSON answer; None if there is none."""
    requests: Mapping[str, tuple[str, Examples]] = field(default_factory=dict)
    """Content type → schema and examples."""
    stream: Stream | None = None
    others: Mapping[str, Schema] = field(default_factory=dict)
    """Content type → schema of further answers."""
    headers: tuple[str, ...] = ()
    """Names of the response headers beside those that all answers have."""
    strict: bool = False
    """Whether `x-gateway-strict` has an effect."""
    query: Mapping[str, Schema] = field(default_factory=dict)
    """Parameters behind the path."""
    example: Mapping[str, Any] | None = None
    """A JSON answer."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """Status → when that is the answer; beside what every endpoint may answer."""

    def members(self) -> dict[str, Any]:
        """The operation's members in the document, but for its errors."""
        found: dict[str, Any] = {"tags": [self.group]}
        parameters: list[Any] = [{"name": name, "in": "query", "schema": each} for name, each in self.query.items()]
        if self.strict:
            parameters.append({"$ref": "#/components/parameters/strict"})
        if parameters:
            found["parameters"] = parameters
        if self.requests:
            content = {kind: _request(*request) for kind, request in self.requests.items()}
            found["requestBody"] = {"required": True, "content": content}
        return found

    def answers(self) -> dict[str, Any]:
        """Content type → what stands in a good answer."""
        content: dict[str, Any] = {}
        if self.answer is not None:
            content[JSON] = {"schema": ref(self.answer)}
            if self.example is not None:
                content[JSON]["example"] = self.example
        content |= {kind: {"schema": schema} for kind, schema in self.others.items()}
        if self.stream is not None:
            content[EVENTS] = {"schema": _event(self.stream), "example": self.stream.example}
        return content


def _event(stream: Stream) -> dict[str, Any]:
    """A server-sent event. A stream is described by the schema of each of its events."""
    data: dict[str, Any] = {"contentMediaType": JSON, "contentSchema": ref(stream.event)}
    if stream.ends_with_done:
        data = {"anyOf": [{"const": "[DONE]"}, data]}
    return {
        "type": "object",
        "description": f"Each event; its data is a `{stream.event}`.",
        "properties": {"event": _TEXT, "data": {"type": "string", **data}},
        "required": ["data"],
    }


def _request(schema: str, given: Examples) -> dict[str, Any]:
    named = {title.lower().replace(" ", "-").replace(",", ""): (title, body) for title, body in given.items()}
    return {
        "schema": ref(schema),
        "examples": {name: {"summary": title, "value": body} for name, (title, body) in named.items()},
    }


_PROVENANCE = (
    "x-gateway-upstream",
    "x-gateway-account",
    "x-gateway-attempts",
    "x-gateway-ttfb-ms",
    "server-timing",
)
_IGNORED = ("x-gateway-ignored", *_PROVENANCE)
_LOCAL_KEY = {"403": "The key is good, but none of `AUTH_TOKENS` (`local_key_required`)."}
_SOUNDS = {f"audio/{kind}": _BYTES for kind in ("wav", "pcm", "mpeg", "opus", "aac", "flac")}

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/v1/chat/completions"): Operation(
        "Conversations",
        "ChatCompletion",
        {JSON: ("ChatRequest", examples.CHAT)},
        Stream("ChatCompletionChunk", examples.CHAT_STREAM, ends_with_done=True),
        headers=_IGNORED,
        strict=True,
    ),
    ("POST", "/v1/responses"): Operation(
        "Conversations",
        "Response",
        {JSON: ("ResponsesRequest", examples.RESPONSES)},
        Stream("ResponseEvent", examples.RESPONSES_STREAM),
        headers=_IGNORED,
        strict=True,
    ),
    ("GET", "/v1/responses/{id}"): Operation("Conversations", "Response"),
    ("DELETE", "/v1/responses/{id}"): Operation("Conversations", "DeletedResponse"),
    ("GET", "/v1/responses/{id}/input_items"): Operation(
        "Conversations",
        "InputItems",
        query={
            "order": {"enum": ["asc", "desc"]},
            "limit": {"type": "integer", "minimum": 1, "maximum": 100},
            "after": _TEXT,
        },
    ),
    ("POST", "/v1/responses/{id}/cancel"): Operation("Conversations", "Response"),
    ("POST", "/v1/messages"): Operation(
        "Conversations",
        "Message",
        {JSON: ("MessagesRequest", examples.MESSAGES)},
        Stream("MessageEvent", examples.MESSAGES_STREAM),
        headers=(*_IGNORED, "x-gateway-estimated"),
        strict=True,
    ),
    ("POST", "/v1/messages/count_tokens"): Operation(
        "Conversations",
        "TokenCount",
        {JSON: ("CountTokensRequest", examples.COUNT_TOKENS)},
        headers=("x-gateway-estimated",),
    ),
    ("POST", "/v1/completions"): Operation(
        "Conversations",
        "Completion",
        {JSON: ("CompletionsRequest", examples.COMPLETIONS)},
        Stream("Completion", examples.COMPLETIONS_STREAM, ends_with_done=True),
        headers=_IGNORED,
    ),
    ("POST", "/v1/images/generations"): Operation(
        "Pictures",
        "Images",
        {JSON: ("ImageRequest", examples.IMAGE)},
        Stream("ImageEvent", examples.IMAGE_STREAM),
        headers=_IGNORED,
        strict=True,
    ),
    ("POST", "/v1/images/edits"): Operation(
        "Pictures",
        "Images",
        {JSON: ("ImageEditRequest", examples.IMAGE_EDIT), FORM: ("ImageEditForm", examples.IMAGE_EDIT)},
        Stream("ImageEvent", examples.IMAGE_EDIT_STREAM),
        headers=_IGNORED,
        strict=True,
    ),
    ("POST", "/v1/audio/speech"): Operation(
        "Sound",
        None,
        {JSON: ("SpeechRequest", examples.SPEECH)},
        Stream("SpeechEvent", examples.SPEECH_STREAM),
        _SOUNDS,
        headers=_IGNORED,
    ),
    ("POST", "/v1/audio/transcriptions"): Operation(
        "Sound",
        "Transcript",
        {FORM: ("TranscriptionsForm", examples.TRANSCRIPTION)},
        Stream("TranscriptEvent", examples.TRANSCRIPT_STREAM),
        {"text/plain": _TEXT, "text/vtt": _TEXT},
        headers=_IGNORED,
    ),
    ("POST", "/v1/audio/translations"): Operation(
        "Sound",
        "Transcript",
        {FORM: ("TranslationsForm", examples.TRANSLATION)},
        None,
        {"text/plain": _TEXT, "text/vtt": _TEXT},
        headers=_IGNORED,
    ),
    ("POST", "/v1/embeddings"): Operation(
        "Texts", "Embeddings", {JSON: ("EmbeddingsRequest", examples.EMBEDDINGS)}, headers=_IGNORED
    ),
    ("POST", "/v1/moderations"): Operation(
        "Texts", "Moderations", {JSON: ("ModerationsRequest", examples.MODERATIONS)}, headers=_IGNORED
    ),
    ("GET", "/v1/models"): Operation("Models", "ModelList"),
    ("GET", "/v1/models/{id}"): Operation("Models", "Model"),
    ("GET", "/v1/accTokens"): Operation("Accounts", "AccountCount"),
    ("GET", "/v1/dashboard/billing/subscription"): Operation("Accounts", "Subscription"),
    ("GET", "/v1/dashboard/billing/usage"): Operation("Accounts", "Usage"),
    ("GET", "/v1/setup"): Operation(
        "Deployment",
        "Setup",
        others={"text/plain": _TEXT},
        headers=_PROVENANCE,
        query={
            "client": {"enum": list(CLIENTS), "description": "Without one they are listed."},
            "model": {
                "type": "string",
                "maxLength": 200,
                "description": "What it names; else `DEFAULT_MODEL` or the first, if the key may use it.",
            },
            "format": {"enum": ["json", "text"]},
        },
        example=examples.SETUP,
        errors={
            "400": "A parameter is of no use, or the Host header is no address (`invalid_host`).",
            "404": "There is no such client (`client_not_found`).",
        },
    ),
    ("POST", "/v1/keys"): Operation(
        "Deployment",
        "ScopedKey",
        {JSON: ("KeyRequest", examples.KEYS)},
        example=examples.KEY,
        errors={**_LOCAL_KEY, "404": "This gateway has no `KEY_SECRET`, and makes no keys (`endpoint_not_served`)."},
    ),
    ("GET", "/v1/doctor"): Operation(
        "Deployment",
        "Doctor",
        others={"text/plain": _TEXT, "text/html": _TEXT},
        query={
            "format": {"enum": ["json", "text", "html"], "description": "Else what `accept` asks for."},
            "live": {"enum": ["0", "1"], "description": "`1`: ask every upstream for a word, which costs a little."},
        },
        example=examples.DOCTOR,
        errors=_LOCAL_KEY,
    ),
    ("GET", "/v1/doctor/stream"): Operation(
        "Deployment", None, stream=Stream("DoctorEvent", examples.DOCTOR_STREAM), errors=_LOCAL_KEY
    ),
    ("GET", "/admin"): Operation("Deployment", None, others={"text/html": _TEXT}),
    ("GET", "/admin/status"): Operation(
        "Deployment",
        "Status",
        query={"usage": {"enum": ["0", "1"], "description": "`1`: ask the accounts how far they are used first."}},
        example=examples.STATUS,
        errors=_LOCAL_KEY,
    ),
    ("GET", "/ping"): Operation("Health", "Pong"),
    ("GET", "/healthz"): Operation("Health", "Health"),
}
"""By method and path. An endpoint that is not among them is documented by its summary alone."""
