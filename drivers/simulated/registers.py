"""The registers of a simulated device, computed from the world through the very rows that the drivers read.

`SimDevice.read(table, address, count)` gives words, a Modbus exception code, or None for no answer at all, and
`write(table, address, words)` turns orders back into the world. It does no I/O and knows no time: whoever calls has
advanced the world. A device is strict where a real one is: reads over its limit, addresses it does not have and orders
outside its range are refused with the exception that Modbus has for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.api import Fault
from drivers.mapwords import Choice, Device, EvseMap, Flag, MeterMap
from drivers.registers import Row, decode, encode, encode_text, put, raw, words_from_bits
from drivers.simulated.charging_point import ChargingPoint

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_FAILURE = 1, 2, 3, 4
MODES = ("ok", "timeout", "garbage", "slow")
Answer = list[int] | int | None
_SHOWS: dict[str, Callable[[ChargingPoint], float]] = {  # what [info] rows of known names show
    "pwm current": lambda p: p.controller.pwm_a,
    "temperature 0.1 C": lambda p: p.temperature_c * 10.0,
    "external lock": lambda _: 1.0,
    "contactor operations": lambda p: float(p.controller.relay_count),
}


class MeterRegisters:
    """A meter's registers."""

    kind = "meter"

    def __init__(self, meter_map: MeterMap, point: ChargingPoint) -> None:
        self.map = meter_map
        self.point = point
        self.device = meter_map.device
        self.rows = [row for r in meter_map.registers for row in (r.row, *r.plus)]
        self._measures = {id(r.row): r for r in meter_map.registers}
        self.total = next(r.row for r in meter_map.registers if r.row.key == "Energy.Active.Import.Register")

    @property
    def mute(self) -> bool:
        return self.point.meter.silent

    def fill(self, image: dict[int, int], rows: Sequence[Row]) -> None:
        shown = self.point.shown()
        for row in rows:
            measure = self._measures.get(
                id(row)
            )  # what is added to a register holds nothing: it counts the other tariff
            value = None if measure is None else shown.value(measure.measurand, measure.phase)
            put(image, row, encode(row, 0.0 if value is None else value))

    def show_wh(self, energy_wh: float) -> float:
        """The energy as the register says it; ValueError when it cannot."""
        return decode(self.total, encode(self.total, energy_wh)) or 0.0

    def touched(self) -> None:
        """A meter does not care."""

    def write(self, table: str, address: int, words: Sequence[int]) -> int:
        return ILLEGAL_ADDRESS


class ControllerRegisters:
    """A controller's registers: what it senses, and what its master may order."""

    kind = "evse"
    mute = False

    def __init__(self, evse_map: EvseMap, point: ChargingPoint) -> None:
        self.map = evse_map
        self.point = point
        self.device = evse_map.device
        point.senses = frozenset(fault for fault, _ in evse_map.faults)
        self._memory: dict[tuple[str, int], int] = {}
        self._orders = self._writable()
        self._senses = self._readable()
        self.rows = [row for row, _ in self._senses] + [row for row, _ in self._orders.values()]
        self._fill = {id(row): show for row, show in self._senses}

    # Reading

    def _readable(self) -> list[tuple[Row, Callable[[], list[int] | None]]]:
        """Rows with what they show now, faults last: one that shares the pilot's register wins when present."""
        m, c = self.map, self.point.controller
        rows: list[tuple[Row, Callable[[], list[int] | None]]] = [(m.pilot.row, self._pilot)]
        for flag, is_set in ((m.contactor, lambda: c.closed), (m.lock, lambda: c.locked)):
            if flag is not None:
                rows.append((flag.row, _flag_words(flag, is_set)))
        if m.cable is not None:
            rows.append((m.cable, self._cable))
        if m.stop_button is not None:
            rows.append((m.stop_button.kind.row, self._stop_kind))
            if m.stop_button.count is not None:
                count = m.stop_button.count
                rows.append((count, lambda: encode(count, c.stop_presses)))
        rows += [(row, _info_words(row, self.point)) for row in m.info]
        return rows + [(flag.row, self._fault(fault, flag)) for fault, flag in m.faults]

    def _pilot(self) -> list[int]:
        choice, letter = self.map.pilot, self.point.pilot
        for word in (letter, {"E": "F", "F": "E"}.get(letter, letter)):  # boards with one word for both failures
            values = [value for value, known in choice.words.items() if known == word]
            if values:  # the second of several is the state with PWM: A2, B2, C2
                with_pwm = self.point.controller.pwm_a > 0 and len(values) > 1
                return words_from_bits(choice.row, values[1 if with_pwm else 0])
        return words_from_bits(choice.row, max(choice.words) + 1)

    def can_show(self, letter: str) -> bool:
        words = self.map.pilot.words.values()
        return letter in words or (letter in "EF" and not {"E", "F"}.isdisjoint(words))

    def _cable(self) -> list[int]:
        row = self.map.cable
        assert row is not None
        unknown = self.point.config.attached_cable and bool(row.absent)
        return encode(row, None if unknown else self.point.cable_a)

    def _stop_kind(self) -> list[int]:
        stop, c = self.map.stop_button, self.point.controller
        assert stop is not None
        value = stop.kind.value_of(c.stop_button) if c.stop_button else 0
        if stop.count is None:  # no counter: told once
            c.stop_button = ""
        return words_from_bits(stop.kind.row, value)

    def _fault(self, fault: Fault, flag: Flag) -> Callable[[], list[int] | None]:
        words = _flag_words(flag, lambda: fault in self.point.controller.faults)
        if flag.row.bit is not None or flag.row.type == "bit":
            return words
        present = words_from_bits(flag.row, flag.values[0])
        return lambda: present if fault in self.point.controller.faults else None

    def fill(self, image: dict[int, int], rows: Sequence[Row]) -> None:
        for row in rows:
            order = self._orders.get((row.table, row.at))
            if order is not None and order[0] is row:
                put(image, row, self._ordered(row))
                continue
            words = self._fill[id(row)]()
            if words is not None:
                put(image, row, words)

    def _ordered(self, row: Row) -> list[int]:
        """What a register that can be written holds now."""
        m, c = self.map, self.point.controller
        if row is m.offer.row:
            return encode(row, c.order_a) if c.order_a > 0 else words_from_bits(row, m.offer.pause & 0xFFFF)
        if m.watchdog is not None and row is m.watchdog.row:
            return encode(row, c.watchdog_s)
        if m.failsafe is not None and row is m.failsafe.row:
            return encode(row, c.failsafe_a)
        if m.stop_button is not None and row is m.stop_button.seen:
            return encode(row, c.stop_seen)
        if m.led is not None and row is m.led.row:
            return words_from_bits(row, _led_value(m.led, c.led))
        return [self._memory.get((row.table, row.at + k), 0) for k in range(row.words)]

    # Writing

    def touched(self) -> None:
        """A request came: unless the map has a register for it, that is what feeds the watchdog."""
        if self.map.feed is None:
            self.point.controller.touched(self.point.now_s)

    def _writable(self) -> dict[tuple[str, int], tuple[Row, Callable[[Row, list[int]], bool]]]:
        m = self.map
        orders: list[tuple[Row, Callable[[Row, list[int]], bool]]] = [(m.offer.row, self._set_offer)]
        orders += [(w.row, self._keep) for w in m.init]
        for holder, act in ((m.watchdog, self._set_watchdog), (m.failsafe, self._set_failsafe)):
            if holder is not None:
                orders.append((holder.row, act))
        for write, do in ((m.feed, self._feed), (m.unlock, self._unlock)):
            if write is not None:
                orders.append((write.row, do))
        if m.led is not None:
            orders.append((m.led.row, self._set_led))
        if m.stop_button is not None and m.stop_button.seen is not None:
            orders.append((m.stop_button.seen, self._set_seen))
        return {(row.table, row.at): (row, act) for row, act in orders}

    def write(self, table: str, address: int, words: Sequence[int]) -> int:
        """Take the words in, row by row; 0 or the exception code. Nothing is done when an address is not writable."""
        at, taken = address, []
        while at < address + len(words):
            order = self._orders.get((table, at))
            if order is None or at + order[0].words > address + len(words):
                return ILLEGAL_ADDRESS
            offset = at - address
            taken.append((order, list(words[offset : offset + order[0].words])))
            at += order[0].words
        refused = [row.key for (row, act), part in taken if not act(row, part)]
        self.point.settle()
        return ILLEGAL_VALUE if refused else 0

    def _set_offer(self, row: Row, words: list[int]) -> bool:
        offer = self.map.offer
        value_a = 0.0 if raw(row, words) == offer.pause else decode(row, words) or 0.0
        if value_a and not offer.min_a <= value_a <= offer.max_a:
            return False
        self.point.controller.order_a = value_a
        return True

    def _set_watchdog(self, row: Row, words: list[int]) -> bool:
        controller = self.point.controller
        controller.watchdog_s = decode(row, words) or 0.0
        controller.touched(self.point.now_s)
        return True

    def _set_failsafe(self, row: Row, words: list[int]) -> bool:
        self.point.controller.failsafe_a = decode(row, words) or 0.0
        return True

    def _set_led(self, row: Row, words: list[int]) -> bool:
        assert self.map.led is not None
        word = self.map.led.words.get(raw(row, words))
        if word is None:
            return False
        self.point.controller.led = word
        return True

    def _set_seen(self, row: Row, words: list[int]) -> bool:
        c = self.point.controller
        c.stop_seen = int(decode(row, words) or 0)
        if c.stop_seen == c.stop_presses:
            c.stop_button = ""
        return True

    def _unlock(self, row: Row, words: list[int]) -> bool:
        assert self.map.unlock is not None
        return raw(row, words) != self.map.unlock.value or self.point.controller.unlock()

    def _feed(self, _row: Row, _words: list[int]) -> bool:
        self.point.controller.touched(self.point.now_s)
        return True

    def _keep(self, row: Row, words: list[int]) -> bool:
        for k, word in enumerate(words):
            self._memory[row.table, row.at + k] = word
        return True


Part = MeterRegisters | ControllerRegisters


class SimDevice:
    """One unit on a line: a controller, a meter, or a controller with a meter in it."""

    def __init__(self, name: str, parts: Sequence[Part]) -> None:
        self.name = name
        self.parts = tuple(parts)
        self.mode = "ok"
        self._identity = [(e.row, e.values, e.texts) for p in parts for e in p.device.identify]
        self._spans: dict[str, tuple[int, int]] = {}
        for row in [r for p in parts for r in p.rows] + [row for row, _, _ in self._identity]:
            low, high = self._spans.get(row.table, (row.at, row.at))
            self._spans[row.table] = (min(low, row.at), max(high, row.at + row.words))
        self._limits: Device = max((p.device for p in parts), key=lambda d: d.max_words)
        self._cache: dict[tuple[str, int, int], list[tuple[Part, list[Row]]]] = {}

    @property
    def point(self) -> ChargingPoint:
        return self.parts[0].point

    @property
    def mute(self) -> bool:
        """It does not answer: no power, or its own kind of silence."""
        return not self.point.controller.powered or all(p.mute for p in self.parts)

    def read(self, table: str, address: int, count: int) -> Answer:
        """Words, a Modbus exception code, or None for silence."""
        if self.mute:
            return None
        for part in self.parts:
            part.touched()
        if table not in self._spans:
            return ILLEGAL_FUNCTION
        low, high = self._spans[table]
        if not 1 <= count <= self._limits.max_words:
            return ILLEGAL_VALUE
        if address < low or address + count > high:
            return ILLEGAL_ADDRESS
        image: dict[int, int] = {}
        try:
            self._fill(image, table, address, count)
        except ValueError:  # a value that its register cannot hold, or a part that is silent
            return DEVICE_FAILURE
        return [image.get(at, 0) for at in range(address, address + count)]

    def _fill(self, image: dict[int, int], table: str, address: int, count: int) -> None:
        for row, values, texts in self._identity:
            if row.table == table and row.at < address + count and row.at + row.words > address:
                put(image, row, _identity_words(row, values, texts))
        for part, rows in self._rows(table, address, count):
            if rows and part.mute:
                raise ValueError("the meter in this controller is silent")
            part.fill(image, rows)
        for row, values, texts in self._identity:  # asked for by itself it wins over a value that covers it
            if (row.table, row.at, row.words) == (table, address, count):
                put(image, row, _identity_words(row, values, texts))

    def _rows(self, table: str, address: int, count: int) -> list[tuple[Part, list[Row]]]:
        key = (table, address, count)
        found = self._cache.get(key)
        if found is None:
            end = address + count
            found = [
                (p, [r for r in p.rows if r.table == table and r.at < end and r.at + r.words > address])
                for p in self.parts
            ]
            if len(self._cache) < 64:
                self._cache[key] = found
        return found

    def write(self, table: str, address: int, words: Sequence[int]) -> int | None:
        """0 when done, else a Modbus exception code, or None for silence."""
        if self.mute:
            return None
        code = ILLEGAL_ADDRESS
        for part in self.parts:
            part.touched()
            code = part.write(table, address, words)
            if code != ILLEGAL_ADDRESS:
                break
        return code


def _flag_words(flag: Flag, is_set: Callable[[], bool]) -> Callable[[], list[int]]:
    if flag.row.bit is not None:
        on, off = flag.values[0], 1 - flag.values[0]
    else:
        on, off = flag.values[0], next(value for value in range(len(flag.values) + 1) if value not in flag.values)
    yes, no = words_from_bits(flag.row, on), words_from_bits(flag.row, off)
    return lambda: yes if is_set() else no


def _info_words(row: Row, point: ChargingPoint) -> Callable[[], list[int] | None]:
    show = _SHOWS.get(row.key)
    if show is None:
        return lambda: None
    return lambda: encode(row, show(point))


def _led_value(led: Choice, word: str) -> int:
    return led.value_of(word) if word else min(led.words)


def _identity_words(row: Row, values: tuple[int, ...], texts: tuple[str, ...]) -> list[int]:
    if row.type == "string":
        return encode_text(row, (texts[0] if texts else "SIMULATED-0001")[: 2 * row.words])
    return words_from_bits(row, values[0] if values else 1)
