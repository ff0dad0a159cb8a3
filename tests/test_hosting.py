from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from moto.server import ThreadedMotoServer

from lib.errors import GatewayError
from lib.hosting import ImageHost, InputHost, S3Host
from tests.fakes.serving import loopback_socket

T = TypeVar("T")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
SECRET = "secret-canary-0123456789"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with httpx.Client(trust_env=False) as client:
        assert client.put(f"http://{host}:{port}/pictures").status_code == 200
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIACANARY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


def put(
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    *media_types: str,
    bucket: str = "pictures",
    prefix: str = "made/here",
    url_life_s: float = 600,
    deadline_s: float = 10,
) -> list[str]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)

    async def upload() -> list[str]:
        host = S3Host(bucket, prefix, url_life_s=url_life_s, deadline_s=deadline_s)
        try:
            return await asyncio.gather(*(host.put(PNG, media_type) for media_type in media_types or ["image/png"]))
        finally:
            await host.aclose()

    return asyncio.run(upload())


def refused(endpoint: str, monkeypatch: pytest.MonkeyPatch, **options: object) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        put(endpoint, monkeypatch, **options)  # type: ignore[arg-type]
    assert "IMAGE_BUCKET" in caught.value.message
    assert SECRET not in caught.value.message
    assert "AKIACANARY" not in caught.value.message
    return caught.value


def test_the_address_serves_the_picture(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [url] = put(moto, monkeypatch)
    found = httpx.get(url, trust_env=False)
    assert (found.status_code, found.content) == (200, PNG)
    assert found.headers["content-type"] == "image/png"
    assert found.headers["content-disposition"] == "inline"
    assert found.headers["cache-control"] == "private"


def test_names_are_random_and_lie_under_the_prefix(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = put(moto, monkeypatch, "image/png", "image/JPEG; q=1", "image/svg+xml", "image/webp")
    names = [urlsplit(url).path.removeprefix("/pictures/made/here/") for url in urls]
    assert [name.partition(".")[2] for name in names] == ["png", "jpg", "bin", "webp"]
    assert len({name.partition(".")[0] for name in names}) == 4
    assert all(len(bytes.fromhex(name.partition(".")[0])) == 16 for name in names)
    found = httpx.get(urls[2], trust_env=False)
    assert found.headers["content-type"] == "application/octet-stream"
    [bare] = put(moto, monkeypatch, prefix="")
    assert urlsplit(bare).path.count("/") == 2


@pytest.mark.parametrize(("asked", "given"), [(600.0, "600"), (1e9, "604800"), (0.1, "1")])
def test_the_address_ends(moto: str, monkeypatch: pytest.MonkeyPatch, asked: float, given: str) -> None:
    [url] = put(moto, monkeypatch, url_life_s=asked)
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Expires"] == [given]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert SECRET not in url


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "x", "AWS_DEFAULT_REGION": "eu-north-1"}, "eu-north-1"),
    ],
)
def test_the_region_is_the_environments(
    moto: str, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], region: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    [url] = put(moto, monkeypatch)
    assert f"/{region}/s3/" in parse_qs(urlsplit(url).query)["X-Amz-Credential"][0]


def test_a_bucket_that_is_not_there_is_named(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(moto, monkeypatch, bucket="nobodys")
    assert (error.status, error.code, error.should_retry) == (502, "image_host_refused", False)
    assert "NoSuchBucket" in error.message
    assert "s3://nobodys" in error.message


def test_missing_credentials_are_named(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = refused(moto, monkeypatch)
    assert (error.status, error.code) == (502, "image_host_refused")
    assert "NoCredentialsError" in error.message


@pytest.mark.parametrize("endpoint", ["not an address", "http://"])
def test_an_endpoint_that_is_no_address_is_named(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(endpoint, monkeypatch).code == "image_host_refused"


def test_a_server_that_is_down_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback_socket() as bound:
        port = bound.getsockname()[1]
    error = refused(f"http://127.0.0.1:{port}", monkeypatch, deadline_s=5)
    assert (error.status, error.code, error.should_retry) == (503, "image_host_unreachable", True)


def test_a_server_that_is_silent_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback_socket() as bound:
        bound.listen()
        began = time.monotonic()
        error = refused(f"http://127.0.0.1:{bound.getsockname()[1]}", monkeypatch, deadline_s=0.3)
        assert error.code == "image_host_unreachable"
        assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AccessDenied", (502, "image_host_refused", "s3:PutObject")),
        (400, "AuthorizationHeaderMalformed", (502, "image_host_refused", "AWS_DEFAULT_REGION")),
        (301, "PermanentRedirect", (502, "image_host_refused", "TooManyRedirects")),
        (503, "SlowDown", (503, "image_host_unreachable", "SlowDown")),
        (500, "Weird", (503, "image_host_unreachable", "Weird")),
        (400, "<script>x", (502, "image_host_refused", "unknown")),
    ],
)
def test_answers_of_the_bucket_are_told_apart(
    status: int, code: str, expected: tuple[int, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    escaped = code.replace("<", "&lt;").replace(">", "&gt;")
    body = f"<Error><Code>{escaped}</Code><Message>{SECRET}</Message></Error>".encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    with loopback_socket() as bound:
        bound.listen()
        bound.settimeout(5)
        thread = threading.Thread(target=_answer, args=(bound, head.encode() + body), daemon=True)
        thread.start()
        error = refused(f"http://127.0.0.1:{bound.getsockname()[1]}", monkeypatch)
        bound.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert (error.status, error.code) == expected[:2]
    assert expected[2] in error.message
    assert "<script>" not in error.message


def _answer(bound: socket.socket, answer: bytes) -> None:
    """Every connection gets the same answer, until the socket is shut down."""
    while True:
        try:
            connection, _ = bound.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(5)
            received = connection.recv(65_536)
            if b"100-continue" in received:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                connection.recv(65_536)
            connection.sendall(answer)


def test_without_boto3_the_operator_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    error = refused("http://127.0.0.1:1", monkeypatch)
    assert error.status == 502
    assert "boto3" in error.message


def test_the_client_is_made_once_and_lazily(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", moto)

    async def upload() -> None:
        host = S3Host("pictures", "", url_life_s=60)
        place: ImageHost = host
        assert host._client is None
        await asyncio.gather(*(place.put(PNG, "image/png") for _ in range(4)))
        first = host._client
        await host.put(PNG, "image/png")
        assert host._client is first
        await host.aclose()
        await host.aclose()

    asyncio.run(upload())


def on_host(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, work: Callable[[S3Host], Awaitable[T]], **options: Any
) -> T:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)

    async def main() -> T:
        host = S3Host(*options.get("place", ("pictures", "made/here")), url_life_s=60)
        try:
            return await work(host)
        finally:
            await host.aclose()

    return asyncio.run(main())


def test_a_given_name_is_kept_and_written_over(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def twice(host: InputHost) -> tuple[str, str]:
        return await host.put(b"old", "image/png", "a" * 64), await host.put(PNG, "image/png", "a" * 64)

    urls = on_host(moto, monkeypatch, twice)
    assert {urlsplit(url).path for url in urls} == {f"/pictures/made/here/{'a' * 64}.png"}
    assert httpx.get(urls[0], trust_env=False).content == PNG


@pytest.mark.parametrize("prefix", ["made/here", "", "it's (here)!/*"])
def test_an_address_is_renewed_when_its_time_is_over(moto: str, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    async def renew(host: S3Host) -> tuple[str, str | None]:
        url = await host.put(PNG, "image/webp")
        over = f"{url.partition('?')[0]}?X-Amz-Date=20200101T000000Z&X-Amz-Expires=1&X-Amz-Signature=0"
        assert host.may_know(over)
        assert host.is_shown_in(f'{{"content": "![image]({url})"}}'.encode())
        assert host.is_shown_in(url.replace("/", "\\/").replace("&", "\\u0026").encode())
        return url, await host.renewed(over)

    url, fresh = on_host(moto, monkeypatch, renew, place=("pictures", prefix.replace(" ", "")))
    assert fresh is not None and fresh.partition("?")[0] == url.partition("?")[0]
    assert httpx.get(fresh, trust_env=False).content == PNG


@pytest.mark.parametrize(
    "changed",
    [
        lambda base: base.replace("/pictures/", "/others/"),
        lambda base: base.replace("/made/here/", "/made/"),
        lambda base: base.replace("/made/here/", "/made/here/more/"),
        lambda base: base.replace("http://", "https://"),
        lambda base: base.replace("127.0.0.1", "127.0.0.2"),
        lambda base: base.replace("http://", "http://user@"),
        lambda base: f"https://evil.example/?x={base}",
        lambda base: base + "/",
        lambda base: base + "%00",
        lambda base: base.replace(".png", ".bin"),
        lambda base: base.replace(".png", ".png\n"),
        lambda base: base.rpartition("/")[0] + f"/{'a' * 64}.png",
        lambda base: base.rpartition("/")[0] + "/../here/" + base.rpartition("/")[2],
        lambda base: "",
    ],
)
def test_no_other_address_is_ever_signed(
    moto: str, monkeypatch: pytest.MonkeyPatch, changed: Callable[[str], str]
) -> None:
    async def renew(host: S3Host) -> str | None:
        await host.put(PNG, "image/png", "a" * 64)
        base = (await host.put(PNG, "image/png")).partition("?")[0]
        assert changed(base) != base
        return await host.renewed(changed(base) + "?X-Amz-Signature=0")

    assert on_host(moto, monkeypatch, renew) is None


def test_a_picture_that_is_gone_has_no_address(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def renew(host: S3Host) -> str | None:
        base = (await host.put(PNG, "image/png")).partition("?")[0]
        return await host.renewed(f"{base.rpartition('/')[0]}/{'0' * 32}.png")

    assert on_host(moto, monkeypatch, renew) is None


def test_a_look_at_a_place_that_is_down_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with loopback_socket() as bound:
        endpoint = f"http://127.0.0.1:{bound.getsockname()[1]}"
    url = f"{endpoint}/pictures/made/here/{'0' * 32}.png"
    with pytest.raises(GatewayError) as caught:
        on_host(endpoint, monkeypatch, lambda host: host.renewed(url))
    assert (caught.value.status, caught.value.code) == (503, "image_host_unreachable")


def test_other_texts_show_no_picture_of_this_bucket() -> None:
    host = S3Host("pictures", "", url_life_s=60)
    assert not host.is_shown_in(b"pictures")
    assert not host.is_shown_in(b"https://other.example/a.png?X-Amz-Signature=0")
