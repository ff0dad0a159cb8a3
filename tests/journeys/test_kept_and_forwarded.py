"""Kept responses in front of an upstream that could keep them itself, for all who use its key."""

from __future__ import annotations

import httpx
import openai
import pytest

from tests.fakes.redis_server import redis_server
from tests.journeys.compatible import compatible
from tests.journeys.gateway import KEY, Host

OTHER_KEY = "sk-other-gateway-canary-9876543210"


def test_with_a_store_the_gateway_keeps_them_and_only_for_their_own_caller(host: Host, http: httpx.Client) -> None:
    with (
        redis_server() as redis,
        compatible(
            host, http, openai_wire="responses", state_url=redis.url, auth_tokens=f"{KEY},{OTHER_KEY}"
        ) as gateway,
    ):
        made = gateway.sdk().responses.create(model="gpt-test", input="Hi")
        assert gateway.sdk().responses.retrieve(made.id).output_text == made.output_text
        again = gateway.sdk().responses.create(model="gpt-test", input="And?", previous_response_id=made.id)
        assert again.previous_response_id == made.id
        assert "previous_response_id" not in gateway.sent or gateway.sent["previous_response_id"] is None
        with pytest.raises(openai.BadRequestError, match="not found"):
            gateway.sdk(api_key=OTHER_KEY).responses.create(model="gpt-test", input="?", previous_response_id=made.id)


def test_what_is_not_to_be_kept_goes_there_as_it_is(host: Host, http: httpx.Client) -> None:
    with redis_server() as redis, compatible(host, http, openai_wire="responses", state_url=redis.url) as gateway:
        gateway.sdk().responses.create(model="gpt-test", input="Hi", store=False)
        assert gateway.sent == {"input": "Hi", "model": "gpt-test", "store": False}
