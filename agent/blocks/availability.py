"""G: Availability. In or out of service, and what each connector's status is told to be.

A change asked for during a transaction is scheduled and takes effect at its end (G03.FR.05); it is remembered over
restarts at once. Statuses are told only after the hardware has been read (or was given up on, which is a fault) and the
CSMS has accepted us, when they differ from the last one told, and all anew when we were offline for longer than
OfflineThreshold. A status must last for StatusMinimumDuration before it is told, a fault is told at once. Where
only the car's side of the cable has gone, that is told as why a charge is suspended or over; its return is no news.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks.kept import Kept, flag
from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import Ask, Effect, Note, Remember, Reply, Status, StatusAnswer
from agent.core.events import (
    CallFailed,
    LinkDown,
    LinkUp,
    Registered,
    Restored,
    StatusWanted,
)
from agent.core.evse import Evse, connector_status
from agent.core.faults import CATALOGUE
from agent.core.local_list import CONFLICT, ListConflicted
from agent.core.record import record, replace
from agent.core.requests import AvailabilityRequested
from agent.core.types import ConnectorStatus, Instant, Registration, StopReason
from drivers.api import Fault, shorten

TABLE = "availability"
STATION = 0
AGAIN_S = 60.0
EV_SIDE = "EV side disconnected"  # OCPP's own words
_CABLE_ONLY = (ConnectorStatus.SUSPENDED_EV, ConnectorStatus.FINISHING)


@record
class _Told:
    """What a status message would say, save its time."""

    status: ConnectorStatus
    error: str
    info: str
    connected: bool


class Availability(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._wanted: dict[int, bool] = dict.fromkeys((STATION, *facts.evses), True)
        self._told: dict[int, _Told] = {}
        self._since: dict[int, tuple[_Told, Instant]] = {}
        self._deadlines = Deadlines()
        self._down_since: float | None = None
        self._asked: dict[int, None] = {}  # statuses that the CSMS wants, in order

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    # --- in or out of service -----------------------------------------------------------------------------------

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        kept = Kept(e, TABLE)
        for number, operative in kept.rows(lambda key, value: (int(key), flag(value))).values():
            if number in self._wanted:
                self._wanted[number] = operative
        self._apply()
        yield from kept.forget()

    def on_request(self, e: AvailabilityRequested, _now: Instant) -> Out:
        scope = [STATION, *self._facts.evses] if e.evse is None else [e.evse]
        if any(n not in self._wanted for n in scope) or e.connector not in (None, 1):
            yield Reply(e.ref, StatusAnswer("Rejected", reason="UnknownEvse"))
            return
        for n in scope:
            if self._wanted[n] != e.operative:
                self._wanted[n] = e.operative
                yield Remember(TABLE, str(n), e.operative)
        self._apply()
        waits = any(evse.operative != self._target(evse) for evse in self._facts.evses.values() if evse.id in scope)
        yield Reply(e.ref, StatusAnswer("Scheduled" if waits else "Accepted"))

    def _target(self, evse: Evse) -> bool:
        held = self._facts.update_holds and evse.grant is None  # who was let in may still charge
        return self._wanted[STATION] and self._wanted[evse.id] and not held

    def _apply(self) -> None:
        for evse in self._facts.evses.values():
            if evse.tx is None or self._target(evse):
                evse.operative = self._target(evse)

    # --- telling ------------------------------------------------------------------------------------------------

    def derive(self, now: Instant) -> Out:
        self._apply()
        for name in self._deadlines.due(now.mono):
            if isinstance(name, tuple):
                self._told.pop(name[1], None)
        yield from self._tell_asked(now)
        if not all(_is_known(evse) for evse in self._facts.evses.values()):
            return
        for n in (STATION, *self._facts.evses):
            yield from self._tell(n, now)

    def _tell(self, n: int, now: Instant) -> Iterator[Effect]:
        if n != STATION and (tx := self._facts.evses[n].tx) is not None and tx.restored:
            return  # it is not known yet whether the transaction goes on
        fact = self._fact(n)
        since = self._since.get(n)
        if since is None or since[0] != fact:
            self._since[n] = since = (fact, now)
        if self._facts.registration is not Registration.ACCEPTED or self._has_said(n, fact):
            self._deadlines.clear(n)
            return
        wait_s = self._facts.variables.number("ChargingStation.StatusMinimumDuration")
        until = since[1].mono + wait_s  # compared as it is set: a difference may round, and the deadline come for ever
        if n in self._told and not fact.error and now.mono < until:
            self._deadlines.set(n, until)
            return
        self._deadlines.clear(n)
        self._told[n] = fact
        yield Ask(_status(n, fact, since[1]))

    def _has_said(self, n: int, fact: _Told) -> bool:
        told = self._told.get(n)
        if told is not None and not (fact.error or fact.info):
            told = replace(told, info="")
        return told == fact

    def _fact(self, n: int) -> _Told:
        if n != STATION:
            evse = self._facts.evses[n]
            fault = _worst(evse)
            status = connector_status(evse)
            connected = status is not ConnectorStatus.RESERVED and (evse.plugged or evse.cable_present)
            info = evse.faults.get(fault, "") if fault or not _is_left(evse, status) else EV_SIDE
            return _Told(status, fault, info[:50], connected)
        status = ConnectorStatus.AVAILABLE if self._wanted[STATION] else ConnectorStatus.UNAVAILABLE
        if any(evse.tx is not None for evse in self._facts.evses.values()):
            status = ConnectorStatus.AVAILABLE
        return _Told(status, "", "", False)

    def on_conflict(self, e: ListConflicted, now: Instant) -> Out:
        """An event and no state: who keeps the list has to mend it."""
        fact = self._fact(STATION)
        info = f"{shorten(e.token.value)} listed as {e.listed.status}"
        yield Note("info", "LocalListConflict", f"the CSMS does not say what its list says: card {info}")
        yield Ask(_status(STATION, replace(fact, error=CONFLICT, info=info), now))

    def on_failed(self, e: CallFailed, now: Instant) -> Out:
        """A status that was refused or never answered is told once more after a while, unless a newer one was."""
        if isinstance(e.call, Status) and e.why != "offline":
            self._deadlines.keep(("again", e.call.evse), now.mono + AGAIN_S)
        return iter(())

    def on_wanted(self, e: StatusWanted, _now: Instant) -> Out:
        """The CSMS asks for the status of one EVSE, or of all (None)."""
        for n in (STATION, *self._facts.evses) if e.evse is None else (e.evse,):
            self._asked[n] = None
        return iter(())

    def _tell_asked(self, now: Instant) -> Iterator[Effect]:
        """What was asked for and is known; the rest is told as soon as it is."""
        for n in tuple(self._asked):
            if n == STATION or _is_known(self._facts.evses[n]):
                del self._asked[n]
                fact = self._fact(n)
                self._told[n] = fact
                yield Ask(_status(n, fact, now), triggered=True)

    # --- the link -----------------------------------------------------------------------------------------------

    def on_down(self, _e: LinkDown, now: Instant) -> Out:
        self._asked.clear()
        if self._down_since is None:
            self._down_since = now.mono
        return iter(())

    def on_up(self, _e: LinkUp, now: Instant) -> Out:
        down, self._down_since = self._down_since, None
        if down is not None and now.mono - down > self._facts.variables.number("OCPPCommCtrlr.OfflineThreshold"):
            self._told.clear()
        return iter(())

    def on_registered(self, e: Registered, _now: Instant) -> Out:
        if e.status is Registration.ACCEPTED:
            self._told.clear()  # B01.FR.05: after each accepted boot every connector's status is told
        return iter(())

    HEARS: ClassVar = {
        Restored: "on_restored",
        AvailabilityRequested: "on_request",
        StatusWanted: "on_wanted",
        CallFailed: "on_failed",
        ListConflicted: "on_conflict",
        LinkDown: "on_down",
        LinkUp: "on_up",
        Registered: "on_registered",
    }


def _is_known(evse: Evse) -> bool:
    """Its hardware has been read, or is known not to answer."""
    return evse.seen or evse.stopped_by_fault


def _is_left(evse: Evse, status: ConnectorStatus) -> bool:
    """The car has gone, its cable has not, and that is why the charge stands still or ends."""
    tx = evse.tx
    if tx is None or evse.plugged or status not in _CABLE_ONLY:
        return False
    stays = evse.cable_present or evse.limits.attached_cable
    return stays and (tx.stop is None or tx.stop.reason is StopReason.EV_DISCONNECTED)


def _worst(evse: Evse) -> str:
    """The fault to be told: the newest of those that stop, else the newest, so that each is told once at least. The
    pilot's error state is what a controller shows beside the fault that it has: it is told only where it is alone."""
    stopping = [fault for fault in evse.faults if CATALOGUE[fault].stops]
    causes = [fault for fault in stopping if fault != Fault.PILOT]
    return (causes or stopping or [*evse.faults] or [""])[-1]


def _status(n: int, fact: _Told, at: Instant) -> Status:
    return Status(n, 1 if n else 0, fact.status, at, fact.error, fact.info, fact.connected)
