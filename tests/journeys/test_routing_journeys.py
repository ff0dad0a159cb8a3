"""ChatGPT accounts, an OpenAI-compatible API and a signed gateway at once: which of them a request goes to."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import pytest

from lib.settings import Settings
from lib.web.app import create_app
from tests.fakes.codex_backend import CodexBackend
from tests.fakes.codex_behaviours import Never
from tests.fakes.openai_backend import MODELS, OpenAIBackend
from tests.fakes.openai_media import serve_media
from tests.fakes.serving import serving
from tests.journeys.gateway import KEY, TOKENS

PAIR = ("team-blue", "signing-secret-0123456789")
HI: Any = [{"role": "user", "content": "Hi"}]


@dataclass
class All:
    sdk: openai.OpenAI
    url: str
    codex: CodexBackend
    backend: OpenAIBackend
    http: httpx.Client

    def met(self) -> tuple[int, int]:
        """How many generations reached the accounts, and how many requests the keyed API."""
        return len(self.codex.generations), len([each for each in self.backend.requests if each.path != MODELS])

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {KEY}", **options.pop("headers", {})}
        return self.http.request(method, self.url + path, headers=headers, **options)


@pytest.fixture(scope="module")
def second() -> Iterator[str]:
    """The signed gateway: it answers from its demo upstream."""
    app = create_app(Settings(_env_file=None, key_pairs=":".join(PAIR)))
    with serving(app, lifespan="on", access_log=False) as url:
        yield url


@contextlib.contextmanager
def three(second: str, **settings: Any) -> Iterator[All]:
    models = ("gpt-5.5", "gpt-test", "vendor/model", "openai/odd")
    with CodexBackend() as codex, OpenAIBackend(models=models) as backend, httpx.Client(trust_env=False) as http:
        serve_media(backend)
        fixed = {
            "auth_tokens": KEY,
            "chatgpt_access_tokens": TOKENS[0],
            "chatgpt_base_url": codex.url,
            "openai_api_key": "sk-test",
            "openai_base_url": backend.url,
            "key_a": PAIR[0],
            "key_b": PAIR[1],
            "signed_base_url": f"{second}/v1",
        }
        app = create_app(Settings(**{"_env_file": None, **fixed, **settings}))
        with serving(app, lifespan="on", access_log=False) as url:
            options: Any = {"api_key": KEY, "base_url": f"{url}/v1", "max_retries": 0, "http_client": http}
            yield All(openai.OpenAI(**options), url, codex, backend, http)


@pytest.fixture(scope="module")
def shared(second: str) -> Iterator[All]:
    with three(second) as found:
        yield found


@pytest.fixture
def all_three(shared: All) -> All:
    shared.codex.requests.clear()
    shared.backend.requests.clear()
    return shared


def test_the_catalogue_names_its_owners_and_gives_each_model_a_name_of_its_own(all_three: All) -> None:
    found = {model.id: model.owned_by for model in all_three.sdk.models.list()}
    owners = set(found.values())
    assert len(owners) == 3 and {"openai", "signed"} < owners, found
    assert found["openai/gpt-5.5"] == "openai" and found["gpt-5.5"] != "openai"
    assert found["gpt-test"] == "openai" and found["demo-large"] == "signed"
    assert all_three.sdk.models.retrieve("openai/gpt-5.5").owned_by == "openai"


@pytest.mark.parametrize(
    ("model", "met"),
    [
        ("gpt-5.5", (1, 0)),
        ("gpt-test", (0, 1)),
        ("openai/gpt-5.5", (0, 1)),
        ("vendor/model", (0, 1)),
        ("openai/vendor/model", (0, 1)),
        ("openai/odd", (0, 1)),
        ("demo-large", (0, 0)),
        ("signed/gpt-5.5", (0, 0)),
        ("codex/gpt-5.5", (1, 0)),
        ("auto", (1, 0)),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_where_a_model_goes(all_three: All, model: str, met: tuple[int, int], path: str) -> None:
    body = {"model": model, "messages": HI} if "chat" in path else {"model": model, "input": "Hi"}
    answer = all_three.send("POST", path, json=body)
    assert answer.status_code == 200, answer.text
    assert all_three.met() == met


def test_the_upstream_never_sees_its_own_prefix(all_three: All) -> None:
    all_three.sdk.chat.completions.create(model="openai/gpt-5.5", messages=HI)
    assert all_three.backend.requests[-1].json["model"] == "gpt-5.5"
    all_three.sdk.chat.completions.create(model="openai/odd", messages=HI)
    assert all_three.backend.requests[-1].json["model"] == "openai/odd"
    embedded = all_three.sdk.embeddings.create(model="openai/gpt-test", input="Hi")
    assert embedded.data and all_three.backend.requests[-1].json["model"] == "gpt-test"


def test_a_model_that_nobody_lists_goes_to_the_first(all_three: All) -> None:
    with pytest.raises(openai.APIStatusError):
        all_three.sdk.chat.completions.create(model="gpt-nowhere", messages=HI)
    assert all_three.met() == (1, 0)


@pytest.mark.parametrize(
    ("model", "met"), [("gpt-test", 1), ("whisper-nowhere", 1), ("signed/e", 0), ("demo-large", 0)]
)
def test_an_endpoint_that_the_first_does_not_serve_goes_to_the_first_that_does(
    all_three: All, model: str, met: int
) -> None:
    assert all_three.sdk.embeddings.create(model=model, input="Hi").data
    assert all_three.met() == (0, met)


def test_a_prefix_that_cannot_serve_the_endpoint_is_told_what_to_set(all_three: All) -> None:
    with pytest.raises(openai.NotFoundError) as refusal:
        all_three.sdk.embeddings.create(model="codex/gpt-5.5", input="Hi")
    assert refusal.value.code == "endpoint_not_served"
    assert "'codex'" in str(refusal.value) and "OPENAI_API_KEY" in str(refusal.value)


def test_keys_and_accounts_are_counted_together(all_three: All) -> None:
    found = all_three.send("GET", "/v1/accTokens").json()
    assert found["count"] == found["canUseCount"] >= 2


def test_an_upstream_whose_catalogue_hangs_holds_nobody_up_for_long(second: str) -> None:
    with three(second, first_byte_timeout_s=0.3, idle_timeout_s=0.3) as found:
        found.backend.always(Never(), path=MODELS)
        begun = time.monotonic()
        assert "gpt-5.5" in {model.id for model in found.sdk.models.list()}
        assert found.sdk.chat.completions.create(model="gpt-5.5", messages=HI).choices
        assert time.monotonic() - begun < 1.5
        # Its models are not known, but its prefix is.
        assert found.sdk.chat.completions.create(model="openai/gpt-test", messages=HI).choices


def test_a_half_configured_upstream_is_told_when_it_is_met(second: str) -> None:
    with three(second, key_b="") as found:
        assert found.sdk.chat.completions.create(model="gpt-5.5", messages=HI).choices
        with pytest.raises(openai.InternalServerError, match="KEY_B"):
            found.sdk.chat.completions.create(model="signed/demo", messages=HI)


NEW = [
    *("/audio/speech", "/audio/transcriptions", "/audio/translations", "/embeddings", "/moderations", "/completions"),
    *("/images/generations", "/images/edits"),
]
BILLING = ["/dashboard/billing/subscription", "/dashboard/billing/usage"]


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("path", NEW + BILLING)
def test_methods_of_the_endpoints(all_three: All, prefix: str, path: str) -> None:
    own = "GET" if path in BILLING else "POST"
    options = all_three.send("OPTIONS", prefix + path)
    assert options.status_code == 200 and own in options.headers["allow"].split(", ")
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - {own}:
        answer = all_three.send(method, prefix + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
        assert own in answer.headers["allow"] and answer.headers["access-control-allow-origin"] == "*"
    head = all_three.send("HEAD", prefix + path)
    assert (head.status_code, head.content) == (200 if own == "GET" else 405, b"")
    preflight = all_three.http.options(
        all_three.url + prefix + path,
        headers={
            "origin": "https://a.example",
            "access-control-request-method": own,
            "access-control-request-headers": "x-stainless-os",
        },
    )
    assert preflight.status_code == 200 and preflight.headers["access-control-allow-headers"] == "x-stainless-os"
    anonymous = all_three.http.request(own, all_three.url + prefix + path)
    assert (anonymous.status_code, anonymous.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_billing_keeps_a_channel_alive(all_three: All, prefix: str) -> None:
    subscription = all_three.send("GET", f"{prefix}/dashboard/billing/subscription").json()
    assert subscription["object"] == "billing_subscription" and subscription["has_payment_method"] is True
    limits = ("soft_limit_usd", "hard_limit_usd", "system_hard_limit_usd")
    assert all(subscription[name] > 0 for name in limits) and subscription["access_until"] > time.time()
    usage = all_three.send("GET", f"{prefix}/dashboard/billing/usage?start_date=2026-01-01&end_date=2026-02-01")
    assert usage.status_code == 200 and usage.json()["total_usage"] == 0


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/v1/audio/speach", "/v1/audio/speech"),
        ("/v1/audio/transcription", "/v1/audio/transcriptions"),
        ("/v1/v1/embeddings", "/v1/embeddings"),
        ("/openai/v1/images/generations", "/v1/images/generations"),
        ("/v1/image/edit", "/v1/images/edits"),
        ("/v1/embeddings/embeddings", "/v1/embeddings"),
        ("/v1/dashboard/billing/subscriptions", "/v1/dashboard/billing/subscription"),
    ],
)
def test_unknown_paths_hint_at_the_nearest(all_three: All, asked: str, meant: str) -> None:
    answer = all_three.send("POST", asked, json={})
    assert answer.status_code == 404 and f"Did you mean {meant}?" in answer.json()["error"]["message"]


def test_variations_say_where_to_go(all_three: All) -> None:
    answer = all_three.send("POST", "/v1/images/variations", json={})
    assert answer.status_code == 404 and "/v1/images/edits" in answer.json()["error"]["message"]
