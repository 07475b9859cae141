"""What a technician sees of a bus: registers by the names of their map, and nothing at all while nobody looks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from drivers.busstats import Exchange
from drivers.overheard import decoded
from drivers.regmap import load_evse, load_meter


def exchange(
    maps: list[object], function: int, address: int, payload: Any, answer: Any = (), error: str = ""
) -> Exchange:
    device = SimpleNamespace(unit=1, label="x", maps=maps)
    return Exchange("b", device, function, address, payload, answer, error, 0.01)


METER, EVSE = load_meter("eastron_sdm630"), load_evse("reference", (), 1)


def test_a_read_of_a_meter_is_told_by_measurand_and_phase() -> None:
    told = list(decoded(exchange([METER], 4, 0, 4, [0x4366, 0x999A, 0x4367, 0x0000])))
    assert told == [("Voltage@L1-N", "230.6 V", "0000: 4366 999A"), ("Voltage@L2-N", "231 V", "0002: 4367 0000")]


def test_a_value_that_was_read_only_in_part_is_not_told() -> None:
    assert [name for name, _, _ in decoded(exchange([METER], 4, 0, 3, [0x4366, 0x999A, 0x4367]))] == ["Voltage@L1-N"]


def test_a_read_of_a_controller_is_told_in_the_words_of_its_map() -> None:
    row = EVSE.pilot.row
    value = EVSE.pilot.value_of("C")
    (told, *_) = decoded(exchange([EVSE], 3, row.at, 1, [value]))
    assert told[:2] == ("pilot", "C")


def test_a_flag_is_yes_or_no() -> None:
    assert EVSE.contactor is not None
    at = EVSE.contactor.row.at
    values = {name: value for name, value, _ in decoded(exchange([EVSE], 3, at, 1, [1]))}
    assert values["contactor"] == "yes"


def test_an_order_is_told_as_what_it_offers() -> None:
    row = EVSE.offer.row
    told = {name: value for name, value, _ in decoded(exchange([EVSE], 16, row.at, [16000 >> 16, 16000 & 0xFFFF]))}
    assert next(iter(told.values())).endswith(" A")


@pytest.mark.parametrize("maps", [[], [METER]], ids=["no map", "a map of other registers"])
def test_registers_that_no_map_names_are_shown_as_they_are(maps: list[object]) -> None:
    assert list(decoded(exchange(maps, 3, 0x9000, 2, [1, 0xBEEF]))) == [("", "", "0001 BEEF")]


def test_a_text_that_no_map_names_is_not_shown_for_it_may_be_the_card_of_the_driver() -> None:
    words = [int.from_bytes(pair) for pair in (b"01", b"00", b"A5", b"7C")]
    assert list(decoded(exchange([], 16, 0x9000, words))) == [("", "", "(a text in 4 registers)")]


def test_of_an_exchange_that_failed_there_is_nothing_to_tell() -> None:
    assert list(decoded(exchange([METER], 4, 0, 4, [], "timeout"))) == []
