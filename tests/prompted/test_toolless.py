"""An upstream whose tools are switched off."""

from __future__ import annotations

import asyncio

import pytest

from lib.canonical.request import CanonicalRequest
from lib.errors import InvalidRequest
from lib.prompted.toolless import ToollessUpstream
from lib.types import Lease
from tests.fakes.scripted import ScriptedUpstream, good

LEASE = Lease("a1", "scripted", {})


def test_tools_are_refused_and_all_else_goes_on() -> None:
    inner = ScriptedUpstream(good())
    upstream = ToollessUpstream(inner)
    tools = [{"type": "function", "name": "f"}]
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(upstream.open(CanonicalRequest(model="m", input=[], tools=tools), LEASE, timeout_s=1))
    assert caught.value.param == "tools" and not inner.requests
    asyncio.run(upstream.open(CanonicalRequest(model="m", input=[]), LEASE, timeout_s=1))
    assert len(inner.requests) == 1 and len(asyncio.run(upstream.models(LEASE))) == 3


def test_a_flag_is_refused_by_its_name() -> None:
    asked = CanonicalRequest(
        model="m", input=[], tools=[{"type": "web_search"}], asked={"tools": "function_web_search"}
    )
    with pytest.raises(InvalidRequest, match="function_web_search") as caught:
        asyncio.run(ToollessUpstream(ScriptedUpstream(good())).open(asked, LEASE, timeout_s=1))
    assert caught.value.param == "function_web_search"
