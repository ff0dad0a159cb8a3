"""The demo upstream's pictures: real PNGs of the size asked for, made on the spot, and honest about being a demo.

Size, number and partial images are honoured. A picture is always a PNG: what else was asked for has no effect, and is
not among what the demo accepts.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from lib.canonical.images import FinishedImage, ImagesRequest, ImagesResult, PartialImage
from lib.canonical.pictures import measure
from lib.errors import InvalidRequest
from lib.types import Clock, Lease
from lib.upstreams.demo_input import bounded
from lib.upstreams.demo_png import draw

MAX_SIDE = 4096
MAX_PIXELS = 8_294_400

_DEFAULT_SIZE = "1024x1024"
_COARSE = (32, 16, 8)
"""The squares of partial images, in pixels for each 1024 of the picture's longer side."""


class DemoImages:
    """`lib.types.ImageUpstream` without a network. Any model name is taken.

    pause_s: what a picture takes before each of its stages when it is streamed, in seconds. now: epoch seconds.
    """

    image_accepts = frozenset({"size", "size.small", "partial_images"})
    max_pictures = 10

    def __init__(
        self,
        *,
        pause_s: float = 0.3,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Clock = time.time,
    ) -> None:
        self._pause_s = pause_s
        self._sleep = sleep
        self._now = now

    async def images(self, request: ImagesRequest, lease: Lease, *, timeout_s: float) -> DemoPictures:
        """The pictures are made as they are asked for. Raises InvalidRequest for a size that is out of bounds."""
        width, height = _size(request)
        return DemoPictures(self._pictures(request, width, height))

    async def _pictures(
        self, request: ImagesRequest, width: int, height: int
    ) -> AsyncGenerator[PartialImage | ImagesResult, None]:
        partials = request.parameters.get("partial_images", 0) if request.stream else 0
        look: dict[str, Any] = {"size": f"{width}x{height}", "background": "opaque", "output_format": "png"}
        unit = max(width, height) / 1024
        for index, squares in enumerate(_COARSE[len(_COARSE) - partials :]):
            await self._sleep(self._pause_s)
            picture = draw(
                request.prompt, width, height, seed=f"{request.affinity} 0", coarse=max(2, int(squares * unit))
            )
            yield PartialImage(_base64(picture), index, **look)
        pictures = []
        for number in range(request.n):
            await self._sleep(self._pause_s if request.stream else 0)  # others get their turn between pictures
            picture = draw(request.prompt, width, height, seed=f"{request.affinity} {number}")
            pictures.append(FinishedImage(_base64(picture), revised_prompt=_revised(request)))
        yield ImagesResult(created=int(self._now()), pictures=tuple(pictures), usage=_usage(request), **look)


class DemoPictures:
    """`lib.types.ImagesAnswer` over a generator."""

    def __init__(self, pictures: AsyncGenerator[PartialImage | ImagesResult, None]) -> None:
        self._pictures = pictures

    def __aiter__(self) -> AsyncGenerator[PartialImage | ImagesResult, None]:
        return self._pictures

    async def aclose(self) -> None:
        await self._pictures.aclose()


def _size(request: ImagesRequest) -> tuple[int, int]:
    """An edit is as large as its first picture, unless the caller says otherwise."""
    asked = request.parameters.get("size", "auto")
    if asked == "auto":
        found = measure(request.images[0].data) if request.images else None
        fits = found is not None and _fits(found.width, found.height)
        asked = found.size if found is not None and fits else _DEFAULT_SIZE
    width, height = map(int, asked.split("x"))
    if not _fits(width, height):
        raise InvalidRequest(
            f"Invalid size {asked}: the demo upstream makes pictures of at most {MAX_SIDE} pixels a side and "
            f"{MAX_PIXELS} in all.",
            param="size",
            code="invalid_value",
        )
    return width, height


def _fits(width: int, height: int) -> bool:
    return max(width, height) <= MAX_SIDE and width * height <= MAX_PIXELS


def _revised(request: ImagesRequest) -> str:
    if not request.is_edit:
        return f"A picture of the demo upstream, which no model has made, for: {bounded(request.prompt)}"
    seen = ", ".join(
        f"{found.media_type} of {found.size}" for image in request.images if (found := measure(image.data)) is not None
    )
    mask = " and a mask" if request.mask is not None else ""
    return f"The demo upstream, which no model stands behind, was given {seen}{mask} for: {bounded(request.prompt)}"


def _usage(request: ImagesRequest) -> dict[str, Any]:
    """The prompt's words count; a picture that no model made costs nothing."""
    text = max(1, len(request.prompt.encode()) // 4)
    return {
        "input_tokens": text,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": text},
        "output_tokens": 0,
        "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "total_tokens": text,
    }


def _base64(picture: bytes) -> str:
    return base64.b64encode(picture).decode("ascii")
