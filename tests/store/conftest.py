from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.fakes.dynamodb_table import Table, dynamodb_table, point_aws_at
from tests.fakes.redis_server import RedisServer, redis_server
from tests.store.logged import Lines


@pytest.fixture(scope="package")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="package")
def the_table() -> Iterator[Table]:
    with pytest.MonkeyPatch.context() as patch:
        point_aws_at("http://127.0.0.1:9", patch)
        with dynamodb_table() as table:
            yield table


@pytest.fixture
def table(the_table: Table, monkeypatch: pytest.MonkeyPatch) -> Table:
    point_aws_at(the_table.url, monkeypatch)
    return the_table


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    logger, handler = logging.getLogger("chat2api.store"), Lines()
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler.records
    logger.removeHandler(handler)
