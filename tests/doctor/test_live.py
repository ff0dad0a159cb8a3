from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from lib.doctor.finding import Finding
from lib.doctor.live import live_findings

CREDENTIAL = {"authorization": "Bearer sk-canary"}


class Scripted:
    """An application with two upstreams; `statuses` of the models that do not answer well."""

    def __init__(self, statuses: Mapping[str, int] | None = None, *, listing: int = 200) -> None:
        self.statuses = statuses or {}
        self.listing = listing
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (b"authorization", b"Bearer sk-canary") in scope["headers"]
        owners = {"gpt-x": "codex", "gpt-y": "codex", "other": "openai"}
        status, answer = self.listing, {"data": [{"id": name, "owned_by": owner} for name, owner in owners.items()]}
        if scope["path"] == "/v1/responses":
            body = msgspec.json.decode((await receive())["body"])
            self.bodies.append(body)
            status, answer = self.statuses.get(body["model"], 200), {"usage": {"output_tokens": 7}}  # type: ignore[dict-item]
        if status != 200:
            answer = {"error": {"message": "No.", "code": "spent"}}  # type: ignore[dict-item]
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": msgspec.json.encode(answer)})

    def found(self, *upstreams: str, model: str | None = None) -> list[Finding]:
        return list(asyncio.run(live_findings(self, CREDENTIAL, upstreams, model=model)))


def test_each_upstream_is_asked_once_for_little() -> None:
    app = Scripted()
    assert [(each.name, each.status) for each in app.found("codex", "openai")] == [
        ("live codex", "ok"),
        ("live openai", "ok"),
    ]
    codex, other = app.bodies
    assert (codex["model"], codex["reasoning"]) == ("gpt-x", {"effort": "low"})
    assert other["model"] == "other" and "reasoning" not in other


def test_the_preferred_model_is_asked_where_it_is_listed() -> None:
    app = Scripted()
    app.found("codex", "openai", model="gpt-y")
    assert [body["model"] for body in app.bodies] == ["gpt-y", "other"]


def test_failures_are_problems_and_no_model_is_no_verdict() -> None:
    [found] = Scripted({"gpt-x": 429}).found("codex")
    assert (found.status, "No. (spent, 429)" in found.found) == ("problem", True)
    assert Scripted().found("signed")[0].status == "unknown"
    assert Scripted(listing=401).found("codex")[0].status == "unknown"
