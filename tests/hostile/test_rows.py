from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.hostile.rows import ROWS

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_has_tests_that_exist(row: str) -> None:
    assert ROWS[row]
    for test in ROWS[row]:
        file, _, name = test.partition("::")
        assert re.search(rf"^def {name}\(", (TESTS / file).read_text(), re.MULTILINE), test


def test_every_test_of_this_folder_belongs_to_a_row_or_says_why_it_need_not() -> None:
    named = {test.partition("::")[0] for tests in ROWS.values() for test in tests}
    here = {f"hostile/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert here - named == {"hostile/test_rows.py"}
