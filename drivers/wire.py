"""The bus over a real port: `rtu.py` for a serial line, pymodbus for a TCP peer. `bus.py` holds the policy.

pymodbus is imported when the first TCP wire connects, never its server. Switched off in it, because `bus.py` does it:
retries, reconnecting (which is never started for a peer that is absent at start), and its log, which calls every
timeout an error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.bus import Bus, Policy, SerialSettings, TcpSettings, WireError
from drivers.framing import RTU, Framing
from drivers.reason import reason
from drivers.rtu import RtuWire

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusTcpClient

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
    if isinstance(settings, SerialSettings):
        return Bus(RtuWire(settings, _framing(settings)), settings, policy)
    return Bus(PymodbusWire(settings), settings, policy or Policy(quarantine_s=0.0, reopen_after=3))


def _framing(settings: SerialSettings) -> Framing:
    if settings.framing == "ascii":
        from drivers.ascii import ASCII  # few devices want it

        return ASCII
    return RTU


class PymodbusWire:
    """A `Wire` by pymodbus's asynchronous client; a new client for every connection."""

    def __init__(self, settings: TcpSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._client: AsyncModbusTcpClient | None = None
        self._pending = False
        self._heard_at: float | None = None
        self._why = ""

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.connected

    async def connect(self, timeout_s: float) -> None:
        self.close()
        client = self._new_client()
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

    def _new_client(self) -> AsyncModbusTcpClient:
        from pymodbus.client import AsyncModbusTcpClient

        client = AsyncModbusTcpClient(self._settings.host, port=self._settings.port, **self._options())
        create = client.ctx.call_create
        client.ctx.call_create = lambda: self._telling(create())
        return client

    async def _telling(self, opening: Coroutine[Any, Any, T]) -> T:
        """Keep the reason for a failure, which pymodbus swallows."""
        try:
            return await opening
        except (OSError, ValueError) as error:
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
