"""Every row of the fault table through real sockets."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.journeys.conftest import Start
from tests.journeys.fault_records import DIALECTS, cases, due, met
from tests.journeys.fault_rows import Row, Then
from tests.journeys.fault_rows_http import ROWS as HTTP_ROWS
from tests.journeys.fault_rows_streams import ROWS as STREAM_ROWS
from tests.journeys.gateway import TOKENS, Gateway
from tests.journeys.secrets_kept import leaked
from tests.journeys.seen import Seen, ask

ROWS = (*HTTP_ROWS, *STREAM_ROWS)
CASES = [pytest.param(row, case, then, id=f"{row}: {case}") for row in ROWS for case, then in cases(row)]
MARKS = ("marked-html", "marked-cookie")
REPLY_HEADERS = {
    *("date", "server", "content-type", "content-length", "transfer-encoding", "x-request-id", "x-should-retry"),
    *("retry-after", "openai-processing-ms", "access-control-allow-origin", "access-control-expose-headers"),
    *("x-gateway-upstream", "x-gateway-account", "x-gateway-attempts", "x-gateway-ttfb-ms", "server-timing"),
    *("cache-control", "x-accel-buffering", "x-gateway-ignored", "request-id"),
}


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("row", "case", "then"), CASES)
def test_a_fault_ends_as_the_table_says(
    start: Start, record_property: Callable[..., None], row: Row, case: str, then: Then, dialect: str, streamed: bool
) -> None:
    gateway = start(**row.settings_of(case))
    if case == "once":
        gateway.backend.script(row.upstream())
    else:
        gateway.backend.always(row.upstream())
    seen = ask(gateway, dialect, streamed)
    line = gateway.last_line("/v1/")
    came = met("codex", row, case, seen, streamed, line["accounts"].split(","), gateway.usable())
    assert came == due("codex", row, case, then, dialect, streamed), seen.raw[:2000]
    assert line.get("error") == then.code
    _check_client(seen, then, streamed)
    _check_pool(gateway, then, dialect)
    assert not any(mark in seen.raw + gateway.log for mark in MARKS)
    assert set(seen.headers) <= REPLY_HEADERS
    assert not leaked(f"{seen.raw}{seen.headers}", gateway.secrets)
    record_property("fault", came)


@pytest.mark.parametrize(
    ("row", "then"), [pytest.param(row, row.always, id=str(row)) for row in ROWS if row.always and row.always.code]
)
def test_one_account_alone_tells_the_same(start: Start, row: Row, then: Then) -> None:
    """That no other account is left is no news to somebody who has one."""
    gateway = start(**row.settings_of("always"), chatgpt_access_tokens=TOKENS[0])
    gateway.backend.always(row.upstream())
    seen = ask(gateway, "responses", False)
    assert (seen.code, seen.status) == (then.code, then.status)
    assert gateway.usable() == (1 if then.usable else 0)


def test_every_fault_has_a_name_of_its_own() -> None:
    names = [str(row) for row in ROWS]
    assert len(names) == len(set(names))


def _check_client(seen: Seen, then: Then, streamed: bool) -> None:
    if then.code is None:
        assert seen.said == then.shown.get(seen.dialect, "") + then.said
        return
    began = then.begun and streamed
    assert seen.error is not None and then.tells in seen.error["message"]
    assert seen.said == (then.said if began else "")
    if not began:
        assert seen.headers.get("x-should-retry") == then.should_retry
        _check_wait(seen.headers.get("retry-after"), then.retry_after)


def _check_wait(header: str | None, wanted: range | None) -> None:
    assert (header is None) == (wanted is None), header
    assert wanted is None or int(header or 0) in wanted


def _check_pool(gateway: Gateway, then: Then, dialect: str) -> None:
    """The log tells the attempts that there were, and the next request goes where the pool's memory leads."""
    assert len(gateway.accounts()) == len(then.accounts)
    if then.usable:
        gateway.backend.recover()
        ask(gateway, dialect, False)  # the same conversation
        goes_back = gateway.accounts()[len(then.accounts)] == gateway.accounts()[0]
        assert goes_back == (then.usable == 3)
