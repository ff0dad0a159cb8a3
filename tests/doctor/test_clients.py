"""What clients call, asked of a real gateway on the demo upstream."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import SecretStr

from lib.doctor.clients import CLIENTS
from lib.doctor.walk import App, walk
from lib.settings import Settings
from lib.web.app import create_app

KEY = "sk-walk-0123456789abcdef"


def demo(**settings: Any) -> App:
    return create_app(Settings.model_construct(auth_tokens=(SecretStr(KEY),), log_level="ERROR", **settings))


def test_a_sound_gateway_serves_every_client() -> None:
    found = asyncio.run(walk(demo(), KEY, CLIENTS))
    assert [each for each in found if each.status != "ok"] == []
    assert [each.name.removeprefix("client ") for each in found] == list(CLIENTS)


def test_a_key_that_is_not_taken_is_seen_by_every_client() -> None:
    found = asyncio.run(walk(demo(), "sk-other", CLIENTS))
    assert {each.status for each in found} == {"problem"}
