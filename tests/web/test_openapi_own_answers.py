"""What the gateway says of itself, held against what makes it. The endpoints' own answers are in `test_openapi.py`."""

from __future__ import annotations

import asyncio
import time
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator, ValidationError

from lib.doctor.finding import Status as FindingStatus
from lib.scoped_keys import Limits
from lib.settings import Settings
from lib.status import Status
from lib.web.instance import Instance
from lib.web.openapi_own_answers import OWN_ANSWERS
from lib.wired_upstreams import Upstreams
from tests.fakes.tokens import jwt


def fits(name: str, value: Any) -> None:
    Draft202012Validator(dict(OWN_ANSWERS[name])).validate(value)


def test_a_new_key_is_described_with_all_its_limits() -> None:
    described = set(OWN_ANSWERS["ScopedKey"]["properties"])
    assert described == {"object", "id", "key", *Limits.__struct_fields__}


def test_a_finding_is_described_with_every_status() -> None:
    checks = OWN_ANSWERS["Doctor"]["properties"]["checks"]["items"]
    assert checks["properties"]["status"]["enum"] == list(get_args(FindingStatus))


@pytest.mark.parametrize("environ", [{}, {"VERCEL": "1"}, {"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_REGION": "eu"}])
def test_the_status_of_a_deployment_with_accounts_and_problems_is_as_described(environ: dict[str, str]) -> None:
    async def shown() -> dict[str, Any]:
        settings = Settings(
            _env_file=None,
            auth_tokens="sk-1",
            chatgpt_access_tokens=f"{jwt()},{jwt('acct-2', expires_in_s=-400)}",
            openai_api_key="sk-2",
            proxy="http://127.0.0.1:1",
            max_attempts="none",
        )
        upstreams = Upstreams(settings, time.time)
        upstreams.targets()
        try:
            return Status(settings, upstreams, time.time).report()
        finally:
            await upstreams.aclose()

    report = {**asyncio.run(shown()), "instance": Instance().described(environ), "endpoints": ["/v1/setup"]}
    assert len(report["accounts"]) == 3 and report["problems"]
    fits("Status", report)
    del report["accounts"][0]["plan"]
    with pytest.raises(ValidationError, match="'plan' is a required property"):
        fits("Status", report)
