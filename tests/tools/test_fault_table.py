from __future__ import annotations

import re

from tests.journeys.fault_elsewhere import ELSEWHERE
from tools.fault_table import PAGE, ROOT, expected, page


def test_the_page_says_what_the_rows_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(expected()), "run `make faults`"


def test_every_row_of_the_table_has_its_place() -> None:
    rows = {int(number) for number in re.findall(r"^\| .*?F(\d+)", page(expected()), re.MULTILINE)}
    rows |= {int(number) for each in ELSEWHERE for number in re.findall(r"F(\d+)", each.id)}
    assert rows == set(range(1, 43))


def test_the_tests_that_are_named_exist() -> None:
    for each in ELSEWHERE:
        for test in each.tests:
            file, _, name = test.partition("::")
            assert f"def {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), test


def test_what_broke_off_is_told_apart_from_what_failed_before() -> None:
    lines = {line.split(" | ")[1]: line for line in reversed(page(expected()).splitlines()) if line.startswith("| F")}
    assert "| breaks off |" in lines["a stall in mid-stream"]
    assert "504 `upstream_stalled`; 1 tried" in lines["a stall in mid-stream"]
    assert "another one answers" in lines["200 with HTML"] and "| the same |" in lines["200 with HTML"]
