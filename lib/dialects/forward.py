"""Bodies that go to an OpenAI-compatible upstream unread, but for the model's name.

Two kinds of requests are forwarded: those of the endpoints below, which the gateway does not translate at all; and Chat
Completions or Responses requests to an upstream that speaks the same, when `forwards` says so. What the gateway needs
for itself is checked: the model, whether the answer is a stream, and that the members that make a request are there.
All else is the upstream's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec

from lib.canonical.hosted import FLAGS
from lib.dialects.fields import missing, wrong_type
from lib.dialects.forward_form import Form, with_text
from lib.dialects.forward_wires import CHAT, RESPONSES, SPEECH, TRANSCRIPT, Wire
from lib.errors import InvalidRequest, NotAllowed
from lib.types import Forwarded

JSON = "application/json"

_CHAT_TOOLS = frozenset({"function", "custom"})
"""What upstreams take as tools on the chat wire; all others are the gateway's to translate."""
_TOOL_MEMBERS = (
    *("tools", "tool_choice", "parallel_tool_calls"),
    *("functions", "function_call", "web_search_options"),
)
_UNSTRUCTURED = (None, {"type": "text"})
_MAX_ITEMS = 16
_MAX_CHARS = 4096

_STRING = (str,)
_STRINGS = (str, list)
_INPUTS = (str, list, dict)


@dataclass(frozen=True, slots=True)
class ForwardedEndpoint:
    """One endpoint that is only forwarded."""

    path: str
    """Of the upstream, after its base URL; the gateway's own is the same after `/v1`."""
    name: str
    """What the log calls it."""
    required: Mapping[str, tuple[type, ...]] = field(default_factory=dict)
    """Members without which there is nothing to do, and the JSON types that they may have."""
    takes_form: bool = False
    """A multipart form with a `file`; JSON otherwise."""
    needs_model: bool = True
    wire: Wire = CHAT
    """How its streams end."""


ENDPOINTS: Mapping[str, ForwardedEndpoint] = {
    endpoint.path: endpoint
    for endpoint in (
        ForwardedEndpoint("/audio/speech", "speech", {"input": _STRING}, wire=SPEECH),
        ForwardedEndpoint("/audio/transcriptions", "transcriptions", takes_form=True, wire=TRANSCRIPT),
        ForwardedEndpoint("/audio/translations", "translations", takes_form=True, wire=TRANSCRIPT),
        ForwardedEndpoint("/embeddings", "embeddings", {"input": _STRINGS}),
        ForwardedEndpoint("/moderations", "moderations", {"input": _INPUTS}, needs_model=False),
        ForwardedEndpoint("/completions", "completions"),
    )
}
"""By path."""

DIALECT_PATHS: Mapping[str, tuple[str, Wire]] = {
    "chat": ("/chat/completions", CHAT),
    "responses": ("/responses", RESPONSES),
}
"""Name of a dialect → the path and the wire of its own that a body is forwarded to."""


class UnreadJson:
    """A JSON body with what the gateway reads of it."""

    def __init__(self, body: Mapping[str, Any], raw: bytes, session: str | None = None) -> None:
        """body: the decoded `raw`. session: the conversation's name from a header."""
        self.model: str | None = body.get("model")
        self.stream = body.get("stream") is True or body.get("stream_format") == "sse"
        self.affinity = affinity_of_body(body, session)
        self._raw = raw

    def forwarded(self, path: str, model: str | None, *, sole: bool = False) -> Forwarded:
        """The request with the upstream's name for the model; None leaves it as it is. `sole`: no other model may be
        meant in any way. Raises NotAllowed."""
        content = self._raw if not sole and model in (None, self.model) else _renamed(self._raw, model, sole)
        return Forwarded(path, content, JSON, self.affinity, self.stream)


class UnreadForm:
    """A form with what the gateway reads of it."""

    def __init__(self, form: Form, session: str | None = None) -> None:
        """Raises InvalidRequest for a field that is there more than once."""
        self.model = form.text("model")
        self.stream = (form.text("stream") or "").strip().lower() in ("true", "1")
        self.affinity = session or form.text("user") or _hashed([_beginning_of(form)])
        self._form = form

    def forwarded(self, path: str, model: str | None, *, sole: bool = False) -> Forwarded:
        """The same for a form, which names one model at most."""
        form = self._form
        content = form.raw if model is None or model == self.model else with_text(form, "model", model)
        return Forwarded(path, content, form.content_type, self.affinity, self.stream)


def unread_json(
    endpoint: ForwardedEndpoint, body: Mapping[str, Any], raw: bytes, session: str | None = None
) -> UnreadJson:
    """For an endpoint that takes JSON. Raises InvalidRequest."""
    model = body.get("model")
    if model is None and endpoint.needs_model:
        raise missing("model")
    if model is not None and type(model) is not str:
        raise wrong_type("model", "a string", model)
    for name, types in endpoint.required.items():
        value = body.get(name)
        if value is None:
            raise missing(name)
        if type(value) not in types:
            raise wrong_type(name, " or ".join(_KINDS[kind] for kind in types), value)
    return UnreadJson(body, raw, session)


def unread_form(endpoint: ForwardedEndpoint, form: Form, session: str | None = None) -> UnreadForm:
    """For an endpoint that takes a form. Raises InvalidRequest."""
    if not form.files("file"):
        if form.texts("file"):
            raise InvalidRequest(
                "'file' is a text field. Send it as a file, with a file name.", param="file", code="invalid_form"
            )
        raise missing("file")
    unread = UnreadForm(form, session)
    if not unread.model and endpoint.needs_model:
        raise missing("model")
    return unread


def forwards(dialect: str, body: Mapping[str, Any]) -> bool:
    """Whether a body of this dialect may go unread to an upstream that speaks it too.

    Not when the gateway has something to do with it: a flag for a hosted tool, which no upstream knows, set or not; on
    the chat wire a tool that is neither a function nor a custom tool (`web_search`, `image_generation`, …);
    `background`, whose answer nobody could fetch. Nor when it is odd at first sight, so that the dialect's parser can
    say what is wrong.
    """
    if dialect not in DIALECT_PATHS or not FLAGS.keys().isdisjoint(body) or body.get("background"):
        return False
    if type(body.get("model")) not in (str, type(None)) or type(body.get("stream")) not in (bool, type(None)):
        return False
    if dialect == "responses":
        return type(body.get("input")) in (str, list)
    tools = body.get("tools") or []
    return (
        type(body.get("messages")) is list
        and bool(body["messages"])
        and type(tools) is list
        and all(type(tool) is dict and tool.get("type") in _CHAT_TOOLS for tool in tools)
    )


def is_plain(dialect: str, body: Mapping[str, Any]) -> bool:
    """Whether a body that `forwards` has nothing of tools in it, and asks for no structured output: neither in the
    request nor, for tools, in what was said before. What is odd is not plain."""
    if any(body.get(name) is not None for name in _TOOL_MEMBERS):
        return False
    if dialect == "chat":
        return body.get("response_format") in _UNSTRUCTURED and all(map(_is_plain_message, body["messages"]))
    text, items = body.get("text") or {}, body["input"]
    if type(text) is not dict or text.get("format") not in _UNSTRUCTURED:
        return False
    return type(items) is str or all(map(_is_plain_item, items))


def affinity_of_body(body: Mapping[str, Any], session: str | None = None) -> str:
    """The conversation key: `prompt_cache_key`, the session, `user`, else a hash of how the conversation began, which
    no later turn changes."""
    for named in (body.get("prompt_cache_key"), session, body.get("user")):
        if type(named) is str and named:
            return named
    return _hashed(_beginning(body))


def _is_plain_message(message: Any) -> bool:
    if type(message) is not dict or message.get("role") in ("tool", "function"):
        return False
    return not message.get("tool_calls") and not message.get("function_call")


def _is_plain_item(item: Any) -> bool:
    return type(item) is dict and item.get("type", "message") in ("message", "reasoning")


_KINDS: Mapping[type, str] = {str: "a string", list: "an array", dict: "an object"}


def _renamed(raw: bytes, model: str | None, sole: bool) -> bytes:
    """The object with another model, which it names once; every other value keeps its bytes."""
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    # Servers in Go, and others, take a member by its name in any case.
    also = next((name for name in members if name != "model" and name.casefold() in ("model", "models")), None)
    if sole and also is not None:
        raise NotAllowed(f"This key is for certain models: name one in 'model', and none in '{also}'.", param=also)
    members["model"] = msgspec.Raw(msgspec.json.encode(model))
    return msgspec.json.encode(members)


def _hashed(texts: Iterator[str] | list[str]) -> str:
    digest = blake2b(digest_size=16)
    for text in texts:
        digest.update(b"%d\n%b" % (len(text), text[:_MAX_CHARS].encode("utf-8", "replace")))
    return digest.hexdigest()


def _beginning(body: Mapping[str, Any]) -> Iterator[str]:
    """Up to the first user's words; an `input` or `prompt` that is a plain text is that."""
    if type(body.get("instructions")) is str:
        yield body["instructions"]
    items = body.get("messages") or body.get("input") or body.get("prompt")
    if type(items) is not list:
        items = [{"role": "user", "content": items}]
    for item in items[:_MAX_ITEMS]:
        if type(item) is not dict:
            yield item if type(item) is str else ""
            continue
        yield from _words(item.get("content"))
        if item.get("role") == "user":
            return


def _words(content: Any) -> Iterator[str]:
    for part in content[:_MAX_ITEMS] if type(content) is list else [content]:
        if type(part) is dict:
            part = part.get("text")
        if type(part) is str:
            yield part


def _beginning_of(form: Form) -> str:
    return form.files("file")[0].data[:_MAX_CHARS].decode("latin-1") if form.files("file") else ""
