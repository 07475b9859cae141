"""The journal: in order, until the CSMS has answered, over restarts, with its dead letters."""

from __future__ import annotations

from agent.core.effects import Remember
from agent.store import Limits, Store
from agent.store.store import MAX_TAKEN
from tests.store.conftest import Opener
from tests.store.scenes import change, drain, ended, event, sample, started, whole


def answer_next(store: Store, csms_id: str | None = None, via: str = "") -> None:
    row = store.head()
    assert row is not None
    store.answered(row.id, csms_id, via)


def give_up_next(store: Store, why: str = "refused") -> None:
    row = store.head()
    assert row is not None
    store.dead_letter(row.id, why)


def test_an_empty_journal_has_no_head(store: Store) -> None:
    assert store.head() is None


def test_the_head_is_the_oldest_event(store: Store) -> None:
    store.commit(whole("tx", 3))
    row = store.head()
    assert row is not None and row.event == whole("tx", 3)[0].event


def test_asking_for_the_head_again_gives_the_same_row(store: Store) -> None:
    store.commit(whole("tx", 3))
    assert store.head() is store.head()


def test_everything_is_told_in_the_order_it_was_recorded(store: Store) -> None:
    records = [record for n in range(4) for record in whole(f"tx{n}", 40)]
    for record in records:
        store.commit([record])
    assert drain(store) == [record.event for record in records]


def test_rows_recorded_while_others_are_told_come_after_them(store: Store) -> None:
    told = []
    for n in range(200):
        store.commit([sample("tx", 2 * n), sample("tx", 2 * n + 1)])
        row = store.head()
        assert row is not None
        told.append(row.event.seq)
        store.answered(row.id)
    assert told + [e.seq for e in drain(store)] == list(range(400))


def test_a_row_waits_over_a_restart(opened: Opener) -> None:
    opened().commit(whole("tx", 50))
    assert drain(opened()) == [record.event for record in whole("tx", 50)]


def test_an_answered_row_is_gone_for_good(opened: Opener) -> None:
    store = opened()
    store.commit(whole("tx", 2))
    answer_next(store)
    assert [e.seq for e in drain(opened())] == [1, 2, 3]


def test_answering_a_row_twice_is_harmless(store: Store) -> None:
    store.commit(whole("tx", 2))
    row = store.head()
    assert row is not None
    store.answered(row.id)
    store.answered(row.id)
    assert store.counts().rows == 3


def test_row_ids_are_never_used_twice(opened: Opener) -> None:
    seen = []
    for _ in range(5):
        store = opened()
        store.commit([sample("tx", 1)])
        row = store.head()
        assert row is not None
        seen.append(row.id)
        store.answered(row.id)
    assert seen == sorted(set(seen))


def test_the_rows_of_a_started_transaction_wait_for_the_name_that_the_csms_gives(opened: Opener) -> None:
    store = opened()
    store.commit([started("tx"), sample("tx", 1)])
    row = store.head()
    assert row is not None and row.csms_id is None
    answer_next(store, "4711", "first-dialect")
    after = opened().head()
    assert after is not None and (after.csms_id, after.via) == ("4711", "first-dialect")


def test_the_csms_name_is_there_for_rows_recorded_later(opened: Opener) -> None:
    store = opened()
    store.commit([started("tx")])
    answer_next(store, "4711")
    store.commit([ended("tx", 1)])
    row = store.head()
    assert row is not None and row.csms_id == "4711"


def test_what_follows_from_an_answer_is_stored_with_it(opened: Opener) -> None:
    store = opened()
    store.commit([started("tx")])
    row = store.head()
    assert row is not None
    store.answered(row.id, "1", "", [Remember("t", "k", 5), sample("tx", 1)])
    again = opened()
    assert again.restore().tables["t"] == {"k": 5} and [e.seq for e in drain(again)] == [1]


def test_counts_follow_the_journal(store: Store) -> None:
    store.commit(whole("tx", 3))
    answer_next(store)
    counts = store.counts()
    assert (counts.rows, counts.transactions, counts.oldest) == (4, 1, event("tx", 1).at)


def test_counts_are_the_same_after_a_restart(opened: Opener) -> None:
    store = opened()
    store.commit([*whole("tx", 3), *whole("ty", 40)])
    answer_next(store)
    give_up_next(store)
    before = store.counts()
    assert opened().counts() == before


def test_a_transaction_is_forgotten_when_its_end_is_answered(opened: Opener) -> None:
    store = opened()
    store.commit(whole("tx", 3))
    drain(store)
    assert store.counts().transactions == opened().counts().transactions == 0


# --- open transactions ----------------------------------------------------------------------------------------


def test_an_open_transaction_comes_back_with_its_snapshot(opened: Opener) -> None:
    opened().commit([started("tx"), sample("tx", 1), Remember("open", "tx", {"evse": 1})])
    (found,) = opened().restore().open_transactions
    assert (found.transaction, found.snapshot, found.energy_wh) == ("tx", {"evse": 1}, 1010)


def test_sequence_numbers_go_on_when_all_rows_were_delivered(opened: Opener) -> None:
    store = opened()
    store.commit([started("tx"), sample("tx", 1), sample("tx", 2), Remember("open", "tx", {})])
    drain(store)
    (found,) = opened().restore().open_transactions
    assert (found.next_seq, found.energy_wh) == (3, 1020)


def test_sequence_numbers_go_on_when_some_rows_were_delivered(opened: Opener) -> None:
    store = opened()
    store.commit([started("tx"), sample("tx", 1), sample("tx", 2), Remember("open", "tx", {})])
    answer_next(store, "77")
    (found,) = opened().restore().open_transactions
    assert (found.next_seq, found.csms_id) == (3, "77")


def test_an_ended_transaction_is_not_open(opened: Opener) -> None:
    opened().commit(whole("tx", 2))
    assert opened().restore().open_transactions == ()


# --- dead letters ---------------------------------------------------------------------------------------------


def test_a_dead_letter_lets_the_next_row_pass_and_is_kept(opened: Opener) -> None:
    store = opened()
    store.commit(whole("tx", 2))
    answer_next(store, "1")
    give_up_next(store, "FormationViolation")
    assert [e.seq for e in drain(store)] == [2, 3]
    (letter,) = opened().dead_letters()
    assert (letter.seq, letter.why, letter.event) == (1, "FormationViolation", event("tx", 1))


def test_when_a_start_is_given_up_the_rest_of_its_transaction_is_told_without_a_name(opened: Opener) -> None:
    store = opened()
    store.commit([started("tx"), sample("tx", 1), ended("tx", 2)])
    give_up_next(store)
    row = opened().head()
    assert row is not None and row.csms_id == "-1"


def test_another_transaction_is_not_touched_by_a_given_up_start(store: Store) -> None:
    store.commit([started("tx"), started("ty"), ended("ty", 1)])
    give_up_next(store)
    answer_next(store, "9")
    row = store.head()
    assert row is not None and row.csms_id == "9"


def test_a_dead_letter_keeps_the_name_of_its_transaction(opened: Opener) -> None:
    store = opened()
    store.commit([started("tx"), ended("tx", 1)])
    answer_next(store, "9")
    give_up_next(store)
    store = opened()
    assert store.retry_dead_letters() == 1
    row = store.head()
    assert row is not None and row.csms_id == "9"


def test_retried_dead_letters_stand_where_they_were(store: Store) -> None:
    store.commit(whole("tx", 5))
    give_up_next(store)
    give_up_next(store)
    store.retry_dead_letters()
    assert drain(store) == [record.event for record in whole("tx", 5)] and store.dead_letters() == ()


def test_a_retried_start_holds_its_transaction_back_until_it_is_named(store: Store) -> None:
    store.commit([started("tx"), ended("tx", 1)])
    give_up_next(store)
    store.retry_dead_letters()
    answer_next(store, "5")
    row = store.head()
    assert row is not None and row.csms_id == "5"


def test_too_many_dead_letters_lose_samples_first_and_say_so(opened: Opener) -> None:
    store = opened(Limits(dead_letters=3))
    store.commit([started("tx"), sample("tx", 1), change("tx", 2), ended("tx", 3)])
    dropped: list[str] = []
    while (row := store.head()) is not None:
        dropped += store.dead_letter(row.id, "no").dropped_dead_letters
    assert dropped == ["tx-1"] and [letter.seq for letter in store.dead_letters()] == [0, 2, 3]


def test_a_row_whose_text_has_changed_on_disk_becomes_a_dead_letter(opened: Opener) -> None:
    store = opened()
    store.commit(whole("tx", 2))
    store._db.run("UPDATE journal SET body = replace(body, '1010', '9010') WHERE seq=1")
    store = opened()
    assert [e.seq for e in drain(store)] == [0, 2, 3]
    (letter,) = store.dead_letters()
    assert letter.event is None and "damaged" in letter.why


# --- a backlog: samples that were taken go by the dozen ---------------------------------------------------------


def take_next(store: Store) -> bool:
    row = store.head()
    assert row is not None
    store.sent(row.id)
    return store.take(row.id)


def backlog(store: Store, count: int) -> None:
    """A started transaction whose start was told, and `count` samples that wait."""
    store.commit([started("tx"), *(sample("tx", n) for n in range(1, count + 1))])
    answer_next(store)


def test_a_sample_that_was_taken_makes_room_for_the_next_head(store: Store) -> None:
    backlog(store, 5)
    assert take_next(store)
    row = store.head()
    assert row is not None and row.event.seq == 2 and store.counts().rows == 4


def test_what_was_taken_is_gone_after_the_next_commit_whatever_it_is_for(opened: Opener) -> None:
    store = opened()
    backlog(store, 5)
    assert take_next(store) and take_next(store)
    store.commit([Remember("t", "k", 1)])
    assert [e.seq for e in drain(opened())] == [3, 4, 5]


def test_a_power_cut_before_that_commit_repeats_the_same_messages(opened: Opener) -> None:
    store = opened()
    backlog(store, 5)
    row = store.head()
    assert row is not None and store.take(row.id)
    copy = store.path + ".cut"
    store.clone(copy)
    again = Store(copy)
    again.open()
    head = again.head()
    assert head is not None and head.event == row.event
    again.close()


def test_closing_in_order_leaves_nothing_to_repeat(opened: Opener) -> None:
    store = opened()
    backlog(store, 5)
    assert take_next(store)
    store.close()
    assert [e.seq for e in drain(opened())] == [2, 3, 4, 5]


def test_a_start_is_not_taken_without_a_commit(store: Store) -> None:
    store.commit(whole("tx", 5))
    assert not take_next(store)


def test_an_end_is_not_taken_without_a_commit(store: Store) -> None:
    store.commit([started("tx"), ended("tx", 1), *whole("ty", 3)])
    answer_next(store)
    assert not take_next(store)


def test_the_last_sample_that_waits_leaves_an_empty_journal(store: Store) -> None:
    backlog(store, 1)
    assert take_next(store) and store.head() is None and store.counts().rows == 0


def test_a_sample_that_comes_after_the_last_one_was_taken_is_the_head(store: Store) -> None:
    backlog(store, 1)
    take_next(store)
    store.commit([sample("tx", 2)])
    row = store.head()
    assert row is not None and row.event.seq == 2 and [e.seq for e in drain(store)] == [2]


def test_so_many_are_taken_and_no_more_until_a_commit_lets_them_go(store: Store) -> None:
    backlog(store, 200)
    taken = 0
    while take_next(store):
        taken += 1
    assert 1 <= taken <= MAX_TAKEN
    answer_next(store)
    assert store.counts().rows == 200 - taken - 1 and take_next(store)


def test_a_backlog_is_told_whole_and_in_order_when_it_is_taken(store: Store) -> None:
    records = [record for n in range(3) for record in whole(f"tx{n}", 90)]
    store.commit(records)
    told = []
    while (row := store.head()) is not None:
        told.append(row.event)
        store.sent(row.id)
        if not store.take(row.id):
            store.answered(row.id)
    assert told == [record.event for record in records]


def test_a_row_given_up_after_others_were_taken_leaves_the_rest_in_order(store: Store) -> None:
    backlog(store, 5)
    assert take_next(store)
    give_up_next(store)
    assert [e.seq for e in drain(store)] == [3, 4, 5]


# --- for whoever looks at it ---


def test_the_journal_is_read_in_pages_without_changing_it(store: Store) -> None:
    records = [record.event for record in whole("tx", 9)]
    store.commit(whole("tx", 9))
    first = store.page(0, 4)
    second = store.page(first[-1].id, 100)
    assert [row.event for row in (*first, *second)] == records
    assert drain(store) == records


def test_a_sample_that_the_csms_has_taken_waits_no_more(store: Store) -> None:
    store.commit(whole("tx", 5))
    answer_next(store, "7")
    row = store.head()
    assert row is not None
    assert store.take(row.id)
    assert [each.event.seq for each in store.page(0, 2)] == [2, 3]


def test_it_is_known_how_many_rows_of_each_transaction_wait(store: Store) -> None:
    store.commit([started("a"), ended("a", 1), started("b"), sample("b", 1), ended("b", 2)])
    before = store.waiting()
    for _ in range(3):
        answer_next(store, "7")
    assert (before, store.waiting()) == ({"a": 2, "b": 3}, {"b": 2})


# --- the version that a transaction was begun in ----


def test_a_transaction_speaks_the_version_of_its_start_until_all_of_it_is_told(opened: Opener) -> None:
    store = opened()
    store.commit([started("tx")])
    assert store.begun_in() == ""
    answer_next(store, "42", via="1.6")
    assert store.begun_in() == "1.6"
    store = opened()
    assert store.begun_in() == "1.6"
    store.commit([ended("tx", 1)])
    assert store.begun_in() == "1.6"
    answer_next(store, via="1.6")
    assert store.begun_in() == ""


def test_a_dead_letter_alone_holds_no_version(store: Store) -> None:
    store.commit([started("tx"), ended("tx", 1)])
    answer_next(store, "42", via="1.6")
    give_up_next(store)
    assert store.begun_in() == ""
