"""A DynamoDB table for tests, behind moto's server on a loopback port."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"
SECRET = "aws-canary-0123456789"


class Table:
    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name
        fixed = {"endpoint_url": url, "region_name": REGION, "aws_access_key_id": "AKIATEST"}
        self.client: Any = boto3.session.Session().client("dynamodb", aws_secret_access_key=SECRET, **fixed)
        self.client.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )

    def items(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.scan(TableName=self.name)["Items"]
        return found


@contextlib.contextmanager
def dynamodb_table(name: str = "state") -> Iterator[Table]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    table = Table(f"http://{host}:{port}", name)
    try:
        yield table
    finally:
        table.client.delete_table(TableName=name)  # moto's tables are the process's, whichever server made them
        table.client.close()
        server.stop()


def point_aws_at(url: str, patch: pytest.MonkeyPatch) -> None:
    """The environment of a machine that knows no other AWS than this."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        patch.delenv(name)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_REGION", REGION)
    patch.setenv("AWS_ENDPOINT_URL", url)
