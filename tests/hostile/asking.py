"""A whole gateway on the demo upstream, asked byte by byte, and what has to hold of every refusal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.journeys.secrets_kept import leaked
from tests.web.documented import KEY
from tests.web.scripted import HttpReply, Pairs, raw, request_bytes

MAX_S = 1.0
AUTHORIZED = {"authorization": f"Bearer {KEY}"}

PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_SAID = [{"role": "user", "content": "Hi"}]
BODIES: Mapping[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "m", "messages": _SAID},
    "/v1/responses": {"model": "m", "input": "Hi"},
    "/v1/messages": {"model": "m", "max_tokens": 100, "messages": _SAID},
    "/v1/messages/count_tokens": {"model": "m", "messages": _SAID},
    "/v1/images/generations": {"prompt": "A cat", "size": "64x64"},
    "/v1/images/edits": {"prompt": "A cat", "image": PNG, "size": "64x64"},
    "/v1/audio/speech": {"model": "m", "input": "Hi", "voice": "alloy"},
    "/v1/embeddings": {"model": "m", "input": "Hi"},
    "/v1/moderations": {"input": "Hi"},
    "/v1/completions": {"model": "m", "prompt": "Hi"},
}
"""Every endpoint that takes JSON, with a body that it answers."""
FORMS = ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/images/edits")
GETS = ("/v1/models", "/v1/models/m", "/v1/accTokens", "/v1/dashboard/billing/usage")
DIALECTS = ("/v1/chat/completions", "/v1/responses", "/v1/messages")


@dataclass
class Asked:
    """A gateway, and all that it said, in which no secret may stand."""

    address: tuple[str, int]
    answers: list[HttpReply] = field(default_factory=list)

    def send(
        self, method: str, path: str, body: bytes = b"", headers: Pairs = AUTHORIZED, *, max_s: float = MAX_S
    ) -> HttpReply:
        """One request with a connection of its own. No answer is a 5xx, or takes longer than `max_s`."""
        return self.send_raw(request_bytes(method, path, headers, body), max_s=max_s)

    def send_raw(self, request: bytes, *, max_s: float = MAX_S) -> HttpReply:
        """Exactly these bytes; they ask for `connection: close`."""
        started = time.monotonic()
        answer = raw(self.address, request)
        took_s = time.monotonic() - started
        self.answers.append(answer)
        assert took_s < max_s, f"{took_s:.2f} s"
        assert answer.status < 500, answer.body
        assert not leaked(answer.body.decode("latin-1"), [KEY])
        return answer

    def post(self, path: str, body: Any, *, max_s: float = MAX_S) -> HttpReply:
        return self.send("POST", path, msgspec.json.encode(body), max_s=max_s)

    def refused(self, path: str, body: Any, *, status: int = 400) -> dict[str, Any]:
        """The error of a refusal, in the shape of the path's API."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        answer = self.send("POST", path, content)
        assert answer.status == status, answer.body[:300]
        return error_of(path, answer)


def error_of(path: str, answer: HttpReply) -> dict[str, Any]:
    """The error object, after a look at its shape."""
    assert 400 <= answer.status < 500
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-should-retry"] == "false"
    assert len(answer.body) < 4096
    if path.startswith("/v1/messages"):
        whole = answer.json()
        assert (whole["type"], whole["request_id"]) == ("error", answer.headers["request-id"])
        error: dict[str, Any] = whole["error"]
        assert set(error) == {"type", "message"}
        return error
    return answer.error


def conversation(path: str, content: Any, **fields: Any) -> dict[str, Any]:
    """A body of a dialect whose one message has this content."""
    messages = [{"role": "user", "content": content}]
    name = "input" if path == "/v1/responses" else "messages"
    return {**BODIES[path], name: messages, **fields}
