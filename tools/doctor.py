"""`make doctor URL=… KEY=…`: a deployment seen from outside, as its clients see it, and what it says of itself.

A URL without a scheme means https, or http on a loopback address.

Exits with 1 when there is a problem, with 2 when it was not told what to look at. LIVE=1 lets the deployment send a
tiny request to each upstream. The key is sent to URL and never shown.
"""

from __future__ import annotations

import ipaddress
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from lib.doctor.finding import Finding, duration, size
from lib.doctor.own_address import STREAM_PATH, judge_preflight, judge_stream
from lib.doctor.report import as_text, from_json, is_ok
from lib.doctor.upstreams import Measured, clock_finding, note_date

TIMEOUT_S = 40.0
OUTSIDE = "outside: "

_PREFLIGHT = {
    "origin": "https://doctor.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization, content-type, x-stainless-os",
}
_PIECE_BYTES = 64 * 1024


def main(environ: Mapping[str, str]) -> int:
    """The exit code."""
    url, key = address(environ.get("URL", "")), environ.get("KEY", "").strip()
    if url is None or not key:
        sys.stderr.write("usage: make doctor URL=https://gateway.example KEY=<one of AUTH_TOKENS> [LIVE=1]\n")
        return 2
    headers = {"authorization": f"Bearer {key}", "accept-encoding": "identity"}
    with httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S) as http:
        found = examined(http, is_live=environ.get("LIVE", "") == "1")
    sys.stdout.write(as_text(found))
    return 0 if is_ok(found) else 1


def address(given: str) -> httpx.URL | None:
    """Where a deployment is, without /v1; None for what is no address."""
    text, has_scheme = given.strip().rstrip("/").removesuffix("/v1"), "://" in given
    try:
        url = httpx.URL(text if has_scheme else f"https://{text}")
        if not has_scheme and _is_loopback(url.host):
            url = url.copy_with(scheme="http")
    except httpx.InvalidURL:
        return None
    return url if url.scheme in ("http", "https") and url.host else None


def examined(http: httpx.Client, *, is_live: bool = False) -> list[Finding]:
    """What is seen from here, then what the deployment says. http: with the deployment's address and a key."""
    reached, measured = _reached(http)
    found = [reached]
    if reached.status == "problem":
        return found
    found += [_tried("streaming", lambda: _streaming(http)), _tried("browsers (CORS)", lambda: _cors(http))]
    found.append(_renamed(clock_finding(measured)))
    inside, limit = _inside(http, is_live)
    if limit is not None:
        found.append(_tried("body limit", lambda: _body_limit(http, limit)))
    return [*found, *inside]


def _reached(http: httpx.Client) -> tuple[Finding, Measured]:
    name, measured = f"{OUTSIDE}address", Measured()
    try:
        began = time.monotonic()
        with http.stream("GET", "/ping") as answer:
            took = duration(time.monotonic() - began)
            tls = answer.extensions["network_stream"].get_extra_info("ssl_object")
            answer.read()
    except httpx.HTTPError as error:
        advice = "Check the address, its name and its certificate."
        where = f"{http.base_url.scheme}://{http.base_url.netloc.decode('ascii')}"
        return Finding(name, "problem", f"{where} cannot be reached ({type(error).__name__}).", advice), measured
    note_date(measured, answer.headers.get("date"), time.time())
    if answer.status_code != 200 or "pong" not in answer.text:
        found = f"GET /ping is answered with {answer.status_code}, and not by a gateway of this kind."
        return Finding(name, "problem", found, "URL is the gateway's address, without or with /v1."), measured
    what = f"{answer.http_version} {tls.version() if tls else 'without TLS'}, first answer in {took}"
    if tls is None and not _is_loopback(http.base_url.host):
        return Finding(name, "warning", f"{what}.", "Keys travel in plain text: put TLS in front."), measured
    return Finding(name, "ok", f"{what}."), measured


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _streaming(http: httpx.Client) -> Finding:
    arrivals: list[float] = []
    with http.stream("GET", STREAM_PATH, headers={"accept": "text/event-stream"}) as answer:
        if answer.status_code != 200:
            return _refused("streaming", answer.status_code)
        for chunk in answer.iter_raw():
            arrivals += [time.monotonic()] * chunk.count(b"\n\n")
    return _renamed(judge_stream(arrivals))


def _cors(http: httpx.Client) -> Finding:
    answer = http.options("/v1/chat/completions", headers=_PREFLIGHT)
    return _renamed(judge_preflight(answer.status_code, answer.headers))


def _body_limit(http: httpx.Client, limit: int) -> Finding:
    """Sends a byte more than the gateway takes."""
    name = f"{OUTSIDE}body limit"

    def body() -> Iterator[bytes]:
        left = limit + 1
        while left:
            piece = b" " * min(left, _PIECE_BYTES)
            left -= len(piece)
            yield piece

    headers = {"content-length": str(limit + 1), "content-type": "application/json"}
    answer = http.post("/v1/chat/completions", content=body(), headers=headers)
    if answer.status_code == 413 and _code(answer) == "payload_too_large":
        return Finding(name, "ok", f"{size(limit + 1)} are refused by the gateway itself, with an error to read.")
    return Finding(
        name,
        "warning",
        f"{size(limit + 1)} are answered with {answer.status_code} by something in front of the gateway.",
        "It carries less than the gateway takes: set MAX_REQUEST_BYTES below its limit, or raise that.",
    )


def _inside(http: httpx.Client, is_live: bool) -> tuple[list[Finding], int | None]:
    """What the deployment says of itself, and how large a request it takes."""
    name = "self-check"
    try:
        answer = http.get("/v1/doctor", params={"live": "1"} if is_live else {}, headers={"accept": "application/json"})
    except httpx.HTTPError as error:
        found = f"GET /v1/doctor was not answered ({type(error).__name__})."
        return [Finding(name, "problem", found, "Look at the log of the deployment.")], None
    if answer.status_code != 200:
        return [_refused(name, answer.status_code)], None
    try:
        report = answer.json()
        return from_json(report), int(report["max_request_bytes"])
    except (ValueError, LookupError, TypeError):
        return [Finding(name, "problem", "GET /v1/doctor is answered by something else.", "Check URL.")], None


def _refused(name: str, status: int) -> Finding:
    advice = {
        401: "KEY is none of this deployment's keys.",
        403: "KEY has to be one of AUTH_TOKENS: no passthrough token, no scoped key.",
        404: "The deployment is older than this check: deploy it anew.",
    }
    prefix = "" if name == "self-check" else OUTSIDE
    return Finding(f"{prefix}{name}", "problem", f"It is answered with {status}.", advice.get(status, "See its log."))


def _tried(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except httpx.HTTPError as error:
        return Finding(f"{OUTSIDE}{name}", "unknown", f"The connection broke ({type(error).__name__}).", "Try again.")


def _renamed(finding: Finding) -> Finding:
    return Finding(f"{OUTSIDE}{finding.name}", finding.status, finding.found, finding.advice)


def _code(answer: httpx.Response) -> Any:
    try:
        return answer.json()["error"]["code"]
    except (ValueError, LookupError, TypeError):
        return None


if __name__ == "__main__":
    sys.exit(main(os.environ))
