"""Keys with limits of their own, from the page that makes them to the client that meets their limits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from lib.scoped_keys import Limits, mint, narrow
from tests.fakes.openai_backend import MODELS, OpenAIBackend
from tests.fakes.openai_media import serve_media
from tests.journeys.compatible import KEYS, Compatible, compatible
from tests.journeys.gateway import KEY, Host

SECRET = "minting-secret-canary-0123456789-QwEr"
HI: Any = [{"role": "user", "content": "Hi"}]
EMBED = {"model": "gpt-5.5", "input": "Hi"}


@pytest.fixture(scope="module")
def gateway(host: Host, http: httpx.Client) -> Iterator[Compatible]:
    settings: Any = {"key_secret": SECRET, "revoked_keys": "lost-1", "openai_wire": "chat", "default_model": "gpt-5.5"}
    with OpenAIBackend(keys=KEYS[:1], models=("gpt-5.5", "o3")) as backend:
        serve_media(backend)
        with compatible(host, http, backend=backend, secrets=(SECRET,), **settings) as found:
            yield found


def key(id: str = "phone-1", **limits: Any) -> str:
    return mint(SECRET.encode(), id, Limits(**limits))


def sdk(gateway: Compatible, api_key: str) -> openai.OpenAI:
    return gateway.sdk(api_key=api_key)


@contextlib.contextmanager
def nothing_sent(gateway: Compatible) -> Iterator[None]:
    before = len(gateway.backend.requests)
    yield
    assert [each.path for each in gateway.backend.requests[before:] if each.path != MODELS] == []


def test_a_key_is_made_used_narrowed_and_refused(gateway: Compatible) -> None:
    body = {"models": ["gpt-5*"], "endpoints": ["chat", "responses"], "days": 1, "label": "phone"}
    made = gateway.send("POST", "/v1/keys", json=body).json()
    client = sdk(gateway, made["key"])
    assert client.chat.completions.create(model="gpt-5.5", messages=HI).choices[0].message.content
    assert list(client.chat.completions.create(model="gpt-5.5", messages=HI, stream=True))
    assert client.responses.create(model="gpt-5.5", input="Hi").output_text
    narrowed = sdk(gateway, narrow(made["key"], Limits(endpoints=("responses",))))
    assert narrowed.responses.create(model="gpt-5.5", input="Hi").output_text
    with nothing_sent(gateway), pytest.raises(openai.PermissionDeniedError) as caught:
        narrowed.chat.completions.create(model="gpt-5.5", messages=HI)
    assert caught.value.code == "key_not_allowed"
    assert made["id"] in gateway.log
    assert made["key"] not in gateway.log


@pytest.mark.parametrize("model", ["o3", "openai/o3", "gpt-4.1", "auto"])
def test_a_model_that_the_key_is_not_for_is_a_403_everywhere(gateway: Compatible, model: str) -> None:
    client = sdk(gateway, key(models=("gpt-4o*", "*-mini")))
    with nothing_sent(gateway):
        for call in (
            lambda: client.chat.completions.create(model=model, messages=HI),
            lambda: client.responses.create(model=model, input="Hi", stream=True),
            lambda: client.embeddings.create(model=model, input="Hi"),
            lambda: client.images.generate(model=model, prompt="a cat"),
        ):
            with pytest.raises(openai.PermissionDeniedError) as caught:
                call()
            assert (caught.value.code, caught.value.param) == ("key_not_allowed", "model")
        found = anthropic.Anthropic(api_key=key(models=("gpt-4o*",)), base_url=gateway.url, max_retries=0)
        with found, pytest.raises(anthropic.PermissionDeniedError):
            found.messages.create(model="claude-opus-4-8", max_tokens=10, messages=HI)


def test_the_default_model_is_what_a_request_without_one_is_for(gateway: Compatible) -> None:
    assert sdk(gateway, key(models=("gpt-5*",))).chat.completions.create(model="auto", messages=HI).choices
    assert gateway.sent["model"] == "gpt-5.5"


def test_no_second_model_gets_past_the_first_one(gateway: Compatible) -> None:
    limited = {"authorization": f"Bearer {key(models=('gpt-5*',))}"}
    raw = b'{"model":"o3","input":"Hi","model":"gpt-5.5"}'
    assert gateway.send("POST", "/v1/embeddings", content=raw, headers=limited).status_code == 200
    assert gateway.backend.requests[-1].body == b'{"model":"gpt-5.5","input":"Hi"}'
    with nothing_sent(gateway):
        reply = gateway.send("POST", "/v1/embeddings", json={**EMBED, "models": ["o3"]}, headers=limited)
        assert (reply.status_code, reply.json()["error"]["param"]) == (403, "models")
    raw = b'{"model":"o3","messages":[{"role":"user","content":"Hi"}],"models":["o3"],"model":"gpt-5.5"}'
    reply = gateway.send("POST", "/v1/chat/completions", content=raw, headers=limited)
    assert reply.status_code == 200
    assert "models" in reply.headers["x-gateway-ignored"]
    assert b"o3" not in gateway.backend.requests[-1].body


def test_a_key_sees_the_models_that_it_is_for(gateway: Compatible) -> None:
    every = [model.id for model in sdk(gateway, KEY).models.list()]
    seen = [model.id for model in sdk(gateway, key(models=(every[0],), endpoints=("chat",))).models.list()]
    assert (every, seen) == (["gpt-5.5", "o3"], ["gpt-5.5"])
    with pytest.raises(openai.NotFoundError):
        sdk(gateway, key(models=(every[0],))).models.retrieve(every[1])


def test_keys_that_do_not_hold_are_refused(gateway: Compatible) -> None:
    texts = [
        key("lost-1"),
        narrow(key("lost-1"), Limits(label="x")),
        key(expires_at=int(time.time()) - 61),
        key(not_before=int(time.time()) + 100),
        mint(b"x" * 40, "phone-1", Limits()),
        key()[:-2],
    ]
    with nothing_sent(gateway):
        for text in texts:
            with pytest.raises(openai.AuthenticationError):
                sdk(gateway, text).chat.completions.create(model="gpt-5.5", messages=HI)


def test_a_rate_is_minded_and_told(gateway: Compatible) -> None:
    client = sdk(gateway, key("slow-1", requests_per_minute=1))
    reply = client.chat.completions.with_raw_response.create(model="gpt-5.5", messages=HI, stream=True)
    assert reply.headers["x-ratelimit-remaining-requests"] == "0"
    assert reply.headers["x-gateway-ratelimit-scope"] == "instance"
    assert list(reply.parse())
    with nothing_sent(gateway), pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-5.5", messages=HI)
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60


def test_a_scoped_key_makes_no_keys_and_gets_a_setup(gateway: Compatible) -> None:
    headers = {"authorization": f"Bearer {key(endpoints=('*',))}"}
    assert gateway.send("POST", "/v1/keys", json={}, headers=headers).status_code == 403
    answer = gateway.send("GET", "/v1/setup?client=openai-python", headers=headers).json()
    [file] = answer["files"]
    assert f'base_url="{gateway.url}/v1"' in file["content"]


def test_the_configuration_works_as_it_is_written(gateway: Compatible) -> None:
    [file] = gateway.send("GET", "/v1/setup?client=openai-python").json()["files"]
    code = file["content"].replace("<your key>", key(models=("gpt-5*",)))
    before = len(gateway.backend.requests)
    with httpx.Client(trust_env=False) as http:
        exec(compile(code.replace("= OpenAI(", "= OpenAI(http_client=http, "), "example.py", "exec"), {"http": http})
    assert [each.path for each in gateway.backend.requests[before:] if each.path != MODELS] == ["/chat/completions"] * 2
