from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import msgspec
import openai
import pytest

from lib.errors import InvalidRequest, NotFound
from lib.types import Forwarded, Forwarder
from lib.upstreams.demo_forward import DemoForwarder
from tests.upstreams.demo_forwarding import asked, forwarded, sdk
from tests.upstreams.demo_requests import LEASE

SPEECH = msgspec.json.encode({"model": "m", "input": "one two three", "voice": "alloy"})


def test_it_is_a_forwarder() -> None:
    forwarder: Forwarder = DemoForwarder()
    assert "/embeddings" in forwarder.endpoints


def test_a_path_that_is_not_served_is_not_found() -> None:
    with pytest.raises(NotFound):
        forwarded("/files", b"{}")


def test_every_endpoint_that_it_names_is_served() -> None:
    for path in DemoForwarder.endpoints:
        with pytest.raises(InvalidRequest):
            forwarded(path, b"")


def test_a_body_that_is_no_json_object_is_refused() -> None:
    for content in (b"", b"{", b"[]", b'"\xff"', b"[" * 100_000):
        with pytest.raises(InvalidRequest) as caught:
            forwarded("/embeddings", content)
        assert caught.value.code == "invalid_json"


def test_the_sdk_sees_errors_as_the_apis() -> None:
    with sdk() as client, pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="m", input="")
    assert (caught.value.param, caught.value.code) == ("input", "empty_string")


def test_only_answers_that_are_watched_have_pauses() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    _, pieces = forwarded("/audio/speech", SPEECH, word_s=0.5, sleep=sleep)
    assert len(pieces) == 3
    assert pauses == [0.5] * 3
    pauses.clear()
    forwarded("/embeddings", b'{"input": ["a", "b"]}', word_s=0.5, sleep=sleep)
    assert set(pauses) == {0}, "the event loop has its turn all the same"


def test_what_was_asked_for_in_vain_is_named() -> None:
    assert "x-gateway-ignored" not in asked("/moderations", input="a", model="m", user="me")[0]
    headers, _ = asked("/completions", prompt="a", temperature=0.2, top_p=None, best_of=2)
    assert headers["x-gateway-ignored"] == "best_of, temperature"


def test_closing_early_ends_the_answer() -> None:
    async def leave() -> int:
        request = Forwarded("/audio/speech", SPEECH, "application/json")
        answer = await DemoForwarder(word_s=0).forward(request, LEASE, timeout_s=1)
        async for _ in answer:
            break
        await answer.aclose()
        return len([piece async for piece in answer])

    assert asyncio.run(leave()) == 0


def test_importing_it_imports_no_endpoint() -> None:
    code = "import sys, lib.upstreams.demo_forward; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": "."}
    )
    loaded = set(found.stdout.split())
    assert not loaded & {"lib.upstreams.demo_voice", "lib.upstreams.demo_hearing", "multipart"}
