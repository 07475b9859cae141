"""L: Firmware management. Fetch, verify, install, start and confirm new firmware; tell each change of status once.

`agent.core.firmware.STEPS` is the way of an update; where it stands is remembered at each step, and every step can be
done again, so that a restart or a power cut at any moment goes on from there. Rules kept:

* Nothing is installed while a transaction runs (L01.FR.06), unless the installer disturbs nobody; EVSEs that are not in
  use are out of service meanwhile (L01.FR.07), unless AllowNewSessionsPendingFirmwareUpdate. What is installed is
  started on an idle charger only.
* "Installed" is told by the new firmware itself, after the CSMS has accepted it; the boot loader is told to stay with
  it then. "InstallationFailed" is told when the old one came back.
* A newer order replaces one that is not being installed yet; later ones are rejected.
* Everything is tried a bounded number of times, restarts in the middle included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

from agent.blocks.firmware_state import UNVERIFIED, VERDICTS, Update, judged, made, order_of, rejected, restored, unfit
from agent.blocks.kept import Kept
from agent.blocks.station import Block, Facts, Out
from agent.blocks.telling import Telling
from agent.core.effects import (
    Ask,
    Effect,
    FirmwareStatus,
    Forget,
    Note,
    RefuseCall,
    Remember,
    Reply,
    Restart,
    StatusAnswer,
)
from agent.core.events import CallDone, CallFailed, Event, Restored, SecurityEvent, Tick
from agent.core.firmware import (
    REPLACEABLE,
    STEPS,
    Activation,
    CheckSigner,
    DropFirmware,
    FetchFirmware,
    FirmwareFetched,
    FirmwareInstalled,
    FirmwareKept,
    FirmwareSeen,
    FirmwareVerified,
    InstallFirmware,
    KeepFirmware,
    LookAtFirmware,
    Phase,
    SignerChecked,
    UpdatePolicy,
    VerifyFirmware,
)
from agent.core.record import replace
from agent.core.requests import UpdateRequested
from agent.core.types import Instant, Registration

TABLE = "firmware"
MOST_BEGUN = 40  # fetches of one update, all restarts of the process included
TELL_S = 10.0  # how long a restart waits for the last status to be taken
LONGEST_WAIT_S = 86400.0  # between two looks at the time
SHORTEST_WAIT_S = 0.05
SKEW_S = 2.0  # a CSMS that means "now" may be ahead of us by so much
_ALLOW_NEW = "ChargingStation.AllowNewSessionsPendingFirmwareUpdate"


class Firmware(Block):
    def __init__(self, facts: Facts, policy: UpdatePolicy | None = None) -> None:
        self._facts = facts
        self._policy = policy or UpdatePolicy()
        self._update: Update | None = None
        self._running: str | None = None  # None: not looked yet in this process
        self._checking: UpdateRequested | None = None
        self._keeping = False
        self._telling = Telling(TABLE)
        self._go_at: float | None = None  # when `derive` is to look again

    def next_deadline(self) -> float | None:
        return min((at for at in (self._go_at, self._telling.deadlines.next()) if at is not None), default=None)

    # --- what the CSMS wants ------------------------------------------------------------------------------------

    def on_request(self, e: UpdateRequested, now: Instant) -> Out:
        why = self._refusal(e)
        if why is not None:
            yield Reply(e.ref, why)
        elif self._is_repeat(e):
            yield Reply(e.ref, StatusAnswer("Accepted"))
        elif e.signature is None:
            yield from self._accept(e)
        else:
            self._checking = e
            yield CheckSigner(e)

    def _refusal(self, e: UpdateRequested) -> RefuseCall | StatusAnswer | None:
        busy = self._checking is not None or not self._is_replaceable()
        return unfit(e, self._policy) or (rejected(e, "UpdateInProgress") if busy else None)

    def _is_replaceable(self) -> bool:
        return self._update is None or not self._update.pending or self._update.phase in REPLACEABLE

    def _is_repeat(self, e: UpdateRequested) -> bool:
        """The order that is being carried out, once more: some CSMS repeat themselves."""
        old = self._update.order if self._update else None
        return old is not None and replace(old, ref=e.ref) == e

    def on_checked(self, e: SignerChecked, _now: Instant) -> Out:
        if self._checking is None or self._checking != e.order:
            return
        self._checking = None
        if e.verdict:
            yield Reply(e.order.ref, StatusAnswer(VERDICTS[e.verdict]))
            yield SecurityEvent("InvalidFirmwareSigningCertificate", e.why)
        elif not self._is_replaceable():
            yield Reply(e.order.ref, rejected(e.order, "UpdateInProgress"))
        else:
            yield from self._accept(e.order)

    def _accept(self, order: UpdateRequested) -> Iterator[Effect]:
        old = self._update
        replaces = old is not None and old.pending
        yield Reply(order.ref, StatusAnswer("AcceptedCanceled" if replaces else "Accepted"))
        if old is not None and replaces:
            yield DropFirmware(old.number)
        self._update = update = made(old.number + 1 if old else 1, order)
        yield Remember(TABLE, "order", update.order_row())
        yield self._saved(update)
        yield Note("info", "UpdateOrdered", "the CSMS orders a firmware update")

    # --- going on, from wherever it stands ------------------------------------------------------------------------

    def derive(self, now: Instant) -> Out:
        self._go_at = None
        self._facts.update_holds = False
        if self._update is not None and self._policy.installer:
            go = _GO.get(self._update.phase)
            if go is not None:
                yield from go(self, self._update, now)
            self._facts.update = self._update.text()

    def _until(self, utc: float | None, now: Instant) -> bool:
        """Whether this moment is still to come; if so it is waited for."""
        wait_s = 0.0 if utc is None else utc - SKEW_S - now.utc
        if wait_s > 0:
            self._go_at = now.mono + min(max(wait_s, SHORTEST_WAIT_S), LONGEST_WAIT_S)
        return wait_s > 0

    def _wait(self, u: Update, now: Instant) -> Out:
        assert u.order is not None
        if self._until(u.order.retrieve_at, now):
            yield from self._tell(u, "DownloadScheduled")
        elif now.mono < u.not_before:
            self._go_at = u.not_before
        else:
            u.tries += 1
            yield from self._fetch(u, u.order.location)

    def _fetch(self, u: Update, location: str) -> Iterator[Effect]:
        u.begun += 1
        if u.begun > MOST_BEGUN:
            yield from self._end(u, "DownloadFailed", "it was begun too often")
            return
        if u.phase is Phase.WAITING:
            yield from self._move(u, Phase.FETCHING, "Downloading")
        else:
            yield self._saved(u)
        yield FetchFirmware(u.number, location)

    def _ready(self, u: Update, now: Instant) -> Out:
        assert u.order is not None
        if self._until(u.order.install_at, now):
            yield from self._tell(u, "InstallScheduled")
            return
        if not self._policy.during_transaction and not self._idle(now, self._facts.variables.flag(_ALLOW_NEW)):
            if self._is_busy():
                yield from self._tell(u, "InstallScheduled")
            return
        if self._running is None or not self._facts.storing:
            return  # it is being looked at; or nobody would remember what was begun
        u.installs += 1
        u.before, u.boot = self._running, now.boot
        yield from self._move(u, Phase.INSTALLING, "Installing")
        self._facts.update_holds = not self._policy.during_transaction
        yield InstallFirmware(u.number)

    def _hold(self, u: Update, _now: Instant) -> Out:
        """Nobody begins to charge; after a restart it is first seen what runs."""
        quiet = u.phase is Phase.INSTALLING and self._policy.during_transaction
        self._facts.update_holds = self._running is not None and not quiet
        return iter(())

    def _activate(self, u: Update, now: Instant) -> Out:
        if not self._idle(now, False) or not self._facts.storing:
            return
        yield from self._tell(u, "InstallRebooting")
        u.told_by = u.told_by or now.mono + TELL_S
        if self._telling and now.mono < u.told_by:
            self._go_at = u.told_by
            return
        u.reboots += 1
        yield from self._move(u, Phase.REBOOTING)
        self._facts.update_holds = True
        self._facts.closing = "new firmware is about to start"
        yield Remember("boot", "reason", "FirmwareUpdate")
        yield Restart(u.activation is Activation.REBOOT, "to start new firmware")

    def _confirm(self, _u: Update, _now: Instant) -> Out:
        if self._running is not None and self._facts.registration is Registration.ACCEPTED and not self._keeping:
            self._keeping = True
            yield KeepFirmware()

    def _is_busy(self) -> bool:
        return any(evse.tx is not None or evse.grant is not None for evse in self._facts.evses.values())

    def _idle(self, now: Instant, allow_new: bool) -> bool:
        """Nobody charges, and no EVSE is in service any more, so that nobody can begin in the same moment."""
        busy = self._is_busy()
        self._facts.update_holds = not (busy and allow_new)
        if busy:
            return False
        if any(evse.operative for evse in self._facts.evses.values()):
            self._go_at = now.mono  # they go out of service in this very step
            return False
        return True

    # --- what came of it ------------------------------------------------------------------------------------------

    def on_fetched(self, e: FirmwareFetched, now: Instant) -> Out:
        u = self._expected(e.number, Phase.FETCHING)
        if u is None:
            return
        assert u.order is not None
        if not e.why:
            yield from self._tell(u, "Downloaded")
            if u.order.signature is None or u.order.certificate is None:
                yield from self._move(u, Phase.READY)
            else:
                yield from self._move(u, Phase.VERIFYING)
                yield VerifyFirmware(u.number, u.order.certificate, u.order.signature)
        elif e.permanent or u.tries >= u.most_tries:
            yield from self._end(u, "DownloadFailed", e.why)
        else:
            u.not_before = now.mono + u.interval_s
            yield Note("warning", "FetchFailed", f"firmware could not be fetched, to be tried again: {e.why}")
            yield from self._move(u, Phase.WAITING)

    def on_verified(self, e: FirmwareVerified, _now: Instant) -> Out:
        u = self._expected(e.number, Phase.VERIFYING)
        if u is None:
            return
        if not e.verdict:
            yield from self._move(u, Phase.READY, "SignatureVerified")
            return
        status, alarm = UNVERIFIED[e.verdict]
        if alarm:
            yield SecurityEvent(alarm, e.why)
        yield from self._end(u, status, e.why)

    def on_installed(self, e: FirmwareInstalled, _now: Instant) -> Out:
        u = self._expected(e.number, Phase.INSTALLING)
        if u is None:
            return
        if e.why:
            yield from self._end(u, "InstallVerificationFailed" if e.refused else "InstallationFailed", e.why)
            return
        u.activation, u.target = e.activation, e.target
        yield from self._move(u, Phase.CONFIRMING if e.activation is Activation.NONE else Phase.ACTIVATING)

    def on_kept(self, e: FirmwareKept, _now: Instant) -> Out:
        self._keeping = False
        if e.why:
            yield Note(
                "warning", "FirmwareNotKept", f"the boot loader was not told that this firmware is good: {e.why}"
            )
        u = self._update
        if u is not None and u.phase is Phase.CONFIRMING:
            yield SecurityEvent("FirmwareUpdated", self._running or "")
            yield from self._end(u, "Installed")

    def on_seen(self, e: FirmwareSeen, now: Instant) -> Out:
        """What runs since this process began: the new one, or the old one again?"""
        self._running = e.running
        u = self._update
        if u is not None:
            phase, why = judged(u, e.running, now.boot)
            if phase is Phase.DONE and u.pending:
                yield from self._end(u, "InstallationFailed", why)
            elif phase is not u.phase:
                yield from self._move(u, phase)
        if u is None or u.phase is not Phase.CONFIRMING:
            self._keeping = True
            yield KeepFirmware()  # no update is on trial: what runs has nothing to prove

    def _expected(self, number: int, phase: Phase) -> Update | None:
        """The update that this news is about, unless it was replaced."""
        u = self._update
        return u if u is not None and u.number == number and u.phase is phase else None

    # --- steps ----------------------------------------------------------------------------------------------------

    def _move(self, u: Update, phase: Phase, status: str = "") -> Iterator[Effect]:
        assert phase in STEPS[u.phase], f"no way from {u.phase} to {phase}"
        u.phase = phase
        if status:
            yield from self._tell(u, status)
        yield self._saved(u)

    def _tell(self, u: Update, status: str) -> Iterator[Effect]:
        word = u.word(status)
        if word is not None:
            u.status = word
            yield self._saved(u)
            yield from self._telling.tell(FirmwareStatus(word, u.request_id, u.signed))

    def _end(self, u: Update, status: str, why: str = "") -> Iterator[Effect]:
        yield from self._move(u, Phase.DONE, status)
        yield Forget(TABLE, "order")
        yield DropFirmware(u.number)
        u.order = None
        text = f"the firmware update ended with {status}" + (f": {why}" if why else "")
        yield Note("warning" if why else "info", "UpdateEnded", text, (("STATUS", status),))

    def _saved(self, u: Update) -> Remember:
        return Remember(TABLE, "state", u.row())

    # --- over a restart -------------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, _now: Instant) -> Out:
        kept = Kept(e, TABLE)
        yield from self._telling.restore(kept)
        u = self._update = kept.row("state", partial(restored, kept.row("order", order_of)))
        yield from kept.forget()
        if not self._policy.installer:
            if u is not None and u.pending:
                yield from self._give_up(u)
            return
        yield LookAtFirmware()
        if u is None:
            return
        yield DropFirmware(u.number - 1 if u.pending else u.number)
        if u.order is None:
            return
        if u.phase is Phase.FETCHING:
            yield from self._fetch(u, u.order.location)
        elif u.phase is Phase.VERIFYING:
            yield VerifyFirmware(u.number, u.order.certificate or "", u.order.signature or "")

    def _give_up(self, u: Update) -> Iterator[Effect]:
        early = u.phase in (Phase.WAITING, Phase.FETCHING)
        for effect in self._end(u, "DownloadFailed" if early else "InstallationFailed", "no installer is configured"):
            if not isinstance(effect, DropFirmware):  # nobody is there to do it
                yield effect

    # --- telling --------------------------------------------------------------------------------------------------

    def asked(self, _evse: int | None, _now: Instant) -> Iterator[Event | Effect]:
        """The CSMS wants to know how an update stands."""
        yield Ask(self._update.asked(False) if self._update else FirmwareStatus(), triggered=True)

    def asked_signed(self, _evse: int | None, _now: Instant) -> Iterator[Event | Effect]:
        idle = FirmwareStatus(signed=True)
        yield Ask(self._update.asked(True) if self._update else idle, triggered=True)

    def on_done(self, e: CallDone, _now: Instant) -> Out:
        return self._telling.done(e.call)

    def on_failed(self, e: CallFailed, now: Instant) -> Out:
        return self._telling.failed(e.call, e.why, now)

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        return self._telling.on_tick(now)

    HEARS: ClassVar = {
        Restored: "on_restored",
        UpdateRequested: "on_request",
        SignerChecked: "on_checked",
        FirmwareFetched: "on_fetched",
        FirmwareVerified: "on_verified",
        FirmwareInstalled: "on_installed",
        FirmwareSeen: "on_seen",
        FirmwareKept: "on_kept",
        CallDone: "on_done",
        CallFailed: "on_failed",
        Tick: "on_tick",
    }


_GO: dict[Phase, Callable[[Firmware, Update, Instant], Out]] = {
    Phase.WAITING: Firmware._wait,
    Phase.READY: Firmware._ready,
    Phase.INSTALLING: Firmware._hold,
    Phase.ACTIVATING: Firmware._activate,
    Phase.REBOOTING: Firmware._hold,
    Phase.CONFIRMING: Firmware._confirm,
}
