"""The application: settings in, ASGI out. The only place that reads settings and knows which platform this is."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

from lib.types import Clock
from lib.web.admin import AdminApi
from lib.web.auth import Authenticator
from lib.web.billing import BillingApi
from lib.web.deadline import Deadlines
from lib.web.doctor import DoctorApi
from lib.web.forward import ForwardApi
from lib.web.gate import Gate
from lib.web.images import ImageApi
from lib.web.instance import Instance
from lib.web.keys import KeysApi
from lib.web.logs import RequestLog, configure, log_problem, log_request
from lib.web.paths import Table
from lib.web.routes import Api
from lib.web.setup import SetupApi
from lib.web.stored import StoredApi

if TYPE_CHECKING:
    from lib.doctor.configuration import Platform
    from lib.settings import Settings
    from lib.web.scopes import Scopes

# Just below what the platform takes, so that the answer is ours: Vercel 4.5 MB, Lambda 6 MB.
VERCEL_MAX_BYTES = 4_400_000
LAMBDA_MAX_BYTES = 5_900_000
MAX_BYTES = 32 * 1024 * 1024

SERVER = "server"
"""A host that is no platform for functions."""

_MAX_BYTES = {"vercel": VERCEL_MAX_BYTES, "lambda": LAMBDA_MAX_BYTES}


def create_app(settings: Settings, *, now: Clock = time.time) -> Gate:
    """The gateway as the settings say. Opens no connection; reports unusable settings to the log."""
    configure(settings.log_level, settings.log_format)
    for problem in settings.problems:
        log_problem(problem.variable, problem.problem)
    return _assembled(settings, now)


def _assembled(settings: Settings, now: Clock, log: RequestLog = log_request) -> Gate:
    from lib.wiring import Gateway  # with it come the upstreams; an API of one's own needs none of them

    gateway = Gateway(settings, now)
    auth = Authenticator(
        settings.gateway_keys,
        settings.private_prefixes,
        pairs=[(key_id, secret.get_secret_value()) for key_id, secret in settings.key_pairs],
        now=now,
        scopes=_scopes(settings, now),
    )
    limit = settings.max_request_bytes or platform_max_bytes(os.environ)
    strict, keep_alive_s = settings.strict_parameters, settings.keep_alive_s
    images = ImageApi(lambda: gateway.images, auth, max_request_bytes=limit, strict=strict, keep_alive_s=keep_alive_s)
    forwarded = ForwardApi(lambda: gateway.forwarding, auth, max_request_bytes=limit, keep_alive_s=keep_alive_s)
    others = [
        *images.endpoints(),
        *forwarded.endpoints(),
        *StoredApi(lambda: gateway.responses, auth, max_request_bytes=limit).endpoints(),
        *BillingApi(auth).endpoints(),
        *KeysApi(next(iter(settings.key_secrets), None), auth, now=now).endpoints(),
        *SetupApi(auth, gateway.relay.models, public_url=settings.public_url, model=settings.default_model).endpoints(),
        *DoctorApi(
            lambda: gateway.doctor(_platform(os.environ, limit), _demo_app(settings)),
            auth,
            app=lambda: app,
            max_request_bytes=limit,
            public_url=settings.public_url,
            behind_platform=platform_name(os.environ) != SERVER,
        ).endpoints(),
    ]
    instance = Instance()
    offers = [endpoint.path for endpoint in others]
    others += AdminApi(lambda: gateway.status, auth, instance, offers=offers).endpoints()
    api = Api(
        gateway.relay,
        auth,
        max_request_bytes=limit,
        strict=strict,
        keep_alive_s=keep_alive_s,
        others=others,
    )
    deadlines = Deadlines(limit_s=settings.max_duration_s, margin_s=settings.deadline_margin_s)
    app = build_app(
        api,
        now=now,
        close=gateway.close,
        deadlines=deadlines,
        max_answer_bytes=platform_max_answer_bytes(os.environ),
        instance=instance,
        log=log,
    )
    return app


def _demo_app(settings: Settings) -> Callable[[str], Gate]:
    """Makes gateways on the demo upstream for the self-check: with nothing of this deployment but how strict it is, and
    without a line in the log."""

    def made(key: str) -> Gate:
        from pydantic import SecretStr

        demo = type(settings).model_construct(
            auth_tokens=(SecretStr(key),), strict_parameters=settings.strict_parameters
        )
        return _assembled(demo, time.time, log=lambda trace, *, now: None)

    return made


def _platform(environ: Mapping[str, str], limit: int) -> Platform:
    from lib.doctor.configuration import Platform

    name = platform_name(environ)
    return Platform(name, platform_max_bytes(environ), limit, platform_max_answer_bytes(environ))


def _scopes(settings: Settings, now: Clock) -> Scopes | None:
    """What knows scoped keys; imported where there are any."""
    if not settings.key_secret:
        return None
    from lib.web.scopes import Scopes

    return Scopes(settings.key_secrets, settings.revoked_keys, now)


def build_app(
    api: Api,
    *,
    now: Clock = time.time,
    close: Callable[[], Awaitable[None]] | None = None,
    deadlines: Deadlines | None = None,
    max_answer_bytes: int | None = None,
    instance: Instance | None = None,
    log: RequestLog = log_request,
) -> Gate:
    """The gate around an API that is ready. `close` is awaited at a server's orderly shutdown."""
    return Gate(
        Table(api.endpoints()),
        now=now,
        close=close,
        deadlines=deadlines,
        max_answer_bytes=max_answer_bytes,
        instance=instance,
        log=log,
    )


def platform_name(environ: Mapping[str, str]) -> str:
    """`vercel`, `lambda` or SERVER. Vercel may set AWS variables, too: it goes first."""
    if "VERCEL" in environ:
        return "vercel"
    return "lambda" if "AWS_LAMBDA_FUNCTION_NAME" in environ else SERVER


def platform_max_bytes(environ: Mapping[str, str]) -> int:
    """The largest request body that the platform lets through."""
    return _MAX_BYTES.get(platform_name(environ), MAX_BYTES)


def platform_max_answer_bytes(environ: Mapping[str, str]) -> int | None:
    """The largest answer in one piece that the platform lets through; streams have no such limit. None: there is none,
    or the entry point minds it, as on Lambda, where it depends on who asks."""
    return VERCEL_MAX_BYTES if "VERCEL" in environ else None
