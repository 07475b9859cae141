"""A flight recording that was damaged or doctored in any place is told as far as it can be, and harms nobody."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.blocks.assembly import assemble
from agent.cli.replay_run import Player
from agent.cli.replay_story import told
from agent.core.events import EvseRead, LinkUp, MeterRead, Tick, TokenPresented
from agent.core.evse import EvseLimits
from agent.core.network import Links
from agent.core.types import ClockQuality, Instant
from agent.recording import Recorder
from agent.recording_mask import Mask
from agent.store.recorder import lines
from drivers.api import EvseReading, IdToken, Measurand, Pilot, Sample

ODD: tuple[Any, ...] = (
    None, True, -1, 1e308, float("nan"), "", "x" * 300, [], {}, ["t"], ["d", 1], ["R", 99], ["O", 0, "core.evse.Evse"],
    ["blocks.firmware.Firmware"], ["core.events.Tick", 1, 2], ["Q", 1, -5], ["L", {}, 1], ["api.Pilot", "Z"],
)  # fmt: skip
EVENTS = (
    LinkUp(),
    EvseRead(1, EvseReading(Pilot.A, False, 0.0)),
    TokenPresented((1,), IdToken("04A1B2C3D4")),
    MeterRead(1, (Sample(Measurand.ENERGY_ACTIVE_IMPORT_REGISTER, 5.0),)),
    EvseRead(1, EvseReading(Pilot.B, False, 0.0)),
    Tick(),
)


class AtOnce(Recorder):
    def _hand_over(self, write: Callable[[], None], _mono: float) -> None:
        write()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder: Path = tmp_path_factory.mktemp("recorder")
    build: dict[str, Any] = {"evses": (EvseLimits(1, 32.0, 3),), "prefix": "t", "links": Links()}
    recorder = AtOnce(assemble(**build), build, folder, 1 << 20)
    for mono, event in enumerate(EVENTS):
        recorder.decide(event, Instant(float(mono), 1e9 + mono, ClockQuality.SYNCED, "b"))
        recorder.frame(float(mono), "<", '[2,"1","Heartbeat",{}]')
    recorder.close()
    return [line for path in folder.iterdir() for line in lines(path)]


def doctored(line: str, rng: random.Random) -> str:
    """One place of it is another one now, or it is cut."""
    if rng.random() < 0.2:
        return line[: rng.randrange(len(line))]
    value = place = json.loads(line)
    while isinstance(place, list) and place:
        at = rng.randrange(len(place))
        if not isinstance(place[at], list) or rng.random() < 0.3:
            place[at] = rng.choice(ODD)
            break
        place = place[at]
    return json.dumps(value)


def test_what_was_not_touched_is_decided_alike(recorded: list[str]) -> None:
    steps = [played for played in Player().play(iter(recorded)) if played.kind == "step"]
    assert [played.same for played in steps] == [True] * len(EVENTS)


@pytest.mark.parametrize("seed", [1, 2, 128, 132])
def test_a_doctored_recording_harms_nobody(recorded: list[str], seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(25):
        found = list(recorded)
        at = rng.randrange(len(found))
        found[at] = doctored(found[at], rng)
        for played in Player().play(iter(found)):
            told(played, everything=True, evse=None)


def test_a_masked_recording_is_decided_alike_and_names_no_card(recorded: list[str]) -> None:
    masked = list(Mask(b"key", str).lines(recorded))
    assert "04a1b2c3d4" not in "".join(masked).lower()
    steps = [played for played in Player().play(iter(masked)) if played.kind == "step"]
    assert [played.same for played in steps] == [True] * len(EVENTS)
