"""A bucket for tests, behind moto's server on a loopback port."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.fakes.dynamodb_table import REGION, SECRET, point_aws_at

__all__ = ["SECRET", "Bucket", "s3_bucket"]


class Bucket:
    def __init__(self, url: str, name: str) -> None:
        self.name = name
        fixed = {"endpoint_url": url, "region_name": REGION, "aws_access_key_id": "AKIATEST"}
        self.client: Any = boto3.session.Session().client("s3", aws_secret_access_key=SECRET, **fixed)
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})

    def keys(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=self.name).get("Contents", ())]

    def empty(self) -> None:
        for key in self.keys():
            self.client.delete_object(Bucket=self.name, Key=key)


@contextlib.contextmanager
def s3_bucket(name: str) -> Iterator[Bucket]:
    """One that is the only AWS that the environment knows."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patch:
        point_aws_at(url, patch)
        bucket = Bucket(url, name)
        try:
            yield bucket
        finally:
            bucket.empty()
            bucket.client.delete_bucket(Bucket=name)  # moto's buckets are the process's, whichever server made them
            bucket.client.close()
            server.stop()
