"""The fault table for pictures, through real sockets: ChatGPT accounts and an OpenAI-compatible upstream."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from tests.fakes.codex_answers import png
from tests.fakes.codex_backend import EDITS, GENERATIONS
from tests.fakes.codex_behaviours import Behaviour, Never, http_error
from tests.fakes.openai_images import serve_pictures
from tests.fakes.serving import wait_until
from tests.journeys.compatible import Compatible, compatible
from tests.journeys.fault_records import cases, due, met
from tests.journeys.fault_rows import Row, Then
from tests.journeys.fault_rows_images import PICTURE, SKETCH, UPSTREAMS, Pieces, has_meaning, rows_of
from tests.journeys.gateway import KEY, Gateway, Host, running
from tests.journeys.secrets_kept import leaked
from tests.journeys.seen import Seen, events_of
from tests.journeys.test_faults_openai import ALL_KEYS

PATHS = {"images-codex": (GENERATIONS, EDITS), "images-openai": ("/images/generations", "/images/edits")}
"""A streamed request asks for a picture, one that is not for an edit."""
KINDS = {"partial_image": SKETCH, "completed": PICTURE}
CASES = [
    pytest.param(upstream, streamed, row, case, then, id=f"{upstream}, {mode}: {row}: {case}")
    for upstream in UPSTREAMS
    for streamed, mode in ((True, "streamed"), (False, "whole"))
    for row in rows_of(upstream)
    if has_meaning(row, streamed)
    for case, then in cases(row)
]
Start = Callable[..., Gateway | Compatible]


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(upstream: str, **settings: Any) -> Gateway | Compatible:
            if upstream == "images-codex":
                return stack.enter_context(running(host, http, **settings))
            gateway = stack.enter_context(compatible(host, http, keys=ALL_KEYS, **settings))
            serve_pictures(gateway.backend)
            return gateway

        yield start


def asked(streamed: bool, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Path and body of a request."""
    if streamed:
        return "/v1/images/generations", {"prompt": "A cat", "stream": True, **fields}
    images = [{"image_url": f"data:image/png;base64,{png('a dog')}"}]
    return "/v1/images/edits", {"prompt": "A cat", "images": images, **fields}


def ask(gateway: Gateway | Compatible, streamed: bool, **fields: Any) -> Seen:
    """One request, read to its end. Asserts what holds of every answer."""
    path, body = asked(streamed, **fields)
    answer = gateway.send("POST", path, json=body)
    assert "x-request-id" in answer.headers
    if answer.status_code != 200 or not streamed:
        body = answer.json()
        error = body.get("error")
        assert answer.status_code == 200 or set(error) == {"message", "type", "param", "code"}
        said = " ".join(PICTURE for each in body.get("data", ()) if each["b64_json"])
        return Seen("images", answer.status_code, answer.headers, answer.text, said, "good" if said else None, error)
    events = events_of(answer)
    failed = events[-1]["type"] == "error"
    assert [event["type"] == "error" for event in events].count(True) == failed
    shown = [KINDS[event["type"].rpartition(".")[2]] for event in events if event["type"] != "error"]
    ending = "good" if not failed and shown[-1:] == [PICTURE] else None
    error = events[-1]["error"] if failed else None
    return Seen("images", 200, answer.headers, answer.text, " ".join(shown), ending, error)


def misbehave(gateway: Gateway | Compatible, upstream: str, case: str, behaviour: Behaviour) -> None:
    for path in PATHS[upstream]:
        (gateway.backend.script if case == "once" else gateway.backend.always)(behaviour, path=path)


def accounts(gateway: Gateway | Compatible) -> list[str | None]:
    """The account or key of each request for a picture."""
    if isinstance(gateway, Compatible):
        return list(gateway.keys())
    return [request.account for request in gateway.backend.requests]


@pytest.mark.parametrize(("upstream", "streamed", "row", "case", "then"), CASES)
def test_a_fault_ends_as_the_table_says(
    start: Start, record_property: Callable[..., None], upstream: str, streamed: bool, row: Row, case: str, then: Then
) -> None:
    gateway = start(upstream, **row.settings_of(case))
    misbehave(gateway, upstream, case, row.upstream())
    seen = ask(gateway, streamed)
    usable = gateway.send("GET", "/v1/accTokens").json()["canUseCount"]
    came = met(upstream, row, case, seen, streamed, accounts(gateway), usable)
    assert came == due(upstream, row, case, then, "images", streamed), seen.raw[:2000]
    begun = then.begun and streamed
    assert seen.said == (then.said if then.code is None or begun else "")
    if then.code is not None and not begun:
        assert seen.headers.get("x-should-retry") == then.should_retry
    if then.retry_after is not None:
        assert int(seen.headers["retry-after"]) in then.retry_after
    assert not any(mark in seen.raw + gateway.log for mark in ("marked-html", "marked-cookie"))
    assert not {"set-cookie", "x-secret"} & set(seen.headers)
    assert not leaked(f"{seen.raw}{seen.headers}", gateway.secrets)
    record_property("fault", came)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("behaviour", [Never(), Pieces([b'{"data":'], "silence")], ids=["headers", "body"])
def test_f35_the_client_leaves(start: Start, upstream: str, streamed: bool, behaviour: Behaviour) -> None:
    gateway = start(upstream)
    misbehave(gateway, upstream, "always", behaviour)
    path, fields = asked(streamed)
    body, url = msgspec.json.encode(fields), urlsplit(gateway.url)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port), timeout=5) as client:
        client.sendall(head.encode() + body)
        assert wait_until(lambda: accounts(gateway))
        time.sleep(0.05)
    assert gateway.backend.wait_closed(1)
    assert wait_until(lambda: "error=client_closed" in gateway.log)
    assert len(accounts(gateway)) == 1
    assert gateway.send("GET", "/v1/accTokens").json()["canUseCount"] == 3


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
def test_one_of_several_pictures_is_refused(start: Start, streamed: bool) -> None:
    """The others are let go of at once."""
    gateway = start("images-codex")
    blocked = {"error": {"message": "Blocked.", "type": "image_generation_user_error", "code": "moderation_blocked"}}
    for path in PATHS["images-codex"]:
        gateway.backend.script(Never(), http_error(400, blocked), path=path)
        gateway.backend.always(Never(), path=path)
    seen = ask(gateway, streamed, n=3)
    assert (seen.status, seen.code) == (400, "moderation_blocked")
    assert gateway.backend.wait_closed(1)
