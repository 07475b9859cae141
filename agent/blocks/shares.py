"""K: Smart charging, who gets how much. Dividing a supply among those who charge, and saying what came of it in words.

Rules kept here. Nobody gets more than what limits him alone. Less than 6 A cannot be offered (IEC 61851-1), so when
the supply is too small for all, those who came first charge and the others pause: two who share 10 A are one who
charges and not two who wait. (Who keeps a share and takes nothing of it goes to the end of the line: `power`.) What
somebody cannot use is the others'. The lowest limit wins, and the words name whose it is and what the next ones would
have allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor, inf

from agent.core.evse import MINIMUM_A, Evse

Cap = tuple[float, str]  # amperes a phase, and whose limit it is


def divide(total_a: float, wants: Sequence[float]) -> list[float]:
    """The share of each; `wants` are their own limits, in the order in which they came. Who may take less than 6 A by
    his own limits takes nothing, so his share is only a number."""
    total_a = max(0.0, min(total_a, sum(wants)))
    takers = [index for index, want in enumerate(wants) if want >= MINIMUM_A]
    chosen = takers[: max(1, int(total_a // MINIMUM_A))]
    shares = [0.0 if index in takers else min(want, total_a) for index, want in enumerate(wants)]
    left_a, left = total_a, len(chosen)
    for index in sorted(chosen, key=lambda index: wants[index]):
        shares[index] = min(wants[index], left_a / left)
        left_a -= shares[index]
        left -= 1
    return shares


def in_order(evses: Iterable[Evse]) -> list[Evse]:
    """As they stand in line for a supply that they share."""
    return sorted(evses, key=lambda evse: (_since(evse), evse.id))


def _since(evse: Evse) -> float:
    if evse.in_line is not None:
        return evse.in_line
    return evse.grant.at.mono if evse.grant is not None else inf


def offer(caps: Sequence[Cap]) -> tuple[float, str]:
    """What may be offered under these limits, and why: to a tenth of an ampere, 0 when it is less than 6 A."""
    (least_a, why), *others = sorted(caps, key=lambda cap: cap[0])
    alike = [name for amps, name in others if amps - least_a < 0.05]  # what would be offered is the same
    why = " and ".join([why, *alike])
    rest = ", ".join(f"{name} {amps:.4g} A" for amps, name in others if name not in alike)
    tail = f" (below {rest})" if rest else ""
    offer_a = floor(least_a * 10 + 1e-6) / 10
    if offer_a < MINIMUM_A:
        return 0.0, f"0 A, a pause: {why} {least_a:.4g} A{tail}"
    return offer_a, f"{offer_a:g} A: {why}{tail}"
