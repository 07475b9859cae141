"""One owner for each serial line or TCP peer: every Modbus request of every driver goes through its `Bus`.

RTU has no sequence numbers, so an answer that comes after its timeout is taken, without any error, as the answer to the
next request. The rules kept here are the cure, and the rest of what a shared RS-485 line needs:
* one request at a time, in the order asked; silence between frames (3.5 characters, or what the device wants);
* after a timeout, a cancelled request or garbage the line is dirty: the next request first waits out the window in
  which a late answer may come, and drops what came (the quarantine);
* answers are checked (function, number of registers); "busy" is asked again; reads and writes of levels are repeated a
  bounded number of times within one deadline;
* a device that was asked twice before it answered rests until the other answer must have come, while others use the
  line; so a device that is late by up to 1.6 s (twice timeout and quarantine) never answers the wrong request;
* a device that has failed is asked once, not repeatedly, and takes at most half of the line's time: a dead meter cannot
  starve the controller beside it;
* a port that is absent, or goes away, is opened anew by whoever asks next, with a growing pause (at most 5 s).

All time is the running loop's; the bytes are moved by a `Wire` (drivers/wire.py, or a test's own).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from drivers.api import DriverError
from drivers.busstats import BusStats, DeviceStats, Exchange
from drivers.reason import BUSY, EXCEPTIONS, FAILURES, NO_SUCH_REGISTER, NoSuchRegister
from drivers.record import record

READ_FUNCTION = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
MAX_WAITING = 32
MAX_CONNECT_PAUSE_S = 5.0
CONNECT_TIMEOUT_S = 3.0
BUSY_PAUSE_S = 0.05


class WireError(Exception):
    """One raw transaction failed. `kind`: "timeout", "garbage", "closed" or "exception" (then `code` is Modbus's)."""

    def __init__(self, kind: str, why: str = "", code: int = 0) -> None:
        super().__init__(why or kind)
        self.kind = kind
        self.code = code


class Wire(Protocol):
    """What moves the bytes. All failures are `WireError`; nothing here repeats, waits or judges."""

    name: str

    @property
    def connected(self) -> bool: ...

    async def connect(self, timeout_s: float) -> None: ...

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        """Reads: `payload` is the count, the answer its words. Writes: `payload` is the words, the answer is empty."""
        ...

    async def drain(self, window_s: float) -> None:
        """Drop all that arrives for `window_s`."""
        ...

    def close(self) -> None: ...


@record
class SerialSettings:
    port: str
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1
    gap_s: float | None = None  # silence between frames; None: 3.5 characters, at least 1.75 ms
    rs485: bool = False  # let the kernel drive RTS as transmit enable
    framing: str = "rtu"  # or "ascii": two characters a byte

    @property
    def name(self) -> str:
        return self.port

    @property
    def char_s(self) -> float:
        """Time of one character on the line."""
        return (9 + self.stop_bits + (self.parity != "N")) / self.baud

    @property
    def byte_s(self) -> float:
        """Time of one byte of a frame."""
        return self.char_s * (2 if self.framing == "ascii" else 1)

    @property
    def silence_s(self) -> float:
        return self.gap_s if self.gap_s is not None else max(3.5 * self.char_s, 0.00175)


@record
class TcpSettings:
    host: str
    port: int = 502
    gap_s: float | None = None

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def byte_s(self) -> float:
        return 0.0

    @property
    def silence_s(self) -> float:
        return self.gap_s or 0.0


@record
class Policy:
    """How patient a bus is. Times beside what the bytes themselves take on the line."""

    timeout_s: float = 0.5  # until the answer begins
    retries: int = 2
    deadline_s: float = 5.0  # for one read or write with all its waiting and repeating
    quarantine_s: float = 0.3  # how much later than its timeout an answer may still come
    unit_pause_s: float | None = None  # silence when the next request is for another unit; None: twice the gap
    reopen_after: int = 10  # failures in a row, of all devices, after which the port is closed and opened anew


class _Device:
    def __init__(self, unit: int, label: str, stats: DeviceStats) -> None:
        self.unit, self.label, self.stats = unit, label, stats
        self.pause_s = 0.0
        self.timeout_s: float | None = None
        self.maps: list[object] = []  # what its registers mean, for a technician who looks on
        self.last_at = 0.0  # end of its last answer
        self.not_before = 0.0  # a failing device waits this long for its next turn
        self.transact: Callable[..., Awaitable[list[int]]] | None = None  # None: as the wire does it
        self.quiet_until = 0.0  # answers to repeated requests may still come; reads wait, other devices do not


class _Request(NamedTuple):
    device: _Device
    function: int
    address: int
    payload: int | Sequence[int]  # how many to read, or what to write


class Bus:
    """One line and its policy. Create it anywhere; all else inside a running loop. A `tap` is told of each exchange."""

    def __init__(self, wire: Wire, settings: SerialSettings | TcpSettings, policy: Policy | None = None) -> None:
        self.name = settings.name
        self.stats = BusStats()
        self.tap: Callable[[Exchange], None] | None = None
        self._wire = wire
        self._settings = settings
        self._policy = policy or Policy()
        self._clock: Callable[[], float] | None = None
        self._lock = asyncio.Lock()
        self._devices: dict[int, _Device] = {}
        self._waiting = self._failures = 0
        self._dirty = self._closed = False
        self._last_at = self._connect_at = self._connect_pause_s = 0.0
        self._last_unit: int | None = None
        self._connect_why = ""

    @property
    def epoch(self) -> int:
        """Counts the connections made: a driver that wrote set-up registers in another epoch writes them again."""
        return self.stats.connects

    def is_open(self) -> bool:
        return self._wire.connected

    def device(
        self, unit: int, label: str, pause_s: float = 0.0, timeout_s: float | None = None, meaning: object = None
    ) -> None:
        """Tell how a unit is called in messages, how much silence it wants (of two drivers: the longer) and its map."""
        device = self._device(unit)
        device.label = label
        device.pause_s = max(device.pause_s, pause_s)
        device.timeout_s = timeout_s if timeout_s is not None else device.timeout_s
        device.maps += [meaning] if meaning is not None else []

    async def read(self, unit: int, table: str, address: int, count: int) -> list[int]:
        """Registers (or bits as 0 and 1) of a table: "input", "holding", "coil", "discrete"."""
        return await self._ask(_Request(self._device(unit), READ_FUNCTION[table], address, count))

    async def write(self, unit: int, address: int, values: Sequence[int], function: int = 16) -> None:
        """Write registers (function 16), one register (6) or one coil (5). A level: it may reach the device twice."""
        assert function == 16 or (function in (5, 6) and len(values) == 1), "5 and 6 write one value"
        await self._ask(_Request(self._device(unit), function, address, values))

    async def broadcast(self, unit: int, address: int, values: Sequence[int]) -> None:
        """Write registers (function 16) of all who listen to that unit. No one answers, so no loss is noticed."""
        device = _Device(unit, f"broadcast to unit {unit}", DeviceStats())
        device.transact = getattr(self._wire, "broadcast", None)
        if device.transact is None:
            raise self._error(device, "needs a serial line")
        self._waiting += 1
        try:
            await self._in_turn(_Request(device, 16, address, values), 0.0, self._now() + self._policy.deadline_s)
        except WireError as error:
            raise self._error(device, f"the port {error}") from None
        finally:
            self._waiting -= 1

    async def open(self) -> None:
        """Try to connect now. Not needed (the first request does it) and never fails: the device may come later."""
        async with self._lock:
            self._closed = False
            try:
                await self._connect()
            except WireError:
                return

    async def close(self) -> None:
        """Release the port. Requests that wait or come later fail."""
        self._closed = True
        self._wire.close()

    async def _ask(self, request: _Request) -> list[int]:
        device = request.device
        if self._waiting >= MAX_WAITING:
            raise self._error(device, f"{self._waiting} requests are waiting for this line already")
        if isinstance(request.payload, int) and self._now() < device.not_before:
            raise self._error(device, device.stats.last_error)
        self._waiting += 1
        try:
            return await self._attempts(request)
        finally:
            self._waiting -= 1

    async def _attempts(self, request: _Request) -> list[int]:
        """Ask, and ask again within reason. Each attempt queues anew, so that others get their turn in between."""
        stats, timeout_s = request.device.stats, self._timeout_s(request)
        end = self._now() + self._policy.deadline_s
        tries, unanswered = 1 if stats.failing else 1 + self._policy.retries, 0
        while True:
            tries -= 1
            try:
                answer = await self._in_turn(request, timeout_s, end)
            except WireError as error:
                self._count(stats, error)
                unanswered += error.kind == "timeout"
                again = error.kind in ("timeout", "garbage") or error.code in BUSY
                late = self._now() + timeout_s + self._policy.quarantine_s > end
                if not again or tries == 0 or late:
                    raise self._failed(request.device, error, timeout_s) from None
                stats.repeats += 1
                if error.code in BUSY:
                    await asyncio.sleep(BUSY_PAUSE_S)
                continue
            stats.answers += 1
            stats.failing = self._failures = 0
            request.device.not_before = 0.0
            if unanswered and self._policy.quarantine_s:  # maybe this answered an earlier attempt, and more will come
                late_s = (unanswered + 1) * (timeout_s + self._policy.quarantine_s)
                request.device.quiet_until = self._now() + late_s
            return answer

    async def _in_turn(self, request: _Request, timeout_s: float, end: float) -> list[int]:
        await self._turn(request, end)
        began = self._now()
        try:
            return await self._once(request, timeout_s)
        finally:
            self.stats.busy_s += self._now() - began
            self._lock.release()

    async def _turn(self, request: _Request, end: float) -> None:
        """Take the line once the device has rested. Most often both is so at once, and no timer is needed."""
        device = request.device
        rest_until = device.last_at + device.pause_s if device.stats.requests else 0.0
        if isinstance(request.payload, int):
            rest_until = max(rest_until, device.quiet_until)
        if (rest_s := min(rest_until, end) - self._now()) > 0:  # meanwhile the line is free for other devices
            await asyncio.sleep(rest_s)
        try:
            if rest_until > end:
                raise TimeoutError
            if self._waiting == 1 and not self._lock.locked():
                await self._lock.acquire()
                return
            async with asyncio.timeout_at(end):
                await self._lock.acquire()
        except TimeoutError:
            raise self._error(device, f"no turn on the line in {self._policy.deadline_s:g} s") from None

    async def _once(self, request: _Request, timeout_s: float) -> list[int]:
        """One request and its checked answer. Whatever interrupts it leaves the line dirty, unless it was answered."""
        device, payload = request.device, request.payload
        await self._connect()
        await self._silence(device)
        began, answer, why = self._now(), [], "interrupted"
        device.stats.requests += 1
        self._dirty = True
        try:
            transact = device.transact or self._wire.transact
            answer = await transact(device.unit, request.function, request.address, payload, timeout_s)
            if isinstance(payload, int) and len(answer) != payload:
                raise WireError("garbage", f"{len(answer)} values where {payload} were asked")
            self._dirty, why = False, ""
        except WireError as error:
            why = f"exception {error.code}" if error.code else str(error)
            self._dirty = error.kind in ("timeout", "garbage")
            raise
        except asyncio.CancelledError:
            if self._policy.quarantine_s:
                device.quiet_until = self._now() + timeout_s + self._policy.quarantine_s
            raise
        finally:
            self._last_at = device.last_at = self._now()
            self._last_unit = device.unit
            if self.tap is not None:
                self.tap(Exchange(self.name, *request, answer, why, self._last_at - began))
        return answer

    async def _silence(self, device: _Device) -> None:
        """Wait until the line may be used; with the quarantine, when the last exchange ended badly."""
        if self._dirty:
            self.stats.quarantines += 1
            await self._wire.drain(self._policy.quarantine_s)
            self._last_at = self._now()
            self._dirty = False
        gap = self._settings.silence_s
        if self._last_unit not in (None, device.unit):
            gap = 2 * gap if self._policy.unit_pause_s is None else max(gap, self._policy.unit_pause_s)
        wait_s = max(self._last_at + gap, device.last_at + device.pause_s) - self._now()
        if self._last_unit is not None and wait_s > 0:
            await asyncio.sleep(wait_s)

    async def _connect(self) -> None:
        if self._closed:
            raise WireError("closed", "is closed")
        if self._wire.connected:
            return
        now = self._now()
        if now < self._connect_at:
            raise WireError("closed", self._connect_why)
        pause_s = min(max(2 * self._connect_pause_s, 0.25), MAX_CONNECT_PAUSE_S)
        self._connect_pause_s, self._connect_at = pause_s, now + pause_s
        try:
            await self._wire.connect(CONNECT_TIMEOUT_S)
        except WireError as error:
            self._connect_why = str(error)
            raise
        self.stats.connects += 1
        self._connect_at = self._connect_pause_s = 0.0
        self._dirty = False
        self._last_unit = None

    def _timeout_s(self, request: _Request) -> float:
        """Patience for the answer to begin, and the time that both frames take on the line."""
        words = request.payload if isinstance(request.payload, int) else len(request.payload)
        own = request.device.timeout_s
        return (self._policy.timeout_s if own is None else own) + (17 + 2 * words) * self._settings.byte_s

    def _count(self, stats: DeviceStats, error: WireError) -> None:
        stats.timeouts += error.kind == "timeout"
        stats.garbage += error.kind == "garbage"
        stats.refusals += error.kind == "exception"
        self._failures = 0 if error.kind == "exception" else self._failures + 1
        if self._failures >= self._policy.reopen_after and self._wire.connected:
            self._failures = 0
            self._wire.close()

    def _failed(self, device: _Device, error: WireError, timeout_s: float) -> DriverError:
        device.stats.failures += 1
        if error.kind == "exception":
            device.stats.failing = 0
            why = EXCEPTIONS.get(error.code, f"refuses with code {error.code}")
        else:
            device.stats.failing += 1
            if error.kind != "closed":
                rest_until = self._now() + timeout_s + 2 * self._policy.quarantine_s
                if self._policy.quarantine_s:
                    device.quiet_until = rest_until  # a slow device may still send
                if device.stats.failing > 1:  # and a dead one gets at most half of the line
                    device.not_before = rest_until + timeout_s
            why = FAILURES[error.kind](error, timeout_s)
        device.stats.last_error = why
        kind = NoSuchRegister if error.code == NO_SUCH_REGISTER else DriverError
        return kind(str(self._error(device, why)))

    def _error(self, device: _Device, why: str) -> DriverError:
        told = f" on {self.name}" in device.label  # some labels say it
        return DriverError(f"{device.label}{'' if told else f' on {self.name}'}: {why}")

    def _device(self, unit: int) -> _Device:
        device = self._devices.get(unit)
        if device is None:
            stats = self.stats.devices[unit] = DeviceStats()
            device = self._devices[unit] = _Device(unit, f"unit {unit}", stats)
        return device

    def _now(self) -> float:
        if self._clock is None:  # asked a dozen times a request, and finding the loop costs a system call each time
            self._clock = asyncio.get_running_loop().time
        return self._clock()
