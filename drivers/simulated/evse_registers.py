"""A controller's registers: what it senses and what its master may order, through the rows that the driver uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from drivers.api import Fault
from drivers.mapwords import Choice, EvseMap, Flag
from drivers.registers import Row, decode, encode, put, raw, words_from_bits
from drivers.simulated.charging_point import NEVER_S, ChargingPoint

ILLEGAL_ADDRESS, ILLEGAL_VALUE = 2, 3
_SHOWS: dict[str, Callable[[ChargingPoint], float]] = {  # what [info] rows of known names show
    "pwm current": lambda p: p.controller.pwm_a,
    "temperature C": lambda p: p.temperature_c,
    "temperature 0.1 C": lambda p: p.temperature_c * 10.0,
    "external lock": lambda _: 1.0,
    "contactor operations": lambda p: float(p.controller.relay_count),
}


class ControllerRegisters:
    """A controller's registers: what it senses, and what its master may order."""

    kind = "evse"
    mute = False
    calls: tuple[int, ...] = ()  # units that it hears beside its own, and does not answer for

    def __init__(self, evse_map: EvseMap, point: ChargingPoint, connector: int = 1) -> None:
        self.map = evse_map
        self.point = point
        self.connector = connector
        self.device = evse_map.device
        self._limit_a = 0.0  # what a board with an enable register keeps while it is off
        self._own_watchdog()
        point.controller.divides = evse_map.offer.watts is not None
        point.senses = frozenset(fault for fault, _ in evse_map.faults)
        self._memory: dict[tuple[str, int], int] = {}
        self._orders = self._writable()
        self._senses = self._readable()
        self.rows = [row for row, _ in self._senses] + [row for row, _ in self._orders.values()]
        self._fill = {id(row): show for row, show in self._senses}

    def _own_watchdog(self) -> None:
        """What the device does without having been told; a current that only its own menu sets is that at boot."""
        m, c = self.map, self.point.controller
        if m.watchdog is not None and m.watchdog.row is None:
            c.watchdog_s = m.watchdog.value
        if m.watchdog is not None and (m.failsafe is None or m.failsafe.row is None):
            c.failsafe_a = m.failsafe.value if m.failsafe else self.point.config.boot_offer_a

    # Reading

    def _readable(self) -> list[tuple[Row, Callable[[], list[int] | None]]]:
        """Rows with what they show now, faults last: one that shares the pilot's register wins when present."""
        m, c = self.map, self.point.controller
        rows: list[tuple[Row, Callable[[], list[int] | None]]] = [(m.pilot.row, self._pilot)]
        for flag, is_set in self._flags():
            if not self._in_pilot(flag):
                rows.append((flag.row, _flag_words(flag, is_set)))
        if m.cable is not None:
            rows.append((m.cable, self._cable))
        if m.stop_button is not None:
            rows.append((m.stop_button.kind.row, self._stop_kind))
            if m.stop_button.count is not None:
                count = m.stop_button.count
                rows.append((count, lambda: encode(count, c.stop_presses)))
        rows += [(row, _info_words(row, self.point)) for row in m.info]
        if m.phases_told is not None:
            told = m.phases_told
            rows.append((told.row, lambda: words_from_bits(told.row, told.value_of(str(c.phases)))))
        return rows + [(flag.row, self._fault(fault, flag)) for fault, flag in m.faults]

    def _flags(self) -> list[tuple[Flag, Callable[[], bool]]]:
        m, c = self.map, self.point.controller
        flags = ((m.charging, self._charges), (m.contactor, lambda: c.closed), (m.lock, lambda: c.locked))
        return [(flag, is_set) for flag, is_set in flags if flag is not None]

    def _in_pilot(self, flag: Flag) -> bool:
        """The pilot's own number tells it, too."""
        return flag.row.bit is None and flag.row[1:3] == self.map.pilot.row[1:3]

    def _pilot(self) -> list[int]:
        choice, letter = self.map.pilot, self.point.pilot
        letter = "B" if self.map.charging and letter == "C" else letter
        for word in (letter, {"E": "F", "F": "E"}.get(letter, letter)):  # boards with one word for both failures
            values = [value for value, known in choice.words.items() if known == word]
            for flag, is_set in self._flags():
                if self._in_pilot(flag):
                    values = [v for v in values if flag.is_set(words_from_bits(flag.row, v)) == is_set()] or values
            if values:  # the second of several is the state with PWM: A2, B2, C2
                with_pwm = self.point.controller.pwm_a > 0 and len(values) > 1
                return words_from_bits(choice.row, values[1 if with_pwm else 0])
        return words_from_bits(choice.row, _unnamed(choice))

    def _charges(self) -> bool:
        return self.point.pilot == "C" and self.point.controller.pwm_a > 0

    def can_show(self, letter: str) -> bool:
        words = self.map.pilot.words.values()
        letter = "B" if self.map.charging and letter == "C" else letter
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
        present = words_from_bits(flag.row, _yes(flag))
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
            return self._offered(row)
        if m.enable is not None and row is m.enable.row:
            return words_from_bits(row, m.enable.on if c.order_a > 0 else m.enable.off)
        if m.watchdog is not None and row is m.watchdog.row:
            return encode(row, c.watchdog_s)
        if m.failsafe is not None and row is m.failsafe.row:
            return encode(row, c.failsafe_a)
        if m.stop_button is not None and row is m.stop_button.seen:
            return encode(row, c.stop_seen)
        if m.phases is not None and row is m.phases.row:
            return words_from_bits(row, m.phases.value_of(str(c.phases)))
        if m.led is not None and row is m.led.row:
            return words_from_bits(row, _led_value(m.led, c.led))
        return [self._memory.get((row.table, row.at + k), 0) for k in range(row.words)]

    def _offered(self, row: Row) -> list[int]:
        offer, order_a = self.map.offer, self.point.controller.order_a
        if order_a > 0 or offer.pause is None:
            return encode(row, order_a or self._limit_a)
        return words_from_bits(row, offer.pause & (1 << 16 * row.words) - 1)

    # Writing

    def touched(self) -> None:
        """A request came: unless the map has a register for it or wants the order repeated, that feeds the watchdog."""
        if self.map.feed is None and self.map.offer.repeat_s is None:
            self.point.controller.touched(self.point.now_s)

    def _writable(self) -> dict[tuple[str, int], tuple[Row, Callable[[Row, list[int]], bool]]]:
        m = self.map
        orders: list[tuple[Row, Callable[[Row, list[int]], bool]]] = [(m.offer.row, self._set_offer)]
        orders += [(w.row, self._keep) for w in m.init]
        if m.enable is not None:
            orders.append((m.enable.row, self._set_enable))
        for holder, act in ((m.watchdog, self._set_watchdog), (m.failsafe, self._set_failsafe)):
            if holder is not None and holder.row is not None:
                orders.append((holder.row, act))
        for write, do in ((m.feed, self._feed), (m.unlock, self._unlock)):
            if write is not None:
                orders.append((write.row, do))
        if m.wake is not None:
            orders.append((m.wake.row, self._set_wake))
        if m.phases is not None:
            orders.append((m.phases.row, self._set_phases))
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
        most_a = offer.max_a if offer.watts is None else 3 * offer.max_a
        if value_a and not offer.min_a <= value_a <= most_a:
            return False
        controller = self.point.controller
        self._limit_a = value_a
        if self.map.enable is None or controller.order_a > 0:
            controller.order_a = value_a
        if self.map.offer.repeat_s is not None:
            controller.touched(self.point.now_s)
        return True

    def _set_enable(self, row: Row, words: list[int]) -> bool:
        enable = self.map.enable
        assert enable is not None
        value = raw(row, words)
        if value in (enable.on, enable.off):
            self.point.controller.order_a = self._limit_a if value == enable.on else 0.0
        return value in (enable.on, enable.off)

    def _set_watchdog(self, row: Row, words: list[int]) -> bool:
        controller = self.point.controller
        controller.watchdog_s = decode(row, words) or 0.0
        controller.touched(self.point.now_s)
        return True

    def _set_failsafe(self, row: Row, words: list[int]) -> bool:
        self.point.controller.failsafe_a = decode(row, words) or 0.0
        return True

    def _set_phases(self, row: Row, words: list[int]) -> bool:
        assert self.map.phases is not None
        word = self.map.phases.words.get(raw(row, words))
        if word is None:
            return False
        self.point.controller.feed(int(word))
        return True

    def _set_wake(self, row: Row, words: list[int]) -> bool:
        wake, value = self.map.wake, raw(row, words)
        assert wake is not None
        ends_s = NEVER_S if wake.back is not None else self.point.now_s + wake.pulse_s
        self.point.controller.hold_off(ends_s if value == wake.value else 0.0)
        return self._keep(row, words)

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


def _flag_words(flag: Flag, is_set: Callable[[], bool]) -> Callable[[], list[int]]:
    on = _yes(flag)
    if flag.row.bit is not None:
        off = 1 - on
    else:
        off = next(value for value in range(len(flag.values) + 1) if value not in (flag.values or (on,)))
    yes, no = words_from_bits(flag.row, on), words_from_bits(flag.row, off)
    return lambda: yes if is_set() else no


def _yes(flag: Flag) -> int:
    """A register value that means yes."""
    return flag.values[0] if flag.values else flag.mask & -flag.mask


def _unnamed(choice: Choice) -> int:
    """A register value that the map has no word for."""
    step = choice.mask & -choice.mask
    return next(value for value in range(step, step * (len(choice.words) + 2), step) if value not in choice.words)


def _info_words(row: Row, point: ChargingPoint) -> Callable[[], list[int] | None]:
    show = _SHOWS.get(row.key)
    if show is None:
        return lambda: None
    return lambda: encode(row, show(point))


def _led_value(led: Choice, word: str) -> int:
    return led.value_of(word) if word else min(led.words)
