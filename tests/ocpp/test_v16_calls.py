"""OCPP 1.6-J: calls of ours, their answers, and transaction events."""

from __future__ import annotations

import pytest

from agent.core import faults as catalogue
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
    ConnectorStatus,
    Context,
    Instant,
    Registration,
    StopReason,
    TokenInfo,
    TokenStatus,
    TxKind,
)
from agent.core.vendor import DataAnswered
from agent.ocpp import dialect
from agent.ocpp.dialect import Payload, Station
from agent.ocpp.v16.calls import ERRORS, FIRMWARE
from agent.ocpp.v16.diagnostics import STATUS as LOG
from agent.ocpp.v16.transactions import REASONS
from drivers.api import IdToken, Measurand, Phase, Sample
from tests.ocpp.words import CARD, NOON, NOON_TEXT, STATION, event, reading, valid

V16 = dialect.load("1.6")


def sent(call: Call, station: Station = STATION) -> Payload:
    return valid(V16, V16.encode(call, station))


def sampled(sample: Sample, context: Context = Context.PERIODIC) -> Payload:
    report = sent(MeterReport(1, (reading(sample, context=context),)))
    value: Payload = report["meterValue"][0]["sampledValue"][0]
    return value


# --- calls ---


def test_the_boot_tells_who_the_charge_point_is_cut_to_what_fits() -> None:
    assert sent(Boot("PowerUp")) == {
        "chargePointVendor": "A vendor with a name",
        "chargePointModel": "A model with a long ",
        "chargePointSerialNumber": "0123456789012345678901234",
        "firmwareVersion": "1.2.3",
        "iccid": "89490000000000000000",
        "imsi": "262010000000000",
        "meterType": "Eastron SDM630-Modbus V2 ",
        "meterSerialNumber": "20123456",
    }


def test_the_boot_leaves_out_what_is_not_known() -> None:
    assert sent(Boot("PowerUp"), Station("V", "M")) == {"chargePointVendor": "V", "chargePointModel": "M"}


def test_a_heartbeat_is_empty() -> None:
    assert V16.encode(Heartbeat(), STATION) == ("Heartbeat", {})


@pytest.mark.parametrize("word", ConnectorStatus)
def test_every_status_of_a_connector_has_its_own_word(word: ConnectorStatus) -> None:
    error = "OtherError" if word == "Faulted" else "NoError"
    told = sent(Status(2, 1, word, NOON))
    assert told == {"connectorId": 2, "errorCode": error, "status": str(word), "timestamp": NOON_TEXT}


@pytest.mark.parametrize("word", ConnectorStatus)
def test_connector_0_knows_only_three_states(word: ConnectorStatus) -> None:
    own = word if word in ("Unavailable", "Faulted") else "Available"
    assert sent(Status(0, 0, word, NOON))["status"] == own


@pytest.mark.parametrize("fault", catalogue.CATALOGUE)
def test_every_fault_of_the_catalogue_has_an_error_code_and_is_named(fault: str) -> None:
    told = sent(Status(1, 1, ConnectorStatus.FAULTED, NOON, error=fault, info="raw"))
    mrec = catalogue.CATALOGUE[fault].mrec
    code, keeper = (mrec, "https://chargex.inl.gov") if mrec else (fault, STATION.vendor)
    assert (told["errorCode"], told["info"]) == (ERRORS[fault], f"{fault}: raw")
    assert (told["vendorErrorCode"], told["vendorId"]) == (code, keeper)


def test_no_fault_that_stops_is_a_communication_error_of_the_ev() -> None:
    """Section 4.9: that is a warning, and never stands beside Faulted."""
    assert "EVCommunicationError" not in [ERRORS[fault] for fault, row in catalogue.CATALOGUE.items() if row.stops]


def test_a_conflict_of_the_local_list_has_its_own_error_code() -> None:
    told = sent(Status(0, 0, ConnectorStatus.AVAILABLE, NOON, "local-list-conflict", "..E9AE listed as Accepted"))
    assert (told["connectorId"], told["status"], told["errorCode"]) == (0, "Available", "LocalListConflict")
    assert told["info"] == "local-list-conflict: ..E9AE listed as Accepted"


def test_an_unknown_fault_is_an_other_error() -> None:
    assert sent(Status(1, 1, ConnectorStatus.FAULTED, NOON, error="x" * 80))["errorCode"] == "OtherError"


def test_lesson_31_info_is_cut_at_fifty_characters() -> None:
    assert sent(Status(1, 1, ConnectorStatus.FAULTED, NOON, "other", "i" * 80))["info"] == "other: " + "i" * 43


def test_a_token_is_cut_to_twenty_characters() -> None:
    assert sent(Authorize(IdToken(" ABCDEFGHIJKLMNOPQRSTUVWXYZ"), (1,))) == {"idTag": "ABCDEFGHIJKLMNOPQRST"}


def test_an_empty_token_still_has_a_name() -> None:
    assert sent(Authorize(IdToken("", "NoAuthorization"), (1,))) == {"idTag": "NoAuthorization"}


@pytest.mark.parametrize("word", FIRMWARE)
def test_every_firmware_status_has_a_word(word: str) -> None:
    assert sent(FirmwareStatus(word))["status"] == FIRMWARE[word]


@pytest.mark.parametrize("word", LOG)
def test_every_log_status_is_told_as_diagnostics(word: str) -> None:
    assert V16.encode(LogStatus(word), STATION) == ("DiagnosticsStatusNotification", {"status": LOG[word]})


def test_a_report_is_not_told_in_this_version() -> None:
    assert V16.encode(ReportPart(1, 0, True, NOON, ()), STATION) is None


def test_data_that_is_no_text_goes_as_json() -> None:
    assert sent(DataSend("org.x", "hello", {"a": [1, 2]}))["data"] == '{"a":[1,2]}'


def test_data_may_be_absent() -> None:
    assert sent(DataSend("org.x")) == {"vendorId": "org.x"}


# --- meter values ---


def test_a_report_carries_the_time_when_the_meter_was_read() -> None:
    earlier = Instant(mono=1.0, utc=NOON.utc - 0.25)
    told = sent(MeterReport(0, (reading(at=earlier),)))
    assert told["meterValue"][0]["timestamp"] == "2026-11-21T11:59:59.750Z"


def test_a_report_without_readings_is_not_sent() -> None:
    assert V16.encode(MeterReport(1, ()), STATION) is None


def test_a_report_names_the_transaction_by_the_number_of_the_central_system() -> None:
    assert sent(MeterReport(1, (reading(),), "42"))["transactionId"] == 42


def test_a_report_keeps_our_own_name_of_the_transaction_to_itself() -> None:
    assert "transactionId" not in sent(MeterReport(1, (reading(),), "b3-1-7"))


@pytest.mark.parametrize("measurand", Measurand)
def test_every_measurand_passes_the_schema(measurand: Measurand) -> None:
    assert sampled(Sample(measurand, 1.5, Phase.L1))["measurand"] == str(measurand)


@pytest.mark.parametrize("context", Context)
def test_every_context_passes_the_schema(context: Context) -> None:
    assert sampled(Sample(Measurand.VOLTAGE, 230.0), context)["context"] == str(context)


def test_a_sample_says_all_there_is_to_say() -> None:
    assert sampled(Sample(Measurand.CURRENT_IMPORT, 15.9, Phase.L2)) == {
        "value": "15.9",
        "context": "Sample.Periodic",
        "format": "Raw",
        "measurand": "Current.Import",
        "phase": "L2",
        "location": "Outlet",
        "unit": "A",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [(230.10000610351562, "230.1"), (1234567.0, "1234567"), (-0.0, "0"), (0.0004, "0"), (-7.25, "-7.25")],
)
def test_a_value_is_written_without_the_noise_of_binary_fractions(value: float, text: str) -> None:
    assert sampled(Sample(Measurand.VOLTAGE, value))["value"] == text


def test_a_temperature_has_the_unit_that_the_oldest_schema_takes() -> None:
    """OCPP-J errata 2.1."""
    assert sampled(Sample(Measurand.TEMPERATURE, 41.5))["unit"] == "Celcius"


def test_the_state_of_charge_is_measured_in_the_car() -> None:
    assert sampled(Sample(Measurand.SOC, 55.0))["location"] == "EV"


def test_what_is_no_number_is_left_out() -> None:
    assert V16.encode(MeterReport(1, (reading(Sample(Measurand.VOLTAGE, float("nan"))),)), STATION) is None


# --- answers ---


def test_an_accepted_boot_gives_interval_and_time() -> None:
    answer = {"status": "Accepted", "interval": 300.0, "currentTime": "2026-11-21T13:00:00.000+01:00", "x": 1}
    assert V16.answered(Boot("PowerUp"), "BootNotification", answer) == BootAnswered(
        Registration.ACCEPTED, 300.0, NOON.utc
    )


def test_a_boot_answer_that_says_nothing_is_a_rejection() -> None:
    assert V16.answered(Boot("PowerUp"), "BootNotification", {}) == BootAnswered(Registration.REJECTED, 0.0, None)


@pytest.mark.parametrize("text", ["2026-11-21T12:00:00Z", "2026-11-21T12:00:00", "2026-11-21t12:00:00.000000z"])
def test_the_time_is_read_in_every_spelling(text: str) -> None:
    assert V16.answered(Heartbeat(), "Heartbeat", {"currentTime": text}) == HeartbeatAnswered(NOON.utc)


def test_a_time_that_is_none_is_no_time() -> None:
    assert V16.answered(Heartbeat(), "Heartbeat", {"currentTime": "yesterday"}) == HeartbeatAnswered(None)


def test_an_authorization_gives_status_parent_and_expiry() -> None:
    call = Authorize(CARD, (1,))
    answer = {"idTagInfo": {"status": "Blocked", "parentIdTag": "FAM", "expiryDate": "2026-11-21T12:00:00Z"}}
    info = TokenInfo(TokenStatus.BLOCKED, IdToken("FAM"), NOON.utc)
    assert V16.answered(call, "Authorize", answer) == TokenAnswered(call, info)


@pytest.mark.parametrize("answer", [{}, {"idTagInfo": {}}, {"idTagInfo": {"status": "Perhaps"}}, {"idTagInfo": 7}])
def test_an_authorization_that_cannot_be_read_is_invalid(answer: Payload) -> None:
    call = Authorize(CARD, (1,))
    assert V16.answered(call, "Authorize", answer) == TokenAnswered(call, TokenInfo(TokenStatus.INVALID))


@pytest.mark.parametrize(
    "action", ["StatusNotification", "FirmwareStatusNotification", "DiagnosticsStatusNotification"]
)
def test_other_answers_only_say_that_it_is_done(action: str) -> None:
    call = FirmwareStatus()
    assert V16.answered(call, action, {"status": "whatever"}) == CallDone(call)


def test_the_answer_to_data_carries_what_the_csms_says() -> None:
    call = DataSend("com.example", "DoorOpened")
    told = V16.answered(call, "DataTransfer", {"status": "UnknownMessageId", "data": "no door"})
    assert told == DataAnswered(call, "UnknownMessageId", "no door")


def test_the_answer_to_a_meter_report_says_that_it_is_done() -> None:
    call = MeterReport(1, (reading(),))
    assert V16.answered(call, "MeterValues", {}) == CallDone(call)


@pytest.mark.parametrize(
    ("told", "csms_id"), [(7, "7"), (0, "0"), ("42", "42"), (42.0, "42"), (None, "0"), ("x", "0"), (-1, "-1")]
)
def test_the_id_of_a_started_transaction_is_kept_however_it_is_written(told: object, csms_id: str) -> None:
    started = event(TxKind.STARTED)
    answer = {"idTagInfo": {"status": "Accepted"}, "transactionId": told}
    info = TokenInfo(TokenStatus.ACCEPTED)
    assert V16.answered(started, "StartTransaction", answer) == TransactionAnswered(started, info, csms_id)


def test_an_empty_answer_to_a_start_still_binds_an_id() -> None:
    started = event(TxKind.STARTED)
    assert V16.answered(started, "StartTransaction", {}) == TransactionAnswered(started, None, "0")


def test_the_answer_to_a_stop_may_say_something_of_the_token() -> None:
    ended = event(TxKind.ENDED)
    answer = {"idTagInfo": {"status": "Expired"}}
    assert V16.answered(ended, "StopTransaction", answer) == TransactionAnswered(ended, TokenInfo(TokenStatus.EXPIRED))


def test_the_answer_to_a_sample_takes_it_out_of_the_journal() -> None:
    updated = event(TxKind.UPDATED, readings=(reading(),))
    assert V16.answered(updated, "MeterValues", {}) == TransactionAnswered(updated)


# --- transaction events ---


def test_a_start_tells_the_register_and_the_time_of_its_beginning() -> None:
    started = event(TxKind.STARTED, token=CARD, reservation_id=0, energy_wh=1234000)
    assert V16.tell(started, None) == (
        "StartTransaction",
        {
            "connectorId": 2,
            "idTag": "04A1B2C3D4E5F6",
            "meterStart": 1234000,
            "timestamp": NOON_TEXT,
            "reservationId": 0,
        },
    )


def test_a_start_without_a_token_says_so() -> None:
    assert valid(V16, V16.tell(event(TxKind.STARTED), None))["idTag"] == "NoAuthorization"


def test_an_update_tells_its_readings() -> None:
    told = valid(V16, V16.tell(event(TxKind.UPDATED, readings=(reading(),)), "42"))
    assert (told["connectorId"], told["transactionId"], len(told["meterValue"])) == (2, 42, 1)


def test_an_update_without_readings_is_not_told() -> None:
    assert V16.tell(event(TxKind.UPDATED), None) is None


def test_a_stop_tells_register_time_reason_and_who_stopped() -> None:
    ended = event(TxKind.ENDED, token=CARD, stop_reason=StopReason.LOCAL)
    assert V16.tell(ended, "42") == (
        "StopTransaction",
        {
            "transactionId": 42,
            "meterStop": 1240500,
            "timestamp": NOON_TEXT,
            "idTag": "04A1B2C3D4E5F6",
            "reason": "Local",
        },
    )


def test_a_stop_without_a_token_names_nobody() -> None:
    assert "idTag" not in valid(V16, V16.tell(event(TxKind.ENDED), "42"))


def test_a_stop_whose_start_could_not_be_delivered_goes_as_minus_one() -> None:
    assert valid(V16, V16.tell(event(TxKind.ENDED), "-1"))["transactionId"] == -1


def test_the_readings_of_the_end_are_the_transaction_data() -> None:
    contexts = (Context.BEGIN, Context.CLOCK, Context.END)
    ended = event(TxKind.ENDED, readings=tuple(reading(context=context) for context in contexts))
    data = valid(V16, V16.tell(ended, "42"))["transactionData"]
    assert [value["sampledValue"][0]["context"] for value in data] == [str(context) for context in contexts]


@pytest.mark.parametrize("reason", StopReason)
def test_every_reason_has_a_word(reason: StopReason) -> None:
    assert valid(V16, V16.tell(event(TxKind.ENDED, stop_reason=reason), "42"))["reason"] == REASONS[reason]


@pytest.mark.parametrize("kind", [TxKind.UPDATED, TxKind.ENDED])
def test_nothing_but_a_start_may_be_sent_before_the_id_is_known(kind: TxKind) -> None:
    with pytest.raises(AssertionError, match="before its StartTransaction"):
        V16.tell(event(kind, readings=(reading(),)), None)


def test_every_measurand_passes_the_schema_of_a_stop() -> None:
    samples = tuple(Sample(measurand, 1.0) for measurand in Measurand)
    valid(V16, V16.tell(event(TxKind.ENDED, readings=(reading(*samples),)), "42"))
