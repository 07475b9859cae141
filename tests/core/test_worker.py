"""The one thread that may wait for the disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from agent.worker import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker("test")
    yield made
    made.close()


async def test_a_call_is_done_on_another_thread(worker: Worker) -> None:
    assert await worker.do(threading.get_ident) != threading.get_ident()


async def test_what_a_call_raises_reaches_its_caller(worker: Worker) -> None:
    def broken() -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        await worker.do(broken)


async def test_after_a_failed_call_the_next_one_is_done(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        await worker.do(lambda: 1 / 0)
    assert await worker.do(lambda: 2) == 2


async def test_calls_are_done_in_the_order_of_their_coming(worker: Worker) -> None:
    done: list[int] = []
    await asyncio.gather(*(worker.do(lambda n=n: done.append(n)) for n in range(100)))  # type: ignore[misc]
    assert done == list(range(100))


async def test_the_call_of_a_cancelled_caller_is_done_all_the_same(worker: Worker) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        go_on.wait(5.0)
        done.set()

    caller = asyncio.ensure_future(worker.do(call))
    await asyncio.to_thread(begun.wait, 5.0)
    caller.cancel()
    go_on.set()
    assert await asyncio.to_thread(done.wait, 5.0)


async def test_closing_waits_for_what_was_asked_for() -> None:
    worker, done = Worker("test"), threading.Event()
    waiting = asyncio.ensure_future(worker.do(done.set))
    await asyncio.sleep(0)
    worker.close()
    assert done.is_set()
    await waiting
