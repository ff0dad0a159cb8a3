"""DynamoDB: one table with the partition key `id` (a string).

An item is `id`, `value` (binary) and `expires_at` (epoch seconds), which should be the table's TTL attribute. DynamoDB
deletes up to days later than that, so it is checked with every read, too. Lives are rounded up to whole seconds.

boto3 blocks, so it lives in threads of its own: a server that hangs must not fill those that all others share.
Credentials, region and endpoint are those of the environment (`AWS_REGION`, `AWS_ENDPOINT_URL`, …) or of the platform's
role.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from lib.errors import StoreError
from lib.keeping import MAX_STORED_BYTES
from lib.types import Clock

T = TypeVar("T")

PREFIX = "chat2api:"
MAX_BATCH = 100
"""Keys that one BatchGetItem takes."""

_THREADS = 8
_ROUNDS = 3
"""How often keys are asked for again that an answer left out."""
_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NAMES = {"#value": "value", "#ends": "expires_at"}
_IS_FREE = "attribute_not_exists(id) OR #ends <= :now"
_IS_OLD = "#value = :old AND #ends > :now"
_UNMET = "ConditionalCheckFailedException"


class DynamoDBStore:
    """`lib.store.resilient.Remote` over one table. limit_s: how long one operation may take on a kept connection; three
    times as long when there is none yet."""

    name = "dynamodb"
    durable = True

    def __init__(self, table: str, *, region: str | None = None, limit_s: float = 0.5, now: Clock = time.time) -> None:
        self.limit_s = limit_s
        self.cold_limit_s = 3 * limit_s
        self._table = table
        self._region = region
        self._now = now
        self._client: Any = None
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    async def prepare(self) -> None:
        await self._run(self._connected)

    async def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for start in range(0, len(keys), MAX_BATCH):
            batch = list(dict.fromkeys(keys[start : start + MAX_BATCH]))  # a key that is repeated is an error there
            found |= await self._run(functools.partial(self._batch, batch))
        return found

    async def put(self, key: str, value: bytes, *, life_s: float) -> None:
        await self._run(lambda: self._put(key, value, life_s))

    async def swap(self, key: str, old: bytes | None, new: bytes, *, life_s: float) -> bool:
        condition = self._condition(_IS_FREE if old is None else _IS_OLD, old)
        return await self._run(lambda: self._put(key, new, life_s, **condition))

    async def delete(self, key: str, *, old: bytes | None = None) -> None:
        condition = {} if old is None else self._condition(_IS_OLD, old)
        place = {"TableName": self._table, "Key": _id(key)}
        await self._run(lambda: _is_met(lambda: self._connected().delete_item(**place, **condition)))

    async def aclose(self) -> None:
        """Closes the connections; the next operation opens new ones."""
        with self._lock:
            client, self._client = self._client, None
            threads, self._threads = self._threads, None
        if client is not None:
            client.close()
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)

    def _batch(self, keys: Sequence[str]) -> dict[str, bytes]:
        asked: Any = {self._table: {"Keys": [_id(key) for key in keys], "ConsistentRead": True}}
        found: dict[str, bytes] = {}
        now = self._now()
        for _ in range(_ROUNDS):
            answer = self._connected().batch_get_item(RequestItems=asked)
            for item in answer.get("Responses", {}).get(self._table, ()):
                if float(item["expires_at"]["N"]) > now:
                    found[item["id"]["S"].removeprefix(PREFIX)] = bytes(item["value"]["B"])
            asked = answer.get("UnprocessedKeys")
            if not asked:
                return found
        raise StoreError("UnprocessedKeys")

    def _put(self, key: str, value: bytes, life_s: float, **condition: Any) -> bool:
        if len(value) > MAX_STORED_BYTES:
            raise StoreError("the value is too large")
        ends_at = str(math.ceil(self._now() + life_s))
        item = {**_id(key), "value": {"B": value}, "expires_at": {"N": ends_at}}
        return _is_met(lambda: self._connected().put_item(TableName=self._table, Item=item, **condition))

    def _condition(self, condition: str, old: bytes | None) -> dict[str, Any]:
        values: dict[str, Any] = {":now": {"N": str(int(self._now()))}}
        if old is not None:
            values[":old"] = {"B": old}
        names = {name: meant for name, meant in _NAMES.items() if name in condition}
        return {
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }

    async def _run(self, work: Callable[[], T]) -> T:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="dynamodb")
            future = self._threads.submit(_mapped, work)
        return await asyncio.wrap_future(future)

    def _connected(self) -> Any:
        """The one client: it may be shared by threads, but not made by two at once."""
        with self._lock:
            if self._client is None:
                self._client = self._made()
            return self._client

    def _made(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            # The limits are kept by who asks. These end what nobody waits for any more, and so free its thread.
            connect_timeout=self.cold_limit_s,
            read_timeout=self.cold_limit_s,
            retries={"total_max_attempts": 1},
            max_pool_connections=_THREADS,
        )
        # boto3 itself reads AWS_DEFAULT_REGION alone.
        region = self._region or os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
        return boto3.session.Session().client("dynamodb", region_name=region, config=config)


def _mapped(work: Callable[[], T]) -> T:
    """The library's errors as ours, by their code: a message may hold what was sent."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as error:
        raise StoreError("the package boto3 is not installed here") from error
    try:
        return work()
    except ClientError as error:
        raise StoreError(_code(error.response)) from error
    except (BotoCoreError, OSError, ValueError, LookupError, RecursionError) as error:
        raise StoreError(type(error).__name__) from error


def _is_met(write: Callable[[], object]) -> bool:
    from botocore.exceptions import ClientError

    try:
        write()
    except ClientError as error:
        if _code(error.response) == _UNMET:
            return False
        raise
    return True


def _code(response: Mapping[str, Any]) -> str:
    code = str(response.get("Error", {}).get("Code"))
    return code if _CODE.fullmatch(code) else "unknown"


def _id(key: str) -> dict[str, dict[str, str]]:
    return {"id": {"S": PREFIX + key}}
