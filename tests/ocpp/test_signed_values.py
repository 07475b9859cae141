"""What a meter has signed, as each version tells it: letter by letter, within the schema, and never cut."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from agent.core.types import Context, Instant, Reading
from agent.ocpp.v16 import values as v16
from agent.ocpp.v201 import values as v201
from agent.ocpp.v201.values import LONGEST_SIGNED
from drivers.api import Measurand, Phase, Sample, SignedData

NOW = Instant(10.0, 1_800_000_000.0)
TEXT = 'OCMF|{"ID":"04A1B2C3","RD":[]}|{"SD":"3006"}'
SIGNED = SignedData(TEXT, "OCMF", "ECDSA-secp256r1-SHA256", "S0VZ")
REGISTER = Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, 7010.0)


def reading(signed: SignedData | None = SIGNED, *more: Sample) -> Reading:
    return Reading(NOW, Context.END, (*more, REGISTER), signed)


def sampled(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list(told[0]["sampledValue"])


def test_1_6_has_a_signed_value_of_its_own_beside_the_plain_one() -> None:
    plain, signed = sampled(v16.meter_values([reading()]))
    assert (plain["value"], plain["format"]) == ("7010", "Raw")
    assert (signed["format"], signed["context"]) == ("SignedData", "Transaction.End")
    assert signed["measurand"] == "Energy.Active.Import.Register"


def test_1_6_tells_it_as_the_object_of_the_later_version() -> None:
    told = json.loads(sampled(v16.meter_values([reading()]))[1]["value"])
    assert b64decode(told["signedMeterData"]).decode() == TEXT
    assert (told["signingMethod"], told["encodingMethod"]) == ("ECDSA-secp256r1-SHA256", "OCMF")
    assert told["publicKey"] == "S0VZ"


def test_2_0_1_has_it_in_the_value_that_it_confirms() -> None:
    voltage = Sample(Measurand.VOLTAGE, 230.0, Phase.L1_N)
    first, register = sampled(v201.meter_values([reading(SIGNED, voltage)]))
    assert "signedMeterValue" not in first
    assert b64decode(register["signedMeterValue"]["signedMeterData"]).decode() == TEXT
    assert register["signedMeterValue"]["publicKey"] == "S0VZ"


def test_2_0_1_leaves_out_what_has_no_room_and_tells_the_value() -> None:
    long = SignedData("OCMF|" + "x" * LONGEST_SIGNED)
    (value,) = sampled(v201.meter_values([reading(long)]))
    assert "signedMeterValue" not in value
    assert value["value"] == 7010


def test_the_register_of_one_phase_is_not_what_was_signed() -> None:
    phase = Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, 2000.0, Phase.L1)
    told = sampled(v201.meter_values([reading(SIGNED, phase)]))
    assert ["signedMeterValue" in value for value in told] == [False, True]


@pytest.mark.parametrize("module", [v16, v201])
def test_a_reading_that_nobody_signed_is_told_as_ever(module: Any) -> None:
    (value,) = sampled(module.meter_values([reading(None)]))
    assert "SignedData" not in str(value)
    assert "signedMeterValue" not in value
