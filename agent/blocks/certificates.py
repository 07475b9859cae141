"""A and M: Certificates. Who may vouch for the CSMS and for firmware, and the certificate that says who we are.

Rules kept here
* The work is done beside the loop, one order at a time; requests wait in a short queue, and what finds no room in it is
  refused at once. Every request is answered once.
* A02/A03: a SignCertificate that brings no certificate is made again, with a new key, after CertSigningWaitMinimum and
  then twice that and so on, CertSigningRepeatTimes times. A new certificate is asked for a month before ours expires,
  and every day from then on. What was under way goes on after a restart.
* Weeks before something expires the technician and the CSMS are told of it, and again when it has; once each, also over
  restarts. No date is judged while nobody has told the time.
* A new certificate of ours is tried by the link, as everything else is that the CSMS changes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from agent.blocks.kept import Kept, text, whole
from agent.blocks.station import Block, Facts, Out
from agent.core.certificates import (
    CONFIGURED,
    CSMS_ROOT,
    MANUFACTURER_ROOT,
    OWN,
    CertificateAnswered,
    CsrMade,
    DropCertificate,
    Held,
    Holdings,
    HoldingsSeen,
    InstallRoot,
    ListCertificates,
    MakeCsr,
    SignAnswered,
    TakeSigned,
)
from agent.core.deadlines import Deadlines
from agent.core.effects import (
    Answer,
    Ask,
    Effect,
    Errand,
    Forget,
    Note,
    RefuseCall,
    Remember,
    Reply,
    SignCertificate,
    StatusAnswer,
)
from agent.core.events import CallFailed, Event, Restored, SecurityEvent, Tick
from agent.core.network import MADE_WITH, CertificateTaken
from agent.core.requests import (
    CertificateDeleteRequested,
    CertificateIdsRequested,
    CertificateInstallRequested,
    CertificateSigned,
    Request,
)
from agent.core.security import ClockSet, timestamp
from agent.core.types import ClockQuality, Instant

TABLE, ALARMS = "certificates", "certificate_alarms"
MAX_WAITING = 8  # requests; a CSMS sends them one by one
DAY_S = 86400.0
RENEW_S = 30 * DAY_S
WARN_S = 21 * DAY_S
LONGEST_WAIT_S = 7 * DAY_S
WORDS = {
    OWN: "our own certificate",
    CSMS_ROOT: "a root for the CSMS",
    MANUFACTURER_ROOT: "a root for firmware",
    CONFIGURED: "a root for the CSMS in the configured ca_file",
}
EVENTS = {
    OWN: "InvalidChargingStationCertificate",
    CSMS_ROOT: "InvalidCsmsCertificate",
    CONFIGURED: "InvalidCsmsCertificate",
    MANUFACTURER_ROOT: "InvalidFirmwareSigningCertificate",
}
_BUSY: dict[type[Request], Answer] = {
    CertificateSigned: StatusAnswer("Rejected", reason="Busy"),
    CertificateInstallRequested: StatusAnswer("Failed", reason="Busy"),
    CertificateDeleteRequested: StatusAnswer("Failed", reason="Busy"),
    CertificateIdsRequested: RefuseCall("InternalError", "too many requests at once"),
}


class Certificates(Block):
    def __init__(self, facts: Facts) -> None:
        self._vars = facts.variables
        self._deadlines = Deadlines()
        self._orders: deque[Errand] = deque()
        self._busy = False
        self._attempt: int | None = None  # of the request for a certificate that is under way
        self._triggered = False
        self.holdings = Holdings()
        self._alarms: dict[str, str] = {}  # mark -> "soon" or "expired": told already
        self._vars.compute("SecurityCtrlr.CertificateEntries", lambda _now: str(len(self._held(*_ROOTS))))

    def next_deadline(self) -> float | None:
        return self._deadlines.next()

    def _held(self, *kinds: str) -> list[Held]:
        return [one for one in self.holdings.certificates if one.kind in kinds]

    def lines(self, now: Instant) -> list[str]:
        """For the technician: what is held and until when, the first to expire first."""
        held = [*self._held(CSMS_ROOT, CONFIGURED, MANUFACTURER_ROOT), *self._held(OWN)[-1:]]
        found = [_line(one, now) for one in sorted(held, key=lambda one: one.until)]
        if self._attempt is not None:
            found.append("a certificate of our own has been asked for")
        return [*found, self.holdings.trouble] if self.holdings.trouble else found

    # --- requests -------------------------------------------------------------------------------------------------

    def on_request(self, e: Request, now: Instant) -> Out:
        if len(self._orders) >= MAX_WAITING:
            yield Reply(e.ref, _BUSY[type(e)])
            return
        if isinstance(e, CertificateSigned) and e.purpose != OWN:
            yield Reply(e.ref, StatusAnswer("Rejected"))  # we have asked for no other
            return
        yield from self._order(_ORDERS[type(e)](self, e, now.utc if now.quality else None))

    def _signed(self, e: CertificateSigned, utc: float | None) -> Errand:
        most = int(self._vars.number("SecurityCtrlr.MaxCertificateChainSize"))
        return TakeSigned(e.ref, utc, e.chain, most)

    def _install(self, e: CertificateInstallRequested, utc: float | None) -> Errand:
        row = self._vars.find("SecurityCtrlr.CertificateEntries")
        assert row is not None
        assert row.maximum is not None
        chained = self._vars.flag("SecurityCtrlr.AdditionalRootCertificateCheck")
        return InstallRoot(e.ref, utc, e.kind, e.certificate, int(row.maximum), chained)

    def _delete(self, e: CertificateDeleteRequested, utc: float | None) -> Errand:
        return DropCertificate(e.ref, utc, e.hash)

    def _ids(self, e: CertificateIdsRequested, utc: float | None) -> Errand:
        return ListCertificates(e.ref, utc, e.kinds)

    def _order(self, errand: Errand | None = None) -> Iterator[Effect]:
        """One at a time."""
        if errand is not None:
            self._orders.append(errand)
        if self._orders and not self._busy:
            self._busy = True
            yield self._orders.popleft()

    def on_answered(self, e: CertificateAnswered, now: Instant) -> Out:
        self._busy = False
        yield Reply(e.ref, e.answer)
        if e.done:
            yield Note("info", "CertificateChange", e.done)
            yield SecurityEvent("ReconfigurationOfSecurityParameters", e.done)
        if e.refused:
            yield Note("warning", "CertificateRefused", f"a request about certificates was refused: {e.refused}")
        if e.alarm:
            yield SecurityEvent(e.alarm, e.refused)
        if e.own and e.done:
            yield from self._signing_ends()
            yield from self._taken(e.holdings)
        yield from self._order()
        yield from self.on_holdings(HoldingsSeen(e.holdings), now)

    def _taken(self, holdings: Holdings) -> Iterator[Event]:
        """The newest of our own stands last."""
        before, after = ([one.mark for one in h.certificates if one.kind == OWN] for h in (self.holdings, holdings))
        if after:
            yield CertificateTaken(after[-1], before[-1] if before else MADE_WITH)

    # --- a certificate of our own -----------------------------------------------------------------------------------

    def asked(self, _evse: int | None, _now: Instant) -> Out:
        """The CSMS wants us to ask for a certificate (TriggerMessage)."""
        if self.holdings.able:
            self._triggered = True
            self._deadlines.clear("sign")
            yield from self._sign(0)

    def _sign(self, attempt: int) -> Iterator[Effect]:
        self._attempt = attempt
        yield Remember(TABLE, "signing", attempt)
        if not any(isinstance(order, MakeCsr) for order in self._orders):
            yield from self._order(MakeCsr(self._vars.text("SecurityCtrlr.OrganizationName")))

    def on_csr(self, e: CsrMade, now: Instant) -> Out:
        self._busy = False
        if e.csr:
            triggered, self._triggered = self._triggered, False
            yield Ask(SignCertificate(e.csr), triggered)
        else:
            yield Note("warning", "NoCsr", f"no certificate of our own can be asked for: {e.why}")
            self._wait(now)
        yield from self._order()

    def on_sign_answered(self, e: SignAnswered, now: Instant) -> Out:
        if not e.accepted:
            yield Note("warning", "SignCertificate", "the CSMS does not want to sign a certificate for us")
        self._wait(now)

    def on_failed(self, e: CallFailed, now: Instant) -> Out:
        if isinstance(e.call, SignCertificate):
            self._wait(now)
        return iter(())

    def _wait(self, now: Instant) -> None:
        """For the certificate, before it is asked for again."""
        if self._attempt is not None:
            wait_s = self._vars.number("SecurityCtrlr.CertSigningWaitMinimum") * 2.0 ** min(self._attempt, 20)
            self._deadlines.set("sign", now.mono + min(wait_s, LONGEST_WAIT_S))

    def _again(self) -> Iterator[Effect]:
        attempt = (self._attempt or 0) + 1
        if attempt <= self._vars.number("SecurityCtrlr.CertSigningRepeatTimes"):
            yield from self._sign(attempt)
            return
        yield Note("warning", "NotSigned", f"no certificate of our own has come, after {attempt} requests for one")
        yield from self._signing_ends()

    def _signing_ends(self) -> Iterator[Effect]:
        self._deadlines.clear("sign")
        if self._attempt is not None:
            self._attempt = None
            yield Forget(TABLE, "signing")

    # --- dates ------------------------------------------------------------------------------------------------------

    def on_restored(self, e: Restored, now: Instant) -> Out:
        alarms, kept = Kept(e, ALARMS), Kept(e, TABLE)
        self._alarms = alarms.rows(lambda _mark, stage: text(stage))
        attempt = kept.row("signing", lambda _key, value: whole(value))
        if attempt is not None:
            self._attempt = max(attempt, 0)
            self._wait(now)
        yield from (*alarms.forget(), *kept.forget())

    def on_holdings(self, e: HoldingsSeen, now: Instant) -> Out:
        """Something may have changed; also told once after a start."""
        if e.holdings.trouble and e.holdings.trouble != self.holdings.trouble:
            yield Note("warning", "TrustStore", e.holdings.trouble)
        self.holdings = e.holdings
        marks = {one.mark for one in e.holdings.certificates}
        gone = self._alarms.keys() - marks if not e.holdings.trouble else ()
        for mark in sorted(gone):
            del self._alarms[mark]
            yield Forget(ALARMS, mark)
        yield from self._look(now)

    def on_clock(self, _e: ClockSet, now: Instant) -> Out:
        yield from self._look(now)

    def _look(self, now: Instant) -> Iterator[Event | Effect]:
        self._deadlines.set("look", now.mono + DAY_S)
        if now.quality is ClockQuality.UNKNOWN:
            return
        own = self._held(OWN)[-1:]
        watched = [*self._held(*_ROOTS, CONFIGURED), *own]
        dates = [one.until - early for one in watched for early in (0.0, WARN_S)] + [one.until - RENEW_S for one in own]
        ahead = min((date - now.utc for date in dates if date > now.utc), default=DAY_S)
        self._deadlines.set("look", now.mono + min(ahead + 1, DAY_S))
        for one in watched:
            yield from self._alarm(one, now)
        if own and own[0].until - RENEW_S <= now.utc and self._attempt is None and self.holdings.able:
            yield Note(
                "info", "Renewal", f"our own certificate ends on {timestamp(own[0].until)}: asking for a new one"
            )
            yield from self._sign(0)

    def _alarm(self, one: Held, now: Instant) -> Iterator[Event | Effect]:
        left_s = one.until - now.utc
        stage = "expired" if left_s <= 0 else "soon" if left_s <= WARN_S else ""
        if not stage or self._alarms.get(one.mark) == stage:
            return
        self._alarms[one.mark] = stage
        yield Remember(ALARMS, one.mark, stage)
        text = f"{WORDS[one.kind]} ({one.name}) " + (
            "has expired" if stage == "expired" else f"expires in {left_s / DAY_S:.0f} days, on {timestamp(one.until)}"
        )
        yield Note("warning", "CertificateExpiry", text)
        yield SecurityEvent(EVENTS[one.kind], text)

    def on_tick(self, _e: Tick, now: Instant) -> Out:
        for name in self._deadlines.due(now.mono):
            if name == "sign":
                yield from self._again()
            else:
                yield from self._look(now)

    HEARS: ClassVar = {
        Restored: "on_restored",
        ClockSet: "on_clock",
        HoldingsSeen: "on_holdings",
        CertificateSigned: "on_request",
        CertificateInstallRequested: "on_request",
        CertificateDeleteRequested: "on_request",
        CertificateIdsRequested: "on_request",
        CertificateAnswered: "on_answered",
        CsrMade: "on_csr",
        SignAnswered: "on_sign_answered",
        CallFailed: "on_failed",
        Tick: "on_tick",
    }


_ROOTS = (CSMS_ROOT, MANUFACTURER_ROOT)
_ORDERS: dict[type[Request], Callable[[Certificates, Any, float | None], Errand]] = {
    CertificateSigned: Certificates._signed,
    CertificateInstallRequested: Certificates._install,
    CertificateDeleteRequested: Certificates._delete,
    CertificateIdsRequested: Certificates._ids,
}


def _line(one: Held, now: Instant) -> str:
    days = (one.until - now.utc) / DAY_S
    left = "HAS EXPIRED" if days <= 0 else f"{days:.0f} days left"
    known = f", {left}" if now.quality else ""
    return f"{WORDS[one.kind]} ({one.name}) until {timestamp(one.until)[:10]}{known}"
