"""Values of a device as a table for people and as JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from drivers.mapwords import Device
from drivers.probe.judge import Finding
from drivers.probe.table import Value

UNVERIFIED = "unverified"


def table(values: Sequence[Value], findings: Sequence[Finding] = ()) -> Iterator[str]:
    """One line a register; a mark before those that are nonsense."""
    odd = {finding.key for finding in findings}
    wide = max((len(value.row.key) for value in values), default=0)
    long = max((len(value.shown) for value in values), default=0)
    for value in values:
        row = value.row
        mark = "!" if row.key in odd or value.why else " "
        order = " little" if row.little and row.words > 1 else ""
        order += f" bit {row.bit}" if row.bit is not None else ""
        note = "" if row.verified else f"  {UNVERIFIED}"
        where = f"{row.table} {row.at} (0x{row.at:04X}) {row.type}{order}"
        yield f"{mark} {row.key:<{wide}}  {value.shown:>{long}}  {value.raw:<19}  {where}{note}"


def sentences(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        yield f"! {finding.key}: {finding.text}"


def stranger(identity: Sequence[Value], values: Sequence[Value]) -> Iterator[str]:
    """What it means that a name does not fit, or that nothing of the map is there."""
    if any(value.why for value in identity) or (values and all(value.why for value in values)):
        yield "! this is not the device that the map is for: chargepoint bus scan names it"


def head(device: Device, where: str) -> str:
    note = "" if device.verified else f", {UNVERIFIED}"
    return f"{device.vendor} {device.model} (map {device.name}{note}), {where}"


def value_json(value: Value) -> dict[str, Any]:
    row = value.row
    told: dict[str, Any] = {
        "key": row.key,
        "value": value.value,
        "unit": value.unit,
        "table": row.table,
        "at": row.at,
        "type": row.type,
        "words": list(value.words),
        "verified": row.verified,
    }
    return told | ({"why": value.why} if value.why else {})


def finding_json(finding: Finding) -> dict[str, str]:
    return {"kind": finding.kind, "key": finding.key, "text": finding.text}
