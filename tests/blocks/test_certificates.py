"""Certificates: orders one at a time, a certificate of our own asked for until it comes, and dates that are watched."""

from __future__ import annotations

from typing import Any

import pytest

from agent.blocks.certificates import ALARMS, MAX_WAITING, RENEW_S, TABLE, WARN_S, Certificates
from agent.blocks.station import Facts, Station
from agent.core.catalogue import rows
from agent.core.certificates import (
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
    Ref,
    Request,
)
from agent.core.security import ClockSet
from agent.core.types import CertificateHash, ClockQuality, Instant
from agent.core.variables import Variables
from tests.blocks.helpers import of

REF = Ref("1", "x")
UTC = 1_800_000_000.0
DAY_S = 86400.0
OLD_OWN = Held(OWN, "old", "old", 0.0, 4e9)
HASH = CertificateHash("SHA256", "a", "b", "1")
CALL = SignCertificate("PEM")


class Alarms(Certificates):
    """Keeps the security events that the block tells to others."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.alarms: list[SecurityEvent] = []
        self.taken: list[CertificateTaken] = []

    def on_alarm(self, e: SecurityEvent, _now: Instant) -> tuple[Event, ...]:
        self.alarms.append(e)
        return ()

    def on_taken(self, e: CertificateTaken, _now: Instant) -> tuple[Event, ...]:
        self.taken.append(e)
        return ()

    HEARS = {**Certificates.HEARS, SecurityEvent: "on_alarm", CertificateTaken: "on_taken"}  # noqa: RUF012


class Desk:
    """The block alone; orders are carried out by hand."""

    def __init__(
        self,
        stored: dict[str, dict[str, Any]] | None = None,
        *held: Held,
        able: bool = True,
        **config: str,
    ) -> None:
        self.facts = Facts([], Variables(rows([])))
        assert not self.facts.variables.layer("config", {k.replace("__", "."): v for k, v in config.items()})
        self.block = Alarms(self.facts)
        self.station = Station(self.facts, [self.block])
        self.mono, self.quality = 1000.0, ClockQuality.SYNCED
        self.stored: dict[str, dict[str, Any]] = {table: dict(held) for table, held in (stored or {}).items()}
        self.effects: list[Effect] = []
        self.orders: list[Errand] = []  # not carried out yet
        self.able = able
        self.feed(Restored(self.stored), HoldingsSeen(Holdings(able, held)))

    @property
    def now(self) -> Instant:
        return Instant(self.mono, UTC + self.mono, self.quality, "boot-1")

    def feed(self, *events: Event) -> None:
        for event in events:
            for effect in self.station.handle(event, self.now):
                self._done(effect)

    def _done(self, effect: Effect) -> None:
        self.effects.append(effect)
        if isinstance(effect, Errand):
            self.orders.append(effect)
        elif isinstance(effect, Remember):
            self.stored.setdefault(effect.table, {})[effect.key] = effect.value
        elif isinstance(effect, Forget):
            del self.stored[effect.table][effect.key]  # type: ignore[arg-type]

    def answer(self, answer: Answer, **more: Any) -> None:
        """The oldest order is carried out."""
        order: Any = self.orders.pop(0)
        self.feed(CertificateAnswered(order.ref, answer, Holdings(self.able, *more.pop("held", ())), **more))

    def holds(self, *held: Held) -> None:
        self.feed(HoldingsSeen(Holdings(self.able, held)))

    def wait(self, seconds: float) -> None:
        end = self.mono + seconds
        while (at := self.station.next_deadline()) is not None and at <= end:
            self.mono = max(at, self.mono)
            self.feed(Tick())
        self.mono = end

    def trigger(self) -> bool:
        """The CSMS wants us to ask for a certificate; False: refused."""
        outs = list(self.block.asked(None, self.now))
        for out in outs:
            assert isinstance(out, Effect)
            self._done(out)
        return bool(outs)

    def request(self) -> None:
        """What was ordered of a request for a certificate is done, and the CSMS has it."""
        assert isinstance(self.orders.pop(0), MakeCsr)
        self.feed(CsrMade("PEM"), SignAnswered(CALL, True))

    @property
    def replies(self) -> list[Answer]:
        return [reply.answer for reply in of(self.effects, Reply)]

    @property
    def asked(self) -> list[Ask]:
        return of(self.effects, Ask)

    @property
    def notes(self) -> list[str]:
        return [note.code for note in of(self.effects, Note)]

    @property
    def alarms(self) -> list[str]:
        return [alarm.kind for alarm in self.block.alarms]


def held(days: float, kind: str = "CSMSRoot", mark: str = "m", desk: Desk | None = None) -> Held:
    """A certificate that ends so many days from now."""
    now = desk.now.utc if desk else UTC + 1000.0
    return Held(kind, "A", mark, now - 100 * DAY_S, now + days * DAY_S)


INSTALL = CertificateInstallRequested(REF, "CSMSRoot", "PEM")

# --- requests ---


def test_each_request_is_an_order_with_the_time_and_the_limits_of_now() -> None:
    desk = Desk(SecurityCtrlr__AdditionalRootCertificateCheck="true")
    utc = desk.now.utc
    requests: list[tuple[Request, Errand]] = [
        (INSTALL, InstallRoot(REF, utc, "CSMSRoot", "PEM", 20, True)),
        (CertificateSigned(REF, "PEM"), TakeSigned(REF, utc, "PEM", 10000)),
        (CertificateDeleteRequested(REF, HASH), DropCertificate(REF, utc, HASH)),
        (CertificateIdsRequested(REF, ("CSMSRoot",)), ListCertificates(REF, utc, ("CSMSRoot",))),
    ]
    for request, order in requests:
        desk.feed(request)
        assert desk.orders == [order]
        desk.answer(StatusAnswer("Accepted"))
    assert desk.replies == [StatusAnswer("Accepted")] * 4


def test_no_date_is_judged_while_nobody_has_told_the_time() -> None:
    desk = Desk()
    desk.quality = ClockQuality.UNKNOWN
    desk.feed(INSTALL)
    assert desk.orders == [InstallRoot(REF, None, "CSMSRoot", "PEM", 20, False)]


def test_orders_go_one_at_a_time_and_what_finds_no_room_is_refused_at_once() -> None:
    desk = Desk()
    desk.feed(*[INSTALL] * (1 + MAX_WAITING), INSTALL, CertificateSigned(REF, ""), CertificateIdsRequested(REF))
    assert len(desk.orders) == 1
    busy = StatusAnswer("Failed", reason="Busy")
    refused = RefuseCall("InternalError", "too many requests at once")
    assert desk.replies == [busy, StatusAnswer("Rejected", reason="Busy"), refused]
    for _ in range(1 + MAX_WAITING):
        desk.answer(StatusAnswer("Accepted"))
    assert (desk.orders, len(desk.replies)) == ([], 3 + 1 + MAX_WAITING)


def test_a_chain_for_another_purpose_is_rejected() -> None:
    desk = Desk()
    desk.feed(CertificateSigned(REF, "PEM", "V2G"))
    assert (desk.replies, desk.orders) == ([StatusAnswer("Rejected")], [])


def test_a_change_of_what_is_trusted_is_a_security_event() -> None:
    desk = Desk()
    desk.feed(INSTALL)
    desk.answer(StatusAnswer("Accepted"), done="a CSMSRoot was installed (A)")
    assert desk.block.alarms == [SecurityEvent("ReconfigurationOfSecurityParameters", "a CSMSRoot was installed (A)")]


def test_a_refusal_is_told_with_the_alarm_that_it_is() -> None:
    desk = Desk()
    desk.feed(CertificateSigned(REF, "PEM"))
    desk.answer(StatusAnswer("Rejected"), refused="it has expired", alarm="InvalidChargingStationCertificate", own=True)
    assert desk.block.alarms == [SecurityEvent("InvalidChargingStationCertificate", "it has expired")]
    assert "CertificateRefused" in desk.notes


def test_a_request_that_changes_nothing_is_no_security_event() -> None:
    desk = Desk()
    desk.feed(INSTALL)
    desk.answer(StatusAnswer("Accepted"))
    assert desk.alarms == []


# --- a certificate of our own ---


def test_a_trigger_makes_us_ask_for_a_certificate_in_the_operators_name() -> None:
    desk = Desk(SecurityCtrlr__OrganizationName="Operator")
    assert desk.trigger()
    assert desk.orders == [MakeCsr("Operator")]
    desk.request()
    assert desk.asked == [Ask(CALL, triggered=True)]


def test_where_certificates_cannot_be_made_a_trigger_is_refused() -> None:
    desk = Desk(able=False)
    assert not desk.trigger()
    assert desk.orders == []


def test_a_request_that_brings_no_certificate_is_made_again_ever_later_and_then_no_more() -> None:
    desk = Desk(SecurityCtrlr__CertSigningWaitMinimum="60", SecurityCtrlr__CertSigningRepeatTimes="2")
    desk.trigger()
    desk.request()
    for wait_s in (60, 120):
        desk.wait(wait_s - 1)
        assert desk.orders == []
        desk.wait(1)
        assert desk.orders == [MakeCsr("")]
        desk.request()
    desk.wait(239)
    assert "NotSigned" not in desk.notes
    desk.wait(10 * DAY_S)
    assert (desk.orders, desk.notes.count("NotSigned"), desk.stored.get(TABLE)) == ([], 1, {})


@pytest.mark.parametrize(
    "event", [SignAnswered(CALL, False), CallFailed(CALL, "timeout"), CallFailed(CALL, "NotSupported: no")], ids=str
)
def test_a_request_that_the_csms_does_not_take_is_made_again(event: Event) -> None:
    desk = Desk()
    desk.trigger()
    desk.orders.clear()
    desk.feed(CsrMade("PEM"), event)
    desk.wait(60)
    assert desk.orders == [MakeCsr("")]


def test_a_key_that_cannot_be_stored_is_tried_again_later() -> None:
    desk = Desk()
    desk.trigger()
    desk.orders.clear()
    desk.feed(CsrMade("", "the disk is full"))
    assert (desk.asked, desk.notes) == ([], ["NoCsr"])
    desk.wait(60)
    assert desk.orders == [MakeCsr("")]


def test_the_certificate_that_comes_ends_the_asking() -> None:
    desk = Desk()
    desk.trigger()
    desk.request()
    desk.feed(CertificateSigned(REF, "PEM"))
    desk.answer(StatusAnswer("Accepted"), done="a new certificate", own=True)
    desk.wait(10 * DAY_S)
    assert desk.orders == []
    assert desk.stored[TABLE] == {}


def test_a_wrong_certificate_does_not_end_the_asking() -> None:
    desk = Desk()
    desk.trigger()
    desk.request()
    desk.feed(CertificateSigned(REF, "PEM"))
    desk.answer(StatusAnswer("Rejected"), refused="not ours", own=True)
    desk.wait(60)
    assert desk.orders == [MakeCsr("")]


def test_the_asking_goes_on_after_a_restart_where_it_was() -> None:
    before = Desk(SecurityCtrlr__CertSigningRepeatTimes="1")
    before.trigger()
    before.request()
    before.wait(60)
    before.request()
    after = Desk(before.stored, SecurityCtrlr__CertSigningRepeatTimes="1")
    after.wait(119)
    assert after.orders == []
    after.wait(1)
    assert (after.orders, after.notes) == ([], ["NotSigned"])


def test_a_second_trigger_begins_anew() -> None:
    desk = Desk(SecurityCtrlr__CertSigningRepeatTimes="0")
    desk.trigger()
    desk.request()
    desk.trigger()
    desk.request()
    assert len(desk.asked) == 2


@pytest.mark.parametrize(("held", "before"), [((), MADE_WITH), ((OLD_OWN,), "old")], ids=["the first", "another"])
def test_the_link_is_told_of_a_new_certificate_and_of_the_one_before(held: tuple[Held, ...], before: str) -> None:
    desk = Desk(None, *held)
    desk.feed(CertificateSigned(REF, "PEM"))
    new = Held(OWN, "new", "new", 0.0, 4e9)
    desk.answer(StatusAnswer("Accepted"), done="a new certificate", own=True, held=((*held, new),))
    assert desk.block.taken == [CertificateTaken("new", before)]


# --- dates ---


def test_a_new_certificate_is_asked_for_a_month_before_ours_ends() -> None:
    desk = Desk()
    desk.holds(held(100, "ChargingStation"))
    desk.wait(69.9 * DAY_S)
    assert desk.orders == []
    desk.wait(0.2 * DAY_S)
    assert desk.orders == [MakeCsr("")]


def test_only_the_newest_of_our_certificates_is_renewed() -> None:
    desk = Desk()
    desk.holds(held(1, "ChargingStation", "old"), held(300, "ChargingStation", "new"))
    assert (desk.orders, desk.alarms) == ([], [])


def test_a_renewal_that_nobody_signs_is_tried_again_every_day() -> None:
    desk = Desk(SecurityCtrlr__CertSigningRepeatTimes="0")
    desk.holds(held(25, "ChargingStation"))
    for _ in range(5):
        desk.request()
        desk.wait(DAY_S)
    assert len(desk.asked) == 5


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("CSMSRoot", "InvalidCsmsCertificate"),
        ("Configured", "InvalidCsmsCertificate"),
        ("ManufacturerRoot", "InvalidFirmwareSigningCertificate"),
    ],
)
def test_lesson_18_weeks_before_a_root_ends_and_when_it_has_ended_everybody_is_told_once(kind: str, event: str) -> None:
    desk = Desk()
    desk.holds(held(40, kind))
    desk.wait(18.9 * DAY_S)
    assert desk.alarms == []
    desk.wait(0.2 * DAY_S)
    assert desk.alarms == [event]
    assert "expires in 21 days" in desk.block.alarms[0].info
    desk.wait(20.8 * DAY_S)
    assert desk.alarms == [event]
    desk.wait(0.2 * DAY_S)
    assert desk.alarms == [event] * 2
    assert desk.block.alarms[1].info.endswith("(A) has expired")
    desk.wait(100 * DAY_S)
    assert len(desk.alarms) == 2


def test_an_alarm_that_was_told_is_not_told_again_after_a_restart() -> None:
    before = Desk()
    before.holds(held(10))
    after = Desk(before.stored, held(10))
    assert (before.alarms, after.alarms) == (["InvalidCsmsCertificate"], [])


def test_a_certificate_that_has_gone_is_forgotten() -> None:
    desk = Desk()
    desk.holds(held(10))
    desk.holds()
    assert desk.stored[ALARMS] == {}


def test_while_nobody_has_told_the_time_nothing_expires_and_then_at_once() -> None:
    desk = Desk()
    desk.quality = ClockQuality.UNKNOWN
    desk.holds(held(-5))
    desk.wait(3 * DAY_S)
    assert desk.alarms == []
    desk.quality = ClockQuality.SYNCED
    desk.feed(ClockSet(1.0))
    assert desk.alarms == ["InvalidCsmsCertificate"]


def test_a_trust_store_in_trouble_is_told_once() -> None:
    desk = Desk()
    for _ in range(3):
        desk.feed(HoldingsSeen(Holdings(True, (), "it cannot be read")))
    assert desk.notes == ["TrustStore"]


# --- what is shown ---


def test_the_number_of_roots_is_a_variable() -> None:
    desk = Desk()
    desk.holds(held(100, "CSMSRoot", "a"), held(100, "ManufacturerRoot", "b"), held(100, "Configured", "c"))
    row = desk.facts.variables.find("SecurityCtrlr.CertificateEntries")
    assert row is not None
    assert desk.facts.variables.view(row.id, desk.now).value == "2"


def test_the_technician_sees_what_ends_first_and_what_has_ended() -> None:
    desk = Desk()
    desk.holds(held(300, "ChargingStation", "o"), held(-1, "CSMSRoot", "a"), held(50, "Configured", "c"))
    lines = desk.block.lines(desk.now)
    assert lines[0] == "a root for the CSMS (A) until 2027-01-14, HAS EXPIRED"
    assert lines[1].endswith(", 50 days left")
    assert lines[2].startswith("our own certificate (A) until ")


def test_the_times_are_those_that_the_rules_name() -> None:
    assert (RENEW_S, WARN_S) == (30 * DAY_S, 21 * DAY_S)
