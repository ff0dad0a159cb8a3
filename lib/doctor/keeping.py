"""Whether what is to be kept can be kept: the shared store, and the bucket for pictures."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from lib.doctor.finding import Finding, duration
from lib.errors import GatewayError, StoreError
from lib.keeping import Store

if TYPE_CHECKING:
    from lib.hosting import ImageHost

SLOW_STORE_S = 0.25
_PROBE_LIFE_S = 60.0


class DeploymentStore(Store, Protocol):
    """What `lib.store.opening.open_store` opens."""

    @property
    def strict(self) -> Store:
        """The side that raises StoreError."""


async def store_findings(store: DeploymentStore, *, is_shared: bool) -> Sequence[Finding]:
    """Writes, reads and deletes a value of its own. is_shared: whether STATE_URL is set."""
    name = "state store"
    if not is_shared:
        found = "There is none (STATE_URL is not set): every instance learns by itself which accounts rest."
        return [Finding(name, "ok", found)]
    key, value = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(16)
    strict = store.strict
    try:
        started = time.monotonic()
        await strict.put(key, value, life_s=_PROBE_LIFE_S)
        read = (await strict.get([key])).get(key)
        took_s = (time.monotonic() - started) / 2
        await strict.delete(key)
    except StoreError as error:
        advice = "Check STATE_URL, the network and the rights to it. Until then every instance is on its own."
        return [Finding(name, "problem", f"It does not answer: {error}.", advice)]
    if read != value:
        return [Finding(name, "problem", "What was written could not be read again.", "Check the store behind it.")]
    if not store.durable:
        return [
            Finding(
                name, "warning", "It works, but forgets when it is restarted.", "Renewed tokens need a durable one."
            )
        ]
    if took_s > SLOW_STORE_S:
        advice = "Every request waits for it: put it into the region of the function."
        return [Finding(name, "warning", f"It works, and takes {duration(took_s)} for each operation.", advice)]
    return [Finding(name, "ok", f"Written, read and deleted; {duration(took_s)} for each operation.")]


async def bucket_findings(host: Callable[[], ImageHost | None], *, is_set: bool, is_live: bool) -> Sequence[Finding]:
    """Puts a few bytes into IMAGE_BUCKET, where that is wanted."""
    name = "image bucket"
    if not is_set:
        return []
    bucket = host() if is_live else None
    if bucket is None:
        return [Finding(name, "unknown", "IMAGE_BUCKET is set and was not tried.", "Ask with ?live=1.")]
    try:
        await bucket.put(b"doctor", "application/octet-stream")
    except GatewayError as error:
        return [Finding(name, "problem", error.message, "Until then pictures have no address.")]
    return [Finding(name, "ok", "A few bytes were put into it, and an address for them was signed.")]
