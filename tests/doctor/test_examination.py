"""The checks of one deployment together: bounded, in order, and without a word to anybody who was not to be asked."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from lib.doctor.configuration import Platform
from lib.doctor.examination import Doctor, Visit
from lib.doctor.finding import Finding
from lib.doctor.own_address import Address
from lib.doctor.upstreams import Answering
from lib.settings import Settings
from lib.wired_upstreams import Upstreams

NOWHERE = Address("http://127.0.0.1:1", True, None, {"authorization": "Bearer sk-canary"})


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """An application that never answers."""
    await asyncio.sleep(60)


async def broken(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("canary")


def examined(app: Any, *, deadline_in_s: float | None = None, is_live: bool = False, **given: Any) -> list[Finding]:
    async def main() -> list[Finding]:
        settings = Settings(**{"_env_file": None, "auth_tokens": "sk-0123456789abcdef", **given})
        upstreams = Upstreams(settings, time.time)
        answering = Answering(
            upstreams.targets(), upstreams.pools, upstreams.codex_api, upstreams.chatgpt.see, time.time
        )
        doctor = Doctor(
            settings,
            answering,
            upstreams.store,
            host=lambda: None,
            platform=Platform("server", 1000, 1000),
            demo_app=lambda key: app,
        )
        deadline_at = None if deadline_in_s is None else time.time() + deadline_in_s
        try:
            return await doctor.examine(Visit(NOWHERE, app, deadline_at, is_live))
        finally:
            await upstreams.aclose()

    return asyncio.run(main())


def test_it_is_over_before_the_deadline() -> None:
    began = time.monotonic()
    found = examined(silent, deadline_in_s=1.2)
    assert time.monotonic() - began < 2
    assert ("clients", "unknown") in [(each.name, each.status) for each in found]


@pytest.mark.parametrize("is_live", [True, False])
def test_what_breaks_is_told_and_the_rest_goes_on(is_live: bool) -> None:
    found = examined(broken, is_live=is_live, chatgpt_access_tokens="at-canary", chatgpt_base_url="http://127.0.0.1:1")
    named = {each.name: each.status for each in found}
    assert named["settings"] == "ok" and named["clients"] == "unknown" and named["clock"] == "unknown"
    assert ("live" in named) is is_live
    assert [each.name for each in found][-1] == "clock"
    assert "canary" not in str(found)
