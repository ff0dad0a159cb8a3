"""Pictures of a request under an address: those that its caller sent as data, for an upstream that takes only URLs, and
those that this gateway has put somewhere in an earlier turn.

The first are named by their content: the same picture in each turn of a conversation is put there once, and again by
another instance over itself. The others come back as addresses in what the assistant said, which may be over by then;
they are signed anew and shown to the model as pictures.
"""

from __future__ import annotations

import asyncio
import binascii
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any, TypeVar

from lib.canonical.pictures import media_type
from lib.canonical.request import CanonicalRequest, Item
from lib.errors import GatewayError, InvalidRequest
from lib.hosting import InputHost
from lib.types import Clock
from lib.values import replace

T = TypeVar("T")
Swap = Callable[[str], str]

MAX_PICTURES = 100
"""So many different ones are put somewhere for one request."""
MAX_PICTURE_BYTES = 20_000_000
AT_ONCE = 4
"""Uploads of one request side by side: they share a few threads with those of others."""
REUSE_S = 600.0
"""How long an address is given out again. Credentials that sign are renewed when they have a quarter of an hour left,
so that the last upstream which gets an address still has time to read it."""

_MAX_KNOWN = 512
_LOG = logging.getLogger("chat2api.images")


class HostedInputs:
    """Prepares requests.

    host: None when there is no place for pictures. url_life_s: how long its addresses are good.
    """

    def __init__(self, host: InputHost | None, *, url_life_s: float, now: Clock) -> None:
        self._host = host
        self._reuse_s = min(REUSE_S, url_life_s / 2)
        self._now = now
        self._known: dict[str, tuple[float, str]] = {}
        """Name of a picture → until when its address is given out, and that."""

    def concerns(self, raw: bytes) -> bool:
        """Whether a body may show a picture that was put somewhere, so that it cannot go unread."""
        return self._host is not None and self._host.is_shown_in(raw)

    async def prepare(self, request: CanonicalRequest, *, only_urls: bool) -> CanonicalRequest:
        """The request with such pictures as the upstream can take them. only_urls: whether it takes no data. Raises
        InvalidRequest for what is no picture, and where there is no place for one; GatewayError as the host does."""
        items = request.input
        if self._host is not None:
            items = await self._with_shown(items, self._host, only_urls)
        if only_urls:
            items = await self._with_addresses(items)
        return request if items is request.input else replace(request, input=items)

    async def _with_shown(self, items: list[Item], host: InputHost, only_urls: bool) -> list[Item]:
        from lib.dialects.pictures import MAX_REPLAYED, addresses_in, with_pictures

        known = [url for url in addresses_in(items) if host.may_know(url) and (only_urls or _is_public(url))]
        if not known:
            return items
        try:
            renewed = await _side_by_side(host.renewed, known[-MAX_REPLAYED:])
        except GatewayError as error:
            # The text that shows a picture is still there: a conversation goes on without a bucket.
            _LOG.warning("image.not_renewed", extra={"fields": {"reason": error.code}})
            return items
        addresses = {url: fresh for url, fresh in renewed.items() if fresh is not None}
        return with_pictures(items, addresses) if addresses else items

    async def _with_addresses(self, items: list[Item]) -> list[Item]:
        found: dict[str, None] = {}

        def note(url: str) -> str:
            found[url] = None
            return url

        _swapped(items, note)
        if not found:
            return items
        host = self._host
        if host is None:
            raise InvalidRequest(
                "This upstream takes pictures by address alone, and this gateway has no place to put one. Send public "
                "http(s) URLs, or have the operator set IMAGE_BUCKET.",
                code="unsupported_value",
            )
        if len(found) > MAX_PICTURES:
            raise InvalidRequest(
                f"The request holds {len(found)} different pictures as data, and this upstream can be given at most "
                f"{MAX_PICTURES}. Send fewer of them.",
                code="too_many_images",
            )

        async def place(url: str) -> str:
            return await self._placed(url, host)

        return _swapped(items, (await _side_by_side(place, found)).__getitem__)

    async def _placed(self, url: str, host: InputHost) -> str:
        data, kind, name = await asyncio.to_thread(_decoded, url)
        until, address = self._known.get(name, (0.0, ""))
        now = self._now()
        if until > now:
            return address
        address = await host.put(data, kind, name)
        self._known.pop(name, None)
        self._known[name] = now + self._reuse_s, address
        if len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        return address


async def _side_by_side(work: Callable[[str], Awaitable[T]], urls: Iterable[str]) -> dict[str, T]:
    """What each URL comes to; the first failure ends them all."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(url: str) -> T:
        async with free:
            return await work(url)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = {url: group.create_task(one(url)) for url in urls}
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return {url: task.result() for url, task in tasks.items()}


def _decoded(url: str) -> tuple[bytes, str, str]:
    """(bytes, media type, name) of a data URL: what it says of its type does not count. Raises InvalidRequest."""
    payload = url.partition(",")[2]
    if len(payload) * 3 // 4 > MAX_PICTURE_BYTES:
        raise InvalidRequest(
            f"A picture of the request is too large: at most {MAX_PICTURE_BYTES} bytes are taken.",
            code="image_too_large",
        )
    try:
        data = binascii.a2b_base64(payload, strict_mode=True)
    except ValueError as error:
        raise InvalidRequest("A picture of the request is not valid base64.", code="invalid_base64") from error
    kind = media_type(payload)
    if kind is None:
        raise InvalidRequest(
            "What was sent as a picture is not a PNG, JPEG, GIF or WebP picture.", code="invalid_image"
        )
    return data, kind, sha256(data).hexdigest()


def _swapped(items: Sequence[Item], swap: Swap) -> list[Item]:
    """The items with other URLs in place of their pictures' data URLs: in messages, outputs of tools, screenshots."""
    return [_swapped_item(item, swap) for item in items]


def _swapped_item(item: Item, swap: Swap) -> Item:
    changed: Item = {}
    for name in ("content", "output"):
        held = item.get(name)
        if isinstance(held, list):
            changed[name] = [_swapped_part(part, swap) for part in held]
        elif isinstance(held, dict):
            changed[name] = _swapped_part(held, swap)
    return {**item, **changed}


def _swapped_part(part: Any, swap: Swap) -> Any:
    url = part.get("image_url") if isinstance(part, dict) else None
    if isinstance(url, str) and url[:5].lower() == "data:":
        return {**part, "image_url": swap(url)}
    return part


def _is_public(url: str) -> bool:
    """Whether upstreams in general can read from there; the operator knows of one that takes only URLs."""
    from lib.dialects.image_urls import check_web_url

    try:
        check_web_url(url, "messages")
    except InvalidRequest:
        return False
    return True
