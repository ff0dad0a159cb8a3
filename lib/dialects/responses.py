"""The Responses API, as one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lib.canonical.request import CanonicalRequest
from lib.dialects.responses_request import parse
from lib.dialects.responses_response import ResponsesRenderer
from lib.types import Dialect


class ResponsesDialect:
    """`POST /v1/responses`."""

    name = "responses"

    def parse(self, body: Mapping[str, Any]) -> CanonicalRequest:
        """Raises InvalidRequest."""
        return parse(body)

    def renderer(self, request: CanonicalRequest, *, response_id: str, now: float) -> ResponsesRenderer:
        """For one answer."""
        return ResponsesRenderer(request, response_id=response_id, now=now)


RESPONSES: Dialect = ResponsesDialect()
