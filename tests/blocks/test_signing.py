"""Signed meter values: what a meter signs travels with its transaction, no energy flows before, and none is lost."""

from __future__ import annotations

from typing import Any

import pytest

from agent.blocks.assembly import assemble
from agent.core.effects import Effect
from agent.core.events import MeterReplaced, OpenTransaction
from agent.core.evse import EvseLimits
from agent.core.faults import Own
from agent.core.signing import BeginSession, EndSession, ProbeSigner, SessionBegun, SessionEnded, SignerProbed
from agent.core.types import Context, Reading, SignedState, StopReason, TransactionEvent, Trigger, TxKind
from drivers.api import Measurand, Pilot, SignedData
from tests.blocks.helpers import CARD, Bench, of

KEY = "S0VZ"
BEGUN = SignedData('OCMF|{"RD":[1]}|{"SD":"00"}', "OCMF", "ECDSA-secp256r1-SHA256", KEY)
ENDED = SignedData('OCMF|{"RD":[1,2]}|{"SD":"01"}', "OCMF", "ECDSA-secp256r1-SHA256", KEY)
REGISTER = Measurand.ENERGY_ACTIVE_IMPORT_REGISTER


class SignBench(Bench):
    """One EVSE with a meter that signs."""

    def __init__(self, signing: str = "required", signs: bool = True, **variables: str) -> None:
        super().__init__()
        self.station = assemble([EvseLimits(1, unlocks=True, signing=signing, signs=signs)], prefix="t")
        self.variables = self.station.facts.variables
        named = {key.replace("__", "."): value for key, value in variables.items()}
        assert not self.variables.layer("config", named)

    def started(self) -> SignBench:
        self.ready()
        self.feed(SignerProbed(1, KEY))
        return self

    @property
    def tx_id(self) -> str:
        assert self.evse.tx is not None
        return self.evse.tx.id

    def begun(self, signed: SignedData | None = BEGUN, why: str = "") -> list[Effect]:
        return self.feed(SessionBegun(1, self.tx_id, signed, why))

    def ended(self, signed: SignedData | None = ENDED, why: str = "") -> list[Effect]:
        return self.feed(SessionEnded(1, self.tx_id, signed, why))

    def asked(self) -> SignBench:
        """A card and a car: the meter has been asked to begin."""
        self.started()
        self.tap()
        self.read(Pilot.B)
        return self

    def charging(self, signed: SignedData | None = BEGUN) -> SignBench:
        self.asked()
        self.begun(signed)
        self.read(Pilot.C)
        self.wait(1)
        self.meter(5000.0, 7000.0)
        self.wait(1200)
        self.meter(7000.0, 7000.0)
        return self

    def stopping(self, signed: SignedData | None = BEGUN) -> list[Effect]:
        """The card again; the contactor has opened, and the last reading is there."""
        self.charging(signed)
        found = self.tap()
        found += self.read(Pilot.B, contactor=False)
        found += self.wait(2)
        return found + self.meter(7010.0)

    def event(self, kind: TxKind) -> TransactionEvent:
        return next(event for event in self.journal if event.kind is kind)

    def told(self, context: Context) -> Reading:
        """The reading with that context in the last event."""
        return next(reading for reading in self.journal[-1].readings if reading.context is context)


def test_no_energy_flows_before_the_meter_has_begun_its_session() -> None:
    bench = SignBench().asked()
    assert bench.evse.offer_a == 0
    assert bench.evse.explanation == "0 A: the meter has not begun its signed session"


def test_energy_flows_when_the_meter_has_begun() -> None:
    bench = SignBench().asked()
    bench.begun()
    assert bench.evse.offer_a > 0


def test_the_session_is_for_the_transaction_and_its_card() -> None:
    bench = SignBench().asked()
    orders = of(bench.effects, BeginSession)
    assert [(o.evse, o.transaction, o.token) for o in orders] == [(1, bench.tx_id, CARD)]
    assert orders[0].utc == bench.utc


def test_without_a_card_no_session_begins() -> None:
    bench = SignBench(TxCtrlr__TxStartPoint="EVConnected").started()
    bench.read(Pilot.B)
    assert bench.evse.tx is not None
    assert not of(bench.effects, BeginSession)


def test_where_energy_would_start_a_transaction_it_begins_before_that() -> None:
    bench = SignBench(TxCtrlr__TxStartPoint="EnergyTransfer").asked()
    assert of(bench.effects, BeginSession)
    assert bench.evse.offer_a == 0


def test_what_was_signed_at_the_beginning_is_told_at_once() -> None:
    bench = SignBench().asked()
    bench.begun()
    event = next(event for event in bench.journal if event.trigger is Trigger.SIGNED_DATA_RECEIVED)
    assert (event.kind, event.readings[0].context, event.readings[0].signed) == (TxKind.UPDATED, Context.BEGIN, BEGUN)


def test_the_end_waits_for_the_meter() -> None:
    bench = SignBench()
    bench.stopping()
    assert bench.evse.tx is not None
    assert len(of(bench.effects, EndSession)) == 1


def test_the_end_of_a_session_is_ordered_only_when_the_last_reading_is_there() -> None:
    bench = SignBench().charging()
    bench.tap()
    assert bench.evse.offer_a == 0
    assert not of(bench.effects, EndSession)


def test_both_ends_are_signed_in_the_last_event() -> None:
    bench = SignBench()
    bench.stopping()
    bench.ended()
    assert bench.journal[-1].kind is TxKind.ENDED
    assert (bench.told(Context.BEGIN).signed, bench.told(Context.END).signed) == (BEGUN, ENDED)
    assert bench.journal[-1].energy_wh == 7010


def test_a_signed_reading_has_its_register_whatever_else_was_chosen() -> None:
    bench = SignBench(SampledDataCtrlr__TxEndedMeasurands="")
    bench.stopping()
    bench.ended()
    values = {reading.context: reading.samples[0] for reading in bench.journal[-1].readings}
    assert [values[c].measurand for c in (Context.BEGIN, Context.END)] == [REGISTER, REGISTER]
    assert [values[c].value for c in (Context.BEGIN, Context.END)] == [5000.0, 7010.0]


def test_a_meter_that_signs_at_the_end_only_is_content_with_that() -> None:
    bench = SignBench()
    bench.stopping(None)
    bench.ended()
    assert (bench.told(Context.BEGIN).signed, bench.told(Context.END).signed) == (None, ENDED)


@pytest.mark.parametrize("signing", ["required", "if-possible"])
def test_without_the_signature_the_bill_is_told_all_the_same(signing: str) -> None:
    bench = SignBench(signing)
    bench.stopping()
    bench.ended(None, "signing takes more than 15 s")
    assert (bench.journal[-1].kind, bench.journal[-1].energy_wh) == (TxKind.ENDED, 7010)
    assert bench.told(Context.END).signed is None
    assert {Own.METER_SIGNING, Own.METER_UNSIGNED} & {*bench.evse.faults}


def test_a_meter_that_does_not_begin_ends_the_transaction_when_it_must_sign() -> None:
    bench = SignBench().asked()
    bench.begun(None, "its clock is not set")
    assert str(Own.METER_SIGNING) in bench.evse.faults
    bench.wait(2)
    bench.meter()
    end = bench.journal[-1]
    assert (end.kind, end.stop_reason, end.energy_wh - end.started_wh) == (TxKind.ENDED, StopReason.OTHER, 0)


def test_a_meter_that_does_not_begin_delays_nobody_when_it_need_not_sign() -> None:
    bench = SignBench("if-possible").asked()
    bench.begun(None, "its clock is not set")
    assert bench.evse.offer_a > 0
    assert [*bench.evse.faults] == [str(Own.METER_UNSIGNED)]


def test_a_meter_that_is_known_not_to_sign_is_not_waited_for_when_it_need_not() -> None:
    bench = SignBench("if-possible").ready()
    bench.feed(SignerProbed(1, "", "it is set up not to sign"))
    bench.tap()
    bench.read(Pilot.B)
    assert not of(bench.effects, BeginSession)
    assert bench.evse.offer_a > 0


def test_while_a_meter_that_must_sign_cannot_no_card_is_taken() -> None:
    bench = SignBench().asked()
    bench.begun(None, "its clock is not set")
    bench.wait(2)
    bench.meter()
    bench.read(Pilot.A)
    bench.effects.clear()
    bench.tap()
    bench.read(Pilot.B)
    assert bench.evse.tx is None
    assert bench.evse.offer_a == 0


def test_a_meter_that_could_not_is_asked_again_and_believed() -> None:
    bench = SignBench().ready()
    bench.feed(SignerProbed(1, "", "no answer"))
    assert str(Own.METER_SIGNING) in bench.evse.faults
    bench.effects.clear()
    bench.wait(10)
    assert of(bench.effects, ProbeSigner) == [ProbeSigner(1)]
    bench.feed(SignerProbed(1, KEY))
    assert not bench.evse.faults


def test_a_meter_that_stays_silent_is_asked_less_and_less() -> None:
    bench = SignBench().ready()
    probes = []
    bench.feed(SignerProbed(1, "", "no answer"))
    for _ in range(8):
        bench.effects.clear()
        start = bench.mono
        while not of(bench.effects, ProbeSigner):
            bench.wait(1)
        probes.append(bench.mono - start)
        bench.feed(SignerProbed(1, "", "no answer"))
    assert probes == [10, 20, 40, 80, 160, 300, 300, 300]


def test_a_driver_that_cannot_sign_where_it_must_is_a_fault_from_the_start() -> None:
    bench = SignBench(signs=False).ready()
    assert bench.evse.faults == {str(Own.METER_SIGNING): "its driver cannot sign"}
    bench.tap()
    bench.read(Pilot.B)
    assert bench.evse.tx is None


@pytest.mark.parametrize(("signing", "signs"), [("off", True), ("if-possible", False)])
def test_a_meter_that_does_not_sign_changes_nothing(signing: str, signs: bool) -> None:
    bench = SignBench(signing, signs).ready()
    bench.charge()
    assert bench.evse.offer_a > 0
    assert not bench.evse.faults
    assert not of(bench.effects, BeginSession)


def test_a_swapped_meter_is_not_waited_for() -> None:
    bench = SignBench().charging()
    bench.feed(MeterReplaced(1))
    assert bench.journal[-1].kind is TxKind.ENDED
    assert not of(bench.effects, EndSession)
    assert str(Own.METER_SIGNING) in bench.evse.faults


def test_a_meter_that_was_exchanged_while_nobody_charges_is_asked_for_its_key() -> None:
    bench = SignBench().started()
    assert of(bench.feed(MeterReplaced(1)), ProbeSigner) == [ProbeSigner(1)]
    bench.feed(SignerProbed(1, "", "its public key is not the one of the configuration: another meter?"))
    assert str(Own.METER_SIGNING) in bench.evse.faults


def test_meters_that_are_exchanged_again_and_again_are_asked_as_often_as_they_answer() -> None:
    bench = SignBench().started()
    for _ in range(50):
        bench.feed(MeterReplaced(1))
    assert of(bench.effects, ProbeSigner) == [ProbeSigner(1)]


def test_a_stop_before_the_meter_has_begun_waits_and_ends_the_session() -> None:
    bench = SignBench().asked()
    bench.tap()
    bench.wait(2)
    bench.meter()
    assert bench.evse.tx is not None
    bench.begun()
    assert len(of(bench.effects, EndSession)) == 1
    bench.ended()
    assert bench.journal[-1].kind is TxKind.ENDED


def test_a_transaction_that_waits_for_nothing_else_ends_when_the_meter_refuses_to_begin() -> None:
    bench = SignBench().asked()
    bench.tap()
    bench.wait(15)  # and the meter tells no reading
    assert bench.evse.tx is not None
    bench.begun(None, "its clock is not set")
    assert bench.journal[-1].kind is TxKind.ENDED


@pytest.mark.parametrize("signed", [ENDED, None])
def test_a_transaction_that_waits_for_nothing_else_ends_when_the_meter_has_answered(signed: SignedData | None) -> None:
    bench = SignBench().charging()
    bench.tap()
    bench.read(Pilot.B, contactor=False)
    bench.wait(15)  # and the meter tells no reading
    assert len(of(bench.effects, EndSession)) == 1
    bench.ended(signed, "" if signed else "no answer")
    assert bench.journal[-1].kind is TxKind.ENDED


def test_an_answer_about_another_transaction_is_not_taken() -> None:
    bench = SignBench().asked()
    bench.feed(SessionBegun(1, "t-1-99", BEGUN))
    assert bench.evse.tx is not None
    assert bench.evse.tx.signed_state is SignedState.ASKED


# --- the public key -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "keys"),
    [("Never", ["", "", ""]), ("OncePerTransaction", [KEY, "", ""]), ("EveryMeterValue", [KEY, KEY, KEY])],
)
def test_the_key_is_told_as_often_as_the_csms_wants(policy: str, keys: list[str]) -> None:
    bench = SignBench(OCPPCommCtrlr__PublicKeyWithSignedMeterValue=policy)
    bench.stopping()
    bench.ended()
    signed = [r.signed for event in bench.journal for r in event.readings if r.signed is not None]
    assert [one.public_key for one in signed] == keys


def test_the_csms_may_want_no_signatures() -> None:
    bench = SignBench(SampledDataCtrlr__SignReadings="false")
    bench.stopping()
    bench.ended()
    assert not [r for event in bench.journal for r in event.readings if r.signed is not None]


def test_the_beginning_may_be_told_at_the_end_only() -> None:
    bench = SignBench(SampledDataCtrlr__SignStartedReadings="false")
    bench.stopping()
    assert not [r for event in bench.journal for r in event.readings if r.signed is not None]
    bench.ended()
    assert bench.told(Context.BEGIN).signed == BEGUN


def test_the_key_of_the_meter_can_be_asked_for() -> None:
    bench = SignBench().started()
    row = bench.variables.find("FiscalMetering@1.PublicKey")
    assert row is not None
    assert bench.variables.view(row.id, bench.now).value == KEY


def test_a_station_whose_meters_do_not_sign_has_no_such_variables() -> None:
    assert Bench().variables.find("SampledDataCtrlr.SignReadings") is None


# --- restarts -----------------------------------------------------------------------------------------------


def again(before: SignBench) -> SignBench:
    """Another process, which finds what the first one had remembered."""
    bench = SignBench()
    bench.mono, bench.utc, bench.wh = before.mono + 5, before.utc + 5, before.wh
    snapshots: Any = before.remembered["open"]
    ids = [event.transaction for event in before.journal]
    found = [
        OpenTransaction(tx, ids.count(tx), s, energy_wh=before.journal[-1].energy_wh) for tx, s in snapshots.items()
    ]
    others: dict[str, Any] = {k: v for k, v in before.remembered.items() if k != "open"}
    bench.boot(*found, **others)
    bench.online()
    bench.feed(SignerProbed(1, KEY))
    return bench


def test_a_session_that_was_open_goes_on_after_a_restart() -> None:
    bench = again(SignBench().charging())
    bench.read(Pilot.C, contactor=True)
    bench.meter(7005.0, 7000.0)
    assert not of(bench.effects, BeginSession)
    assert bench.evse.offer_a > 0
    bench.tap()
    bench.read(Pilot.B, contactor=False)
    bench.wait(2)
    bench.meter(7010.0)
    bench.ended()
    assert (bench.told(Context.BEGIN).signed, bench.told(Context.END).signed) == (BEGUN, ENDED)


def test_a_session_that_was_only_asked_for_is_begun_anew() -> None:
    bench = again(SignBench().asked())
    bench.read(Pilot.B)
    bench.meter(5000.0)
    assert len(of(bench.effects, BeginSession)) == 1
    assert bench.evse.offer_a == 0


def test_an_end_that_was_under_way_is_ordered_again() -> None:
    before = SignBench()
    before.stopping()
    bench = again(before)
    bench.read(Pilot.B, contactor=False)
    bench.wait(2)
    bench.meter(7010.0)
    assert len(of(bench.effects, EndSession)) == 1
    bench.ended()
    assert bench.told(Context.END).signed == ENDED


def test_what_was_lost_stays_lost() -> None:
    before = SignBench("if-possible").asked()
    before.begun(None, "no")
    bench = again(before)
    bench.read(Pilot.B)
    bench.meter(5000.0)
    assert bench.evse.tx is not None
    assert bench.evse.tx.signed_state is SignedState.LOST
