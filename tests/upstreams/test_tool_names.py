"""Names and ids the backend would refuse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lib.upstreams.tool_names import Names, short_call_id


@given(st.lists(st.text(min_size=1, max_size=200), unique=True))
def test_every_name_becomes_legal_and_comes_back(names: list[str]) -> None:
    mapping = Names(names)
    shorts = [mapping.short(name) for name in names]
    assert all(len(s) <= 64 and s.replace("_", "").replace("-", "").isalnum() or set(s) <= {"_", "-"} for s in shorts)
    assert [mapping.restore(short) for short in shorts] == names


def test_a_legal_name_costs_nothing() -> None:
    names = Names(["get_weather"])
    assert not names and names.short("get_weather") == names.restore("get_weather") == "get_weather"


@given(st.text(min_size=1, max_size=300))
def test_call_ids_fit_and_are_stable(call_id: str) -> None:
    assert len(short_call_id(call_id)) <= 64
    assert short_call_id(call_id) == short_call_id(call_id)
