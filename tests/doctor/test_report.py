from __future__ import annotations

import pytest

from lib.doctor.finding import Finding
from lib.doctor.report import as_html, as_json, as_text, from_json, is_ok, summary

GOOD = Finding("settings", "ok", "All fine.")
WARNED = Finding("keys", "warning", "Short.", "Make longer ones.")
BAD = Finding("streaming", "problem", "All at once: <b>\x1b[31m", "Stop it & stream.")


def test_only_a_problem_is_not_ok() -> None:
    assert is_ok([GOOD, WARNED, Finding("x", "unknown", "?")])
    assert not is_ok([GOOD, BAD])


def test_a_report_can_be_read_again() -> None:
    report = as_json([GOOD, WARNED, BAD])
    assert report["ok"] is False
    assert from_json(report) == [GOOD, WARNED, BAD]
    with pytest.raises(KeyError):
        from_json({"checks": [{"name": "x"}]})


def test_the_table_has_what_needs_attention_first_and_no_control_characters() -> None:
    text = as_text([GOOD, WARNED, BAD])
    lines = text.splitlines()
    assert lines[0].startswith("PROBLEM  streaming  All at once: <b>?[31m")
    assert lines[1].strip() == "→ Stop it & stream."
    assert lines[2].startswith("warning  keys") and lines[4].startswith("ok       settings")
    assert lines[-1] == "1 problem, 1 warning, 1 ok"
    assert max(map(len, lines)) <= 118
    assert "\x1b" not in text


def test_long_findings_are_wrapped_below_themselves() -> None:
    lines = as_text([Finding("x", "ok", "word " * 60, "advice " * 40)]).splitlines()
    assert max(map(len, lines)) <= 118
    assert all(line.startswith(" " * 12) for line in lines[1:-2])


def test_the_page_is_escaped() -> None:
    page = as_html([BAD]).decode()
    assert "&lt;b&gt;" in page and "<b>" not in page and "Stop it &amp; stream." in page
    assert "<script" not in page and "http" not in page


def test_nothing_checked_is_said() -> None:
    assert summary([]) == "nothing was checked"
    assert summary([WARNED, WARNED]) == "2 warnings"
