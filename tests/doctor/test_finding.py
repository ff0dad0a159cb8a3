from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from lib.doctor.finding import Check, Finding, duration, examine, size
from lib.web.logs import configure


def saying(*names: str, after_s: float = 0) -> Check:
    async def check() -> Sequence[Finding]:
        await asyncio.sleep(after_s)
        return [Finding(name, "ok", "") for name in names]

    return check


def test_checks_run_side_by_side_and_keep_their_order() -> None:
    async def main() -> tuple[list[Finding], float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        found = await examine({"a": saying("a1", "a2", after_s=0.1), "b": saying("b", after_s=0.1)})
        return found, loop.time() - began

    found, took_s = asyncio.run(main())
    assert [each.name for each in found] == ["a1", "a2", "b"]
    assert took_s < 0.19


def test_a_slow_check_is_unknown_and_takes_no_longer() -> None:
    [slow, quick] = asyncio.run(examine({"slow": saying("x", after_s=5), "quick": saying("y")}, limit_s=0.05))
    assert (slow.name, slow.status) == ("slow", "unknown")
    assert quick.name == "y"


def test_a_broken_check_is_a_finding_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken() -> Sequence[Finding]:
        raise KeyError("canary")

    configure("INFO", "logfmt")
    [found] = asyncio.run(examine({"broken": broken}))
    log = capsys.readouterr().err
    assert (found.status, "KeyError" in found.found) == ("unknown", True)
    assert log.startswith("doctor.failed level=error check=broken error=KeyError") or "check=broken" in log
    assert "canary" not in log + found.found


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.012, "12 ms"), (3.44, "3.4 s"), (300, "5 minutes"), (18_000, "5 hours"), (864_000, "10 days")],
)
def test_durations_are_for_people(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_sizes_are_for_people() -> None:
    assert (size(4_400_000), size(900)) == ("4.4 MB", "900 bytes")
