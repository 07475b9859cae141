"""The link to the central system on the virtual clock: the agent's `LinkPort` on this side, a `csms.Line` on that.

It dials with the agent's back-off wherever the agent wants (`places`), carries text in order with a delay, and can be
refused, cut, made deaf (black hole: nothing arrives, nobody is told) and slow. What the station may say, and when, is
checked as it leaves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.core.network import SHOWS, DialFailed, Target
from tests.simulation.checker import Checker
from tests.simulation.csms import Csms
from tests.simulation.places import BAD, FAILS, Decoy, kind_of
from tests.simulation.plan import Rng

TRIP_S = 0.03
CONNECT_S = 10.0
PING_S = 60.0  # a dead link is found after this
GRACE_S = 0.1
TIMEOUT_S = 30.0  # OCPPCommCtrlr.MessageTimeout
QUEUE = 200
TRIGGERS = ("TriggerMessage", "ExtendedTriggerMessage")
TRIGGERED = dict.fromkeys(("SignChargePointCertificate", "SignChargingStationCertificate"), "SignCertificate")
BILLED = ("StartTransaction", "StopTransaction", "TransactionEvent")


@dataclass(slots=True)
class Weather:
    """What the network between the two is like; outlives any agent."""

    refused: bool = False
    deaf: bool = False
    slow_s: float = 0.0


class Line:
    """One connection. The station's frames go to `csms.hear`, the central system's into `inbox`."""

    def __init__(self, csms: Csms | Decoy, weather: Weather, version: str, watch: Watch) -> None:
        self.version = version
        self.faulty = False
        self.inbox: asyncio.Queue[str | None] = asyncio.Queue(QUEUE)
        self.open = True
        self._csms, self._weather, self._watch = csms, weather, watch
        self._last_at = {"up": 0.0, "down": 0.0}
        csms.connected(self)

    @property
    def up(self) -> bool:
        return self.open

    def _carry(self, way: str, deliver: Callable[[str], None], text: str) -> None:
        loop = asyncio.get_running_loop()
        if self._weather.deaf:
            self.faulty = True
            return
        self.faulty |= self._weather.slow_s > 0
        at = max(loop.time() + TRIP_S + self._weather.slow_s, self._last_at[way])
        self._last_at[way] = at
        loop.call_at(at, deliver, text)

    def say(self, text: str) -> None:
        self._watch.leaves(text)
        self._carry("up", self._heard, text)

    def _heard(self, text: str) -> None:
        if self.open:
            self._csms.hear(self, text)

    def tell(self, text: str) -> None:
        if self.open:
            self._carry("down", self._arrived, text)

    def _arrived(self, text: str) -> None:
        if self.open and self.inbox.qsize() < QUEUE - 1:
            self.inbox.put_nowait(text)

    def cut(self) -> None:
        if self.open:
            self.open = False
            self._csms.lost(self)
            self.inbox.put_nowait(None)


class Watch:
    """What the station may say: only boots before Accepted, one CALL at a time. One for each life."""

    def __init__(self, checker: Checker, trace: Callable[[str, str], None]) -> None:
        self.registration = "None"
        self._version = checker.plan.version
        self._checker, self._complain, self._trace = checker, checker.complain, trace
        self._open: tuple[str, str, float] | None = None
        self._allowed: list[str] = []
        self._boot_wanted = False  # triggered, and not answered yet; 1.6 may boot again at any time
        self.calls = 0

    def afresh(self) -> None:
        """Another target: having been accepted by the one before says nothing."""
        self.registration, self._boot_wanted = "None", False
        self._allowed.clear()

    def connected(self) -> None:
        self._open = None
        self._checker.promises.line_lost()

    def leaves(self, text: str) -> None:
        self._trace("out", text)
        frame = json.loads(text)
        if frame[0] != 2:
            return
        self.calls += 1
        _, message_id, action, _ = frame
        if action in BILLED:
            self._checker.told(message_id)
        self._checker.promises.left(message_id, action, frame[3])
        now = asyncio.get_running_loop().time()
        if self._open is not None and now < self._open[2] + TIMEOUT_S - GRACE_S:
            self._complain(f"{action} {message_id} left while {self._open[1]} {self._open[0]} was open")
        self._open = (message_id, action, now)
        if action == "BootNotification":
            if self.registration == "Accepted" and not self._boot_wanted:
                self._complain("a BootNotification after Accepted")
        elif self.registration != "Accepted" and action not in self._allowed:
            self._complain(f"{action} before Accepted (the station is {self.registration})")

    def arrives(self, text: str) -> None:
        """Just before the agent reads it."""
        self._trace("in", text)
        try:
            frame = json.loads(text)
            kind, message_id, body = frame[0], frame[1], frame[2]
        except (ValueError, LookupError, TypeError):
            return
        if kind == 2 and body in TRIGGERS:
            self._triggered(frame[3]["requestedMessage"], body == "ExtendedTriggerMessage")
        if self._open is not None and message_id == self._open[0]:
            in_time = asyncio.get_running_loop().time() < self._open[2] + TIMEOUT_S - GRACE_S
            if in_time and kind == 3:
                self._checker.promises.acked(message_id)
            if in_time and kind == 3 and self._open[1] == "BootNotification":
                self.registration, self._boot_wanted = body["status"], False
            self._open = None

    def _triggered(self, word: str, extended: bool) -> None:
        if self.registration == "Pending":
            self._allowed += [TRIGGERED.get(word, word), *(["Signed" + word] if extended else [])]
        if word == "BootNotification":
            self._boot_wanted = self._version == "1.6"


class Link:
    """The agent's port. `run` is one of its life's tasks. `target` says where to; `strange` whether the certificate of
    ours with this mark is refused everywhere."""

    def __init__(
        self,
        csms: Csms,
        weather: Weather,
        version: str,
        rng: Rng,
        watch: Watch,
        target: Callable[[], Target],
        strange: Callable[[str], bool],
    ) -> None:
        self._csms, self._weather, self._version, self._rng, self._watch = csms, weather, version, rng, watch
        self._target, self._strange = target, strange
        self._number = 0
        self._hurry = False
        self.line: Line | None = None
        self.runtime: Any = None
        self.redials = 0
        self._tries = 0
        self._again = asyncio.Event()

    async def run(self) -> None:
        while True:
            await self._wait()
            target = self._target()
            if target.number != self._number:
                self._number = target.number
                self._watch.afresh()
            if (failure := self._failure(target)) is not None:
                if failure[0] == "timeout":
                    await asyncio.sleep(CONNECT_S)
                await self.runtime.feed(DialFailed(target.number, *failure))
                continue
            self._watch.connected()
            self.line = Line(self._who(target), self._weather, self._version, self._watch)
            await self.runtime.connected("ocpp" + self._version)
            why = await self._listen(self.line)
            self.line = None
            await self.runtime.disconnected(why)

    def _failure(self, target: Target) -> tuple[str, str, str] | None:
        """Why no connection comes about, in the words of `DialFailed`."""
        if self._weather.refused:
            return FAILS["refused"]
        if self._weather.deaf:
            return FAILS["silent"]
        if target.profile.security == SHOWS and self._strange(target.certificate):
            return "tls", "the server does not accept our certificate", "FailedToAuthenticateAtCsms"
        return FAILS.get(kind_of(target))

    def _who(self, target: Target) -> Csms | Decoy:
        kind = kind_of(target)
        return Decoy(kind, self._csms.now) if kind in BAD else self._csms

    async def _wait(self) -> None:
        """Back-off with jitter, from the second dial on; none when the agent wants to go elsewhere."""
        hurry, self._hurry = self._hurry, False
        if self._tries and not hurry:
            pause_s = min(5.0 * 2 ** min(self._tries - 1, 5), 160.0) + self._rng.uniform(0.0, 5.0)
            self._again.clear()
            try:
                async with asyncio.timeout(pause_s):
                    await self._again.wait()
            except TimeoutError:
                pass
        self._tries += 1
        await asyncio.sleep(TRIP_S)

    async def _listen(self, line: Line) -> str:
        while True:
            try:
                async with asyncio.timeout(PING_S):
                    text = await line.inbox.get()
            except TimeoutError:
                if self._weather.deaf:
                    line.cut()
                    return "no answer to pings"
                continue
            if text is None:
                return "closed"
            self._watch.arrives(text)
            await self.runtime.received(text)

    # --- the agent's side ---------------------------------------------------------------------------------------

    def confirm(self) -> None:
        self._tries = 0

    def drop(self, _reason: str) -> None:
        if self.line is not None:
            self.line.cut()

    def redial(self, reason: str = "") -> None:
        self.redials += 1
        self._hurry = True
        self.drop(reason)
        self._again.set()

    def set_ping_interval(self, interval_s: float) -> None:
        assert interval_s >= 0

    def takes_at_once(self, _text: str) -> bool:
        return self.line is not None and self.line.open

    async def send(self, text: str) -> bool:
        line = self.line
        if line is None or not line.open:
            return False
        line.say(text)
        return True
