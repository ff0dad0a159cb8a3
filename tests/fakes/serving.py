"""Servers for tests: an event loop in a thread of its own, and uvicorn around an ASGI app. Loopback only."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import uvicorn

T = TypeVar("T")


class LoopThread:
    """An event loop that runs in a thread of its own between `with` and its end. Leftover tasks are cancelled."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="test-server", daemon=True)

    def __enter__(self) -> LoopThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float = 10) -> T:
        """Runs it on the loop and waits for its result. Raises TimeoutError."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout_s)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            self.loop.close()


def loopback_socket() -> socket.socket:
    """A bound TCP socket on a free loopback port; its `getsockname()[1]` is the port."""
    # With the protocol named, asyncio turns Nagle's algorithm off for what it accepts here.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound


@contextlib.contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """Runs an ASGI app under uvicorn, yields its base URL (`http://127.0.0.1:<port>`).

    options: uvicorn's, over defaults fit for tests. A server that does not come up or does not end is an error.
    """
    config = uvicorn.Config(
        app,
        **{
            "log_level": "warning",
            "http": "httptools",
            "loop": "asyncio",
            "ws": "none",
            "timeout_graceful_shutdown": 2,
            **options,
        },
    )
    server = uvicorn.Server(config)
    with loopback_socket() as bound:
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[bound])), name="test-uvicorn", daemon=True
        )
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive(), timeout_s=20)
            if not server.started:
                raise RuntimeError("the server did not start")
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
    if thread.is_alive():
        raise RuntimeError("the server did not end")


def wait_until(condition: Callable[[], object], timeout_s: float = 2) -> bool:
    """Polls until the condition holds; False when the time is over."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True
