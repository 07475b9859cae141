"""What a technician may ask the running agent through its control socket: one table, verb -> handler.

A request is `{"verb": name, "v": 1, ...}`. Each is answered, or refused in one line (`AgentError`). Handlers that read
never wait for anything but the store's own thread; those that order something feed an event to the station and wait for
what it says, within `ORDER_S`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent.edge.control import Peer
from agent.errors import AgentError

if TYPE_CHECKING:
    from agent.daemon import Daemon

VERSION = 1

Request = Mapping[str, Any]
Handler = Callable[[Request, Peer], Awaitable[dict[str, Any]]]


class Technician:
    """`serve` adds a verb: a handler of the request and of who asks."""

    def __init__(self, daemon: Daemon) -> None:
        self._d = daemon
        self._handlers: dict[str, Handler] = {}
        self.serve("status", self._status)

    def serve(self, verb: str, handler: Handler) -> None:
        self._handlers[verb] = handler

    async def answer(self, request: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """One request of the control socket."""
        if request.get("v", VERSION) != VERSION:
            raise AgentError(
                f"this agent speaks version {VERSION} of the control socket; use the command of its release"
            )
        handler = self._handlers.get(str(request.get("verb")))
        if handler is None:
            raise AgentError(f"unknown verb {str(request.get('verb'))[:40]!r}; known are {', '.join(self._handlers)}")
        return await handler(request, peer)

    async def _status(self, _request: Request, _peer: Peer) -> dict[str, Any]:
        return self._d.report.status()
