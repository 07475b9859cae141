"""SetChargingProfile, ClearChargingProfile, GetCompositeSchedule: every answer, and what comes of it on the bus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.conformance.csms import Csms, Payload, Refusal
from tests.conformance.ledger import charges, limit, over, profile, read, remote_start
from tests.end_to_end.agent_helpers import CARD, OTHER_CARD, Charger, charger

pytestmark = pytest.mark.asyncio(loop_scope="module")
BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
LONG_AGO = "2020-01-01T00:00:00Z"
NO_PAUSE = {"SmartChargingCtrlr.PauseMinimum": 1}


def station_word(csms: Csms) -> str:
    return "ChargePointMaxProfile" if csms.version == "1.6" else "ChargingStationMaxProfile"


def numbered(csms: Csms, number: int, what: Payload) -> Payload:
    return what | {"chargingProfileId" if csms.version == "1.6" else "id": number}


def scheduled(csms: Csms, what: Payload, **schedule: Any) -> Payload:
    """The same profile with another schedule."""
    if csms.version == "1.6":
        return what | {"chargingSchedule": what["chargingSchedule"] | schedule}
    return what | {"chargingSchedule": [what["chargingSchedule"][0] | schedule]}


async def clear(csms: Csms, number: int | None = None, **criteria: Any) -> str:
    if csms.version == "1.6":
        asked = criteria | ({} if number is None else {"id": number})
    else:
        renamed = {"evseId" if name == "connectorId" else name: value for name, value in criteria.items()}
        asked = {"chargingProfileCriteria": renamed} if renamed else {}
        asked |= {} if number is None else {"chargingProfileId": number}
    return str((await csms.call("ClearChargingProfile", asked))["status"])


async def composite(csms: Csms, evse: int, duration_s: int = 600, unit: str | None = None) -> Payload | None:
    """The schedule that is told: its periods, unit and duration; None when the request is refused."""
    place = {"connectorId" if csms.version == "1.6" else "evseId": evse}
    asked = place | {"duration": duration_s} | ({"chargingRateUnit": unit} if unit else {})
    answer = await csms.call("GetCompositeSchedule", asked)
    if answer["status"] != "Accepted":
        return None
    found: Payload = answer["chargingSchedule" if csms.version == "1.6" else "schedule"]
    return found


def limits(schedule: Payload | None) -> list[float]:
    assert schedule is not None
    return [period["limit"] for period in schedule["chargingSchedulePeriod"]]


@pytest_asyncio.fixture(loop_scope="module")
async def clean(both: Charger) -> AsyncIterator[Csms]:
    yield both.csms
    await clear(both.csms)


# --- SetChargingProfile ---


async def test_a_station_profile_is_for_connector_0_only(clean: Csms) -> None:
    assert await limit(clean, 1, profile(clean, 10, station_word(clean))) == "Rejected"
    assert await limit(clean, 0, profile(clean, 10, station_word(clean))) == "Accepted"


async def test_a_transaction_profile_needs_a_transaction_that_runs(clean: Csms) -> None:
    name = {"transactionId": 4711 if clean.version == "1.6" else "4711"}
    assert await limit(clean, 1, profile(clean, 10, "TxProfile")) == "Rejected"
    assert await limit(clean, 1, profile(clean, 10, "TxProfile", **name)) == "Rejected"
    assert await limit(clean, 0, profile(clean, 10, "TxProfile")) == "Rejected"


async def test_a_profile_for_a_connector_that_is_not_there_is_rejected(clean: Csms) -> None:
    if clean.version == "2.0.1":
        assert await limit(clean, 9, profile(clean, 10)) == "Rejected"
        return
    with pytest.raises(Refusal, match="PropertyConstraintViolation"):  # errata 3.39
        await limit(clean, 9, profile(clean, 10))


@pytest.mark.parametrize(
    "change",
    [
        {"chargingSchedulePeriod": [{"startPeriod": 1, "limit": 10}]},
        {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}, {"startPeriod": 0, "limit": 9}]},
        {"chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}, {"startPeriod": 9, "limit": 9}] * 2},
        {"duration": 0},
    ],
)
async def test_a_schedule_that_is_none_is_rejected(clean: Csms, change: Payload) -> None:
    assert await limit(clean, 1, scheduled(clean, profile(clean, 10), **change)) == "Rejected"


async def test_as_many_periods_as_the_key_says_and_no_more(clean: Csms) -> None:
    name = "ChargingScheduleMaxPeriods" if clean.version == "1.6" else "SmartChargingCtrlr.PeriodsPerSchedule"
    most = int(await read(clean, name) or 0)
    for count, word in ((most, "Accepted"), (most + 1, "Rejected")):
        periods = [{"startPeriod": n, "limit": 10} for n in range(count)]
        assert await limit(clean, 1, scheduled(clean, profile(clean, 10), chargingSchedulePeriod=periods)) == word


async def test_stack_levels_up_to_what_the_key_says_and_no_higher(clean: Csms) -> None:
    name = "ChargeProfileMaxStackLevel" if clean.version == "1.6" else "SmartChargingCtrlr.ProfileStackLevel"
    top = int(await read(clean, name) or 0)
    assert await limit(clean, 1, profile(clean, 10, stackLevel=top)) == "Accepted"
    assert await limit(clean, 1, profile(clean, 10, stackLevel=top + 1)) == "Rejected"


async def test_lesson_28_no_key_promises_phase_switching(v16: Charger) -> None:
    assert await read(v16.csms, "ConnectorSwitch3to1PhaseSupported") == "false"


async def test_a_profile_that_has_expired_is_rejected(clean: Csms) -> None:
    assert await limit(clean, 1, profile(clean, 10, validTo=LONG_AGO)) == "Rejected"


async def test_a_profile_of_the_same_level_takes_the_place_of_the_other(clean: Csms) -> None:
    assert await limit(clean, 1, profile(clean, 10)) == "Accepted"
    assert await limit(clean, 1, numbered(clean, 2, profile(clean, 20))) == "Accepted"
    assert await clear(clean, 1) == "Unknown"
    assert limits(await composite(clean, 1)) == [20]


async def test_a_higher_level_and_the_connectors_own_profile_come_first(clean: Csms) -> None:
    assert await limit(clean, 0, profile(clean, 10)) == "Accepted"
    assert await limit(clean, 1, numbered(clean, 2, profile(clean, 20))) == "Accepted"
    assert limits(await composite(clean, 1)) == [20]
    assert limits(await composite(clean, 2)) == [10]
    assert await limit(clean, 0, numbered(clean, 3, profile(clean, 8, stackLevel=1))) == "Accepted"
    assert limits(await composite(clean, 1)) == [8]


# --- ClearChargingProfile ---


async def test_profiles_are_cleared_by_each_criterion(clean: Csms) -> None:
    async def install() -> None:
        assert await limit(clean, 0, profile(clean, 10, station_word(clean))) == "Accepted"
        assert await limit(clean, 1, numbered(clean, 2, profile(clean, 9, stackLevel=3))) == "Accepted"

    await install()
    assert await clear(clean, 7) == "Unknown"
    assert await clear(clean, connectorId=2) == "Unknown"
    assert await clear(clean, connectorId=1, stackLevel=2) == "Unknown"
    assert await clear(clean, chargingProfilePurpose="TxProfile") == "Unknown"
    assert limits(await composite(clean, 1)) == [9]
    for criteria in ({"connectorId": 1}, {"stackLevel": 3}, {"chargingProfilePurpose": "TxDefaultProfile"}):
        assert await clear(clean, **criteria) == "Accepted"
        assert limits(await composite(clean, 1)) == [10]
        await install()
    assert await clear(clean, 2) == "Accepted"
    assert await clear(clean, connectorId=0) == "Accepted"
    assert await clear(clean) == "Unknown"


# --- GetCompositeSchedule ---


async def test_a_composite_schedule_is_told_in_both_units(clean: Csms) -> None:
    steps = [{"startPeriod": 0, "limit": 10}, {"startPeriod": 300, "limit": 16.5}]
    assert await limit(clean, 1, scheduled(clean, profile(clean, 10), chargingSchedulePeriod=steps)) == "Accepted"
    in_amperes, in_watts = await composite(clean, 1, unit="A"), await composite(clean, 1, unit="W")
    assert in_amperes is not None
    assert in_amperes["chargingRateUnit"] == "A"
    assert limits(in_amperes) == [10, 16.5]
    assert limits(in_watts) == [6900, 11385]


async def test_the_composite_schedule_of_connector_0_is_that_of_the_grid_connection(clean: Csms) -> None:
    assert limits(await composite(clean, 0)) == [64]
    assert await limit(clean, 1, profile(clean, 10)) == "Accepted"
    assert limits(await composite(clean, 0)) == [42]
    assert await limit(clean, 0, numbered(clean, 2, profile(clean, 30, station_word(clean)))) == "Accepted"
    assert limits(await composite(clean, 0)) == [30]
    assert limits(await composite(clean, 2)) == [30]


async def test_the_composite_schedule_of_a_connector_that_is_not_there_is_rejected(clean: Csms) -> None:
    assert await composite(clean, 9) is None


async def test_a_composite_schedule_of_many_years_is_told(clean: Csms) -> None:
    found = await composite(clean, 1, 2**31 - 1)
    assert found is not None
    assert found["duration"] == 2**31 - 1


# --- on the bus ---


@BOTH
async def test_a_running_transaction_follows_its_profile_and_its_end_removes_it(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await c.wait("offered-ma", "32000")
        await c.charging()
        (charge,) = charges(c.csms)
        key = int(charge.id) if version == "1.6" else charge.id
        steps = [{"startPeriod": 0, "limit": 20}, {"startPeriod": 1, "limit": 10}]
        what = scheduled(c.csms, profile(c.csms, 0, "TxProfile", transactionId=key), chargingSchedulePeriod=steps)
        assert await limit(c.csms, 1, what) == "Accepted"
        await c.wait("offered-ma", "10000")
        assert "transaction profile 1" in (await c.status())["evses"][0]["explanation"]
        await c.tap()
        await over(c.csms)
        assert await clear(c.csms) == "Unknown"


@BOTH
async def test_a_remote_start_takes_only_a_transaction_profile(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        wrong, right = profile(c.csms, 10), profile(c.csms, 10, "TxProfile")
        assert await remote_start(c.csms, CARD, 1, chargingProfile=wrong) == "Rejected"
        assert await remote_start(c.csms, CARD, 1, chargingProfile=right) == "Accepted"
        await c.do("plug-in")
        await c.wait("offered-ma", "10000")


@BOTH
async def test_profiles_outlive_a_kill(version: str) -> None:
    """Errata 3.37."""
    async with charger(version) as c:
        await c.ready()
        assert await limit(c.csms, 0, profile(c.csms, 13)) == "Accepted"
        await c.end(9)
        mark = c.csms.mark()
        await c.start()
        await c.csms.hear("BootNotification", mark)
        assert limits(await composite(c.csms, 1)) == [13]


@BOTH
async def test_two_cars_share_the_station_profile_and_the_first_one_goes_before(version: str) -> None:
    async with charger(version, evses=2, variables=NO_PAUSE) as c:
        await c.ready()
        assert await limit(c.csms, 0, profile(c.csms, 20, station_word(c.csms))) == "Accepted"
        for evse in (1, 2):
            await c.do("plug-in", evse=evse)
            await c.tap(CARD if evse == 1 else OTHER_CARD, evse)
            await c.wait("offered-ma", "20000" if evse == 1 else "10000", evse)
        await c.wait("offered-ma", "10000", 1)
        assert await limit(c.csms, 0, profile(c.csms, 9, station_word(c.csms))) == "Accepted"
        await c.wait("offered-ma", "9000", 1)
        await c.wait("offered-ma", "0", 2)
