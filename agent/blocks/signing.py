"""Signed meter values: a transaction gets a session in the meter, and what the meter signs travels with it.

Rules kept here, where an EVSE's meter signs ([evse.meter] signing):
* No energy flows before the meter has opened its session (`Evse.unsigned`, obeyed by power); so TxStartPoint
  EnergyTransfer counts as PowerPathClosed there. A session has the card's number, so it waits for a card and a car.
* When the last reading is there, the session is ended and its result waited for; the transaction ends with it, or
  without it when the meter does not deliver. Energy is never lost for want of a signature; that is a fault.
* "required": a meter that does not begin ends the transaction before any energy flowed, and no other begins until the
  meter has shown that it can sign. "if-possible": the transaction goes on unsigned, and the fault only tells.
* A session that was open before a restart goes on; one that was only asked for is begun anew.

OCPP 2 SampledDataCtrlr.SignReadings, SignStartedReadings, OCPPCommCtrlr.PublicKeyWithSignedMeterValue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import ClassVar

from agent.blocks import snapshot
from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import Effect, Errand, Note, Remember
from agent.core.events import (
    Event,
    FaultCleared,
    FaultRaised,
    MeterReplaced,
    Restored,
    SampleTaken,
    StopWanted,
    Tick,
)
from agent.core.evse import Evse, Transaction
from agent.core.faults import Own
from agent.core.signing import (
    BeginSession,
    EndSession,
    ProbeSigner,
    SessionBegun,
    SessionEnded,
    SignatureDue,
    SignatureSettled,
    SignerProbed,
)
from agent.core.types import ClockQuality, Context, Instant, Reading, SignedState, StopReason, Trigger
from agent.core.variables import Variables
from drivers.api import Measurand, Sample, SignedData

MOST_ERRANDS = 8  # under way; the others wait
FIRST_PROBE_S, LONGEST_PROBE_S = 10.0, 300.0
PUBLIC_KEY = "OCPPCommCtrlr.PublicKeyWithSignedMeterValue"
SIGN, SIGN_STARTED = "SampledDataCtrlr.SignReadings", "SampledDataCtrlr.SignStartedReadings"
HOLDING = (SignedState.ASKED, SignedState.OPEN, SignedState.ENDING)
_ENERGY = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER


class Signing(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._vars = facts.variables
        self._deadlines = Deadlines()
        self._pauses: dict[int, float] = {}  # EVSE -> s until the next probe
        self._waiting: deque[Errand] = deque()
        self._under_way = 0
        self._keys: dict[int, str] = {}
        self._probed: dict[int, None] = {}  # EVSEs whose meter has been asked and has not answered yet
        for evse in facts.evses.values():
            if evse.signs:
                self._vars.compute(f"FiscalMetering@{evse.id}.PublicKey", lambda _now, n=evse.id: self._keys.get(n, ""))  # type: ignore[misc]

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    # --- can it sign? -------------------------------------------------------------------------------------------

    def on_restored(self, _e: Restored, _now: Instant) -> Out:
        for evse in self._facts.evses.values():
            if evse.signs:
                yield from self._order(ProbeSigner(evse.id))
            elif evse.limits.signing == "required":
                yield FaultRaised(evse.id, _fault(evse), "its driver cannot sign")
            elif evse.limits.signing != "off":
                text = f"EVSE {evse.id}: its meter cannot sign; its values go unsigned"
                yield Note("info", "Unsigned", text, (("EVSE", evse.id),))

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            assert isinstance(name, int)
            tx = self._facts.evses[name].tx
            if tx is not None and tx.signed_state in HOLDING:
                self._later(name, now)  # it is at work, and will say soon whether it can
            else:
                yield from self._order(ProbeSigner(name))

    def on_probed(self, e: SignerProbed, now: Instant) -> Out:
        yield from self._next()
        evse = self._facts.evses[e.evse]
        self._probed.pop(evse.id, None)
        if e.why:
            yield from self._fail(evse, e.why, now)
            return
        self._keys[evse.id] = e.public_key
        self._pauses.pop(evse.id, None)
        if _fault(evse) in evse.faults:
            yield FaultCleared(evse.id, _fault(evse))

    def _fail(self, evse: Evse, why: str, now: Instant) -> Iterator[Event]:
        self._later(evse.id, now)
        if _fault(evse) not in evse.faults:
            yield FaultRaised(evse.id, _fault(evse), why)

    def _later(self, evse: int, now: Instant) -> None:
        pause_s = self._pauses.get(evse, FIRST_PROBE_S)
        self._pauses[evse] = min(2 * pause_s, LONGEST_PROBE_S)
        self._deadlines.set(evse, now.mono + pause_s)

    # --- errands, a few at a time -------------------------------------------------------------------------------

    def _order(self, errand: Errand) -> Iterator[Effect]:
        self._waiting.append(errand)
        if isinstance(errand, ProbeSigner):
            self._probed[errand.evse] = None
        assert len(self._waiting) <= 4 * len(self._facts.evses), "errands of signing pile up"
        yield from self._begin_waiting()

    def _next(self) -> Iterator[Effect]:
        """One has been answered."""
        self._under_way -= 1
        yield from self._begin_waiting()

    def _begin_waiting(self) -> Iterator[Effect]:
        while self._waiting and self._under_way < MOST_ERRANDS:
            self._under_way += 1
            yield self._waiting.popleft()

    # --- the beginning ------------------------------------------------------------------------------------------

    def derive(self, now: Instant) -> Out:
        for evse in self._facts.evses.values():
            tx = evse.tx
            if tx is None or tx.signed_state is not SignedState.NONE or not evse.unsigned or not _is_due(evse, tx):
                continue
            if Own.METER_UNSIGNED in evse.faults:
                tx.signed_state = SignedState.LOST  # known not to sign: nobody has to wait for that again
                yield _remember(evse, tx)
            else:
                tx.signed_state = SignedState.ASKED
                yield from self._order(BeginSession(evse.id, tx.id, tx.token, _utc(now)))

    def on_begun(self, e: SessionBegun, now: Instant) -> Out:
        yield from self._next()
        evse = self._facts.evses[e.evse]
        tx = evse.tx
        if tx is None or tx.id != e.transaction or tx.signed_state is not SignedState.ASKED:
            return  # the next session that begins gives up this one
        if e.why:
            yield from self._not_begun(evse, tx, e.why, now)
            return
        tx.signed_state, tx.signed_begin = SignedState.OPEN, e.signed
        yield _remember(evse, tx)
        if tx.signature_due:
            yield from self._end(evse, tx, now)
        elif e.signed is not None and self._vars.flag(SIGN) and self._vars.flag(SIGN_STARTED):
            reading = Reading(now, Context.BEGIN, (_register(tx.started_wh),), as_told(self._vars, tx, e.signed))
            yield SampleTaken(evse.id, reading, Trigger.SIGNED_DATA_RECEIVED)

    def _not_begun(self, evse: Evse, tx: Transaction, why: str, now: Instant) -> Iterator[Event | Effect]:
        tx.signed_state = SignedState.LOST
        yield _remember(evse, tx)
        yield from self._fail(evse, why, now)
        if tx.signature_due:
            yield SignatureSettled(evse.id)
        elif evse.limits.signing == "required":
            yield StopWanted(evse.id, StopReason.OTHER, Trigger.ABNORMAL_CONDITION)

    # --- the end ------------------------------------------------------------------------------------------------

    def on_due(self, e: SignatureDue, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if evse.tx is not None and evse.tx.signed_state is SignedState.OPEN:
            yield from self._end(evse, evse.tx, now)

    def _end(self, evse: Evse, tx: Transaction, now: Instant) -> Iterator[Effect]:
        tx.signed_state = SignedState.ENDING
        yield from self._order(EndSession(evse.id, tx.id, tx.token, _utc(now)))

    def on_ended(self, e: SessionEnded, now: Instant) -> Out:
        yield from self._next()
        evse = self._facts.evses[e.evse]
        tx = evse.tx
        if tx is None or tx.id != e.transaction or tx.signed_state is not SignedState.ENDING:
            return
        if e.signed is None:
            tx.signed_state = SignedState.LOST
            yield from self._fail(evse, e.why, now)
        else:
            tx.signed_state, tx.signed_end = SignedState.DONE, e.signed
        yield SignatureSettled(evse.id)

    def on_replaced(self, e: MeterReplaced, now: Instant) -> Out:
        """Heard before the transaction ends for it: there is nothing to wait for. The other has a key of its own."""
        evse = self._facts.evses[e.evse]
        if evse.tx is not None and evse.tx.signed_state in HOLDING:
            evse.tx.signed_state = SignedState.LOST
            yield from self._fail(evse, "another meter answers in its place", now)
        elif evse.signs and evse.id not in self._probed:
            yield from self._order(ProbeSigner(evse.id))

    HEARS: ClassVar = {
        Restored: "on_restored",
        Tick: "on_tick",
        SignerProbed: "on_probed",
        SessionBegun: "on_begun",
        SessionEnded: "on_ended",
        SignatureDue: "on_due",
        MeterReplaced: "on_replaced",
    }


# --- for transactions ---------------------------------------------------------------------------------------


def waits(evse: Evse, tx: Transaction) -> bool:
    """Its end has to wait for the meter's signature."""
    return evse.signs and tx.signed_state in HOLDING


def due(evse: Evse, tx: Transaction) -> Iterator[Event]:
    """The signature is due, which is told once."""
    if not tx.signature_due:
        tx.signature_due = True
        yield SignatureDue(evse.id)


def signed_readings(variables: Variables, tx: Transaction, readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """The readings of an end, with what the meter has signed at both ends of the transaction."""
    if tx.signed_begin is None and tx.signed_end is None:
        return readings
    if variables.find(SIGN) is None or not variables.flag(SIGN):  # since a restart no meter is to sign any more
        return readings
    parts = ((Context.BEGIN, tx.signed_begin, tx.started_wh), (Context.END, tx.signed_end, tx.last_wh))
    for context, signed, energy_wh in parts:
        if signed is not None:
            readings = _with(readings, context, as_told(variables, tx, signed), float(energy_wh), tx)
    return readings


def as_told(variables: Variables, tx: Transaction, signed: SignedData) -> SignedData:
    """With the public key, or without it, as the CSMS wants it. Decided when it is recorded, not when it is sent."""
    policy = variables.text(PUBLIC_KEY)
    told = policy == "EveryMeterValue" or (policy == "OncePerTransaction" and not tx.key_told)
    tx.key_told |= told
    return signed if told else SignedData(signed.text, signed.encoding, signed.method)


def _with(
    readings: tuple[Reading, ...], context: Context, signed: SignedData, energy_wh: float, tx: Transaction
) -> tuple[Reading, ...]:
    """The reading of that context with its signed form; one is made where none was told."""
    place = next((k for k, reading in enumerate(readings) if reading.context is context), None)
    if place is None:
        place = 0 if context is Context.BEGIN else len(readings)
        at = tx.started_at if context is Context.BEGIN or not readings else readings[-1].at
        fresh = Reading(at, context, (_register(energy_wh),), signed)
        return (*readings[:place], fresh, *readings[place:])
    old = readings[place]
    has_register = any(s.measurand is _ENERGY and s.phase is None for s in old.samples)
    samples = old.samples if has_register else (_register(energy_wh), *old.samples)
    return (*readings[:place], Reading(old.at, context, samples, signed), *readings[place + 1 :])


def _register(energy_wh: float) -> Sample:
    return Sample(_ENERGY, float(energy_wh))


def _is_due(evse: Evse, tx: Transaction) -> bool:
    """Somebody is known and a car is there: power would be offered now."""
    return evse.plugged and tx.token is not None and tx.stop is None and not tx.withheld and not tx.restored


def _utc(now: Instant) -> float | None:
    return now.utc if now.quality > ClockQuality.UNKNOWN else None


def _fault(evse: Evse) -> str:
    return str(Own.METER_SIGNING if evse.limits.signing == "required" else Own.METER_UNSIGNED)


def _remember(evse: Evse, tx: Transaction) -> Remember:
    return Remember(snapshot.OPEN, tx.id, snapshot.encode(evse.id, tx))
