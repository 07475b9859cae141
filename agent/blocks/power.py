"""Power: how much current each EVSE offers, and why. The one place where power is given.

Power is offered only when all of this holds: the hardware has been read; somebody is authorized; a transaction is
open and not ending; the pilot is B, C or D (the controller's own hardware closes the contactor in C and D only, IEC
61851-1); the EVSE is operative and no stopping fault stands. The offer is the least of cable, hardware,
configuration, the CSMS's limit, whatever derates, and the EVSE's share of the station's supply (`shares`); below 6 A it
is a pause. The reason is kept in words for people.

Less is offered at once; who shares a supply gets more only when what was taken from another flows there no longer
(`following`), and keeps what it has until then. A pause lasts at least PauseMinimum, whatever is allowed
meanwhile: a limit that flickers about 6 A shall switch neither car nor contactor each time. A fault that took the power
away is followed by a rest (`FaultRow.rest_s`) as long as the same car stays.

Where some wait because the supply is too small for all, who is offered power and does not ask for it (a full car stays
plugged in all night) goes to the end of the line after `TURN_S`.

What a controller was told before it fell silent it may go on giving until its own watchdog acts: for `UNHEARD_S`, and
for as long as its meter still sees current, that share of a common supply is nobody else's.

A controller that is ordered in watts is told how many phases share them (`watts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from agent.blocks.following import FRESH_S, Following
from agent.blocks.shares import Cap, divide, in_order, offer
from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.derating import Derated
from agent.core.effects import Note, Offer, Share, Show
from agent.core.events import OfferChanged, Stopping
from agent.core.evse import CONNECTED, MINIMUM_A, REQUESTING, Evse, connector_status
from agent.core.faults import CATALOGUE, CONTROLLER_SILENT
from agent.core.types import ConnectorStatus, Instant, TxPoint

if TYPE_CHECKING:
    from agent.blocks.watts import Watts

TURN_S = 600.0
MAX_SOURCES = 8  # of derating, for one EVSE
UNHEARD_S = 60.0  # watchdogs act sooner
STATION = 0
NEARLY_A = 1e-6


class Power(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._ordered: dict[int, float] = {}
        self._shown: dict[int, ConnectorStatus] = {}
        self._stopping = False
        self._derated: dict[int, dict[str, float]] = {}  # by EVSE or STATION: source -> A
        self._pauses = Deadlines()  # by EVSE: until when it lasts at least
        self._struck: dict[int, float] = {}  # by EVSE: a fault took the power away; how long the rest after it will be
        self._rests = Deadlines()  # by EVSE: until when
        self._unheard: dict[int, float] = {}  # by EVSE whose controller is silent: what it may still give
        self._unheard_until = Deadlines()
        self._following = Following()
        self._turns = Deadlines()  # by EVSE: until when it may keep from others what it does not use
        self._in_watts = [evse for evse in facts.evses.values() if evse.limits.in_watts]
        self._watts = _watts() if self._in_watts else None
        self._shared: dict[int, int] = {}

    def next_deadline(self) -> float | None:
        timed = (self._pauses, self._rests, self._turns, self._unheard_until, self._following)
        moments = [waits.next() for waits in timed] + ([self._watts.next()] if self._watts else [])
        return min((at for at in moments if at is not None), default=None)

    def on_stopping(self, _e: Stopping, _now: Instant) -> Out:
        self._stopping = True
        return iter(())

    def on_derated(self, e: Derated, _now: Instant) -> Out:
        sources = self._derated.setdefault(e.evse, {})
        if e.limit_a is None:
            sources.pop(e.source, None)
            return
        assert e.source in sources or len(sources) < MAX_SOURCES, f"too many who derate: {sources}"
        if sources.get(e.source) != e.limit_a:
            sources[e.source] = e.limit_a
            where = f"EVSE {e.evse}" if e.evse else "the station"
            yield Note("info", "Derated", f"{e.source} limits {where} to {e.limit_a:g} A", (("EVSE", e.evse),))

    def derive(self, now: Instant) -> Out:
        self._pauses.due(now.mono)
        self._rests.due(now.mono)
        self._unheard_until.due(now.mono)
        self._following.due(now.mono)
        for evse in self._facts.evses.values():
            if evse.faults or evse.id in self._unheard:
                self._mind_silence(evse, now)
        self._look_at_cars(now)
        evses = [evse for evse in self._facts.evses.values() if evse.seen]  # nothing is written before it was read
        for evse in evses:
            if evse.faults or evse.id in self._struck or evse.id in self._rests:
                self._mind_rest(evse, now)
        changed = []
        for evse, planned in self._plan(evses, now):
            evse.offer_a, evse.explanation = planned
            if self._ordered.get(evse.id) != evse.offer_a:
                changed.append(evse)
        yield from self._share()
        for evse in sorted(
            changed, key=lambda evse: evse.offer_a - self._ordered.get(evse.id, 0.0)
        ):  # less comes first
            self._ordered[evse.id] = evse.offer_a
            yield Offer(evse.id, evse.offer_a)
            yield OfferChanged(evse.id)
            fields = (("EVSE", evse.id), ("OFFER_A", evse.offer_a))
            yield Note("info", "Offer", f"EVSE {evse.id}: offers {evse.explanation}", fields)
        for evse in evses:
            status = connector_status(evse)
            if not self._is_left_alone(evse) and self._shown.get(evse.id) is not status:
                self._shown[evse.id] = status
                yield Show(evse.id, str(status))

    def _look_at_cars(self, now: Instant) -> None:
        for evse in self._in_watts:
            assert self._watts
            self._watts.look(evse, now)

    def _share(self) -> Out:
        for evse in self._in_watts:
            assert self._watts
            phases = self._watts.shares.get(evse.id, 1)
            if self._shared.get(evse.id, 1) != phases:
                self._shared[evse.id] = phases
                yield Share(evse.id, phases)

    def _mind_rest(self, evse: Evse, now: Instant) -> None:
        rest_s = max((CATALOGUE[fault].rest_s for fault in evse.faults if CATALOGUE[fault].stops), default=0.0)
        if not evse.plugged:
            self._struck.pop(evse.id, None)
            self._rests.clear(evse.id)
        elif rest_s and self._ordered.get(evse.id):
            self._struck[evse.id] = rest_s
        elif not evse.stopped_by_fault and evse.id in self._struck:
            self._rests.set(evse.id, now.mono + self._struck.pop(evse.id))

    def _mind_silence(self, evse: Evse, now: Instant) -> None:
        if CONTROLLER_SILENT not in evse.faults:
            self._unheard.pop(evse.id, None)
            self._unheard_until.clear(evse.id)
        elif evse.id not in self._unheard:
            restored = evse.tx is not None and evse.tx.restored
            self._unheard[evse.id] = self._ordered.get(evse.id, evse.limits.max_a if restored else 0.0)
            self._unheard_until.set(evse.id, now.mono + UNHEARD_S)

    # --- how much -----------------------------------------------------------------------------------------------

    def _plan(self, evses: Sequence[Evse], now: Instant) -> list[tuple[Evse, tuple[float, str]]]:
        """The offer of each, and why. Who is left alone: the controller still holds what it was ordered before the
        restart, and nothing is interrupted."""
        shares = self._shares(now)
        planned = [(evse, self._offer(evse, shares, now)) for evse in evses if not self._is_left_alone(evse)]
        caps = [*self._station_caps()] if len(self._facts.evses) > 1 else []
        if not caps:
            return planned
        for evse, (offer_a, _why) in planned:
            self._following.look(evse, now)
            before_a = self._ordered.get(evse.id, evse.limits.max_a)
            if offer_a < before_a:
                self._following.lowered(evse, before_a, now)
        rises = any(offer_a > self._ordered.get(evse.id, 0.0) for evse, (offer_a, _why) in planned)
        return self._paced(planned, shares, min(caps)[0], now) if rises else planned

    def _paced(
        self, planned: Sequence[tuple[Evse, tuple[float, str]]], shares: Mapping[int, Cap], total_a: float, now: Instant
    ) -> list[tuple[Evse, tuple[float, str]]]:
        """Nobody gets more of the supply than what flows nowhere else, nor less than it has."""
        offers = {evse.id: offer_a for evse, (offer_a, _why) in planned}
        carried = {evse.id: self._carried_a(evse, offers.get(evse.id, 0.0), now) for evse in self._facts.evses.values()}
        for evse in in_order(evse for evse, _offer in planned):
            mine_a, had_a = carried.pop(evse.id), self._ordered.get(evse.id, 0.0)
            most_a = max(min(offers[evse.id], had_a), total_a - sum(carried.values()))
            if offers[evse.id] > most_a + NEARLY_A:
                shares = {**shares, evse.id: (most_a, "the supply, until another car has followed its lower offer")}
            carried[evse.id] = max(mine_a, min(offers[evse.id], most_a))
        return [(evse, self._offer(evse, shares, now)) for evse, _offer in planned]

    def _carried_a(self, evse: Evse, offer_a: float, now: Instant) -> float:
        """What it has already or still, without what it gets now."""
        if self._is_left_alone(evse):
            return evse.limits.max_a
        stays_a = min(offer_a, self._ordered.get(evse.id, 0.0))
        return max(stays_a, self._following.held_a(evse, now), self._unheard_a(evse, now))

    def _line_up(self, now: Instant) -> None:
        """In the order in which they were authorized; whose turn is over stands behind all others."""
        over = self._turns.due(now.mono)
        for evse in self._facts.evses.values():
            if self._refusal(evse):
                evse.in_line = None
                self._turns.clear(evse.id)
            elif evse.id in over:
                evse.in_line = now.mono
            elif evse.in_line is None:
                assert evse.grant is not None  # else there is a refusal
                evse.in_line = min(evse.grant.at.mono, now.mono)

    def _shares(self, now: Instant) -> Mapping[int, Cap]:
        """By EVSE, what it gets of what all have together; nothing when nothing limits them together."""
        caps = [*self._station_caps()]
        if not caps:
            return {}
        self._line_up(now)
        total_a, why = min(caps)
        evses = self._facts.evses.values()
        held_a = sum(evse.limits.max_a for evse in evses if self._is_left_alone(evse))  # maybe all of it, nobody knows
        takers = in_order(evse for evse in evses if evse.in_line is not None)
        wants = [min(self._own_caps(evse))[0] for evse in takers]
        if len(takers) > 1:
            why = f"{why} of {total_a:.4g} A, shared by {len(takers)}"
        if held_a:
            why = f"{why}, {held_a:g} A of it held for a charge from before the restart"
        unheard_a = sum(self._unheard_a(evse, now) for evse in evses)
        if unheard_a:
            why = f"{why}, {unheard_a:g} A of it held for a controller that does not answer"
        flows_a = sum(self._flows_on_a(evse, now) for evse in evses)
        if flows_a:
            why = f"{why}, {flows_a:g} A of it held for a contactor that does not open"
        shares = divide(total_a - held_a - unheard_a - flows_a, wants)
        self._mind_turns(takers, shares, any(w >= MINIMUM_A > s for w, s in zip(wants, shares, strict=True)), now)
        return {evse.id: (share_a, why) for evse, share_a in zip(takers, shares, strict=True)}

    def _unheard_a(self, evse: Evse, now: Instant) -> float:
        """What it may still give; as long as it is left alone all of it is held anyway."""
        given_a = 0.0 if self._is_left_alone(evse) else self._unheard.get(evse.id, 0.0)
        draws = evse.drawing and evse.meter is not None and now.mono - evse.meter.at.mono <= FRESH_S
        return given_a if draws or evse.id in self._unheard_until else 0.0

    def _flows_on_a(self, evse: Evse, now: Instant) -> float:
        """What flows where nothing is offered; it counts once, and not against who is in line for it."""
        alone = evse.in_line is not None or self._unheard_a(evse, now) or self._is_left_alone(evse)
        return 0.0 if alone or not self._following.stays(evse) else self._following.held_a(evse, now)

    def _mind_turns(self, takers: Sequence[Evse], shares: Sequence[float], some_wait: bool, now: Instant) -> None:
        for evse, share_a in zip(takers, shares, strict=True):
            if some_wait and share_a >= MINIMUM_A and evse.pilot not in REQUESTING:
                self._turns.keep(evse.id, now.mono + TURN_S)
            else:
                self._turns.clear(evse.id)

    def _station_caps(self) -> Iterator[Cap]:
        facts = self._facts
        if facts.station_max_a is not None:
            yield facts.station_max_a, "the supply"
        if facts.station_limit_a is not None:
            yield facts.station_limit_a, facts.station_limit_why
        yield from self._derating(STATION)

    def _own_caps(self, evse: Evse) -> Iterator[Cap]:
        yield evse.limits.max_a, "the hardware's limit"
        if not evse.limits.attached_cable and evse.cable_a is not None:
            yield evse.cable_a, "the cable's rating"
        if evse.limit_a is not None:
            yield evse.limit_a, evse.limit_why
        yield from self._derating(evse.id)

    def _derating(self, evse: int) -> Iterator[Cap]:
        return ((limit_a, source) for source, limit_a in self._derated.get(evse, {}).items())

    def _is_left_alone(self, evse: Evse) -> bool:
        restored = evse.tx is not None and evse.tx.restored
        return restored and not evse.stopped_by_fault and evse.operative and not self._stopping

    def _offer(self, evse: Evse, shares: Mapping[int, Cap], now: Instant) -> tuple[float, str]:
        refusal = self._refusal(evse)
        if refusal:
            self._pauses.clear(evse.id)
            if self._watts:
                self._watts.rest(evse)
            evse.in_line = None
            return 0.0, f"0 A: {refusal}"
        share = (shares[evse.id],) if evse.id in shares else ()
        offer_a, why = offer([*self._own_caps(evse), *share])
        if self._watts and evse.limits.in_watts:
            offer_a, why = self._watts.order(evse, (offer_a, why), now)
        if offer_a == 0 and self._ordered.get(evse.id):
            pause_s = self._facts.variables.number("SmartChargingCtrlr.PauseMinimum")
            if pause_s > 0:
                self._pauses.set(evse.id, now.mono + pause_s)
        if offer_a > 0 and evse.id in self._pauses:
            return 0.0, f"0 A, the rest of a pause; then {why}"
        return offer_a, why

    def _refusal(self, evse: Evse) -> str:
        """Why no power may be offered, or ""."""
        return next(self._refusals(evse), "")

    def _refusals(self, evse: Evse) -> Iterator[str]:
        """All reasons, the weightiest first; one is looked at only when nobody is content with those before it."""
        if self._stopping:
            yield "the agent is stopping"
        yield from (CATALOGUE[fault].text for fault in evse.faults if CATALOGUE[fault].stops)
        if evse.id in self._rests:
            yield "a rest after a fault"
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
        if evse.switching:
            yield evse.switching
        if evse.tx is None and not self._may_precede(evse):
            yield "the transaction has not begun"
        if evse.unsigned:
            yield "the meter has not begun its signed session"
        if evse.tx is not None and evse.tx.withheld:
            yield "the CSMS has refused the card"

    def _may_precede(self, evse: Evse) -> bool:
        """TxStartPoint EnergyTransfer: there is no transaction until energy flows, so power must come first."""
        points = self._facts.variables.members("TxCtrlr.TxStartPoint")
        ready = evse.meter is not None and self._facts.storing and not self._facts.closing
        return ready and points == (str(TxPoint.ENERGY_TRANSFER),) and not evse.signs

    HEARS: ClassVar = {Stopping: "on_stopping", Derated: "on_derated"}


def _watts() -> Watts:
    from agent.blocks.watts import Watts  # few controllers are ordered in watts

    return Watts()
