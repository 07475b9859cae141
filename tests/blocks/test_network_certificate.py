"""A new certificate of our own, as the link tries it: kept when it is accepted, given up when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.effects import Redial
from agent.core.network import MADE_WITH, CertificateTaken, Profile, Secret, State, Target, read_plan
from agent.core.types import Registration
from tests.blocks.helpers import of
from tests.blocks.test_network import Desk, codes

SAFE = Profile("wss://home/ocpp", "CP1", 3)
TAKEN = CertificateTaken("new", "old")


def target(desk: Desk) -> Target:
    found = desk.network.target
    assert found is not None
    return found


def trying(*, stored: dict[str, Any] | None = None) -> Desk:
    desk = Desk(SAFE).begin(**({"network": stored} if stored else {}))
    desk.feed(TAKEN)
    assert not target(desk).fresh  # our answer leaves first
    assert len(of(desk.wait(2.5), Redial)) == 1
    return desk


def test_lesson_19_a_new_certificate_is_shown_on_a_new_connection_and_kept_once_it_is_accepted() -> None:
    desk = trying()
    assert (target(desk).certificate, target(desk).fresh) == ("new", True)
    assert "LinkKept" in codes(desk.accept())
    assert (target(desk).certificate, target(desk).fresh) == ("new", False)
    assert desk.kinds == ["ReconfigurationOfSecurityParameters"]
    assert read_plan(desk.store["plan"]).certificate == "new"


def fails(desk: Desk) -> None:
    for _ in range(2):
        desk.fail("tls", "refused", "FailedToAuthenticateAtCsms")


@pytest.mark.parametrize(
    "end",
    [fails, lambda desk: desk.accept(Registration.REJECTED), lambda desk: desk.wait(301)],
    ids=["refused", "Rejected", "never accepted"],
)
def test_lesson_19_a_new_certificate_that_nobody_accepts_gives_way_to_the_one_before(end: Any) -> None:
    desk = trying()
    end(desk)
    assert (desk.network.state, target(desk).certificate, target(desk).fresh) == (State.STANDING, "old", False)
    assert desk.kinds[-1] == "ReconfigurationOfSecurityParameters"
    assert read_plan(desk.store["plan"]).certificate == "old"


def test_a_trial_of_a_certificate_goes_on_after_a_power_cut() -> None:
    desk = trying()
    again = Desk(SAFE)
    again.boot(network=dict(desk.store))
    assert (again.network.state, target(again).certificate, target(again).fresh) == (State.TRYING, "new", True)


def test_a_link_that_shows_no_certificate_is_not_left_for_a_new_one() -> None:
    desk = Desk(Profile("wss://home/ocpp", "CP1", 2, Secret("a password of the file"))).begin()
    desk.feed(CertificateTaken("new", MADE_WITH))
    assert of(desk.wait(3), Redial) == []
    assert target(desk).certificate == "new"


def test_a_certificate_that_comes_while_another_change_is_tried_waits_for_its_end() -> None:
    desk = Desk(SAFE).begin()
    desk.tried(value="wss://new/ocpp")
    desk.feed(TAKEN)
    desk.accept()
    assert not target(desk).fresh
    desk.wait(65)
    assert (target(desk).certificate, target(desk).fresh, target(desk).profile.url) == ("new", True, "wss://new/ocpp")


def waiting() -> Desk:
    """Two came while another change was tried, and then the power was cut."""
    desk = Desk(SAFE).begin()
    desk.tried(value="wss://new/ocpp")
    desk.feed(TAKEN, CertificateTaken("newer", "new"))
    again = Desk(SAFE)
    again.boot(network=dict(desk.store))
    again.remembered["network"] = desk.store | again.remembered.get("network", {})
    return again


def test_a_certificate_that_waits_is_not_forgotten_by_a_power_cut() -> None:
    desk = waiting()
    assert (desk.network.state, target(desk).fresh, target(desk).coming) == (State.TRYING, False, "newer")
    desk.accept()
    desk.wait(65)
    assert (target(desk).certificate, target(desk).fresh) == ("newer", True)
    assert "certificate" not in desk.store
    desk.accept(Registration.REJECTED)
    assert target(desk).certificate == "old"
