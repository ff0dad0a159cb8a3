"""One tiny request to each upstream, through the whole gateway. It costs quota, so it is made only when asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from lib.doctor.finding import Finding, duration
from lib.doctor.walk import App, Seen, ask
from lib.upstreams.codex import NAME as CODEX

_PATIENCE = "Ask again, or send a request yourself and look at the log."


async def live_findings(
    app: App, credential: Mapping[str, str], upstreams: Sequence[str], *, model: str | None
) -> Sequence[Finding]:
    """credential: of the caller, whose requests these are. model: the one that the deployment prefers."""
    listed = await ask(app, "GET", "/v1/models", credential)
    entries = listed.json()["data"] if listed.status == 200 else []
    return await asyncio.gather(*(_said(app, credential, name, entries, model) for name in upstreams))


async def _said(
    app: App, credential: Mapping[str, str], upstream: str, entries: Sequence[Mapping[str, Any]], model: str | None
) -> Finding:
    name = f"live {upstream}"
    own = [entry["id"] for entry in entries if entry["owned_by"] == upstream]
    if not own:
        return Finding(name, "unknown", "It lists no model that could be asked.", _PATIENCE)
    chosen = model if model in own else own[0]
    body: dict[str, Any] = {"model": chosen, "input": "hi", "store": False}
    if upstream == CODEX:  # others may have models that do not think, and refuse to be told how hard
        body["reasoning"] = {"effort": "low"}
    began = asyncio.get_running_loop().time()
    seen = await ask(app, "POST", "/v1/responses", credential, body)
    took = duration(asyncio.get_running_loop().time() - began)
    if seen.status != 200:
        return Finding(name, "problem", f"{chosen}: {_refusal(seen)}", _PATIENCE)
    usage = seen.json().get("usage") or {}
    return Finding(name, "ok", f"{chosen} answered in {took}, with {usage.get('output_tokens', 'no counted')} tokens.")


def _refusal(seen: Seen) -> str:
    error = seen.json()["error"]
    return f"{error['message']} ({error['code']}, {seen.status})"
