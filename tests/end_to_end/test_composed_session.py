"""Whole sessions of a charger made of parts: a pilot controller, a relay board and an IO pilot, with the real agent."""

from __future__ import annotations

import pytest

from tests.conformance.ledger import begun, charges, limit, over, profile, remote_start, status
from tests.end_to_end import agent_helpers
from tests.end_to_end.agent_helpers import CARD, Charger, charger

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
PILOTS = {
    "controller": 'driver = "mapped-evse"\nmap = "evse_wb"\nbus = "line{n}"\nunit = 1',
    "module": (
        'driver = "io-pilot"\nconnected = "io{n}.4"\nrequesting = "io{n}.5"\nfailed = "io{n}.6"\n'
        'enable = "io{n}.3"\ncurrent_a = 16'
    ),
}
MADE_OF_PARTS = """
[[io]]
name = "io{n}"
map = "wago_750_analog"
bus = "line{n}"
unit = 7
watchdog_s = 3
[[evse]]
id = {n}
cable = "{cable}"
{cable_a}
max_current_a = {max_a:g}
[evse.controller]
driver = "composed"
poll_ms = {poll_ms}
[evse.controller.pilot]
PILOT
[evse.controller.contactor]
output = "io{n}.0"
mirror = "!io{n}.0"
min_open_s = 1
after_fault_s = 5
[evse.controller.guards]
residual = "!io{n}.1"
emergency = "!io{n}.2"
[evse.controller.lock]
lock = "io{n}.1"
unlock = "io{n}.2"
locked = "io{n}.3"
pulse_ms = 50
[evse.controller.cable]
volts = "io{n}.0"
[evse.controller.lights]
charging = ["io{n}.6"]
faulted = ["io{n}.7"]
available = []
[evse.meter]
{meter}
bus = "line{n}"
unit = {meter_unit}
poll_ms = 250
[[reader]]
driver = "rdm6300"
port = "{folder}/reader{n}"
evses = [{n}]
again_after_s = 0.5
"""


@pytest.fixture(autouse=True, params=list(PILOTS))
def _made_of_parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_helpers, "_EVSE", MADE_OF_PARTS.replace("PILOT", PILOTS[request.param]))


async def charging(c: Charger) -> None:
    await c.ready()
    await c.tap(CARD, 1)
    await c.do("plug-in", evse=1)
    await begun(c.csms, evse=1)
    await c.charging(1)


@BOTH
async def test_a_whole_session_is_charged_billed_and_let_go(version: str) -> None:
    async with charger(version) as c:
        await charging(c)
        assert (await c.see("lock"), await c.see("drawn-ma")) != ("unlocked", "0")
        await c.wait("led", "charging")
        await c.tap(CARD, 1)
        charge = await over(c.csms, evse=1)
        assert charge.ended_wh == pytest.approx(await c.meter_wh(), abs=0.5)
        assert await c.see("contactor") == "open"
        await c.do("ev-unplug", evse=1)
        await c.wait("lock", "unlocked")
        await c.do("unplug", evse=1)
        await status(c.csms, "Available", 1)


@BOTH
async def test_an_emergency_stop_ends_the_charge(version: str) -> None:
    async with charger(version) as c:
        await charging(c)
        await c.do("stop-button", evse=1, reason="emergency")
        charge = await over(c.csms, evse=1)
        assert charge.reason == "EmergencyStop"
        assert await c.see("contactor") == "open"


async def test_residual_current_ends_the_charge_as_a_ground_fault() -> None:
    async with charger("2.0.1") as c:
        await charging(c)
        await c.do("fault", evse=1, name="ground")
        assert (await over(c.csms, evse=1)).reason == "GroundFault"
        await c.wait("led", "faulted")


async def test_a_welded_contactor_keeps_the_place_faulted() -> None:
    async with charger("2.0.1") as c:
        await charging(c)
        await c.do("fault", evse=1, name="contactor")
        await c.tap(CARD, 1)
        await status(c.csms, "Faulted", 1)
        assert await c.see("lock") == "locked"


async def test_a_contactor_that_does_not_close_faults_the_place() -> None:
    async with charger("2.0.1") as c:
        await c.ready()
        await c.hw.do("contactor", evse=1, state="stuck")
        await c.do("plug-in", evse=1)
        await remote_start(c.csms, "REMOTE-1", 1)
        await status(c.csms, "Faulted", 1)
        assert await c.see("contactor") == "open"


async def test_a_board_that_is_lost_stops_the_charge_and_lets_go_by_itself() -> None:
    async with charger("2.0.1") as c:
        await charging(c)
        await c.do("bus", device="io", mode="timeout")
        await c.wait("contactor", "open")
        await status(c.csms, "Faulted", 1)


async def test_an_agent_that_dies_leaves_an_open_contactor_and_goes_on_after_its_restart() -> None:
    async with charger("2.0.1") as c:
        await charging(c)
        await c.end(9)
        await c.wait("contactor", "open")
        await c.start()
        await c.charging(1)
        await c.tap(CARD, 1)
        await over(c.csms, evse=1)
        assert len(charges(c.csms)) == 1


async def test_its_second_contactor_switches_to_one_phase_for_a_profile_and_never_under_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = agent_helpers._EVSE.replace('output = "io{n}.0"', 'output = "io{n}.0"\nthree_phase = "io{n}.4"')
    monkeypatch.setattr(agent_helpers, "_EVSE", text.replace("[[reader]]", "{evse_tables}\n[[reader]]"))
    async with charger("2.0.1", evse_tables="[evse.phase_switching]\npause_s = 2") as c:
        await c.ready()
        await c.wait("phases", "3")  # at power-up it is off, and no car is there
        await c.tap(CARD, 1)
        await c.do("plug-in", evse=1)
        await begun(c.csms, evse=1)
        await c.charging(1)
        what = profile(c.csms, 16.0)
        what["chargingSchedule"][0]["chargingSchedulePeriod"][0]["numberPhases"] = 1
        assert await limit(c.csms, 1, what) == "Accepted"
        await c.wait("phases", "1", timeout_s=40.0)
        evse = (await c.status())["evses"][0]
        assert (evse["offer_a"], evse["explanation"]) == (0.0, "0 A: switching to 1 phase")
        await c.charging(1)
        assert (await c.status())["evses"][0]["phases_now"] == 1
        assert await c.see("live-switches") == "0"
