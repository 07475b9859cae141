"""The link as a whole, alone: what is tried, what is kept, what returns, and where to dial next."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from agent.blocks.assembly import assemble
from agent.blocks.network import MAX_STARTS, Network
from agent.blocks.network_course import SETTLED_S
from agent.blocks.station import Block, Out, Station
from agent.core.effects import Ask, Boot, Effect, Heartbeat, Note, Redial, Remember, Reply, WritesAnswer
from agent.core.events import BootAnswered, LinkDown, LinkUp, Restored, SecurityEvent, Stopping
from agent.core.evse import EvseLimits
from agent.core.network import (
    TRANSITIONS,
    CredentialsKnown,
    DialFailed,
    FileLink,
    Links,
    LinksConfigured,
    LinkSilent,
    Plan,
    Profile,
    Secret,
    State,
    Turn,
    read_plan,
)
from agent.core.requests import Ref, VariablesRequested, VariablesSetRequested, VariableWrite
from agent.core.types import Instant, Registration, SetStatus, VariableId
from tests.blocks.helpers import Bench, of

KEY = "0123456789abcdef0123456789ABCDEF"
HOME = Profile("ws://home:80/ocpp", "CP1", 1, Secret("a password of the file"), "text", (), None)
SPARE = Profile("ws://spare:80/ocpp", "CP1", 1, Secret("a password of the file"))
ATTEMPTS = {"OCPPCommCtrlr.NetworkProfileConnectionAttempts": "2"}


class Ear(Block):
    """Hears security events, as the security block does."""

    def __init__(self) -> None:
        self.heard: list[SecurityEvent] = []

    def on_security(self, e: SecurityEvent, _now: Instant) -> Out:
        self.heard.append(e)
        return iter(())

    HEARS: ClassVar = {SecurityEvent: "on_security"}


class Desk(Bench):
    """A station whose file names these links."""

    def __init__(self, *files: Profile, marks: str = "m", **variables: str) -> None:
        super().__init__()
        links = Links(tuple(FileLink(file, marks) for file in files or (HOME,)), ("V-ONE", "V-TWO"))
        station = assemble([EvseLimits(1, 32.0, 3)], prefix="t", links=links)
        self.ear = Ear()
        self.station = Station(station.facts, [*station.blocks, self.ear])
        self.last: list[Effect] = []
        self.variables = self.station.facts.variables
        assert not self.variables.layer("config", ATTEMPTS | {k.replace("__", "."): v for k, v in variables.items()})

    @property
    def network(self) -> Network:
        return next(block for block in self.station.blocks if isinstance(block, Network))

    @property
    def slot(self) -> int:
        assert self.network.target is not None
        return self.network.target.slot

    @property
    def profile(self) -> Profile:
        assert self.network.target is not None
        return self.network.target.profile

    def begin(self, **tables: Any) -> Desk:
        self.boot(**tables)
        self.accept()
        self.ear.heard.clear()
        return self

    def accept(self, status: Registration = Registration.ACCEPTED) -> list[Effect]:
        return self.feed(LinkUp(), BootAnswered(status, 300.0, self.utc))

    def stand(self) -> None:
        """Accepted, for long enough to be believed in."""
        self.accept()
        self.wait(SETTLED_S + 1)

    def set(self, name: str, value: str) -> str:
        component, _, variable = name.rpartition(".")
        write = VariableWrite(VariableId(component, variable), value)
        effects = self.feed(VariablesSetRequested(Ref("1", "Set"), (write,)))
        answer = of(effects, Reply)[0].answer
        assert isinstance(answer, WritesAnswer)
        self.last = effects
        return str(answer.results[0][1])

    def see(self, name: str) -> str | None:
        component, _, variable = name.rpartition(".")
        return self.variables.view(VariableId(component, variable), self.now).value

    def fail(self, kind: str = "refused", why: str = "nobody listens", security: str = "") -> list[Effect]:
        assert self.network.target is not None
        return self.feed(DialFailed(self.network.target.number, kind, why, security))

    def tried(self, name: str = "NetworkConfiguration[1].OcppCsmsUrl", value: str = "ws://new/ocpp") -> list[Effect]:
        """A change is taken and its trial begins."""
        assert self.set(name, value) == "Accepted"
        effects = self.wait(2.5)
        assert self.network.state is State.TRYING
        self.feed(LinkDown("redial"))
        return effects

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.ear.heard]

    @property
    def store(self) -> dict[str, Any]:
        return self.remembered.get("network", {})


def codes(effects: list[Effect]) -> list[str]:
    return [note.code for note in of(effects, Note)]


# --- a trial --------------------------------------------------------------------------------------------------------


def test_a_new_address_is_dialled_only_after_its_answer_and_a_quiet_moment() -> None:
    desk = Desk().begin()
    assert desk.set("NetworkConfiguration[1].OcppCsmsUrl", "ws://new/ocpp") == "Accepted"
    assert of(desk.last, Redial) == []
    assert desk.profile.url == HOME.url
    assert len(of(desk.wait(2.5), Redial)) == 1
    assert desk.profile.url == "ws://new/ocpp"


def test_changes_that_come_together_are_tried_together() -> None:
    desk = Desk().begin()
    desk.set("NetworkConfiguration[1].OcppCsmsUrl", "ws://new/ocpp")
    desk.wait(1.5)
    desk.set("NetworkConfiguration[1].Identity", "CP9")
    assert of(desk.wait(1.5), Redial) == []
    desk.wait(1)
    assert (desk.profile.url, desk.profile.identity) == ("ws://new/ocpp", "CP9")


def test_a_trial_sends_a_boot_notification_although_this_process_was_accepted_before() -> None:
    desk = Desk().begin()
    desk.tried()
    assert [ask.call for ask in of(desk.feed(LinkUp()), Ask) if isinstance(ask.call, Boot)] != []


def test_nothing_is_registered_while_a_new_link_has_not_accepted_us() -> None:
    desk = Desk().begin()
    desk.tried()
    assert desk.station.facts.registration is Registration.NONE


def test_a_boot_answer_that_still_comes_over_the_old_link_does_not_prove_the_new_one() -> None:
    desk = Desk().begin()
    desk.set("NetworkConfiguration[1].OcppCsmsUrl", "ws://new/ocpp")
    desk.wait(2.5)
    desk.feed(BootAnswered(Registration.ACCEPTED, 300.0))
    assert desk.network.state is State.TRYING


def test_an_accepted_boot_notification_keeps_the_new_link() -> None:
    desk = Desk().begin()
    desk.tried()
    effects = desk.accept()
    assert "LinkKept" in codes(effects)
    assert read_plan(desk.store["plan"]).slots[1]["url"] == "ws://new/ocpp"
    assert desk.see("NetworkConfiguration[1].OcppCsmsUrl") == "ws://new/ocpp"


def test_a_mere_connection_does_not_keep_it() -> None:
    desk = Desk().begin()
    desk.tried()
    desk.feed(LinkUp())
    desk.wait(290)
    assert desk.network.state is State.TRYING
    assert "LinkReturned" in codes(desk.wait(20))


@pytest.mark.parametrize("status", [Registration.PENDING, Registration.NONE])
def test_a_csms_that_keeps_us_waiting_is_left_when_the_time_is_over(status: Registration) -> None:
    desk = Desk(OCPPCommCtrlr__NetworkTrialTimeout="30").begin()
    desk.tried()
    desk.accept(status)
    desk.wait(31)
    assert (desk.network.state, desk.profile) == (State.STANDING, HOME)


def test_rejected_ends_a_trial_at_once() -> None:
    desk = Desk().begin()
    desk.tried()
    effects = desk.accept(Registration.REJECTED)
    assert "LinkReturned" in codes(effects)
    assert len(of(effects, Redial)) == 1
    assert desk.profile == HOME


def test_a_trial_is_given_up_after_its_attempts() -> None:
    desk = Desk().begin()
    desk.tried()
    assert of(desk.fail(), Redial) == []
    assert len(of(desk.fail(), Redial)) == 1
    assert desk.profile == HOME


def test_a_link_that_opens_and_closes_is_a_failed_attempt() -> None:
    desk = Desk().begin()
    desk.tried()
    for _ in range(2):
        desk.feed(LinkUp(), LinkDown("closed"))
    assert desk.profile == HOME


def test_a_failure_of_the_target_before_is_none_of_the_trial() -> None:
    desk = Desk().begin()
    assert desk.network.target is not None
    number = desk.network.target.number
    desk.tried()
    for _ in range(9):
        desk.feed(DialFailed(number, "refused", "nobody listens"))
    assert desk.network.state is State.TRYING


def test_the_link_that_returns_is_booted_on_again() -> None:
    desk = Desk().begin()
    desk.tried()
    desk.accept(Registration.REJECTED)
    desk.feed(LinkDown("redial"))
    assert any(isinstance(ask.call, Boot) for ask in of(desk.feed(LinkUp()), Ask))


def test_no_change_is_taken_while_one_is_tried() -> None:
    desk = Desk().begin()
    desk.tried()
    assert desk.set("NetworkConfiguration[1].OcppCsmsUrl", "ws://other/ocpp") == "Rejected"
    assert desk.profile.url == "ws://new/ocpp"


def test_a_change_that_the_link_in_use_does_not_notice_is_kept_without_a_trial() -> None:
    desk = Desk().begin()
    assert desk.set("NetworkConfiguration[3].OcppCsmsUrl", "ws://third/ocpp") == "Accepted"
    assert of(desk.wait(3), Redial) == []
    assert desk.network.state is State.STANDING
    assert read_plan(desk.store["plan"]).slots[3]["url"] == "ws://third/ocpp"


def test_another_order_of_slots_is_tried_and_returns() -> None:
    desk = Desk(HOME, SPARE).begin()
    assert desk.set("OCPPCommCtrlr.NetworkConfigurationPriority", "2,1") == "Accepted"
    desk.wait(2.5)
    assert desk.slot == 2
    desk.fail()
    desk.fail()
    assert desk.slot == 1
    assert desk.see("OCPPCommCtrlr.NetworkConfigurationPriority") == "1,2"


# --- accepted, and then closed ----------------------------------------------------------------------------------------


def flap(desk: Desk) -> list[Effect]:
    """The CSMS takes the connection, and closes it after a moment."""
    desk.feed(LinkUp())
    desk.wait(1)
    return desk.feed(LinkDown("closed"))


def accepted(desk: Desk) -> Desk:
    desk.tried()
    desk.accept()
    return desk


def test_a_csms_that_accepts_us_and_then_closes_again_and_again_is_left_for_the_link_before() -> None:
    desk = accepted(Desk().begin())
    assert "LinkReturned" not in codes(desk.feed(LinkDown("closed")))
    assert "LinkReturned" in codes(flap(desk))
    assert (desk.profile, desk.kinds[-1]) == (HOME, "ReconfigurationOfSecurityParameters")
    desk.stand()
    assert read_plan(desk.store["plan"]) == Plan()
    assert "before" not in desk.store


def test_an_outage_just_after_a_new_password_was_accepted_does_not_lock_the_charger_out() -> None:
    """The CSMS knows the old one no more."""
    desk = Desk().begin()
    desk.tried("SecurityCtrlr.BasicAuthPassword", KEY)
    desk.accept()
    desk.feed(LinkDown("no carrier"))
    desk.fail()
    assert desk.profile == HOME
    for _ in range(2):
        desk.fail("unauthorized", "HTTP 401")
    assert desk.profile.password == KEY
    desk.stand()
    assert read_plan(desk.store["plan"]).slots[1]["password"] == KEY
    assert "before" not in desk.store
    assert codes(desk.feed(LinkDown("x"))) == []


def test_two_links_of_which_neither_lasts_take_turns_without_haste_or_writing() -> None:
    desk = accepted(Desk().begin())
    effects: list[Effect] = []
    for _ in range(20):
        effects += flap(desk)
    redials = of(effects, Redial)
    assert len(redials) == 10
    assert sum(redial.at_once for redial in redials) == 1
    assert codes(effects).count("LinkReturned") == 1
    assert [effect for effect in of(effects, Remember) if effect.table == "network"] == []


def test_all_slots_of_the_link_before_have_their_turn_and_then_the_new_one_again() -> None:
    desk = accepted(Desk(HOME, SPARE).begin())
    seen = []
    for _ in range(6):
        desk.fail()
        desk.fail()
        seen.append(desk.profile.url)
    assert seen == [HOME.url, SPARE.url, "ws://new/ocpp", SPARE.url, HOME.url, "ws://new/ocpp"]


def test_nothing_is_taken_from_a_link_before_that_has_not_stood_yet() -> None:
    desk = accepted(Desk().begin())
    for _ in range(2):
        flap(desk)
    desk.accept()
    assert desk.set("NetworkConfiguration[1].OcppCsmsUrl", "ws://newer/ocpp") == "Rejected"
    desk.wait(SETTLED_S + 1)
    assert desk.set("NetworkConfiguration[1].OcppCsmsUrl", "ws://newer/ocpp") == "Accepted"


def test_a_csms_that_is_gone_after_it_has_accepted_us_is_left_for_the_link_before() -> None:
    desk = accepted(Desk(OCPPCommCtrlr__NetworkProfileConnectionAttempts="1000").begin())
    desk.feed(LinkDown("closed"))
    desk.wait(300 + SETTLED_S + 1)
    assert desk.profile == HOME


def test_a_csms_that_thinks_better_of_it_and_rejects_us_is_left_for_the_link_before() -> None:
    desk = accepted(Desk().begin())
    desk.feed(LinkDown("closed"))
    assert "LinkReturned" in codes(desk.accept(Registration.REJECTED))


def test_a_link_that_has_stood_for_a_while_is_believed_in() -> None:
    desk = accepted(Desk().begin())
    desk.wait(SETTLED_S + 1)
    assert "before" not in desk.store
    for _ in range(20):
        flap(desk)
    assert desk.profile.url == "ws://new/ocpp"


def test_a_charger_that_slept_for_a_day_believes_in_a_link_that_stood() -> None:
    desk = accepted(Desk().begin())
    desk.mono += 86400.0
    desk.wait(1)
    assert "before" not in desk.store
    assert desk.profile.url == "ws://new/ocpp"


def test_a_cut_does_not_make_a_link_believed_in() -> None:
    desk = revived(accepted(Desk().begin()))
    assert desk.profile.url == "ws://new/ocpp"
    for _ in range(2):
        desk.fail()
    assert desk.profile == HOME


def test_our_own_end_is_no_failure_of_the_link() -> None:
    desk = accepted(Desk(OCPPCommCtrlr__NetworkProfileConnectionAttempts="1").begin())
    assert "LinkReturned" not in codes(desk.feed(Stopping("asked to"), LinkDown("the agent stops")))
    assert revived(desk).profile.url == "ws://new/ocpp"


def test_another_change_on_a_link_that_is_not_believed_in_returns_with_it() -> None:
    desk = accepted(Desk().begin())
    desk.tried(value="ws://newer/ocpp")
    desk.accept()
    for _ in range(2):
        flap(desk)
    assert desk.profile == HOME


def test_a_security_profile_is_the_least_only_once_its_link_is_believed_in() -> None:
    desk = Desk().begin()
    desk.feed(CredentialsKnown(root=True, client=False))
    desk.tried("NetworkConfiguration.SecurityProfile", "2")
    desk.accept()
    assert read_plan(desk.store["plan"]).floor == 0
    desk.set("NetworkConfiguration[3].OcppCsmsUrl", "wss://third/ocpp")
    desk.wait(SETTLED_S + 1)
    assert read_plan(desk.store["plan"]).floor == 2


def test_a_csms_that_once_was_good_and_now_closes_at_once_for_long_is_left_for_the_files_own() -> None:
    desk = moved()
    for _ in range(1190):
        flap(desk)
        desk.wait(2)
    assert desk.profile.url == "ws://new/ocpp"
    while desk.profile != HOME and desk.mono < 10_000:
        flap(desk)
        desk.wait(2)
    assert desk.profile == HOME


# --- security events --------------------------------------------------------------------------------------------------


def test_a_change_that_is_taken_is_a_security_event() -> None:
    desk = Desk().begin()
    desk.tried()
    assert desk.kinds == []
    desk.accept()
    assert desk.kinds == ["ReconfigurationOfSecurityParameters"]


def test_a_change_that_is_not_kept_is_a_security_event_with_its_cause_before_it() -> None:
    desk = Desk().begin()
    desk.tried()
    desk.fail("tls", "the certificate has expired", "InvalidCsmsCertificate")
    desk.fail("tls", "the certificate has expired", "InvalidCsmsCertificate")
    assert desk.kinds == ["InvalidCsmsCertificate", "ReconfigurationOfSecurityParameters"]


def test_a_row_of_equal_failures_is_one_security_event_until_a_link_is_good_again() -> None:
    desk = Desk().begin()
    for _ in range(5):
        desk.fail("unauthorized", "HTTP 401", "FailedToAuthenticateAtCsms")
    assert desk.kinds == ["FailedToAuthenticateAtCsms"]
    desk.feed(LinkDown("x"), LinkUp())
    desk.wait(61)
    desk.feed(LinkDown("x"))
    desk.fail("unauthorized", "HTTP 401", "FailedToAuthenticateAtCsms")
    assert desk.kinds == ["FailedToAuthenticateAtCsms"] * 2


# --- power cuts and restarts ------------------------------------------------------------------------------------------


def revived(desk: Desk) -> Desk:
    """What another process makes of what this one had remembered."""
    other = Desk()
    other.feed(Restored(desk.remembered))
    other.remembered = {k: dict(v) for k, v in desk.remembered.items()} | other.remembered
    return other


def test_a_cut_between_answer_and_trial_does_not_lose_the_change() -> None:
    desk = Desk().begin()
    desk.set("NetworkConfiguration[1].OcppCsmsUrl", "ws://new/ocpp")
    other = revived(desk)
    assert (other.network.state, other.profile.url) == (State.TRYING, "ws://new/ocpp")


def test_a_cut_within_a_trial_begins_it_anew_and_it_still_returns() -> None:
    desk = Desk().begin()
    desk.tried()
    other = revived(desk)
    assert other.profile.url == "ws://new/ocpp"
    other.wait(301)
    assert other.profile == HOME


def test_a_charger_that_is_restarted_again_and_again_within_a_trial_returns_to_its_link() -> None:
    desk = Desk().begin()
    desk.tried()
    for _ in range(MAX_STARTS):
        desk = revived(desk)
        assert desk.network.state is State.TRYING
    assert revived(desk).profile == HOME


def test_what_was_kept_is_still_there_after_a_restart() -> None:
    desk = Desk().begin()
    desk.tried()
    desk.accept()
    assert "wanted" not in desk.store
    other = revived(desk)
    assert (other.network.state, other.profile.url) == (State.STANDING, "ws://new/ocpp")


def test_a_file_that_was_edited_wins_over_what_the_csms_had_set() -> None:
    desk = Desk().begin()
    desk.tried()
    desk.accept()
    plan = desk.remembered["network"]["plan"]
    other = Desk(marks="edited")
    effects = other.feed(Restored({"network": {"plan": plan}}))
    assert "LinkSettingsDropped" in codes(effects)
    assert other.profile == HOME


def test_a_file_that_is_edited_while_the_agent_runs_ends_a_trial() -> None:
    desk = Desk().begin()
    desk.tried()
    effects = desk.feed(LinksConfigured((FileLink(SPARE, "edited"),), ()))
    assert desk.profile == SPARE
    assert len(of(effects, Redial)) == 1


@pytest.mark.parametrize("junk", [None, 7, [], {"slots": 3}, {"slots": {"9": {}, "1": {"url": 5}}, "priority": "x"}])
def test_junk_in_the_store_is_left_out(junk: object) -> None:
    assert read_plan(junk) in (Plan(), Plan({1: {}}))


# --- security profiles and passwords ----------------------------------------------------------------------------------


def test_the_security_profile_never_goes_down() -> None:
    desk = Desk().begin()
    assert desk.set("NetworkConfiguration.SecurityProfile", "0") == "Rejected"


def test_profile_2_wants_an_authority() -> None:
    desk = Desk().begin()
    assert desk.set("NetworkConfiguration.SecurityProfile", "2") == "Rejected"
    desk.feed(CredentialsKnown(root=True, client=False))
    assert desk.set("NetworkConfiguration.SecurityProfile", "2") == "Accepted"


def test_profile_3_wants_a_certificate_of_ours() -> None:
    desk = Desk().begin()
    desk.feed(CredentialsKnown(root=True, client=False))
    assert desk.set("NetworkConfiguration.SecurityProfile", "3") == "Rejected"
    desk.feed(CredentialsKnown(root=True, client=True))
    assert desk.set("NetworkConfiguration.SecurityProfile", "3") == "Accepted"


def test_profile_1_wants_a_password() -> None:
    desk = Desk(Profile("ws://home/ocpp", "CP1")).begin()
    assert desk.set("NetworkConfiguration.SecurityProfile", "1") == "Rejected"
    assert desk.set("SecurityCtrlr.BasicAuthPassword", KEY) == "Accepted"
    assert desk.set("NetworkConfiguration.SecurityProfile", "1") == "Accepted"


def test_a_higher_security_profile_is_dialled_with_tls_and_tried() -> None:
    desk = Desk().begin()
    desk.feed(CredentialsKnown(root=True, client=False))
    desk.tried("NetworkConfiguration.SecurityProfile", "2")
    assert desk.profile.dial_url == "wss://home:80/ocpp"
    assert desk.see("SecurityCtrlr.SecurityProfile") == "1"
    desk.accept()
    assert desk.see("SecurityCtrlr.SecurityProfile") == "2"


def test_an_address_without_tls_is_refused_once_tls_is_demanded() -> None:
    desk = Desk(Profile("wss://home/ocpp", "CP1", 2, Secret(KEY))).begin()
    assert desk.set("NetworkConfiguration[1].OcppCsmsUrl", "ws://new/ocpp") == "Rejected"


def test_a_slot_of_a_lower_security_profile_cannot_be_put_first() -> None:
    desk = Desk(Profile("wss://home/ocpp", "CP1", 2, Secret(KEY)), SPARE).begin()
    assert desk.set("OCPPCommCtrlr.NetworkConfigurationPriority", "2,1") == "Rejected"


@pytest.mark.parametrize("value", ["", "7", "1,7", "0", "x", "1,0"])
def test_a_priority_of_slots_that_cannot_be_used_is_refused(value: str) -> None:
    assert Desk().begin().set("OCPPCommCtrlr.NetworkConfigurationPriority", value) == "Rejected"


@pytest.mark.parametrize(
    "value", ["http://new", "ws://", "ws://user:pass@new", "ws://new/#x", "ws://ne w", "ws://new:0", "ws://new:x"]
)
def test_an_address_that_cannot_be_dialled_is_refused(value: str) -> None:
    assert Desk().begin().set("NetworkConfiguration[1].OcppCsmsUrl", value) == "Rejected"


def test_the_only_slot_cannot_be_emptied() -> None:
    desk = Desk().begin()
    desk.set("NetworkConfiguration[2].BasicAuthPassword", KEY)
    desk.set("NetworkConfiguration[2].OcppCsmsUrl", "ws://second/ocpp")
    desk.wait(3)
    desk.tried("OCPPCommCtrlr.NetworkConfigurationPriority", "2")
    desk.accept()
    assert desk.set("NetworkConfiguration[2].OcppCsmsUrl", "") == "Rejected"


@pytest.mark.parametrize("value", ["short", "x" * 65, "with\na line end in it"])
def test_a_password_that_is_no_password_is_refused(value: str) -> None:
    assert Desk().begin().set("SecurityCtrlr.BasicAuthPassword", value) == "Rejected"


def test_in_form_hex_only_16_to_20_bytes_are_a_password() -> None:
    desk = Desk(SecurityCtrlr__BasicAuthPasswordForm="hex").begin()
    assert desk.set("SecurityCtrlr.BasicAuthPassword", "not hex but long enough!") == "Rejected"
    assert desk.set("SecurityCtrlr.BasicAuthPassword", KEY[:30]) == "Rejected"
    assert desk.set("SecurityCtrlr.BasicAuthPassword", KEY) == "Accepted"


def test_lesson_20_both_forms_of_a_key_are_tried_and_what_worked_is_remembered() -> None:
    desk = Desk().begin()
    desk.tried("SecurityCtrlr.BasicAuthPassword", KEY)
    assert desk.network.target is not None
    assert desk.network.target.form == "hex"
    desk.fail("unauthorized", "HTTP 401")
    assert desk.network.target.form == "text"
    desk.accept()
    assert desk.network.target.form == "text"
    assert desk.store["forms"] == {"1": "text"}


def test_a_refused_key_counts_as_a_failure_only_when_both_forms_were_refused() -> None:
    desk = Desk(OCPPCommCtrlr__NetworkProfileConnectionAttempts="1").begin()
    desk.tried("SecurityCtrlr.BasicAuthPassword", KEY)
    desk.fail("unauthorized", "HTTP 401")
    assert desk.network.state is State.TRYING
    desk.fail("unauthorized", "HTTP 401")
    assert desk.profile == HOME


def test_a_key_that_the_link_does_not_use_is_kept_without_leaving_it() -> None:
    desk = Desk(Profile("ws://home/ocpp", "CP1")).begin()
    desk.set("SecurityCtrlr.BasicAuthPassword", KEY)
    assert of(desk.wait(3), Redial) == []
    assert read_plan(desk.store["plan"]).slots[1]["password"] == KEY


def test_a_password_is_never_told_nor_shown() -> None:
    desk = Desk().begin()
    desk.tried("SecurityCtrlr.BasicAuthPassword", KEY)
    desk.accept()
    effects = desk.feed(VariablesRequested(Ref("1", "Get"), None))
    assert KEY not in repr(effects)
    assert desk.see("SecurityCtrlr.BasicAuthPassword") is None
    assert KEY not in repr(desk.network.target)


def test_what_may_hide_in_an_address_is_not_told() -> None:
    desk = Desk(Profile("ws://home/ocpp?token=sesame", "CP1")).begin()
    assert desk.see("NetworkConfiguration[1].OcppCsmsUrl") == "ws://home/ocpp"


# --- several slots ----------------------------------------------------------------------------------------------------


def test_the_next_slot_is_dialled_after_the_attempts_and_the_first_one_after_it() -> None:
    desk = Desk(HOME, SPARE).begin()
    desk.feed(LinkDown("lost"))
    desk.wait(1)
    desk.fail()
    assert desk.slot == 1
    desk.fail()
    assert desk.slot == 2
    desk.fail()
    desk.fail()
    assert desk.slot == 1


def test_a_single_link_is_dialled_for_ever() -> None:
    desk = Desk().begin()
    for _ in range(50):
        assert of(desk.fail(), Redial) == []


def test_a_slot_below_the_security_profile_that_was_raised_and_proved_is_left_out() -> None:
    desk = Desk(HOME, SPARE).begin()
    desk.feed(CredentialsKnown(root=True, client=False))
    desk.tried("NetworkConfiguration.SecurityProfile", "2")
    desk.stand()
    desk.feed(LinkDown("lost"))
    for _ in range(9):
        desk.fail()
    assert (desk.slot, desk.profile.security) == (1, 2)


def test_a_lesser_slot_of_the_file_is_used_as_long_as_nobody_has_raised_the_profile() -> None:
    desk = Desk(Profile("wss://home/ocpp", "CP1", 2, Secret(KEY)), SPARE).begin()
    desk.tried("SecurityCtrlr.BasicAuthPassword", "another good password")
    desk.stand()
    desk.feed(LinkDown("lost"))
    for _ in range(2):
        desk.fail()
    assert desk.slot == 2


def test_the_better_slot_is_tried_again_after_a_while_that_is_not_the_same_for_all() -> None:
    desk = Desk(HOME, SPARE).begin()
    desk.fail()
    desk.fail()
    desk.accept()
    assert of(desk.wait(1799), Redial) == []
    desk.wait(452)
    assert (desk.slot, desk.network.state) == (1, State.PROBING)


def test_one_failure_ends_a_probe_and_the_lesser_slot_is_dialled_again() -> None:
    desk = Desk(HOME, SPARE).begin()
    desk.fail()
    desk.fail()
    desk.accept()
    desk.wait(1800 * 1.26)
    desk.feed(LinkDown("redial"))
    desk.fail()
    assert (desk.slot, desk.network.state) == (2, State.STANDING)


def test_a_probe_that_is_accepted_stays() -> None:
    desk = Desk(HOME, SPARE).begin()
    desk.fail()
    desk.fail()
    desk.accept()
    desk.wait(1800 * 1.26)
    desk.feed(LinkDown("redial"))
    desk.accept()
    assert (desk.slot, desk.network.state) == (1, State.STANDING)
    assert of(desk.wait(86400), Redial) == []


def moved() -> Desk:
    """The CSMS has sent us to another address."""
    desk = Desk(OCPPCommCtrlr__NetworkLastResortAfter="3600").begin()
    desk.tried()
    desk.stand()
    return desk


def test_the_files_own_link_is_the_last_resort() -> None:
    desk = moved()
    desk.feed(LinkDown("lost"))
    desk.wait(3000)
    desk.fail()
    desk.fail()
    assert desk.profile.url == "ws://new/ocpp"
    desk.wait(700)
    desk.fail()
    assert desk.profile == HOME


def test_a_link_that_accepts_us_puts_the_last_resort_off() -> None:
    desk = moved()
    desk.feed(LinkDown("lost"))
    desk.wait(3000)
    desk.accept()
    desk.feed(LinkDown("lost"))
    desk.wait(3000)
    desk.fail()
    desk.fail()
    assert desk.profile.url == "ws://new/ocpp"


def test_a_last_resort_of_a_lower_security_profile_is_never_used() -> None:
    desk = Desk(OCPPCommCtrlr__NetworkLastResortAfter="60").begin()
    desk.feed(CredentialsKnown(root=True, client=False))
    desk.tried("NetworkConfiguration.SecurityProfile", "2")
    desk.stand()
    desk.feed(LinkDown("lost"))
    desk.wait(4000)
    for _ in range(9):
        desk.fail()
    assert desk.profile.security == 2


# --- more -------------------------------------------------------------------------------------------------------------


def test_a_silent_csms_is_asked_for_a_sign_of_life() -> None:
    desk = Desk().begin()
    assert Ask(Heartbeat()) in desk.feed(LinkSilent(901.0))


def test_without_any_link_nothing_is_dialled_and_nothing_is_taken() -> None:
    bench = Bench().ready()
    network = next(block for block in bench.station.blocks if isinstance(block, Network))
    assert network.target is None
    write = VariableWrite(VariableId("NetworkConfiguration[1]", "OcppCsmsUrl"), "ws://new/ocpp")
    bench.feed(VariablesSetRequested(Ref("1", "Set"), (write,)))
    assert bench.replies == [WritesAnswer(((write.id, SetStatus.REJECTED),))]


@pytest.mark.parametrize("turn", [Turn.ACCEPTED, Turn.SPENT])
def test_every_state_that_waits_for_a_link_has_a_way_out(turn: Turn) -> None:
    assert {(state, turn) in TRANSITIONS for state in (State.TRYING, State.PROBING)} == {True}


def test_every_row_of_the_table_names_something_that_the_block_does() -> None:
    assert all(hasattr(Network, method) for _state, method in TRANSITIONS.values())
