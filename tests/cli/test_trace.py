"""What `chargepoint trace` shows of the registers that a device tells again and again."""

from __future__ import annotations

from typing import Any

from agent.cli.trace import Before, _drawn


def read(**values: str) -> dict[str, Any]:
    told = [[name.replace("_", " "), value, "0000: 0001"] for name, value in values.items()]
    at = "2026-11-21T10:00:00.000Z"
    return {"kind": "modbus", "at": at, "device": "controller", "what": "read 2 at 0010", "took_ms": 3, "values": told}


def test_what_has_not_changed_is_one_line_and_of_the_rest_what_has() -> None:
    before = Before()
    assert _drawn(read(pilot="A", offer="0 A"), False, before).count("\n") == 2
    assert _drawn(read(pilot="A", offer="0 A"), False, before).endswith("read 2 at 0010, 3 ms, as before")
    changed = _drawn(read(pilot="B", offer="0 A"), False, before)
    assert "pilot" in changed and "offer" not in changed


def test_a_fault_is_shown_when_it_comes_and_when_it_goes() -> None:
    before = Before()
    told = ["fault leak" in _drawn(read(fault_leak=value), False, before) for value in ("no", "yes", "yes", "no")]
    assert told == [False, True, False, True]


def test_all_values_are_shown_each_time_to_who_wants_all() -> None:
    before = Before()
    told = [_drawn(read(pilot="A", fault_leak="no"), True, before) for _ in range(2)]
    assert told[0] == told[1] and "fault leak" in told[1]
