"""Every advertised 1.6 key through the whole station: each writable one takes what it may, refuses what it may not, and
the variable that the blocks look at follows; each read-only one refuses everything. Keys that a block of its own takes
(the network's) are walked in that block's tests.
"""

from __future__ import annotations

import pytest

from agent.blocks.assembly import assemble
from agent.blocks.station import Station
from agent.core.effects import Remember, Reply, VariablesAnswer, WritesAnswer
from agent.core.evse import EvseLimits
from agent.core.requests import Ref
from agent.core.types import Mutability
from agent.core.variables import Row
from agent.ocpp import dialect
from agent.ocpp.v16 import keys
from tests.ocpp.words import NOON, STATION, faults

V16 = dialect.load("1.6")


def station() -> Station:
    limits = [EvseLimits(n, unlocks=True, signing="if-possible", signs=True) for n in STATION.evses]
    found = assemble(limits, prefix="t")
    assert found.facts.variables.layer("pin", V16.pins) == []
    assert found.facts.variables.layer("preset", V16.presets) == []
    return found


def is_there(key: keys.Key) -> bool:
    """A key of an EVSE that this station does not have is none."""
    return not key.variables or station().facts.variables.row(key.variables[0]) is not None


NAMES = sorted(key.name for key in keys.KEYS.values() if is_there(key))


def change(charger: Station, name: str, text: str) -> str:
    payload = {"key": name, "value": text}
    effects = charger.handle(V16.asked(Ref("1", "ChangeConfiguration"), payload), NOON)
    (reply,) = [effect for effect in effects if isinstance(effect, Reply)]
    assert isinstance(reply.answer, WritesAnswer)
    status = str(V16.reply("ChangeConfiguration", payload, reply.answer, STATION)["status"])
    remembered = [effect for effect in effects if isinstance(effect, Remember) and effect.table == "variables"]
    assert bool(remembered) is (status in ("Accepted", "RebootRequired"))
    return status


def read(charger: Station, *names: str) -> dict[str, dict[str, object]]:
    payload = {"key": list(names)} if names else {}
    effects = charger.handle(V16.asked(Ref("1", "GetConfiguration"), payload), NOON)
    (reply,) = [effect for effect in effects if isinstance(effect, Reply)]
    assert isinstance(reply.answer, VariablesAnswer)
    told = V16.reply("GetConfiguration", payload, reply.answer, STATION)
    assert faults(V16, "GetConfiguration", told, answer=True) == []
    return {entry["key"]: entry for entry in told["configurationKey"]}


def rows_of(charger: Station, name: str) -> list[Row]:
    key = keys.find(name)
    assert key is not None
    found = [charger.facts.variables.row(variable) for variable in key.variables]
    return [row for row in found if row is not None]


def writable(name: str) -> bool:
    key, charger = keys.find(name), station()
    rows = rows_of(charger, name)
    assert key is not None
    owned = any(charger.facts.variables.is_owned(row.id) for row in rows)
    return not key.read_only and bool(rows) and rows[0].mutability is Mutability.READ_WRITE and not owned


def read_only(name: str) -> bool:
    return read(station(), name)[name]["readonly"] is True


def good(row: Row, before: str) -> list[str]:
    """Values that the row takes, none of them what it had."""
    if row.kind == "boolean":
        return ["false" if before == "true" else "true"]
    if row.kind == "integer":
        ends = [int(end) for end in (row.minimum, row.maximum) if end is not None]
        return [str(n) for n in (*ends, ends[0] + 7) if str(n) != before]
    if row.values:
        return [row.values[-1], ",".join(row.values[:1])]
    return ["Example Power Ltd"]


def bad(row: Row) -> list[str]:
    if row.kind == "boolean":
        return ["", "yes", "1", "tru"]
    if row.kind == "integer":
        over = [] if row.maximum is None else [f"{row.maximum + 1:.0f}"]
        return ["", "-1", "7.5", "seven", "0x7", "7_0", "9" * 25, *over]
    if row.values:
        return ["Nonsense", f"{row.values[0]},Nonsense"]
    return ["x" * (int(row.maximum or 2500) + 1), "line\nbreak"]


def test_the_walk_meets_keys_of_both_kinds() -> None:
    assert len([name for name in NAMES if writable(name)]) > 20
    assert len([name for name in NAMES if read_only(name)]) > 10


@pytest.mark.parametrize("name", [name for name in NAMES if writable(name)])
def test_a_writable_key_takes_what_it_may_and_its_variables_follow(name: str) -> None:
    charger = station()
    rows = rows_of(charger, name)
    for text in good(rows[0], charger.facts.variables.text(str(rows[0].id))):
        assert change(charger, name, text) in ("Accepted", "RebootRequired"), text
        assert {charger.facts.variables.text(str(row.id)) for row in rows} == {text}


@pytest.mark.parametrize("name", [name for name in NAMES if writable(name)])
def test_a_writable_key_refuses_what_it_may_not_and_stays_as_it_was(name: str) -> None:
    charger = station()
    before = read(charger, name)
    for text in bad(rows_of(charger, name)[0]):
        assert change(charger, name, text) == "Rejected", text
        assert read(charger, name) == before


@pytest.mark.parametrize("name", [name for name in NAMES if read_only(name)])
def test_a_read_only_key_refuses_its_own_value(name: str) -> None:
    charger = station()
    before = read(charger, name)
    assert change(charger, name, str(before[name].get("value", ""))) == "Rejected"
    assert read(charger, name) == before


def test_all_advertised_keys_fit_one_answer_and_each_is_told_once() -> None:
    told = read(station())
    assert sorted(told) == [name for name in NAMES if name in told]
    assert len(told) <= keys.MAX_KEYS


def test_a_list_may_have_all_the_members_that_its_length_key_promises_and_no_more() -> None:
    charger = station()
    for name in ("MeterValuesSampledData", "MeterValuesAlignedData", "StopTxnSampledData", "StopTxnAlignedData"):
        most = int(str(read(charger, f"{name}MaxLength")[f"{name}MaxLength"]["value"]))
        values = rows_of(charger, name)[0].values
        assert len(values) == most
        assert change(charger, name, ",".join(values)) == "Accepted"
        assert change(charger, name, ",".join([*values, "Rumour"])) == "Rejected"


@pytest.mark.parametrize("text", ["3.RST", "1.RST,1.RTS", "0.RST,1.RST,2.RST,3.RST"])
def test_a_phase_rotation_of_a_connector_that_is_not_there_or_told_twice_is_rejected(text: str) -> None:
    assert change(station(), "ConnectorPhaseRotation", text) == "Rejected"


@pytest.mark.parametrize(("attached", "value"), [(True, "false"), (False, "true")])
def test_the_key_that_frees_the_cable_says_what_the_hardware_does_and_is_read_only(attached: bool, value: str) -> None:
    """Errata 3.84."""
    charger = assemble([EvseLimits(1, attached_cable=attached, unlocks=True)], prefix="t")
    name = "UnlockConnectorOnEVSideDisconnect"
    assert read(charger, name)[name] == {"key": name, "readonly": True, "value": value}


def test_more_keys_than_may_be_asked_for_at_once_are_refused() -> None:
    payload = {"key": [f"Key{n}" for n in range(keys.MAX_KEYS + 1)]}
    with pytest.raises(Exception, match="items") as refused:
        V16.asked(Ref("1", "GetConfiguration"), payload)
    assert getattr(refused.value, "code", "") == "OccurenceConstraintViolation"


def test_what_cannot_be_read_is_told_without_a_value() -> None:
    secret = [
        name for name in NAMES if any(row.mutability is Mutability.WRITE_ONLY for row in rows_of(station(), name))
    ]
    told = read(station(), *secret)
    assert all("value" not in entry for entry in told.values())
