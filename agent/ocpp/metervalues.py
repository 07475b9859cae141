"""Readings as MeterValue elements: the same shape in every version, but for how a value and its unit are written.

A value is sent as it was read, at the time it was read; a sample that a version has no word for, or that is no number,
is left out, and so is a reading of which nothing is left. What a meter has signed goes with the register that it
confirms; how, each version says (`Sign`).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agent.core.types import Reading
from agent.ocpp.fields import stamp
from drivers.api import Measurand, Sample, SignedData

Write = Callable[[Sample], dict[str, Any]]
Sign = Callable[[list[dict[str, Any]], int, SignedData], None]  # all values, the place of the register, what is signed
_ABSURD = 1e15  # no meter counts so far, and not every JSON reader does
_REGISTER = str(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER)
_LOCATIONS: Mapping[Measurand, str] = {Measurand.SOC: "EV"}


def meter_values(
    readings: Iterable[Reading], unknown: frozenset[Measurand], write: Write, sign: Sign
) -> list[dict[str, Any]]:
    """`write` gives the value and its unit; `unknown` are the measurands that the version lacks."""
    told = ((reading, _signed(reading, _sampled(reading, unknown, write), sign)) for reading in readings)
    return [{"timestamp": stamp(reading.at), "sampledValue": values} for reading, values in told if values]


def _sampled(reading: Reading, unknown: frozenset[Measurand], write: Write) -> list[dict[str, Any]]:
    context = str(reading.context)
    return [
        _one(sample, context, write)
        for sample in reading.samples
        if sample.measurand not in unknown and -_ABSURD < sample.value < _ABSURD  # NaN is in no range
    ]


def _signed(reading: Reading, values: list[dict[str, Any]], sign: Sign) -> list[dict[str, Any]]:
    places = (k for k, value in enumerate(values) if value["measurand"] == _REGISTER and "phase" not in value)
    place = next(places, None) if reading.signed is not None else None
    if place is not None and reading.signed is not None:
        sign(values, place, reading.signed)
    return values


def encoded(signed: SignedData) -> dict[str, str]:
    """SignedMeterValueType: text and key in base64 (OCA application note on signed meter values)."""
    return {
        "signedMeterData": b64encode(signed.text.encode()).decode(),
        "signingMethod": signed.method[:50],
        "encodingMethod": signed.encoding[:50],
        "publicKey": signed.public_key,
    }


def _one(sample: Sample, context: str, write: Write) -> dict[str, Any]:
    value = write(sample)
    value["context"] = context
    value["measurand"] = str(sample.measurand)
    value["location"] = _LOCATIONS.get(sample.measurand, "Outlet")
    if sample.phase is not None:
        value["phase"] = str(sample.phase)
    return value
