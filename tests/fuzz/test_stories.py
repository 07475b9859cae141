"""Any life of a charger: requests that aim at something among cars, cards, broken links, moods and time."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.story import Step, live, steps

LOOK = settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_no_life_breaks_a_charger(version: str) -> None:
    @LOOK
    @given(st.lists(steps(version), min_size=4, max_size=25))
    def lives(whole: list[Step]) -> None:
        live(version, whole)

    lives()
