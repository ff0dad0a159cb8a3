"""Settings → relays over the configured upstreams. Each deployment imports only what it is configured for, and what
few requests need is imported with the first of them."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from lib.failover import Budget, Failover
from lib.relay import Relay
from lib.routing import Router
from lib.types import Clock
from lib.wired_upstreams import Upstreams

if TYPE_CHECKING:
    from lib.doctor.configuration import Platform
    from lib.doctor.examination import DemoApp, Doctor
    from lib.forward_relay import ForwardRelay
    from lib.hosted_inputs import HostedInputs
    from lib.hosting import S3Host
    from lib.image_relay import ImageRelay
    from lib.reading.reader import Reader
    from lib.settings import Settings
    from lib.status import Status
    from lib.stored_responses import StoredResponses


class Gateway:
    """The relays of a deployment. Opens no connection before a request needs one."""

    def __init__(self, settings: Settings, now: Clock) -> None:
        self._settings = settings
        self._now = now
        self._upstreams = Upstreams(settings, now)
        self._targets = self._upstreams.targets()
        self._router = Router(
            self._targets,
            self._upstreams.passthrough,
            default_model=settings.default_model,
            cache_s=settings.models_cache_s,
            now=now,
            model_map=settings.model_map,
        )
        budget = Budget(settings.max_attempts, settings.failover_budget_s, settings.first_byte_timeout_s)
        self._failover = Failover(budget, now=now)
        self._closers: list[Callable[[], Awaitable[None]]] = [self._upstreams.aclose]

    @functools.cached_property
    def relay(self) -> Relay:
        """For model requests."""
        return Relay(
            self._router,
            self._failover,
            commit_wait_s=self._settings.commit_wait_s,
            now=self._now,
            new_id=lambda: os.urandom(16).hex(),
            accounts=self._upstreams.counts,
            forwarding=self.forwarding if self._upstreams.forwards else None,
            reader=self._reader if self._settings.read_urls else None,
            host=self._host,
            history=self.responses,
            inputs=self._inputs,
        )

    @functools.cached_property
    def responses(self) -> StoredResponses | None:
        """What is kept of earlier turns; None: nothing."""
        life_s = self._settings.responses_life_s
        if self._settings.state_url is None or not life_s:
            return None
        from lib.stored_responses import StoredResponses

        store = self._upstreams.store
        return StoredResponses(store, life_s=life_s, strict=store.strict)

    @functools.cached_property
    def images(self) -> ImageRelay:
        """For pictures."""
        from lib.image_relay import ImageRelay

        return ImageRelay(
            self._router,
            self._failover,
            commit_wait_s=self._settings.commit_wait_s,
            now=self._now,
            host=self._host,
            fetch=self._reader.fetch_image,
        )

    @functools.cached_property
    def forwarding(self) -> ForwardRelay:
        """For what goes to an upstream as it is."""
        from lib.forward_relay import ForwardRelay

        return ForwardRelay(self._router, self._failover, now=self._now, max_event_bytes=self._settings.max_event_bytes)

    @functools.cached_property
    def status(self) -> Status:
        """For the operator."""
        from lib.status import Status

        return Status(self._settings, self._upstreams, self._now)

    def doctor(self, platform: Platform, demo_app: DemoApp) -> Doctor:
        """For the self-check. demo_app: makes an application on the demo upstream."""
        from lib.doctor.examination import Doctor
        from lib.doctor.upstreams import Answering

        upstreams = self._upstreams
        answering = Answering(self._targets, upstreams.pools, upstreams.codex_api, upstreams.chatgpt.see, self._now)
        return Doctor(
            self._settings,
            answering,
            upstreams.store,
            host=lambda: self._host,
            platform=platform,
            demo_app=demo_app,
        )

    async def close(self) -> None:
        """Closes every connection."""
        for close in self._closers:
            await close()

    @functools.cached_property
    def _reader(self) -> Reader:
        from lib.reading.reader import Reader
        from lib.upstreams.guarded import GuardedClient

        return Reader(GuardedClient().fetch)

    @functools.cached_property
    def _inputs(self) -> HostedInputs | None:
        settings = self._settings
        if settings.image_bucket is None and settings.openai_image_input != "url":
            return None
        from lib.hosted_inputs import HostedInputs

        return HostedInputs(self._host, url_life_s=settings.image_url_life_s, now=self._now)

    @functools.cached_property
    def _host(self) -> S3Host | None:
        bucket: Any = self._settings.image_bucket
        if bucket is None:
            return None
        from lib.hosting import S3Host

        host = S3Host(*bucket, url_life_s=self._settings.image_url_life_s)
        self._closers.append(host.aclose)
        return host
