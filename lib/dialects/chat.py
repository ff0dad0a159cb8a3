"""Chat Completions, as one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.canonical.request import CanonicalRequest
from lib.dialects import chat_request
from lib.dialects.chat_response import ChatRenderer
from lib.types import Dialect


class ChatDialect:
    """`POST /v1/chat/completions`."""

    name = "chat"

    def parse(self, body: Mapping[str, Any]) -> CanonicalRequest:
        return chat_request.parse(body)

    def renderer(self, request: CanonicalRequest, *, response_id: str, now: float) -> ChatRenderer:
        return ChatRenderer(request, response_id=response_id, now=now)


CHAT: Dialect = ChatDialect()
