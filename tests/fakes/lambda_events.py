"""HTTP events as the front doors of AWS Lambda make them, and what such a front door makes of a buffered answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

HOST = "abcdefghij.lambda-url.us-east-1.on.aws"
CLIENT = "203.0.113.7"

EventMaker = Callable[..., dict[str, Any]]


def function_url(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | bytes = "",
    query: str = "",
) -> dict[str, Any]:
    """Format 2.0 of a function URL. A `bytes` body travels in base64; absent when empty."""
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": CLIENT, "userAgent": "test"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": _forwarded(headers),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": HOST.partition(".")[0],
            "domainName": HOST,
            "http": http,
            "requestId": "11111111-2222-4333-8444-555555555555",
            "routeKey": "$default",
            "stage": "$default",
            "timeEpoch": 1795291200000,
        },
        **_body(body),
    }


def http_api(method: str, path: str, **parts: Any) -> dict[str, Any]:
    """Format 2.0 of an HTTP API (API Gateway v2) with its `$default` stage: the catch-all route has a key."""
    event = function_url(method, path, **parts)
    event["routeKey"] = event["requestContext"]["routeKey"] = "ANY /{proxy+}"
    return event


def rest_api(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | bytes = "",
    query: str = "",
) -> dict[str, Any]:
    """Format 1.0 of a REST API (API Gateway v1)."""
    single, multiple = _query(query)
    sent = _forwarded(headers)
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": single,
        "multiValueQueryStringParameters": multiple,
        "pathParameters": {"proxy": path.lstrip("/")},
        "requestContext": {"stage": "prod", "httpMethod": method, "identity": {"sourceIp": CLIENT}},
        **({"body": None, "isBase64Encoded": False} | _body(body)),
    }


def load_balancer(
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | bytes = "",
    query: str = "",
) -> dict[str, Any]:
    """An application load balancer's event, multi-value headers off."""
    arn = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/chat2api/0000000000000000"
    return {
        "requestContext": {"elb": {"targetGroupArn": arn}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": _query(query)[0] or {},
        "headers": _forwarded(headers),
        **({"body": "", "isBase64Encoded": False} | _body(body)),
    }


def load_balancer_multi_value(method: str, path: str, **parts: Any) -> dict[str, Any]:
    """The same with multi-value headers on: then the answer must use them, too."""
    event = load_balancer(method, path, **parts)
    event["multiValueHeaders"] = {name: [value] for name, value in event.pop("headers").items()}
    query = event.pop("queryStringParameters")
    event["multiValueQueryStringParameters"] = {name: [value] for name, value in query.items()}
    return event


FRONT_DOORS: dict[str, EventMaker] = {
    "function_url": function_url,
    "http_api": http_api,
    "rest_api": rest_api,
    "load_balancer": load_balancer,
    "load_balancer_multi_value": load_balancer_multi_value,
}


@dataclass(frozen=True)
class Seen:
    """What the client of a front door sees."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def seen_by_client(door: str, answer: Mapping[str, Any]) -> Seen:
    """Interprets a buffered answer as the front door does: each reads its own header form and nothing else."""
    headers: dict[str, str] = {}
    if door != "load_balancer_multi_value":
        headers |= {name.lower(): str(value) for name, value in (answer.get("headers") or {}).items()}
    if door in ("rest_api", "load_balancer_multi_value"):
        multiple = answer.get("multiValueHeaders") or {}
        headers |= {name.lower(): ",".join(values) for name, values in multiple.items()}
    body = answer.get("body") or ""
    decoded = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
    return Seen(int(answer["statusCode"]), headers, decoded)


def _forwarded(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {
        "host": HOST,
        "x-forwarded-for": CLIENT,
        "x-forwarded-proto": "https",
        "x-forwarded-port": "443",
        **{name.lower(): value for name, value in (headers or {}).items()},
    }


def _body(body: str | bytes) -> dict[str, Any]:
    if not body:
        return {}
    if isinstance(body, bytes):
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {"body": body, "isBase64Encoded": False}


def _query(query: str) -> tuple[dict[str, str] | None, dict[str, list[str]] | None]:
    multiple = parse_qs(query, keep_blank_values=True)
    if not multiple:
        return None, None
    return {name: values[-1] for name, values in multiple.items()}, multiple
