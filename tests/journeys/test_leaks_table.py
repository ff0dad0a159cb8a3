"""The whole fault table with marked credentials in every secret setting: nothing that leaves the process has them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.fakes.codex_behaviours import stream
from tests.fakes.openai_backend import CHAT, OpenAIBackend
from tests.journeys.conftest import Start
from tests.journeys.fault_records import DIALECTS
from tests.journeys.fault_rows import Row
from tests.journeys.fault_rows_http import ROWS as HTTP_ROWS
from tests.journeys.fault_rows_openai import has_meaning, rows_of
from tests.journeys.fault_rows_streams import ROWS as STREAM_ROWS
from tests.journeys.seen import PATHS, body_of
from tests.journeys.test_leaks import API_KEYS, BUCKET_WORD, SESSION_WORD, assert_kept, everything

CODEX_ROWS = [row for row in (*HTTP_ROWS, *STREAM_ROWS) if row.fault != "an image of 16 MiB"]


@pytest.fixture(autouse=True)
def verbose(caplog: pytest.LogCaptureFixture) -> None:
    """Libraries say all that they have to say."""
    caplog.set_level(logging.DEBUG)


@pytest.mark.parametrize("row", CODEX_ROWS, ids=str)
def test_accounts_are_kept(start: Start, row: Row, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    gateway = start(**everything(**row.settings_of("always")))
    gateway.backend.always(row.upstream())
    asked = [(dialect, True) for dialect in DIALECTS] + [("chat", False)]
    answers = [gateway.send("POST", PATHS[name], json=body_of(name, stream=streamed)) for name, streamed in asked]
    assert gateway.accounts()
    assert_kept(gateway, answers, caplog, capfd)


@pytest.mark.parametrize("row", rows_of("chat"), ids=str)
def test_keys_are_kept(start: Start, row: Row, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    with OpenAIBackend(keys=API_KEYS, models=None) as backend:
        gateway = start(**everything(openai_base_url=backend.url, **row.settings_of("always")))
        backend.always(row.upstream(), path=CHAT)
        asked = [("chat", False), ("chat", True), ("responses", True), ("messages", True)]
        asked = [(name, streamed) for name, streamed in asked if has_meaning(row, name, "chat", streamed)]
        answers = [
            gateway.send("POST", PATHS[name], json=body_of(name, model="openai/gpt-test", stream=streamed))
            for name, streamed in asked
        ]
        assert {request.key for request in backend.requests} & set(API_KEYS)
        assert_kept(gateway, answers, caplog, capfd)


def test_credentials_of_a_bucket_are_kept(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", BUCKET_WORD),
        ("AWS_SESSION_TOKEN", SESSION_WORD),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1"),
        ("AWS_DEFAULT_REGION", "eu-central-1"),
    ):
        monkeypatch.setenv(name, value)
    gateway = start(**everything(image_bucket="s3://pictures/of-mine"))
    gateway.backend.always(stream("image"))
    body = body_of("chat", tools=[{"type": "image_generation"}])
    answers = [gateway.send("POST", PATHS["chat"], json={**body, "stream": streamed}) for streamed in (True, False)]
    assert any("IMAGE_BUCKET" in answer.text for answer in answers), answers[0].text[:500]
    # Libraries log what they sign at their lowest level, which is theirs and is off in every deployment.
    caplog.clear()
    assert_kept(gateway, answers, caplog, capfd)
