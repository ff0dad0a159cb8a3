"""Pictures under an address: S3, or whatever speaks its protocol.

boto3 is heavy and blocks, so it is imported with the first picture and lives in worker threads. Credentials, region and
endpoint are those of the environment (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL_S3`, …) or of the platform's
role. An address is good until its life is over, or until temporary credentials that signed it end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar

from lib.errors import GatewayError

P = ParamSpec("P")
T = TypeVar("T")

MAX_URL_LIFE_S = 7 * 24 * 3600
"""What a signature of version 4 allows."""

_EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/heic": "heic",
    "image/heif": "heif",
    "image/tiff": "tiff",
}
"""What a browser may show inline. Anything else, SVG with its scripts above all, is served as bytes of no type."""

_MADE = re.compile(r"/([0-9a-f]{32}\.(?:png|jpg|webp|gif))\Z")
"""The name of a generated picture at the end of a path. Those of other pictures are longer."""
_SIGNED = b"X-Amz-Signature"
_GONE = frozenset({403, 404})
"""Who may not list a bucket is told 403 of what is not in it."""
_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TROUBLE = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500"})
_HINTS = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "the credentials need s3:PutObject and s3:GetObject there",
    "InvalidAccessKeyId": "the AWS credentials are not valid",
    "SignatureDoesNotMatch": "the AWS credentials are not valid",
    "InvalidToken": "the AWS credentials are not valid",
    "ExpiredToken": "the AWS credentials have expired",
    "PermanentRedirect": "the bucket is in another region: set AWS_DEFAULT_REGION to it",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set AWS_DEFAULT_REGION to it",
    "IllegalLocationConstraintException": "the bucket is in another region: set AWS_DEFAULT_REGION to it",
    "TooManyRedirects": "the endpoint only redirects: check AWS_ENDPOINT_URL_S3 and the region",
    "NoCredentialsError": "there are no AWS credentials in the environment",
    "PartialCredentialsError": "the AWS credentials in the environment are not complete",
}


class ImageHost(Protocol):
    """A place on the web for pictures."""

    async def put(self, data: bytes, media_type: str) -> str:
        """Keeps a picture (`image/png` and the like) and returns its address. Raises GatewayError."""


class InputHost(Protocol):
    """A place on the web for pictures that upstreams are to read."""

    async def put(self, data: bytes, media_type: str, name: str) -> str:
        """Keeps a picture under a name, in place of what was there, and returns its address. Raises GatewayError."""

    def may_know(self, url: str) -> bool:
        """Whether an address may be that of a generated picture which was put here, by its letters alone."""

    async def renewed(self, url: str) -> str | None:
        """A fresh address for such a picture; None when it is none, or is gone. Raises GatewayError."""

    def is_shown_in(self, raw: bytes) -> bool:
        """Whether an encoded text may hold such an address."""


class S3Host:
    """Puts pictures into a bucket and gives out addresses that are signed and end.

    prefix: without slashes around it; may be empty. url_life_s: how long an address is good, seven days at most.
    deadline_s: how long one upload may take.
    """

    def __init__(self, bucket: str, prefix: str, *, url_life_s: float, deadline_s: float = 10.0) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._url_life_s = max(1, int(min(url_life_s, MAX_URL_LIFE_S)))
        self._deadline_s = deadline_s
        self._client: Any = None
        self._lock = threading.Lock()

    async def put(self, data: bytes, media_type: str, name: str | None = None) -> str:
        """The presigned URL of an object. name: without its extension; None makes one up that nobody can guess. Raises
        GatewayError: 502 when the bucket or its settings are at fault, 503 when it cannot be reached in time. An upload
        that is abandoned goes on in its thread until it ends by itself."""
        media_type = media_type.partition(";")[0].strip().lower()
        return await self._in_time(self._put, data, media_type, name or secrets.token_hex(16))

    def may_know(self, url: str) -> bool:
        """By its name, which is that of a generated picture."""
        return _MADE.search(url.partition("?")[0]) is not None

    async def renewed(self, url: str) -> str | None:
        """A generated picture's presigned URL, signed anew whether its time is over or not: who knows the name of a
        picture was shown it. None for any other address, and when the picture is not there. Raises GatewayError as
        `put` does."""
        made = _MADE.search(url.partition("?")[0])
        return None if made is None else await self._in_time(self._renewed, url, made[1])

    def is_shown_in(self, raw: bytes) -> bool:
        """Whether it holds a signed address that names the bucket."""
        return _SIGNED in raw and self._bucket.encode() in raw

    async def aclose(self) -> None:
        """Closes the connections; the next picture opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            await asyncio.to_thread(client.close)

    async def _in_time(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        await asyncio.to_thread(self._connect)  # importing boto3 takes a while on a small machine: no part of the work
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.to_thread(work, *args, **kwargs)
        except TimeoutError as error:
            raise self._unreachable("Timeout") from error

    def _put(self, data: bytes, media_type: str, name: str) -> str:
        if media_type not in _EXTENSIONS:
            media_type = "application/octet-stream"
        place = self._place(f"{name}.{_EXTENSIONS.get(media_type, 'bin')}")
        client = self._connect()
        with self._failing():
            client.put_object(
                **place, Body=data, ContentType=media_type, ContentDisposition="inline", CacheControl="private"
            )
            return self._signed(client, place)

    def _renewed(self, url: str, name: str) -> str | None:
        from botocore.exceptions import ClientError

        place = self._place(name)
        client = self._connect()
        with self._failing():
            fresh = self._signed(client, place)
            if fresh.partition("?")[0] != url.partition("?")[0]:
                return None
            try:
                client.head_object(**place)
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _GONE:
                    return None
                raise
            return fresh

    def _place(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{name}"}

    def _signed(self, client: Any, place: dict[str, str]) -> str:
        url: str = client.generate_presigned_url("get_object", Params=place, ExpiresIn=self._url_life_s)
        return url

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
        from botocore.exceptions import ConnectionError as NoConnection

        try:
            yield
        except ClientError as error:
            raise self._answered(error.response) from error
        except (NoConnection, HTTPClientError) as error:
            raise self._unreachable(type(error).__name__) from error
        except RecursionError as error:  # botocore follows redirects without an end
            raise self._refused("TooManyRedirects") from error
        except BotoCoreError as error:
            raise self._refused(type(error).__name__) from error

    def _connect(self) -> Any:
        """The one client: it may be shared by threads, but not made by two at once."""
        with self._lock:
            if self._client is None:
                self._client = self._made()
            return self._client

    def _made(self) -> Any:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError as error:
            raise GatewayError(
                "IMAGE_BUCKET needs the package boto3, which is not installed here. Install it, or unset IMAGE_BUCKET.",
                status=502,
                code="image_host_refused",
                should_retry=False,
            ) from error
        custom = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        config = Config(
            signature_version="s3v4",
            connect_timeout=self._deadline_s * 0.3,
            read_timeout=self._deadline_s * 0.6,
            retries={"total_max_attempts": 2, "mode": "standard"},
            # Amazon's own hosts carry bucket and region, else a young bucket answers with a redirect.
            s3={"addressing_style": "auto" if custom else "virtual"},
            # Other services that speak the protocol refuse the checksums that boto3 adds unasked.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        # boto3 itself reads AWS_DEFAULT_REGION alone.
        region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
        try:
            return boto3.session.Session().client("s3", region_name=region, config=config)
        except (BotoCoreError, ValueError) as error:
            raise self._refused(type(error).__name__) from error

    def _answered(self, response: dict[str, Any]) -> GatewayError:
        code = str(response.get("Error", {}).get("Code"))
        code = code if _CODE.fullmatch(code) else "unknown"
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        in_trouble = code in _TROUBLE or (isinstance(status, int) and status >= 500)
        return self._unreachable(code) if in_trouble else self._refused(code)

    def _refused(self, code: str) -> GatewayError:
        hint = _HINTS.get(code, "check its settings and the AWS credentials")
        return GatewayError(
            f"The picture could not be put into IMAGE_BUCKET, or found there (s3://{self._bucket}): {code}; {hint}.",
            status=502,
            code="image_host_refused",
            should_retry=False,
        )

    def _unreachable(self, code: str) -> GatewayError:
        return GatewayError(
            f"IMAGE_BUCKET (s3://{self._bucket}) could not be reached in time: {code}. Try again, or have the operator "
            "check AWS_ENDPOINT_URL_S3 and the network.",
            status=503,
            code="image_host_unreachable",
            should_retry=True,
        )
