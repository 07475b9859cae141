"""NotifyEvent: every fault of the catalogue in the words of OCPP 2.0.1, and nothing of it in 1.6."""

from __future__ import annotations

import pytest

from agent.core.faults import CATALOGUE
from agent.core.supervision import Problem
from agent.ocpp.dialect import load
from tests.ocpp.words import NOON, NOON_TEXT, STATION, valid

V201, V16 = load("2.0.1"), load("1.6")


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("fault", CATALOGUE)
def test_every_fault_passes_the_schema_when_it_comes_and_when_it_goes(fault: str, present: bool) -> None:
    message = V201.encode(Problem(1, fault, present, NOON, "x" * 600, 7, "b3-1-7"), STATION)
    assert valid(V201, message)


def test_a_fault_names_its_component_its_code_and_its_id() -> None:
    message = V201.encode(Problem(2, "ground", True, NOON, "flags 0x0002", 7, "b3-1-7"), STATION)
    assert message is not None
    assert message[1]["eventData"] == [
        {
            "eventId": 7,
            "timestamp": NOON_TEXT,
            "trigger": "Alerting",
            "actualValue": "true",
            "cleared": False,
            "techCode": "CX002",
            "techInfo": "ground: residual current or earth fault: flags 0x0002",
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "RCD", "evse": {"id": 2}},
            "variable": {"name": "Tripped"},
            "transactionId": "b3-1-7",
        }
    ]


@pytest.mark.parametrize(("others", "value"), [(False, "false"), (True, "true")])
def test_the_value_is_that_of_the_variable_and_not_of_the_one_fault_that_has_gone(others: bool, value: str) -> None:
    message = V201.encode(Problem(1, "contactor", False, NOON, others=others), STATION)
    assert message is not None
    assert (message[1]["eventData"][0]["actualValue"], message[1]["eventData"][0]["cleared"]) == (value, True)


def test_a_fault_without_a_common_code_tells_its_own() -> None:
    message = V201.encode(Problem(1, "controller-silent", True, NOON), STATION)
    assert message is not None
    assert message[1]["eventData"][0]["techCode"] == "controller-silent"


def test_the_older_version_tells_faults_by_its_status_only() -> None:
    assert V16.encode(Problem(1, "ground", True, NOON), STATION) is None
