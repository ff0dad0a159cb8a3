"""What schemathesis makes of the gateway's own document: requests that fit it and requests that break it, a bounded
number of each, the same in every run. No answer may be a 5xx, and every answer has to be as the document says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lib.web.openapi_operations import OPERATIONS
from tests.web.documented import KEY, SLOW, Demo, demo, max_s

EXAMPLES = 15
FEW_EXAMPLES = 3
"""Of what takes its time."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
"""Not whether a request that fits the document is accepted: no schema says all that a dialect checks."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[Demo]:
    with demo(log_level="ERROR") as found:
        yield found


@pytest.fixture(scope="module")
def schema(gateway: Demo) -> Any:
    return schemathesis.openapi.from_dict(gateway.document)


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        pytest.param(*key, mode, id=f"{' '.join(key)}-{mode.value}")
        for key, operation in OPERATIONS.items()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        if mode is GenerationMode.POSITIVE or operation.requests
    ],
)
def test_every_answer_is_as_documented(
    gateway: Demo, schema: Any, method: str, path: str, mode: GenerationMode
) -> None:
    strategy = schema[path][method].as_strategy(generation_mode=mode)

    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=FEW_EXAMPLES if path in SLOW else EXAMPLES,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def meets(case: Any) -> None:
        answer, took_s = _timed(case, gateway)
        if took_s >= max_s(path):  # the machine may be busy; what hangs does so again
            answer, took_s = _timed(case, gateway)
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code < 500
        assert took_s < max_s(path), f"{took_s:.1f} s"

    meets()


def _timed(case: Any, gateway: Demo) -> tuple[Any, float]:
    started = time.monotonic()
    answer = case.call(base_url=gateway.url, headers={"authorization": f"Bearer {KEY}"}, timeout=10)
    return answer, time.monotonic() - started
