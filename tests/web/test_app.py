from __future__ import annotations

import subprocess
import sys

import pytest

from lib.web.app import platform_max_answer_bytes, platform_max_bytes


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, 32 * 1024 * 1024),
        ({"VERCEL": "1"}, 4_400_000),
        ({"AWS_LAMBDA_FUNCTION_NAME": "f"}, 5_900_000),
        ({"VERCEL": "1", "AWS_LAMBDA_FUNCTION_NAME": "f"}, 4_400_000),
    ],
)
def test_the_body_limit_is_just_below_the_platforms(environ: dict[str, str], expected: int) -> None:
    assert platform_max_bytes(environ) == expected


@pytest.mark.parametrize(("environ", "expected"), [({}, None), ({"VERCEL": "1"}, 4_400_000)])
def test_answers_in_one_piece_are_bounded_where_the_platform_bounds_them(
    environ: dict[str, str], expected: int | None
) -> None:
    assert platform_max_answer_bytes(environ) == expected


def test_the_import_brings_nothing_that_a_request_may_never_need() -> None:
    code = (
        "import sys, lib.web.app; "
        "print(sorted({'fastapi', 'starlette', 'pydantic', 'httpx', 'difflib', 'email'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
