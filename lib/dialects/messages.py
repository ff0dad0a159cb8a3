"""The Anthropic Messages API, as one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.canonical.request import CanonicalRequest
from lib.dialects import messages_request
from lib.dialects.messages_response import MessagesRenderer
from lib.types import Dialect


class MessagesDialect:
    """`POST /v1/messages`."""

    name = "messages"

    def parse(self, body: Mapping[str, Any]) -> CanonicalRequest:
        """Raises InvalidRequest."""
        return messages_request.parse(body)

    def renderer(self, request: CanonicalRequest, *, response_id: str, now: float) -> MessagesRenderer:
        """For one answer."""
        return MessagesRenderer(request, response_id=response_id, now=now)


MESSAGES: Dialect = MessagesDialect()
