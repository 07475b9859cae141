"""E: What a transaction that has ended leaves behind while its EV is still here: the points that started it have worn
off. They start no other transaction until they have been away, or until somebody is authorized anew; and the connector
is Finishing, not Preparing. Both are remembered, for a restart is no new visit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agent.blocks.kept import Kept
from agent.blocks.transaction_events import points_of
from agent.core.effects import Effect, Forget, Remember
from agent.core.events import Restored
from agent.core.evse import CONNECTED, Evse
from agent.core.types import TxPoint
from drivers.api import Pilot

TABLE = "finished"


class Worn:
    """Of all EVSEs. `evse.finished` is written by the transactions block and here."""

    def __init__(self, evses: Mapping[int, Evse]) -> None:
        self._evses = evses
        self._points: dict[int, frozenset[TxPoint]] = {evse: frozenset() for evse in evses}
        self._remembered: set[int] = set()

    def fresh(self, evse: Evse) -> frozenset[TxPoint]:
        """The points that are true now and may start a transaction."""
        points = points_of(evse)
        if evse.grant is not None:
            self._points[evse.id] = frozenset()
        elif evse.pilot in (Pilot.A, *CONNECTED):  # any other pilot tells nothing of the car
            self._points[evse.id] &= points
        return points - self._points[evse.id]

    def wear(self, evse: Evse, stop_mono: float) -> None:
        """A transaction has ended just now, after a stop at that time; a car that has come since then is new."""
        new = evse.plugged and 0 < stop_mono < evse.plugged_at
        evse.finished = (evse.plugged or evse.cable_present) and not new
        self._points[evse.id] = frozenset() if new else points_of(evse)

    def restore(self, e: Restored) -> Iterator[Effect]:
        kept = Kept(e, TABLE)
        for key, number in kept.rows(lambda key, _value: int(key)).items():
            evse = self._evses.get(number)
            if evse is None or key != str(number):
                yield Forget(TABLE, key)
                continue
            evse.finished = True
            self._points[evse.id] = frozenset((TxPoint.EV_CONNECTED,))
            self._remembered.add(evse.id)
        yield from kept.forget()

    def news(self, evse: Evse) -> Iterator[Effect]:
        """What is to be remembered of this EVSE, when it has changed."""
        if evse.finished and evse.pilot is Pilot.A and not evse.cable_present:
            evse.finished = False
        if evse.finished and evse.id not in self._remembered:
            self._remembered.add(evse.id)
            yield Remember(TABLE, str(evse.id), True)
        elif not evse.finished and evse.id in self._remembered:
            self._remembered.discard(evse.id)
            yield Forget(TABLE, str(evse.id))
