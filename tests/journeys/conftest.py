"""Gateways for journeys. `start` makes one for a test alone; `gateway` is shared by the tests of a module that leave
its accounts as they were."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.journeys.gateway import Gateway, Host, hosting, running

Start = Callable[..., Gateway]


@pytest.fixture(scope="package")
def host() -> Iterator[Host]:
    with hosting() as found:
        yield found


@pytest.fixture(scope="package")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(verify=False, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture(scope="package", autouse=True)
def no_proxy_of_the_machine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def gateway(host: Host, http: httpx.Client) -> Iterator[Gateway]:
    with running(host, http) as found:
        yield found


@pytest.fixture
def start(host: Host, http: httpx.Client) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(host, http, **settings))
