"""Writes etc/FAULTS.md, the manual's page of faults, from the tables: `python -m tests.core.fault_page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agent.core.faults import NEVER, ROWS, FaultRow
from agent.core.troubles import TROUBLES, Trouble
from agent.ocpp.v16.calls import ERRORS

PAGE = Path(__file__).parents[2] / "etc" / "FAULTS.md"
HEAD = """# Faults: what they mean, what the central system hears, what to do

This page is written from the tables in `agent/core/faults.py` and `agent/core/troubles.py`; change those, then
`python -m tests.core.fault_page`.

The first word of each heading is the fault's id. It stands in `chargepoint status`, in the journal (field `FAULT`), at
the beginning of `info` in OCPP 1.6 and of `techInfo` in OCPP 2.0.1. A fault is told to the central system when it comes
and when it goes: in OCPP 1.6 by StatusNotification (of several that stand the newest), in OCPP 2.0.1 by NotifyEvent as
well, one for each. The code is the one of the minimum required error codes (MREC, CX...) where there is one, else the
fault's id: `vendorErrorCode` in OCPP 1.6 (with the `vendorId` https://chargex.inl.gov for an MREC, else the charger's
vendor), `techCode` in OCPP 2.0.1. A fault that does not stop charging leaves the connector's status as it is.

| fault | severity | charging | OCPP 1.6 errorCode | OCPP 2.0.1 component.variable | code |
|---|---|---|---|---|---|
"""


TROUBLE_HEAD = """
# Troubles: what else the journal warns of

Every line of the journal at WARNING or above bears an id in its field `FAULT`: that of a fault above, or one of these,
which are no faults of the hardware and are not told to the central system as such. `journalctl -u chargepoint
FAULT=link` shows all lines about one of them. A line of somebody else's code bears `unlisted`.

| id | events of the log |
|---|---|
"""


def page() -> str:
    table = "".join(f"{_line(row)}\n" for row in ROWS)
    chapters = "".join(f"\n{part}" for row in ROWS for part in _chapter(row))
    return HEAD + table + chapters + _troubles()


def _troubles() -> str:
    table = "".join(f"| `{row.id}` | {', '.join(row.events)} |\n" for row in TROUBLES)
    return TROUBLE_HEAD + table + "".join(f"\n{part}" for row in TROUBLES for part in _trouble(row))


def _trouble(row: Trouble) -> Iterator[str]:
    yield f"## {row.id}: {row.text}\n"
    yield f"{row.remedy[0].upper()}{row.remedy[1:]}.\n"


def _line(row: FaultRow) -> str:
    charging = "stops, the transaction ends" if row.ends else "stops" if row.stops else "goes on"
    severity = f"{int(row.severity)} {row.severity.name.lower()}"
    cells = (f"`{row.id}`", severity, charging, ERRORS[str(row.id)], ".".join(row.tells), row.mrec or row.id)
    return f"| {' | '.join(cells)} |"


def _chapter(row: FaultRow) -> Iterator[str]:
    yield f"## {row.id}: {row.text}\n"
    yield f"{row.remedy[0].upper()}{row.remedy[1:]}.\n"
    if row.ends:
        yield f"The transaction ends ({row.ends} in OCPP 2.0.1).\n"
    rest = f" A car that was charging waits {row.rest_s:g} s more." if row.rest_s else ""
    yield f"It goes {_goes(row)}" + (f" ({row.cleared}).{rest}\n" if row.cleared else f".{rest}\n")


def _goes(row: FaultRow) -> str:
    if row.until_unplugged:
        return "when it is over and the car has left"
    if row.hold_s == NEVER:
        return "with a restart of the agent, if it is not found again"
    return f"when it has been over for {row.hold_s:g} s" if row.hold_s else "when it is over"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
