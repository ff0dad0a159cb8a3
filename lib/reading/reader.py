"""Reads the web for a request: the pages that its last user message names, and pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from lib.canonical.fetched import Fetched
from lib.canonical.images import InputImage
from lib.canonical.request import CanonicalRequest
from lib.errors import GatewayError, InvalidRequest
from lib.reading.into_request import ReadPage, has_urls, urls, with_pages
from lib.reading.page import PAGES, text_of

MAX_PAGE_BYTES = 2_000_000
MAX_PAGE_CHARS = 20_000
MAX_IMAGE_BYTES = 20_000_000

_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})


class Fetch(Protocol):
    """Gets one URL, guarded: public addresses only, bounded in time. Raises GatewayError with the reason."""

    async def __call__(self, url: str, *, media_types: Collection[str], max_bytes: int) -> Fetched: ...


class Reader:
    """See above. budget_s: how long all pages of a request may take; they are read side by side."""

    def __init__(self, fetch: Fetch, *, budget_s: float = 10.0) -> None:
        self._fetch = fetch
        self._budget_s = budget_s

    async def read(self, request: CanonicalRequest) -> CanonicalRequest:
        """The request with what its URLs hold. A page that cannot be read is mentioned and fails nothing."""
        found = urls(request)
        if not found:
            return request
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._page(url)) for url in found]
        return with_pages(request, [task.result() for task in tasks])

    def would_read(self, body: Mapping[str, Any]) -> bool:
        """Whether a request body, of any dialect and not checked yet, names anything that `read` would fetch."""
        return has_urls(body)

    async def fetch_image(self, url: str) -> InputImage:
        """The picture at an address, for an upstream that takes none. Raises GatewayError."""
        fetched = await self._fetch(url, media_types=_IMAGES, max_bytes=MAX_IMAGE_BYTES)
        media_type = _kind(fetched.data)
        if media_type is None:
            raise InvalidRequest("The URL leads to no PNG, JPEG, WebP or GIF.", code="url_not_fetched")
        return InputImage(media_type, fetched.data)

    async def _page(self, url: str) -> ReadPage:
        try:
            async with asyncio.timeout(self._budget_s):
                fetched = await self._fetch(url, media_types=PAGES, max_bytes=MAX_PAGE_BYTES)
                return ReadPage(url, await asyncio.to_thread(text_of, fetched, MAX_PAGE_CHARS))
        except TimeoutError:
            return ReadPage(url, None, "It did not come in time.")
        except GatewayError as error:
            return ReadPage(url, None, error.message)


def _kind(data: bytes) -> str | None:
    """By the first bytes, because servers are often wrong about it."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None
