"""Pictures of the Codex backend: what is sent, and what comes back, over real sockets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest

from lib.canonical.images import ImagesRequest, ImagesResult, InputImage
from lib.errors import InvalidRequest, UpstreamError, Verdict
from lib.types import Lease
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.codex_images import CodexImages, shape
from lib.upstreams.http import HttpClients, Timeouts
from tests.canonical.pictures import jpeg, png
from tests.fakes.codex_backend import EDITS, GENERATIONS, CodexBackend
from tests.fakes.codex_behaviours import Never, challenge, http_error, usage_limit
from tests.fakes.tokens import jwt


@pytest.fixture
def backend() -> Iterator[CodexBackend]:
    with CodexBackend() as running:
        yield running


def asked(**fields: Any) -> ImagesRequest:
    return ImagesRequest(**{"model": None, "prompt": "A cat", **fields})


def ask(backend: CodexBackend, request: ImagesRequest, *, timeout_s: float = 2, **api: Any) -> ImagesResult:
    async def main() -> ImagesResult:
        clients = HttpClients(timeouts=Timeouts(2, 0.1, 0.5))
        options = {"base_url": backend.url, "client_version": "0.160.0", "now": lambda: 1000.0, **api}
        upstream = CodexImages(CodexApi(clients, **options), model="gpt-image-2", max_answer_bytes=1 << 16)
        lease = Lease("a1", "codex", {"authorization": f"Bearer {jwt('acct-1')}", "chatgpt-account-id": "acct-1"})
        try:
            answer = await upstream.images(request, lease, timeout_s=timeout_s)
            try:
                (result,) = [piece async for piece in answer if isinstance(piece, ImagesResult)]
            finally:
                await answer.aclose()
        finally:
            await clients.aclose()
        return result

    result = asyncio.run(main())
    assert backend.wait_closed(2)
    return result


def refused(backend: CodexBackend, request: ImagesRequest, **options: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        ask(backend, request, **options)
    return caught.value


def test_a_generation_is_taken_by_the_backend(backend: CodexBackend) -> None:
    result = ask(backend, asked(parameters={"size": "1536x1024", "quality": "hd", "style": "vivid", "user": "u1"}))
    assert len(result.pictures) == 1
    assert base64.b64decode(result.pictures[0].b64_json or "").startswith(b"\x89PNG")
    assert result.usage is not None and result.usage["output_tokens"] == 1056
    assert (result.quality, result.output_format) == ("medium", "png")
    (seen,) = backend.requests
    assert (seen.path, seen.headers["originator"]) == (GENERATIONS, "chat2api")
    assert seen.json == {
        **{"model": "gpt-image-2", "prompt": "A cat", "n": 1},
        **{"size": "1536x1024", "quality": "high", "background": "auto"},
    }


def test_an_edit_brings_its_pictures_as_data_urls(backend: CodexBackend) -> None:
    images = (InputImage("image/png", png()), InputImage("image/jpeg", jpeg()))
    ask(backend, asked(is_edit=True, images=images, mask=InputImage("image/png", png(9, 9))))
    (seen,) = backend.requests
    assert seen.path == EDITS
    urls = [each["image_url"] for each in seen.json["images"]]
    assert urls[0] == "data:image/png;base64," + base64.b64encode(png()).decode()
    assert urls[1].startswith("data:image/jpeg;base64,")
    assert seen.json["mask"] == {"image_url": "data:image/png;base64," + base64.b64encode(png(9, 9)).decode()}


@pytest.mark.parametrize(
    ("fields", "members"),
    [
        ({}, {"model": "gpt-image-2", "size": "auto", "quality": "auto", "background": "auto"}),
        ({"model": "dall-e-3", "parameters": {"size": "1792x1024", "quality": "standard"}},
         {"model": "gpt-image-2", "size": "1792x1024", "quality": "medium"}),
        ({"parameters": {"size": "256x256"}}, {"size": "1024x1024"}),
        ({"parameters": {"size": "512x512"}}, {"size": "1024x1024"}),
        ({"model": "gpt-image-1.5", "parameters": {"input_fidelity": "high", "size": "10x10"}},
         {"model": "gpt-image-1.5", "input_fidelity": "high", "size": "10x10"}),
        ({"parameters": {"output_format": "webp", "output_compression": 5, "moderation": "low"}},
         {"output_format": "webp", "output_compression": 5, "moderation": "low"}),
    ],
)  # fmt: skip
def test_what_clients_say_is_put_into_the_backends_words(fields: dict[str, Any], members: dict[str, Any]) -> None:
    body = shape(asked(**fields), default_model="gpt-image-2")
    assert {name: body[name] for name in members} == members


@pytest.mark.parametrize("size", ["1000x1000", "4096x1024", "3840x1024", "640x640", "3840x3840"])
def test_a_size_that_the_model_cannot_make_is_refused(size: str) -> None:
    with pytest.raises(InvalidRequest, match=f"Invalid size {size} for gpt-image-2") as caught:
        shape(asked(parameters={"size": size}), default_model="gpt-image-2")
    assert caught.value.param == "size"


@pytest.mark.parametrize("size", ["1024x1024", "1024x1792", "3840x2160", "2048x688"])
def test_sizes_within_the_rules_are_taken_by_the_backend(backend: CodexBackend, size: str) -> None:
    assert ask(backend, asked(parameters={"size": size})).pictures


def test_input_fidelity_is_refused_for_the_model_that_has_none() -> None:
    with pytest.raises(InvalidRequest, match="Leave it out"):
        shape(asked(parameters={"input_fidelity": "high"}), default_model="gpt-image-2")


def test_faults_have_their_verdicts(backend: CodexBackend) -> None:
    blocked = {"error": {"message": "Blocked.", "type": "image_generation_user_error", "code": "moderation_blocked"}}
    backend.script(
        usage_limit(60),
        http_error(400, blocked),
        challenge(),
        http_error(200, {"data": []}),
        http_error(200, {"data": [{"b64_json": "A" * 70_000}]}),
        path=GENERATIONS,
    )
    found = [refused(backend, asked()) for _ in range(5)]
    assert [error.verdict for error in found] == [
        *(Verdict.LIMIT, Verdict.REQUEST, Verdict.CHALLENGE, Verdict.SERVICE, Verdict.SERVICE),
    ]
    assert found[1].code == "moderation_blocked"
    assert found[0].retry_after_s is not None


def test_the_backend_speaks_for_itself_about_models(backend: CodexBackend) -> None:
    error = refused(backend, asked(model="gpt-image-9"))
    assert (error.verdict, error.status) == (Verdict.REQUEST, 400)


def test_a_silent_backend_is_given_up_after_the_callers_time(backend: CodexBackend) -> None:
    backend.script(Never(), path=GENERATIONS)
    assert refused(backend, asked(), timeout_s=0.2).code == "upstream_timeout"


def test_nothing_leaves_a_gateway_that_is_misconfigured(backend: CodexBackend) -> None:
    error = refused(backend, asked(), misdirected="PROXY: is not a URL")
    assert (error.status, error.code, backend.requests) == (503, "misconfigured", [])
