"""What blocks remember, read with the true times: only what is an instant by its whole shape is touched."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.types import ClockQuality
from agent.store.codec import retimed_json

CLOCKS = {"b": (1000.0, ClockQuality.SYNCED)}


def test_an_instant_of_a_boot_whose_clock_is_known_gets_its_true_time() -> None:
    assert retimed_json([5.0, 0.0, 0, "b"], CLOCKS) == [5.0, 1005.0, 2, "b"]


@pytest.mark.parametrize("value", [[5.0, 0.0, 9, "b"], ["x", 0.0, 0, "b"], [None, None, 0, "b"], [5.0, 0.0, True, "b"]])
def test_what_only_looks_like_an_instant_is_left_as_it_is(value: list[Any]) -> None:
    assert retimed_json(value, CLOCKS) == value
