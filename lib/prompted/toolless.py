"""No function calling at all, for an upstream without it whose operator does not want it emulated."""

from __future__ import annotations

from lib.canonical.hosted import field_of
from lib.canonical.request import CanonicalRequest
from lib.errors import InvalidRequest
from lib.types import Answer, Lease, Model, Upstream


class ToollessUpstream:
    """`lib.types.Upstream` over another one; a request with tools is refused."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self.name = upstream.name
        self.accepts = upstream.accepts

    async def open(self, request: CanonicalRequest, lease: Lease, *, timeout_s: float) -> Answer:
        """Raises InvalidRequest for tools."""
        if request.tools:
            field = field_of(request, str(request.tools[0].get("type"))) or "tools"
            raise InvalidRequest(
                f"Tools are switched off for this upstream. Leave '{field}' out.",
                param=field,
                code="unsupported_parameter",
            )
        return await self._upstream.open(request, lease, timeout_s=timeout_s)

    async def models(self, lease: Lease) -> list[Model]:
        return await self._upstream.models(lease)
