"""Writes one transaction for ever, a sample a commit, and tells the number of each when its commit has returned."""

from __future__ import annotations

import sys

from agent.core.effects import Effect, Record, Remember
from agent.core.types import ChargingState, Instant, TransactionEvent, Trigger, TxKind
from agent.store.store import Store
from drivers.api import IdToken


def write(path: str, first: int) -> None:
    store = Store(path)
    store.open("boot")
    for seq in range(first, first + 100_000):
        at = Instant(float(seq), 1_800_000_000.0 + seq, boot="boot")
        kind = TxKind.UPDATED if seq else TxKind.STARTED
        event = TransactionEvent(
            "t-1-1",
            seq,
            kind,
            at,
            Trigger.METER_VALUE_PERIODIC,
            1,
            1,
            0,
            seq,
            ChargingState.CHARGING,
            token=IdToken("AABBCCDD"),
        )
        effects: list[Effect] = [Record(event)]
        if seq % 10 == 0:
            effects.append(Remember("open", "t-1-1", {"evse": 1, "seq": seq}))
        store.commit(effects)
        sys.stdout.write(f"{seq}\n")
        sys.stdout.flush()
