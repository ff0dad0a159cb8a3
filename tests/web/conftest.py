from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web.scripted import served


@pytest.fixture(scope="package")
def address() -> Iterator[tuple[str, int]]:
    """One gateway for all tests that ask for nothing special."""
    with served() as found:
        yield found
