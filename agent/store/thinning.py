"""Which samples go when the journal has reached its bound. Pure.

Rules: never a start, an end, or an event that is more than a sample; never the first or the last sample of a
transaction; every other one of those between, so that what is left is spread evenly; of the transactions that were
thinned least, the oldest first. Sequence numbers stay as they are: the gap is there to be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum

from agent.core.types import TransactionEvent, Trigger, TxKind

_SAMPLED = frozenset({Trigger.METER_VALUE_PERIODIC, Trigger.METER_VALUE_CLOCK})


class Role(IntEnum):
    """What a journal row is, as far as keeping it goes. The numbers are in the file."""

    START = 0
    CHANGE = 1  # an Updated that tells more than the meter
    SAMPLE = 2
    END = 3


def role_of(event: TransactionEvent) -> Role:
    if event.kind is TxKind.STARTED:
        return Role.START
    if event.kind is TxKind.ENDED:
        return Role.END
    return Role.SAMPLE if event.trigger in _SAMPLED and event.token is None else Role.CHANGE


def choose(
    rows: Iterable[tuple[int, str, int, int]], levels: Mapping[str, int], wanted_bytes: int, head: int
) -> tuple[list[int], list[str]]:
    """Ids to drop, ascending, and the transactions they belong to. `rows`: (id, transaction, role, bytes) in order;
    `levels`: how often each was thinned; `head`: the row that may be on its way to the CSMS."""
    samples: dict[str, list[tuple[int, int]]] = {}
    for row_id, tx, role, size in rows:
        if role == Role.SAMPLE:
            samples.setdefault(tx, []).append((row_id, size))
    drop: list[int] = []
    thinned: list[str] = []
    for tx in sorted(samples, key=lambda tx: (levels.get(tx, 0), samples[tx][0][0])):
        if wanted_bytes <= 0:
            break
        going = [(row_id, size) for row_id, size in samples[tx][1:-1][::2] if row_id != head]
        if going:
            drop += [row_id for row_id, _ in going]
            wanted_bytes -= sum(size for _, size in going)
            thinned.append(tx)
    return sorted(drop), thinned
