"""The error bodies of the Codex backend, and the exception that carries one."""

from __future__ import annotations

from typing import Any, NoReturn

JSON = {"content-type": "application/json"}
HTML = {"content-type": "text/html; charset=UTF-8", "server": "cloudflare", "cf-ray": "8f0000000000beef-OSL"}
CHALLENGE = "<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>marked-html</body></html>"
BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body>marked-html</body></html>"

REVOKED = {
    "token_expired": "Provided authentication token is expired. Please try signing in again.",
    "token_invalidated": "Your authentication token has been invalidated. Please try signing in again.",
    "token_revoked": "Encountered invalidated oauth token for user, failing request",
    "account_deactivated": "Your OpenAI account has been deactivated, please check your email for more information.",
}
REFRESH = {
    "refresh_token_reused": "Your refresh token has already been used to generate a new access token. "
    "Please try signing in again.",
    "refresh_token_expired": "Your refresh token has expired. Please sign in again.",
    "refresh_token_invalidated": "Your refresh token was revoked. Please sign in again.",
}


class Refused(Exception):
    """A request that the backend does not serve."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def edge(detail: Any, status: int = 400) -> NoReturn:
    """Refused by the front end, before the model API sees the request."""
    raise Refused(status, {"detail": detail})


def api(message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> NoReturn:
    """Refused by the API layer."""
    raise Refused(status, error_body(message, param=param, code=code))


def error_body(
    message: str, *, type: str | None = "invalid_request_error", param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def token_body(code: str) -> dict[str, Any]:
    """The 401 body of a token that is no longer good."""
    return {**error_body(REVOKED[code], code=code), "status": 401}


def unknown_key(path: str) -> NoReturn:
    api(f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter")


def missing(path: str) -> NoReturn:
    api(f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter")


def bad_value(path: str, value: object, supported: list[str]) -> NoReturn:
    names = " and ".join(f"'{name}'" for name in supported)
    message = f"Invalid value: '{value}'. Supported values are: {names}."
    api(message, param=path, code="invalid_value")


def bad_type(path: str, expected: str) -> NoReturn:
    api(f"Invalid type for '{path}': expected {expected}.", param=path, code="invalid_type")


def too_long(path: str, limit: int, length: int) -> NoReturn:
    message = (
        f"Invalid '{path}': string too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {length} instead."
    )
    api(message, param=path, code="string_above_max_length")
