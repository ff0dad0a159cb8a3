"""Forwarding over real sockets, byte by byte."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Sequence

import pytest

from lib.errors import UpstreamError, Verdict
from lib.types import Forwarded, Lease
from lib.upstreams.http import HttpClients, Timeouts
from lib.upstreams.openai_api import OpenAIApi
from lib.upstreams.openai_forward import OpenAIForwarder
from tests.fakes.raw_server import STREAM_HEAD, End, RawServer, Step, answer_head, chunk, ok

JSON = "content-type: application/json"
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
CREATED = b'event: response.created\ndata: {"type":"response.created","response":{}}\n\n'
LEASE = Lease("k1", "openai", {"authorization": "Bearer sk-secret"})


def asked(path: str = "/chat/completions", *, stream: bool = False, content: bytes = b'{"model":"m"}') -> Forwarded:
    return Forwarded(path, content, "application/json", "a", stream)


class Read:
    """What came of one request."""

    headers: dict[str, str]
    error: UpstreamError | None = None
    late: UpstreamError | None = None
    """Raised while the body was read."""

    def __init__(self, server: RawServer) -> None:
        self.server = server
        self.chunks: list[bytes] = []
        self.opened_s = 0.0

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


def forward(*scripts: Sequence[Step], request: Forwarded | None = None, max_body_bytes: int = 1 << 20) -> Read:
    async def main() -> Read:
        clients = HttpClients(timeouts=Timeouts(connect_s=1, first_byte_s=1, idle_s=0.3))
        async with RawServer(*scripts) as server:
            read = Read(server)
            api = OpenAIApi(clients, base_url=f"{server.url}/v1", now=time.time)
            forwarder = OpenAIForwarder(
                api, endpoints=frozenset(), now=time.time, max_body_bytes=max_body_bytes, commit_wait_s=0.1
            )
            started_at = time.monotonic()
            try:
                answer = await forwarder.forward(request or asked(), LEASE, timeout_s=0.5)
            except UpstreamError as error:
                read.error = error
                return read
            finally:
                read.opened_s = time.monotonic() - started_at
                if read.error is not None:
                    await clients.aclose()
            read.headers = dict(answer.headers)
            try:
                async for piece in answer:
                    read.chunks.append(piece)
            except UpstreamError as error:
                read.late = error
            finally:
                await answer.aclose()
                await clients.aclose()
            return read

    return asyncio.run(main())


def failure(*script: Step, request: Forwarded | None = None, **options: int) -> UpstreamError:
    read = forward(script, request=request, **options)
    assert read.error is not None
    return read.error


def test_the_body_goes_as_it_is_and_the_answer_comes_back_as_it_is() -> None:
    body = b'{ "id":"x", "choices":[] , "error":null}'
    read = forward([ok(body, JSON + "; charset=utf-8")], request=asked(content=b'{ "model" :"m"}'))

    (sent,) = read.server.requests
    assert (sent.method, sent.target, sent.body) == ("POST", "/v1/chat/completions", b'{ "model" :"m"}')
    assert sent.headers["authorization"] == "Bearer sk-secret"
    assert (sent.headers["content-type"], sent.headers["accept"]) == ("application/json", "application/json")
    assert (read.body, read.headers) == (body, {"content-type": "application/json"})


def test_sound_comes_in_the_pieces_in_which_it_is_sent_with_the_headers_that_describe_it() -> None:
    head = answer_head(
        "content-type: audio/mpeg",
        "content-length: 8",
        'content-disposition: attachment; filename="speech.mp3"',
        "set-cookie: a=b",
        "x-request-id: req_1",
        "openai-processing-ms: 5",
        "openai-organization: org",
        "alt-svc: h3",
    )
    read = forward([head, b"ID3\x00", 0.02, b"\xff\xfb\x00\x00"], request=asked("/audio/speech"))

    assert read.chunks == [b"ID3\x00", b"\xff\xfb\x00\x00"]
    assert read.headers == {
        "content-type": "audio/mpeg",
        "content-length": "8",
        "content-disposition": 'attachment; filename="speech.mp3"',
    }
    assert read.server.requests[0].headers["accept"] == "*/*"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("content-disposition: attachment; filename=../../x", "content-disposition"),
        ("content-disposition: attachment; filename=a; x=y", "content-disposition"),
        ("content-length: 2, 2", "content-length"),
    ],
)
def test_odd_headers_stay_here(header: str, name: str) -> None:
    head = answer_head(
        "content-type: te xt", "transfer-encoding: chunked", *([header] if "length" not in header else [])
    )
    read = forward([head, chunk(b"ab"), chunk(b"")], request=asked("/audio/speech"))

    assert read.headers == {"content-type": "application/octet-stream"}


def test_a_compressed_body_is_unpacked_and_its_length_is_not_told() -> None:
    read = forward(
        [ok(gzip.compress(b"1\n00:00"), "content-type: text/plain", "content-encoding: gzip")],
        request=asked("/audio/transcriptions"),
    )

    assert (read.body, read.headers) == (b"1\n00:00", {"content-type": "text/plain"})


def test_a_compressed_stream_is_read_on_where_its_beginning_ended() -> None:
    packed = gzip.compress(CHUNK * 3 + DONE)
    head = answer_head("content-type: text/event-stream", "content-encoding: gzip", f"content-length: {len(packed)}")
    read = forward([head, packed[:30], 0.02, packed[30:]], request=asked(stream=True))

    assert read.body == CHUNK * 3 + DONE


def test_a_stream_is_handed_on_from_its_first_output() -> None:
    read = forward(
        [STREAM_HEAD, chunk(b": wait\n\n"), 0.02, chunk(CHUNK), 0.02, chunk(CHUNK), 0.02, chunk(DONE), chunk(b"")],
        request=asked(stream=True),
    )

    assert read.body == b": wait\n\n" + CHUNK * 2 + DONE
    assert len(read.chunks) >= 3
    assert read.headers == {"content-type": "text/event-stream"}
    assert read.server.requests[0].headers["accept"] == "text/event-stream"


def test_a_stream_that_is_slow_to_begin_is_opened_all_the_same() -> None:
    read = forward([STREAM_HEAD, 0.2, chunk(CHUNK + DONE), chunk(b"")], request=asked(stream=True))

    assert 0.05 < read.opened_s < 0.18
    assert read.body == CHUNK + DONE


def test_a_slow_stream_that_fails_says_so_to_its_reader() -> None:
    read = forward([STREAM_HEAD, 0.15, chunk(b'data: {"error":{"message":"m"}}\n\n')], request=asked(stream=True))

    assert read.error is None
    assert read.late is not None


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        ("401 Unauthorized", b'{"error":{"message":"Incorrect API key: sk-secret"}}', Verdict.ACCOUNT),
        ("429 Too Many Requests", b'{"error":{"message":"slow"}}', Verdict.LIMIT),
        ("400 Bad Request", b'{"error":{"message":"no such voice","param":"voice"}}', Verdict.REQUEST),
        ("503 Service Unavailable", b"<html>oh</html>", Verdict.CHALLENGE),
        ("302 Found", b"", Verdict.SERVICE),
    ],
)
def test_whatever_is_not_good_is_an_error_with_a_verdict(status: str, body: bytes, verdict: Verdict) -> None:
    error = failure(ok(body, JSON, "location: http://x/", status=status), request=asked("/audio/speech"))

    assert error.verdict is verdict
    assert "sk-secret" not in error.message and "<html" not in error.message


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"message":"m","type":"server_error"}}', "application/json"),
        (b'{"detail":"Not authenticated"}', "application/json"),
        (b"<!doctype html><p>hi", "text/html"),
        (b"  <html>", "text/event-stream"),
        (b'{"error":{"message":"m"}}', "text/event-stream"),
        (b'{"error":{"message":"m"}}', "text/plain"),
        (b"", "application/json"),
        (b"", "text/event-stream"),
        (b"", "audio/mpeg"),
        (b": nothing\n\n", "text/event-stream"),
    ],
)
def test_a_failure_under_a_200_is_a_failure(body: bytes, kind: str, stream: bool) -> None:
    error = failure(ok(body, f"content-type: {kind}"), request=asked(stream=stream))

    assert "<" not in error.message


@pytest.mark.parametrize(
    "frames",
    [
        b'data: {"error":{"message":"slow down","type":"rate_limit_error","code":"rate_limit_exceeded"}}\n\n' + DONE,
        b'event: error\ndata: {"type":"error","code":"rate_limit_exceeded","message":"m"}\n\n',
        CREATED
        + b'event: response.failed\ndata: {"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded",'
        b'"message":"m"}}}\n\n',
    ],
)
def test_a_stream_that_begins_with_a_failure_is_a_failure(frames: bytes) -> None:
    for cut in (len(frames), 60):
        error = failure(
            STREAM_HEAD, chunk(frames[:cut]), 0.01, chunk(frames[cut:] or b": x\n\n"), request=asked(stream=True)
        )
        assert (error.verdict, error.status) == (Verdict.LIMIT, 429)


WHOLE = b' {"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}\n'


@pytest.mark.parametrize("kind", [JSON, "content-type: text/event-stream", "content-type: text/plain", "x-none: 1"])
def test_a_whole_answer_where_a_stream_was_asked_for_becomes_one(kind: str) -> None:
    read = forward(
        [answer_head(kind, f"content-length: {len(WHOLE)}"), WHOLE[:9], 0.02, WHOLE[9:]], request=asked(stream=True)
    )

    assert read.headers == {"content-type": "text/event-stream"}
    assert read.body.startswith(b'data: {"object":"chat.completion.chunk"') and read.body.endswith(DONE)


@pytest.mark.parametrize("kind", [JSON, "content-type: text/event-stream"])
@pytest.mark.parametrize("body", [b'{"text":"hi"}', b'{"output":[]}', b'[{"choices":[]}]', b"{", b'{"choices":[]}'])
def test_any_other_json_where_a_stream_was_asked_for_is_a_failure_except_for_sound(kind: str, body: bytes) -> None:
    assert failure(ok(body, kind), request=asked(stream=True)).code == "upstream_bad_response"
    if kind == JSON:
        assert forward([ok(body, kind)], request=asked("/audio/transcriptions", stream=True)).body == body


def test_a_whole_answer_that_breaks_off_or_is_too_long_is_no_stream() -> None:
    for kind in (JSON, "content-type: text/event-stream"):
        head = answer_head(kind, "content-length: 999")
        assert failure(head, WHOLE, End.CLOSE, request=asked(stream=True)).code == "upstream_truncated"
        long = ok(WHOLE + b" " * 2000, kind)
        assert failure(long, request=asked(stream=True), max_body_bytes=1000).code == "upstream_bad_response"


def test_an_answer_of_json_that_is_cut_or_too_long_is_a_failure() -> None:
    cut = failure(answer_head(JSON, "content-length: 99"), b'{"data":[', End.CLOSE, request=asked("/embeddings"))
    assert (cut.code, cut.verdict) == ("upstream_truncated", Verdict.SERVICE)
    assert failure(ok(b" " * 2000, JSON), max_body_bytes=1000).code == "upstream_bad_response"


def test_a_body_that_breaks_off_raises_where_it_does() -> None:
    head = answer_head("content-type: audio/mpeg", "content-length: 99")
    for end, code in ((End.CLOSE, "upstream_truncated"), (End.HANG, "upstream_stalled")):
        read = forward([head, b"ID3", 0.02, end], request=asked("/audio/speech"))
        assert read.body == b"ID3"
        assert read.late is not None and read.late.code == code


def test_headers_that_never_come_are_a_timeout() -> None:
    error = failure(End.HANG)

    assert (error.code, error.verdict) == ("upstream_timeout", Verdict.SERVICE)


def test_a_caller_who_leaves_while_the_beginning_is_awaited_takes_the_connection_along() -> None:
    async def main() -> None:
        clients = HttpClients(timeouts=Timeouts())
        async with RawServer([STREAM_HEAD, End.HANG]) as server:
            api = OpenAIApi(clients, base_url=server.url, now=time.time)
            for commit_wait_s in (30.0, 0.05):
                server.left_early.clear()
                forwarder = OpenAIForwarder(api, endpoints=frozenset(), now=time.time, commit_wait_s=commit_wait_s)
                task = asyncio.ensure_future(forwarder.forward(asked(stream=True), LEASE, timeout_s=5))
                await asyncio.sleep(0.15)
                if task.done():
                    reading = asyncio.ensure_future(anext(aiter(task.result())))
                    await asyncio.sleep(0.01)
                    reading.cancel()
                    await asyncio.wait({reading})
                    await task.result().aclose()
                else:
                    task.cancel()
                    await asyncio.wait({task})
                await asyncio.wait_for(server.left_early.wait(), 1)
            await clients.aclose()

    asyncio.run(main())


def test_a_released_answer_keeps_its_connection_and_a_closed_one_does_not() -> None:
    async def main(release: bool) -> int:
        clients = HttpClients(timeouts=Timeouts())
        script: list[Step] = [STREAM_HEAD, chunk(CHUNK + DONE), 0.05, chunk(b"")]
        async with RawServer(script) as server:
            api = OpenAIApi(clients, base_url=server.url, now=time.time)
            forwarder = OpenAIForwarder(api, endpoints=frozenset(), now=time.time)
            for _ in range(2):
                answer = await forwarder.forward(asked(stream=True), LEASE, timeout_s=1)
                assert await anext(aiter(answer)) == CHUNK + DONE
                await (answer.release() if release else answer.aclose())
                await answer.aclose()
                await asyncio.sleep(0.1)
            await clients.aclose()
            return server.connections

    assert asyncio.run(main(True)) == 1
    assert asyncio.run(main(False)) == 2
