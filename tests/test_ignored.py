"""What has no effect is named, or refused."""

from __future__ import annotations

import pytest

from lib.errors import InvalidRequest
from lib.ignored import ignored

ASKED = {"size": "size", "style": "style", "tools": "tools, functions"}


def test_what_the_upstream_does_not_take_is_named_in_the_callers_words() -> None:
    assert ignored(ASKED, {"size"}, "demo", strict=False) == {"x-gateway-ignored": "functions, style, tools"}
    assert ignored(ASKED, set(ASKED), "demo", strict=True) == {}


def test_strict_callers_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="'style' has no effect on the upstream 'demo'") as caught:
        ignored(ASKED, {"size", "tools"}, "demo", strict=True)
    assert (caught.value.param, caught.value.code) == ("style", "unsupported_parameter")
