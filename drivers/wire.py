"""The wire over pymodbus: one raw Modbus transaction on a serial line (RTU) or a TCP peer. `bus.py` holds the policy.

pymodbus is imported when the first wire connects, never its server. Switched off in it, because `bus.py` does it:
retries, reconnecting (which is never started for a port that is absent at start), and its log, which calls every
timeout an error. The serial port is opened on a helper thread, since opening may block.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import termios
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.bus import Bus, Policy, SerialSettings, TcpSettings, WireError
from drivers.reason import reason

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
    from pymodbus.transport.serialtransport import SerialTransport

T = TypeVar("T")
METHOD = {
    1: "read_coils",
    2: "read_discrete_inputs",
    3: "read_holding_registers",
    4: "read_input_registers",
    5: "write_coil",
    6: "write_register",
    16: "write_registers",
}


def make_bus(settings: SerialSettings | TcpSettings, policy: Policy | None = None) -> Bus:
    """A bus over a real port. TCP needs no quarantine (its frames are numbered), but breaks silently."""
    if policy is None and isinstance(settings, TcpSettings):
        policy = Policy(quarantine_s=0.0, reopen_after=3)
    return Bus(PymodbusWire(settings), settings, policy)


class PymodbusWire:
    """A `Wire` by pymodbus's asynchronous client; a new client for every connection."""

    def __init__(self, settings: SerialSettings | TcpSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._client: AsyncModbusSerialClient | AsyncModbusTcpClient | None = None
        self._pending = False
        self._heard_at: float | None = None
        self._why = ""

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.connected

    async def connect(self, timeout_s: float) -> None:
        self.close()
        client = self._serial() if isinstance(self._settings, SerialSettings) else self._tcp(self._settings)
        try:
            async with asyncio.timeout(timeout_s):
                connected = await client.connect()
                await asyncio.sleep(0)  # the transport tells its protocol in the next round
        except TimeoutError:
            raise WireError("closed", f"did not open in {timeout_s:g} s") from None
        if not connected:
            raise WireError("closed", f"cannot be opened: {self._why}")
        self._client = client

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        client = self._client
        if client is None or not client.connected:
            raise WireError("closed", "went away")
        self._pending, self._heard_at = True, None
        try:
            async with asyncio.timeout(timeout_s):
                pdu = await _request(client, unit, function, address, payload)
        except TimeoutError:
            if self._heard_at is not None:
                raise WireError("garbage", "checksum or length wrong") from None
            raise WireError("timeout") from None
        except (OSError, _modbus_exception()):
            raise WireError("closed", "went away") from None
        finally:
            self._pending = False
        return _checked(pdu, function, address, payload)

    async def drain(self, window_s: float) -> None:
        """Once more the window when bytes came at its very end."""
        await asyncio.sleep(window_s)
        if self._heard_at is not None and asyncio.get_running_loop().time() - self._heard_at < 0.05:
            await asyncio.sleep(window_s)
        if self._client is not None:
            self._client.ctx.recv_buffer = b""

    def close(self) -> None:
        self._on_connect(False)
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _serial(self) -> AsyncModbusSerialClient:
        from pymodbus.client import AsyncModbusSerialClient

        settings = self._settings
        assert isinstance(settings, SerialSettings)
        client = AsyncModbusSerialClient(
            settings.port,
            baudrate=settings.baud,
            parity=settings.parity,
            stopbits=settings.stop_bits,
            **self._options(),
        )
        client.ctx.call_create = lambda: self._telling(_open_serial(client.ctx, settings))
        return client

    def _tcp(self, settings: TcpSettings) -> AsyncModbusTcpClient:
        from pymodbus.client import AsyncModbusTcpClient

        client = AsyncModbusTcpClient(settings.host, port=settings.port, **self._options())
        create = client.ctx.call_create
        client.ctx.call_create = lambda: self._telling(create())
        return client

    async def _telling(self, opening: Coroutine[Any, Any, T]) -> T:
        """Keep the reason for a failure, which pymodbus swallows."""
        try:
            return await opening
        except (OSError, termios.error, ValueError) as error:
            self._why = reason(error)
            raise OSError(self._why) from None

    def _options(self) -> dict[str, Any]:
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)
        return {
            "name": self.name,
            "retries": 0,
            "reconnect_delay": 0,
            "timeout": None,  # the deadline is ours, and one timer less runs for each request
            "trace_packet": self._on_packet,
            "trace_connect": self._on_connect,
        }

    def _on_packet(self, sending: bool, data: bytes) -> bytes:
        if not sending:
            self._heard_at = asyncio.get_running_loop().time()
        return data

    def _on_connect(self, connected: bool) -> None:
        """A lost connection ends the request under way at once."""
        if connected or not self._pending or self._client is None:
            return
        future = self._client.ctx.response_future
        if not future.done():
            future.set_exception(ConnectionError("lost"))


async def _open_serial(protocol: Any, settings: SerialSettings) -> tuple[SerialTransport, Any]:
    """Open the port on a thread; a port that opens after we gave up is closed again."""
    loop = asyncio.get_running_loop()
    future = loop.run_in_executor(None, _open_transport, loop, protocol, settings)
    try:
        transport = await asyncio.shield(future)
    except asyncio.CancelledError:
        future.add_done_callback(_close_late)
        raise
    transport.setup()
    return transport, protocol


def _open_transport(loop: asyncio.AbstractEventLoop, protocol: Any, settings: SerialSettings) -> SerialTransport:
    from pymodbus.transport.serialtransport import SerialTransport

    bytes_only = is_pseudo_terminal(settings.port)
    parity = "N" if bytes_only else settings.parity  # the kernel refuses parity on those
    transport = SerialTransport(loop, protocol, settings.port, settings.baud, 8, parity, settings.stop_bits, None)
    port = transport.sync_serial
    with contextlib.suppress(OSError, ValueError, NotImplementedError):  # few ports have a latency timer to shorten
        port.set_low_latency_mode(True)
    if settings.rs485 and not bytes_only:
        try:
            _let_the_kernel_switch(port)
        except (OSError, ValueError):
            port.close()
            raise ValueError("it has no RS-485 mode that the kernel could switch; remove rs485 = true") from None
    return transport


def _let_the_kernel_switch(port: Any) -> None:
    from serial.rs485 import RS485Settings

    port.rs485_mode = RS485Settings()


def is_pseudo_terminal(port: str) -> bool:
    """A pseudo-terminal carries bytes, not bits: speed and parity mean nothing on it."""
    return os.path.realpath(port).startswith("/dev/pts/")


def _close_late(future: asyncio.Future[SerialTransport]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().sync_serial.close()


async def _request(client: Any, unit: int, function: int, address: int, payload: int | Sequence[int]) -> Any:
    method = getattr(client, METHOD[function])
    if isinstance(payload, int):
        return await method(address, count=payload, device_id=unit)
    value: Any = bool(payload[0]) if function == 5 else payload[0] if function == 6 else list(payload)
    return await method(address, value, device_id=unit)


def _checked(pdu: Any, function: int, address: int, payload: int | Sequence[int]) -> list[int]:
    """The values of an answer to just this request."""
    if pdu.isError():
        raise WireError("exception", code=pdu.exception_code)
    if pdu.function_code != function:
        raise WireError("garbage", f"answer to function {pdu.function_code} where {function} was asked")
    if not isinstance(payload, int):
        if pdu.address != address:
            raise WireError("garbage", f"confirms register {pdu.address} where {address} was written")
        return []
    if function in (1, 2):
        return [int(bit) for bit in pdu.bits[:payload]]
    return list(pdu.registers)


def _modbus_exception() -> type[Exception]:
    from pymodbus.exceptions import ModbusException

    return ModbusException
