"""The bench works: tiny loads on its own controls and on the gateway, with real processes. The figures mean nothing."""

from __future__ import annotations

import dataclasses

import pytest

from bench import answers, loads
from bench.client import Load
from bench.processes import GATEWAY, RELAY_RAW_CHAT, RELAY_TRANSLATING, BenchError, serving, upstream
from bench.report import Aim, Metric, Samples

TINY = dataclasses.replace(
    loads.QUICK,
    first_requests=3,
    paced_s=0.2,
    paced_streams=4,
    full_tokens=500,
    full_streams=4,
    full_repeat=1,
    whole_s=0.1,
    whole_connections=2,
)


def test_streams_are_measured_through_controls_and_gateway() -> None:
    samples = Samples()

    loads.stream(samples, TINY, (RELAY_TRANSLATING, GATEWAY))

    figures = {entry["metric"]: entry for entry in samples.document()}
    assert all(figure > 0 for figure in figures[loads.PACED_CPU.name]["targets"]["gateway"]["rounds"])
    assert len(figures[loads.FULL_SPEED.name]["ratios"]) == 1


def test_forwarded_streams_are_measured_through_their_control() -> None:
    samples = Samples()

    loads.forward(samples, TINY, (RELAY_RAW_CHAT,))

    figures = {entry["metric"]: entry for entry in samples.document()}
    assert figures[loads.FORWARD_SPEED.name]["targets"]["relay-raw"]["rounds"][0] > 0


def test_whole_answers_are_measured() -> None:
    samples = Samples()

    loads.whole(samples, TINY, (GATEWAY,))

    assert samples.verdict(loads.WHOLE) is not None


def test_a_wrong_answer_spoils_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    with upstream() as backend, pytest.raises(BenchError, match="2 of 2 answers were wrong"):
        loads.measure(Load("streams", backend.port, backend.pid, path="/nowhere", streams=2))

    assert "status 404" in capfd.readouterr().err


def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(BenchError, match="nowhere"), serving(dataclasses.replace(GATEWAY, app="nowhere:app"), 9):
        pass


def test_a_lost_delta_shows_in_the_text() -> None:
    made = answers.answer(20)

    assert answers.read_text(b"".join((made.preamble, *made.deltas, made.ending))) == answers.text(20)
    assert answers.read_text(b"".join((made.preamble, *made.deltas[1:], made.ending))) != answers.text(20)


def test_both_wires_carry_the_same_text() -> None:
    made = answers.chat_answer(20)

    assert answers.read_text(b"".join((made.preamble, *made.deltas, made.ending))) == answers.text(20)


def test_a_stream_without_its_ending_is_no_answer() -> None:
    made = answers.answer(20)

    with pytest.raises(ValueError, match="no good ending"):
        answers.read_text(b"".join((made.preamble, *made.deltas)))


def test_ratios_pair_the_rounds_of_gateway_and_control() -> None:
    samples = Samples()
    metric = Metric("time", "s", "control", aim=Aim(at_most=1.5, ratio=True))
    for control, ours in ((1.0, 1.2), (10.0, 14.0), (2.0, 4.0)):
        samples.add(metric, "control", control)
        samples.add(metric, "gateway", ours)

    assert samples.ratios(metric) == [1.2, 1.4, 2.0]
    assert samples.verdict(metric) == (1.4, True)
    assert "1.40 (1.20 to 2.00) | ≤ 1.5 × control | met" in samples.table()
