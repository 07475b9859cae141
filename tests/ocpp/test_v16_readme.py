"""The table of 1.6 is whole: every message, every key, and only tests that exist."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from agent.core.security import KINDS
from agent.ocpp import dialect
from agent.ocpp.v16 import keys
from agent.ocpp.v16.security import EVENTS

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "agent" / "ocpp" / "v16" / "README.md").read_text("utf-8")
V16 = dialect.load("1.6")
OUT = {"BootNotification", "DataTransfer", "Heartbeat", "MeterValues", "StartTransaction", "StopTransaction"} | {
    *("Authorize", "StatusNotification", "SignCertificate", "SecurityEventNotification", "LogStatusNotification"),
    *("DiagnosticsStatusNotification", "FirmwareStatusNotification", "SignedFirmwareStatusNotification"),
}


def chapter(title: str) -> dict[str, list[str]]:
    """The rows of one table: first cell -> cells."""
    text = TABLE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    return {row[0]: row for row in rows[2:]}


def named_in(row: list[str]) -> list[str]:
    return re.findall(r"`(test_\w+)`", row[-1])


def messages() -> set[str]:
    """All of the schemas that we are held to."""
    package = find_spec("ocpp")
    assert package is not None and package.origin is not None
    folder = Path(package.origin).parent / "v16" / "schemas"
    return {file.stem for file in folder.glob("*.json") if not file.stem.endswith("Response")}


def test_every_message_of_the_schemas_has_its_row() -> None:
    assert sorted(chapter("Messages")) == sorted(messages())


def test_every_message_goes_the_way_that_the_table_says() -> None:
    ways = {name: row[1] for name, row in chapter("Messages").items()}
    assert {name for name, way in ways.items() if way.endswith(">")} == OUT
    assert {name for name, way in ways.items() if way.startswith("<")} == messages() - OUT | {"DataTransfer"}


def test_every_message_that_is_served_has_a_test() -> None:
    served = {*V16.requests, *V16.answers}
    assert [name for name, row in chapter("Messages").items() if name in served and not named_in(row)] == []


def test_every_configuration_key_has_its_row() -> None:
    named = {re.sub(r"\d+$", "<n>", key.name) for key in keys.KEYS.values() if "." not in key.name}
    assert named - chapter("Configuration keys").keys() == set()


def test_every_test_that_is_named_exists() -> None:
    defined = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    files = {file.stem for file in (ROOT / "tests").rglob("test_*.py")}
    assert sorted(set(re.findall(r"`(test_\w+)`", TABLE)) - defined - files) == []


def test_every_security_event_has_its_row_and_a_source_or_the_reason_why_not() -> None:
    rows = chapter("Security events")
    assert {name: row[1] == "yes" for name, row in rows.items()} == {
        EVENTS.get(name, name): kind.critical for name, kind in KINDS.items()
    }
    assert [name for name, row in rows.items() if not named_in(row)] == ["AttemptedReplayAttacks"]


def test_every_case_and_every_rule_names_its_tests() -> None:
    rows = chapter("The cases of a certification run") | chapter("Rules between the messages")
    assert [name for name, row in rows.items() if not named_in(row)] == []
