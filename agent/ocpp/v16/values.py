"""OCPP 1.6-J: tokens and meter values as they stand in a message."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from agent.core.types import Reading
from agent.ocpp import metervalues
from agent.ocpp.fields import tidy
from drivers.api import UNIT, IdToken, Measurand, Sample, SignedData

LONGEST_TOKEN = 20
NO_TOKEN = "NoAuthorization"  # noqa: S105  idTag is required even where nobody was asked for a token

# UnitOfMeasure has no word for these: a frequency is in hertz by the errata, a power factor has no unit. A temperature
# has a misspelt one, which every schema that is about takes (OCPP-J errata 2.1).
_NO_UNIT = (Measurand.FREQUENCY, Measurand.RPM, Measurand.POWER_FACTOR)
_MISSPELT = {Measurand.TEMPERATURE: "Celcius"}
UNITS: Mapping[Measurand, str] = {
    measurand: _MISSPELT.get(measurand, unit) for measurand, unit in UNIT.items() if measurand not in _NO_UNIT
}


def token_text(token: IdToken | None) -> str:
    """CiString20Type."""
    return (token.value.strip()[:LONGEST_TOKEN] if token else "") or NO_TOKEN


def meter_values(readings: Iterable[Reading]) -> list[dict[str, Any]]:
    return metervalues.meter_values(readings, frozenset(), _write, _sign)


def _sign(values: list[dict[str, Any]], place: int, signed: SignedData) -> None:
    """A value of its own: the later version's object as a text."""
    text = json.dumps(metervalues.encoded(signed), separators=(",", ":"))
    values.insert(place + 1, values[place] | {"value": text, "format": "SignedData"})


def _write(sample: Sample) -> dict[str, Any]:
    value: dict[str, Any] = {"value": str(tidy(sample.value)), "format": "Raw"}
    unit = UNITS.get(sample.measurand)
    if unit is not None:
        value["unit"] = unit
    return value
