"""The journal's bounds: thirty days offline fit, and beyond that only samples thin out."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.core.types import TxKind
from agent.store import Limits, Store
from agent.store.store import CHECK_EVERY
from agent.store.thinning import Role, choose, role_of
from tests.store.conftest import Opener
from tests.store.scenes import change, drain, ended, sample, started, whole

Rows = list[tuple[int, str, int, int]]

journals = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]), st.sampled_from([Role.START, Role.CHANGE, *[Role.SAMPLE] * 6, Role.END])
    ),
    max_size=60,
).map(lambda rows: [(n + 1, tx, int(role), 100) for n, (tx, role) in enumerate(rows)])


def samples_of(rows: Rows, tx: str) -> list[int]:
    return [row_id for row_id, owner, role, _ in rows if owner == tx and role == Role.SAMPLE]


@given(journals, st.integers(0, 10_000))
def test_only_samples_go(rows: Rows, wanted: int) -> None:
    roles = {row_id: role for row_id, _, role, _ in rows}
    assert {roles[row_id] for row_id in choose(rows, {}, wanted, 0)[0]} <= {Role.SAMPLE}


@given(journals, st.integers(0, 10_000))
def test_the_first_and_the_last_sample_of_each_transaction_stay(rows: Rows, wanted: int) -> None:
    drop = set(choose(rows, {}, wanted, 0)[0])
    ends = {row_id for tx in "abc" for row_id in (samples_of(rows, tx)[:1] + samples_of(rows, tx)[-1:])}
    assert drop.isdisjoint(ends)


@given(journals, st.integers(0, 10_000))
def test_no_two_neighbouring_samples_go(rows: Rows, wanted: int) -> None:
    drop = set(choose(rows, {}, wanted, 0)[0])
    pairs = [pair for tx in "abc" for pair in zip(samples_of(rows, tx), samples_of(rows, tx)[1:], strict=False)]
    assert not any(a in drop and b in drop for a, b in pairs)


@given(journals, st.integers(0, 60))
def test_the_head_stays(rows: Rows, head: int) -> None:
    assert head not in choose(rows, {}, 10**9, head)[0]


@given(journals)
def test_nothing_goes_when_nothing_is_wanted(rows: Rows) -> None:
    assert choose(rows, {}, 0, 0) == ([], [])


@given(journals)
def test_thinning_again_and_again_ends_with_first_and_last(rows: Rows) -> None:
    for _ in range(8):
        drop = set(choose(rows, {}, 10**9, 0)[0])
        rows = [row for row in rows if row[0] not in drop]
    assert all(len(samples_of(rows, tx)) <= 2 for tx in "abc")


def test_the_oldest_transaction_goes_first() -> None:
    rows = [(n, "old" if n < 10 else "new", int(Role.SAMPLE), 100) for n in range(20)]
    assert choose(rows, {}, 1, 0)[1] == ["old"]


def test_a_transaction_that_was_thinned_waits_for_the_others() -> None:
    rows = [(n, "old" if n < 10 else "new", int(Role.SAMPLE), 100) for n in range(20)]
    assert choose(rows, {"old": 1}, 1, 0)[1] == ["new"]


def test_an_update_that_tells_more_than_the_meter_is_no_sample() -> None:
    assert role_of(change("tx", 1).event) is Role.CHANGE


def size_on_disk(path: Path) -> int:
    return sum(part.stat().st_blocks * 512 for part in path.parent.iterdir())


def test_thirty_days_offline_fit_in_64_mebibytes_without_losing_a_sample(path: Path) -> None:
    """A sample a minute all day long, in ten transactions a day; ten steps a commit, to be quick."""
    store = Store(path, fast=True)
    store.open()
    for day in range(30):
        for n in range(10):
            store.commit(whole(f"0123456789ab-1-{day * 10 + n}", 144))
    counts, size = store.counts(), size_on_disk(path)
    store.close()
    assert counts.rows == 30 * 10 * 146 and size <= 64 << 20


SMALL = Limits(soft_bytes=1 << 20, hard_bytes=1200 << 10)


def overfill(store: Store) -> int:
    """Six times what fits; returns how many samples went."""
    gone = 0
    for n in range(60):
        for record in whole(f"tx{n}", 290):
            gone += store.commit([record]).thinned
    return gone


def test_lesson_6_past_its_bound_the_journal_keeps_every_start_end_first_and_last_sample(opened: Opener) -> None:
    store = opened(SMALL)
    gone = overfill(store)
    told = drain(opened(SMALL))
    by_tx: dict[str, list[int]] = {}
    for event in told:
        by_tx.setdefault(event.transaction, []).append(event.seq)
    assert gone + len(told) == 60 * 292
    assert all(set(seqs) >= {0, 1, 290, 291} and seqs == sorted(set(seqs)) for seqs in by_tx.values())
    assert [e.kind for e in told].count(TxKind.ENDED) == len(by_tx) == 60


def test_past_its_bound_the_file_does_not_grow(path: Path) -> None:
    store = Store(path, SMALL, fast=True)
    store.open()
    overfill(store)
    store.close()
    assert path.stat().st_size <= SMALL.hard_bytes


def test_thinning_is_reported_with_its_transactions(opened: Opener) -> None:
    store = opened(Limits(rows=100))
    reports = [store.commit([record]) for record in whole("tx", 150)]
    assert {report.transactions for report in reports if report.thinned} == {("tx",)}


def test_the_number_of_rows_is_bounded(opened: Opener) -> None:
    store = opened(Limits(rows=100))
    store.commit([started("tx")])
    for n in range(1000):
        store.commit([sample("tx", n + 1)])
    store.commit([ended("tx", 1001)])
    assert store.counts().rows <= 100 + CHECK_EVERY


def test_counts_are_right_after_thinning(opened: Opener) -> None:
    store = opened(SMALL)
    overfill(store)
    before = store.counts()
    assert opened(SMALL).counts() == before
