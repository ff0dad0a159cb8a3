"""One gateway for all hostile input: whatever was sent to it before, it goes on answering."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.asking import Asked
from tests.web.documented import demo


@pytest.fixture(scope="package")
def address() -> Iterator[tuple[str, int]]:
    with demo(log_level="WARNING") as found:
        yield "127.0.0.1", int(found.url.rpartition(":")[2])


@pytest.fixture
def gateway(address: tuple[str, int], capfd: pytest.CaptureFixture[str]) -> Iterator[Asked]:
    """Leaving it checks that the gateway is as well as before and reported no internal error."""
    asked = Asked(address)
    yield asked
    assert asked.send("GET", "/healthz").json() == {"status": "ok"}
    log = capfd.readouterr().err
    assert "request.failed" not in log and "Traceback" not in log and "stream.failed" not in log, log
