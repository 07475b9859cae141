"""Transaction events as text: exact both ways, and with their true times when these become known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.record import replace
from agent.core.types import ClockQuality, Instant, TransactionEvent
from agent.store.codec import _KINDS, _MEASURANDS, Unreadable, decode_event, encode_event, retimed, retimed_json
from drivers.api import Measurand
from tests.store.scenes import BOOT, at, event, events

CLOCKS = {BOOT: (5000.0, ClockQuality.SYNCED)}


@given(events)
def test_every_event_comes_back_as_it_was(original: TransactionEvent) -> None:
    assert decode_event(encode_event(original)) == original


@given(events)
def test_whole_numbers_and_fractions_stay_what_they_are(original: TransactionEvent) -> None:
    values = [s.value for r in original.readings for s in r.samples]
    back = [s.value for r in decode_event(encode_event(original)).readings for s in r.samples]
    assert [type(value) for value in back] == [type(value) for value in values]


@given(events)
def test_the_text_is_ascii_and_one_line(original: TransactionEvent) -> None:
    text = encode_event(original)
    assert text.isascii() and text.isprintable()


def test_a_row_from_before_meters_signed_is_still_read() -> None:
    old = (
        '["ab-1-1",3,"E",[1010.0,1700000010.0,2,"boot"],"StopAuthorized",1,1,5000,7010,"EVConnected",0,null,null,'
        '[[0,"Transaction.End",["E",7010.0,null]]],"Local"]'
    )
    (reading,) = decode_event(old).readings
    assert (reading.samples[0].value, reading.signed) == (7010.0, None)


def test_every_measurand_has_a_code() -> None:
    assert set(_MEASURANDS.values()) == set(Measurand) and len(_KINDS) == 3


def test_a_sample_of_twelve_values_is_short() -> None:
    assert len(encode_event(event("0123456789ab-1-123", 7))) < 480


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str))
def test_any_other_text_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        decode_event(text)


def test_a_clock_learnt_later_corrects_event_start_and_readings() -> None:
    unsure = at(60, ClockQuality.UNKNOWN)
    true = Instant(unsure.mono, unsure.mono + 5000.0, ClockQuality.SYNCED, BOOT)
    original = event("tx", 1)
    original = replace(original, at=unsure, started_at=unsure, readings=(replace(original.readings[0], at=unsure),))
    fixed = retimed(original, CLOCKS)
    assert (fixed.at, fixed.started_at, fixed.readings[0].at) == (true, true, true)


def test_a_time_that_was_sure_is_not_touched() -> None:
    assert retimed(event("tx", 1), CLOCKS) == event("tx", 1)


def test_a_time_of_another_power_up_is_not_touched() -> None:
    other = replace(event("tx", 1), at=at(60, ClockQuality.UNKNOWN, "another"))
    assert retimed(other, CLOCKS) == other


def test_instants_within_remembered_values_are_corrected() -> None:
    value = {"started_at": [10.0, 0.0, 0, BOOT], "deep": [{"at": [20.0, 7.0, 2, BOOT]}], "n": [1, 2, 3, 4]}
    assert retimed_json(value, CLOCKS) == {
        "started_at": [10.0, 5010.0, 2, BOOT],
        "deep": [{"at": [20.0, 7.0, 2, BOOT]}],
        "n": [1, 2, 3, 4],
    }
