"""What those who watch the hardware say to one another and to the CSMS about faults."""

from __future__ import annotations

from agent.core.effects import Call
from agent.core.events import Event
from agent.core.record import record
from agent.core.types import Instant


@record
class FaultSeen(Event):
    """`source` (a word, one for each who watches) finds this fault, or finds it no more (`info` None). The fault stands
    as long as anybody finds it, and then as the catalogue says; the connection block keeps it."""

    evse: int
    fault: str  # an id of the fault catalogue
    source: str
    info: str | None


@record
class Problem(Call):
    """A fault has come or gone. `evse` 0: of the station as a whole. `number` tells one from another. `others`: what is
    told by the same variable still stands."""

    evse: int
    fault: str
    present: bool
    at: Instant
    info: str = ""
    number: int = 0
    transaction: str | None = None
    others: bool = False
