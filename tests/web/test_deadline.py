"""Where the end of an answer's time comes from."""

from __future__ import annotations

import datetime
import sys
import types
from collections.abc import Iterator

import pytest

from lib.web.deadline import SCOPE_KEY, Deadlines


@pytest.fixture
def vercel() -> Iterator[types.SimpleNamespace]:
    """Vercel's runtime, as far as it is asked."""
    module = types.ModuleType("vercel_runtime")
    said = types.SimpleNamespace(deadline=None)
    module.get_deadline = lambda: said.deadline  # type: ignore[attr-defined]
    before = sys.modules.get("vercel_runtime")
    sys.modules["vercel_runtime"] = module
    yield said
    del sys.modules["vercel_runtime"]
    if before is not None:
        sys.modules["vercel_runtime"] = before


def test_without_a_platform_and_a_limit_there_is_no_end() -> None:
    assert Deadlines(limit_s=None, margin_s=3).of({}, 100.0) is None


def test_the_margin_is_kept_from_the_platforms_end_alone() -> None:
    assert Deadlines(limit_s=None, margin_s=3).of({SCOPE_KEY: 160.0}, 100.0) == 157.0
    assert Deadlines(limit_s=30, margin_s=3).of({}, 100.0) == 130.0
    assert Deadlines(limit_s=90, margin_s=3).of({SCOPE_KEY: 160.0}, 100.0) == 157.0


def test_vercel_is_asked_where_it_runs_the_function(vercel: types.SimpleNamespace) -> None:
    deadlines = Deadlines(limit_s=None, margin_s=5)
    assert deadlines.of({}, 100.0) is None
    vercel.deadline = datetime.datetime.fromtimestamp(400.0, datetime.UTC)
    assert deadlines.of({}, 100.0) == 395.0
