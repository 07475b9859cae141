"""A task of the daemon that is gone ends the process: the agent would go on without its link, or without its heart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from agent.daemon import Daemon


async def _returns() -> None:
    """At once."""


async def _breaks() -> None:
    raise AssertionError("a bug")


async def _is_cancelled() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("work", [_returns, _breaks, _is_cancelled])
@pytest.mark.parametrize("stopping", [False, True])
async def test_a_task_that_is_gone_is_missed_unless_the_process_ends_anyway(
    work: Callable[[], Coroutine[Any, Any, None]], stopping: bool
) -> None:
    daemon = Daemon.__new__(Daemon)
    daemon._tasks, daemon._failure, daemon._stop = {}, None, asyncio.Event()
    daemon.log = SimpleNamespace(error=lambda *_words: None)  # type: ignore[assignment]
    if stopping:
        daemon._stop.set()
    daemon._start("link", work())
    await asyncio.wait(list(daemon._tasks))
    await asyncio.sleep(0)
    assert (daemon._failure is None) is stopping
    assert daemon._stop.is_set()
