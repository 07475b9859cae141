"""B: Provisioning. Registration with the CSMS, heartbeat, and the variables of the device model.

BootNotification is sent once a process, not on a mere reconnect (part 4 section 5.3), and again only when the CSMS said
Pending or Rejected, after the interval that it named (or `BOOT_RETRY_S` when it named none), or to another CSMS (or one
that speaks another version now). Heartbeats go out at HeartbeatInterval; their answers, and the boot's, teach us the
time. A measurand that no meter here can tell is refused as soon as it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from agent.blocks.sampling import OFFERED
from agent.blocks.station import Block, Facts, Out
from agent.core.deadlines import Deadlines
from agent.core.effects import (
    Ask,
    Boot,
    Effect,
    Forget,
    Heartbeat,
    LearnTime,
    Note,
    Remember,
    Reply,
    VariablesAnswer,
    WritesAnswer,
)
from agent.core.events import (
    BootAnswered,
    CallFailed,
    Event,
    HeartbeatAnswered,
    LinkDown,
    LinkUp,
    Registered,
    Restored,
    Tick,
    VariableChanged,
)
from agent.core.network import CsmsChanged
from agent.core.requests import VariablesRequested, VariablesSetRequested, VariableWrite
from agent.core.types import Instant, Mutability, Registration, SetStatus, VariableId, VariableView

BOOT_RETRY_S = 30.0
LONGEST_RETRY_S = 86400.0
LONGEST_SILENCE_S = 86400.0  # heartbeats may be switched off, yet the time is to be learnt once a day (OCPP-J)
TABLE = "variables"
_INTERVAL = VariableId("OCPPCommCtrlr", "HeartbeatInterval")


class Provisioning(Block):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._vars = facts.variables
        self._deadlines = Deadlines()
        self._reason = "PowerUp"
        self._booting = False
        self._moving = False  # the link that stands is about to be left; what still comes over it counts no more

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    # --- registration -------------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        for name, value in e.tables.get(TABLE, {}).items():
            row = self._vars.find(name)
            if row is None or not self._vars.restore(row, str(value)):
                text = f"a stored value of {name} is no longer possible and is forgotten"
                yield Note("warning", "VariableForgotten", text, (("VARIABLE", name),))
                yield Forget(TABLE, name)
        remembered = e.tables.get("boot", {}).get("reason")
        self._reason = str(remembered) if remembered else "PowerUp" if e.power_lost else "ApplicationReset"
        if remembered:
            yield Forget("boot", "reason")

    def on_up(self, _e: LinkUp, now: Instant) -> Out:
        self._facts.linked = True
        self._moving = False
        if self._facts.registration is not Registration.ACCEPTED and "boot" not in self._deadlines:
            yield from self._boot(now)
        else:
            self._arm_heartbeat(now)

    def on_down(self, _e: LinkDown, _now: Instant) -> Out:
        self._facts.linked = False
        self._booting = self._moving = False
        self._deadlines.clear("heartbeat")
        return iter(())

    def on_csms_changed(self, _e: CsmsChanged, _now: Instant) -> Out:
        """BootNotification is due on the next link, however the last one was answered."""
        self._moving = self._facts.linked
        self._facts.registration = Registration.NONE
        self._booting = False
        for name in ("boot", "heartbeat"):
            self._deadlines.clear(name)
        return iter(())

    def _boot(self, now: Instant) -> Iterator[Effect]:
        self._deadlines.clear("boot")
        if self._facts.linked and not self._booting:
            self._booting = True
            yield Ask(Boot(self._reason))

    def on_boot(self, e: BootAnswered, now: Instant) -> Out:
        if self._moving:
            return
        self._booting = False
        if e.utc is not None and e.status is not Registration.REJECTED:
            yield from self._learn(e.utc)
        self._facts.registration = e.status
        if e.status is Registration.ACCEPTED:
            self._deadlines.clear("boot")
            if e.interval_s >= 1:
                yield from self._told_interval(str(int(min(e.interval_s, LONGEST_RETRY_S))))
            self._arm_heartbeat(now)
        else:
            wait_s = e.interval_s if e.interval_s > 0 else BOOT_RETRY_S
            self._deadlines.set("boot", now.mono + min(wait_s, LONGEST_RETRY_S))
        text = f"the CSMS says {e.status} to our BootNotification"
        yield Note(
            "info" if e.status is Registration.ACCEPTED else "warning",
            "Registration",
            text,
            (("STATUS", str(e.status)),),
        )
        yield Registered(e.status)

    def _told_interval(self, value: str) -> Iterator[Event]:
        """Not remembered, for each boot tells it anew; who has set it and when is, once for each other value."""
        if self._vars.source(str(_INTERVAL)) == "csms" and self._vars.text(str(_INTERVAL)) == value:
            return
        if self._vars.write(_INTERVAL, value) is SetStatus.ACCEPTED:
            yield VariableChanged(_INTERVAL, "")

    def on_failed(self, e: CallFailed, now: Instant) -> Out:
        if isinstance(e.call, Boot):
            self._booting = False
            if self._facts.linked and self._facts.registration is not Registration.ACCEPTED:
                self._deadlines.keep("boot", now.mono + BOOT_RETRY_S)
        return iter(())

    # --- heartbeat and time -------------------------------------------------------------------------------------

    def _arm_heartbeat(self, now: Instant) -> None:
        interval_s = self._vars.number("OCPPCommCtrlr.HeartbeatInterval") or LONGEST_SILENCE_S
        if self._facts.registration is Registration.ACCEPTED:
            self._deadlines.set("heartbeat", now.mono + interval_s)
        else:
            self._deadlines.clear("heartbeat")

    def on_heartbeat(self, e: HeartbeatAnswered, _now: Instant) -> Out:
        if e.utc is not None:
            yield from self._learn(e.utc)

    def _learn(self, utc: float) -> Iterator[Effect]:
        if "Heartbeat" in self._vars.members("ClockCtrlr.TimeSource"):
            yield LearnTime(utc)

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            if name == "heartbeat":
                self._arm_heartbeat(now)
                yield Ask(Heartbeat())
            else:
                yield from self._boot(now)

    # --- variables ----------------------------------------------------------------------------------------------

    def on_get(self, e: VariablesRequested, now: Instant) -> Out:
        if e.ids is None:
            ids = tuple(row.id for row in self._vars.rows() if row.mutability is not Mutability.WRITE_ONLY)
        else:
            ids = e.ids
        yield Reply(e.ref, VariablesAnswer(tuple(self._view(id_, e.attribute, now) for id_ in ids)))

    def _view(self, id_: VariableId, attribute: str, now: Instant) -> VariableView:
        view = self._vars.view(id_, now)
        if attribute != "Actual" and view.status is SetStatus.ACCEPTED:
            return VariableView(id_, SetStatus.NOT_SUPPORTED)
        return view

    def on_set(self, e: VariablesSetRequested, now: Instant) -> Out:
        results: list[tuple[VariableId, SetStatus]] = []
        outs: list[Event | Effect] = []
        for write in e.writes:
            status = write.verdict if write.verdict is not None else self._write(write, outs, e.ref.by)
            results.append((write.id, status))
        yield Reply(e.ref, WritesAnswer(tuple(results)))
        yield from outs

    def _write(self, write: VariableWrite, outs: list[Event | Effect], by: str) -> SetStatus:
        if self._cannot_be_measured(write):
            return SetStatus.REJECTED
        status = self._vars.write(write.id, write.value)
        if status in (SetStatus.ACCEPTED, SetStatus.REBOOT_REQUIRED):
            row = self._vars.row(write.id)
            assert row is not None
            if not self._vars.is_owned(row.id):
                outs.append(Remember(TABLE, str(row.id), self._vars.stored(row.id)))
            outs.append(VariableChanged(row.id, by))
            text = f"{by or 'the CSMS'} set {row.id}"
            outs.append(Note("info", "VariableChanged", text, (("VARIABLE", str(row.id)),)))
        return status

    def _cannot_be_measured(self, write: VariableWrite) -> bool:
        """A list of measurands gets one that no meter here tells; what it has already may stay."""
        if not write.id.variable.lower().endswith("measurands") or self._vars.row(write.id) is None:
            return False
        known = [evse.limits.measures for evse in self._facts.evses.values()]
        told = {measurand.lower() for measures in known for measurand in (*(measures or ()), *OFFERED)}
        told.update(member.lower() for member in self._vars.members(str(write.id)))
        wanted = {part.strip().lower() for part in write.value.split(",")} - {""}
        return None not in known and not wanted <= told

    def on_changed(self, e: VariableChanged, now: Instant) -> Out:
        if e.id == _INTERVAL and self._facts.linked:
            self._arm_heartbeat(now)
        return iter(())

    HEARS: ClassVar = {
        Restored: "on_restored",
        LinkUp: "on_up",
        LinkDown: "on_down",
        CsmsChanged: "on_csms_changed",
        BootAnswered: "on_boot",
        CallFailed: "on_failed",
        HeartbeatAnswered: "on_heartbeat",
        Tick: "on_tick",
        VariablesRequested: "on_get",
        VariablesSetRequested: "on_set",
        VariableChanged: "on_changed",
    }
