"""Station: the blocks in order, and the rules by which they are told what happened.

`handle(event, now)` tells every block that hears this type of event, in the order of the list; what they yield is told
in turn until nothing more is yielded. Then each block may `derive` what follows from the facts as they stand now (an
offer, a status, a start); events derived are told again. Both are bounded: a station that does not settle is a bug.
From a mere question (`QUESTIONS`) nothing follows but its answer, so nothing is derived; nor from news that only some
blocks keep in mind (`REMARKS`), unless they have something to say to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, TypeVar

from agent.core.effects import Effect
from agent.core.events import Event, QueueEmptied, QueueFilled, Tick
from agent.core.evse import Evse
from agent.core.requests import LocalListRequested, TransactionStatusRequested, VariablesRequested
from agent.core.types import Instant, Registration
from agent.core.variables import Variables

MAX_STEPS = 2000  # events of one handling; a report of many parts stays far below

QUESTIONS = (VariablesRequested, LocalListRequested, TransactionStatusRequested)  # they change no fact
REMARKS = (QueueFilled, QueueEmptied)  # twice a sample while each is told at once

Out = Iterator[Event | Effect]


class Facts:
    """What all blocks share: the EVSEs, the variables, and what the CSMS and the store are like just now.

    `registration` and `linked` are written by provisioning, `storing` by storage, `closing` by remote control,
    `station_limit_a` (what the CSMS allows all EVSEs together) by profiles.
    """

    def __init__(self, evses: Sequence[Evse], variables: Variables, station_max_a: float | None = None) -> None:
        self.evses = {evse.id: evse for evse in evses}
        self.variables = variables
        self.station_max_a = station_max_a
        self.station_limit_a: float | None = None
        self.station_limit_why = ""
        self.registration = Registration.NONE
        self.linked = False
        self.storing = True
        self.update_holds = False  # written by firmware: no EVSE is in service, for the sake of an update
        self.update = ""  # by firmware: how an update stands, in words
        self.upload = ""  # by diagnostics: how the upload of a log stands, in words
        self.closing = ""  # why no new transaction may start: a reset is under way, the process ends

    @property
    def online(self) -> bool:
        """The CSMS hears us and has accepted us."""
        return self.linked and self.registration is Registration.ACCEPTED


class Block:
    """One functional block. Subclasses name their handlers in `HEARS` and may override the two other methods."""

    HEARS: ClassVar[Mapping[type[Event], str]] = {}

    def derive(self, now: Instant) -> Iterable[Event | Effect]:
        """What follows from the facts as they stand; called whenever events have settled."""
        return ()

    def next_deadline(self) -> float | None:
        """The monotonic moment at which this block wants to hear a Tick."""
        return None


B = TypeVar("B", bound=Block)


class Station:
    def __init__(self, facts: Facts, blocks: Sequence[Block]) -> None:
        self.facts = facts
        self.blocks = blocks
        self._deriving = [block for block in blocks if type(block).derive is not Block.derive]
        timed = [block for block in blocks if type(block).next_deadline is not Block.next_deadline]
        self._deadlines = [block.next_deadline for block in timed]
        self._hearers: dict[type[Event], list[Callable[[Event, Instant], Iterable[Event | Effect]]]] = {}
        for block in blocks:
            for kind, method in block.HEARS.items():
                self._hearers.setdefault(kind, []).append(getattr(block, method))

    def handle(self, event: Event, now: Instant) -> list[Effect]:
        """All effects of one event, in the order in which they were concluded."""
        effects: list[Effect] = []
        queue = deque([event])
        steps = 0
        while True:
            while queue:
                steps += 1
                assert steps < MAX_STEPS, f"the station does not settle after {type(event).__name__}"
                current = queue.popleft()
                for hear in self._hearers.get(type(current), ()):
                    _sort(hear(current, now), queue, effects)
            if type(event) in QUESTIONS or (type(event) in REMARKS and steps == 1 and not effects):
                return effects
            for block in self._deriving:
                _sort(block.derive(now), queue, effects)
                if queue:
                    break
            if not queue:
                return effects

    def block(self, kind: type[B]) -> B:
        """The one of this type."""
        return next(block for block in self.blocks if isinstance(block, kind))

    def hears(self, kind: type[Event]) -> bool:
        """Whether any block does something with events of this type."""
        return kind in self._hearers

    def next_deadline(self) -> float | None:
        return min([at for ask in self._deadlines if (at := ask()) is not None], default=None)

    def tick(self, now: Instant) -> list[Effect]:
        return self.handle(Tick(), now)


def _sort(outs: Iterable[Event | Effect], queue: deque[Event], effects: list[Effect]) -> None:
    for out in outs:
        if isinstance(out, Effect):
            effects.append(out)
        else:
            queue.append(out)
