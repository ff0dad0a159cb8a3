"""Any texts in several variables at once, as a broken deployment has them: the gateway starts, and says what is wrong
without the values."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st

from lib.settings import Settings
from lib.web.app import create_app

VARIABLES = sorted(name.upper() for name in Settings.model_fields if name != "vercel_config_file")
CANARY = "Zq7vKcanaryLx4Wj"
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(
            [
                *("[", "{", "}", "]", '"', ",", ";", ":", "=", "\n", "\r\n", " ", "\ufeff", "\u2028", "'", "*", "/"),
                *("http://", "https://u:p@h", "socks5://", "s3://", "redis://h", "dynamodb://t", "true"),
                *("1e999", "nan", "-1", "٣", "access_token", "null", "at-", "eyJ9.e30.x", "gpt-*=gpt-5.5"),
            ]
        ),
        max_size=10,
    ).map("".join),
)


def tells(text: str) -> bool:
    encoded = base64.b64encode(CANARY.encode()).decode().rstrip("=")[:-1]
    return CANARY[:8] in text or CANARY[-4:] in text or encoded in text


@effort(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(VARIABLES), st.tuples(TEXTS, TEXTS), min_size=1, max_size=6))
def test_no_environment_makes_the_settings_raise_or_tell(environment: dict[str, tuple[str, str]]) -> None:
    given_ = {variable.lower(): f"{before}{CANARY}{after}" for variable, (before, after) in environment.items()}
    settings = Settings(_env_file=None, **given_)
    assert not tells(repr(settings.problems))
    for problem in settings.problems:
        assert problem.variable.split()[0] in VARIABLES
        assert problem.problem.isprintable()


@effort(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(VARIABLES), TEXTS, min_size=1, max_size=6))
def test_no_environment_keeps_the_gateway_from_starting(environment: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for variable, text in environment.items():
            patch.setenv(variable, text.replace("\0", "").encode("utf-8", "replace").decode())
        settings = Settings(_env_file=None)
    create_app(settings)
