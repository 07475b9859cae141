"""H: Reservation. One EVSE, or any one, is kept for somebody until he comes, or a moment has come.

A reservation ends when a transaction of its bearer has begun, when it expires, when the CSMS cancels it, or when what
is reserved becomes faulted or unavailable. A grant alone does not end it: if nobody plugs in, the EVSE is reserved
again until it expires; while a grant uses it, it does not expire. The CSMS hears of expiry and removal where its
version has a word for them, else by the status of the connector.

Of any EVSE as many can be reserved as there are vacant ones that nobody else waits for. When so many are reserved that
no stranger may start any more, the vacant ones show Reserved. A connector that is reserved by name shows Reserved until
its bearer has come, also when somebody else's car is plugged in meanwhile.

Expiry is judged by UTC. While no time is known it lasts as long as it was made for, counted from the restart, or
`BLIND_S` where that is not known either: no connector stays reserved for want of a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from agent.blocks.holds import Holds, is_vacant
from agent.blocks.kept import Kept, maybe, number, token, whole
from agent.blocks.station import Block, Facts, Out
from agent.core.effects import Ask, Effect, Forget, Note, Remember, Reply, ReservationUpdate, StatusAnswer
from agent.core.events import Event, Granted, Restored, TransactionBegan
from agent.core.evse import Evse
from agent.core.requests import ReservationCancelRequested, ReserveRequested
from agent.core.reservation import ANY, Reservation, ReservationEnded
from agent.core.types import ClockQuality, Instant, VariableId
from drivers.api import shorten

TABLE = "reservations"
BLIND_S = 3600.0
DRIFT_S = 1.0  # a deadline is set anew when the clock has moved by more
_TOLD = ("Expired", "Removed")


class Reservations(Block):
    """`waiting`: how many bearers of a grant have not chosen an EVSE yet."""

    def __init__(self, facts: Facts, holds: Holds, waiting: Callable[[], int]) -> None:
        self._facts = facts
        self._vars = facts.variables
        self.holds = holds
        self._waiting = waiting
        self._ends: dict[int, float] = {}  # by reservation: monotonic
        self._marked = False  # some EVSE shows that it is reserved

    def next_deadline(self) -> float | None:
        return min(self._ends.values(), default=None)

    def left(self, now: Instant) -> list[tuple[Reservation, int | None]]:
        """What is reserved, and for how many seconds yet; None while it is in use."""
        ends = self._ends
        return [(r, round(ends[r.id] - now.mono) if r.id in ends else None) for r in self.holds.table.values()]

    # --- the CSMS -----------------------------------------------------------------------------------------------

    def on_reserve(self, e: ReserveRequested, now: Instant) -> Out:
        old = self.holds.table.pop(e.id, None)  # the same id replaces it, so it does not stand in its own way
        status, reason = self._judge(e, now)
        if old is not None:
            self.holds.table[e.id] = old
        if status == "Accepted":
            if old is not None:
                yield ReservationEnded(e.id, "Replaced")
            yield from self._keep(e, now)
        yield Reply(e.ref, StatusAnswer(status, reason=reason))

    def _judge(self, e: ReserveRequested, now: Instant) -> tuple[str, str]:
        """Status and reason code."""
        scope = [v for v in self._facts.evses.values() if e.evse in (None, v.id)]
        fitting = [v for v in scope if self._has_type(v, e.connector_type, now)]
        flag = "ReservationCtrlr.NonEvseSpecific" if e.evse is None else "ReservationCtrlr.Enabled"
        rules = (
            (not self._vars.flag("ReservationCtrlr.Enabled") or not self._vars.flag(flag), "NotEnabled"),
            (not self._facts.storing, "OutOfStorage"),
            (not e.token.value, "InvalidIdToken"),
            (now.quality is not ClockQuality.UNKNOWN and e.expires <= now.utc, "ValueTooLow"),
            (not scope, "UnknownEvse"),
            (not fitting, "UnknownConnectorType"),
        )
        wrong = next((reason for applies, reason in rules if applies), "")
        return ("Rejected", wrong) if wrong else (self._state_of(fitting), "")

    def _state_of(self, evses: Sequence[Evse]) -> str:
        """Whether one of these can be reserved, or the word for why none can."""
        states = [_state(evse) or ("Occupied" if self.holds.of(evse) else "") for evse in evses]
        if "" in states:
            return "Accepted" if self._spare() >= 1 else "Occupied"
        return next((word for word in ("Faulted", "Unavailable") if {*states} <= {word, "Faulted"}), "Occupied")

    def _spare(self) -> int:
        """Vacant EVSEs that neither a reservation of any nor a bearer of a grant needs."""
        return len(self.holds.vacant()) - len(self.holds.floating()) - self._waiting()

    def _has_type(self, evse: Evse, wanted: str | None, now: Instant) -> bool:
        connector = VariableId("Connector", "ConnectorType", "", evse.id, 1)
        return wanted is None or self._vars.view(connector, now).value == wanted

    def _keep(self, e: ReserveRequested, now: Instant) -> Iterator[Effect]:
        made = now.utc if now.quality is not ClockQuality.UNKNOWN else None
        kept = Reservation(e.id, e.token, e.expires, e.evse or ANY, e.group, made)
        self.holds.table[e.id] = kept
        self._ends.pop(e.id, None)
        yield Remember(TABLE, str(e.id), _encode(kept))
        yield _note("Reserved", kept, f"is reserved for card {shorten(kept.token.value)}")

    def on_cancel(self, e: ReservationCancelRequested, _now: Instant) -> Out:
        found = self.holds.table.get(e.id)
        yield Reply(e.ref, StatusAnswer("Rejected" if found is None else "Accepted"))
        if found is not None:
            yield from self._end(found, "Cancelled")

    # --- it ends ------------------------------------------------------------------------------------------------

    def on_started(self, e: TransactionBegan | Granted, _now: Instant) -> Out:
        """A transaction has begun with a grant, or was granted after it had begun without."""
        evse = self._facts.evses[e.evse]
        number = evse.grant.reservation_id if evse.grant is not None and evse.tx is not None else None
        used = self.holds.table.get(number) if number is not None else None
        if used is not None:
            yield from self._end(used, "Used")

    def derive(self, now: Instant) -> Out:
        if not self.holds.table and not self._marked:
            return
        yield from self._remove_broken()
        yield from self._expire(now)
        floating, vacant = self.holds.floating(), self.holds.vacant()
        full = len(vacant) <= len(floating)
        for evse in self._facts.evses.values():
            evse.reserved = self.holds.of(evse) is not None or (bool(floating) and full and evse in vacant)
        self._marked = any(evse.reserved for evse in self._facts.evses.values())

    def _remove_broken(self) -> Iterator[Event | Effect]:
        for kept in tuple(self.holds.table.values()):
            if kept.evse != ANY and not _serves(self._facts.evses[kept.evse]):
                yield from self._end(kept, "Removed")
        floating = sorted(self.holds.floating(), key=lambda kept: kept.made or 0.0)
        working = [v for v in self._facts.evses.values() if _serves(v) and self.holds.of(v) is None]
        for kept in floating[len(working) :]:  # the last that was made is the first that cannot be kept
            yield from self._end(kept, "Removed")

    def _expire(self, now: Instant) -> Iterator[Event | Effect]:
        for kept in tuple(self.holds.table.values()):
            if self.holds.in_use(kept):
                self._ends.pop(kept.id, None)
                continue
            at = self._moment(kept, now)
            if now.mono >= at:
                yield from self._end(kept, "Expired")

    def _moment(self, kept: Reservation, now: Instant) -> float:
        """When it ends, monotonic; kept as it was set unless the clock was, so that rounding never puts it off."""
        known = self._ends.get(kept.id)
        if now.quality is ClockQuality.UNKNOWN:
            blind_s = kept.expires - kept.made if kept.made is not None else BLIND_S
            return self._ends.setdefault(kept.id, now.mono + blind_s)
        at = now.mono + kept.expires - now.utc
        if known is None or abs(at - known) > DRIFT_S:
            self._ends[kept.id] = at
        return self._ends[kept.id]

    def _end(self, kept: Reservation, why: str) -> Iterator[Event | Effect]:
        del self.holds.table[kept.id]
        self._ends.pop(kept.id, None)
        yield Forget(TABLE, str(kept.id))
        yield ReservationEnded(kept.id, why)
        yield _note("ReservationEnded", kept, f"is reserved no longer: {why.lower()}")
        if why in _TOLD:
            yield Ask(ReservationUpdate(kept.id, why))

    # --- memory -------------------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        table = Kept(e, TABLE)
        for key, kept in table.rows(_decode).items():
            if kept.evse == ANY or kept.evse in self._facts.evses:
                self.holds.table[kept.id] = kept
            else:
                yield Forget(TABLE, key)  # the configuration has lost this EVSE
        yield from table.forget()

    HEARS: ClassVar = {
        Restored: "on_restored",
        ReserveRequested: "on_reserve",
        ReservationCancelRequested: "on_cancel",
        TransactionBegan: "on_started",
        Granted: "on_started",
    }


def _serves(evse: Evse) -> bool:
    return evse.operative and not evse.stopped_by_fault


def _state(evse: Evse) -> str:
    """Why this EVSE cannot be reserved, in the words of the answer; "" when it can."""
    if evse.stopped_by_fault:
        return "Faulted"
    if not evse.operative:
        return "Unavailable"
    return "" if is_vacant(evse) else "Occupied"


def _note(code: str, kept: Reservation, what: str) -> Note:
    where = f"EVSE {kept.evse}" if kept.evse else "one EVSE"
    return Note(
        "info", code, f"{where} {what} (reservation {kept.id})", (("EVSE", kept.evse), ("RESERVATION", kept.id))
    )


def _encode(kept: Reservation) -> dict[str, Any]:
    group = [kept.group.value, kept.group.kind] if kept.group else None
    token = [kept.token.value, kept.token.kind]
    return {"token": token, "group": group, "expires": kept.expires, "evse": kept.evse, "made": kept.made}


def _decode(key: str, value: Mapping[str, Any]) -> Reservation:
    group, made, evse = maybe(token, value["group"]), maybe(number, value["made"]), whole(value["evse"])
    return Reservation(whole(int(key)), token(value["token"]), number(value["expires"]), evse, group, made)
