"""The fault catalogue is whole: what can be raised has a row, what has a row can be raised, and the manual says so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.faults import CATALOGUE, ROWS, FaultRow, Own
from agent.ocpp.v16.calls import ERRORS
from drivers.api import Fault
from tests.core.fault_page import PAGE, page

AGENT = Path(__file__).parents[2] / "agent"
TABLES = (AGENT / "core" / "faults.py", AGENT / "ocpp" / "v16" / "calls.py")


def used() -> Iterator[str]:
    """Every `Own.NAME` and `faults.NAME` in code that is no table of faults."""
    for file in AGENT.rglob("*.py"):
        if file in TABLES:
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Attribute):
                yield node.attr
            elif isinstance(node, ast.Name):
                yield node.id


def test_every_fault_that_hardware_or_agent_may_raise_has_a_row_and_the_reverse() -> None:
    assert sorted(CATALOGUE) == sorted([*map(str, Fault), *map(str, Own)])
    assert len(ROWS) == len(CATALOGUE)


def test_every_fault_of_our_own_is_raised_somewhere() -> None:
    names = set(used())
    assert [own.name for own in Own if own.name not in names] == []


def test_no_fault_is_raised_by_a_bare_text() -> None:
    """A misspelt id would end the process when the fault comes."""
    bare = re.compile(r"(?:FaultRaised|FaultCleared|FaultSeen)\([^,()]+,\s*\"")
    assert [str(file) for file in AGENT.rglob("*.py") if bare.search(file.read_text("utf-8"))] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.id))
def test_every_row_says_what_it_is_how_it_ends_and_what_to_do(row: FaultRow) -> None:
    assert row.text and row.remedy and row.cleared
    assert row.cleared != row.text
    assert re.fullmatch(r"(CX0\d\d)?", row.mrec)
    assert row.stops or row.ends is None
    assert str(row.id) in ERRORS


MREC = {  # the list of minimum required error codes, as far as an AC charger can know them
    Fault.LOCK_FAILURE: "CX001",
    Fault.UNLOCK_FAILURE: "CX001",
    Fault.GROUND: "CX002",
    Fault.DC_RESIDUAL: "CX002",
    Fault.OVER_TEMPERATURE: "CX003",
    Fault.OVER_CURRENT: "CX004",
    Fault.OVER_VOLTAGE: "CX005",
    Fault.UNDER_VOLTAGE: "CX006",
    Fault.EMERGENCY_STOP: "CX007",
    Fault.VENTILATION: "CX010",
    Fault.PILOT: "CX014",
    Fault.DIODE: "CX014",
    Fault.CONTACTOR: "CX017",
    Own.CONTACTOR_WELDED: "CX017",
    Own.CONTACTOR_OPEN: "CX017",
    Own.PHASES: "CX017",
    Fault.CABLE: "CX023",
}


def test_every_row_has_its_minimum_required_error_code_where_there_is_one() -> None:
    assert {row.id: row.mrec for row in ROWS if row.mrec} == MREC


def test_the_page_of_the_manual_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m tests.core.fault_page writes it anew"


def test_every_line_of_the_log_about_the_storage_names_its_fault() -> None:
    calls = re.compile(r"\.(?:error|warning)\(\s*\"Storage\w+\"(?:[^()]|\([^()]*\))*\)")
    lines = [call for file in AGENT.rglob("*.py") for call in calls.findall(file.read_text("utf-8"))]
    assert len(lines) >= 5
    assert [line for line in lines if "fault=" not in line] == []
