"""A fake upstream that is never the bottleneck: answers are made once and written as prepared bytes.

    python -m bench.upstream          serves on a free port of 127.0.0.1 and prints the port

`POST /backend-api/codex/responses` answers with a stream of Responses events, as many and as fast as the request's
directive asks (`bench.answers`); `GET /backend-api/codex/models` with a small catalogue. `POST /v1/chat/completions`
and `GET /v1/models` do the same as an OpenAI-compatible server. It checks nothing: whether requests are right is the
tests' business.
"""

from __future__ import annotations

import asyncio
import sys
from functools import lru_cache
from typing import cast

import httptools
import msgspec
import uvloop

from bench import answers

_SLICE = 16 * 1024  # a TLS record's worth: the cuts fall anywhere, as on a real network
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_MODELS = msgspec.json.encode(
    {
        "models": [
            {"slug": answers.MODEL, "display_name": "GPT-5.5", "priority": 1, "visibility": "list"},
            {"slug": "gpt-5.4", "display_name": "GPT-5.4", "priority": 2, "visibility": "list"},
        ]
    }
)
_CHAT_MODELS = msgspec.json.encode(
    {"object": "list", "data": [{"id": answers.MODEL, "object": "model", "created": 1787300000, "owned_by": "bench"}]}
)
_MADE = {answers.UPSTREAM_PATH: answers.answer, answers.CHAT_UPSTREAM_PATH: answers.chat_answer}


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@lru_cache(maxsize=8)
def _full_speed(path: str, tokens: int) -> list[bytes]:
    """A whole answer as prepared writes. Each delta is an HTTP chunk of its own, as from a server that flushes them;
    the writes hold many."""
    made = _MADE[path](tokens)
    chunks = (_chunk(data) for data in (made.preamble, *made.deltas, made.ending))
    stream = b"".join((_HEAD, *chunks, _LAST_CHUNK))
    return [stream[at : at + _SLICE] for at in range(0, len(stream), _SLICE)]


@lru_cache(maxsize=8)
def _paced(path: str, tokens: int) -> list[bytes]:
    """An answer as one write for each token; the preamble leaves with the first, the ending with the last."""
    made = _MADE[path](tokens)
    writes = [_chunk(delta) for delta in made.deltas]
    writes[0] = _HEAD + _chunk(made.preamble) + writes[0]
    writes[-1] += _chunk(made.ending) + _LAST_CHUNK
    return writes


class Connection(asyncio.Protocol):
    """One client connection: requests in turn, each answered at full speed or token by token."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body = b""
        self._writes: list[bytes] = []
        self._at = 0
        self._paused = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: the transports of uvloop are no subclasses of those of asyncio.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._writes = []
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        url, body, method = self._url, self._body, self._parser.get_method()
        self._url = self._body = b""
        path = url.partition(b"?")[0].decode()
        if method == b"POST" and path in _MADE:
            self._answer(path, answers.wanted(body))
        elif method == b"GET" and path.endswith("/models"):
            self._plain(b"200 OK", _CHAT_MODELS if path.startswith("/v1/") else _MODELS)
        else:
            self._plain(b"404 Not Found", b'{"detail":"Not Found"}')

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._timer is None:
            self._pour()

    def _plain(self, status: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
        self._transport.write(head + body)

    def _answer(self, path: str, asked: answers.Wanted) -> None:
        self._at = 0
        self._timer = None
        tokens = max(1, asked.tokens)
        if not asked.rate:
            self._writes = _full_speed(path, tokens)
            self._pour()
            return
        self._writes = _paced(path, tokens)
        self._interval_s = 1 / asked.rate
        self._started_at = self._loop.time()
        self._tick()

    def _pour(self) -> None:
        """Write until the socket is full; `resume_writing` goes on."""
        writes = self._writes
        while self._at < len(writes) and not self._paused:
            self._at += 1
            self._transport.write(writes[self._at - 1])

    def _tick(self) -> None:
        """One token, then wait for the next one's time, which does not drift with the time that ticks take."""
        self._transport.write(self._writes[self._at])
        self._at += 1
        if self._at < len(self._writes):
            self._timer = self._loop.call_at(self._started_at + self._at * self._interval_s, self._tick)
        else:
            self._timer = None


async def serve() -> None:
    """Serve until the process is ended; the port is the only line on stdout."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
