from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from lib.lambda_runtime import Invocation, RuntimeApiError, RuntimeClient, error_document
from tests.fakes.runtime_api import MAX_ANSWER_BYTES, Posted, RuntimeApi


def called(api: RuntimeApi, event: Any, work: Callable[[RuntimeClient, Invocation], None]) -> Posted:
    """What is posted when `work` gets the invocation in a thread of its own."""
    client = RuntimeClient(api.address)
    thread = threading.Thread(target=lambda: work(client, client.next()))
    thread.start()
    try:
        return api.invoke(event)
    finally:
        thread.join(5)
        client.close()


def test_event_arrives_with_its_deadline_and_ids() -> None:
    seen: list[Invocation] = []

    def work(client: RuntimeClient, invocation: Invocation) -> None:
        seen.append(invocation)
        client.respond(invocation, {"ü": 1})

    with RuntimeApi(remaining_s=5) as api:
        posted = called(api, {"a": "é\ud800"}, work)
    assert (posted.kind, json.loads(posted.body)) == ("response", {"ü": 1})
    invocation = seen[0]
    assert invocation.event == {"a": "é\ud800"}
    assert 4 < invocation.deadline_at - time.time() <= 5
    assert 4000 < invocation.get_remaining_time_in_millis() <= 5000
    assert invocation.trace_id.startswith("Root=1-")
    assert invocation.aws_request_id.endswith("1")


def test_failure_is_posted_with_its_type_and_without_its_text() -> None:
    with RuntimeApi() as api:
        posted = called(api, {}, lambda client, invocation: client.fail(invocation, KeyError("secret")))
    assert posted.kind == "error"
    assert posted.headers["lambda-runtime-function-error-type"] == "Runtime.KeyError"
    assert json.loads(posted.body)["errorMessage"] == "The application raised KeyError."


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ModuleNotFoundError("No module named 'x'"), "Runtime.ImportModuleError"),
        (ValueError("x"), "Runtime.ValueError"),
    ],
)
def test_failed_start_is_posted(error: Exception, kind: str) -> None:
    with RuntimeApi() as api:
        client = RuntimeClient(api.address)
        client.fail_init(error)
        client.close()
        assert api.init_error is not None
        assert api.init_error["errorType"] == kind
        assert ("No module named" in api.init_error["errorMessage"]) == (kind == "Runtime.ImportModuleError")


def test_refusal_is_an_error_with_its_status() -> None:
    statuses: list[int] = []

    def work(client: RuntimeClient, invocation: Invocation) -> None:
        for answer in ("x" * MAX_ANSWER_BYTES, "fits"):
            try:
                client.respond(invocation, answer)
            except RuntimeApiError as error:
                statuses.append(error.status)

    with RuntimeApi() as api:
        assert json.loads(called(api, {}, work).body) == "fits"
    assert statuses == [413]


def test_kept_connection_that_was_closed_is_replaced() -> None:
    with RuntimeApi() as api:
        api.closes = True
        posted = called(api, {}, lambda client, invocation: client.respond(invocation, "ok"))
        assert (json.loads(posted.body), api.refusals) == ("ok", [])
        assert len({port for _, port in api.calls}) == 2


def test_runtime_api_that_is_gone_is_an_error() -> None:
    with RuntimeApi() as api:
        address = api.address
    with pytest.raises(RuntimeApiError) as caught:
        RuntimeClient(address).next()
    assert caught.value.status == 0


def test_missing_deadline_is_the_longest_there_is() -> None:
    from lib.lambda_runtime import _deadline_at

    assert _deadline_at("1500") == 1.5
    assert [850 < _deadline_at(text) - time.time() <= 900 for text in (None, "", "soon")] == [True] * 3


def test_frames_of_an_error_name_places() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        document = error_document(error)
    assert document["errorType"] == "Runtime.JSONDecodeError"
    assert document["stackTrace"][0].startswith(__file__)
