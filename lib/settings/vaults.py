"""Where references lead: AWS's parameter store (`ssm:`) and secrets manager (`secretsmanager:`).

boto3 is imported here, and the calls run side by side in threads. Region, credentials and endpoints are those of the
environment or of the platform's role. Reasons name neither value nor reference.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import msgspec

from lib.settings.reading import Unresolved

LIMIT_S = 3.0
"""For all references together, once there are clients."""
MAX_THREADS = 16

_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NO_RIGHT = "the role needs ssm:GetParameter or secretsmanager:GetSecretValue, and kms:Decrypt for a key of your own"
_HINTS = {
    "ParameterNotFound": "there is no such parameter in this region",
    "ParameterVersionNotFound": "the parameter has no such version",
    "ResourceNotFoundException": "there is no such secret in this region",
    "AccessDeniedException": _NO_RIGHT,
    "AccessDenied": _NO_RIGHT,
    "NoCredentialsError": "there are no AWS credentials in the environment",
    "NoRegionError": "set AWS_REGION",
}


class _Source(NamedTuple):
    """One call: a secret with several keys is read once."""

    service: str
    name: str


class _Failed(Exception):
    """Its message is the reason."""


Texts = dict[_Source, "str | Unresolved"]
Reader = Callable[[str], str]
"""Reads one name. Raises _Failed."""


def fetch(refs: Collection[str], *, limit_s: float = LIMIT_S) -> dict[str, str | Unresolved]:
    """What each reference refers to, or why that is not known. Raises nothing."""
    parsed = {ref: _parsed(ref) for ref in refs}
    sources = sorted({source for source, _ in parsed.values()})
    try:
        readers = _readers({source.service for source in sources}, limit_s)
    except _Failed as failed:
        return dict.fromkeys(refs, Unresolved(str(failed)))
    texts = _side_by_side(sources, readers, limit_s)
    return {ref: _member(texts[source], key) for ref, (source, key) in parsed.items()}


def _parsed(ref: str) -> tuple[_Source, str]:
    """The source, and the member of its JSON object; empty for the whole."""
    service, _, rest = ref.partition(":")
    service = service.lower()
    name, _, key = rest.partition("#") if service == "secretsmanager" else (rest, "", "")
    return _Source(service, name), key


def _member(text: str | Unresolved, key: str) -> str | Unresolved:
    if isinstance(text, Unresolved) or not key:
        return text
    try:
        secret = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return Unresolved("is a reference with a key, but the secret is not JSON")
    member = secret.get(key) if isinstance(secret, dict) else None
    if member is None:
        return Unresolved("is a reference with a key that the secret does not have")
    return member if isinstance(member, str) else msgspec.json.encode(member).decode()


def _side_by_side(sources: Collection[_Source], readers: dict[str, Reader], limit_s: float) -> Texts:
    """In threads of our own: the end of the process would wait for those of a pool."""
    texts: Texts = dict.fromkeys(sources, Unresolved(f"is a reference that could not be resolved within {limit_s:g} s"))
    waiting: queue.SimpleQueue[_Source] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[_Source, str | Unresolved]] = queue.SimpleQueue()
    for source in sources:
        waiting.put(source)

    def work() -> None:
        while not waiting.empty():
            try:
                source = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((source, readers[source.service](source.name)))
            except _Failed as failed:
                done.put((source, Unresolved(str(failed))))

    for _ in range(min(MAX_THREADS, len(sources))):
        threading.Thread(target=work, name="secrets", daemon=True).start()
    end = time.monotonic() + limit_s
    for _ in sources:
        try:
            source, text = done.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        texts[source] = text
    return texts


def _readers(services: Collection[str], limit_s: float) -> dict[str, Reader]:
    """For each service. Raises _Failed."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise _Failed("is a reference, and the package boto3 that resolves it is not installed") from None
    # At DEBUG it logs whole answers, and the root logger, which may be at DEBUG, is the platform's.
    logging.getLogger("botocore.parsers").setLevel(logging.INFO)
    config = Config(
        connect_timeout=limit_s / 2,
        read_timeout=limit_s,
        retries={"total_max_attempts": 3, "mode": "standard"},  # many cold starts at once meet its rate limit
        max_pool_connections=MAX_THREADS,
    )
    # boto3 itself reads AWS_DEFAULT_REGION alone.
    region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    makers = {"ssm": _parameters, "secretsmanager": _secrets}
    try:
        session = boto3.session.Session()
        return {
            service: makers[service](session.client(service, region_name=region, config=config)) for service in services
        }
    except (BotoCoreError, ValueError) as error:
        raise _failed(type(error).__name__) from None


def _parameters(client: Any) -> Reader:
    def read(name: str) -> str:
        value: str = _asked(client.get_parameter, Name=name, WithDecryption=True)["Parameter"]["Value"]
        return value

    return read


def _secrets(client: Any) -> Reader:
    def read(name: str) -> str:
        value = _asked(client.get_secret_value, SecretId=name).get("SecretString")
        if not isinstance(value, str):
            raise _Failed("is a reference to a secret that is binary")
        return value

    return read


def _asked(call: Callable[..., Any], **arguments: Any) -> Any:
    """Raises _Failed, whatever it is: botocore lets exceptions of urllib3 and of its parsers through."""
    from botocore.exceptions import ClientError

    try:
        return call(**arguments)
    except ClientError as error:
        raise _failed(str(error.response.get("Error", {}).get("Code"))) from None
    except Exception as error:  # noqa: BLE001 - see above; the class is told, never the text
        raise _failed(type(error).__name__) from None


def _failed(code: str) -> _Failed:
    code = code if _CODE.fullmatch(code) else "unknown"
    hint = _HINTS.get(code)
    return _Failed(f"is a reference that could not be resolved: {code}{f' ({hint})' if hint else ''}")
