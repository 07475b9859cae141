"""The words that only reservations need."""

from __future__ import annotations

from agent.core.events import Event
from agent.core.record import record
from drivers.api import IdToken

ANY = 0  # in place of an EVSE: whichever is free when the bearer comes


@record
class Reservation:
    """One EVSE, or any, is kept for the bearer of `token` or of a token of `group` until `expires` (UTC epoch s).
    `made`: UTC when it was accepted, None when no time was known."""

    id: int
    token: IdToken
    expires: float
    evse: int = ANY
    group: IdToken | None = None
    made: float | None = None


@record
class ReservationEnded(Event):
    """`why`: "Used", "Cancelled", "Replaced", "Expired" or "Removed"."""

    id: int
    why: str
