"""Phases: an outlet that can be fed by one phase or by three, and cars that sleep through an offer. What the
configuration says of both; the blocks of the same names keep the rules."""

from __future__ import annotations

from agent.core.record import record

ONE, ALL = 1, 3
WATTS_TELL = "automatic"


@record
class Switching:
    """`when`: "profiles", when a charging profile names a number of phases; "automatic", also when a limit in watts is
    too small for three. The offer is withheld `pause_s` before and as long after; the same car sees it at most once in
    `every_s`."""

    when: str = "profiles"
    pause_s: float = 10.0
    every_s: float = 300.0


@record
class WakeUp:
    """A car that has had an offer for `after_s` and does not ask for it is woken, `tries` times at most."""

    after_s: float = 90.0
    tries: int = 2
