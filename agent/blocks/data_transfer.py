"""P: Data transfer. Vendors' own messages go to the handler that was registered for the vendor; others are refused.

A handler is a pure function (message id, data) -> (status, data); it must not take long, for the station waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from agent.blocks.station import Block, Out
from agent.core.effects import DataAnswer, Reply
from agent.core.requests import DataReceived
from agent.core.types import Instant

Handler = Callable[[str | None, Any], tuple[str, Any]]


class DataTransfer(Block):
    def __init__(self, handlers: Mapping[str, Handler] | None = None) -> None:
        self._handlers = dict(handlers or {})

    def on_data(self, e: DataReceived, _now: Instant) -> Out:
        handler = self._handlers.get(e.vendor)
        status, data = handler(e.message, e.data) if handler else ("UnknownVendorId", None)
        yield Reply(e.ref, DataAnswer(status, data))

    HEARS: ClassVar = {DataReceived: "on_data"}
