"""What the flight recorder writes when, what it never writes, and that it harms nobody when it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.blocks.assembly import assemble
from agent.cli.replay_run import Played, Player
from agent.core.events import Event, FaultRaised, LinkUp, Tick
from agent.core.evse import EvseLimits
from agent.core.network import Links
from agent.core.requests import Ref, VariablesSetRequested, VariableWrite
from agent.core.types import ClockQuality, Instant, VariableId
from agent.recording import BLOCK_S, BLOCK_STEPS, GULP, LEFT_OUT, MAX_PENDING, PATIENCE, REST_S, SOON_S, Recorder
from agent.store import recorder as ring
from drivers.api import Fault

PASSWORD = "correct-horse-battery"


class Desk:
    """A station with a recorder, and a clock that is moved by hand."""

    def __init__(self, folder: Path, secrets: Sequence[str] = ()) -> None:
        build = {"evses": (EvseLimits(1, 32.0, 3),), "prefix": "t", "links": Links()}
        self.folder = folder
        self.mono = 100.0
        self.troubles: list[str] = []
        self.station = assemble(**build)  # type: ignore[arg-type]
        self.recorder = Recorder(self.station, build, folder, 1 << 20, lambda: secrets, tell=self.troubles.append)

    async def feed(self, *events: Event, times: int = 1) -> None:
        for event in events * times:
            self.recorder.decide(event, Instant(self.mono, self.mono + 1e9, ClockQuality.SYNCED, "boot"))
        async with asyncio.timeout(10):
            while self.recorder._busy:  # noqa: ASYNC110  a thread is at it
                await asyncio.sleep(0.001)

    def written(self) -> list[Played]:
        return [played for path in sorted(self.folder.glob("*.cpfr")) for played in Player().play(ring.lines(path))]

    def steps(self) -> int:
        return sum(played.kind == "step" for played in self.written())


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "recorder")


async def test_the_first_step_begins_a_segment_that_can_be_replayed(desk: Desk) -> None:
    await desk.feed(LinkUp())
    assert [played.kind for played in desk.written()] == ["head"]


async def test_a_block_is_written_when_it_is_full(desk: Desk) -> None:
    await desk.feed(Tick(), times=BLOCK_STEPS)
    assert desk.steps() == 0
    await desk.feed(Tick())
    assert desk.steps() == BLOCK_STEPS


async def test_a_block_is_written_when_it_is_old(desk: Desk) -> None:
    await desk.feed(Tick(), Tick())
    desk.mono += BLOCK_S
    await desk.feed(Tick())
    assert desk.steps() == 2


async def test_a_warning_hastens_it(desk: Desk) -> None:
    await desk.feed(Tick())
    desk.mono += 60.0
    await desk.feed(FaultRaised(1, Fault.GROUND))
    desk.mono += SOON_S
    await desk.feed(Tick())
    assert desk.steps() == 2


async def test_the_end_writes_what_is_left(desk: Desk) -> None:
    await desk.feed(Tick(), Tick())
    desk.recorder.close()
    assert [(played.kind, played.same) for played in desk.written()[1:]] == [("step", True)] * 2


async def test_a_burst_of_frames_takes_no_more_room_than_a_block(desk: Desk) -> None:
    await desk.feed(Tick())
    for number in range(10 * BLOCK_STEPS):
        desk.recorder.frame(desk.mono, ">", f"frame {number}")
    desk.recorder.close()
    frames = [played.text for played in desk.written() if played.kind == "frame"]
    assert frames[0] == "frame 0"
    assert (len(frames), frames[-1]) == (BLOCK_STEPS, LEFT_OUT)


@pytest.mark.parametrize(("busy", "more"), [(0, 0), (20, 20), (10 * PATIENCE, PATIENCE)])
async def test_it_is_written_when_nothing_else_happens_but_not_put_off_for_ever(
    desk: Desk, busy: int, more: int
) -> None:
    naps = 0

    def nap(_seconds: float) -> None:
        nonlocal naps
        naps += 1
        if naps <= busy:
            desk.recorder._pending.append(("frame", desk.mono, ">", ""))

    await desk.feed(Tick(), times=BLOCK_STEPS)
    desk.recorder._nap = nap
    await desk.feed(Tick())
    assert (naps, desk.steps()) == (BLOCK_STEPS // GULP + more, BLOCK_STEPS)


async def test_a_bug_is_written_with_the_event_that_met_it(desk: Desk) -> None:
    await desk.feed(Tick())
    with pytest.raises(KeyError):
        await desk.feed(FaultRaised(7, Fault.GROUND))
    desk.recorder.close()
    bug = desk.written()[-1]
    assert (bug.kind, bug.event, bug.text, bug.same) == ("bug", FaultRaised(7, "ground"), "KeyError: 7", True)


async def test_variables_of_another_dialect_are_written_before_the_step_that_sees_them(desk: Desk) -> None:
    await desk.feed(Tick())
    desk.station.facts.variables.layer("preset", {"OCPPCommCtrlr.HeartbeatInterval": "77"})
    await desk.feed(LinkUp())
    desk.recorder.close()
    player = Player()
    played = [one for path in desk.folder.iterdir() for one in player.play(ring.lines(path))]
    assert [one.same for one in played if one.kind == "step"] == [True, True]
    assert player._station is not None
    assert player._station.facts.variables.text("OCPPCommCtrlr.HeartbeatInterval") == "77"


async def test_no_password_is_written(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ("known-secret",))
    write = VariableWrite(VariableId("SecurityCtrlr", "BasicAuthPassword"), PASSWORD)
    await desk.feed(Tick(), VariablesSetRequested(Ref("r", "SetVariables"), (write,)))
    desk.recorder.close()
    text = "\n".join(line for path in tmp_path.glob("*.cpfr") for line in ring.lines(path))
    assert "BasicAuthPassword" in text
    assert PASSWORD not in text


async def test_a_disk_that_does_not_take_it_harms_nobody_and_gets_another_try(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(ring, "RESERVE_BYTES", 1 << 62)
        await desk.feed(Tick())
        assert "no room" in desk.troubles[-1]
        await desk.feed(Tick(), times=2 * MAX_PENDING)
        assert len(desk.recorder._pending) <= MAX_PENDING + 1
    desk.mono += REST_S
    await desk.feed(Tick(), Tick())
    desk.recorder.close()
    assert desk.troubles[-1] == ""
    assert [played.same for played in desk.written() if played.kind == "step"] == [True, True]
