"""The demo's stage: central system, simulated hardware and agent, set up, watched and taken down.

The gauges come from the hardware itself and from the agent's control socket, a few times a second; what the hardware
does is read from its own log. `until` is how the story waits: for a condition, with a deadline, never for time to pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from agent.demo import charger
from agent.demo.board import Board, Source
from agent.demo.central import Central, Crossed
from agent.demo.charger import Places
from agent.demo.processes import Child
from agent.demo.words import PILOT
from drivers.simulated.client import SimClient
from drivers.simulated.verbs import SimError

LOOK_S = 0.2  # between two looks at the gauges ...
HEARS_A_LOOK = 5  # ... in which the log is looked at so often: what hardware does must stand before what follows
ASK_S = 2.0  # for the agent to answer on its control socket
RESTART_S = 1.0  # how soon the demo, as service manager, starts the agent again
SETUP_S = 15.0
MAX_ANSWER_BYTES = 1024 * 1024


class StoryFailed(Exception):
    """What should have happened and did not, in one line."""


class Stage:
    """Everything that the story plays with."""

    def __init__(self, board: Board, places: Places, version: str) -> None:
        self.board = board
        self.places = places
        self.version = version
        self.central = Central(self._crossed)
        self.hands = SimClient(places.sim_socket)
        words = ("--config", str(places.config))
        self.hardware = Child(
            ("simulate", *words, "--socket", str(places.sim_socket), "--verbose"), places.hardware_log
        )
        self.agent = Child(("run", *words), places.agent_log)
        self.status: dict[str, Any] = {}  # the agent's last answer; empty when there is none
        self._heard_bytes = 0
        self._watch: asyncio.Task[None] | None = None

    async def set_up(self) -> None:
        """Central system and hardware run; the agent does not yet."""
        await self.central.open()
        charger.write(self.places, self.central.url, self.version)
        await self.hardware.start()
        self._watch = asyncio.create_task(self._watching())
        await self.until(lambda: self.board.gauges.meter_wh is not None, "the simulated hardware is there", SETUP_S)
        self.board.start_wh = self.board.gauges.meter_wh

    async def take_down(self) -> None:
        if self._watch is not None:
            while not self._watch.done():  # a cancellation is lost where what was waited for comes at that very moment
                self._watch.cancel()
                await asyncio.wait({self._watch}, timeout=1.0)
        await self.agent.stop()
        await self.hardware.stop()
        await self.central.cut()
        if self._watch is not None and not self._watch.cancelled():
            self._watch.result()  # a bug in it shall be heard of, once nothing is left running

    # Waiting

    async def until(self, true: Callable[[], bool], what: str, deadline_s: float) -> None:
        """Wait until it is so; StoryFailed when it is not so in time, or when something has ended meanwhile."""
        clock = asyncio.get_running_loop().time
        ends = clock() + deadline_s
        while not true():
            for name, child in (("the agent", self.agent), ("the simulated hardware", self.hardware)):
                if child.starts and child.exit_code is not None and child.exit_code != -9:
                    raise StoryFailed(f"{name} ended with exit code {child.exit_code}, before {what}")
            self._check_watch()
            if clock() > ends:
                raise StoryFailed(f"not within {deadline_s:g} s: {what}")
            await asyncio.sleep(0.05)

    def _check_watch(self) -> None:
        if self._watch is not None and self._watch.done():
            self._watch.result()

    async def do(self, verb: str, **args: Any) -> str:
        """A hand at the hardware; StoryFailed when it cannot do that."""
        try:
            seen = await self.hands.do(verb, **args)
        except SimError as error:
            raise StoryFailed(f"{verb}: {error}") from None
        self._hear_hardware()
        return seen

    async def see(self, key: str) -> str:
        return await self.do("get", key=key, evse=1)

    # Watching

    def _crossed(self, what: Crossed) -> None:
        self._hear_hardware()  # what the charger speaks of has been done
        self.board.say(Source.CHARGER if what.from_charger else Source.CSMS, what.words, what.action)

    async def _watching(self) -> None:
        while True:
            with contextlib.suppress(SimError):  # not there yet, or busy: the next look will tell
                await self._look_at_hardware()
            await self._look_at_agent()
            for _ in range(HEARS_A_LOOK):
                self._hear_hardware()
                await asyncio.sleep(LOOK_S / HEARS_A_LOOK)

    async def _look_at_hardware(self) -> None:
        async def see(key: str) -> str:
            return await self.hands.do("get", key=key, evse=1)

        gauges = self.board.gauges
        gauges.pilot = await see("ev-state")
        gauges.contactor = await see("contactor") == "closed"
        gauges.offered_a = float(await see("offered-ma")) / 1000
        gauges.drawn_a = float(await see("drawn-ma")) / 1000
        gauges.power_w = float(await see("power-w"))
        gauges.meter_wh = float(await see("meter-wh"))

    async def _look_at_agent(self) -> None:
        gauges = self.board.gauges
        gauges.agent_pid = self.agent.pid
        self.status = await self._ask() if gauges.agent_pid is not None else {}
        gauges.queued = (self.status.get("queue") or {}).get("rows")
        gauges.linked = self.central.is_connected
        running = self.central.ledger.latest()
        if running is not None:
            gauges.billed_wh = running.energy_wh
            self.board.start_wh = running.started_wh

    async def _ask(self) -> dict[str, Any]:
        """The agent's status; {} when nobody answers."""
        try:
            async with asyncio.timeout(ASK_S):
                reader, writer = await asyncio.open_unix_connection(
                    str(self.places.control_socket), limit=MAX_ANSWER_BYTES
                )
                try:
                    writer.write(b'{"verb":"status"}\n')
                    answer = json.loads(await reader.readline() or b"{}")
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError):
            return {}
        return answer if isinstance(answer, dict) else {}

    def evse(self) -> dict[str, Any]:
        """What the agent tells of its one EVSE; {} when it tells nothing."""
        evses = self.status.get("evses") or [{}]
        return dict(evses[0])

    def _hear_hardware(self) -> None:
        """New lines of the hardware's log, such as "10:00:00.000 evse 1: pilot B"."""
        with self.places.hardware_log.open("rb") as log:
            log.seek(self._heard_bytes)
            data = log.read()
        whole, _, _rest = data.rpartition(b"\n")
        self._heard_bytes += len(whole) + bool(whole)
        for line in whole.decode(errors="replace").splitlines():
            _time, _, what = line.partition(" ")
            where, colon, words = what.partition(": ")
            if colon and where.partition(" ")[0] in ("evse", "station"):
                self.board.say(Source.HARDWARE, _in_words(words))

    async def serve_as_manager(self) -> None:
        """Start the agent again whenever it ends, as a service manager does, until cancelled."""
        while True:
            code = await self.agent.ended()
            self.board.say(Source.DEMO, f"the agent ended with {code}; I start it again")
            await asyncio.sleep(RESTART_S)
            await self.agent.start()


def _in_words(words: str) -> str:
    head, _, state = words.partition(" ")
    if head == "pilot" and state in PILOT:
        return f"control pilot {state}: {PILOT[state]}"
    return words
