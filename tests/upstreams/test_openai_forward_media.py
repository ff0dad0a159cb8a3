"""Every forwarded endpoint against a strict server: what the caller sent is what arrives, and so is the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from lib.dialects.forward import ENDPOINTS, UnreadForm, UnreadJson, unread_form, unread_json
from lib.errors import UpstreamError, Verdict
from lib.forward_relay import forward_reply
from lib.types import Lease, Trace
from lib.upstreams.http import HttpClients, Timeouts
from lib.upstreams.openai_api import OpenAIApi
from lib.upstreams.openai_forward import OpenAIForwarder
from lib.web.asgi import Message
from lib.web.forms import read_form
from tests.fakes.openai_backend import OpenAIBackend, rate_limited
from tests.fakes.openai_media import HEARD, SOUND, form_of, serve_media

FILE = ("grüße.wav", b"RIFF\r\n--\x00\xff", "audio/wav")


@pytest.fixture
def backend() -> Iterator[OpenAIBackend]:
    with OpenAIBackend(models=None) as running:
        serve_media(running)
        yield running


class Got:
    """What the caller gets."""

    def __init__(self, pieces: list[bytes], headers: dict[str, str], trace: Trace) -> None:
        self.pieces = pieces
        self.body = b"".join(pieces)
        self.headers = headers
        self.trace = trace


def ask(backend: OpenAIBackend, path: str, unread: UnreadJson | UnreadForm, model: str | None = None) -> Got:
    async def report(error: UpstreamError | None) -> None:
        assert error is None

    async def main() -> Got:
        clients = HttpClients(timeouts=Timeouts(connect_s=1, first_byte_s=1, idle_s=1))
        forwarder = OpenAIForwarder(
            OpenAIApi(clients, base_url=backend.url, now=time.time), endpoints=frozenset(ENDPOINTS), now=time.time
        )
        lease = Lease("k1", "openai", {"authorization": "Bearer sk-test"})
        trace = Trace("r", 0.0)
        try:
            answer = await forwarder.forward(unread.forwarded(path, model), lease, timeout_s=1)
            reply = await forward_reply(answer, ENDPOINTS[path].wire, trace, time.time, report, max_event_bytes=1 << 20)
            pieces = [reply.body or b""] if reply.stream is None else [piece async for piece in reply.stream]
            return Got(pieces, dict(reply.headers), trace)
        finally:
            await clients.aclose()

    return asyncio.run(main())


def json(path: str, **body: Any) -> UnreadJson:
    return unread_json(ENDPOINTS[path], body, msgspec.json.encode(body))


def form(path: str, **fields: str) -> UnreadForm:
    request = httpx.Request("POST", "http://x/", data=fields, files={"file": FILE})
    messages: list[Message] = [{"type": "http.request", "body": request.read(), "more_body": False}]

    async def receive() -> Message:
        return messages.pop(0)

    scope = {"headers": [(b"content-type", request.headers["content-type"].encode())]}
    return unread_form(ENDPOINTS[path], asyncio.run(read_form(scope, receive, max_bytes=1 << 20)))


def test_speech_arrives_as_it_is_made(backend: OpenAIBackend) -> None:
    got = ask(backend, "/audio/speech", json("/audio/speech", model="x/tts-1", input="Hi", voice="alloy"), "tts-1")

    assert got.body == SOUND
    assert len(got.pieces) > 1
    assert got.headers == {"content-type": "audio/mpeg"}
    assert backend.requests[0].json == {"model": "tts-1", "input": "Hi", "voice": "alloy"}


def test_speech_in_events_ends_at_its_last_event(backend: OpenAIBackend) -> None:
    asked = json("/audio/speech", model="tts-1", input="Hi", voice="alloy", stream_format="sse")
    got = ask(backend, "/audio/speech", asked)

    assert got.body.count(b"data: ") == 2
    assert (got.trace.input_tokens, got.trace.output_tokens, got.trace.error) == (14, 5, None)


@pytest.mark.parametrize("path", ["/audio/transcriptions", "/audio/translations"])
def test_forms_arrive_with_the_models_name_replaced(backend: OpenAIBackend, path: str) -> None:
    got = ask(backend, path, form(path, model="x/whisper-1", prompt="Größe"), "whisper-1")

    assert msgspec.json.decode(got.body)["text"] == HEARD
    assert (got.trace.input_tokens, got.trace.output_tokens) == (14, 5)
    assert form_of(backend.requests[0]) == {
        "model": [(None, b"whisper-1")],
        "prompt": [(None, "Größe".encode())],
        "file": [(FILE[0], FILE[1])],
    }


@pytest.mark.parametrize("kind", ["text", "srt", "vtt"])
def test_transcripts_of_plain_text_keep_their_type(backend: OpenAIBackend, kind: str) -> None:
    got = ask(backend, "/audio/transcriptions", form("/audio/transcriptions", model="m", response_format=kind))

    assert HEARD in got.body.decode()
    assert got.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_streamed_transcript_ends_well(backend: OpenAIBackend) -> None:
    got = ask(backend, "/audio/transcriptions", form("/audio/transcriptions", model="m", stream="true"))

    assert b"transcript.text.done" in got.body
    assert (got.trace.error, got.trace.output_tokens) == (None, 5)


def test_embeddings_and_moderations_come_back_untouched(backend: OpenAIBackend) -> None:
    got = ask(backend, "/embeddings", json("/embeddings", model="m", input=["a", "b"]))
    assert len(msgspec.json.decode(got.body)["data"]) == 2
    assert (got.trace.input_tokens, got.headers) == (5, {"content-type": "application/json"})

    got = ask(backend, "/moderations", json("/moderations", input="a"))
    assert msgspec.json.decode(got.body)["results"][0]["flagged"] is False


@pytest.mark.parametrize("stream", [False, True])
def test_completions_come_whole_and_in_pieces(backend: OpenAIBackend, stream: bool) -> None:
    got = ask(backend, "/completions", json("/completions", model="m", prompt="Say hi", stream=stream))

    assert got.body.endswith(b"data: [DONE]\n\n") is stream
    assert got.trace.error is None


def test_refusals_keep_the_upstreams_words_and_say_what_they_mean(backend: OpenAIBackend) -> None:
    with pytest.raises(UpstreamError) as caught:
        ask(backend, "/audio/speech", json("/audio/speech", model="m", input="Hi"))
    assert (caught.value.verdict, caught.value.param) == (Verdict.REQUEST, "voice")

    backend.script(rate_limited(retry_after="7"), path="/embeddings")
    with pytest.raises(UpstreamError) as caught:
        ask(backend, "/embeddings", json("/embeddings", model="m", input="a"))
    assert (caught.value.verdict, caught.value.retry_after_s) == (Verdict.LIMIT, 7)
