from typing import Any

import pytest

from lib.dialects.formats import schema_format
from lib.errors import InvalidRequest


def test_known_members_are_taken_and_nulls_left_out() -> None:
    shape = {"name": "n", "schema": {"a": 1}, "strict": True, "description": None, "other": 1}
    assert schema_format(shape, "p") == {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True}


@pytest.mark.parametrize(
    ("name", "value"),
    [("name", ""), ("name", "x" * 65), ("name", "a\n"), ("schema", []), ("strict", 1), ("description", 1)],
)
def test_wrong_member_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        schema_format({name: value}, "p")
    assert caught.value.param == f"p.{name}"
