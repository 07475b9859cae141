"""Where the charger may be sent: doors of the central system, and places that are no good.

What a place is like is said by the first word of its host's name. `Decoy` is who sits behind a bad one: it takes the
part of `csms.Csms` towards a line. `Moves` says what must be true of it all.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from agent.blocks.network import Network
from agent.core.effects import Effect, Note
from agent.core.network import FileLink, Links, Profile, State, Target
from tests.simulation.csms import Line

DOOR = "door"  # another way to the same central system
FAILS = {  # why a dial comes to nothing
    "refused": ("refused", "nobody listens there", ""),
    "silent": ("timeout", "nobody answers", ""),
    "locked": ("unauthorized", "the server refused user or password", "FailedToAuthenticateAtCsms"),
    "stranger": ("tls", "the certificate was refused", "InvalidCsmsCertificate"),
}
ANSWERS = {"rejecting": "Rejected", "pending": "Pending", "fickle": "Accepted"}  # to BootNotification
BAD = (*FAILS, *ANSWERS, "closing", "mute")
CLOSES_S = 1.5
TRIAL_S, STANDS_S = 300.0, 60.0  # NetworkTrialTimeout, and how long a link must stand to be believed in
LOOK_S = 120.0
STAY_S = 2 * TRIAL_S + STANDS_S + LOOK_S  # accepted at the last moment, and then not for long enough


def links(secure: bool) -> Links:
    """What the configuration file says. `secure`: a certificate of ours is shown."""
    profile = Profile("wss://home/ocpp", "SIM", 3) if secure else Profile("ws://home/ocpp", "SIM")
    return Links((FileLink(profile, "m"),))


def address(kind: str, number: int, secure: bool) -> str:
    return f"{'wss' if secure else 'ws'}://{kind}-{number}/ocpp"


def kind_of(target: Target) -> str:
    return target.profile.url.partition("://")[2].partition("/")[0].partition("-")[0]


class Decoy:
    """It answers nothing but BootNotification, if that."""

    def __init__(self, kind: str, now: Callable[[], str]) -> None:
        self._kind, self._now = kind, now

    def connected(self, line: Any) -> None:
        if self._kind in ("closing", "fickle"):
            asyncio.get_running_loop().call_later(CLOSES_S, line.cut)

    def lost(self, line: Line) -> None:
        return None

    def hear(self, line: Line, text: str) -> None:
        frame = json.loads(text)
        if frame[0] == 2 and frame[2] == "BootNotification" and self._kind in ANSWERS:
            answer = {"status": ANSWERS[self._kind], "interval": 60, "currentTime": self._now()}
            line.tell(json.dumps([3, frame[1], answer]))


class Moves:
    """A bad place is never believed in, and left in time. `kept` and `returned` count."""

    def __init__(self, now: Callable[[], float], complain: Callable[[str], None]) -> None:
        self._now, self._complain = now, complain
        self._dialled: tuple[str, float] = ("", 0.0)
        self.kept = self.returned = 0

    def settled(self, effects: Sequence[Effect], network: Network) -> None:
        for effect in effects:
            if isinstance(effect, Note):
                self.kept += effect.code == "LinkKept"
                self.returned += effect.code == "LinkReturned"
        target = network.target
        assert target is not None
        if kind_of(target) not in BAD:
            return
        if network.state is State.STANDING and not network.doubted:
            self._complain(f"{target.profile.url} is believed in")
        if self._dialled[0] != target.profile.url:
            self._dialled = target.profile.url, self._now()

    def looked(self, network: Network, since_s: float) -> None:
        """Now and then; this process began at `since_s`, and every process begins a trial anew."""
        target = network.target
        assert target is not None
        url, at_s = self._dialled
        if url == target.profile.url and kind_of(target) in BAD and self._now() - max(at_s, since_s) > STAY_S:
            self._complain(f"{url} is still dialled after {STAY_S:g} s")
