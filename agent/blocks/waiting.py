"""Grants whose bearers have not chosen an EVSE yet: whichever of several is plugged in first will be theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.blocks.holds import Holds
from agent.core.effects import Note
from agent.core.evse import Evse, Grant
from agent.core.record import record
from drivers.api import IdToken, shorten


@record
class Floating:
    grant: Grant
    evses: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.grant.token.value.lower()

    def note(self, code: str, what: str) -> Note:
        """A line for the technician: the card, what became of it, and where."""
        card, where = shorten(self.grant.token.value), " or ".join(map(str, self.evses))
        return Note("info", code, f"card {card} {what} EVSE {where}", (("TOKEN", card),))


def newly_plugged(evses: Sequence[Evse]) -> list[Evse]:
    """Those with a car that has not been charged yet."""
    return [v for v in evses if v.plugged and not v.finished]


def cars_for(evses: Sequence[Evse]) -> list[Evse]:
    """The cars that a card for these EVSEs may be meant for. One that has finished is its driver's, and whoever comes
    next means his own, as long as there is room for it."""
    plugged = [v for v in evses if v.plugged]
    return newly_plugged(evses) or (plugged if len(plugged) == len(evses) else [])


class Waiting:
    def __init__(self, evses: Mapping[int, Evse], holds: Holds) -> None:
        self._evses = evses
        self._holds = holds
        self._list: list[Floating] = []  # the eldest first

    def add(self, floating: Floating) -> None:
        self._list.append(floating)

    def remove(self, name: object) -> Floating | None:
        found = next((f for f in self._list if f.name == name), None)
        self._list = [f for f in self._list if f is not found]
        return found

    def of(self, token: IdToken) -> Floating | None:
        return next((f for f in self._list if f.name == token.value.lower()), None)

    def at(self, evse: Evse) -> Floating | None:
        """Whose it is when this one is plugged in."""
        here = [f for f in self._list if evse.id in f.evses] if evse.free else []
        return next((f for f in here if evse in self._choice(f)), None)

    def strangers(self, among: Sequence[Evse] | None = None) -> int:
        """How many without a reservation wait for one of these, or for any."""
        there = [*self._evses.values()] if among is None else among
        return sum(1 for f in self._list if not self._reserved(f) and any(v in there for v in self._choice(f)))

    def open_to(self, evses: Sequence[Evse], token: IdToken, group: IdToken | None) -> list[Evse]:
        """At which of these free ones the bearer may hope to start: nowhere when others wait for each of them."""
        hopeful = self._holds.hopeful(evses, token, group)
        plain = not self._holds.table and self.of(token) is None and not any(v.plugged for v in hopeful)
        return [] if plain and len(hopeful) <= self.strangers(hopeful) else hopeful

    def _choice(self, floating: Floating) -> list[Evse]:
        grant = floating.grant
        places = [self._evses[n] for n in floating.evses]
        free = [v for v in places if v.free or v.clearing]
        return self._holds.usable(free, grant.token, grant.info.group)

    def _reserved(self, floating: Floating) -> bool:
        token, group = floating.grant.token, floating.grant.info.group
        return any(self._holds.choose(self._evses[n], token, group) is not None for n in floating.evses)
