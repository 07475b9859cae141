"""The dead-man chain: a car charges, and the agent dies, hangs, or is stopped. A controller with a watchdog takes the
power away within the stated time; of one without, the station has said at its start that it cannot."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.end_to_end import agent_helpers
from tests.end_to_end.agent_helpers import PACE, Charger, charger, until
from tests.end_to_end.test_composed_session import MADE_OF_PARTS, PILOTS

LAUNCHER = str(Path(__file__).with_name("stall_launcher.py"))
WATCHDOG_S = 15.0  # of the guarded maps
OPENS_S = 7.0  # a car that does not let go is cut off
LATE_S = 1.0 * PACE  # so late the line may bring the last poll of the dead to the controller, on a busy machine
DEATHS = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP, "hanging": signal.SIGUSR2}
COIL_S = 3.0  # of the board at the coil of a charger made of parts
GUARDED = ("reference", "heidelberg_ec")
UNGUARDED = ("evse_wb", "phoenix_ev_cc_ac1")


@asynccontextmanager
async def charging(evse_map: str) -> AsyncIterator[Charger]:
    """A charger that delivers."""
    async with charger("2.0.1", start=False, evse_map=evse_map, max_a=16.0) as c:
        c.program = (LAUNCHER, *c.program[2:])
        await c.start()
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        yield c


def strike(c: Charger, death: str) -> None:
    assert c.process is not None
    c.process.send_signal(DEATHS[death])


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("evse_map", GUARDED)
async def test_a_guarded_controller_takes_the_power_away(evse_map: str, death: str) -> None:
    async with charging(evse_map) as c:
        seen: dict[str, float] = {}
        c.hw.world.on_event = lambda now_s, _evse, text: seen.update({text: now_s})
        c.hw.advance()
        since_s = c.hw.world.now_s
        strike(c, death)
        await until(lambda: "contactor open" in seen, "the contactor opens", 2 * (WATCHDOG_S + OPENS_S) / PACE)
        assert seen["offer withheld"] - since_s < WATCHDOG_S + LATE_S
        assert seen["contactor open"] - since_s < WATCHDOG_S + OPENS_S + LATE_S


@pytest.mark.parametrize(("pilot", "death"), [("controller", "stopped"), ("module", "hanging")])
async def test_the_board_at_the_coil_lets_go_whatever_the_pilot_does(
    pilot: str, death: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_helpers, "_EVSE", MADE_OF_PARTS.replace("PILOT", PILOTS[pilot]))
    async with charging("evse_wb") as c:
        point, since_s = c.hw.world.points[1], c.hw.world.now_s
        strike(c, death)
        await until(lambda: not point.controller.closed, "the contactor opens", 4 * COIL_S)
        assert point.now_s - since_s < COIL_S + PACE  # a busy processor sees it a moment later
        assert "NoGuard" not in c.log


@pytest.mark.parametrize("evse_map", GUARDED)
async def test_a_station_that_is_guarded_warns_of_nothing(evse_map: str) -> None:
    async with charging(evse_map) as c:
        assert "NoGuard" not in c.log
        assert (await c.status())["warnings"] == []


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("evse_map", UNGUARDED)
async def test_of_an_unguarded_controller_it_was_said_at_the_start(evse_map: str, death: str) -> None:
    async with charging(evse_map) as c:
        warning = f"EVSE 1: its controller {evse_map} has no watchdog"
        lines = [line for line in c.log.splitlines() if "NoGuard" in line]
        assert len(lines) == 1
        assert warning in lines[0]
        assert any(warning in line for line in (await c.status())["warnings"])
        point, since_s = c.hw.world.points[1], c.hw.world.now_s
        strike(c, death)
        await until(lambda: point.now_s - since_s > WATCHDOG_S + OPENS_S, "time goes by", 20.0)
        assert point.controller.closed  # as was said
