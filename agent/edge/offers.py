"""Which OCPP versions to offer at the next dial, after a server that could not choose. Pure: `now` is an argument.

Servers that do not know the first version of a list sometimes refuse the handshake, or take none of the list and close,
instead of choosing another. Rules kept: the whole list is offered first, as the standard has it; after such a refusal
each version alone, the one that worked last first; what works is kept, and the whole list is offered again after
`WHOLE_AGAIN_S`, at a dial that is due anyway.

A transaction ends in the version that told its start: in another one the CSMS would not know which it is. As long as
there is one its version is offered alone, but not to a server that does not take it any more, nor for longer than a day
(where somebody always charges).
"""

from __future__ import annotations

from agent.edge.reasons import LinkWhy, WhyKind

WHOLE_AGAIN_S = 86400.0
PICKY = frozenset((WhyKind.SUBPROTOCOL, WhyKind.HTTP, WhyKind.NOT_WEBSOCKET))


class Offers:
    def __init__(self) -> None:
        self._versions: tuple[str, ...] = ()
        self._turn = 0  # 0: the whole list
        self._good = ""
        self._whole_at = 0.0
        self._begun = ""  # what the last dial was to keep to
        self._keep_until = 0.0
        self._keeps = False

    def next(self, versions: tuple[str, ...], now: float, begun: str = "") -> tuple[str, ...]:
        """What to offer of these. `begun`: the version in which a transaction was begun that is not told to its end."""
        if begun != self._begun:
            self._begun, self._keep_until = begun, now + WHOLE_AGAIN_S
        self._keeps = begun in versions and now < self._keep_until
        if self._keeps:
            return (begun,)
        if versions != self._versions or (self._turn and now >= self._whole_at):
            self._versions, self._turn = versions, 0
        if self._turn == 0 or len(versions) < 2:
            return versions
        alone = sorted(versions, key=lambda version: version != self._good)
        return (alone[self._turn - 1],)

    def failed(self, why: LinkWhy, now: float) -> None:
        """A dial came to nothing."""
        if self._keeps and why.kind in PICKY:
            self._keep_until = now
            return
        if why.kind in PICKY and len(self._versions) > 1:
            self._turn = (self._turn + 1) % (len(self._versions) + 1)
            self._whole_at = now + WHOLE_AGAIN_S

    def worked(self, version: str) -> None:
        """A connection stands in this version."""
        if self._turn and version in self._versions:
            self._good, self._turn = version, 1
        self._good = version
