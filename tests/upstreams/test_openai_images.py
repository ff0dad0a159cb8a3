"""Pictures of an OpenAI-compatible API, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from lib.canonical.images import ImagesRequest, ImagesResult, InputImage, PartialImage
from lib.errors import UpstreamError, Verdict
from lib.types import Lease
from lib.upstreams.http import HttpClients, Timeouts
from lib.upstreams.openai_api import OpenAIApi
from lib.upstreams.openai_images import OpenAIImages
from tests.canonical.pictures import jpeg, png
from tests.fakes import openai_images as fake
from tests.fakes.serving import serving, wait_until

LEASE = Lease("k1", "openai", {"authorization": f"Bearer {fake.KEY}"})


@pytest.fixture(scope="module")
def url_of() -> Iterator[Any]:
    current: list[fake.OpenAIImages] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await current[-1](scope, receive, send)

    with serving(app, lifespan="off") as url:

        def start(**options: Any) -> tuple[fake.OpenAIImages, str]:
            current.append(fake.OpenAIImages(**options))
            return current[-1], f"{url}/v1"

        yield start


def asked(**fields: Any) -> ImagesRequest:
    return ImagesRequest(**{"model": "gpt-image-2", "prompt": "A cat", **fields})


def ask(url: str, request: ImagesRequest, *, most: int = 99, **options: Any) -> list[PartialImage | ImagesResult]:
    """What comes of one request; only the first `most` pieces are read."""

    async def main() -> list[PartialImage | ImagesResult]:
        clients = HttpClients(timeouts=Timeouts(2, 2, 0.5))
        api = OpenAIApi(clients, base_url=url, now=lambda: 1000.0)
        upstream = OpenAIImages(api, **{"now": lambda: 1000.0, "max_answer_bytes": 1 << 20, **options})
        found = []
        try:
            answer = await upstream.images(request, LEASE, timeout_s=1)
            try:
                async for piece in answer:
                    found.append(piece)
                    if len(found) == most:
                        break
            finally:
                await answer.aclose()
        finally:
            await clients.aclose()
        return found

    return asyncio.run(main())


def refused(url: str, request: ImagesRequest, **options: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        ask(url, request, **options)
    return caught.value


def test_several_pictures_are_one_call(url_of: Any) -> None:
    server, url = url_of()
    (result,) = ask(url, asked(n=3, parameters={"size": "1024x1024", "quality": "high", "style": "vivid"}))
    assert isinstance(result, ImagesResult)
    assert len({picture.b64_json for picture in result.pictures}) == 3
    assert (result.created, result.usage, result.size) == (fake.CREATED, fake.USAGE, "1024x1024")
    (seen,) = server.seen
    assert (seen.path, seen.headers["accept"]) == ("/v1/images/generations", "application/json")
    assert seen.fields == {
        **{"prompt": "A cat", "model": "gpt-image-2", "n": 3},
        **{"size": "1024x1024", "quality": "high", "style": "vivid"},
    }


def test_addresses_come_as_the_upstream_gives_them(url_of: Any) -> None:
    server, url = url_of()
    (result,) = ask(url, asked(model="dall-e-3", response_format="url"))
    assert isinstance(result, ImagesResult)
    assert result.pictures[0].url == "https://images.example/0.png"
    assert result.pictures[0].revised_prompt == "revised"
    assert server.seen[0].fields["response_format"] == "url"


def test_models_that_know_no_response_format_are_not_given_one(url_of: Any) -> None:
    server, url = url_of()
    ask(url, asked(model=None, response_format="b64_json"), model="gpt-image-2")
    assert server.seen[0].fields == {"prompt": "A cat", "model": "gpt-image-2"}


def test_an_edit_is_a_form(url_of: Any) -> None:
    server, url = url_of()
    images = (InputImage("image/png", png()), InputImage("image/jpeg", jpeg()))
    mask = InputImage("image/png", png(9, 9))
    ask(
        url,
        asked(is_edit=True, prompt="Ünë\r\n--x", images=images, mask=mask, n=2, parameters={"output_compression": 7}),
    )
    (seen,) = server.seen
    assert seen.path == "/v1/images/edits"
    assert seen.fields == {"prompt": "Ünë\r\n--x", "model": "gpt-image-2", "n": "2", "output_compression": "7"}
    assert seen.files == [
        ("image[]", "0.png", "image/png", png()),
        ("image[]", "1.jpeg", "image/jpeg", jpeg()),
        ("mask", "2.png", "image/png", png(9, 9)),
    ]
    ask(url, asked(is_edit=True, images=images[:1]))
    assert [file[0] for file in server.seen[1].files] == ["image"]


@pytest.mark.parametrize("is_edit", [False, True])
def test_partial_pictures_come_before_the_finished_one(url_of: Any, is_edit: bool) -> None:
    server, url = url_of()
    images = (InputImage("image/png", png()),) if is_edit else ()
    request = asked(stream=True, is_edit=is_edit, images=images, parameters={"partial_images": 2})
    first, second, last = ask(url, request)
    assert isinstance(first, PartialImage) and isinstance(second, PartialImage) and isinstance(last, ImagesResult)
    assert (first.index, second.index, first.quality) == (0, 1, "medium")
    assert (last.created, last.usage, last.output_format) == (fake.CREATED, fake.USAGE, "png")
    assert server.seen[0].headers["accept"] == "text/event-stream"


def test_a_stream_that_is_answered_whole_is_read_as_such(url_of: Any) -> None:
    server, url = url_of()
    server.script.append((200, {"created": 5, "data": [{"b64_json": "QUJD"}]}))
    (result,) = ask(url, asked(stream=True))
    assert isinstance(result, ImagesResult) and result.created == 5


def test_other_events_and_the_end_marker_are_passed_over(url_of: Any) -> None:
    server, url = url_of()
    noise = b"data: [DONE]\n\ndata: 7\n\n" + fake.event({"type": "image_generation.other", "b64_json": "QUJD"})
    server.script.append((200, noise + fake.event({"type": "ping"}) + fake.streamed("", 0, "p") + noise))
    (result,) = ask(url, asked(stream=True))
    assert isinstance(result, ImagesResult)


@pytest.mark.parametrize(
    ("status", "answer", "verdict", "code"),
    [
        (
            400,
            {"error": {"message": "no", "code": "moderation_blocked", "type": "x"}},
            Verdict.REQUEST,
            "moderation_blocked",
        ),
        (429, {"error": {"message": "slow", "code": "rate_limit_exceeded"}}, Verdict.LIMIT, "rate_limit_exceeded"),
        (401, {"error": {"message": "bad sk-1", "code": "invalid_api_key"}}, Verdict.ACCOUNT, "invalid_api_key"),
        (500, {}, Verdict.SERVICE, "upstream_error"),
        (200, {"data": []}, Verdict.SERVICE, "upstream_bad_response"),
        (200, {"data": [{"b64_json": None}]}, Verdict.SERVICE, "upstream_bad_response"),
        (200, {"data": 7}, Verdict.SERVICE, "upstream_bad_response"),
        (200, "text", Verdict.SERVICE, "upstream_bad_response"),
        (200, {"data": [{"b64_json": "Q" * (1 << 20)}]}, Verdict.SERVICE, "upstream_bad_response"),
        (200, b"", Verdict.SERVICE, "upstream_truncated"),
        (200, b"data: {nonsense\n\n", Verdict.SERVICE, "upstream_bad_response"),
        (200, b"data: " + b"x" * (1 << 20) + b"\n\n", Verdict.SERVICE, "upstream_bad_response"),
        (
            200,
            fake.event(
                {
                    "type": "error",
                    "error": {"message": "no", "code": "moderation_blocked", "type": "image_generation_user_error"},
                }
            ),
            Verdict.REQUEST,
            "moderation_blocked",
        ),
    ],
)
def test_faults_are_told_apart(url_of: Any, status: int, answer: Any, verdict: Verdict, code: str) -> None:
    server, url = url_of()
    server.script.append((status, answer))
    error = refused(url, asked(stream=isinstance(answer, bytes)))
    assert (error.verdict, error.code) == (verdict, code)


def test_a_caller_who_leaves_closes_the_upstreams_stream(url_of: Any) -> None:
    server, url = url_of(pause_s=0.05)
    ask(url, asked(stream=True, parameters={"partial_images": 3}), most=1)
    assert wait_until(lambda: server.left == 1)
