"""What the flight recorder has written, run through the same core once more: does each step give the same effects?

A segment is replayed from the image at its beginning, in a station that is put together anew. A step that gives other
effects than were recorded is a deviation: this version decides otherwise, or something was not recorded. Calls to the
CSMS are known by identity in the blocks, so a call in an event is the very one that was asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from agent.blocks.assembly import assemble
from agent.blocks.image import restore
from agent.blocks.station import Station
from agent.core.effects import Ask, Call, Effect
from agent.core.events import Event, MeterRead
from agent.core.flat import Unreadable, flat, unflat
from agent.core.network import Links
from agent.core.record import record, replace
from agent.core.types import ClockQuality, Instant
from drivers.api import Sample

_MODULE = re.compile(r"(?:core|blocks)\.[a-z0-9_]+")
_WRITES = (5, 6, 15, 16)
MAX_CALLS = 20_000
MAX_WHY = 200


@record
class Played:
    """One line of the recording. `kind`: one of `_LINES`, or "unreadable". `effects` are those of
    the replay, or the recorded ones where nothing can be replayed. `missing`: recorded and not given now; `new`: the
    reverse."""

    kind: str
    utc: float = 0.0
    event: Event | None = None
    effects: tuple[Effect, ...] = ()
    text: str = ""
    way: str = ""
    same: bool | None = None  # None: it was not replayed
    missing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    version: str = ""


class Player:
    def __init__(self) -> None:
        self._station: Station | None = None
        self._offset_s = 0.0
        self._boot = ""
        self._calls: dict[str, Call] = {}  # by what they say, for those from before the recording
        self._asked: dict[int | None, Call] = {}  # by their numbers in the recording
        self._layouts: dict[int, Any] = {}

    def play(self, lines: Iterator[str]) -> Iterator[Played]:
        for line in lines:
            try:
                yield from self._line(json.loads(line))
            except Exception as error:  # noqa: BLE001  a damaged or doctored file may hold anything
                self._station = None
                yield Played("unreadable", text=f"{error}"[:MAX_WHY] or type(error).__name__)

    def _line(self, parts: Any) -> Iterator[Played]:
        if not isinstance(parts, list) or not parts or parts[0] not in _LINES:
            raise Unreadable("a line that is none of a flight recorder's")
        yield from _LINES[parts[0]](self, *parts[1:])

    # --- the kinds of lines -------------------------------------------------------------------------------------

    def _head(self, about: dict[str, Any], build: Any) -> Iterator[Played]:
        self._station, self._calls, self._asked, self._layouts = None, {}, {}, {}
        self._boot = str(about["boot"])
        self._offset_s = float(about["utc"]) - float(about["mono"])
        text = str(about.get("trouble", ""))
        if build is not None:
            found = unflat(build, self._find)
            self._station = assemble(**{**found, "links": Links(*found["links"])})
        yield Played("head", float(about["utc"]), text=text, version=str(about.get("version", "?")))

    def _image(self, told: Any) -> Iterator[Played]:
        if self._station is not None:
            station, self._station = self._station, None
            restore(station, told, self._find)
            self._station = station
        yield from ()

    def _layers(self, told: Any) -> Iterator[Played]:
        layers = unflat(told, self._find)
        if self._station is not None:
            for name, values in layers.items():
                self._station.facts.variables.layer(name, values)
        yield from ()

    def _samples(self, number: int, layout: Any) -> Iterator[Played]:
        self._layouts[number] = unflat(layout, self._find)
        yield from ()

    def _heard(self, told: Any) -> Event:
        if told[0] != "M":
            found: Event = unflat(told, self._find)
            return found
        layout = self._layouts[told[2]]
        samples = (Sample(what, value, phase) for (what, phase), value in zip(layout, told[3:], strict=True))
        return MeterRead(told[1], tuple(samples))

    def _step(
        self, mono: float, utc: float, quality: int, event: Any, told: Any, calls: Sequence[int | None] = (None,)
    ) -> Iterator[Played]:
        now = Instant(mono, utc, ClockQuality(quality), self._boot)
        self._offset_s = utc - mono
        heard = self._heard(event)
        if calls[0] in self._asked:
            heard = replace(heard, call=self._asked[calls[0]])
        if self._station is None:
            effects = tuple(unflat(effect, self._find) for effect in told)
            yield Played("step", utc, heard, effects)
            return
        try:
            effects = tuple(self._station.handle(heard, now))
        except Exception as error:  # noqa: BLE001  whatever it is, it is a deviation
            self._station = None
            yield Played("step", utc, heard, (), same=False, missing=_shown(told), new=(f"raises {_named(error)}",))
            return
        self._remember(effects, calls[1:])
        recorded, given = [_dumps(one) for one in told], [_dumps(flat(one)) for one in effects]
        missing = tuple(one for one in recorded if one not in given)
        new = tuple(one for one in given if one not in recorded)
        yield Played("step", utc, heard, effects, "", "", recorded == given, missing, new)

    def _bug(self, mono: float, utc: float, quality: int, event: Any, text: str) -> Iterator[Played]:
        heard = self._heard(event)
        station, self._station = self._station, None
        raised = ""
        if station is not None:
            try:
                station.handle(heard, Instant(mono, utc, ClockQuality(quality), self._boot))
            except Exception as error:  # noqa: BLE001  the one that was recorded, it is hoped
                raised = _named(error)
        same = None if station is None else raised == text
        yield Played("bug", utc, heard, text=str(text), same=same, new=(raised,) if raised and not same else ())

    def _frame(self, mono: float, way: str, text: str) -> Iterator[Played]:
        yield Played("frame", float(mono) + self._offset_s, text=str(text), way=str(way))

    def _bus(
        self, mono: float, bus: str, unit: int, device: str, function: int, at: int, asked: int, words: str | None,
        error: str, count: int, failed: int,
    ) -> Iterator[Played]:  # fmt: skip
        """`way`: "!" when it failed."""
        what = f"{'write' if function in _WRITES else 'read'} {int(asked)} at {int(at):04X}"
        outcome = error or (str(words) if words is not None else "(a text)")
        before = f"; {int(count) - 1} more since the last, {int(failed) - bool(error)} failed" if count > 1 else ""
        text = f"{device}, unit {unit} on {bus}: {what}: {outcome}{before}"
        yield Played("bus", float(mono) + self._offset_s, text=text, way="!" if error else "")

    # --- values -------------------------------------------------------------------------------------------------

    def _find(self, name: str) -> Any:
        module, _, own = name.rpartition(".")
        if module == "api":
            found = getattr(import_module("drivers.api"), own, None)
        elif _MODULE.fullmatch(module):
            try:
                found = getattr(import_module(f"agent.{module}"), own, None)
            except ImportError:
                return None
        else:
            return None
        if not isinstance(found, type):
            return None
        return partial(self._call, found) if issubclass(found, Call) else found

    def _call(self, cls: Any, *parts: Any) -> Call:
        made: Call = cls(*parts)
        return self._calls.setdefault(repr(flat(made)), made)

    def _remember(self, effects: tuple[Effect, ...], numbers: Sequence[int | None]) -> None:
        asked = [effect.call for effect in effects if isinstance(effect, Ask)]
        for call in asked:
            if len(self._calls) >= MAX_CALLS:
                del self._calls[next(iter(self._calls))]
            self._calls[repr(flat(call))] = call
        self._asked.update(zip(numbers, asked, strict=False))


def _dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _shown(told: Any) -> tuple[str, ...]:
    return tuple(_dumps(one) for one in told)


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


_LINES: dict[str, Any] = {
    "head": Player._head,
    "image": Player._image,
    "layers": Player._layers,
    "step": Player._step,
    "bug": Player._bug,
    "frame": Player._frame,
    "bus": Player._bus,
    "samples": Player._samples,
}
