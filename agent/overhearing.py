"""What `chargepoint trace` hears: the frames of OCPP and Modbus as they cross, decoded and without secrets. The flight
recorder listens to Modbus as well, always.

A line of the stream is `{"at": UTC, "kind": "ocpp", "way", "action", "evse", "text"}`, `{"at", "kind": "modbus", "bus",
"unit", "device", "function", "what", "values": [[name, value, registers] ...], "error", "took_ms"}`, `{"kind":
"missed", "count"}`, or `{"kind": "alive"}` when nothing crosses for a while. Rules kept:

* While nobody listens, nothing is made: a frame costs a look at an empty list, an exchange what the recorder takes.
* An answer bears the action and the EVSE of its call; so does what names only a transaction.
* Redacted as in a bundle (`edge.redaction`), before it leaves the process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from agent.core.security import timestamp
from agent.edge.control import Peer, Stream
from agent.edge.trace import Listener
from agent.errors import AgentError
from agent.recording_bus import BusFrames

if TYPE_CHECKING:
    from agent.daemon import Daemon
    from agent.edge.redaction import Redactor
    from drivers.busstats import Exchange

ALIVE_S = 15.0
LONGEST_S = 24 * 3600.0
MAX_CALLS = 64  # whose answers are awaited
MAX_TEXT = 4096
KINDS = ("ocpp", "modbus")
_FUNCTIONS = {1: "read", 2: "read", 3: "read", 4: "read", 5: "write", 6: "write", 15: "write", 16: "write"}
_EVSE_NAMES = ("connectorId", "evseId")

Told = tuple[float, str, str] | tuple[float, "Exchange"]


class Overhearing:
    def __init__(self, daemon: Daemon) -> None:
        self._d = daemon
        self._taps: list[Callable[[Exchange], None]] = []
        if daemon.recorder is not None:
            frames = BusFrames(daemon.recorder.exchange, daemon.clock.mono)
            daemon.recorder.begins = frames.forget
            self._tap(frames.hear)

    async def trace(self, request: Mapping[str, Any], _peer: Peer) -> Stream:
        """Hears from now on what the request wants: `kind`, `evse`, `action`, `device`, each None for all, and
        for `for_s` seconds."""
        wish = _Wish(request)
        if request.get("kind") not in (None, *KINDS):
            raise AgentError(f"kind is {' or '.join(KINDS)}")
        listener: Listener[Told] = Listener()
        return Stream(self._lines(wish, listener))

    async def _lines(self, wish: _Wish, listener: Listener[Told]) -> AsyncIterator[dict[str, Any]]:
        from agent.edge.redaction import Redactor

        def frame(mono: float, way: str, text: str) -> None:
            listener.tell((mono, way, text))

        def exchange(told: Exchange) -> None:
            listener.tell((self._d.clock.mono(), told))

        if "ocpp" in wish.kinds and not self._d.support.trace.listen(frame):
            raise AgentError("enough others listen already")
        if "modbus" in wish.kinds:
            self._tap(exchange)
        reader = _Reader(wish, Redactor(self._d.log.secrets), self._where)
        try:
            async for told in _by_and_by(listener, wish.for_s):
                line = told if isinstance(told, dict) else self._line(reader, told)
                if line is not None:
                    yield line
        finally:
            if "ocpp" in wish.kinds:
                self._d.support.trace.leave(frame)
            if "modbus" in wish.kinds:
                self._untap(exchange)

    def _line(self, reader: _Reader, told: Told) -> dict[str, Any] | None:
        now = self._d.clock.now()
        utc = now.utc - (now.mono - told[0])
        at = f"{timestamp(utc)[:-1]}.{int(utc % 1 * 1000):03}Z"
        line = reader.exchange(told[1]) if len(told) == 2 else reader.frame(told[1], told[2])
        return None if line is None else {"at": at, **line}

    def _tap(self, tap: Callable[[Exchange], None]) -> None:
        self._taps.append(tap)
        self._set_taps()

    def _untap(self, tap: Callable[[Exchange], None]) -> None:
        self._taps.remove(tap)
        self._set_taps()

    def _set_taps(self) -> None:
        for bus in self._d.built.parts.buses.values():
            bus.tap = self._taps[0] if len(self._taps) == 1 else self._told if self._taps else None

    def _told(self, exchange: Exchange) -> None:
        for tap in self._taps:
            tap(exchange)

    def _where(self, transaction: str) -> int | None:
        """The EVSE of a transaction, by our name or the CSMS's."""
        for evse in self._d.built.station.facts.evses.values():
            if evse.tx is not None and transaction in (evse.tx.id, str(evse.tx.csms_id)):
                return evse.id
        return None


async def _by_and_by(listener: Listener[Told], for_s: float) -> AsyncIterator[Told | dict[str, Any]]:
    loop = asyncio.get_running_loop()
    ends = loop.time() + for_s
    while (left_s := ends - loop.time()) > 0:
        if listener.missed:
            missed, listener.missed = listener.missed, 0
            yield {"kind": "missed", "count": missed}
        try:
            async with asyncio.timeout(min(left_s, ALIVE_S)):
                told = await listener.heard()
        except TimeoutError:
            yield {"kind": "alive"}
            continue
        yield told


class _Wish:
    """What is to be told."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        kind, evse = request.get("kind"), request.get("evse")
        self.action = str(request.get("action") or "").lower()
        self.device = str(request.get("device") or "").lower()
        self.evse = evse if isinstance(evse, int) else None
        for_s = request.get("for_s")
        self.for_s = float(for_s) if isinstance(for_s, int | float) and for_s > 0 else LONGEST_S
        ocpp = kind in (None, "ocpp") and not self.device
        modbus = kind in (None, "modbus") and not self.action
        self.kinds = {word for word, wanted in (("ocpp", ocpp), ("modbus", modbus)) if wanted}


class _Reader:
    """Frames and exchanges as lines, or None when nobody asked for them."""

    def __init__(self, wish: _Wish, redactor: Redactor, where: Callable[[str], int | None]) -> None:
        self._wish, self._redactor, self._where = wish, redactor, where
        self._calls: dict[str, tuple[str, int | None]] = {}

    def frame(self, way: str, text: str) -> dict[str, Any] | None:
        action, evse, payload = self._read(text) if way != "=" else ("", None, text)
        wish = self._wish
        if wish.evse is not None and evse != wish.evse:
            return None
        if wish.action and wish.action not in action.lower():
            return None
        shown = self._redactor.finish(self._redactor.frame(payload) if way != "=" else self._redactor.text(payload))
        return {"kind": "ocpp", "way": way, "action": action, "evse": evse, "text": shown[:MAX_TEXT]}

    def _read(self, text: str) -> tuple[str, int | None, str]:
        """Action (`Heartbeat`, `Heartbeat answered`), EVSE, and the payload as text."""
        try:
            kind, number, *rest = json.loads(text)
            inner = json.dumps(rest[-1], ensure_ascii=False, separators=(",", ":"))
            if kind == 2:
                action, evse = str(rest[0]), self._evse(rest[1])
                self._calls[str(number)] = (action, evse)
                while len(self._calls) > MAX_CALLS:
                    del self._calls[next(iter(self._calls))]
                return action, evse, inner
        except (ValueError, TypeError, IndexError, RecursionError):
            return "", None, text
        action, evse = self._calls.pop(str(number), ("?", None))
        if kind == 3:
            return f"{action} answered", evse, inner
        return f"{action} refused", evse, json.dumps(rest, ensure_ascii=False, separators=(",", ":"))

    def _evse(self, payload: Any) -> int | None:
        if not isinstance(payload, dict):
            return None
        inner = payload.get("evse")
        found = inner.get("id") if isinstance(inner, dict) else None
        named = next((payload[name] for name in _EVSE_NAMES if isinstance(payload.get(name), int)), found)
        if named is None:
            info = payload.get("transactionInfo")
            name = info.get("transactionId") if isinstance(info, dict) else payload.get("transactionId")
            named = self._where(str(name)) if name is not None else None
        return named

    def exchange(self, told: Exchange) -> dict[str, Any] | None:
        from drivers.overheard import decoded

        wish = self._wish
        label = str(told.device.label)
        if wish.device and wish.device not in f"{label} unit {told.device.unit} {told.bus}".lower():
            return None
        if wish.evse is not None and f"EVSE {wish.evse} " not in f"{label} ":
            return None
        count = told.payload if isinstance(told.payload, int) else len(told.payload)
        return {
            "kind": "modbus",
            "bus": told.bus,
            "unit": told.device.unit,
            "device": label,
            "function": told.function,
            "what": f"{_FUNCTIONS.get(told.function, '?')} {count} at {told.address:04X}",
            "values": [] if told.error else [list(value) for value in decoded(told)],
            "error": told.error,
            "took_ms": round(told.took_s * 1000, 1),
        }
