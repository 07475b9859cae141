"""The whole simulated charger, running: lines, readers, world, and the socket by which people's hands reach it.

    async with SimulatedHardware(station, socket_path="/run/sim.sock") as hw:
        await hw.do("plug-in", evse=1)
        await hw.wait("contactor", "closed", evse=1, timeout_s=5)

Time is the event loop's. The socket takes one JSON line for each request, {"verb": "plug-in", "evse": 1}, and answers
{"ok": true, "value": ""} or {"ok": false, "error": "one line"}. State lives here: agents may come and go.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drivers.reason import reason
from drivers.simulated.devices import build_devices
from drivers.simulated.plan import SimBus, SimStation
from drivers.simulated.rapi import RapiBoard
from drivers.simulated.readers import CardReader
from drivers.simulated.server import AsciiLine, Line, RtuLine, TcpLine, Thinking
from drivers.simulated.verbs import Hands, SimError, same
from drivers.simulated.world import Hears, World, nobody

TICK_S = 0.1  # the world is brought to the present at least this often
LEAST_TICK_S = 0.001
WAIT_MAX_S = 3600.0
LINE_BYTES = 65536


class SimulatedHardware:
    """`station` is what to simulate; ports, readers and the socket exist while the context is entered."""

    def __init__(self, station: SimStation, socket_path: str | Path | None = None, on_event: Hears = nobody) -> None:
        self.world = World(station, on_event)
        self.devices = build_devices(self.world)
        self.readers = [CardReader(plan) for plan in station.readers]
        self.boards = _rapi_boards(self)
        self.hands = Hands(self.world, tuple(self.devices.values()), self.readers)
        self.lines: dict[str, Line] = {bus.name: self._line(k, bus) for k, bus in enumerate(station.buses)}
        self.socket_path = Path(socket_path) if socket_path else None
        self._server: asyncio.Server | None = None
        self._clients: dict[asyncio.StreamWriter, None] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._start_s = 0.0

    def _line(self, k: int, bus: SimBus) -> Line:
        station = self.world.station
        units = {unit: device for (name, unit), device in self.devices.items() if name == bus.name}
        thinking = Thinking(station.latency_s, station.slow_s, station.seed + k)
        line = TcpLine if not bus.port else AsciiLine if bus.framing == "ascii" else RtuLine
        return line(bus, units, thinking, self.advance)

    async def __aenter__(self) -> Self:
        self._start_s = asyncio.get_running_loop().time()
        try:
            for line in self.lines.values():
                await line.open()
            for reader in self.readers:
                reader.open()
            for board in self.boards:
                board.open()
            await self._listen()
        except BaseException:
            await self.close()
            raise
        self._ticker = asyncio.create_task(self._tick())
        return self

    async def _listen(self) -> None:
        path = self.socket_path
        if path is None:
            return
        if path.exists() and not path.is_socket():
            raise FileExistsError(f"{path} exists and is no socket")
        if path.exists() and await _answers(path):
            raise FileExistsError(f"{path}: other simulated hardware answers there; end it first")
        path.unlink(missing_ok=True)
        try:
            self._server = await asyncio.start_unix_server(self._serve, str(path), limit=LINE_BYTES)
        except OSError as error:
            raise OSError(f"{path}: {reason(error)}") from None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Links, sockets and tasks are gone afterwards."""
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker
        if self._server is not None and self.socket_path is not None:
            self._server.close()
            self.socket_path.unlink(missing_ok=True)
        for writer in tuple(self._clients):
            writer.close()
        for reader in self.readers:
            reader.close()
        for board in self.boards:
            board.close()
        for line in self.lines.values():
            await line.close()

    def advance(self) -> None:
        """Bring the world to the present."""
        self.world.advance(asyncio.get_running_loop().time() - self._start_s)

    async def _tick(self) -> None:
        while True:
            self.advance()
            left_s = self.world.next_deadline() - self.world.now_s
            await asyncio.sleep(min(TICK_S, max(LEAST_TICK_S, left_s)))

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; raises what made time stand still, if anything did."""
        assert self._ticker is not None
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((stopped, self._ticker), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if self._ticker.done():
            self._ticker.result()

    async def do(self, verb: str, **args: Any) -> str:
        """Do one verb of `chargepoint sim` now; what it prints, "" for nothing. SimError of one line."""
        if verb == "wait":
            await self.wait(str(args["key"]), str(args["value"]), int(args["evse"]), float(args["timeout"]))
            return ""
        self.advance()
        return self.hands.do(verb, args)

    async def wait(self, key: str, value: str, evse: int, timeout_s: float) -> None:
        """Until `get key` says `value`; SimError with what it says instead when time is up."""
        until_s = self.world.now_s + min(timeout_s, WAIT_MAX_S)
        while not same(seen := await self.do("get", key=key, evse=evse), value):
            left_s = until_s - self.world.now_s
            if left_s <= 0:
                raise SimError(f"evse {evse}: {key} is {seen} after {timeout_s:g} s, not {value}")
            await asyncio.sleep(min(0.02, left_s))

    # The socket

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = None
        try:
            while line := await asyncio.wait_for(reader.readline(), WAIT_MAX_S):
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await asyncio.wait_for(writer.drain(), 5.0)
        except (ConnectionError, TimeoutError, ValueError):  # ValueError: a line longer than any request
            pass
        finally:
            self._clients.pop(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise SimError("a request is one JSON object")
            return {"ok": True, "value": await self._asked(request)}
        except (ValueError, OSError) as error:  # SimError, JSON that is none, a port that cannot be made
            return {"ok": False, "error": str(error)}

    async def _asked(self, request: Mapping[str, Any]) -> str:
        args = {key: value for key, value in request.items() if key != "verb"}
        if request.get("verb") == "wait" and (missing := {"key", "value", "evse", "timeout"} - args.keys()):
            raise SimError(f"wait needs {', '.join(sorted(missing))}")
        return await self.do(str(request.get("verb")), **args)


async def _answers(path: Path) -> bool:
    """Somebody listens there, and did not only leave the socket behind."""
    try:
        _, writer = await asyncio.wait_for(asyncio.open_unix_connection(str(path)), 1.0)
    except OSError:
        return False
    writer.close()
    return True


def _rapi_boards(hardware: SimulatedHardware) -> list[RapiBoard]:
    """The boards that speak another language than Modbus."""
    places = [(evse.rapi_port, evse.number) for evse in hardware.world.station.evses if evse.rapi_port]
    return [RapiBoard(port, hardware.world.points[number], hardware.advance) for port, number in places]
