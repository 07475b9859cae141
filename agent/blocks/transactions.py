"""E: Transactions. The life of each transaction from its first to its last event; nothing of it is ever lost or
doubled.

Per EVSE three states: none, active, ending. A transaction starts when one of TxStartPoint becomes true and the meter
is known, and ends when one of TxStopPoint that was true becomes false. Ending waits, with power withheld, for the
contactor to open and for one meter reading after that, so that the bill has every watt-hour; a silent meter is waited
for `FINAL_SILENT_S`, then the last value known counts. What is needed after a restart is remembered as it changes.

A transaction found open at start waits for the first readings, then goes on or ends by the policy: with
"if-still-plugged" it goes on while its EV is still there; else it ends with the meter's reading of now, for that
energy is its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks import signing, snapshot
from agent.blocks.kept import Kept, whole
from agent.blocks.sampling import KEPT, begin_reading, end_readings, selected
from agent.blocks.snapshot import OPEN
from agent.blocks.station import Block, Facts, Out
from agent.blocks.transaction_events import (
    BUTTONS,
    authorize,
    build,
    count,
    first_of,
    is_over_limit,
    note,
    points_of,
    restored_stop,
    start_points,
    start_trigger,
)
from agent.blocks.worn import Worn
from agent.core.deadlines import Deadlines
from agent.core.effects import Effect, Forget, Record, Remember
from agent.core.events import (
    Event,
    FaultRaised,
    Granted,
    MeterRead,
    MeterReplaced,
    OpenTransaction,
    ResetDue,
    Restored,
    SampleTaken,
    StopPressed,
    StopWanted,
    Tick,
    TransactionAnswered,
    TransactionBegan,
    TransactionEnded,
    TransactionResumed,
    Unplugged,
)
from agent.core.evse import CONNECTED, Evse, Grant, Stop, Transaction, charging_state
from agent.core.faults import CATALOGUE
from agent.core.signing import SignatureSettled
from agent.core.types import (
    ChargingState,
    Instant,
    Reading,
    StopReason,
    TokenInfo,
    TokenStatus,
    Trigger,
    TxKind,
    TxPoint,
)
from drivers.api import Fault, IdToken, Pilot, StopButton

FINAL_S = 12.0  # an EV has 3 s to stop, the controller forces it off after 6 s (IEC 61851-1 sequence 10.2)
FINAL_SILENT_S = 60.0
SETTLE_S = 1.0  # meters refresh their registers about once a second
STOP_POINT = "TxCtrlr.TxStopPoint"
DEAUTHORIZES = (Trigger.STOP_AUTHORIZED, Trigger.REMOTE_STOP, Trigger.DEAUTHORIZED, Trigger.ENERGY_LIMIT_REACHED)
DEAUTHORIZED_ENDS = {TxPoint.AUTHORIZED, TxPoint.POWER_PATH_CLOSED, TxPoint.ENERGY_TRANSFER}


class Transactions(Block):
    """`prefix` makes transaction ids unique among stations and over a factory reset; `resume`: see `etc/agent.toml`."""

    def __init__(self, facts: Facts, prefix: str, resume: str = "if-still-plugged") -> None:
        self._facts = facts
        self._vars = facts.variables
        self._prefix = prefix
        self._resume = resume
        self._count = 0
        self._power_lost = False
        self._worn = Worn(facts.evses)
        self._deadlines = Deadlines()

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    # --- start --------------------------------------------------------------------------------------------------

    def derive(self, now: Instant) -> Out:
        for evse in self._facts.evses.values():
            tx = evse.tx
            if tx is None:
                yield from self._maybe_start(evse, now)
            elif tx.restored:
                yield from self._decide_restored(evse, tx, now)
            elif tx.stop is not None:
                yield from self._maybe_finish(evse, tx, now)
            else:
                yield from self._follow(evse, tx, now)
            yield from self._worn.news(evse)

    def _maybe_start(self, evse: Evse, now: Instant) -> Iterator[Event | Effect]:
        wanted = start_points(evse, self._vars)
        fresh = any(point in wanted for point in self._worn.fresh(evse))
        ready = (
            evse.seen and evse.operative and evse.meter is not None and self._facts.storing and not self._facts.closing
        )
        if fresh and ready and not evse.stopped_by_fault:
            yield from self._start(evse, now)

    def _start(self, evse: Evse, now: Instant) -> Iterator[Event | Effect]:
        self._count += 1
        grant = evse.grant
        trigger = start_trigger(evse, grant, self._vars.members("TxCtrlr.TxStartPoint"))
        name, first = f"{self._prefix}-{evse.id}-{self._count}", first_of(evse, trigger)
        wh, begin = round(first.energy_wh), begin_reading(evse, first)
        tx = Transaction(name, now, wh, last_wh=wh, last_read=(wh, begin.at), begin=begin)
        if grant is not None:
            authorize(tx, grant)
        evse.tx, evse.finished = tx, False
        started = selected(self._vars, "SampledDataCtrlr.TxStartedMeasurands", tx.begin)
        yield Remember("counters", "transactions", self._count)
        yield self._event(evse, tx, now, TxKind.STARTED, trigger, readings=(started,) if started else ())
        yield self._remember(tx)
        yield TransactionBegan(evse.id, tx.id)
        yield note("TransactionBegan", evse, tx, f"began at {tx.started_wh} Wh")

    # --- on its way ---------------------------------------------------------------------------------------------

    def _follow(self, evse: Evse, tx: Transaction, now: Instant) -> Iterator[Event | Effect]:
        state = charging_state(evse)
        if state is not tx.told_state:
            trigger = Trigger.CHARGING_STATE_CHANGED
            if tx.told_state is ChargingState.IDLE and evse.plugged:
                trigger = Trigger.CABLE_PLUGGED_IN
            elif state is ChargingState.IDLE:
                trigger = Trigger.EV_COMMUNICATION_LOST  # E10
            yield self._event(evse, tx, now, TxKind.UPDATED, trigger)
        points = points_of(evse)
        tx.reached_transfer |= TxPoint.ENERGY_TRANSFER in points
        stops = self._vars.members(STOP_POINT)
        if tx.reached_transfer and TxPoint.ENERGY_TRANSFER in stops and TxPoint.ENERGY_TRANSFER not in points:
            yield StopWanted(evse.id, StopReason.STOPPED_BY_EV, Trigger.CHARGING_STATE_CHANGED)
        if tx.leaving is None and is_over_limit(evse, tx):
            yield StopWanted(evse.id, StopReason.DE_AUTHORIZED, Trigger.ENERGY_LIMIT_REACHED)

    def on_granted(self, e: Granted, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        evse.finished = False
        tx, grant = evse.tx, evse.grant
        if tx is not None and grant is not None and tx.token is None and tx.stop is None:
            authorize(tx, grant)
            yield self._event(evse, tx, now, TxKind.UPDATED, grant.trigger, token=grant.token)
            yield self._remember(tx)

    def on_sample(self, e: SampleTaken, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if evse.tx is not None and evse.tx.stop is None and not evse.tx.restored:
            yield self._event(evse, evse.tx, now, TxKind.UPDATED, e.trigger, readings=(e.reading,))

    def on_meter(self, e: MeterRead, _now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if evse.tx is not None and evse.meter is not None and not evse.tx.restored:
            count(evse.tx, evse.meter)
        return iter(())

    def on_answered(self, e: TransactionAnswered, now: Instant) -> Out:
        evse = self._facts.evses.get(e.event.evse)
        tx = evse.tx if evse else None
        if evse is None or tx is None or tx.id != e.event.transaction:
            return
        if e.csms_id is not None:
            tx.csms_id = e.csms_id
        if e.info is not None and tx.stop is None and e.event.token is not None:
            yield from self._judged(evse, tx, e.info, now)

    def _judged(self, evse: Evse, tx: Transaction, info: TokenInfo, now: Instant) -> Iterator[Event | Effect]:
        """The CSMS has said of a running transaction's token what it thinks of it (E05)."""
        if info.status is TokenStatus.ACCEPTED:  # now; its date is for the cache
            if info.group is not None:
                tx.group = info.group
            return
        if self._vars.flag("TxCtrlr.StopTxOnInvalidId"):
            yield StopWanted(evse.id, StopReason.DE_AUTHORIZED, Trigger.DEAUTHORIZED)
        elif not tx.withheld and tx.energy_limit_wh is None:
            limit = int(self._vars.number("TxCtrlr.MaxEnergyOnInvalidId"))
            tx.energy_limit_wh, tx.withheld = (limit, False) if limit else (None, True)
            yield self._event(evse, tx, now, TxKind.UPDATED, Trigger.DEAUTHORIZED)
            yield self._remember(tx)

    # --- the end ------------------------------------------------------------------------------------------------

    def on_unplugged(self, e: Unplugged, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if not e.cable_left:
            evse.finished = False
        tx = evse.tx
        if tx is None or tx.stop is not None or tx.restored:
            return
        may_return = e.cable_left or evse.limits.attached_cable
        if self._vars.flag("TxCtrlr.StopTxOnEVSideDisconnect") or not may_return:
            yield StopWanted(evse.id, StopReason.EV_DISCONNECTED, Trigger.EV_COMMUNICATION_LOST)

    def on_stop(self, e: StopWanted, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        tx = evse.tx
        if tx is None or tx.stop is not None:
            return
        if evse.plugged and e.trigger in DEAUTHORIZES and not DEAUTHORIZED_ENDS & {*self._vars.members(STOP_POINT)}:
            yield from self._only_deauthorize(evse, tx, e, now)
            return
        left = tx.leaving or Stop(e.reason, e.trigger, e.token)
        tx.stop = Stop(left.reason, e.trigger, left.token)
        tx.stop_mono = now.mono
        tx.restored = False
        self._deadlines.set(evse.id, now.mono + FINAL_S)
        yield self._remember(tx)

    def _only_deauthorize(self, evse: Evse, tx: Transaction, e: StopWanted, now: Instant) -> Iterator[Effect]:
        """By its TxStopPoint the transaction goes on, without power, until the cable goes (E06)."""
        if tx.leaving is None:
            tx.leaving = Stop(e.reason, e.trigger, e.token)
            tx.withheld = True
            yield self._event(evse, tx, now, TxKind.UPDATED, e.trigger, token=e.token)
            yield self._remember(tx)

    def on_pressed(self, e: StopPressed, _now: Instant) -> Out:
        if self._facts.evses[e.evse].tx is not None:
            yield StopWanted(
                e.evse,
                BUTTONS[e.button],
                Trigger.ABNORMAL_CONDITION if e.button is StopButton.EMERGENCY else Trigger.STOP_AUTHORIZED,
            )

    def on_fault(self, e: FaultRaised, _now: Instant) -> Out:
        ends = CATALOGUE[e.fault].ends
        if ends is not None and self._facts.evses[e.evse].tx is not None:
            yield StopWanted(e.evse, ends, Trigger.ABNORMAL_CONDITION)

    def on_replaced(self, e: MeterReplaced, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if evse.tx is not None:
            evse.tx.stop = evse.tx.stop or Stop(StopReason.OTHER, Trigger.ABNORMAL_CONDITION)
            yield from self._finish(evse, evse.tx, now)

    def on_settled(self, e: SignatureSettled, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        if evse.tx is not None and evse.tx.stop is not None:
            yield from self._finish(evse, evse.tx, now)

    def on_reset(self, e: ResetDue, _now: Instant) -> Out:
        for evse in self._facts.evses.values():
            if evse.tx is not None:
                yield StopWanted(evse.id, e.reason, Trigger.RESET_COMMAND)

    def _maybe_finish(self, evse: Evse, tx: Transaction, now: Instant) -> Iterator[Event | Effect]:
        opened, meter = evse.open_since, evse.meter
        if opened is None or meter is None or evse.offer_a > 0:
            return
        if meter.at.mono >= max(opened + SETTLE_S, tx.stop_mono):
            yield from self._finish(evse, tx, now)

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            evse = self._facts.evses[name]  # type: ignore[index]
            tx = evse.tx
            if tx is None:
                continue
            if tx.restored:
                yield from self._give_up_waiting(evse, tx, now)
            elif Fault.METER in evse.faults and now.mono < tx.stop_mono + FINAL_SILENT_S:
                self._deadlines.set(evse.id, tx.stop_mono + FINAL_SILENT_S)
            else:
                yield from self._finish(evse, tx, now)

    def _finish(self, evse: Evse, tx: Transaction, now: Instant) -> Iterator[Event | Effect]:
        stop = tx.stop
        assert stop is not None
        if signing.waits(evse, tx):
            yield from signing.due(evse, tx)
            return
        if evse.meter is not None:
            count(tx, evse.meter)
        at = now if evse.meter is None or evse.meter.at.mono < tx.stop_mono else evse.meter.at
        readings = end_readings(self._vars, evse, tx, at)
        evse.tx = None
        self._worn.wear(evse, tx.stop_mono)
        self._deadlines.clear(evse.id)
        ended = self._event(evse, tx, at, TxKind.ENDED, stop.trigger, stop.token, readings, stop.reason)
        yield ended
        yield Forget(OPEN, tx.id)
        for number, _reading in tx.kept:
            yield Forget(KEPT, f"{tx.id}/{number}")
        yield TransactionEnded(evse.id, tx.id, ended.event, tx.token, tx.csms_id)
        used_wh = tx.last_wh - tx.started_wh
        yield note("TransactionEnded", evse, tx, f"ended ({stop.reason}) with {used_wh} Wh", ("ENERGY_WH", used_wh))

    # --- after a restart ----------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, now: Instant) -> Out:
        self._count = Kept(e, "counters").row("transactions", lambda _key, value: max(whole(value), 0)) or 0
        self._power_lost = e.power_lost
        yield from self._worn.restore(e)
        for found in e.open_transactions:
            yield from self._restore(found, now)

    def _restore(self, found: OpenTransaction, now: Instant) -> Iterator[Event | Effect]:
        evse_id, tx = snapshot.read(found, now)
        evse = self._facts.evses.get(evse_id)
        self._count = max(self._count, snapshot.number_of(tx.id))
        if evse is None or evse.tx is not None:
            # Its EVSE is not there, or not known any more: close with what is known, so that the bill is not lost.
            stop = Stop(StopReason.OTHER, Trigger.ABNORMAL_CONDITION)
            yield Record(build(evse_id, tx, now, TxKind.ENDED, stop.trigger, ChargingState.IDLE, reason=stop.reason))
            yield Forget(OPEN, tx.id)
            return
        evse.tx = tx
        tx.restored, tx.stop_mono = True, now.mono
        self._deadlines.set(evse.id, now.mono + FINAL_SILENT_S)

    def _decide_restored(self, evse: Evse, tx: Transaction, now: Instant) -> Iterator[Event | Effect]:
        if evse.pilot not in (Pilot.A, *CONNECTED) or evse.meter is None:
            return  # nothing is known yet, or the pilot tells nothing of the car
        self._deadlines.clear(evse.id)
        tx.restored = False
        count(tx, evse.meter)
        if tx.stop is not None:
            tx.stop_mono = now.mono
            self._deadlines.set(evse.id, now.mono + FINAL_S)
            yield from self._maybe_finish(evse, tx, now)
        elif evse.plugged and self._resume == "if-still-plugged" and not self._facts.closing:
            if tx.token is not None and tx.leaving is None:
                info = TokenInfo(TokenStatus.ACCEPTED, tx.group)
                trigger = Trigger.REMOTE_START if tx.remote_start_id is not None else Trigger.AUTHORIZED
                evse.grant = Grant(tx.token, info, trigger, now, tx.remote_start_id)
            yield TransactionResumed(evse.id, tx.id)
            yield note("TransactionResumed", evse, tx, "goes on after a restart")
        else:
            yield restored_stop(evse, tx, self._power_lost)

    def _give_up_waiting(self, evse: Evse, tx: Transaction, now: Instant) -> Iterator[Event | Effect]:
        """The hardware has not been heard of for a minute: close with the last value that was stored."""
        tx.restored = False
        if tx.stop is None:
            tx.stop = Stop(StopReason.POWER_LOSS if self._power_lost else StopReason.REBOOT, Trigger.ABNORMAL_CONDITION)
        yield from self._finish(evse, tx, now)

    # --- building events ----------------------------------------------------------------------------------------

    def _event(
        self,
        evse: Evse,
        tx: Transaction,
        at: Instant,
        kind: TxKind,
        trigger: Trigger,
        token: IdToken | None = None,
        readings: tuple[Reading, ...] = (),
        reason: StopReason | None = None,
    ) -> Record:
        state = charging_state(evse)
        if kind is TxKind.STARTED:
            token = tx.token
            if evse.offer_a <= 0:  # not yet: it is no pause
                state = ChargingState.EV_CONNECTED if evse.plugged else ChargingState.IDLE
        tx.told_state = state
        offline = not self._facts.online
        return Record(build(evse.id, tx, at, kind, trigger, state, token, readings, reason, offline, evse))

    def _remember(self, tx: Transaction) -> Remember:
        evse = next(v.id for v in self._facts.evses.values() if v.tx is tx)
        return Remember(OPEN, tx.id, snapshot.encode(evse, tx))

    HEARS: ClassVar = {
        Restored: "on_restored",
        Granted: "on_granted",
        SampleTaken: "on_sample",
        MeterRead: "on_meter",
        MeterReplaced: "on_replaced",
        TransactionAnswered: "on_answered",
        Unplugged: "on_unplugged",
        StopWanted: "on_stop",
        StopPressed: "on_pressed",
        FaultRaised: "on_fault",
        ResetDue: "on_reset",
        SignatureSettled: "on_settled",
        Tick: "on_tick",
    }
