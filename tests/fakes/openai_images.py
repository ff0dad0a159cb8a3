"""The image endpoints of an OpenAI-like API, as an ASGI application. Strict about what its own API documents.

`with serving(images) as url` runs it; the API's base URL is `url + "/v1"`. The next requests meet `images.script`, then
the ordinary answer: real PNGs, in base64 or (for models of the dall-e kind) as addresses, streamed when asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from multipart import MultipartParser, parse_options_header

from tests.fakes.codex_answers import png
from tests.fakes.codex_behaviours import http_error, raw
from tests.fakes.codex_http import Exchange
from tests.fakes.openai_backend import OpenAIBackend, Recorded, play

KEY = "sk-openai-canary-0123456789"
USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 5},
    "output_tokens": 100,
    "output_tokens_details": {"image_tokens": 100, "text_tokens": 0},
    "total_tokens": 105,
}
LOOK = {"size": "1024x1024", "quality": "medium", "background": "opaque", "output_format": "png"}
CREATED = 1_787_300_000


@dataclass
class Seen:
    """One request, its form or JSON as plain values."""

    path: str
    headers: dict[str, str]
    fields: dict[str, Any]
    files: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    """(name, file name, content type, bytes)"""


def serve_pictures(backend: OpenAIBackend) -> None:
    """Adds the endpoints to the fake of the whole API."""

    async def handle(exchange: Exchange, record: Recorded) -> None:
        status, answer = judged(_seen(record.path, record.headers, record.body))
        own = raw(answer) if isinstance(answer, bytes) else http_error(status, answer)
        await play(exchange, backend.scripted(record) or own)

    backend.handlers |= dict.fromkeys(("/images/generations", "/images/edits"), handle)


class OpenAIImages:
    """The fake. `script` holds (status, body) for the next requests; bytes go out as an event stream.

    pause_s: before the answer, and between the events of a stream.
    """

    def __init__(self, *, pause_s: float = 0) -> None:
        self.seen: list[Seen] = []
        self.script: list[tuple[int, Any]] = []
        self.left = 0
        """How many clients went away before their answer was whole."""
        self._pause_s = pause_s

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        seen = _seen(scope["path"], headers, body)
        self.seen.append(seen)
        status, answer = self.script.pop(0) if self.script else self._judge(seen)
        gone = asyncio.ensure_future(receive())
        try:
            await self._send(send, status, answer, gone)
        finally:
            gone.cancel()

    async def _send(self, send: Any, status: int, answer: Any, gone: asyncio.Future[Any]) -> None:
        streamed = isinstance(answer, bytes)
        kind = b"text/event-stream" if streamed else b"application/json"
        pieces = answer.split(b"\n\n") if streamed else [msgspec.json.encode(answer)]
        if not streamed:
            await asyncio.wait({gone}, timeout=self._pause_s)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        for piece in pieces:
            if streamed:
                await asyncio.wait({gone}, timeout=self._pause_s)
                piece = piece + b"\n\n" if piece else b""
            if gone.done():
                self.left += 1
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _judge(self, seen: Seen) -> tuple[int, Any]:
        if seen.headers.get("authorization") != f"Bearer {KEY}":
            return 401, _error("Incorrect API key provided: sk-op****6789.", "invalid_api_key")
        return judged(seen)


def judged(seen: Seen) -> tuple[int, Any]:
    """Status and body for a request whose key is good; bytes are an event stream."""
    fields = seen.fields
    if not fields.get("prompt"):
        return 400, _error("Missing required parameter: 'prompt'.", "missing_required_parameter")
    model = str(fields.get("model", "gpt-image-2"))
    if "response_format" in fields and model.startswith("gpt-image-"):
        return 400, _error("Unknown parameter: 'response_format'.", "unknown_parameter")
    if seen.path.endswith("/edits") and not [file for file in seen.files if file[0] in ("image", "image[]")]:
        return 400, _error("Missing required parameter: 'image'.", "missing_required_parameter")
    if str(fields.get("stream")).lower() == "true":
        return 200, streamed(seen.path, int(fields.get("partial_images", 0)), fields["prompt"])
    n, is_url = int(fields.get("n", 1)), model.startswith("dall-e-") and fields.get("response_format") != "b64_json"
    data = [
        {"url": f"https://images.example/{place}.png", "revised_prompt": "revised"}
        if is_url
        else {"b64_json": png(f"{fields['prompt']} {place}")}
        for place in range(n)
    ]
    return 200, {"created": CREATED, "data": data, **({} if is_url else {**LOOK, "usage": USAGE})}


def streamed(path: str, partials: int, prompt: str) -> bytes:
    """The events of one picture."""
    kind = "image_edit" if path.endswith("/edits") else "image_generation"
    events = [
        {"type": f"{kind}.partial_image", "b64_json": png(f"{prompt} {place}"), "partial_image_index": place}
        for place in range(partials)
    ]
    events.append({"type": f"{kind}.completed", "b64_json": png(prompt), "usage": USAGE})
    return b"".join(event({**LOOK, "created_at": CREATED, **each}) for each in events)


def event(fields: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(fields["type"]).encode(), msgspec.json.encode(fields))


def _seen(path: str, headers: dict[str, str], body: bytes) -> Seen:
    kind, options = parse_options_header(headers.get("content-type", ""))
    if kind != "multipart/form-data":
        return Seen(path, headers, msgspec.json.decode(body))
    import io

    seen = Seen(path, headers, {})
    for part in MultipartParser(io.BytesIO(body), options["boundary"], len(body), strict=True):
        if part.filename is None:
            seen.fields[part.name] = part.value
        else:
            seen.files.append((part.name, part.filename, part.content_type, part.raw))
    return seen


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
