"""The fault table over an upstream that speaks the OpenAI API: what it means there, forwarded and translated."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.fakes.openai_backend import CHAT, RESPONSES
from tests.journeys.compatible import KEYS, Start, compatible
from tests.journeys.fault_records import cases, due, met
from tests.journeys.fault_rows import Row, Then
from tests.journeys.fault_rows_openai import WAYS, has_meaning, rows_of
from tests.journeys.gateway import Host
from tests.journeys.secrets_kept import leaked
from tests.journeys.seen import ask

ALL_KEYS = (*KEYS, "sk-upstream-canary-three-60fe-JqXv")
PATHS = {"chat": CHAT, "responses": RESPONSES}
CASES = [
    pytest.param(dialect, wire, streamed, row, case, then, id=f"{dialect} over {wire}, {mode}: {row}: {case}")
    for dialect, wire in WAYS
    for streamed, mode in ((True, "streamed"), (False, "whole"))
    for row in rows_of(wire)
    if has_meaning(row, dialect, wire, streamed)
    for case, then in cases(row)
]


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(compatible(host, http, keys=ALL_KEYS, **settings))


@pytest.mark.parametrize(("dialect", "wire", "streamed", "row", "case", "then"), CASES)
def test_a_fault_ends_as_the_table_says(
    start: Start,
    record_property: Callable[..., None],
    dialect: str,
    wire: str,
    streamed: bool,
    row: Row,
    case: str,
    then: Then,
) -> None:
    gateway = start(openai_wire=wire, **row.settings_of(case))
    if case == "once":
        gateway.backend.script(row.upstream(), path=PATHS[wire])
    else:
        gateway.backend.always(row.upstream(), path=PATHS[wire])
    seen = ask(gateway, dialect, streamed)
    usable = gateway.send("GET", "/v1/accTokens").json()["canUseCount"]
    came = met("openai", row, case, seen, streamed, gateway.keys(), usable)
    assert came == due("openai", row, case, then, dialect, streamed), seen.raw[:2000]
    if then.code is None or (then.begun and streamed):
        assert seen.said == then.said
    else:
        assert seen.error is not None and then.tells in seen.error["message"]
        assert seen.headers.get("x-should-retry") == then.should_retry
    if then.retry_after is not None:
        assert int(seen.headers["retry-after"]) in then.retry_after
    assert not leaked(f"{seen.raw}{seen.headers}", gateway.secrets) and "marked-html" not in seen.raw
    record_property("fault", came)
