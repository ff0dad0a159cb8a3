from __future__ import annotations

from lib.types import Trace
from lib.web.provenance import EXPOSED, provenance


def told(trace: Trace, now: float = 101.5) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in provenance(trace, now)}


def traced(**fields: object) -> Trace:
    given = {"upstream": "codex", "accounts": ["a1-3f9c2b", "a2-77aa01"], "asked_at": 100.25, "first_byte_at": 100.5}
    return Trace("r", 100.0, **{**given, **fields})  # type: ignore[arg-type]


def test_an_answer_says_where_it_comes_from_and_how_long_it_took() -> None:
    assert told(traced()) == {
        "x-gateway-upstream": "codex",
        "x-gateway-account": "a2-77aa01",
        "x-gateway-attempts": "2",
        "x-gateway-ttfb-ms": "500",
        "server-timing": "gateway;dur=250, upstream;desc=codex;dur=250, total;dur=1500",
    }


def test_what_is_not_known_yet_is_left_out() -> None:
    found = told(traced(first_byte_at=None))
    assert "x-gateway-ttfb-ms" not in found
    assert found["server-timing"].endswith("dur=1250, total;dur=1500")
    early = told(traced(first_byte_at=None, asked_at=None, accounts=[]))
    assert early == {"x-gateway-upstream": "codex", "server-timing": "total;dur=1500"}


def test_an_answer_without_an_upstream_says_nothing() -> None:
    assert provenance(Trace("r", 100.0), 101.0) == []


def test_a_clock_that_was_set_back_makes_no_negative_times() -> None:
    assert "-" not in told(traced(), now=50.0)["server-timing"]


def test_every_header_is_named_for_browsers() -> None:
    assert set(EXPOSED.decode().split(", ")) == set(told(traced()))
