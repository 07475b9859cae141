"""What the running agent tells of single things: an EVSE, a meter, transactions, the queue, variables, what happened.

Each is an answer to one request of the control socket, bounded in size, in the units of its names. Of a card four
characters are shown, and of what is secret nothing. Long lists are read in pages, between two steps of the runtime.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from agent.blocks.history import History, Past
from agent.blocks.logbook import Logbook
from agent.blocks.security import Security
from agent.blocks.writers import Writers
from agent.core.types import Instant, Mutability, VariableId
from agent.core.variables import Row, expected
from agent.errors import AgentError
from drivers.api import UNIT, shorten

if TYPE_CHECKING:
    from agent.config import DeviceConfig
    from agent.daemon import Daemon
    from agent.store.journal import DeadLetter
    from agent.store.journal import Row as JournalRow

PAGE_ROWS = 100
MAX_EVENTS = 1000
MAX_NAMES = 50
_SOURCES = {"pin": "protocol", "config": "configuration", "preset": "protocol preset", "default": "default"}
_CARDS = ("masterpassgroupid",)  # variables that name a card

Request = Mapping[str, Any]
T = TypeVar("T")


class Details:
    def __init__(self, daemon: Daemon) -> None:
        self._d = daemon

    def _block(self, kind: type[T]) -> T:
        return next(block for block in self._d.built.station.blocks if isinstance(block, kind))

    async def status(self, _request: Request) -> dict[str, Any]:
        return self._d.report.status()

    # --- EVSE and meter -----------------------------------------------------------------------------------------

    async def evse(self, request: Request) -> dict[str, Any]:
        """All that `status` tells of it, and its limits, its devices, and who was let in."""
        now = self._d.clock.now()
        return {"evses": [self._evse(number, now) for number in self._numbers(request)]}

    def _evse(self, number: int, now: Instant) -> dict[str, Any]:
        evse = self._d.built.station.facts.evses[number]
        config = next(each for each in self._d.config.evses if each.id == number)
        return self._d.report.evse(evse, now) | {
            "phases": evse.limits.phases,
            "hardware_limit_a": evse.limits.max_a,
            "csms_limit_a": evse.limit_a,
            "plugged": evse.plugged,
            "reserved": evse.reserved,
            "authorized": shorten(evse.grant.token.value) if evse.grant else None,
            "authorized_s": round(now.mono - evse.grant.at.mono) if evse.grant else None,
            "controller": _device(config.controller),
            "meter": _device(config.meter),
            "connector": config.connector,
        }

    async def meter(self, request: Request) -> dict[str, Any]:
        now = self._d.clock.now()
        return {"meters": [self._meter(number, now) for number in self._numbers(request)]}

    def _meter(self, number: int, now: Instant) -> dict[str, Any]:
        evse = self._d.built.station.facts.evses[number]
        config = next(each for each in self._d.config.evses if each.id == number)
        age_s = round(now.mono - evse.meter.at.mono, 1) if evse.meter else None
        samples = evse.meter.samples if evse.meter else ()
        return {
            "evse": number,
            "device": _device(config.meter),
            "age_s": age_s,
            "values": [
                {
                    "measurand": str(sample.measurand),
                    "phase": str(sample.phase) if sample.phase else None,
                    "value": sample.value,
                    "unit": UNIT[sample.measurand],
                    "age_s": age_s,
                }
                for sample in samples
            ],
            "faults": [fault for fault in self._d.report.evse(evse, now)["faults"] if fault["id"].startswith("meter")],
        }

    def _numbers(self, request: Request) -> list[int]:
        there = list(self._d.built.station.facts.evses)
        if request.get("evse") is None:
            return there
        number = whole(request, "evse", 1, 99)
        if number not in there:
            raise AgentError(f"there is no EVSE {number}; there is {', '.join(map(str, there))}")
        return [number]

    # --- transactions and the queue -------------------------------------------------------------------------------

    async def transactions(self, request: Request) -> dict[str, Any]:
        """Those that run, and the last that have ended, the newest first."""
        now, facts = self._d.clock.now(), self._d.built.station.facts
        given_up = {letter.transaction for letter in self._d.runtime.durable.dead_letters}
        waiting = await self._d.runtime.between(self._d.built.store.waiting)
        running = [
            {
                "id": evse.tx.id,
                "csms_id": evse.tx.csms_id,
                "evse": evse.id,
                "card": shorten(evse.tx.token.value) if evse.tx.token else None,
                "started_utc": evse.tx.started_at.utc,
                "ended_utc": None,
                "energy_wh": max(0, evse.tx.last_wh - evse.tx.started_wh),
                "started_wh": evse.tx.started_wh,
                "reason": None,
                "told_utc": None,
                "waiting": waiting.get(evse.tx.id, 0),
                "state": "ending" if evse.tx.stop else "running",
            }
            for evse in facts.evses.values()
            if evse.tx is not None
        ]
        limit = whole(request, "limit", 1, MAX_EVENTS, MAX_EVENTS)
        ended = [past_view(row, waiting.get(row.transaction, 0), given_up) for row in self._block(History).rows()]
        return {"now_utc": now.utc, "transactions": [*running, *reversed(ended)][:limit]}

    async def queue(self, request: Request) -> dict[str, Any]:
        """What waits for the CSMS, a page at a time (`after`: the row where the last page ended), and what was given
        up."""
        now, store = self._d.clock.now(), self._d.built.store
        after, limit = whole(request, "after", 0, 1 << 62, 0), whole(request, "limit", 1, PAGE_ROWS, PAGE_ROWS)
        rows = await self._d.runtime.between(lambda: store.page(after, limit))
        counts = store.counts()
        letters = self._d.runtime.durable.dead_letters
        return {
            "now_utc": now.utc,
            "rows": counts.rows,
            "bytes": counts.bytes,
            "waiting": [row_view(row) for row in rows],
            "next": rows[-1].id if len(rows) == limit else None,
            "given_up": len(letters),
            "dead_letters": [letter_view(letter) for letter in letters[: whole(request, "letters", 0, 10_000, 20)]],
            "link": self._d.report.status_of_link(),
        }

    # --- variables ------------------------------------------------------------------------------------------------

    async def variables(self, request: Request) -> dict[str, Any]:
        """Those of these `names`, or whose name has `match` in it; `changed`: only what somebody has set."""
        rows = list(self._d.built.station.facts.variables.rows())
        names, match = request.get("names"), str(request.get("match") or "").lower()[:100]
        if isinstance(names, list) and names:
            wanted = [row for name in names[:MAX_NAMES] for row in self._rows(str(name)[:200])]
            rows = list(dict.fromkeys(wanted))
        rows = [row for row in rows if match in str(row.id).lower()]
        views = [self._view(row) for row in rows]
        if request.get("changed") is True:
            views = [view for view in views if view["set"]]
        return {"variables": views}

    def _rows(self, name: str) -> list[Row]:
        """Of a variable, or of a key of the older protocol."""
        from agent.ocpp.v16 import keys

        variables = self._d.built.station.facts.variables
        found = [row for each in keys.resolve(name) if (row := variables.find(each)) is not None]
        if not found:
            from agent.config_toml import hint

            known = (*(str(row.id) for row in variables.rows()), *(key.name for key in keys.KEYS.values()))
            raise AgentError(f"there is no variable {name!r}; {hint(name, known, 'see chargepoint variables')}")
        return found

    def _view(self, row: Row) -> dict[str, Any]:
        variables, now = self._d.built.station.facts.variables, self._d.clock.now()
        name, last = str(row.id), self._block(Writers).last(str(row.id))
        source = variables.source(name)
        value = variables.view(row.id, now).value
        set_ = source == "csms" or (last is not None and variables.is_owned(row.id))
        if row.id.variable.lower() in _CARDS and value:
            value = shorten(value)
        return {
            "name": name,
            "value": value,
            "source": _SOURCES.get(source) or ("technician" if last and last[0] else "central system"),
            "set": set_,
            "by": last[0] or "central system" if last and set_ else None,
            "utc": last[1].utc if last and set_ else None,
            "default": row.default or None,
            "expected": expected(row),
            "unit": row.unit or None,
            "writable": row.mutability is not Mutability.READ_ONLY,
            "restart": row.reboot,
        }

    def assignments(self, name: str, value: str | None) -> Iterator[tuple[VariableId, str | None]]:
        """What setting this name means, variable by variable; AgentError in plain words."""
        from agent.ocpp.v16 import keys

        rows, key = self._rows(name), keys.find(name)
        if key is not None and key.read_only:
            raise AgentError(f"{key.name} is a fact of this program and cannot be set")
        made = keys.assignments(name, value) if value is not None else {str(row.id): None for row in rows}
        if made is None:
            raise AgentError(f"{name} does not take this value")
        for row in rows:
            yield row.id, made.get(str(row.id), value)

    def why_not(self, id_: VariableId, value: str | None) -> str:
        """More words for a variable that could not be set."""
        variables = self._d.built.station.facts.variables
        row = variables.row(id_)
        assert row is not None
        if value is None:
            return ""
        if row.mutability is Mutability.READ_ONLY:
            return ": it is told, not set"
        if variables.source(str(id_)) == "pin":
            return ": the protocol in use fixes it"
        return f": expected {expected(row)}" + (", and safe for the link" if variables.is_owned(id_) else "")

    # --- what happened --------------------------------------------------------------------------------------------

    async def events(self, request: Request) -> dict[str, Any]:
        """Faults, the link, orders and security events, the newest last; `limit` of them, `evse`: of one only."""
        evse = request.get("evse") if request.get("evse") is None else whole(request, "evse", 1, 99)
        kind = str(request.get("kind") or "")
        found = [
            {
                "utc": entry.at.utc,
                "clock_set": bool(entry.at.quality),
                "kind": entry.kind,
                "evse": entry.evse or None,
                "text": entry.text,
                "by": entry.by or None,
                "why": entry.why or None,
            }
            for entry in self._block(Logbook).entries()
        ]
        found += [
            {
                "utc": entry.at.utc,
                "clock_set": bool(entry.at.quality),
                "kind": "security",
                "evse": None,
                "text": f"{entry.kind}: {entry.info}" if entry.info else entry.kind,
                "by": None,
                "why": None,
            }
            for entry in self._block(Security).entries()
        ]
        kept = [row for row in found if (evse is None or row["evse"] == evse) and kind in ("", row["kind"])]
        kept.sort(key=lambda row: float(str(row["utc"])))
        return {"now_utc": self._d.clock.now().utc, "events": kept[-whole(request, "limit", 1, MAX_EVENTS, 200) :]}

    TABLE: ClassVar[Mapping[str, Callable[[Details, Request], Awaitable[dict[str, Any]]]]] = {
        "status": status,
        "evse": evse,
        "meter": meter,
        "transactions": transactions,
        "queue": queue,
        "variables": variables,
        "events": events,
    }


def whole(request: Request, key: str, low: int, high: int, default: int | None = None) -> int:
    """A number of the request; AgentError for what is none."""
    value = request.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise AgentError(f"{key} is a whole number from {low} to {high}")
    return value


def _device(device: DeviceConfig) -> str:
    """Which device it is and where, as the configuration says."""
    where = f" on {device.bus}" if device.bus else ""
    unit = f", unit {device.unit}" if device.unit is not None else ""
    return f"{device.map or device.driver}{where}{unit}"


def past_view(row: Past, waiting: int, given_up: set[str]) -> dict[str, Any]:
    """`waiting` 0 without a time: the end was told, and the store lost when."""
    state = "given up" if row.transaction in given_up else "waiting" if waiting else "told"
    return {
        "id": row.transaction,
        "csms_id": row.csms_id,
        "evse": row.evse,
        "card": row.card or None,
        "started_utc": row.started.utc if row.started else None,
        "ended_utc": row.ended.utc,
        "energy_wh": row.energy_wh - row.started_wh,
        "started_wh": row.started_wh,
        "reason": row.reason or None,
        "told_utc": row.told.utc if row.told else None,
        "waiting": waiting,
        "state": state,
    }


def row_view(row: JournalRow) -> dict[str, Any]:
    event = row.event
    return {
        "id": event.message_id,
        "kind": str(event.kind),
        "evse": event.evse,
        "utc": event.at.utc,
        "energy_wh": event.energy_wh,
    }


def letter_view(letter: DeadLetter) -> dict[str, Any]:
    event = letter.event
    told: dict[str, Any] = {"id": f"{letter.transaction}-{letter.seq}", "why": letter.why}
    if event is None:
        return told | {"kind": None}
    return told | {
        "kind": str(event.kind),
        "transaction": event.transaction,
        "evse": event.evse,
        "utc": event.at.utc,
        "started_utc": event.started_at.utc if event.started_at else None,
        "started_wh": event.started_wh,
        "energy_wh": event.energy_wh,
        "card": shorten(event.token.value) if event.token else None,
        "trigger": str(event.trigger),
        "reason": str(event.stop_reason) if event.stop_reason else None,
    }
