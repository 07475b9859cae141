"""Every reason for which a transaction ends, each produced by what causes it; and whose card the end names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.core.events import OpenTransaction, TransactionAnswered
from agent.core.requests import Ref, ResetRequested, StopRequested, UnlockRequested
from agent.core.types import ResetKind, StopReason, TokenInfo, TokenStatus, TransactionEvent, TxKind
from drivers.api import Fault, IdToken, Pilot, StopButton
from tests.blocks.helpers import CARD, OTHER_CARD, Bench

REF = Ref("1", "x")


def card(bench: Bench) -> None:
    bench.tap()


def leave(bench: Bench) -> None:
    bench.read(Pilot.A)


def remote(bench: Bench) -> None:
    assert bench.evse.tx is not None
    bench.feed(StopRequested(REF, bench.evse.tx.id))


def unlock(bench: Bench) -> None:
    bench.feed(UnlockRequested(REF, 1))


def button(which: StopButton) -> Callable[[Bench], None]:
    def press(bench: Bench) -> None:
        bench.read(Pilot.C, stop_button=which)

    return press


def reset(kind: ResetKind) -> Callable[[Bench], None]:
    def ask(bench: Bench) -> None:
        bench.feed(ResetRequested(REF, kind))

    return ask


def refused(bench: Bench) -> None:
    bench.feed(TransactionAnswered(bench.journal[0], TokenInfo(TokenStatus.INVALID), "7"))


def fault(which: Fault) -> Callable[[Bench], None]:
    def raise_it(bench: Bench) -> None:
        bench.read(Pilot.C, faults=frozenset((which,)))

    return raise_it


def other_meter(bench: Bench) -> None:
    for wh in (100.0, 101.0, 102.0):
        bench.wait(1)
        bench.meter(wh, 7000.0)


CAUSES: tuple[tuple[Callable[[Bench], None], StopReason, IdToken | None], ...] = (
    (card, StopReason.LOCAL, CARD),
    (button(StopButton.LOCAL), StopReason.LOCAL, None),
    (button(StopButton.EMERGENCY), StopReason.EMERGENCY_STOP, None),
    (button(StopButton.OTHER), StopReason.OTHER, None),
    (leave, StopReason.EV_DISCONNECTED, None),
    (remote, StopReason.REMOTE, None),
    (unlock, StopReason.UNLOCK_COMMAND, None),
    (reset(ResetKind.SOFT), StopReason.SOFT_RESET, None),
    (reset(ResetKind.HARD), StopReason.HARD_RESET, None),
    (refused, StopReason.DE_AUTHORIZED, None),
    (fault(Fault.GROUND), StopReason.GROUND_FAULT, None),
    (fault(Fault.OVER_CURRENT), StopReason.OVERCURRENT_FAULT, None),
    (other_meter, StopReason.OTHER, None),
)


def ended(bench: Bench) -> TransactionEvent:
    bench.read(Pilot.A if not bench.evse.plugged else Pilot.B, faults=frozenset())
    bench.wait(1.5)
    bench.meter()
    assert bench.journal[-1].kind is TxKind.ENDED
    return bench.journal[-1]


@pytest.mark.parametrize(("cause", "reason", "token"), CAUSES, ids=[f"{row[1]}-{n}" for n, row in enumerate(CAUSES)])
def test_each_cause_ends_the_transaction_for_its_reason(
    cause: Callable[[Bench], None], reason: StopReason, token: IdToken | None
) -> None:
    bench = Bench(TxCtrlr__StopTxOnUnlock="true").ready()
    bench.charge()
    cause(bench)
    found = ended(bench)
    assert (found.stop_reason, found.token) == (reason, token)


def test_a_card_of_the_same_group_is_the_one_that_the_end_names() -> None:
    group = TokenInfo(TokenStatus.ACCEPTED, IdToken("GROUP"))
    bench = Bench().ready()
    bench.tap(info=group)
    bench.read(Pilot.B)
    bench.tap(OTHER_CARD, info=group)
    found = ended(bench)
    assert (found.stop_reason, found.token) == (StopReason.LOCAL, OTHER_CARD)


@pytest.mark.parametrize(("power_lost", "reason"), [(True, StopReason.POWER_LOSS), (False, StopReason.REBOOT)])
def test_a_restart_ends_a_transaction_for_its_reason_by_policy(power_lost: bool, reason: StopReason) -> None:
    bench = Bench().ready()
    bench.charge()
    (tx,) = bench.remembered["open"]
    again = Bench(resume="never")
    again.mono, again.utc, again.wh = bench.mono + 5, bench.utc + 5, dict(bench.wh)
    kept = OpenTransaction(tx, bench.journal[-1].seq + 1, bench.remembered["open"][tx])  # type: ignore[arg-type]
    again.boot(kept, power_lost=power_lost)
    again.read(Pilot.B)
    again.meter()
    assert ended(again).stop_reason is reason
