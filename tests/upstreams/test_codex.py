"""The Codex upstream over real sockets, against a backend that is stricter than the real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from lib.canonical.events import Event
from lib.canonical.request import CanonicalRequest
from lib.errors import UpstreamError, Verdict
from lib.types import Lease, Model
from lib.upstreams.codex import CodexUpstream
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.http import HttpClients, Timeouts
from tests.fakes.codex_backend import MODELS, CodexBackend
from tests.fakes.codex_behaviours import Never, challenge, http_error, raw, redirect, stream, usage_limit
from tests.fakes.tokens import jwt

TIMEOUTS = Timeouts(connect_s=2, first_byte_s=2, idle_s=0.3)


@pytest.fixture
def backend() -> Iterator[CodexBackend]:
    with CodexBackend() as running:
        yield running


def request(text: str = "Hello", **fields: object) -> CanonicalRequest:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return CanonicalRequest(model="gpt-5.5", input=[item], affinity="a", **fields)  # type: ignore[arg-type]


def lease(account: str = "acct-1") -> Lease:
    headers = {"authorization": f"Bearer {jwt(account)}", "chatgpt-account-id": account}
    return Lease("a1", "codex", headers)


class Read:
    """What came of one request."""

    def __init__(self) -> None:
        self.batches: list[list[Event]] = []
        self.windows: list[str] = []
        self.error: UpstreamError | None = None

    @property
    def types(self) -> list[str]:
        return [event.type for batch in self.batches for event in batch]


def ask(backend: CodexBackend, question: CanonicalRequest | None = None, *, max_event_bytes: int = 1 << 20) -> Read:
    read = Read()

    async def main() -> None:
        clients = HttpClients(timeouts=TIMEOUTS)
        upstream = codex(clients, backend, max_event_bytes=max_event_bytes)
        try:
            answer = await upstream.open(question or request(), lease(), timeout_s=0.5)
            try:
                async for batch in answer:
                    read.batches.append(batch)
            finally:
                await answer.aclose()
                read.windows = [window.bucket for window in answer.windows]
        except UpstreamError as error:
            read.error = error
        finally:
            await clients.aclose()

    asyncio.run(main())
    assert backend.wait_closed(2)
    return read


def codex(clients: HttpClients, backend: CodexBackend, **more: object) -> CodexUpstream:
    settings = {"base_url": backend.url, "client_version": "0.160.0", "now": time.time}
    max_event_bytes = more.pop("max_event_bytes", 1 << 20)
    api = CodexApi(clients, **{**settings, **more})  # type: ignore[arg-type]
    return CodexUpstream(api, max_event_bytes=max_event_bytes)  # type: ignore[arg-type]


def test_an_answer_arrives_and_the_client_names_itself(backend: CodexBackend) -> None:
    read = ask(backend)
    assert read.error is None
    assert read.types[0] == "response.created" and read.types[-1] == "response.completed"
    seen = backend.generations[-1]
    assert seen.headers["user-agent"].startswith("chat2api/") and seen.headers["originator"] == "chat2api"
    assert seen.headers["session-id"] == seen.json["prompt_cache_key"]
    assert "codex" in read.windows


@pytest.mark.parametrize("name", ["reasoning", "function_call", "parallel_calls", "image", "empty_completed_output"])
@pytest.mark.parametrize(
    "options", [{}, {"cut": 1}, {"cut": 7, "crlf": True}, {"event_lines": False}, {"encoding": "gzip"}]
)
def test_the_answer_does_not_depend_on_its_packaging(
    backend: CodexBackend, name: str, options: dict[str, object]
) -> None:
    backend.script(stream(name, **options))
    read = ask(backend)
    assert read.error is None and read.types[-1] == "response.completed"


def test_reading_stops_at_the_terminal_event(backend: CodexBackend) -> None:
    backend.script(stream("text", keep_open=True))
    started = time.monotonic()
    assert ask(backend).types[-1] == "response.completed"
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("behaviour", "verdict", "code"),
    [
        (usage_limit(60), Verdict.LIMIT, "insufficient_quota"),
        (challenge(), Verdict.CHALLENGE, "upstream_challenge"),
        (redirect("http://127.0.0.1:9/"), Verdict.SERVICE, "upstream_error"),
        (http_error(500, {"error": {"message": "boom"}}), Verdict.SERVICE, "upstream_error"),
        (raw(b""), Verdict.SERVICE, "upstream_empty_response"),
        (raw(b'{"detail": "Not Found"}'), Verdict.REQUEST, "model_not_found"),
        (raw(b"<html>canary</html>"), Verdict.SERVICE, "upstream_bad_response"),
        (raw(b": only a comment\n\n"), Verdict.SERVICE, "upstream_empty_response"),
        (stream("truncated"), Verdict.SERVICE, "upstream_truncated"),
        (stream("text", stall_after=3), Verdict.SERVICE, "upstream_stalled"),
        (stream("failed_overloaded"), Verdict.SERVICE, "upstream_overloaded"),
        (Never(), Verdict.SERVICE, "upstream_timeout"),
    ],
)
def test_every_failure_has_its_verdict(backend: CodexBackend, behaviour: object, verdict: Verdict, code: str) -> None:
    backend.script(behaviour)  # type: ignore[arg-type]
    error = ask(backend).error
    assert error is not None and (error.verdict, error.code) == (verdict, code)
    assert "canary" not in error.message


def test_a_limit_is_told_with_its_windows(backend: CodexBackend) -> None:
    backend.script(usage_limit(60))
    read = ask(backend)
    assert read.error is not None and read.error.retry_after_s is not None
    assert 50 < read.error.retry_after_s <= 60 and "codex" in read.windows


def test_an_event_may_be_large_and_not_endless(backend: CodexBackend) -> None:
    backend.script(stream("image"))
    assert ask(backend).error is None
    backend.script(stream("image"))
    error = ask(backend, max_event_bytes=100).error
    assert error is not None and error.code == "upstream_bad_response"


def test_closing_early_is_noticed_by_the_backend(backend: CodexBackend) -> None:
    backend.script(stream("text", stall_after=4))

    async def main() -> None:
        clients = HttpClients(timeouts=Timeouts())
        answer = await codex(clients, backend).open(request(), lease(), timeout_s=5)
        await anext(aiter(answer))
        await answer.aclose()
        await clients.aclose()

    asyncio.run(main())
    assert backend.wait_closed(1) and backend.generations[-1].client_left


def test_the_catalogue_is_sorted_and_typed(backend: CodexBackend) -> None:
    async def main() -> list[Model]:
        clients = HttpClients(timeouts=TIMEOUTS)
        try:
            return await codex(clients, backend).models(lease())
        finally:
            await clients.aclose()

    models = asyncio.run(main())
    assert models and models[0].context_length and "text" in models[0].input_modalities and models[0].efforts
    assert any(model.hidden for model in models)
    assert backend.requests[-1].query == {"client_version": "0.160.0"}


@pytest.mark.parametrize("body", [b"{}", b"[]", b"nonsense", b'{"models": [1]}', b'{"models": 5}'])
def test_an_unreadable_catalogue_is_a_clear_error(backend: CodexBackend, body: bytes) -> None:
    backend.script(raw(body, content_type="application/json"), path=MODELS)

    async def main() -> list[Model]:
        clients = HttpClients(timeouts=TIMEOUTS)
        try:
            return await codex(clients, backend).models(lease())
        finally:
            await clients.aclose()

    with pytest.raises(UpstreamError, match="model list"):
        asyncio.run(main())


def test_a_misconfigured_gateway_sends_nothing(backend: CodexBackend) -> None:
    async def main() -> None:
        upstream = codex(HttpClients(timeouts=TIMEOUTS), backend, base_url=None, misdirected="PROXY: not a URL")
        await upstream.open(request(), lease(), timeout_s=1)

    with pytest.raises(UpstreamError, match="PROXY") as caught:
        asyncio.run(main())
    assert caught.value.status == 503 and not backend.requests
