from typing import Any

import pytest

from lib.dialects.members import MAX_UNKNOWN_MEMBERS, name_unknown
from lib.errors import InvalidRequest


def asked(holder: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    name_unknown(holder, ("known",), "here", found)
    return found


def test_members_without_an_effect_are_named_by_their_path() -> None:
    assert asked({"known": 1, "other": 2, "unset": None}) == {"here.other": "here.other"}


@pytest.mark.parametrize(
    "holder", [{"a\r\nb": 1}, {"": 1}, {"x" * 65: 1}, {str(each): 1 for each in range(MAX_UNKNOWN_MEMBERS + 1)}]
)
def test_what_no_header_can_hold_is_refused(holder: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(holder)
    assert caught.value.param == "here"
    assert "\n" not in caught.value.message
