"""The soak works: a short one, and the judgement of answers."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from bench.soak import Report, Tally, run
from bench.soak_requests import Request, traffic
from bench.soak_upstream import CUT, HIDDEN

GOOD = b'data: {"choices":[{"delta":{"content":"soak:nothing:1"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
BROKEN = b'data: {"choices":[]}\n\ndata: {"error":{"code":"upstream_truncated"}}\n\ndata: [DONE]\n\n'


def test_a_short_soak_finds_nothing() -> None:
    report = run(5, 12)
    assert report.failures == 0, report.kinds
    assert (report.leaked_requests, report.leaked_tasks, report.leaked_files) == (0, 0, 0)
    assert report.requests > 50


def test_the_traffic_is_mixed_and_its_numbers_are_its_own() -> None:
    drawn = [request for seed in range(20) for request in itertools.islice(traffic(seed), 100)]
    assert len({request.number for request in drawn}) == len(drawn)
    assert {request.dialect for request in drawn} == {"chat", "responses", "messages", "embeddings"}
    assert {request.meets for request in drawn} >= {CUT, *HIDDEN["codex"], *HIDDEN["openai"]}
    assert any(request.leaves for request in drawn) and any(request.uses_tools for request in drawn)
    for request in drawn[:100]:
        assert request.marker in request.body().decode()


@pytest.mark.parametrize(
    ("meets", "status", "body", "wrong"),
    [
        ("nothing", 200, GOOD, None),
        ("nothing", 502, GOOD, "status 502"),
        ("nothing", 200, GOOD[:-14], "no good end"),
        ("nothing", 200, GOOD.replace(b":1", b":2"), "not the answer to this request"),
        ("nothing", 200, BROKEN + GOOD, "a failure in the stream"),
        (CUT, 200, BROKEN, None),
        (CUT, 200, GOOD, "status 200, and no word of the break"),
        (CUT, 200, GOOD + BROKEN, "a good end after a break"),
    ],
)
def test_an_answer_is_judged(meets: str, status: int, body: bytes, wrong: str | None) -> None:
    assert Request(1, "chat", "codex", streamed=True, meets=meets).wrong(status, body) == wrong


def test_failures_leaks_and_growth_fail_a_soak() -> None:
    tally = Tally()
    tally.note(Request(1, "chat", "codex", streamed=True), "status 502")
    assert tally.kinds == {"chat over codex, streamed, nothing: status 502": 1}
    clean = Report(1, 1, 1, 0, {}, 0, 0, 0, 0, 0.01, 50.0)
    assert clean.passed and "passed" in clean.text()
    for changed in (
        {"failures": 1},
        {"leaked_tasks": 1},
        {"leaked_files": 1},
        {"leaked_requests": 1},
        {"growth": 0.06},
    ):
        assert not msgspec.structs.replace(clean, **changed).passed
