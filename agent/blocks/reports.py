"""B: Reporting. GetBaseReport, answered at once and told in parts of at most ItemsPerMessage[GetReport] variables
(B07).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core.effects import Ask, Reply, ReportPart, StatusAnswer
from agent.core.requests import ReportRequested
from agent.core.types import Instant, Mutability
from agent.core.variables import Row

MAX_PARTS = 200
_SUMMARY = ("AvailabilityState", "Available", "Problem")
_BASES: dict[str, Callable[[Row], bool]] = {
    "ConfigurationInventory": lambda row: row.mutability is not Mutability.READ_ONLY,
    "FullInventory": lambda row: True,
    "SummaryInventory": lambda row: row.id.variable in _SUMMARY,
}


class Reports(Block):
    def __init__(self, facts: Facts) -> None:
        self._vars = facts.variables

    def on_report(self, e: ReportRequested, now: Instant) -> Out:
        chosen = _BASES.get(e.base)
        if chosen is None:
            yield Reply(e.ref, StatusAnswer("NotSupported"))
            return
        views = [self._vars.view(row.id, now) for row in self._vars.rows() if chosen(row)]
        size = max(1, int(self._vars.number("DeviceDataCtrlr.ItemsPerMessage[GetReport]")))
        parts = [tuple(views[i : i + size]) for i in range(0, len(views), size)][:MAX_PARTS]
        yield Reply(e.ref, StatusAnswer("Accepted" if parts else "EmptyResultSet"))
        for seq, part in enumerate(parts):
            yield Ask(ReportPart(e.request_id, seq, seq == len(parts) - 1, now, part), triggered=True)

    HEARS: ClassVar = {ReportRequested: "on_report"}
