"""Charges that the meter signs: real agent, real lines, real signatures, both versions; and what happens when it is
killed, when power fails, and when the meter does not sign.

Whoever verifies here has only what the central system heard, and the meter's own key.
"""

from __future__ import annotations

import json
import signal
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from drivers.simulated.signed import Signer
from tests.conformance.ledger import Charge, begun, charges, over, status
from tests.drivers.ocmf_proof import proved
from tests.end_to_end.agent_helpers import CARD, IDENTITY, Charger, charger, until

BOTH = pytest.mark.parametrize(
    ("version", "driver"), [("1.6", "em580"), ("1.6", "wm3m4"), ("2.0.1", "em580"), ("2.0.1", "wm3m4")]
)
LIFE_S = 8.0  # a life whose boundary never comes is killed wherever it is then
LAUNCHER = Path(__file__).with_name("crash_launcher.py")


def plan(driver: str, signing: str = "required") -> dict[str, Any]:
    return {"meter": f'driver = "{driver}"\nsigning = "{signing}"', "variables": {"HeartbeatInterval": 300}}


def signer(c: Charger) -> Signer:
    found: Signer = c.hw.hands.meters[1].signer  # type: ignore[attr-defined]
    return found


def signed_in(values: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By context, what was signed, as the central system has it."""
    found: dict[str, dict[str, Any]] = {}
    for value in (one for part in values for one in part["sampledValue"]):
        if value.get("format") == "SignedData":
            found[value["context"]] = json.loads(value["value"])
        elif "signedMeterValue" in value:
            found[value["context"]] = value["signedMeterValue"]
    return found


def at_the_end(c: Charger, charge: Charge) -> dict[str, dict[str, Any]]:
    assert charge.ended is not None
    return signed_in(charge.ended["transactionData" if c.csms.version == "1.6" else "meterValue"])


def verified(c: Charger, told: dict[str, Any]) -> dict[str, Any]:
    """The payload of a text whose signature holds by the key that was told, which is the meter's."""
    assert told["publicKey"] == b64encode(signer(c).public_der()).decode()
    assert told["encodingMethod"] == "OCMF"
    return proved(b64decode(told["signedMeterData"]).decode(), told["publicKey"])


async def charge_of(c: Charger) -> Charge:
    """A whole charge by one card."""
    await c.ready()
    await c.tap()
    await c.do("plug-in")
    await begun(c.csms)
    await c.charging()
    await until(lambda: c.hw.world.points[1].meter.energy_wh > 1234567 + 5, "energy")
    await c.tap()
    return await over(c.csms)


@BOTH
async def test_a_charge_is_told_with_what_the_meter_has_signed(version: str, driver: str) -> None:
    async with charger(version, **plan(driver)) as c:
        charge = await charge_of(c)
        told = at_the_end(c, charge)["Transaction.End"]
        assert told["signedMeterData"] not in c.log
        payload = verified(c, told)
        first, last = payload["RD"][0]["RV"] * 1000, payload["RD"][-1]["RV"] * 1000
        assert first == pytest.approx(charge.started_wh, abs=1.5)
        assert last == pytest.approx(charge.ended_wh, abs=1.5)
        assert (payload["ID"], payload["CI"]) == (CARD, f"{IDENTITY} 1")


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_beginning_that_was_signed_is_told_as_well(version: str) -> None:
    async with charger(version, **plan("wm3m4")) as c:
        told = at_the_end(c, await charge_of(c))
        assert [one["TX"] for one in verified(c, told["Transaction.Begin"])["RD"]] == ["B"]


async def test_nobody_charges_at_a_meter_that_must_sign_and_cannot() -> None:
    async with charger("1.6") as c:
        await c.end()
        c.plan.meter = 'map = "eastron_sdm630"\nsigning = "required"'
        c.write_config()
        mark = c.csms.mark()
        await c.start()
        await status(c.csms, "Faulted", 1, mark)
        assert "PowerMeterFailure" in str(c.csms.calls("StatusNotification", mark)[-1])
        await c.tap()
        await c.do("plug-in")
        assert "its driver cannot sign" in c.log
        assert charges(c.csms) == []


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_meter_that_does_not_deliver_loses_no_bill(version: str) -> None:
    async with charger(version, **plan("wm3m4")) as c:
        await c.ready()
        await c.tap()
        await c.do("plug-in")
        await begun(c.csms)
        await c.charging()
        signer(c).refuses = 132
        await until(lambda: c.hw.world.points[1].meter.energy_wh > 1234567 + 5, "energy")
        await c.tap()
        charge = await over(c.csms)
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)
        assert "Transaction.End" not in at_the_end(c, charge)
        assert "its measurement is not valid" in c.log


@BOTH
async def test_killed_in_mid_charge_the_session_goes_on_and_is_signed_as_one(version: str, driver: str) -> None:
    async with charger(version, **plan(driver)) as c:
        await c.ready()
        await c.tap()
        await c.do("plug-in")
        charge = await begun(c.csms)
        await c.charging()
        await c.end(signal.SIGKILL)
        mark = c.csms.mark()
        await c.start()
        await c.csms.hear("BootNotification", mark)
        await until(lambda: "TransactionResumed" in c.log, "the charge goes on")
        await c.charging()
        await c.tap()
        ended = await over(c.csms)
        payload = verified(c, at_the_end(c, ended)["Transaction.End"])
        assert payload["RD"][0]["RV"] * 1000 == pytest.approx(charge.started_wh, abs=1.5)
        assert payload["RD"][-1]["RV"] * 1000 == pytest.approx(ended.ended_wh, abs=1.5)


@BOTH
async def test_a_power_cut_in_mid_charge_leaves_a_signed_bill(version: str, driver: str) -> None:
    async with charger(version, resume="never", **plan(driver)) as c:
        await c.ready()
        await c.tap()
        await c.do("plug-in")
        charge = await begun(c.csms)
        await c.charging()
        await c.do("power", to="fail")
        signer(c).power_failed()  # whether or not anybody asks it meanwhile
        await c.end(signal.SIGKILL)
        await c.do("power", to="restore")
        await c.start()
        ended = await over(c.csms)
        payload = verified(c, at_the_end(c, ended)["Transaction.End"])
        assert payload["RD"][0]["RV"] * 1000 == pytest.approx(charge.started_wh, abs=1.5)
        assert payload["RD"][-1]["RV"] * 1000 == pytest.approx(ended.ended_wh, abs=1.5)


@pytest.mark.parametrize(("version", "driver"), [("1.6", "wm3m4"), ("2.0.1", "em580")])
async def test_killed_at_each_boundary_of_its_end_the_bill_is_told_once_and_signed(version: str, driver: str) -> None:
    async with charger(version, start=False, **plan(driver)) as c:
        c.program = (str(LAUNCHER), "run", "--config", str(c.config))
        await c.start()
        await c.ready()
        await c.tap()
        await c.do("plug-in")
        await begun(c.csms)
        await c.charging()
        await c.end(signal.SIGKILL)
        await c.do("unplug")
        killed = 0
        for boundary in range(6, 20, 2):
            c.environ["CRASH_AT"] = str(boundary)
            await c.start()
            try:
                killed += await c.exit_code(LIFE_S) == -signal.SIGKILL
            except TimeoutError:
                await c.end(signal.SIGKILL)
            if any(charge.ended for charge in charges(c.csms)):
                break
        assert killed >= 2
        c.environ.clear()
        (c.folder / "control.sock").unlink(missing_ok=True)
        await c.start()
        ended = await over(c.csms)
        await c.delivered()
        assert len(charges(c.csms)) == 1
        payload = verified(c, at_the_end(c, ended)["Transaction.End"])
        assert payload["RD"][-1]["RV"] * 1000 == pytest.approx(ended.ended_wh, abs=1.5)
