"""Writes docs/faults.md from what the tests of the fault table see: `python -m tools.fault_table`.

The tests are run, and each of them says what came of its fault. Nothing is written when one of them fails.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.fault_elsewhere import ELSEWHERE
from tests.journeys.fault_records import DIALECTS, Met, cases, due
from tests.journeys.fault_rows_http import ROWS as HTTP_ROWS
from tests.journeys.fault_rows_images import UPSTREAMS as IMAGES
from tests.journeys.fault_rows_images import has_meaning as has_meaning_for_pictures
from tests.journeys.fault_rows_images import rows_of as rows_of_pictures
from tests.journeys.fault_rows_openai import WAYS, has_meaning, rows_of
from tests.journeys.fault_rows_streams import ROWS as STREAM_ROWS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "faults.md"

_TESTS = tuple(f"tests/journeys/test_faults{kind}.py" for kind in ("", "_openai", "_images"))
_HEAD = """\
# What goes wrong, and what a client sees of it

This page is written by `make faults` from what the tests saw. Each row was driven through real sockets: a client, the
gateway with three accounts, and an upstream that misbehaves; over Chat Completions, Responses and Messages, streamed
and whole, and over the Images API, pictures as a stream and edits in one piece. After each of them nothing was left: no
connection, no task, no generator.

- **One account has it**: the first account meets the fault, the others would answer well.
- **All have it**: status and code that the client gets, and how many accounts were tried for it. The Messages API has
  no codes; its `type` stands in the next column.
- **A stream**: where the answer had begun before the fault, it cannot be taken back. *Breaks off* means that the part
  that had come is kept, and that the stream ends in the dialect's own error and never in a good ending: an `error`
  chunk and `[DONE]` in chat, `error` and `response.failed` in Responses, `event: error` in Messages and Images. A whole
  answer is the error alone.
- **The account** afterwards: *out* until its token changes, *rests* until the hint of the upstream (`/v1/accTokens`
  counts both as not usable), or as before.
"""
MODES = (True, False)
"""Streamed and whole."""

_CODEX = (*HTTP_ROWS, *STREAM_ROWS)
_TITLES = {
    "codex": "ChatGPT accounts",
    "openai": "Keys of an OpenAI-compatible upstream",
    "images-codex": "Pictures on ChatGPT accounts",
    "images-openai": "Pictures of an OpenAI-compatible upstream",
}
_COLUMNS = (
    "| # | fault | one account has it | all have it | Messages `type` | a stream | the account |\n" + "|---" * 7 + "|"
)


def expected() -> Iterator[Met]:
    """What the rows say."""
    asked = [("codex", row, dialect, streamed) for row in _CODEX for dialect in DIALECTS for streamed in MODES]
    asked += [
        ("openai", row, dialect, streamed)
        for dialect, wire in WAYS
        for streamed in MODES
        for row in rows_of(wire)
        if has_meaning(row, dialect, wire, streamed)
    ]
    asked += [
        (upstream, row, "images", streamed)
        for upstream in IMAGES
        for streamed in MODES
        for row in rows_of_pictures(upstream)
        if has_meaning_for_pictures(row, streamed)
    ]
    for upstream, row, dialect, streamed in asked:
        yield from (due(upstream, row, case, then, dialect, streamed) for case, then in cases(row))


def page(records: Iterable[Met]) -> str:
    """The whole document."""
    found = sorted(set(records), key=lambda met: (list(_TITLES).index(met.upstream), int(met.id[1:]), met.fault))
    parts = [_HEAD]
    for upstream, of_upstream in groupby(found, attrgetter("upstream")):
        parts.append(f"## {_TITLES[upstream]}\n\n{_COLUMNS}")
        parts += [_line(list(group)) for _, group in groupby(of_upstream, attrgetter("id", "fault"))]
        parts.append("")
    parts.append("## More than one request, or another world\n\n| # | fault | what holds | tests |\n|---|---|---|---|")
    parts += [_elsewhere(*each) for each in ELSEWHERE]
    return "\n".join(parts) + "\n"


def _line(group: Sequence[Met]) -> str:
    always = [met for met in group if met.case == "always"]
    once = [met for met in group if met.case == "once"]
    first = always[0]
    taken_over = "another one answers" if once else "the client sees it" if first.code else "no harm"
    cells = (first.id, _escaped(first.fault), taken_over, _all(always), _messages(always), _streamed(always))
    return "| " + " | ".join((*cells, _account(always, once))) + " |"


def _all(always: Sequence[Met]) -> str:
    told = sorted(
        {f"{met.status} `{met.code}`" for met in always if met.code and met.dialect != "messages" and not _broke(met)}
    )
    if not told:
        return "a good answer" if always[0].ending == "good" else "an answer that says that it is cut"
    tried = len(set(always[0].accounts))
    return f"{' or '.join(told)}; {tried} tried"


def _messages(always: Sequence[Met]) -> str:
    return " or ".join(sorted({f"`{met.code}`" for met in always if met.code and met.dialect == "messages"})) or "–"


def _streamed(always: Sequence[Met]) -> str:
    return "breaks off" if any(map(_broke, always)) else "the same"


def _broke(met: Met) -> bool:
    return met.streamed and met.status == 200 and met.code is not None


def _account(always: Sequence[Met], once: Sequence[Met]) -> str:
    count = max(len(set(met.accounts)) for met in (*always, *once))
    if always[0].usable == 3 and all(met.usable == 3 for met in once):
        return "as before"
    return "out" if count and always[0].status == 401 else "rests"


def _elsewhere(id: str, fault: str, holds: str, tests: Sequence[str]) -> str:
    files = sorted({test.partition("::")[0] for test in tests})
    return f"| {id} | {fault} | {holds} | {', '.join(f'`tests/{file}`' for file in files)} |"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


class _Recorder:
    """A plugin of pytest: gathers what the tests say of themselves."""

    def __init__(self) -> None:
        self.records: list[Met] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call":
            self.records += [Met(*value) for name, value in report.user_properties if name == "fault"]


def main() -> int:
    """0 when all tests passed and the page is written."""
    recorder = _Recorder()
    others = sorted({f"tests/{test}" for each in ELSEWHERE for test in each.tests})
    failed = pytest.main(["-q", *_TESTS, *others], plugins=[recorder])
    if not failed:
        PAGE.write_text(page(recorder.records), encoding="utf-8")
        sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(recorder.records)} requests\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
