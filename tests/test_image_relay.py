"""One request for pictures from the parsed form to the last byte, over scripted neighbours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from lib.canonical.images import FinishedImage, ImagesRequest, InputImage, PartialImage
from lib.catalogues import Target
from lib.errors import GatewayError, InvalidRequest, NotFound, UpstreamError, Verdict
from lib.failover import Budget, Failover
from lib.image_relay import ImageRelay
from lib.routing import Router
from lib.sse import Decoder
from lib.types import Caller, Reply, Trace
from tests.canonical.pictures import png
from tests.fakes.scripted import ScriptedCredentials, ScriptedUpstream, failure
from tests.fakes.scripted_images import USAGE, ScriptedImages, b64, result


@dataclass
class Told:
    """A reply, read to its end."""

    headers: dict[str, str]
    body: dict[str, Any]
    events: list[dict[str, Any]]
    trace: Trace
    credentials: ScriptedCredentials = field(repr=False)

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events]


def ask(
    upstream: ScriptedImages | None,
    /,
    *,
    strict: bool = False,
    accounts: int = 5,
    commit_wait_s: float = 1.0,
    first_byte_s: float = 300.0,
    host: Any = None,
    fetch: Any = None,
    on_open: Callable[[Reply], None] = lambda reply: None,
    patience_s: float = 5.0,
    left_s: float | None = None,
    **fields: Any,
) -> Told:
    async def main() -> Told:
        credentials = ScriptedCredentials(accounts)
        router = Router(
            [Target(ScriptedUpstream(), credentials, upstream)],
            lambda caller: Target(ScriptedUpstream(), credentials, upstream),
            default_model=None,
            cache_s=60,
            now=lambda: 1000.0,
        )
        relay = ImageRelay(
            router,
            Failover(Budget(3, 120, 60), now=lambda: 1000.0),
            commit_wait_s=commit_wait_s,
            now=lambda: 1000.0,
            first_byte_s=first_byte_s,
            host=host,
            fetch=fetch,
        )
        trace = Trace("r", 0, deadline_at=None if left_s is None else 1000.0 + left_s)
        request = ImagesRequest(**{"model": "m", "prompt": "A cat", "affinity": "key", **fields})
        reply = await relay.reply(request, Caller("k", token="t" if upstream is None else None), trace, strict=strict)
        on_open(reply)
        sent = b""
        if reply.stream is not None:
            assert reply.keep_alive == b": keep-alive\n\n"
            try:
                async with asyncio.timeout(patience_s):
                    async for chunk in reply.stream:
                        sent += chunk
            finally:
                await reply.stream.aclose()
        body = {} if reply.body is None else msgspec.json.decode(reply.body)
        events = [msgspec.json.decode(data) for _, data in Decoder(1 << 20).feed(sent)]
        assert len(asyncio.all_tasks()) == 1
        return Told(dict(reply.headers), body, events, trace, credentials)

    told = asyncio.run(main())
    assert upstream is None or all(answer.closed for answer in upstream.answers)
    return told


def test_a_whole_answer() -> None:
    images = ScriptedImages([result()])
    told = ask(images, parameters={"size": "4x3"})
    assert told.body["data"] == [{"b64_json": b64()}]
    assert (told.body["created"], told.body["usage"], told.headers) == (5, USAGE, {})
    ((request, lease, timeout_s),) = images.calls
    assert (request.model, request.n, request.parameters, lease.account) == ("m", 1, {"size": "4x3"}, "a1")
    assert timeout_s == 300
    trace = told.trace
    assert (trace.dialect, trace.upstream, trace.model, trace.accounts) == ("images", "scripted", "m", ["a1"])
    assert (trace.input_tokens, trace.output_tokens, trace.first_byte_at) == (1, 2, 1000.0)


def test_several_pictures_are_made_side_by_side_and_joined() -> None:
    images = ScriptedImages([0.05, result(b64(1))], [0.05, result(b64(2))], [0.05, result(b64(3))])
    began = time.monotonic()
    told = ask(images, n=3)
    assert time.monotonic() - began < 0.14
    assert {each["b64_json"] for each in told.body["data"]} == {b64(1), b64(2), b64(3)}
    assert told.body["usage"] == {"input_tokens": 3, "output_tokens": 6, "total_tokens": 9}
    assert [call[0].affinity for call in images.calls] == ["key", "key/1", "key/2"]
    assert {call[0].n for call in images.calls} == {1}


def test_an_upstream_that_makes_many_is_called_once() -> None:
    images = ScriptedImages([result(b64(1), b64(2), b64(3))], max_pictures=10)
    assert len(ask(images, n=3).body["data"]) == 3
    assert images.calls[0][0].n == 3
    images = ScriptedImages([result(b64(1), b64(2))], [result(b64(3))], max_pictures=2)
    assert len(ask(images, n=3).body["data"]) == 3
    assert [call[0].n for call in images.calls] == [2, 1]


@pytest.mark.parametrize("stream", [False, True])
def test_more_pictures_than_calls_are_refused(stream: bool) -> None:
    images = ScriptedImages(max_pictures=10 if stream else 1)
    with pytest.raises(InvalidRequest, match="'n' is at most 4") as caught:
        ask(images, n=5, stream=stream)
    assert caught.value.param == "n"


def test_a_failure_moves_on_to_the_next_account() -> None:
    images = ScriptedImages(failure(Verdict.LIMIT), [failure(Verdict.SERVICE)], [result()])
    told = ask(images)
    assert told.trace.accounts == ["a1", "a2", "a3"]
    assert told.credentials.verdicts == [("a1", Verdict.LIMIT), ("a2", Verdict.SERVICE), ("a3", None)]


def test_one_failure_fails_all_and_cancels_the_others() -> None:
    images = ScriptedImages([10.0, result()], failure(Verdict.REQUEST, code="moderation_blocked"))
    with pytest.raises(UpstreamError) as caught:
        ask(images, n=2)
    assert caught.value.code == "moderation_blocked"
    assert [answer.closed for answer in images.answers] == [True]


@pytest.mark.parametrize("script", [[], [PartialImage(b64(), 0)]])
def test_an_answer_without_a_picture_is_the_upstreams_fault(script: list[Any]) -> None:
    with pytest.raises(UpstreamError, match="without a picture"):
        ask(ScriptedImages(script, script, script))


def test_parameters_without_effect_are_named_or_refused() -> None:
    asked = {"size": "size", "style": "style", "size.small": "size"}
    assert ask(ScriptedImages([result()]), asked=asked).headers == {"x-gateway-ignored": "size, style"}
    with pytest.raises(InvalidRequest, match="'size' has no effect"):
        ask(ScriptedImages(), asked=asked, strict=True)


def test_an_upstream_without_pictures_is_a_404() -> None:
    with pytest.raises(NotFound):
        ask(None)


def test_a_stream_brings_partial_pictures_and_the_finished_one() -> None:
    told = ask(ScriptedImages([PartialImage(b64(1), 0), PartialImage(b64(2), 1), result(b64(3))]), stream=True)
    assert told.kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event["b64_json"] for event in told.events] == [b64(1), b64(2), b64(3)]
    assert [event["created_at"] for event in told.events] == [1000, 1000, 5]
    assert (told.trace.input_tokens, told.trace.output_tokens, told.trace.error) == (1, 2, None)


def test_each_picture_of_a_stream_leaves_when_it_is_ready() -> None:
    images = ScriptedImages([0.1, result(b64(1))], [result(b64(2))], max_pictures=10)
    told = ask(images, stream=True, n=2, is_edit=True, images=(InputImage("image/png", png()),))
    assert told.kinds == ["image_edit.completed"] * 2
    assert [event["b64_json"] for event in told.events] == [b64(2), b64(1)]
    assert [event["usage"] for event in told.events] == [USAGE, USAGE]
    assert told.trace.output_tokens == 4


def test_an_early_failure_of_a_stream_has_a_status() -> None:
    with pytest.raises(UpstreamError):
        ask(ScriptedImages(failure(Verdict.REQUEST)), stream=True)


def test_a_late_failure_of_a_stream_is_an_event() -> None:
    opened: list[int] = []
    told = ask(
        ScriptedImages([0.05, failure(Verdict.REQUEST, code="moderation_blocked")]),
        stream=True,
        commit_wait_s=0.01,
        on_open=lambda reply: opened.append(reply.status),
    )
    assert (opened, told.kinds) == ([200], ["error"])
    assert told.events[0]["error"]["code"] == told.trace.error == "moderation_blocked"


def test_a_failure_after_a_partial_picture_is_not_replayed() -> None:
    images = ScriptedImages([PartialImage(b64(), 0), failure(Verdict.SERVICE, code="upstream_truncated")])
    told = ask(images, stream=True)
    assert told.kinds == ["image_generation.partial_image", "error"]
    assert len(images.calls) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_has_not_begun_at_the_deadline_is_a_504(stream: bool) -> None:
    upstream = ScriptedImages([30.0, result()], [30.0, result()])
    with pytest.raises(GatewayError, match="time") as caught:
        ask(upstream, n=2, stream=stream, left_s=0.03)
    assert (caught.value.status, caught.value.code) == (504, "deadline_exceeded")
    assert [answer.closed for answer in upstream.answers] == [True, True]


def test_a_stream_that_has_begun_ends_with_an_error_at_the_deadline() -> None:
    told = ask(ScriptedImages([PartialImage(b64(), 0), 30.0, result()]), stream=True, left_s=0.05)
    assert told.kinds == ["image_generation.partial_image", "error"]
    assert told.trace.error == told.events[-1]["error"]["code"] == "deadline_exceeded"


def test_an_unexpected_failure_is_told_without_its_words() -> None:
    told = ask(ScriptedImages([PartialImage(b64(), 0), ValueError("secret")]), stream=True)
    assert told.events[-1]["error"]["code"] == "internal_error"
    assert "secret" not in str(told.events)
    assert isinstance(told.trace.failure, ValueError)


def test_a_stream_that_nobody_reads_is_let_go() -> None:
    images = ScriptedImages([10.0, result()], [10.0, result()])
    with pytest.raises(TimeoutError):
        ask(images, stream=True, n=2, commit_wait_s=0.01, patience_s=0.05)
    assert len(images.answers) == 2


class Host:
    def __init__(self) -> None:
        self.kept: list[tuple[bytes, str]] = []

    async def put(self, data: bytes, media_type: str) -> str:
        self.kept.append((data, media_type))
        return f"https://bucket.example/{len(self.kept)}.png?signed"


def test_without_a_host_an_address_is_a_data_url() -> None:
    told = ask(ScriptedImages([result()]), response_format="url")
    assert told.body["data"] == [{"url": f"data:image/png;base64,{b64()}"}]


def test_with_a_host_pictures_are_put_there() -> None:
    host = Host()
    told = ask(ScriptedImages([result(b64(1), b64(2))], max_pictures=2), n=2, response_format="url", host=host)
    assert [each["url"] for each in told.body["data"]] == [
        f"https://bucket.example/{place}.png?signed" for place in (1, 2)
    ]
    assert host.kept == [(png(1), "image/png"), (png(2), "image/png")]
    assert ask(ScriptedImages([result()]), host=host).body["data"] == [{"b64_json": b64()}]
    assert len(host.kept) == 2


def test_what_is_no_base64_is_not_hosted() -> None:
    with pytest.raises(UpstreamError, match="not valid base64"):
        ask(ScriptedImages([result("a")]), response_format="url", host=Host())


ADDRESS = FinishedImage(url="https://a.example/a.png", revised_prompt="r")


async def fetch(url: str) -> InputImage:
    if "bad" in url:
        raise InvalidRequest("no such picture", code="invalid_url")
    return InputImage("image/png", png(9))


@pytest.mark.parametrize("wanted", [None, "url"])
def test_the_upstreams_address_is_handed_on(wanted: str | None) -> None:
    told = ask(ScriptedImages([result(ADDRESS)]), response_format=wanted)
    assert told.body["data"] == [{"url": "https://a.example/a.png", "revised_prompt": "r"}]


def test_an_address_is_read_for_a_caller_who_wants_bytes() -> None:
    told = ask(ScriptedImages([result(ADDRESS)]), response_format="b64_json", fetch=fetch)
    assert told.body["data"] == [{"b64_json": b64(9), "revised_prompt": "r"}]
    told = ask(ScriptedImages([result(ADDRESS)]), stream=True, fetch=fetch)
    assert told.events[0]["b64_json"] == b64(9)


def test_an_address_that_cannot_be_read_is_told() -> None:
    with pytest.raises(UpstreamError) as caught:
        ask(ScriptedImages([result(ADDRESS)]), response_format="b64_json")
    assert caught.value.code == "picture_not_read"


def test_input_pictures_are_read_once_for_all_calls() -> None:
    images = ScriptedImages([result()], [result()])
    address = InputImage("", url="https://a.example/in.png")
    ask(images, n=2, is_edit=True, images=(address, InputImage("image/gif", b"x")), mask=address, fetch=fetch)
    for request, _, _ in images.calls:
        assert request.images == (InputImage("image/png", png(9)), InputImage("image/gif", b"x"))
        assert request.mask == InputImage("image/png", png(9))


@pytest.mark.parametrize(("reader", "url"), [(None, "https://a.example/in.png"), (fetch, "https://bad.example/in.png")])
def test_input_pictures_that_cannot_be_read_are_refused(reader: Any, url: str) -> None:
    with pytest.raises(GatewayError) as caught:
        ask(ScriptedImages(), is_edit=True, images=(InputImage("", url=url),), fetch=reader)
    assert caught.value.status == 400
