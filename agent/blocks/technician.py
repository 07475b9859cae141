"""Orders of a technician at the charger, under the rules that hold for a card, for the stop button and for the CSMS.

Rules kept here
* A start is a card at the reader of that EVSE: whoever judges cards judges it. The technician's own token needs no
  question before the charge, for the configuration vouches for it; it is billed under its own name, and what the CSMS
  answers to the start counts as for any other token.
* A stop is the stop button: reason Local. Unlocking, availability and variables are decided by the blocks that decide
  them for the CSMS, in the same words.
* Each order is in the logbook and in the journal with its author and his reason, also one that is refused.
* Each order is answered once, and within a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import Answer, Effect, Forget, Note, Reply, StatusAnswer, WritesAnswer
from agent.core.events import (
    Denied,
    Event,
    Granted,
    StopWanted,
    Tick,
    TokenPresented,
    TransactionEnded,
    VariableChanged,
)
from agent.core.evse import Evse
from agent.core.faults import CATALOGUE
from agent.core.record import record
from agent.core.requests import (
    AvailabilityRequested,
    Ref,
    Request,
    UnlockRequested,
    VariablesSetRequested,
    VariableWrite,
)
from agent.core.technician import (
    WORDS,
    LocalStartWanted,
    Logged,
    Order,
    Ordered,
    Requeue,
    RetryHere,
    ServiceHere,
    StartHere,
    StopHere,
    Told,
    UnlockHere,
    WriteHere,
)
from agent.core.types import Instant, StopReason, Trigger
from drivers.api import IdToken, shorten

START_S = 40.0  # the CSMS has its time to judge a card
STOP_S = 20.0  # contactor and meter have theirs
VARIABLES = "variables"  # the table of what was written

Handler = Callable[[Any, Instant], Iterable[Event | Effect]]


@record
class _Open:
    """An order that waits for what becomes of it."""

    ref: Ref
    token: IdToken | None = None


class Technician(Block):
    """`handlers`: how other blocks answer the same request of the CSMS, by its type."""

    def __init__(self, facts: Facts, handlers: Mapping[type[Request], Handler]) -> None:
        self._facts = facts
        self._answer = handlers
        self._starting: dict[int, _Open] = {}
        self._stopping: dict[int, _Open] = {}
        self._deadlines = Deadlines()

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    def on_ordered(self, e: Ordered, now: Instant) -> Out:
        evse = getattr(e.order, "evse", None)
        if evse is not None and evse not in self._facts.evses:
            there = ", ".join(str(number) for number in self._facts.evses)
            yield from self._refuse(e, f"there is no EVSE {evse}; there is {there}")
            return
        yield from self._ORDERS[type(e.order)](self, e, e.order, now)

    # --- start --------------------------------------------------------------------------------------------------

    def _start(self, e: Ordered, order: StartHere, now: Instant) -> Out:
        evse, token = self._facts.evses[order.evse], order.token
        why_not = "a start is waited for already" if evse.id in self._starting else self._busy(evse)
        if why_not:
            yield from self._refuse(e, why_not)
            return
        self._starting[evse.id] = _Open(e.ref, token)
        self._deadlines.set(("start", evse.id), now.mono + START_S)
        yield from self._audit(
            e, f"with {'the technician’s own token' if order.own else 'card'} {shorten(token.value)}"
        )
        yield LocalStartWanted(evse.id, token) if order.own else TokenPresented((evse.id,), token)

    def _busy(self, evse: Evse) -> str:
        """Why nobody can be let in here."""
        stopping = [fault for fault in evse.faults if CATALOGUE[fault].stops]
        if stopping:
            return f"it has the fault {', '.join(stopping)}: {CATALOGUE[stopping[0]].remedy}"
        reasons = {
            self._facts.closing: bool(self._facts.closing),
            "its controller has not been read yet": not evse.seen,
            "nothing can be stored just now": not self._facts.storing,
            "it is out of service": not evse.operative,
            "a transaction is ending here": evse.tx is not None and evse.tx.stop is not None,
            "a card has been accepted here already": not evse.free,
        }
        return next((words for words, true in reasons.items() if true), "")

    def on_granted(self, e: Granted, _now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if e.evse in self._starting and self._starting[e.evse].token == e.token:
            wait_s = self._facts.variables.number("TxCtrlr.EVConnectionTimeOut")
            term = f" within {wait_s:g} s" if wait_s else ""
            more = "" if evse.plugged else f"; plug in{term}"
            yield from self._done(self._starting, e.evse, True, f"{shorten(e.token.value)} may charge{more}")

    def on_denied(self, e: Denied, _now: Instant) -> Out:
        for evse in e.evses:
            if evse in self._starting and self._starting[evse].token == e.token:
                yield Logged("order", f"start refused: {e.why}", evse, self._starting[evse].ref.by)
                yield from self._done(self._starting, evse, False, e.why)

    # --- stop ---------------------------------------------------------------------------------------------------

    def _stop(self, e: Ordered, order: StopHere, now: Instant) -> Out:
        evse = self._facts.evses[order.evse]
        tx = evse.tx
        if tx is None and evse.grant is None:
            yield from self._refuse(e, "nobody charges here")
        elif tx is not None and (tx.stop is not None or evse.id in self._stopping):
            yield from self._refuse(e, f"transaction {tx.id} is ending already")
        elif tx is not None and tx.leaving is not None:
            yield from self._refuse(e, "its power is withheld already; it ends when the cable is unplugged")
        else:
            yield from self._audit(e, f"transaction {tx.id}" if tx else "an authorization that nobody had used")
            yield StopWanted(evse.id, StopReason.LOCAL, Trigger.STOP_AUTHORIZED)
            if tx is None:
                yield Reply(e.ref, Told(True, "the authorization is taken back"))
            else:
                self._stopping[evse.id] = _Open(e.ref)
                self._deadlines.set(("stop", evse.id), now.mono + STOP_S)

    def derive(self, _now: Instant) -> Iterable[Event | Effect]:
        return self._withheld() if self._stopping else ()

    def _withheld(self) -> Iterator[Event | Effect]:
        for number in tuple(self._stopping):
            tx = self._facts.evses[number].tx
            if tx is not None and tx.stop is None and tx.leaving is not None:
                text = "power is withheld; the transaction ends when the cable is unplugged"
                yield from self._done(self._stopping, number, True, text)

    def on_ended(self, e: TransactionEnded, _now: Instant) -> Out:
        if e.evse in self._stopping:
            used_wh = e.ended.energy_wh - e.ended.started_wh if e.ended else 0
            text = f"transaction {e.transaction} has ended with {used_wh / 1000:.3f} kWh"
            yield from self._done(self._stopping, e.evse, True, text)

    # --- what other blocks decide ---------------------------------------------------------------------------------

    def _unlock(self, e: Ordered, order: UnlockHere, now: Instant) -> Out:
        return self._as_asked(e, UnlockRequested(e.ref, order.evse), now, "")

    def _service(self, e: Ordered, order: ServiceHere, now: Instant) -> Out:
        where = "" if order.evse else " (the whole station)"
        request = AvailabilityRequested(e.ref, order.operative, order.evse)
        return self._as_asked(e, request, now, f"{'in' if order.operative else 'out of'} service{where}")

    def _write(self, e: Ordered, order: WriteHere, now: Instant) -> Out:
        if order.value is not None:
            request = VariablesSetRequested(e.ref, (VariableWrite(order.id, order.value),))
            return self._as_asked(e, request, now, str(order.id))
        return self._unset(e, order)

    def _unset(self, e: Ordered, order: WriteHere) -> Iterator[Event | Effect]:
        if not self._facts.variables.unset(order.id):
            yield from self._refuse(e, f"{order.id} was not set by anybody")
            return
        yield from self._audit(e, f"{order.id}: what was set counts no more")
        yield Forget(VARIABLES, str(order.id))
        yield VariableChanged(order.id, None)
        yield Reply(e.ref, Told(True, f"{order.id} is {self._facts.variables.text(str(order.id))!r} again"))

    def _as_asked(self, e: Ordered, request: Request, now: Instant, what: str) -> Iterator[Event | Effect]:
        outs = list(self._answer[type(request)](request, now))
        answers = [out.answer for out in outs if isinstance(out, Reply) and out.ref == e.ref]
        said = _said(answers[0]) if answers else "begun"
        yield from self._audit(e, f"{what}: {said}" if what else said)
        yield from outs

    def _retry(self, e: Ordered, _order: RetryHere, _now: Instant) -> Out:
        yield from self._audit(e, "all that was given up goes to the CSMS once more")
        yield Requeue(e.ref)

    # --- answers and the logbook ----------------------------------------------------------------------------------

    def _done(self, where: dict[int, _Open], evse: int, done: bool, text: str) -> Iterator[Event | Effect]:
        self._deadlines.clear(("start" if where is self._starting else "stop", evse))
        yield Reply(where.pop(evse).ref, Told(done, text))

    def _refuse(self, e: Ordered, why: str) -> Iterator[Event | Effect]:
        yield from self._audit(e, f"refused: {why}")
        yield Reply(e.ref, Told(False, why))

    def _audit(self, e: Ordered, text: str) -> Iterator[Event | Effect]:
        evse = getattr(e.order, "evse", None) or 0
        said = f"{e.ref.action}: {text}"
        yield Logged("order", said, evse, e.ref.by, e.why)
        where = f"EVSE {evse}: " if evse else ""
        fields = (("BY", e.ref.by), *((("EVSE", evse),) if evse else ()))
        yield Note("info", "Technician", f"{where}{e.ref.by} orders {said}; why: {e.why}", fields)

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            evse: int = name[1]  # type: ignore[index]
            if name[0] == "start":  # type: ignore[index]
                text = "nobody has said yet whether this card may charge; see chargepoint evse"
                yield from self._done(self._starting, evse, False, text)
            else:
                yield from self._done(
                    self._stopping, evse, True, "power is withheld; the last meter reading is waited for"
                )

    _ORDERS: ClassVar[Mapping[type[Order], Callable[..., Out]]] = {
        StartHere: _start,
        StopHere: _stop,
        UnlockHere: _unlock,
        ServiceHere: _service,
        WriteHere: _write,
        RetryHere: _retry,
    }
    HEARS: ClassVar = {
        Ordered: "on_ordered",
        Granted: "on_granted",
        Denied: "on_denied",
        TransactionEnded: "on_ended",
        Tick: "on_tick",
    }


def _said(answer: Answer) -> str:
    if isinstance(answer, StatusAnswer):
        return WORDS.get(answer.status, (False, answer.status))[1]
    assert isinstance(answer, WritesAnswer), answer
    return str(answer.results[0][1])
