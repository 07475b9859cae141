"""What leaves: complete tables, and valid messages in every dialect whatever the core says."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core import catalogue
from agent.core.effects import (
    Authorize,
    Boot,
    Call,
    DataAnswer,
    Heartbeat,
    MeterReport,
    ReportPart,
    ScheduleAnswer,
    Status,
    StatusAnswer,
)
from agent.core.types import (
    ConnectorStatus,
    Mutability,
    Reading,
    SetStatus,
    TransactionEvent,
    TxKind,
    VariableId,
    VariableView,
)
from agent.core.variables import Variables
from agent.ocpp import dialect
from agent.ocpp.dialect import Dialect, Message, Payload, Station
from agent.ocpp.fields import tidy
from agent.ocpp.schema import Validator
from tests.ocpp.words import NOON, STATION, faults, instants, readings, tokens, transaction_events, valid

DIALECTS = [dialect.load(name) for name in dialect.VERSIONS]
V16, V201 = DIALECTS
BY_NAME = pytest.mark.parametrize("spoken", DIALECTS, ids=lambda spoken: str(spoken.name))
THOROUGH = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])

# --- the tables are complete ---


@BY_NAME
def test_every_call_has_a_row(spoken: Dialect) -> None:
    # by name: a dataclass with slots leaves its draft behind among the subclasses
    assert {call.__name__ for call in spoken.calls} == {call.__name__ for call in Call.__subclasses__()}


@BY_NAME
def test_every_request_that_is_read_can_be_answered(spoken: Dialect) -> None:
    assert set(spoken.requests) == set(spoken.replies)


@BY_NAME
def test_every_action_of_the_tables_is_an_action_of_the_version(spoken: Dialect) -> None:
    known = Validator(spoken.schemas)
    assert all(known.knows(action) for action in (*spoken.requests, *spoken.answers))


@BY_NAME
def test_presets_and_pins_are_variables_of_the_catalogue(spoken: Dialect) -> None:
    model = Variables(catalogue.rows((1,)))
    assert model.layer("pin", spoken.pins) + model.layer("preset", spoken.presets) == []


@pytest.mark.parametrize(
    ("spoken", "neutral", "code"),
    [
        (V16, "FormatViolation", "FormationViolation"),
        (V16, "OccurrenceConstraintViolation", "OccurenceConstraintViolation"),
        (V16, "required", "OccurenceConstraintViolation"),
        (V16, "NotSupported", "NotSupported"),
        (V16, "unknown-action", "NotImplemented"),
        (V201, "FormatViolation", "FormatViolation"),
        (V201, "required", "OccurrenceConstraintViolation"),
        (V201, "InternalError", "InternalError"),
    ],
)
def test_a_neutral_error_code_is_spelt_as(spoken: Dialect, neutral: str, code: str) -> None:
    assert spoken.error_code(neutral) == code


@BY_NAME
def test_each_subprotocol_leads_to_its_dialect(spoken: Dialect) -> None:
    assert dialect.SUBPROTOCOLS[spoken.subprotocol] == spoken.name


@pytest.mark.parametrize(("name", "other"), [("1.6", "v201"), ("2.0.1", "v16")])
def test_only_the_dialect_in_use_is_imported(name: str, other: str) -> None:
    code = (
        f"import sys; from agent.ocpp import dialect; dialect.load({name!r});"
        "never = ('ocpp', 'jsonschema', 'asyncio');"
        f"print([m for m in sys.modules if m in never or m.startswith('agent.ocpp.{other}.')])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


# --- what leaves is valid, whatever the core says ---


def told(spoken: Dialect, row: TransactionEvent) -> Message | None:
    return spoken.tell(row, "42")


@BY_NAME
@THOROUGH
@given(row=transaction_events)
def test_every_transaction_event_is_valid(spoken: Dialect, row: TransactionEvent) -> None:
    message = told(spoken, row)
    assert message is None or faults(spoken, *message) == []


@BY_NAME
@THOROUGH
@given(row=transaction_events)
def test_our_own_check_agrees(spoken: Dialect, row: TransactionEvent) -> None:
    message = told(spoken, row)
    assert message is None or Validator(spoken.schemas).outbound(message[0], "request", message[1]) is None


@THOROUGH
@given(row=transaction_events)
def test_registers_survive_to_the_watt_hour(row: TransactionEvent) -> None:
    message = told(V16, row)
    if row.kind is TxKind.STARTED:
        assert valid(V16, message)["meterStart"] == row.started_wh
    elif row.kind is TxKind.ENDED:
        assert valid(V16, message)["meterStop"] == row.energy_wh


def moments(payload: Payload) -> list[float]:
    """The times of all meter values, as the CSMS understands them."""
    values = payload.get("meterValue") or payload.get("transactionData") or []
    return [datetime.fromisoformat(value["timestamp"]).timestamp() for value in values]


def numbers(payload: Payload) -> list[float]:
    values = payload.get("meterValue") or payload.get("transactionData") or []
    return [float(sample["value"]) for value in values for sample in value["sampledValue"]]


def sendable(reading: Reading, spoken: Dialect) -> list[float]:
    lacks = () if spoken is V16 else ("RPM", "Temperature")
    return [tidy(s.value) for s in reading.samples if abs(s.value) < 1e15 and s.measurand not in lacks]


@BY_NAME
@THOROUGH
@given(row=transaction_events)
def test_times_and_values_of_readings_survive(spoken: Dialect, row: TransactionEvent) -> None:
    message = told(spoken, row)
    if message is None or message[0] == "StartTransaction":
        return
    kept = [reading for reading in row.readings if sendable(reading, spoken)]
    expected = [round(reading.at.utc, 3) for reading in kept], [v for r in kept for v in sendable(r, spoken)]
    if not kept and spoken is not V16 and row.kind is not TxKind.UPDATED:
        expected = [round(row.at.utc, 3)], [float(row.energy_wh)]  # start and end always tell the register
    assert ([round(moment, 3) for moment in moments(message[1])], numbers(message[1])) == expected


@BY_NAME
@THOROUGH
@given(row=transaction_events)
def test_the_time_of_occurrence_survives(spoken: Dialect, row: TransactionEvent) -> None:
    message = told(spoken, row)
    if message is not None and message[0] != "MeterValues":
        assert round(datetime.fromisoformat(message[1]["timestamp"]).timestamp(), 3) == round(row.at.utc, 3)


stations = st.builds(Station, *[st.text(max_size=80) for _ in range(8)], evses=st.lists(st.integers(1, 9)).map(tuple))
calls = st.one_of(
    st.builds(Boot, st.text(max_size=30)),
    st.just(Heartbeat()),
    st.builds(
        Status,
        st.integers(0, 9),
        st.integers(0, 2),
        st.sampled_from(ConnectorStatus),
        instants,
        st.text(max_size=80),
        st.text(max_size=80),
    ),
    st.builds(Authorize, tokens, st.just((1,))),
    st.builds(MeterReport, st.integers(0, 9), st.lists(readings, max_size=3).map(tuple), st.none() | st.text()),
)


@BY_NAME
@THOROUGH
@given(call=calls, station=stations)
def test_every_call_is_valid(spoken: Dialect, call: Call, station: Station) -> None:
    message = spoken.encode(call, station)
    assert message is None or faults(spoken, *message) == []


NOT_ONE_WORD = (
    "ChangeConfiguration",
    "DataTransfer",
    "GetCompositeSchedule",
    "GetConfiguration",
    "GetDiagnostics",
    "GetInstalledCertificateIds",
    "GetLocalListVersion",
    "GetLog",
    "GetTransactionStatus",
)
words = st.sampled_from(
    [
        "Accepted",
        "Rejected",
        "Scheduled",
        "NotSupported",
        "NotImplemented",
        "Unknown",
        "Unlocked",
        "UnlockFailed",
        "UnknownConnector",
        "OngoingAuthorizedTransaction",
        "EmptyResultSet",
    ]
) | st.text(max_size=30)


@BY_NAME
@THOROUGH
@given(answer=st.builds(StatusAnswer, words, st.none() | st.text("ab-1", max_size=36), words), data=st.data())
def test_every_answer_of_one_word_is_valid(spoken: Dialect, answer: StatusAnswer, data: st.DataObject) -> None:
    one_word = [a for a in spoken.replies if a not in NOT_ONE_WORD and not a.endswith("Variables")]
    action = data.draw(st.sampled_from(one_word))
    assert faults(spoken, action, spoken.reply(action, {}, answer, STATION), answer=True) == []


@BY_NAME
@THOROUGH
@given(answer=st.builds(DataAnswer, words, st.none() | st.text() | st.lists(st.integers())))
def test_every_answer_to_a_data_transfer_is_valid(spoken: Dialect, answer: DataAnswer) -> None:
    assert faults(spoken, "DataTransfer", spoken.reply("DataTransfer", {}, answer, STATION), answer=True) == []


periods = st.tuples(st.integers(0, 86400), st.floats(0, 1e6), st.none() | st.integers(1, 3))


@BY_NAME
@THOROUGH
@given(
    answer=st.builds(
        ScheduleAnswer,
        words,
        st.integers(0, 9),
        st.none() | instants,
        st.integers(0, 86400),
        st.sampled_from("AW"),
        st.lists(periods, max_size=4).map(tuple),
    )
)
def test_every_composite_schedule_is_valid(spoken: Dialect, answer: ScheduleAnswer) -> None:
    action = "GetCompositeSchedule"
    assert faults(spoken, action, spoken.reply(action, {}, answer, STATION), answer=True) == []


@THOROUGH
@given(
    views=st.lists(
        st.builds(
            VariableView,
            st.builds(VariableId, *[st.text(max_size=50) for _ in range(3)], st.integers(0, 9), st.integers(0, 2)),
            st.sampled_from(SetStatus),
            st.none() | st.text(max_size=3000),
            st.sampled_from(Mutability),
            st.sampled_from(["string", "integer", "MemberList"]),
            st.text(max_size=30),
            st.lists(st.text(max_size=300), max_size=6).map(tuple),
            st.none() | st.floats(-1e9, 1e9),
            st.none() | st.floats(-1e9, 1e9),
        ),
        max_size=4,
    )
)
def test_every_part_of_a_report_is_valid(views: list[VariableView]) -> None:
    valid(V201, V201.encode(ReportPart(1, 0, True, NOON, tuple(views)), STATION))
