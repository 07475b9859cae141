"""The flight recorder: every step of the station, with its instant and what followed, and every frame, for hours back.

    chargepoint replay FILE

runs what is written here through the same core on a desk. A step costs the loop one entry in a list: values are frozen,
so that they can be made into text later, many at once, by a thread of its own. A segment of the ring (`store.recorder`)
begins with how the station was put together and an image of its state; so the oldest segment can go at any time, and
each can be replayed by itself. Rules kept:

* The thread that writes naps between a few lines and the next ones (`GULP`), for while it works the loop has to wait;
  while steps or frames come it goes on napping (`PATIENCE`), so that no command waits for it that is one of a row;
  and a burst of frames, as when a backlog is told, leaves out what would not fit into a block (`...` stands for it).
* Nothing waits for it, nothing is forced to the disk for it, and nothing that goes wrong with it harms: what cannot be
  written is left out, and the next segment begins afresh.
* It is written when a block is full, when it is old, soon after a warning, and when the process ends; a SIGKILL loses
  the last block, a bug is written with the event that met it.
* Passwords and keys are masks already in the file (`core.flat`); card numbers stand there as they do in the store
  beside it, and become masks in a bundle.

The lines, each a JSON list: `head` (facts of the recording, and the arguments of the assembly), `image`, `layers` (of
variables, when the dialect or the file has changed them), `step` (mono, utc, clock quality, event, effects), `bug` (the
same with what was raised), `frame` (mono, way, text), `bus` (mono, and what `recording_bus` tells of an exchange with a
device), `samples` (a number, and what a meter tells of in which order).
The event of a step is flat, or, for most of them are readings, `["M", evse, number of the samples, value, value ...]`.
Where calls to the CSMS are asked for or answered, a list of their numbers follows: the event's, then the others.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent import __version__
from agent.blocks.image import image
from agent.blocks.station import Station
from agent.core.effects import Ask, Effect, Note
from agent.core.events import Event, MeterRead
from agent.core.flat import Mask, Unfit, flat
from agent.core.network import Links
from agent.core.types import Instant
from agent.recording_mask import newest
from agent.store.recorder import Ring, Torn, lines
from agent.worker import Worker

FORMAT = 1
BLOCK_STEPS = 256
BLOCK_S = 300.0
GULP, NAP_S = 2, 0.001
PATIENCE = 256  # naps more, a block, while the loop is busy
SOON_S, CALM_S = 2.0, 6.0  # after a warning, and between two blocks that warnings have hastened
MAX_PENDING = 4 * BLOCK_STEPS
MAX_ASKED = 256  # calls whose answers are awaited
LONGEST_FRAME = 4096
LEFT_OUT = "..."
REST_S = 600.0  # of a recorder whose disk did not take what it had
_LOUD = ("warning", "error")
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
Entry = tuple[Any, ...]
Nap = Callable[[float], None] | None


class Recorder:
    """`build`: the arguments of the station's assembly. `secrets` gives the texts that must not be written, `frame`
    takes them out of a frame; `tell` hears why nothing could be written, or "" when it could; `nap` waits for so many
    seconds, in the thread that writes."""

    def __init__(
        self,
        station: Station,
        build: Mapping[str, Any],
        folder: Path,
        budget_bytes: int,
        secrets: Callable[[], Sequence[str]] = tuple,
        frame: Callable[[str], str] = str,
        tell: Callable[[str], None] = lambda _trouble: None,
        nap: Nap = None,
    ) -> None:
        links: Links = build["links"]  # which changes when the file is read again: the image has it as it is then
        self._build = {**build, "links": (tuple(links.files.values()), links.versions)}
        self._station, self._secrets, self._frame, self._tell, self._nap = station, secrets, frame, tell, nap
        self._handle = station.handle
        self._ring = Ring(folder, budget_bytes)
        self.begins: Callable[[], None] = lambda: None  # hears that a segment begins
        self._worker: Worker | None = None
        self._task: asyncio.Future[None] | None = None
        self._pending: list[Entry] = []
        self._left_out = False
        self._due = self._written_at = float("-inf")
        self._layers = -1
        self._afresh = True  # what comes next cannot be understood from what is written
        self._busy = False
        self._rests_until = float("-inf")
        self._layouts: dict[tuple[Any, ...], int] = {}  # these are the writing thread's
        self._news: list[str] = []
        self._asked: dict[int, tuple[int, object]] = {}  # by identity; held, so that none is given to another
        self._count = 0

    # --- what happens -------------------------------------------------------------------------------------------

    def decide(self, event: Event, now: Instant) -> list[Effect]:
        """`station.handle`, recorded."""
        if self._afresh or now.mono >= self._due or len(self._pending) >= BLOCK_STEPS:
            self._turn(now)
        variables = self._station.facts.variables
        if variables.layered != self._layers:
            self._layers = variables.layered
            self._pending.append(("layers", variables.layers()))
        try:
            effects = self._handle(event, now)
        except BaseException as error:
            self._pending.append(("bug", now, event, f"{type(error).__name__}: {error}"))
            raise
        self._pending.append(("step", now, event, effects))
        for effect in effects:
            if type(effect) is Note and effect.level in _LOUD:
                self._due = min(self._due, max(now.mono + SOON_S, self._written_at + CALM_S))
        return effects

    def frame(self, mono: float, way: str, text: str) -> None:
        if len(self._pending) < BLOCK_STEPS:
            self._pending.append(("frame", mono, way, text[:LONGEST_FRAME]))
        elif not self._left_out:
            self._left_out = True
            self._pending.append(("frame", mono, way, LEFT_OUT))

    def exchange(self, mono: float, told: tuple[Any, ...]) -> None:
        """An exchange with a device, as `recording_bus` tells it."""
        if len(self._pending) < BLOCK_STEPS:
            self._pending.append(("bus", mono, told))

    # --- writing ------------------------------------------------------------------------------------------------

    def _turn(self, now: Instant) -> None:
        """Between two steps: hand over what has gathered, and begin a segment when it is time."""
        if self._busy or now.mono < self._rests_until:
            if len(self._pending) > MAX_PENDING:
                self._pending.clear()
                self._afresh = True
            return
        entries, self._pending, self._left_out = self._pending, [], False
        self._due, self._written_at = now.mono + BLOCK_S, now.mono
        head = self._head(now) if self._afresh or self._ring.full else None
        secrets = tuple(self._secrets())
        was_afresh, self._afresh = self._afresh, False
        self._hand_over(lambda: self._write([] if was_afresh else entries, head, secrets, self._nap), now.mono)

    def _head(self, now: Instant) -> list[Entry]:
        """Taken between two steps, so that it is of one piece."""
        self._layers = self._station.facts.variables.layered
        self.begins()
        about = {"format": FORMAT, "version": __version__, "utc": now.utc, "mono": now.mono, "boot": now.boot}
        try:
            state = image(self._station, Mask(self._secrets()))
        except Unfit as error:
            return [("head", {**about, "trouble": f"no image could be made: {error}"}, None)]
        return [("head", about, self._build), ("image", state)]

    def _hand_over(self, write: Callable[[], None], mono: float) -> None:
        if self._worker is None:
            self._worker = Worker("recorder")
        self._busy = True
        self._task = asyncio.ensure_future(self._worker.do(write))
        self._task.add_done_callback(lambda done: self._done(done, mono))

    def _done(self, done: Any, mono: float) -> None:
        self._busy = False
        error = None if done.cancelled() else done.exception()
        self._tell("" if error is None else str(error) or type(error).__name__)
        if error is not None:
            self._afresh, self._rests_until = True, mono + REST_S
            self._pending.clear()
            if not isinstance(error, OSError | Unfit):
                raise error

    def _write(
        self, entries: Sequence[Entry], head: Sequence[Entry] | None, secrets: Sequence[str], nap: Nap = None
    ) -> None:
        mask = Mask(secrets)
        if entries:
            self._ring.write(self._lines(entries, mask, nap))
        if head is not None:
            self._ring.begin()
            self._layouts.clear()
            self._asked.clear()
            self._ring.write(self._lines(head, mask))

    def _lines(self, entries: Sequence[Entry], mask: Mask, nap: Nap = None) -> Iterator[str]:
        patience = PATIENCE
        for number, entry in enumerate(entries):
            if nap is not None and number % GULP == GULP - 1:
                patience = self._give_way(nap, patience)
            line = self._line(entry, mask)
            yield from self._news
            self._news.clear()
            yield line

    def _give_way(self, nap: Callable[[float], None], patience: int) -> int:
        """Nap, and again while steps and frames come; what is left of the patience."""
        while True:
            seen = len(self._pending)
            nap(NAP_S)
            if not patience or len(self._pending) == seen:
                return patience
            patience -= 1

    def _reading(self, event: MeterRead) -> list[Any]:
        """A meter tells the same measurands again and again: their names are written once a segment."""
        layout = tuple((sample.measurand, sample.phase) for sample in event.samples)
        number = self._layouts.get(layout)
        if number is None:
            number = self._layouts[layout] = len(self._layouts)
            self._news.append(_dumps(["samples", number, flat(layout)]))
        return ["M", event.evse, number, *[sample.value for sample in event.samples]]

    def _numbers(self, event: Event, effects: Sequence[Effect]) -> list[list[int | None]]:
        """Which call this is about, and which it asks for: a block knows its own call from another that is equal."""
        asked = [effect.call for effect in effects if type(effect) is Ask]
        about = getattr(event, "call", None)
        if about is None and not asked:
            return []
        known = self._asked.get(id(about))
        numbers: list[int | None] = [known[0] if known else None]
        for call in asked:
            numbers.append(self._asked.setdefault(id(call), (self._count, call))[0])
            self._count += 1
        while len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        return [numbers]

    def _line(self, entry: Entry, mask: Mask) -> str:
        kind = entry[0]
        if kind in ("step", "bug"):
            at, event, more = entry[1:]
            told = more if kind == "bug" else [flat(effect, mask) for effect in more]
            heard = self._reading(event) if type(event) is MeterRead else flat(event, mask)
            calls = self._numbers(event, more) if kind == "step" else []
            return _dumps([kind, at.mono, at.utc, int(at.quality), heard, told, *calls])
        if kind == "frame":
            return _dumps([kind, entry[1], entry[2], self._frame(entry[3])])
        if kind == "head":
            return _dumps([kind, entry[1], flat(entry[2], mask)])
        if kind == "bus":
            return _dumps([kind, entry[1], *entry[2]])
        return _dumps([kind, flat(entry[1], mask) if kind == "layers" else entry[1]])

    # --- for a bundle -------------------------------------------------------------------------------------------

    async def flush(self, now: Instant) -> None:
        """Write what has gathered, and return when that is done or has failed. Not within a step."""
        await self._idle()
        self._turn(now)
        await self._idle()

    async def _idle(self) -> None:
        while self._task is not None and self._busy:
            await asyncio.wait([self._task])
            await asyncio.sleep(0)

    def newest(self, limit: int) -> list[str]:
        """Lines of the newest segments, in characters no more than `limit`. Where it may wait for the disk."""

        return _newest(self._ring, limit)

    # --- the end ------------------------------------------------------------------------------------------------

    def close(self, timeout_s: float = 3.0) -> None:
        """Write what has gathered; whatever is wrong with the disk, the end does not wait for it."""
        if self._worker is not None:
            self._worker.leave()
            if not self._worker.join(timeout_s):
                return
        if self._afresh or not self._pending:
            return
        try:
            self._write(self._pending, None, tuple(self._secrets()))
        except (OSError, Unfit):
            return
        self._pending = []


def newest_of(folder: Path, limit: int) -> list[str]:
    """The same of a recording that nobody is making."""
    return _newest(Ring(folder, 0), limit)


def _newest(ring: Ring, limit: int) -> list[str]:
    def reader(path: Path) -> Callable[[], Sequence[str]]:
        return lambda: list(_whole(path))

    return newest([reader(path) for path in reversed(ring.segments())], limit)


def _whole(path: Path) -> Iterator[str]:
    """As much of a segment as can be read."""
    try:
        yield from lines(path)
    except (OSError, Torn):
        return
