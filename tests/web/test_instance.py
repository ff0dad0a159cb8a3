from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lib.web import instance
from lib.web.instance import Instance


def test_requests_are_counted_by_status() -> None:
    counting = Instance()
    for status in (200, 429, 200, 0):
        counting.count(status)
    assert counting.described({})["requests"] == {"0": 1, "200": 2, "429": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a process was started")
def test_a_cold_start_ends_when_the_application_is_ready() -> None:
    described = Instance().described({})
    assert 0 < described["cold_start_ms"] <= described["uptime_s"] * 1000 + 100
    assert described["memory_bytes"] > 5_000_000


def test_the_platform_is_what_its_variables_say() -> None:
    def place(**environ: str) -> tuple[str, str | None, str | None]:
        found = Instance().described(environ)
        return found["platform"], found["region"], found["revision"]

    aws = {"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_REGION": "eu-west-1", "AWS_LAMBDA_FUNCTION_VERSION": "7"}
    assert place() == ("server", None, None)
    assert place(**aws) == ("lambda", "eu-west-1", "7")
    assert place(**aws, VERCEL="1", VERCEL_REGION="fra1", VERCEL_GIT_COMMIT_SHA="0123456789abcdef") == (
        "vercel",
        "fra1",
        "0123456789ab",
    )


def test_a_bundle_says_which_one_it_is(tmp_path: Path) -> None:
    assert Instance().described({})["bundle"] is None
    for folder in ("lib", "lib/web"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    shutil.copy(instance.__file__, tmp_path / "lib/web/instance.py")
    (tmp_path / "bundle.txt").write_text("0123456789abcdef" * 4 + "\n")
    code = "from lib.web.instance import Instance; print(Instance().described({})['bundle'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "0123456789ab\n"
