from __future__ import annotations

from lib.web.openapi_answers import ANSWERS
from lib.web.openapi_own_answers import OWN_ANSWERS
from lib.web.openapi_requests import REQUESTS


def test_requests_and_answers_share_no_name() -> None:
    assert not set(ANSWERS) & set(REQUESTS)


def test_every_name_is_given_once() -> None:
    assert set(OWN_ANSWERS) < set(ANSWERS)
    assert all(ANSWERS[name] is schema for name, schema in OWN_ANSWERS.items())
