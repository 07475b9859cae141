"""One thread that may wait for the disk: calls go in by a queue, what they give comes back to the event loop.

It is an executor of one thread without the layers of one, since each message of a transaction crosses it. Calls are
done one after the other in the order of their coming; a caller that is cancelled leaves its call to be done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class Worker:
    """`do` is awaited on the loop, by one caller at a time or few: the queue has no bound of its own."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def do(self, call: Callable[[], T]) -> T:
        """What `call` returns or raises."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put((call, future))
        return await future

    def close(self) -> None:
        """Returns when all is done that was asked for."""
        self._jobs.put(None)
        self._thread.join()

    def leave(self) -> None:
        """Let the thread end by itself."""
        self._jobs.put(None)

    def join(self, timeout_s: float) -> bool:
        """After `leave`: whether it has come to its end within this time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, future = job
            result: Any = None
            error: BaseException | None = None
            try:
                result = call()
            except BaseException as raised:  # noqa: BLE001  it is the caller's, whatever it is
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)
            del job, call, future, result, error


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled meanwhile
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
