"""F: Remote control. Start, stop, unlock, trigger and reset by the CSMS, and by the stop button what the same rules
say.

A reset is accepted at once; then no transaction may start, those that run end with the right reason and the meter's
true value, and the process ends when the journal has been told to the CSMS or `DRAIN_S` have passed: what is left is
sent after the restart. OnIdle waits for the transactions to end by themselves.

What a TriggerMessage may ask for is an open table, message -> `Answerer`: the blocks that know firmware, logs and
certificates give theirs to the constructor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from agent.blocks.sampling import offered, selected
from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import (
    Ask,
    Boot,
    Effect,
    FirmwareStatus,
    Heartbeat,
    LogStatus,
    MeterReport,
    Remember,
    Reply,
    Restart,
    StatusAnswer,
    TransactionStatusAnswer,
    Unlock,
)
from agent.core.events import (
    Event,
    QueueEmptied,
    QueueFilled,
    RemoteStartWanted,
    ResetDue,
    SampleTaken,
    StatusWanted,
    StopWanted,
    Tick,
    TransactionEnded,
    UnlockDone,
)
from agent.core.evse import Evse
from agent.core.requests import (
    Ref,
    ResetRequested,
    StartRequested,
    StopRequested,
    TransactionStatusRequested,
    TriggerRequested,
    UnlockRequested,
)
from agent.core.types import Context, Instant, Reading, Registration, ResetKind, StopReason, Trigger
from drivers.api import IdToken

Answerer = Callable[[int | None, Instant], Iterable[Event | Effect]]
"""What a trigger for this EVSE (None: all, 0: the station as a whole) makes us tell; nothing at all means Rejected. A
call goes out as `Ask(call, triggered=True)`."""

NO_AUTHORIZATION = "NoAuthorization"  # the kind of a token that is none: nobody has to authorize here
DRAIN_S = 10.0
ANSWER_S = 1.0  # the answer to a reset, and the end of a transaction, are given time to leave
UNLOCK_S = 20.0
_REASON = {
    ResetKind.SOFT: StopReason.SOFT_RESET,
    ResetKind.HARD: StopReason.HARD_RESET,
    ResetKind.IMMEDIATE: StopReason.IMMEDIATE_RESET,
}


_NEWER = {"Log": "Diagnostics", "SignedFirmware": "Firmware"}
_OF_EVSES = ("Status", "MeterValues", "SampledValues", "TransactionEvent")


class RemoteControl(Block):
    """`refuses` says why a profile that came with a start cannot be used, or "". `triggers` are other blocks' answers
    to triggers, by `TriggerRequested.message`; they count before our own. `open_to`: at which of these EVSEs the bearer
    of a token and group may start, as far as that is known here."""

    def __init__(
        self,
        facts: Facts,
        refuses: Callable[[Any, Instant], str] = lambda _profile, _now: "",
        triggers: Mapping[str, Answerer] | None = None,
        open_to: Callable[[list[Evse], IdToken, IdToken | None], list[Evse]] = lambda evses, _token, _group: evses,
    ) -> None:
        self._facts = facts
        self._refuses = refuses
        self._open_to = open_to
        self._triggers: dict[str, Answerer] = {
            "Boot": self._boot,
            "BootAgain": self._boot_again,
            "Heartbeat": self._heartbeat,
            "Status": self._status,
            "MeterValues": self._aligned,
            "SampledValues": self._sampled,
            "TransactionEvent": self._transaction,
            "Firmware": self._firmware,
            "Diagnostics": self._log,
        }
        self._triggers.update(triggers or {})
        for word, plain in _NEWER.items():  # who answers for one kind only answers for both
            self._triggers.setdefault(word, self._triggers[plain])
        self._deadlines = Deadlines()
        self._reset: ResetKind | None = None
        self._unlocking: dict[int, Ref] = {}
        self._queued = False

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    # --- start and stop -----------------------------------------------------------------------------------------

    def on_start(self, e: StartRequested, now: Instant) -> Out:
        evses = self._facts.evses
        wanted = list(evses.values()) if e.evse is None else [evses[e.evse]] if e.evse in evses else []
        free = self._open_to([evse for evse in wanted if evse.free], e.token, e.group)
        if not free or self._facts.closing or self._facts.registration is not Registration.ACCEPTED:
            yield Reply(e.ref, StatusAnswer("Rejected", reason="TxInProgress" if wanted else "UnknownEvse"))
            return
        nobody = not e.token.value and e.token.kind != NO_AUTHORIZATION  # a bill would be nobody's
        refusal = "InvalidIdToken" if nobody else self._refuses(e.profile, now) if e.profile is not None else ""
        if refusal:
            yield Reply(e.ref, StatusAnswer("Rejected", reason=refusal))
            return
        running = next((evse.tx.id for evse in free if evse.tx is not None), None)
        yield Reply(e.ref, StatusAnswer("Accepted", transaction=running))
        yield RemoteStartWanted(tuple(evse.id for evse in free), e.token, e.remote_start_id, e.group)

    def on_stop(self, e: StopRequested, _now: Instant) -> Out:
        evse = self._by_transaction(e.transaction)
        if evse is None or self._facts.registration is not Registration.ACCEPTED:
            yield Reply(e.ref, StatusAnswer("Rejected", reason="TxNotFound"))
            return
        yield Reply(e.ref, StatusAnswer("Accepted"))
        yield StopWanted(evse.id, StopReason.REMOTE, Trigger.REMOTE_STOP)

    def _by_transaction(self, name: str) -> Evse | None:
        """By our id or by the CSMS's."""
        running = (evse for evse in self._facts.evses.values() if evse.tx is not None)
        return next((evse for evse in running if evse.tx and name in (evse.tx.id, evse.tx.csms_id)), None)

    def on_status(self, e: TransactionStatusRequested, _now: Instant) -> Out:
        ongoing = None if e.transaction is None else self._by_transaction(e.transaction) is not None
        yield Reply(e.ref, TransactionStatusAnswer(self._queued, ongoing))

    def on_queue(self, e: QueueEmptied | QueueFilled, now: Instant) -> Out:
        self._queued = isinstance(e, QueueFilled)
        yield from self._maybe_restart(now)

    # --- unlock -------------------------------------------------------------------------------------------------

    def on_unlock(self, e: UnlockRequested, now: Instant) -> Out:
        evse = self._facts.evses.get(e.evse)
        if evse is None or e.connector != 1:
            yield Reply(e.ref, StatusAnswer("UnknownConnector"))
        elif not evse.limits.unlocks:
            yield Reply(e.ref, StatusAnswer("NotSupported"))
        elif is_authorized(evse) and not self._facts.variables.flag("TxCtrlr.StopTxOnUnlock"):
            yield Reply(e.ref, StatusAnswer("OngoingAuthorizedTransaction"))
        elif evse.id in self._unlocking:
            yield Reply(e.ref, StatusAnswer("UnlockFailed", reason="Busy"))
        else:
            self._unlocking[evse.id] = e.ref
            self._deadlines.set(("unlock", evse.id), now.mono + UNLOCK_S)
            if is_authorized(evse):
                yield StopWanted(evse.id, StopReason.UNLOCK_COMMAND, Trigger.UNLOCK_COMMAND)
            else:
                yield Unlock(evse.id)

    def on_unlocked(self, e: UnlockDone, _now: Instant) -> Out:
        yield from self._answer_unlock(e.evse, "Unlocked" if e.opened else "UnlockFailed")

    def _answer_unlock(self, evse: int, status: str) -> Iterator[Effect]:
        self._deadlines.clear(("unlock", evse))
        ref = self._unlocking.pop(evse, None)
        if ref is not None:
            yield Reply(ref, StatusAnswer(status))

    def on_ended(self, e: TransactionEnded, now: Instant) -> Out:
        evse = self._facts.evses[e.evse]
        departed = not evse.plugged and evse.cable_present and evse.limits.unlocks
        wanted = departed and self._facts.variables.flag("OCPPCommCtrlr.UnlockOnEVSideDisconnect")
        if wanted or e.evse in self._unlocking:
            yield Unlock(e.evse)
        if self._reset is not None:
            self._deadlines.set("answer", now.mono + ANSWER_S)

    # --- trigger ------------------------------------------------------------------------------------------------

    def on_trigger(self, e: TriggerRequested, now: Instant) -> Out:
        known = e.evse in (None, 0) or e.evse in self._facts.evses
        if not known and e.message in _OF_EVSES:  # other messages have no place, so that is not looked at
            yield Reply(e.ref, StatusAnswer("Rejected", reason="UnknownEvse"))
            return
        answer = self._triggers.get(e.message)
        if answer is None:
            yield Reply(e.ref, StatusAnswer("NotImplemented"))
            return
        outs = list(answer(e.evse, now))
        yield Reply(e.ref, StatusAnswer("Accepted" if outs else "Rejected"))
        yield from outs

    def _boot(self, _evse: int | None, _now: Instant) -> Out:
        if self._facts.registration is not Registration.ACCEPTED:  # F06.FR.17: not once it has been accepted
            yield Ask(Boot("Triggered"), triggered=True)

    def _boot_again(self, _evse: int | None, _now: Instant) -> Out:
        yield Ask(Boot("Triggered"), triggered=True)

    def _heartbeat(self, _evse: int | None, _now: Instant) -> Out:
        yield Ask(Heartbeat(), triggered=True)

    def _status(self, evse: int | None, _now: Instant) -> Out:
        yield StatusWanted(evse)

    def _aligned(self, evse: int | None, _now: Instant) -> Out:
        return self._meter("AlignedDataCtrlr.Measurands", evse)

    def _sampled(self, evse: int | None, _now: Instant) -> Out:
        return self._meter("SampledDataCtrlr.TxUpdatedMeasurands", evse)

    def _meter(self, measurands: str, evse: int | None) -> Out:
        for one in self._metered(evse):
            name = (one.tx.csms_id or one.tx.id) if one.tx else None
            yield Ask(MeterReport(one.id, (self._reading(one, measurands),), name), triggered=True)

    def _transaction(self, evse: int | None, _now: Instant) -> Out:
        for one in self._metered(evse):
            if one.tx is not None and not one.tx.stop:
                reading = self._reading(one, "SampledDataCtrlr.TxUpdatedMeasurands")
                yield SampleTaken(one.id, reading, Trigger.TRIGGER)

    def _metered(self, evse: int | None) -> list[Evse]:
        return [one for one in self._facts.evses.values() if one.meter is not None and evse in (None, 0, one.id)]

    def _reading(self, evse: Evse, measurands: str) -> Reading:
        """The newest one, of the measurands that this variable lists, or of all when it lists none."""
        assert evse.meter is not None
        whole = Reading(evse.meter.at, Context.TRIGGER, offered(evse, evse.meter.samples))
        return selected(self._facts.variables, measurands, whole) or whole

    def _firmware(self, _evse: int | None, _now: Instant) -> Out:
        yield Ask(FirmwareStatus(), triggered=True)

    def _log(self, _evse: int | None, _now: Instant) -> Out:
        yield Ask(LogStatus(), triggered=True)

    # --- reset --------------------------------------------------------------------------------------------------

    def on_reset(self, e: ResetRequested, now: Instant) -> Out:
        urgent = self._reset is ResetKind.ON_IDLE and e.kind in _REASON  # who will not wait any longer need not
        if e.evse is not None or (self._reset is not None and not urgent):
            yield Reply(e.ref, StatusAnswer("Rejected", reason="Busy" if e.evse is None else "NotSupported"))
            return
        running = any(evse.tx is not None for evse in self._facts.evses.values())
        waits = e.kind is ResetKind.ON_IDLE and running
        yield Reply(e.ref, StatusAnswer("Scheduled" if waits else "Accepted"))
        yield Remember("boot", "reason", "ScheduledReset" if waits else "RemoteReset")
        self._reset = e.kind
        self._facts.closing = "a reset is under way"
        if e.kind in _REASON:
            yield ResetDue(_REASON[e.kind])
        self._deadlines.set("answer", now.mono + ANSWER_S)

    def _maybe_restart(self, now: Instant, late: bool = False) -> Iterator[Effect]:
        if self._reset is None or "answer" in self._deadlines or any(v.tx for v in self._facts.evses.values()):
            return
        if self._queued and self._facts.online and not late:
            self._deadlines.keep("drain", now.mono + DRAIN_S)
            return
        yield Restart(
            self._reset in (ResetKind.HARD, ResetKind.IMMEDIATE), f"reset asked for by the CSMS ({self._reset})"
        )

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            if isinstance(name, tuple):
                yield from self._answer_unlock(name[1], "UnlockFailed")
            else:
                yield from self._maybe_restart(now, late=name == "drain")

    HEARS: ClassVar = {
        StartRequested: "on_start",
        StopRequested: "on_stop",
        TransactionStatusRequested: "on_status",
        QueueEmptied: "on_queue",
        QueueFilled: "on_queue",
        UnlockRequested: "on_unlock",
        UnlockDone: "on_unlocked",
        TransactionEnded: "on_ended",
        TriggerRequested: "on_trigger",
        ResetRequested: "on_reset",
        Tick: "on_tick",
    }


def is_authorized(evse: Evse) -> bool:
    """A transaction runs here in somebody's name (F05.FR.02)."""
    return evse.tx is not None and evse.tx.token is not None
