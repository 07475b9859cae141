"""Power: how much current each EVSE offers, and why. The one place where power is given.

Power is offered only when all of this holds: the hardware has been read; somebody is authorized; a transaction is
open and not ending; the pilot is B, C or D (the controller's own hardware closes the contactor in C and D only, IEC
61851-1); the EVSE is operative and no stopping fault stands. The offer is the least of cable, hardware,
configuration, the CSMS's limit and the EVSE's share of the station's supply; below 6 A it is a pause. The reason is
kept in words for people.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core.effects import Note, Offer, Show
from agent.core.events import OfferChanged, Stopping
from agent.core.evse import CONNECTED, MINIMUM_A, Evse, connector_status
from agent.core.faults import CATALOGUE
from agent.core.types import ConnectorStatus, Instant, TxPoint


class Power(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._ordered: dict[int, float] = {}
        self._shown: dict[int, ConnectorStatus] = {}
        self._stopping = False

    def on_stopping(self, _e: Stopping, _now: Instant) -> Out:
        self._stopping = True
        return iter(())

    def derive(self, _now: Instant) -> Out:
        evses = [evse for evse in self._facts.evses.values() if evse.seen]  # nothing is written before it was read
        takers = self._takers() if self._facts.station_max_a is not None else 0
        for evse in evses:
            if self._is_left_alone(evse):
                continue  # the controller still holds what it was ordered before the restart; nothing is interrupted
            evse.offer_a, evse.explanation = self._offer(evse, takers)
            if self._ordered.get(evse.id) != evse.offer_a:
                self._ordered[evse.id] = evse.offer_a
                yield Offer(evse.id, evse.offer_a)
                yield OfferChanged(evse.id)
                fields = (("EVSE", evse.id), ("OFFER_A", evse.offer_a))
                yield Note("info", "Offer", f"EVSE {evse.id}: offers {evse.explanation}", fields)
            status = connector_status(evse)
            if self._shown.get(evse.id) is not status:
                self._shown[evse.id] = status
                yield Show(evse.id, str(status))

    def _takers(self) -> int:
        """Who shares the supply: what was ordered before a restart may still be drawn, whatever will become of it."""
        return sum(1 for evse in self._facts.evses.values() if self._refusal(evse) == "" or self._is_left_alone(evse))

    def _is_left_alone(self, evse: Evse) -> bool:
        restored = evse.tx is not None and evse.tx.restored
        return restored and not evse.stopped_by_fault and evse.operative and not self._stopping

    def _offer(self, evse: Evse, takers: int) -> tuple[float, str]:
        refusal = self._refusal(evse)
        if refusal:
            return 0.0, f"0 A: {refusal}"
        limits = [(evse.limits.max_a, "the hardware's limit")]
        if not evse.limits.attached_cable and evse.cable_a is not None:
            limits.append((evse.cable_a, "the cable's rating"))
        if self._facts.station_max_a is not None and takers:
            share = "the supply" if takers == 1 else f"the supply's share of one in {takers}"
            limits.append((self._facts.station_max_a / takers, share))
        if evse.limit_a is not None:
            limits.append((evse.limit_a, evse.limit_why))
        limits.sort(key=lambda limit: limit[0])
        least, why = limits[0]
        rest = ", ".join(f"{name} {amps:g} A" for amps, name in limits[1:])
        tail = f" (below {rest})" if rest else ""
        if least < MINIMUM_A:
            return 0.0, f"0 A, a pause: {why} {least:g} A{tail}"
        offer_a = int(least * 10) / 10
        return offer_a, f"{offer_a:g} A: {why}{tail}"

    def _refusal(self, evse: Evse) -> str:
        """Why no power may be offered, or ""."""
        return next(self._refusals(evse), "")

    def _refusals(self, evse: Evse) -> Iterator[str]:
        """All reasons, the weightiest first; one is looked at only when nobody is content with those before it."""
        if self._stopping:
            yield "the agent is stopping"
        yield from (CATALOGUE[fault].text for fault in evse.faults if CATALOGUE[fault].stops)
        if not evse.operative:
            yield "out of service"
        if evse.pilot not in CONNECTED:
            yield "no car is connected"
        if evse.tx is not None and evse.tx.stop is not None:
            yield "the transaction is ending"
        if evse.tx is not None and evse.tx.restored:
            yield "an earlier transaction is being looked at"
        if evse.grant is None:
            yield "nobody is authorized"
        if evse.tx is None and not self._may_precede(evse):
            yield "the transaction has not begun"
        if evse.tx is not None and evse.tx.withheld:
            yield "the CSMS has refused the card"

    def _may_precede(self, evse: Evse) -> bool:
        """TxStartPoint EnergyTransfer: there is no transaction until energy flows, so power must come first."""
        points = self._facts.variables.members("TxCtrlr.TxStartPoint")
        ready = evse.meter is not None and self._facts.storing and not self._facts.closing
        return ready and points == (str(TxPoint.ENERGY_TRANSFER),)

    HEARS: ClassVar = {Stopping: "on_stopping"}
