"""The link as a whole: ways back from a CSMS that is there but does not take us, and from slots that are gone."""

from __future__ import annotations

from agent.core.events import LinkDown, LinkUp, Restored
from agent.core.network import FileLink, LinksConfigured, State
from agent.core.types import Registration
from tests.blocks.test_network import HOME, SPARE, Desk

AFTER_S = 3600.0
AFTER = {"OCPPCommCtrlr__NetworkLastResortAfter": "3600"}


def moved() -> Desk:
    """A charger that a CSMS has moved elsewhere, after a restart."""
    before = Desk().begin()
    before.tried()
    before.stand()
    desk = Desk(**AFTER)
    desk.feed(Restored(before.remembered))
    assert desk.profile.url == "ws://new/ocpp"
    return desk


def test_a_csms_that_takes_the_connection_and_never_answers_is_left_for_the_files_own() -> None:
    desk = moved()
    desk.feed(LinkUp())
    desk.wait(AFTER_S + 1)
    assert desk.profile == HOME


def test_a_csms_that_rejects_us_for_ever_is_left_for_the_files_own() -> None:
    desk = moved()
    desk.accept(Registration.REJECTED)
    desk.wait(AFTER_S + 1)
    assert desk.profile == HOME


def test_a_csms_that_has_accepted_us_is_not_left() -> None:
    desk = moved()
    desk.accept()
    desk.wait(10 * AFTER_S)
    assert desk.profile.url == "ws://new/ocpp"


def test_a_csms_that_rejects_us_for_ever_is_left_for_the_fallback_of_the_file() -> None:
    desk = Desk(HOME, SPARE, **AFTER).begin()
    desk.accept(Registration.REJECTED)
    desk.wait(AFTER_S + 1)
    assert desk.profile == SPARE


def test_after_a_restart_the_preferred_slot_is_dialled_first() -> None:
    before = Desk(HOME, SPARE).begin()
    before.tried("OCPPCommCtrlr.NetworkConfigurationPriority", "2,1")
    before.accept()
    assert before.profile == SPARE
    after = Desk(HOME, SPARE)
    after.feed(Restored(before.remembered))
    assert after.profile == SPARE


def test_a_trial_does_not_return_to_a_slot_that_the_file_has_lost_meanwhile() -> None:
    desk = Desk(HOME, SPARE).begin()
    desk.tried("OCPPCommCtrlr.NetworkConfigurationPriority", "2,1")
    desk.accept()
    desk.tried("OCPPCommCtrlr.NetworkConfigurationPriority", "1,2")
    desk.feed(LinksConfigured((FileLink(HOME, "m"),), ()))
    desk.wait(400)
    assert desk.network.state is State.STANDING
    assert desk.profile == HOME


def test_a_link_that_was_lost_for_a_moment_is_no_reason_to_leave_it_a_day_later() -> None:
    desk = moved()
    desk.accept()
    desk.feed(LinkDown("x"))
    desk.wait(5)
    desk.feed(LinkUp())
    desk.wait(AFTER_S - 10)
    desk.feed(LinkDown("x"))
    desk.wait(20)
    desk.fail()
    desk.fail()
    assert desk.profile.url == "ws://new/ocpp"
