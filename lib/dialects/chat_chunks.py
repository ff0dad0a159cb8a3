"""The frames of a Chat Completions stream: what all chunks share, made once, and what differs, put between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lib.canonical.request import CanonicalRequest
from lib.dialects.chat_body import origin, service_tier

encode = msgspec.json.Encoder().encode


class Chunks:
    """Makes `chat.completion.chunk` frames. The first chunk is preceded by the one that tells the role."""

    def __init__(self, request: CanonicalRequest, *, id: str, now: float) -> None:
        self._request = request
        self._id = id
        self._now = now
        options = request.body.get("stream_options") or {}
        self.with_usage = bool(options.get("include_usage"))
        self._is_open = False
        self._head = self._tail = b""
        self.text_head = self.text_tail = b""
        """What stands before and after the JSON string of a content delta; ready once a chunk was made."""

    def begin(self, response: Mapping[str, Any]) -> None:
        """Fix what all chunks share, from the first Response that is seen."""
        if self._head:
            return
        created, model = origin(self._request, response, self._now)
        shared = {"id": self._id, "object": "chat.completion.chunk", "created": created, "model": model}
        tier = service_tier(response)
        if tier is not None:
            shared["service_tier"] = tier
        self._head = b"data: " + encode(shared)[:-1] + b',"choices":['
        self._tail = b'],"usage":null}\n\n' if self.with_usage else b"]}\n\n"
        self.text_head = self._head + b'{"index":0,"delta":{"content":'
        self.text_tail = b'},"logprobs":null,"finish_reason":null}' + self._tail

    def chunk(
        self, delta: Mapping[str, Any], finish_reason: str | None = None, logprobs: Mapping[str, Any] | None = None
    ) -> bytes:
        """One chunk with its one choice."""
        opening = b""
        if not self._is_open:
            self.begin({})
            self._is_open = True
            opening = self.chunk({"role": "assistant", "content": "", "refusal": None})
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return opening + self._head + encode(choice) + self._tail

    def usage(self, counts: Mapping[str, Any]) -> bytes:
        """The chunk without choices that ends a stream whose client asked for usage."""
        return self._head + b'],"usage":' + encode(counts) + b"}\n\n"
