"""The flight recorder over whole simulated days full of trouble: all that it has written is decided alike once more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.blocks.assembly import assemble
from agent.blocks.station import Station
from agent.cli.replay_run import Played, Player
from agent.core.network import Links
from agent.recording import Recorder
from agent.store import recorder as ring
from tests.simulation import board
from tests.simulation.plan import rough
from tests.simulation.planted import swapped
from tests.simulation.run import run


class AtOnce(Recorder):
    """No thread: the loop of the simulation has no place for one."""

    def _hand_over(self, write: Callable[[], None], _mono: float) -> None:
        write()


def recorded(folder: Path, version: str) -> list[Played]:
    """A day of a charger, replayed segment after segment."""
    builds: list[Mapping[str, Any]] = []
    lives: list[Recorder] = []
    station_of = board.Life._station

    def put_together(evses: Any, **rules: Any) -> Station:
        builds.append({"links": Links(), **rules, "evses": tuple(evses)})
        return assemble(evses, **rules)

    def watched(life: board.Life) -> Station:
        with swapped(board, "assemble", put_together):
            station: Station = station_of(life)
        lives.append(AtOnce(station, builds[-1], folder / f"{len(lives)}", 1 << 20))
        station.handle = lives[-1].decide  # type: ignore[method-assign]
        return station

    many = swapped(ring, "SEGMENTS", 300), swapped(ring, "LEAST_SEGMENT_BYTES", 1), swapped(ring, "MAX_FILES", 1000)
    with swapped(board.Life, "_station", watched), many[0], many[1], many[2]:
        outcome = run(rough(5, version, 1.5))
    assert outcome.broken == ()
    for life in lives:
        life.close()
    segments = sorted(folder.glob("*/*.cpfr"))
    assert len(segments) > len(lives), "some life has filled more than one segment"
    return [played for segment in segments for played in Player().play(ring.lines(segment))]


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_every_step_of_a_rough_day_gives_the_same_effects_once_more(tmp_path: Path, version: str) -> None:
    found = recorded(tmp_path, version)
    steps = [played for played in found if played.kind == "step"]
    assert len(steps) > 500
    assert [played for played in found if played.kind == "unreadable"] == []
    assert [(played.event, played.missing, played.new) for played in steps if played.same is not True] == []
