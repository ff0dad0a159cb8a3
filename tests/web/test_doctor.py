"""The endpoints of the self-check: who may ask, what is looked at, and the three forms of the answer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lib import signing
from lib.doctor.examination import Visit
from lib.doctor.finding import Finding
from lib.doctor.own_address import PAUSE_S, PIECES
from lib.web.auth import Authenticator
from lib.web.doctor import DoctorApi
from lib.web.gate import Gate
from lib.web.inlined import source_hash
from lib.web.paths import Table
from tests.fakes.serving import serving
from tests.web.scripted import AUTHORIZED, KEY, PREFIX, TOKEN, HttpReply, ask

PAIR = ("sender", "0123456789abcdef")
FOUND = [Finding("settings", "ok", "Fine."), Finding("streaming", "problem", "<b>", "Stop it.")]


@dataclass
class Deployment:
    address: tuple[str, int]
    visits: list[Visit] = field(default_factory=list)

    def get(self, path: str, headers: dict[str, str] | None = None) -> HttpReply:
        return ask(self.address, "GET", path, AUTHORIZED if headers is None else headers)

    async def examine(self, visit: Visit) -> list[Finding]:
        self.visits.append(visit)
        return FOUND


def serve(**options: Any) -> Iterator[Deployment]:
    found = Deployment(("", 0))
    auth = Authenticator([KEY], [PREFIX], pairs=[PAIR])
    api = DoctorApi(lambda: found, auth, app=lambda: gate, max_request_bytes=1234, **options)
    gate = Gate(Table(api.endpoints()), now=time.time)
    with serving(gate, access_log=False) as url:
        found.address = ("127.0.0.1", int(url.rpartition(":")[2]))
        yield found


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    yield from serve()


@pytest.fixture(scope="module")
def behind() -> Iterator[Deployment]:
    yield from serve(public_url="https://gateway.example/v1/", behind_platform=True)


def signed() -> dict[str, str]:
    date = str(int(time.time()))
    message = signing.string_to_sign("GET", "/v1/doctor", date, hashlib.sha256(b"").hexdigest())
    credential = signing.Credential(PAIR[0], signing.sign(PAIR[1].encode(), message))
    return {"x-date": date, "authorization": f"Bearer {signing.encode(credential)}"}


def test_only_a_local_key_may_ask(deployment: Deployment) -> None:
    for path in ("/v1/doctor", "/v1/doctor/stream"):
        before = len(deployment.visits)
        assert deployment.get(path, {}).status == 401
        passthrough = deployment.get(path, {"authorization": f"Bearer {PREFIX}{TOKEN}"})
        assert (passthrough.status, passthrough.error["code"]) == (403, "local_key_required")
        assert len(deployment.visits) == before
    assert deployment.get("/v1/doctor", signed()).status == 403


def test_the_answer_is_json_unless_something_else_is_asked_for(deployment: Deployment) -> None:
    for headers in ({}, {"accept": "*/*"}, {"accept": "text/html, application/json"}):
        reply = deployment.get("/doctor", {**AUTHORIZED, **headers})
        assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
        assert reply.json() == {
            "object": "gateway.doctor",
            "ok": False,
            "checks": [
                {"name": "settings", "status": "ok", "found": "Fine.", "advice": ""},
                {"name": "streaming", "status": "problem", "found": "<b>", "advice": "Stop it."},
            ],
            "max_request_bytes": 1234,
        }


def test_a_terminal_gets_a_table(deployment: Deployment) -> None:
    for path, accept in (("/v1/doctor", "text/plain"), ("/v1/doctor?format=text", "*/*")):
        reply = deployment.get(path, {**AUTHORIZED, "accept": accept})
        assert reply.headers["content-type"] == "text/plain; charset=utf-8"
        assert reply.body.startswith(b"PROBLEM  streaming  <b>")


def test_a_browser_gets_a_page_that_may_do_nothing(deployment: Deployment) -> None:
    reply = deployment.get("/v1/doctor", {**AUTHORIZED, "accept": "text/html,application/xhtml+xml"})
    page = reply.body.decode()
    style = page.partition("<style>")[2].partition("</style>")[0]
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'") and source_hash(style).lower() in policy
    assert "script-src" not in policy and "&lt;b&gt;" in page


@pytest.mark.parametrize("query", ["live=2", "live=", "format=xml"])
def test_parameters_are_checked(deployment: Deployment, query: str) -> None:
    reply = deployment.get(f"/v1/doctor?{query}")
    assert (reply.status, reply.error["code"]) == (400, "invalid_value")


def test_quota_is_spent_only_when_that_is_asked_for(deployment: Deployment) -> None:
    for query, is_live in (("", False), ("?live=0", False), ("?live=1", True)):
        deployment.get(f"/v1/doctor{query}")
        assert deployment.visits[-1].is_live is is_live


def test_the_address_is_the_requests_own_with_the_socket_behind_it(deployment: Deployment) -> None:
    deployment.get("/v1/doctor")
    address = deployment.visits[-1].address
    assert (address.base_url, address.is_configured) == ("http://gateway", False)
    assert address.listens_on == deployment.address
    assert address.credential == {"authorization": f"Bearer {KEY}"}
    assert KEY not in repr(deployment.visits[-1])


def test_a_public_url_wins_and_behind_a_platform_no_socket_counts(behind: Deployment) -> None:
    behind.get("/v1/doctor", {"x-api-key": KEY})
    address = behind.visits[-1].address
    assert (address.base_url, address.is_configured, address.listens_on) == ("https://gateway.example", True, None)
    assert address.credential == {"x-api-key": KEY}


def test_a_scheme_that_is_none_is_not_believed(deployment: Deployment) -> None:
    reply = deployment.get("/v1/doctor", {**AUTHORIZED, "x-forwarded-proto": "gopher"})
    assert reply.status == 200 and deployment.visits[-1].address.base_url.startswith("http://")


def test_the_stream_takes_its_time(deployment: Deployment) -> None:
    began = time.monotonic()
    reply = deployment.get("/v1/doctor/stream")
    assert time.monotonic() - began > (PIECES - 1) * PAUSE_S * 0.9
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.body.count(b"\n\n") == PIECES
