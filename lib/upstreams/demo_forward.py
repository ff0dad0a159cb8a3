"""The demo upstream's forwarded endpoints: sound, embeddings, moderation and legacy completions without a model.

Each is real where it can be and says so where it cannot:

    /audio/speech           a formant synthesiser reads the input: WAV or PCM, whatever other format was asked for
    /audio/transcriptions   cannot hear: the text names the file, its size and a WAV file's length
    /audio/translations     the same
    /embeddings             hashed words and letter groups, so that similar texts are near each other
    /moderations            judges nothing: no category ever applies
    /completions            an honest text that quotes the prompt

Nothing needs a network or an account. What a caller asked for and did not get is named in `x-gateway-ignored`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

from lib.errors import NotFound
from lib.types import Clock, Forwarded, Lease
from lib.upstreams.demo_fields import Made

_IGNORED = "x-gateway-ignored"


class DemoForwarder:
    """`lib.types.Forwarder` without a network. Any model name is taken and reported back.

    word_s: the pause before each piece of an answer that is watched, in seconds. sleep: awaited before every piece,
    with 0 where there is no pause, so that long answers leave the event loop to others. now: epoch seconds. new_id: a
    fresh random suffix for each answer, out of `[A-Za-z0-9_-]`.
    """

    endpoints = frozenset(
        {
            *("/audio/speech", "/audio/transcriptions", "/audio/translations"),
            *("/embeddings", "/moderations", "/completions"),
        }
    )
    takes_tools = False

    def __init__(
        self,
        *,
        word_s: float = 0.015,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Clock = time.time,
        new_id: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        self._word_s = word_s
        self._sleep = sleep
        self._now = now
        self._new_id = new_id

    async def forward(self, request: Forwarded, lease: Lease, *, timeout_s: float) -> DemoForwardedAnswer:
        """The answer begins at once. Raises InvalidRequest, and NotFound for a path that is none of `endpoints`."""
        made = self._made(request)
        headers = {"content-type": made.content_type}
        if made.ignored:
            headers[_IGNORED] = ", ".join(made.ignored)
        return DemoForwardedAnswer(headers, self._pieces(made))

    def _made(self, request: Forwarded) -> Made:
        """Each endpoint is imported with the first request for it."""
        match request.path:
            case "/audio/speech":
                from lib.upstreams.demo_speech import speech

                return speech(request.content)
            case "/audio/transcriptions" | "/audio/translations":
                from lib.upstreams.demo_hearing import heard

                translates = request.path.endswith("translations")
                return heard(request.content, request.content_type, translates=translates)
            case "/embeddings":
                from lib.upstreams.demo_embeddings import embeddings

                return embeddings(request.content)
            case "/moderations":
                from lib.upstreams.demo_moderations import moderations

                return moderations(request.content, answer_id=self._new_id())
            case "/completions":
                from lib.upstreams.demo_completions import completions

                return completions(request.content, answer_id=self._new_id(), created=int(self._now()))
        raise NotFound(f"The demo upstream does not serve {request.path}.")

    async def _pieces(self, made: Made) -> AsyncGenerator[bytes, None]:
        pause_s = self._word_s if made.paced else 0
        for piece in made.pieces:
            await self._sleep(pause_s)
            yield piece


class DemoForwardedAnswer:
    """`lib.types.ForwardedAnswer`, and what the relay adds to it, over a generator of pieces."""

    def __init__(self, headers: Mapping[str, str], pieces: AsyncGenerator[bytes, None]) -> None:
        self.headers = headers
        self.has_begun = True
        self._pieces = pieces

    def __aiter__(self) -> AsyncGenerator[bytes, None]:
        return self._pieces

    async def release(self) -> None:
        """After its proper end: there is no connection to keep."""
        await self.aclose()

    async def aclose(self) -> None:
        await self._pieces.aclose()
