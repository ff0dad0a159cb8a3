"""Pictures with the official package as the client, through each upstream that makes them, over real sockets."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest

from lib.accounts.account import Account
from lib.accounts.fixed import FixedCredentials
from lib.accounts.pool import AccountPool
from lib.canonical.pictures import measure
from lib.catalogues import Target
from lib.failover import Budget, Failover
from lib.image_relay import ImageRelay
from lib.routing import Router
from lib.settings.accounts import AccountConfig
from lib.types import Credentials, ImageUpstream
from lib.upstreams.codex_api import CodexApi
from lib.upstreams.codex_images import CodexImages
from lib.upstreams.demo import DemoUpstream
from lib.upstreams.demo_images import DemoImages
from lib.upstreams.http import HttpClients, Timeouts
from lib.upstreams.openai_api import OpenAIApi
from lib.upstreams.openai_images import OpenAIImages
from lib.web.auth import Authenticator
from lib.web.gate import Gate
from lib.web.images import ImageApi
from lib.web.paths import Table
from tests.canonical.pictures import png
from tests.fakes import openai_images
from tests.fakes.codex_backend import EDITS, GENERATIONS, CodexBackend
from tests.fakes.codex_behaviours import Never, http_error, usage_limit
from tests.fakes.serving import serving
from tests.journeys.gateway import ACCOUNTS, KEY, TOKENS

Make = Callable[[HttpClients], tuple[ImageUpstream, Credentials]]


@contextlib.contextmanager
def gateway(make: Make, *, first_byte_s: float = 2.0, keep_alive_s: float = 10.0) -> Iterator[openai.OpenAI]:
    """The image endpoints in front of one upstream, and a client for them."""
    clients = HttpClients(timeouts=Timeouts(2, 2, 2))
    images, credentials = make(clients)
    target = Target(DemoUpstream(), credentials, images)
    router = Router([target], lambda caller: target, default_model=None, cache_s=60, now=time.time)
    failover = Failover(Budget(3, 1, 0.2), now=time.time)
    relay = ImageRelay(router, failover, commit_wait_s=0.5, now=time.time, first_byte_s=first_byte_s)
    api = ImageApi(lambda: relay, Authenticator([KEY]), max_request_bytes=1 << 20, keep_alive_s=keep_alive_s)
    app = Gate(Table(api.endpoints()), now=time.time, close=clients.aclose)
    with serving(app, lifespan="on") as url, httpx.Client(trust_env=False, timeout=10) as http:
        options: dict[str, Any] = {"api_key": KEY, "base_url": f"{url}/v1", "max_retries": 0, "http_client": http}
        yield openai.OpenAI(**options)


def demo(clients: HttpClients) -> tuple[ImageUpstream, Credentials]:
    return DemoImages(pause_s=0.01), FixedCredentials(Account.from_token("demo"), "demo")


@pytest.fixture(scope="module")
def on_demo() -> Iterator[openai.OpenAI]:
    with gateway(demo) as client:
        yield client


@dataclass
class Codex:
    client: openai.OpenAI
    backend: CodexBackend

    def accounts(self) -> list[str | None]:
        return [request.account for request in self.backend.requests]


@pytest.fixture
def codex() -> Iterator[Codex]:
    with CodexBackend() as backend:

        def make(clients: HttpClients) -> tuple[ImageUpstream, Credentials]:
            api = CodexApi(clients, base_url=backend.url, client_version="0.160.0", now=time.time)
            accounts = [Account.from_config(AccountConfig(token), slot) for slot, token in enumerate(TOKENS, 1)]
            return CodexImages(api, model="gpt-image-2"), AccountPool(accounts, upstream="codex", now=time.time)

        with gateway(make, first_byte_s=0.6) as client:
            yield Codex(client, backend)
        assert backend.wait_closed()


@dataclass
class Compatible:
    client: openai.OpenAI
    server: openai_images.OpenAIImages


@pytest.fixture
def compatible() -> Iterator[Compatible]:
    server = openai_images.OpenAIImages()
    with serving(server, lifespan="off") as url:

        def make(clients: HttpClients) -> tuple[ImageUpstream, Credentials]:
            api = OpenAIApi(clients, base_url=f"{url}/v1", now=time.time)
            credentials = FixedCredentials(Account.from_token(openai_images.KEY), "openai")
            return OpenAIImages(api, now=time.time), credentials

        with gateway(make) as client:
            yield Compatible(client, server)


def pixels(b64_json: str | None) -> str:
    """The size of a PNG in base64."""
    found = measure(base64.b64decode(b64_json or "", validate=True))
    assert found is not None and found.media_type == "image/png"
    return found.size


def test_the_demo_makes_pictures_of_the_size_asked_for(on_demo: openai.OpenAI) -> None:
    reply = on_demo.images.generate(prompt="A cat on a mat", n=2, size="1536x1024")
    assert reply.data is not None and len(reply.data) == 2
    assert [pixels(picture.b64_json) for picture in reply.data] == ["1536x1024"] * 2
    assert (reply.size, reply.output_format) == ("1536x1024", "png")
    assert reply.usage is not None and reply.usage.total_tokens > 0
    assert "demo" in (reply.data[0].revised_prompt or "")


def test_an_address_without_a_bucket_is_a_data_url(on_demo: openai.OpenAI) -> None:
    reply = on_demo.images.generate(prompt="A cat", size="256x256", response_format="url")
    assert reply.data is not None and reply.data[0].b64_json is None
    head, _, data = (reply.data[0].url or "").partition(",")
    assert (head, pixels(data)) == ("data:image/png;base64", "256x256")


def test_the_demo_streams_partial_pictures(on_demo: openai.OpenAI) -> None:
    with on_demo.images.generate(prompt="A cat", size="256x256", stream=True, partial_images=2) as stream:
        events = list(stream)
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    last = events[-1]
    assert last.type == "image_generation.completed"
    assert (pixels(last.b64_json), last.usage.output_tokens, last.background) == ("256x256", 0, "opaque")


def test_the_demo_edits_files(on_demo: openai.OpenAI) -> None:
    reply = on_demo.images.edit(
        image=[("a.png", png(640, 480)), ("b.png", png(9, 9))], mask=("m.png", png()), prompt="p"
    )
    assert reply.data is not None
    assert "image/png of 640x480, image/png of 9x9 and a mask" in (reply.data[0].revised_prompt or "")
    assert pixels(reply.data[0].b64_json) == "640x480"
    with on_demo.images.edit(image=("a.png", png(64, 64)), prompt="p", stream=True, partial_images=1) as stream:
        assert [event.type for event in stream] == ["image_edit.partial_image", "image_edit.completed"]


def test_what_has_no_effect_is_named_or_refused(on_demo: openai.OpenAI) -> None:
    wishes = {"prompt": "A cat", "size": "256x256", "style": "vivid", "output_format": "webp"}
    reply = on_demo.images.with_raw_response.generate(**wishes)  # type: ignore[call-overload]
    assert reply.headers["x-gateway-ignored"] == "output_format, style"
    assert reply.parse().output_format == "png"
    with pytest.raises(openai.BadRequestError, match="output_format"):
        on_demo.images.generate(**wishes, extra_headers={"x-gateway-strict": "true"})  # type: ignore[call-overload]


def test_accounts_make_pictures_side_by_side(codex: Codex) -> None:
    reply = codex.client.images.generate(model="dall-e-3", prompt="A cat", n=4, size="1792x1024", quality="hd")
    assert reply.data is not None and len(reply.data) == 4
    assert reply.usage is not None and reply.usage.output_tokens == 4 * 1056
    assert {request.path for request in codex.backend.requests} == {GENERATIONS}
    assert len(codex.backend.requests) == 4
    assert {request.json["quality"] for request in codex.backend.requests} == {"high"}
    with pytest.raises(openai.BadRequestError, match="at most 4"):
        codex.client.images.generate(prompt="A cat", n=5)


def test_an_exhausted_account_is_replaced(codex: Codex) -> None:
    codex.backend.script(usage_limit(60), path=EDITS)
    reply = codex.client.images.edit(image=("a.png", png()), prompt="p")
    assert reply.data is not None and pixels(reply.data[0].b64_json) == "2x2"
    assert len(set(codex.accounts())) == 2 and set(codex.accounts()) <= set(ACCOUNTS)
    assert codex.backend.requests[0].json["images"][0]["image_url"].startswith("data:image/png;base64,")


def test_a_stream_of_accounts_has_finished_pictures_only(codex: Codex) -> None:
    raw = codex.client.images.with_raw_response.generate(prompt="A cat", stream=True, partial_images=2)
    assert raw.headers["x-gateway-ignored"] == "partial_images"
    (event,) = list(raw.parse())
    assert event.type == "image_generation.completed"
    assert (event.usage.output_tokens, event.quality) == (1056, "medium")


def test_a_refusal_by_the_upstream_reaches_the_caller(codex: Codex) -> None:
    blocked = {"error": {"message": "Blocked.", "type": "image_generation_user_error", "code": "moderation_blocked"}}
    codex.backend.always(http_error(400, blocked), path=GENERATIONS)
    with pytest.raises(openai.BadRequestError, match="Blocked") as caught:
        codex.client.images.generate(prompt="A cat", n=3)
    assert caught.value.code == "moderation_blocked"
    with pytest.raises(openai.BadRequestError, match="Blocked"):
        codex.client.images.generate(prompt="A cat", stream=True)


def test_silence_and_then_a_failure_break_a_stream_loudly(codex: Codex) -> None:
    codex.backend.always(Never(), path=GENERATIONS)
    with codex.client.images.generate(prompt="A cat", stream=True) as stream:
        with pytest.raises(openai.APIError, match="did not answer in time"):
            list(stream)


def test_an_upstream_with_the_same_api_gets_the_same_request(compatible: Compatible) -> None:
    reply = compatible.client.images.generate(model="gpt-image-2", prompt="A cat", n=3, quality="low", user="u1")
    assert reply.data is not None and len({picture.b64_json for picture in reply.data}) == 3
    (seen,) = compatible.server.seen
    assert seen.fields == {"model": "gpt-image-2", "prompt": "A cat", "n": 3, "quality": "low", "user": "u1"}
    assert KEY not in str(seen.headers)


def test_an_edit_stays_a_form_and_streams(compatible: Compatible) -> None:
    files = [("a.png", png(8, 8)), ("b.png", png(9, 9))]
    with compatible.client.images.edit(image=files, prompt="p", stream=True, partial_images=1) as stream:
        kinds = [event.type for event in stream]
    assert kinds == ["image_edit.partial_image", "image_edit.completed"]
    (seen,) = compatible.server.seen
    assert [(name, data) for name, _, _, data in seen.files] == [("image[]", png(8, 8)), ("image[]", png(9, 9))]
    assert seen.fields["stream"] == "true"


def test_the_upstreams_addresses_are_handed_on(compatible: Compatible) -> None:
    reply = compatible.client.images.generate(model="dall-e-3", prompt="A cat")
    assert reply.data is not None and reply.data[0].url == "https://images.example/0.png"
