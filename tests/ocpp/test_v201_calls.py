"""OCPP 2.0.1: calls of ours, their answers, and transaction events."""

from __future__ import annotations

import pytest

from agent.core.effects import (
    Authorize,
    Boot,
    Call,
    DataSend,
    FirmwareStatus,
    Heartbeat,
    LogStatus,
    MeterReport,
    ReportPart,
    Status,
)
from agent.core.events import (
    BootAnswered,
    CallDone,
    HeartbeatAnswered,
    TokenAnswered,
    TransactionAnswered,
)
from agent.core.types import (
    ChargingState,
    ConnectorStatus,
    Context,
    Mutability,
    Registration,
    SetStatus,
    StopReason,
    TokenInfo,
    TokenStatus,
    Trigger,
    TxKind,
    VariableId,
    VariableView,
)
from agent.core.vendor import DataAnswered
from agent.ocpp import dialect
from agent.ocpp.dialect import Payload, Station
from agent.ocpp.v201.calls import BOOT_REASONS, FIRMWARE, FOLDED, LOG
from agent.ocpp.v201.transactions import REASONS
from drivers.api import IdToken, Measurand, Phase, Sample
from tests.ocpp.words import CARD, NOON, NOON_TEXT, STATION, event, reading, valid

V201 = dialect.load("2.0.1")
ACCEPTED = TokenInfo(TokenStatus.ACCEPTED)


def sent(call: Call, station: Station = STATION) -> Payload:
    return valid(V201, V201.encode(call, station))


def told(kind: TxKind, **more: object) -> Payload:
    return valid(V201, V201.tell(event(kind, **more), None))


# --- calls ---


def test_the_boot_tells_who_the_station_is_cut_to_what_fits() -> None:
    assert sent(Boot("PowerUp")) == {
        "reason": "PowerUp",
        "chargingStation": {
            "vendorName": "A vendor with a name that is longer than fifty cha",
            "model": "A model with a long ",
            "serialNumber": "0123456789012345678901234",
            "firmwareVersion": "1.2.3",
            "modem": {"iccid": "89490000000000000000", "imsi": "262010000000000"},
        },
    }


def test_the_boot_leaves_out_what_is_not_known() -> None:
    assert sent(Boot("Watchdog"), Station("V", "M"))["chargingStation"] == {"vendorName": "V", "model": "M"}


@pytest.mark.parametrize("reason", BOOT_REASONS)
def test_every_reason_to_boot_passes(reason: str) -> None:
    assert sent(Boot(reason))["reason"] == reason


def test_an_odd_reason_to_boot_is_unknown() -> None:
    assert sent(Boot("Boredom"))["reason"] == "Unknown"


def test_a_heartbeat_is_empty() -> None:
    assert V201.encode(Heartbeat(), STATION) == ("Heartbeat", {})


@pytest.mark.parametrize("word", ConnectorStatus)
def test_every_status_folds_to_one_of_five(word: ConnectorStatus) -> None:
    assert sent(Status(2, 1, word, NOON, "other", "info")) == {
        "timestamp": NOON_TEXT,
        "connectorStatus": FOLDED[word],
        "evseId": 2,
        "connectorId": 1,
    }


@pytest.mark.parametrize(
    ("word", "told_as"), [("Preparing", "Available"), ("Finishing", "Available"), ("Faulted", "Faulted")]
)
def test_a_connector_without_a_plug_is_not_occupied(word: str, told_as: str) -> None:
    call = Status(2, 1, ConnectorStatus(word), NOON, connected=False)
    assert sent(call)["connectorStatus"] == told_as


def test_the_station_as_a_whole_has_no_status_message() -> None:
    assert V201.encode(Status(0, 0, ConnectorStatus.AVAILABLE, NOON), STATION) is None


@pytest.mark.parametrize(
    ("kind", "word"), [("ISO14443", "ISO14443"), ("eMAID", "eMAID"), ("Central", "Central"), ("??", "Local")]
)
def test_a_token_goes_with_its_kind(kind: str, word: str) -> None:
    assert sent(Authorize(IdToken("A1", kind), (1,))) == {"idToken": {"idToken": "A1", "type": word}}


def test_data_goes_as_it_is() -> None:
    assert sent(DataSend("org.x", "hello", {"FooBar": [1, None]}))["data"] == {"FooBar": [1, None]}


@pytest.mark.parametrize("word", FIRMWARE)
def test_every_firmware_status_passes(word: str) -> None:
    assert sent(FirmwareStatus(word)) == {"status": word}


@pytest.mark.parametrize("word", LOG)
def test_every_log_status_passes(word: str) -> None:
    assert V201.encode(LogStatus(word), STATION) == ("LogStatusNotification", {"status": word})


# --- reports ---


def test_a_report_part_describes_each_variable() -> None:
    view = VariableView(
        VariableId("EVSE", "Power", "", 2),
        SetStatus.ACCEPTED,
        "22000",
        Mutability.READ_ONLY,
        "decimal",
        "W",
        (),
        0.0,
        22000.0,
    )
    assert sent(ReportPart(7, 1, False, NOON, (view,))) == {
        "requestId": 7,
        "generatedAt": NOON_TEXT,
        "seqNo": 1,
        "tbc": True,
        "reportData": [
            {
                "component": {"name": "EVSE", "evse": {"id": 2}},
                "variable": {"name": "Power"},
                "variableAttribute": [
                    {
                        "type": "Actual",
                        "mutability": "ReadOnly",
                        "persistent": True,
                        "constant": False,
                        "value": "22000",
                    }
                ],
                "variableCharacteristics": {
                    "dataType": "decimal",
                    "supportsMonitoring": False,
                    "unit": "W",
                    "minLimit": 0,
                    "maxLimit": 22000,
                },
            }
        ],
    }


def test_the_value_of_a_write_only_variable_is_not_reported() -> None:
    view = VariableView(VariableId("C", "Secret"), SetStatus.REJECTED, "hush", Mutability.WRITE_ONLY)
    report = sent(ReportPart(7, 0, True, NOON, (view,)))
    assert "value" not in report["reportData"][0]["variableAttribute"][0]


def test_a_choice_too_long_for_its_field_is_left_out() -> None:
    view = VariableView(VariableId("C", "V"), SetStatus.ACCEPTED, "a", values=("x" * 600, "y" * 600))
    report = sent(ReportPart(7, 0, True, NOON, (view,)))
    assert "valuesList" not in report["reportData"][0]["variableCharacteristics"]


def test_an_empty_report_part_has_no_data() -> None:
    assert "reportData" not in sent(ReportPart(7, 0, True, NOON, ()))


# --- meter values ---


def test_a_meter_report_is_a_number_with_its_unit() -> None:
    report = sent(MeterReport(0, (reading(Sample(Measurand.CURRENT_IMPORT, 15.899999618530273, Phase.L2)),)))
    assert report == {
        "evseId": 0,
        "meterValue": [
            {
                "timestamp": NOON_TEXT,
                "sampledValue": [
                    {
                        "value": 15.9,
                        "unitOfMeasure": {"unit": "A"},
                        "context": "Sample.Periodic",
                        "measurand": "Current.Import",
                        "location": "Outlet",
                        "phase": "L2",
                    }
                ],
            }
        ],
    }


def test_measurands_without_a_word_are_left_out() -> None:
    samples = tuple(Sample(measurand, 1.0) for measurand in Measurand)
    values = sent(MeterReport(1, (reading(*samples),)))["meterValue"][0]["sampledValue"]
    assert {str(measurand) for measurand in Measurand} - {value["measurand"] for value in values} == {
        "RPM",
        "Temperature",
    }


def test_a_report_of_which_nothing_is_left_is_not_sent() -> None:
    assert V201.encode(MeterReport(1, (reading(Sample(Measurand.RPM, 1.0)),)), STATION) is None


# --- answers ---


def test_an_accepted_boot_gives_interval_and_time() -> None:
    answer = {"status": "Pending", "interval": 300, "currentTime": NOON_TEXT, "customData": {"vendorId": "x"}}
    assert V201.answered(Boot("PowerUp"), "BootNotification", answer) == BootAnswered(
        Registration.PENDING, 300.0, NOON.utc
    )


def test_a_boot_answer_that_says_nothing_is_a_rejection() -> None:
    assert V201.answered(Boot("PowerUp"), "BootNotification", {"interval": -5}) == BootAnswered(
        Registration.REJECTED, 0.0, None
    )


def test_a_heartbeat_brings_the_time() -> None:
    assert V201.answered(Heartbeat(), "Heartbeat", {"currentTime": NOON_TEXT}) == HeartbeatAnswered(NOON.utc)


@pytest.mark.parametrize("status", TokenStatus)
def test_every_authorization_status_is_understood(status: TokenStatus) -> None:
    call = Authorize(CARD, (1,))
    answer = {"idTokenInfo": {"status": str(status)}}
    assert V201.answered(call, "Authorize", answer) == TokenAnswered(call, TokenInfo(status))


def test_an_authorization_gives_group_and_expiry() -> None:
    call = Authorize(CARD, (1,))
    told = {
        "status": "Accepted",
        "cacheExpiryDateTime": NOON_TEXT,
        "groupIdToken": {"idToken": "FAM", "type": "Central"},
    }
    info = TokenInfo(TokenStatus.ACCEPTED, IdToken("FAM", "Central"), NOON.utc)
    assert V201.answered(call, "Authorize", {"idTokenInfo": told}) == TokenAnswered(call, info)


@pytest.mark.parametrize(
    ("evses", "status"), [((1, 2), TokenStatus.ACCEPTED), ((1,), TokenStatus.NOT_AT_THIS_LOCATION)]
)
def test_a_token_for_certain_evses_is_accepted_only_there(evses: tuple[int, ...], status: TokenStatus) -> None:
    call = Authorize(CARD, evses)
    answer = {"idTokenInfo": {"status": "Accepted", "evseId": [2, 3]}}
    assert V201.answered(call, "Authorize", answer) == TokenAnswered(call, TokenInfo(status))


def test_an_authorization_that_cannot_be_read_is_invalid() -> None:
    call = Authorize(CARD, (1,))
    assert V201.answered(call, "Authorize", {}) == TokenAnswered(call, TokenInfo(TokenStatus.INVALID))


def test_the_answer_to_data_carries_what_the_csms_says() -> None:
    call = DataSend("com.example", "DoorOpened")
    told = V201.answered(call, "DataTransfer", {"status": "UnknownMessageId", "data": [1]})
    assert told == DataAnswered(call, "UnknownMessageId", [1])


@pytest.mark.parametrize(
    "action",
    [
        "StatusNotification",
        "MeterValues",
        "NotifyReport",
        "FirmwareStatusNotification",
        "LogStatusNotification",
    ],
)
def test_other_answers_only_say_that_it_is_done(action: str) -> None:
    call = FirmwareStatus()
    assert V201.answered(call, action, {}) == CallDone(call)


def test_a_transaction_event_may_be_answered_with_nothing() -> None:
    row = event(TxKind.UPDATED)
    assert V201.answered(row, "TransactionEvent", {}) == TransactionAnswered(row)


def test_a_transaction_event_may_be_answered_with_word_of_the_token() -> None:
    row = event(TxKind.STARTED)
    answer = {"totalCost": 1.2, "idTokenInfo": {"status": "Accepted"}}
    assert V201.answered(row, "TransactionEvent", answer) == TransactionAnswered(row, ACCEPTED)


# --- transaction events ---


def test_a_start_tells_everything() -> None:
    payload = told(
        TxKind.STARTED,
        seq=0,
        trigger=Trigger.REMOTE_START,
        token=CARD,
        readings=(reading(context=Context.BEGIN),),
        offline=True,
        reservation_id=9,
        remote_start_id=8,
        phases=3,
        cable_a=32,
    )
    del payload["meterValue"]
    assert payload == {
        "eventType": "Started",
        "timestamp": NOON_TEXT,
        "triggerReason": "RemoteStart",
        "seqNo": 0,
        "offline": True,
        "numberOfPhasesUsed": 3,
        "cableMaxCurrent": 32,
        "reservationId": 9,
        "transactionInfo": {"transactionId": "b3-1-7", "chargingState": "Charging", "remoteStartId": 8},
        "evse": {"id": 2, "connectorId": 1},
        "idToken": {"idToken": "04A1B2C3D4E5F6", "type": "ISO14443"},
    }


def test_an_update_repeats_nothing() -> None:
    payload = told(TxKind.UPDATED, token=CARD, reservation_id=9, remote_start_id=8)
    assert payload == {
        "eventType": "Updated",
        "timestamp": NOON_TEXT,
        "triggerReason": "MeterValuePeriodic",
        "seqNo": 3,
        "transactionInfo": {"transactionId": "b3-1-7", "chargingState": "Charging"},
    }


@pytest.mark.parametrize("trigger", [Trigger.AUTHORIZED, Trigger.REMOTE_START, Trigger.STOP_AUTHORIZED])
def test_an_authorization_during_the_transaction_brings_the_token(trigger: Trigger) -> None:
    assert "idToken" in told(TxKind.UPDATED, trigger=trigger, token=CARD)


def test_plugging_in_during_the_transaction_brings_the_evse() -> None:
    assert told(TxKind.UPDATED, trigger=Trigger.CABLE_PLUGGED_IN)["evse"] == {"id": 2, "connectorId": 1}


@pytest.mark.parametrize("trigger", Trigger)
def test_every_trigger_passes(trigger: Trigger) -> None:
    assert told(TxKind.UPDATED, trigger=trigger)["triggerReason"] == str(trigger)


@pytest.mark.parametrize("state", ChargingState)
def test_every_charging_state_passes(state: ChargingState) -> None:
    assert told(TxKind.UPDATED, charging_state=state)["transactionInfo"]["chargingState"] == str(state)


@pytest.mark.parametrize("reason", StopReason)
def test_every_stop_reason_has_a_word(reason: StopReason) -> None:
    assert told(TxKind.ENDED, stop_reason=reason)["transactionInfo"]["stoppedReason"] == REASONS[reason]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (StopReason.HARD_RESET, "ImmediateReset"),
        (StopReason.SOFT_RESET, "ImmediateReset"),
        (StopReason.UNLOCK_COMMAND, "Other"),
        (StopReason.STOPPED_BY_EV, "StoppedByEV"),
    ],
)
def test_reasons_of_the_older_version_are_told_by_the_nearest(reason: StopReason, word: str) -> None:
    assert REASONS[reason] == word


def test_a_reason_is_told_only_at_the_end() -> None:
    assert "stoppedReason" not in told(TxKind.UPDATED, stop_reason=StopReason.LOCAL)["transactionInfo"]


def test_an_end_names_who_stopped() -> None:
    assert told(TxKind.ENDED, token=CARD)["idToken"]["idToken"] == CARD.value


def test_an_end_repeats_neither_reservation_nor_remote_start() -> None:
    payload = told(TxKind.ENDED, trigger=Trigger.REMOTE_START, reservation_id=9, remote_start_id=8)
    assert "reservationId" not in payload and "remoteStartId" not in payload["transactionInfo"]


def test_an_end_without_a_token_names_nobody() -> None:
    assert "idToken" not in told(TxKind.ENDED)
