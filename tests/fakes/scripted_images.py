"""An image upstream without sockets: each call plays the next script."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence

from lib.canonical.images import FinishedImage, ImagesRequest, ImagesResult, PartialImage
from lib.errors import UpstreamError
from lib.types import Lease
from tests.canonical.pictures import png

Step = PartialImage | ImagesResult | Exception | float
"""A number is a pause in seconds."""
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


def b64(width: int = 4) -> str:
    return base64.b64encode(png(width)).decode()


def result(*pictures: str | FinishedImage) -> ImagesResult:
    """Finished pictures; strings are base64."""
    made = [each if isinstance(each, FinishedImage) else FinishedImage(each) for each in pictures or (b64(),)]
    return ImagesResult(created=5, pictures=tuple(made), usage=USAGE)


class ScriptedPictures:
    def __init__(self, steps: Sequence[Step]) -> None:
        self.closed = False
        self._steps = iter(steps)

    def __aiter__(self) -> AsyncIterator[PartialImage | ImagesResult]:
        return self

    async def __anext__(self) -> PartialImage | ImagesResult:
        for step in self._steps:
            if isinstance(step, Exception):
                raise step
            if not isinstance(step, float):
                return step
            await asyncio.sleep(step)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


class ScriptedImages:
    """A bare UpstreamError as a script is raised by the call itself. `calls` and `answers` record what happened."""

    image_accepts = frozenset({"size"})

    def __init__(self, *scripts: Sequence[Step] | UpstreamError, max_pictures: int = 1) -> None:
        self.max_pictures = max_pictures
        self.calls: list[tuple[ImagesRequest, Lease, float]] = []
        self.answers: list[ScriptedPictures] = []
        self._scripts = list(scripts)

    async def images(self, request: ImagesRequest, lease: Lease, *, timeout_s: float) -> ScriptedPictures:
        self.calls.append((request, lease, timeout_s))
        script = self._scripts.pop(0)
        if isinstance(script, UpstreamError):
            raise script
        self.answers.append(ScriptedPictures(script))
        return self.answers[-1]
