"""Findings for programs, for terminals and for browsers."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from lib.doctor.finding import Finding

_WIDTH = 118
_MARKS = {"ok": "ok", "warning": "warning", "problem": "PROBLEM", "unknown": "unknown"}
_ORDER = ("problem", "warning", "unknown", "ok")

STYLE = (
    "body{font:1em/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color-scheme:light dark}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.4em .6em;"
    "border-top:1px solid #8886}td:nth-child(2){white-space:nowrap}"
    "tr.problem td:first-child{color:#c22;font-weight:600}"
    "tr.warning td:first-child{color:#b70;font-weight:600}tr.unknown td:first-child{color:#888}"
    "tr.ok td:first-child{color:#2a2}p.advice{margin:.2em 0 0;font-style:italic}"
)


def is_ok(findings: Sequence[Finding]) -> bool:
    """Whether there is no problem; warnings and what could not be told are none."""
    return all(finding.status != "problem" for finding in findings)


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """`{"object": "gateway.doctor", "ok", "checks": [{"name", "status", "found", "advice"}]}`."""
    checks = [
        {"name": each.name, "status": each.status, "found": each.found, "advice": each.advice} for each in findings
    ]
    return {"object": "gateway.doctor", "ok": is_ok(findings), "checks": checks}


def from_json(report: Mapping[str, Any]) -> list[Finding]:
    """The findings of a report. Raises KeyError, TypeError for what is none."""
    return [Finding(each["name"], each["status"], each["found"], each["advice"]) for each in report["checks"]]


def as_text(findings: Sequence[Finding]) -> str:
    """A table for a terminal; what needs attention stands first."""
    names = max((len(each.name) for each in findings), default=0)
    lines = []
    for each in _sorted(findings):
        head = f"{_MARKS[each.status]:8} {each.name:{names}}  "
        body = textwrap.wrap(_plain(each.found), _WIDTH - len(head)) or [""]
        body += [f"→ {line}" if not place else f"  {line}" for place, line in enumerate(_advice(each, len(head)))]
        lines += [(head if not place else " " * len(head)) + line for place, line in enumerate(body)]
    return "\n".join([*lines, "", summary(findings), ""])


def as_html(findings: Sequence[Finding]) -> bytes:
    """A page without script, with all that it needs in it; its style is STYLE."""
    rows = "".join(
        f'<tr class="{each.status}"><td>{_MARKS[each.status]}</td><td>{html.escape(each.name)}</td>'
        f"<td>{html.escape(each.found)}{_advice_html(each)}</td></tr>\n"
        for each in _sorted(findings)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<title>chat2api: self-check</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>Self-check</h1>\n<p>{html.escape(summary(findings))}</p>\n"
        f"<table>\n<tr><th>Result</th><th>Check</th><th>Found</th></tr>\n{rows}</table>\n</body>\n</html>\n"
    ).encode("utf-8", "replace")


def summary(findings: Sequence[Finding]) -> str:
    """One line: `1 problem, 2 warnings, 14 ok`."""
    counts = {status: sum(each.status == status for each in findings) for status in _ORDER}
    words = {"problem": "problem", "warning": "warning"}
    parts = []
    for status, count in counts.items():
        if count:
            word = words.get(status, status)
            parts.append(f"{count} {word}{'s' if count > 1 and status in words else ''}")
    return ", ".join(parts) or "nothing was checked"


def _sorted(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda each: _ORDER.index(each.status))


def _advice(each: Finding, indent: int) -> list[str]:
    return textwrap.wrap(_plain(each.advice), _WIDTH - indent - 2)


def _advice_html(each: Finding) -> str:
    return f'<p class="advice">{html.escape(each.advice)}</p>' if each.advice else ""


def _plain(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)
