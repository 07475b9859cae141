"""What blocks remember, marks of the store itself, and late knowledge of the time."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.effects import Forget, Record, Remember
from agent.core.record import replace
from agent.core.types import ClockQuality
from agent.store import Store
from tests.store.conftest import Opener
from tests.store.scenes import BOOT, at, event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def unsure(tx: str, seq: int) -> Record:
    return Record(replace(event(tx, seq), at=at(60 * seq, ClockQuality.UNKNOWN), readings=()))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.text(), st.text(), JSON)
def test_any_value_is_remembered_under_any_name(opened: Opener, table: str, key: str, value: object) -> None:
    opened().commit([Forget(table), Remember(table, key, value)])
    assert opened().restore().tables[table] == {key: value}


def test_the_last_value_counts(opened: Opener) -> None:
    opened().commit([Remember("t", "k", 1), Remember("t", "k", 2)])
    assert opened().restore().tables == {"t": {"k": 2}}


def test_one_key_can_be_forgotten(opened: Opener) -> None:
    opened().commit([Remember("t", "a", 1), Remember("t", "b", 2), Forget("t", "a")])
    assert opened().restore().tables == {"t": {"b": 2}}


def test_a_table_can_be_forgotten(opened: Opener) -> None:
    opened().commit([Remember("t", "a", 1), Remember("u", "b", 2), Forget("t")])
    assert opened().restore().tables == {"u": {"b": 2}}


def test_remembering_what_is_known_writes_nothing(opened: Opener, path: Path) -> None:
    store = opened()
    store.commit([Remember("t", "k", {"a": [1, 2.5]})])
    before = Path(f"{path}-wal").read_bytes()
    store.commit([Remember("t", "k", {"a": [1, 2.5]})])
    assert Path(f"{path}-wal").read_bytes() == before


def test_a_remembered_text_that_has_changed_on_disk_is_reported_and_dropped(opened: Opener, path: Path) -> None:
    store = opened()
    store.commit([Remember("t", "a", 1), Remember("t", "b", 2)])
    store._db.run("UPDATE kept SET value='{' WHERE key='\"a\"'")
    store.close()
    again = Store(path)
    assert again.open().lost == ('unreadable: "t" "a"',)
    assert again.restore().tables == {"t": {"b": 2}}
    again.close()


def test_the_salt_is_made_once(opened: Opener) -> None:
    salt = opened().salt
    assert opened().salt == salt and len(salt) == 12


def test_starts_are_counted(path: Path) -> None:
    counted = []
    for _ in range(3):
        store = Store(path)
        counted.append(store.open().starts)
        store.close()
    assert counted == [1, 2, 3]


def test_power_was_lost_when_the_board_has_another_power_up(path: Path) -> None:
    seen = []
    for boot in ("a", "a", "b"):
        store = Store(path)
        seen.append((store.open(boot).power_lost, store.restore().power_lost))
        store.close()
    assert seen == [(False, False), (False, False), (True, True)]


# --- late knowledge of the time ---------------------------------------------------------------------------------


def test_rows_get_their_true_times_when_the_time_is_learnt(store: Store) -> None:
    store.commit([unsure("tx", 0), unsure("tx", 1)])
    store.retime(BOOT, 5000.0)
    times = []
    while (row := store.head()) is not None:
        times.append((row.event.at.utc, row.event.at.quality))
        store.answered(row.id)
    assert times == [(6000.25, ClockQuality.SYNCED), (6060.25, ClockQuality.SYNCED)]


def test_true_times_outlive_a_restart(opened: Opener) -> None:
    store = opened()
    store.commit([unsure("tx", 0)])
    store.retime(BOOT, 5000.0)
    row = opened().head()
    assert row is not None and row.event.at.utc == 6000.25


def test_a_row_that_is_on_its_way_keeps_its_time(store: Store) -> None:
    store.commit([unsure("tx", 0)])
    row = store.head()
    assert row is not None
    store.sent(row.id)
    store.retime(BOOT, 5000.0)
    assert store.head() is row


def test_the_first_offset_stays(store: Store) -> None:
    store.commit([unsure("tx", 0)])
    store.retime(BOOT, 5000.0)
    store.retime(BOOT, 9000.0)
    row = store.head()
    assert row is not None and row.event.at.utc == 6000.25


def test_a_better_clock_replaces_a_worse_one(store: Store) -> None:
    store.commit([unsure("tx", 0)])
    store.retime(BOOT, 5000.0, ClockQuality.SYSTEM)
    store.retime(BOOT, 9000.0, ClockQuality.SYNCED)
    row = store.head()
    assert row is not None and row.event.at.utc == 10000.25


def test_snapshots_get_their_true_times(opened: Opener) -> None:
    store = opened()
    store.commit([unsure("tx", 0), Remember("open", "tx", {"started_at": [10.0, 1.0, 0, BOOT]})])
    store.retime(BOOT, 5000.0)
    (found,) = opened().restore().open_transactions
    assert found.snapshot["started_at"] == [10.0, 5010.0, 2, BOOT]


def test_clocks_are_bounded(opened: Opener) -> None:
    store = opened()
    for n in range(100):
        store.retime(f"boot{n}", float(n))
    assert len(opened()._clocks) == 64
