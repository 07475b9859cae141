"""The wire on a serial line: one raw Modbus transaction by RTU (or another `Framing`). `bus.py` holds the policy.

It is our own because polling never stops: a station asks about seven times a second for years. One request by the
asynchronous client of pymodbus took 0.67 ms of a core, all in all (tasks, timers, a description of every packet, a
class for every PDU); by this wire it takes 0.38 ms, of which the kernel's part (write, wake, read) is 0.23 ms. And
pymodbus need not be loaded, which is 3.6 MiB. pyserial opens and configures the port, on a helper thread, since opening
may block; then the descriptor is ours, never blocks, and is watched by the loop.

Rules kept: one timer and one future a request; what was heard is bounded; bytes that nobody asked for are dropped; a
port that is lost (an error, a hang-up) ends the request under way at once.
"""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Sequence
from typing import TYPE_CHECKING

from drivers.bus import SerialSettings, WireError
from drivers.framing import COPIED, RTU, Framing, request_pdu, values_of
from drivers.reason import reason

if TYPE_CHECKING:
    from serial import Serial

READ_BYTES = 512
MAX_HEARD_BYTES = 1024  # an answer has 260 at most, an echo before it as many
JUST_HEARD_S = 0.05
TURNAROUND_S = 0.1  # silence after what no one answers, in which all take it in
MIN_NAP_S = 0.002  # a shorter one costs more than it saves
MAX_NAP_S = 0.02  # how much later than it could a lost port or another answer is noticed


class RtuWire:
    """A `Wire` on a serial port; opened anew for every connection."""

    def __init__(self, settings: SerialSettings, framing: Framing = RTU) -> None:
        self.name = settings.name
        self._settings = settings
        self._framing = framing
        self._char_s = settings.char_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._port: Serial | None = None
        self._fd = -1
        self._sent = self._unsent = b""
        self._heard = bytearray()
        self._heard_at: float | None = None  # when bytes came that nobody had asked for
        self._echoes = self._echoed = False
        self._answer: asyncio.Future[bytes] | None = None
        self._nap: asyncio.TimerHandle | None = None
        self._closings = 0

    @property
    def connected(self) -> bool:
        return self._port is not None

    async def connect(self, timeout_s: float) -> None:
        self.close()
        closings = self._closings
        try:
            async with asyncio.timeout(timeout_s):
                port = await open_port(self._settings)
        except TimeoutError:
            raise WireError("closed", f"did not open in {timeout_s:g} s") from None
        except (OSError, termios.error, ValueError) as error:
            raise WireError("closed", f"cannot be opened: {reason(error)}") from None
        if closings != self._closings:  # given up meanwhile
            port.close()
            raise WireError("closed", "went away")
        self._port, self._fd = port, port.fileno()
        self._echoes = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._on_readable)

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        loop = self._loop
        if loop is None or self._port is None:
            raise WireError("closed", "went away")
        assert self._answer is None, "one request at a time"
        self._sent = self._framing.wrap(unit, request_pdu(function, address, payload))
        self._heard.clear()
        self._echoed = False
        self._answer = answer = loop.create_future()
        timer = loop.call_later(timeout_s, self._on_timeout)
        try:
            self._send(self._sent)
            pdu = await answer
        finally:
            timer.cancel()
            self._answer = None
            self._settle(function)
        return values_of(pdu, function, address, payload)

    async def broadcast(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        """A write that no one answers: sent, and the turnaround waited out."""
        if self._port is None:
            raise WireError("closed", "went away")
        frame = self._framing.wrap(unit, request_pdu(function, address, payload))
        try:
            self._send(frame)
            await asyncio.sleep(len(frame) * self._char_s + TURNAROUND_S)
            if self._unsent:
                raise WireError("timeout", "takes no bytes")
        finally:
            if self._unsent:
                self._stop_sending()
        if self._port is None:
            raise WireError("closed", "went away")
        return []

    async def drain(self, window_s: float) -> None:
        """Once more the window when bytes came at its very end."""
        await asyncio.sleep(window_s)
        if self._heard_at is not None and asyncio.get_running_loop().time() - self._heard_at < JUST_HEARD_S:
            await asyncio.sleep(window_s)
        if self._port is not None:
            self._on_readable()

    def close(self) -> None:
        self._closings += 1
        port, self._port = self._port, None
        if port is None:
            return
        assert self._loop is not None
        if self._nap is not None:
            self._nap.cancel()
            self._nap = None
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._unsent = b""
        port.close()
        self._fail(WireError("closed", "went away"))

    def _settle(self, function: int) -> None:
        """After a request: nothing of it is sent any more, and whether the line echoes is known for the next."""
        if self._unsent:
            self._stop_sending()
        if self._nap is not None:
            self._nap.cancel()
            self._wake()
        if self._heard and function not in COPIED:
            self._echoes = self._echoed

    def _send(self, data: bytes) -> None:
        try:
            sent = os.write(self._fd, data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close()
            return
        if sent == len(data):
            if self._unsent:
                self._stop_sending()
            return
        if not self._unsent and self._loop is not None:
            self._loop.add_writer(self._fd, self._on_writable)
        self._unsent = data[sent:]

    def _on_writable(self) -> None:
        self._send(self._unsent)

    def _stop_sending(self) -> None:
        self._unsent = b""
        if self._loop is not None and self._port is not None:
            self._loop.remove_writer(self._fd)

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        if self._answer is None or self._answer.done():
            assert self._loop is not None
            self._heard_at = self._loop.time()
            return
        heard = self._heard
        heard += data
        if len(heard) > MAX_HEARD_BYTES:
            del heard[:-MAX_HEARD_BYTES]
        found = self._framing.find(self._sent, heard, self._echoes)
        self._echoed = self._echoed or found.echoed
        if found.pdu is not None:
            self._answer.set_result(found.pdu)
        elif found.missing:
            self._doze(found.missing)

    def _doze(self, missing: int) -> None:
        """The rest would come in many small pieces, each of which wakes the process: look again when it must be there.
        Not for long, as the length may be noise."""
        nap_s = min(missing * self._char_s, MAX_NAP_S)
        if nap_s < MIN_NAP_S or self._loop is None:
            return
        self._loop.remove_reader(self._fd)
        self._nap = self._loop.call_later(nap_s, self._wake)

    def _wake(self) -> None:
        self._nap = None
        if self._loop is not None and self._port is not None:
            self._loop.add_reader(self._fd, self._on_readable)

    def _on_timeout(self) -> None:
        only_echo = self._echoed and len(self._heard) == len(self._sent)
        if self._heard and not only_echo:
            self._fail(WireError("garbage", "checksum or length wrong"))
        else:
            self._fail(WireError("timeout"))

    def _fail(self, error: WireError) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


async def open_port(settings: SerialSettings) -> Serial:
    """Open the port on a thread; a port that opens after we gave up is closed again."""
    future = asyncio.get_running_loop().run_in_executor(None, _open_port, settings)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(_close_late)
        raise


def _open_port(settings: SerialSettings) -> Serial:
    from serial import Serial

    bytes_only = is_pseudo_terminal(settings.port)
    port = Serial(
        settings.port,
        settings.baud,
        parity="N" if bytes_only else settings.parity,  # the kernel refuses parity on those
        stopbits=settings.stop_bits,
        timeout=0,
        inter_byte_timeout=0,  # VMIN 1: then a read of nothing is a hang-up, and nothing else
        exclusive=True,
    )
    os.set_blocking(port.fileno(), False)
    _hasten(port)
    if settings.rs485 and not bytes_only:
        try:
            _let_the_kernel_switch(port)
        except (OSError, ValueError):
            port.close()
            raise ValueError("it has no RS-485 mode that the kernel could switch; remove rs485 = true") from None
    return port


def _hasten(port: Serial) -> None:
    """A USB adapter holds back what it has heard for up to 16 ms, unless it is asked not to."""
    try:
        port.set_low_latency_mode(True)
    except ValueError:  # pyserial's word for a port whose driver knows no such flag: it holds nothing back
        return


def _let_the_kernel_switch(port: Serial) -> None:
    from serial.rs485 import RS485Settings

    port.rs485_mode = RS485Settings()


def is_pseudo_terminal(port: str) -> bool:
    """A pseudo-terminal carries bytes, not bits: speed and parity mean nothing on it."""
    return os.path.realpath(port).startswith("/dev/pts/")


def _close_late(future: asyncio.Future[Serial]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().close()
