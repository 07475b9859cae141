"""Runs the code of vendors that answers DataTransfer; README.md says how to write some.

A handler is found by the vendor id in the entry points of the group `chargepoint.data_transfer`, when the first message
comes. It runs in a thread of its own kind, so that the loop goes on whatever it does: what takes longer than
`DEADLINE_S`, answers more than `LONGEST` characters, raises, or answers what is no answer is Rejected and logged. A
handler that never returns keeps its thread; after `MAX_STUCK` such threads no handler is asked any more.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from agent.core.vendor import VendorAnswered, VendorData
from agent.worker import Worker

GROUP = "chargepoint.data_transfer"
STATUSES = ("Accepted", "Rejected", "UnknownMessageId")
DEADLINE_S = 5.0
LONGEST = 32768
MAX_SENDS = 8
MAX_STUCK = 3

Handler = Callable[[str | None, Any], tuple[Any, ...]]
Find = Callable[[str], Handler | None]


class Vendors:
    """`find` gives the handler of a vendor id, in lower case."""

    def __init__(self, find: Find | None = None, deadline_s: float = DEADLINE_S) -> None:
        self._find = find or Declared().find
        self._deadline_s = deadline_s
        self._worker: Worker | None = None
        self._stuck = 0

    async def handle(self, errand: VendorData) -> VendorAnswered:
        if self._stuck >= MAX_STUCK:
            return VendorAnswered("Rejected", why="not asked: handlers have hung too often since the start")
        worker = self._worker = self._worker or Worker("vendor")
        try:
            return await asyncio.wait_for(worker.do(lambda: self._ask(errand)), self._deadline_s)
        except TimeoutError:
            self._worker = None
            self._stuck += 1
            return VendorAnswered("Rejected", why=f"no answer within {self._deadline_s:g} s")

    def _ask(self, errand: VendorData) -> VendorAnswered:
        """In the thread."""
        try:
            handler = self._find(errand.vendor.lower())
            if handler is None:
                return VendorAnswered("UnknownVendorId")
            return _checked(handler(errand.message, errand.data))
        except Exception as error:  # noqa: BLE001  somebody else's code
            return VendorAnswered("Rejected", why=f"{type(error).__name__}{_where(error)}")


class Declared:
    """The handlers that installed packages declare, each loaded when it is first wanted."""

    def __init__(self) -> None:
        self._points: dict[str, Any] | None = None
        self._loaded: dict[str, Handler] = {}

    def find(self, vendor: str) -> Handler | None:
        if self._points is None:
            from importlib.metadata import entry_points  # slow to import, and few stations need it

            self._points = {point.name.lower(): point for point in entry_points(group=GROUP)}
        if vendor not in self._loaded and vendor in self._points:
            self._loaded[vendor] = self._points[vendor].load()
        return self._loaded.get(vendor)


def _checked(answer: Any) -> VendorAnswered:
    if not isinstance(answer, tuple) or len(answer) not in (2, 3) or answer[0] not in STATUSES:
        return VendorAnswered("Rejected", why="its answer is no (status, data)")
    status, data, sends = (*answer, ()) if len(answer) == 2 else answer
    text = json.dumps([data, sends], ensure_ascii=False, allow_nan=False)
    text.encode()  # raises for half a surrogate pair, as the line above for NaN: no frame could carry them
    if len(text) > LONGEST or len(sends) > MAX_SENDS:
        return VendorAnswered("Rejected", why="its answer is too large")
    data, sends = json.loads(text)  # our own, whatever the handler does with its objects from now on
    told = tuple((None if message is None else str(message), content) for message, content in sends)
    return VendorAnswered(status, data, told)


def _where(error: BaseException) -> str:
    """The line that raised; never the words of the error, for they may carry what the message carried."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"
