"""Who may start where while some EVSEs are reserved: pure rules over the facts, asked by all who start anything.

A reservation of one EVSE keeps it for its bearer. A reservation of any EVSE is kept by never letting a stranger take
the last one on which nothing stands. A reservation is in use from the moment when its bearer was granted an EVSE; that
EVSE then stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.core.evse import Evse
from agent.core.reservation import ANY, Reservation
from drivers.api import IdToken


class Holds:
    """`table` is written by the reservation block."""

    def __init__(self, evses: Mapping[int, Evse]) -> None:
        self._evses = evses
        self.table: dict[int, Reservation] = {}

    # --- what is kept -------------------------------------------------------------------------------------------

    def in_use(self, reservation: Reservation) -> bool:
        """Its bearer was granted an EVSE, and no transaction has begun there yet."""
        grants = (v.grant for v in self._evses.values() if v.tx is None)
        return any(grant is not None and grant.reservation_id == reservation.id for grant in grants)

    def of(self, evse: Evse) -> Reservation | None:
        """The reservation of this EVSE and no other."""
        return next((r for r in self.table.values() if r.evse == evse.id), None)

    def floating(self) -> list[Reservation]:
        """Of any EVSE, and not in use; what ends first comes first."""
        found = [r for r in self.table.values() if r.evse == ANY and not self.in_use(r)]
        return sorted(found, key=lambda r: (r.expires, r.id))

    def vacant(self) -> list[Evse]:
        """On these nothing stands, and no reservation of their own."""
        return [v for v in self._evses.values() if is_vacant(v) and self.of(v) is None]

    # --- who may start ------------------------------------------------------------------------------------------

    def usable(self, evses: Iterable[Evse], token: IdToken, group: IdToken | None) -> list[Evse]:
        """Where the bearer may start, of EVSEs that are free."""
        return [evse for evse in evses if self._admits(evse, token, group)]

    def _admits(self, evse: Evse, token: IdToken, group: IdToken | None) -> bool:
        own = self.of(evse)
        if own is not None:
            return fits(own, token, group)
        floating = self.floating()
        if any(fits(r, token, group) for r in floating):
            return True
        return not floating or len([v for v in self.vacant() if v is not evse]) >= len(floating)

    def reserved(self, evses: Iterable[Evse], token: IdToken, group: IdToken | None) -> list[Evse]:
        """Those that the bearer has reserved by name."""
        owns = ((evse, self.of(evse)) for evse in evses)
        return [evse for evse, own in owns if own is not None and fits(own, token, group)]

    def choose(self, evse: Evse, token: IdToken, group: IdToken | None) -> int | None:
        """The reservation that the bearer uses by starting here."""
        own = self.of(evse)
        choice = [own] if own is not None else self.floating()
        return next((r.id for r in choice if fits(r, token, group)), None)

    def others(self, token: IdToken, group: IdToken | None) -> int:
        """How many of any EVSE are kept for others."""
        return sum(1 for r in self.floating() if not fits(r, token, group))

    # --- when the group is not known yet --------------------------------------------------------------------------

    def hopeful(self, evses: Sequence[Evse], token: IdToken, group: IdToken | None) -> list[Evse]:
        """Where the bearer may start, or might if the CSMS told a group that fits."""
        return [v for v in evses if self._admits(v, token, group) or (group is None and self._group_of(v) is not None)]

    def depends_on_group(self, evses: Sequence[Evse], token: IdToken, group: IdToken | None) -> bool:
        """Whether only the CSMS can say if the bearer may start: by what is known here he may not."""
        return not self.usable(evses, token, group) and any(self._group_of(v) is not None for v in evses)

    def _group_of(self, evse: Evse) -> IdToken | None:
        own = self.of(evse)
        return own.group if own is not None else next((r.group for r in self.floating() if r.group), None)


def is_vacant(evse: Evse) -> bool:
    """Whoever comes now can plug in and start here, as far as the EVSE itself is concerned."""
    return evse.free and evse.tx is None and not evse.plugged and not evse.cable_present


def fits(reservation: Reservation, token: IdToken, group: IdToken | None) -> bool:
    if token.value.lower() == reservation.token.value.lower():
        return True
    wanted = reservation.group
    return wanted is not None and group is not None and group.value.lower() == wanted.value.lower()
