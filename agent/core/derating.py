"""Limits that come from neither the CSMS nor the installation: heat in the cabinet, a home energy manager, a fuse."""

from __future__ import annotations

from agent.core.events import Event
from agent.core.record import record


@record
class Curve:
    """What heat leaves of the current of one EVSE: all of it up to `from_c`, then less and less in a straight line down
    to the least that can be offered at `until_c`, and nothing (a fault) from `stop_c` on."""

    from_c: float
    until_c: float
    stop_c: float


@record
class Derated(Event):
    """`source` (a few words, told to people) allows this EVSE `limit_a`, or no longer limits it (None). `evse` 0: all
    EVSEs together. It holds until the same source says otherwise; nothing of it outlives a restart."""

    evse: int
    source: str
    limit_a: float | None
