"""The renewal of one account: by one instance at a time, kept in the store before it is used.

The lock is asked for until it is had, or until the account's newer tokens are in the store: then another instance has
renewed it. When a refresh token turns out to be used, the store is read once more before the account is given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lib.accounts.account import Account
from lib.accounts.oauth import RefreshError, TokenEndpoint, Tokens
from lib.accounts.rotated import RotatedTokens, Rotation, key_of
from lib.errors import StoreError
from lib.types import Clock

if TYPE_CHECKING:
    from lib.settings import AccountConfig

PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0
"""Between two tries to renew an account; doubled with each one until an answer proves the account good."""
REFUSED_S = 86_400.0
"""How long a refresh token that was refused for good is not tried again. By any instance: the store knows, too."""

_LOOK_EVERY_S = 0.25
_LOOKS = 60  # half as long again as the token endpoint may take
_LOOK_AGAIN_S = 10.0
_KEEP_PAUSES_S = (0.0, 0.2, 1.0)
_REFUSED_PAUSES_S = (0.0, 0.5, 1.5)

_LOG = logging.getLogger("chat2api.accounts")


class Flight:
    """Work that is done once for all who want it at a time, and goes on when they leave."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether it is under way on the running loop. What began on another loop may have died with it."""
        task = self._task
        return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()

    def begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if not self.is_up:
            self._task = asyncio.get_running_loop().create_task(work())

    async def land(self) -> None:
        """Wait for its end."""
        if self._task is not None and self.is_up:
            await asyncio.wait({self._task})


class Login:
    """An account with a refresh token, and how far its renewal has come."""

    def __init__(self, config: AccountConfig, account: Account, *, early_s: float) -> None:
        assert config.refresh_token is not None
        self.key = key_of(config.refresh_token)
        self.account = account
        self.rotation = Rotation(0, Tokens(config.access_token, config.refresh_token, config.id_token))
        self.is_refused = False
        self.is_kept = True
        """Whether the store has what it must have."""
        self.tries = 0
        self.next_at = 0.0
        """When the next try may begin, in epoch seconds."""
        self.flight = Flight()
        self._config = config
        self._early_s = early_s

    def is_spent(self, now: float) -> bool:
        """Whether the token is of no use any more, as far as this machine's clock tells."""
        ends_at = self.account.expires_at
        return self.is_refused or (ends_at is not None and ends_at <= now)

    def is_due(self, now: float) -> bool:
        if now < self.next_at:
            return False
        ends_at = self.account.expires_at
        return self.is_refused or not self.is_kept or (ends_at is not None and ends_at - self._early_s <= now)

    def take(self, rotation: Rotation) -> None:
        """Go on with these tokens; what their claims say is read anew."""
        tokens = rotation.tokens
        config = replace(self._config, access_token=tokens.access_token, id_token=tokens.id_token)
        self.rotation, self.is_refused = rotation, False
        self.account = Account.from_config(config, self.account.slot)

    def pause(self, now: float) -> None:
        self.next_at = now + min(PAUSE_S * 2**self.tries, LONGEST_PAUSE_S)
        self.tries = min(self.tries + 1, 16)


class Renewal:
    """Renews accounts and tells the pool: `put_in_place` gets the old name and the renewed account. Raises nothing.

    always: renew even when the store does not outlive the process, which loses refresh tokens.
    """

    def __init__(
        self,
        endpoint: TokenEndpoint,
        kept: RotatedTokens,
        put_in_place: Callable[[str, Account], None],
        *,
        now: Clock,
        always: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._kept = kept
        self._put_in_place = put_in_place
        self._now = now
        self._always = always
        self._sleep = sleep

    @property
    def is_allowed(self) -> bool:
        """Refresh tokens are good for one use: whoever forgets what they were changed into has lost the account."""
        return self._always or self._kept.durable

    async def look(self, logins: Sequence[Login]) -> None:
        """Take what other instances have renewed."""
        try:
            found = await self._kept.read([login.key for login in logins])
        except StoreError as error:
            _warn("token.store_failed", None, str(error))
            return
        for login in logins:
            self._take_if_newer(login, found.get(login.key))

    async def renew(self, login: Login) -> None:
        """Renew the account now, or take what somebody else has renewed. Otherwise it stays as it is for a while."""
        if not self.is_allowed:
            login.next_at = self._now() + PAUSE_S
            return
        try:
            if not login.is_kept:
                login.is_kept = await self._keep(login, login.rotation)
            elif not await self._took_newer(login):
                await self._renew_alone(login)
        except StoreError as error:
            # Without the lock another instance may use up the same refresh token: better none than two.
            login.pause(self._now())
            _warn("token.store_failed", login, str(error))

    async def _renew_alone(self, login: Login) -> None:
        owner = await self._lock(login)
        if owner is None:
            return
        try:
            # Whoever held the lock before may have done it.
            if await self._took_newer(login):
                return
            login.pause(self._now())
            if login.rotation.resting_until > self._now():
                _warn("token.renewal_refused", login, "refused_before")
            else:
                await self._ask(login)
        finally:
            await self._kept.unlock(login.key, owner)

    async def _lock(self, login: Login) -> bytes | None:
        """None: another instance is renewing the account. If its token is needed here, it has been waited for."""
        for _ in range(_LOOKS):
            owner = await self._kept.lock(login.key)
            if owner is not None:
                return owner
            if not login.is_spent(self._now()):
                login.next_at = self._now() + _LOOK_AGAIN_S
                return None
            await self._sleep(_LOOK_EVERY_S)
            if await self._took_newer(login):
                return None
        login.pause(self._now())
        _warn("token.renewal_failed", login, "locked")
        return None

    async def _ask(self, login: Login) -> None:
        old = login.account.name
        try:
            tokens = await self._endpoint.refresh(login.rotation.tokens, login.account.proxy)
        except RefreshError as error:
            if error.is_final:
                await self._give_up(login, error.code)
            else:
                _warn("token.renewal_failed", login, error.code)
            return
        rotation = Rotation(login.rotation.number + 1, tokens)
        login.is_kept = await self._keep(login, rotation)
        self._take_if_newer(login, rotation)
        _LOG.info("token.renewed", extra={"fields": {"account": login.account.name, "was": old}})

    async def _keep(self, login: Login, rotation: Rotation) -> bool:
        """The old refresh token is used up: what cannot be kept is used all the same, and kept later."""
        for pause_s in _KEEP_PAUSES_S:
            await self._sleep(pause_s)
            try:
                await self._kept.keep(login.key, rotation)
            except StoreError as error:
                reason = str(error)
            else:
                return True
        login.next_at = self._now() + _LOOK_AGAIN_S
        _warn("token.not_kept", login, reason)
        return False

    async def _give_up(self, login: Login, code: str) -> None:
        """Unless somebody else has used the refresh token and kept what came of it."""
        for pause_s in _REFUSED_PAUSES_S:
            await self._sleep(pause_s)
            if await self._took_newer(login):
                return
        until = self._now() + REFUSED_S
        login.rotation = replace(login.rotation, resting_until=until)
        _warn("token.renewal_refused", login, code)
        await self._kept.rest(login.key, login.rotation, until)

    async def _took_newer(self, login: Login) -> bool:
        found = await self._kept.read([login.key])
        return self._take_if_newer(login, found.get(login.key))

    def _take_if_newer(self, login: Login, rotation: Rotation | None) -> bool:
        known = login.rotation
        if rotation is None or rotation.number < known.number:
            return False
        if rotation.number == known.number:
            login.rotation = rotation
            return False
        old = login.account.name
        login.take(rotation)
        self._put_in_place(old, login.account)
        return True


def _warn(event: str, login: Login | None, reason: str) -> None:
    account = login.account.name if login is not None else None
    _LOG.warning(event, extra={"fields": {"account": account, "reason": reason}})
