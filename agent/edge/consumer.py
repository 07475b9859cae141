"""Who takes what the link brings, one frame after the other: at once as far as nothing has to be waited for.

A task costs two turns of the event loop before it has done anything, and most steps of the runtime never wait. So a
step is begun where the frame is, and only what is left of it when it has to wait goes on as a task. Rules kept:

* A step is begun by hand only where no task runs. Within one, whatever asks for its task (`asyncio.timeout` does) would
  get the wrong one and cancel it later: there a step is a task from its start (`take_in_turn`). Where none runs it is
  told so by an exception.
* Of frames that came together each is a turn of the event loop: a flood of them holds nothing else up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from agent.edge.overdue import Overdue


class Consumer:
    """`free` is called when a frame has been dealt with. An exception is kept as `bug`, and raised by `done`."""

    def __init__(self, overdue: Overdue, free: Callable[[], None]) -> None:
        self.busy = False
        self.bug: BaseException | None = None
        self._overdue = overdue
        self._free = free
        self._rest: asyncio.Task[None] | None = None

    def take(self, deal: Callable[[bytes], Awaitable[None] | None], frame: bytes) -> None:
        """`deal` with it now; what that gives is done up to where it has to wait, and goes on by itself."""
        self.busy = True
        rest = None
        try:
            work = deal(frame)
            rest = None if work is None else begin(work)
        except (Exception, asyncio.CancelledError) as bug:  # noqa: BLE001  `done` raises it; nobody can cancel it here
            self.bug = bug
        if rest is None:
            self._end()
        else:
            self._rest = asyncio.ensure_future(self._finish(rest))

    def take_in_turn(self, deal: Callable[[bytes], Awaitable[None] | None], frame: bytes) -> None:
        """`deal` with it soon, all by itself: what a task calls, instead of `take`."""
        self.busy = True
        self._rest = asyncio.ensure_future(self._finish(_dealt(deal, frame)))

    async def _finish(self, rest: Awaitable[None]) -> None:
        ticket = self._overdue.begin()
        try:
            await rest
        except Exception as bug:  # noqa: BLE001  `done` raises it
            self.bug = bug
        finally:
            self._overdue.end(ticket)
            self._rest = None
            self._end()

    def _end(self) -> None:
        self.busy = False
        self._free()

    async def done(self) -> None:
        """Returns when there is nothing under way; whoever is cancelled here cancels that too."""
        if self._rest is not None:
            try:
                await asyncio.wait([self._rest])
            except asyncio.CancelledError:
                await self._cut()
                raise
        if self.bug is not None:
            raise self.bug

    async def stop(self) -> None:
        """Cut off what is under way."""
        await self._cut()
        self._overdue.stop()

    async def _cut(self) -> None:
        """Not before its task has begun: one that is cancelled earlier would leave the work where it stands."""
        rest = self._rest
        if rest is not None:
            asyncio.get_running_loop().call_soon(rest.cancel)
            await asyncio.wait([rest])


async def _dealt(deal: Callable[[bytes], Awaitable[None] | None], frame: bytes) -> None:
    work = deal(frame)
    if work is not None:
        await work


def begin(work: Awaitable[None]) -> Awaitable[None] | None:
    """Do `work` up to where it has to wait. None: it is done. Else what is left of it, to be awaited once, by a task.

    The part that is done here must not ask for its task: there may be none."""
    steps = work.__await__()
    try:
        waits_for = next(steps)
    except StopIteration:
        return None
    return _Rest(steps, waits_for)


class _Rest:
    """The steps behind the first, which has been taken: what that one waits for is told to whoever awaits this."""

    def __init__(self, steps: Generator[Any, Any, None], waits_for: Any) -> None:
        self._steps = steps
        self._told = [waits_for]
        _mark(waits_for, held=False)
        self.throw = steps.throw
        self.close = steps.close

    def __await__(self) -> Generator[Any, Any, None]:
        return self

    def __iter__(self) -> _Rest:
        return self

    def __next__(self) -> Any:
        return self._tell() if self._told else next(self._steps)

    def send(self, value: Any) -> Any:
        return self._tell() if self._told else self._steps.send(value)

    def _tell(self) -> Any:
        waits_for = self._told.pop()
        _mark(waits_for, held=True)
        return waits_for


def _mark(waits_for: Any, *, held: bool) -> None:
    """A future is marked from where it is awaited to where a task takes it, and bears one mark: others may await it
    between our two."""
    if waits_for is not None:  # None: a turn of the loop
        waits_for._asyncio_future_blocking = held
