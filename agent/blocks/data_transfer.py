"""P: Data transfer. Vendors' own messages go to the handler that their package declares; others are refused.

A handler is somebody else's code, so it runs beside the loop (an errand): one message at a time, in the order of their
coming, with a bound on time and size. What it wants to tell the CSMS of itself follows its answer. A block that wants
to send yields `Ask(DataSend(...))` and hears `DataAnswered`.
"""

from __future__ import annotations

from collections import deque
from typing import ClassVar

from agent.blocks.station import Block, Out
from agent.core.effects import Ask, DataAnswer, DataSend, Note, Reply
from agent.core.requests import DataReceived
from agent.core.types import Instant
from agent.core.vendor import DataAnswered, VendorAnswered, VendorData

MAX_WAITING = 8


class DataTransfer(Block):
    def __init__(self) -> None:
        self._waiting: deque[DataReceived] = deque()  # the first is with its handler

    def on_data(self, e: DataReceived, _now: Instant) -> Out:
        if len(self._waiting) >= MAX_WAITING:
            yield Reply(e.ref, DataAnswer("Rejected"))
            return
        self._waiting.append(e)
        if len(self._waiting) == 1:
            yield VendorData(e.vendor, e.message, e.data)

    def on_answered(self, e: VendorAnswered, _now: Instant) -> Out:
        if not self._waiting:
            return
        asked = self._waiting.popleft()
        yield Reply(asked.ref, DataAnswer(e.status, e.data))
        vendor = asked.vendor[:50]
        if e.why:
            yield Note("warning", "VendorHandler", f"the handler of {vendor}: {e.why}", (("VENDOR", vendor),))
        for message, data in e.sends:
            yield Ask(DataSend(asked.vendor, message, data))
        if self._waiting:
            after = self._waiting[0]
            yield VendorData(after.vendor, after.message, after.data)

    def on_taken(self, e: DataAnswered, _now: Instant) -> Out:
        if e.status != "Accepted":
            vendor = e.call.vendor[:50]
            text = f"the CSMS answers {e.status[:20]} to data of {vendor}"
            yield Note("info", "DataTransfer", text, (("VENDOR", vendor),))

    HEARS: ClassVar = {DataReceived: "on_data", VendorAnswered: "on_answered", DataAnswered: "on_taken"}
