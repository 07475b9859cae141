"""A wire with register tables behind it, for drivers on a virtual clock: what was written, and failures on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from drivers.bus import WireError
from drivers.registers import Row, put

TABLE = {1: "coil", 2: "discrete", 3: "holding", 4: "input", 5: "coil", 6: "holding", 16: "holding"}


class RegisterWire:
    """All units share the tables; `fails` may raise for a function and address, before or after the write was done."""

    name = "registers"

    def __init__(self) -> None:
        self.connected = False
        self.tables: dict[str, dict[int, int]] = {table: {} for table in ("coil", "discrete", "holding", "input")}
        self.reads: list[tuple[str, int, int]] = []
        self.writes: list[tuple[int, list[int]]] = []
        self.functions: list[int] = []
        self.fails: Callable[[int, int], str | None] = lambda function, address: None
        self.on_write: Callable[[int, list[int]], None] = lambda address, words: None

    def set(self, row: Row, words: Sequence[int]) -> None:
        put(self.tables[row.table], row, words)

    async def connect(self, timeout_s: float) -> None:
        self.connected = True

    async def transact(
        self, unit: int, function: int, address: int, payload: int | Sequence[int], timeout_s: float
    ) -> list[int]:
        self.functions.append(function)
        await asyncio.sleep(0.01)
        kind = self.fails(function, address)
        table = self.tables[TABLE[function]]
        if isinstance(payload, int):
            self._fail(kind)
            self.reads.append((TABLE[function], address, payload))
            return [table.get(address + i, 0) for i in range(payload)]
        if kind != "refused":  # else the device heard it, but its answer was lost
            self.writes.append((address, list(payload)))
            table.update({address + i: word for i, word in enumerate(payload)})
            self.on_write(address, list(payload))
        self._fail(kind)
        return []

    def _fail(self, kind: str | None) -> None:
        if kind == "refused":
            raise WireError("exception", code=2)
        if kind is not None:
            raise WireError(kind)

    async def drain(self, window_s: float) -> None:
        await asyncio.sleep(window_s)

    def close(self) -> None:
        self.connected = False
