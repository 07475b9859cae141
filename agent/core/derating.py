"""Limits that come from neither the CSMS nor the installation: heat in the cabinet, a home energy manager, a fuse."""

from __future__ import annotations

from agent.core.events import Event
from agent.core.record import record


@record
class Derated(Event):
    """`source` (a few words, told to people) allows this EVSE `limit_a`, or no longer limits it (None). `evse` 0: all
    EVSEs together. It holds until the same source says otherwise; nothing of it outlives a restart."""

    evse: int
    source: str
    limit_a: float | None
