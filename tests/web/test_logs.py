from __future__ import annotations

import logging

import msgspec
import pytest

from lib.types import Trace
from lib.web.logs import LOGGER, configure, log_failure, log_problem, log_request


@pytest.fixture
def trace() -> Trace:
    return Trace(
        "req_1",
        100.0,
        method="POST",
        path="/v1/chat/completions",
        dialect="chat",
        caller="0a1b2c3d",
        model='gpt "x"\nrequest.done status=200',
        upstream="codex",
        accounts=["a1-3f9c2b", "a2-77aa01"],
        status=200,
        first_byte_at=100.41,
        input_tokens=3,
        output_tokens=5,
    )


def test_a_request_is_one_line_of_logfmt(trace: Trace, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "logfmt")
    log_request(trace, now=101.23456)
    assert capsys.readouterr().err == (
        "request.done request_id=req_1 method=POST path=/v1/chat/completions dialect=chat caller=0a1b2c3d "
        'model="gpt \\"x\\"\\nrequest.done status=200" upstream=codex accounts=a1-3f9c2b,a2-77aa01 attempts=2 '
        "status=200 ttfb_s=0.41 duration_s=1.2346 input_tokens=3 output_tokens=5\n"
    )


def test_a_request_is_one_line_of_json(trace: Trace, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json")
    trace.path = "/\udc80\u2028"
    log_request(trace, now=101.23456)
    [line] = capsys.readouterr().err.removesuffix("\n").split("\n")
    assert msgspec.json.decode(line) == {
        "event": "request.done",
        "level": "info",
        "request_id": "req_1",
        "method": "POST",
        "path": "/\\udc80\u2028",
        "dialect": "chat",
        "caller": "0a1b2c3d",
        "model": 'gpt "x"\nrequest.done status=200',
        "upstream": "codex",
        "accounts": "a1-3f9c2b,a2-77aa01",
        "attempts": 2,
        "status": 200,
        "ttfb_s": 0.41,
        "duration_s": 1.2346,
        "input_tokens": 3,
        "output_tokens": 5,
    }


@pytest.mark.parametrize("value", ["a b", "a=b", 'a"b', "a\\b", "", "é", "a\u2028b", "a\x00b", "\udc80"])
def test_no_value_leaves_its_quotes(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "logfmt")
    log_problem("X", value)
    line = capsys.readouterr().err
    prefix = 'settings.problem level=warning variable=X problem="'
    assert line.startswith(prefix)
    assert line.endswith('"\n')
    inner = line[len(prefix) : -2]
    assert inner.isascii()
    assert inner.isprintable()
    assert '"' not in inner.replace('\\"', "")


def test_long_values_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "logfmt")
    log_problem("X", "x" * 5000)
    assert len(capsys.readouterr().err) < 300


def test_a_failure_names_class_and_place_but_not_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "logfmt")
    try:
        raise KeyError("canary")
    except KeyError as error:
        log_failure("request.failed", error, request_id="r")
        LOGGER.exception("other.failed")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("request.failed level=error request_id=r error=KeyError at=tests/web/test_logs.py:")
    assert "error=KeyError" in second
    assert "canary" not in first + second


def test_the_level_holds_and_the_root_logger_stays_out_of_it(
    trace: Trace, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    configure("WARNING", "logfmt")
    log_request(trace, now=101.0)
    logging.getLogger("chat2api.pool").warning("pool.cooldown account=%s", "a1\nx")
    assert capsys.readouterr().err == "pool.cooldown account=a1\\nx level=warning\n"
    assert caplog.records == []
