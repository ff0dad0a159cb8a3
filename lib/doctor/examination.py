"""The whole self-check of a deployment: every check with what it needs of it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lib.doctor.configuration import Platform, platform_findings, settings_findings
from lib.doctor.finding import CHECK_LIMIT_S, Check, Finding, examine
from lib.doctor.keeping import DeploymentStore, bucket_findings, store_findings
from lib.doctor.own_address import Address, OwnAddress
from lib.doctor.upstreams import Answering, Measured, account_findings, clock_finding, upstream_findings
from lib.doctor.walk import App, walk

if TYPE_CHECKING:
    from lib.hosting import ImageHost
    from lib.settings import Settings

DemoApp = Callable[[str], App]
"""A gateway key → an application on the demo upstream that takes it and logs nothing."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for the self-check."""

    address: Address
    app: App
    """This deployment's own, in process."""
    deadline_at: float | None
    """When an answer has to be over, in epoch seconds."""
    is_live: bool
    """Whether it may spend a little of the accounts' quota, and leave a few bytes in the bucket."""


class Doctor:
    """Examines one deployment. host: the bucket for pictures, opened when it is asked for."""

    def __init__(
        self,
        settings: Settings,
        answering: Answering,
        store: DeploymentStore,
        *,
        host: Callable[[], ImageHost | None],
        platform: Platform,
        demo_app: DemoApp,
    ) -> None:
        self._settings = settings
        self._answering = answering
        self._store = store
        self._host = host
        self._platform = platform
        self._demo_app = demo_app

    async def examine(self, visit: Visit) -> list[Finding]:
        """All findings, within CHECK_LIMIT_S and before the deadline. Raises nothing."""
        now = self._answering.now
        limit_s = CHECK_LIMIT_S
        if visit.deadline_at is not None:
            limit_s = max(1.0, min(limit_s, visit.deadline_at - now() - 1.0))
        measured = Measured()
        found = await examine(self._checks(visit, measured), limit_s=limit_s)
        return [*found, clock_finding(measured)]

    def _checks(self, visit: Visit, measured: Measured) -> dict[str, Check]:
        settings, answering = self._settings, self._answering

        async def told() -> Sequence[Finding]:
            return [
                *settings_findings(settings),
                *platform_findings(self._platform, visit.deadline_at, answering.now()),
                *account_findings(answering, settings),
            ]

        async def upstreams() -> Sequence[Finding]:
            return await upstream_findings(answering, measured)

        async def own_address() -> Sequence[Finding]:
            return await OwnAddress(visit.address, now=answering.now).findings(measured)

        async def store() -> Sequence[Finding]:
            return await store_findings(self._store, is_shared=settings.state_url is not None)

        async def bucket() -> Sequence[Finding]:
            return await bucket_findings(self._host, is_set=settings.image_bucket is not None, is_live=visit.is_live)

        async def clients() -> Sequence[Finding]:
            from lib.doctor.clients import CLIENTS

            key = secrets.token_hex(16)
            return await walk(self._demo_app(key), key, CLIENTS)

        async def live() -> Sequence[Finding]:
            if not visit.is_live:
                return []
            from lib.doctor.live import live_findings

            names = [target.name for target in answering.targets if target.name in answering.pools]
            return await live_findings(visit.app, visit.address.credential, names, model=settings.default_model)

        return {
            "settings": told,
            "upstreams": upstreams,
            "own address": own_address,
            "state store": store,
            "image bucket": bucket,
            "live": live,
            "clients": clients,
        }
