"""Firmware: orders, fetching, signatures, the right moment, what came back after the reboot, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from agent.blocks.assembly import assemble
from agent.core.effects import (
    Ask,
    Effect,
    FirmwareStatus,
    Forget,
    RefuseCall,
    Remember,
    Reply,
    Restart,
    SecurityNotice,
    Status,
    StatusAnswer,
)
from agent.core.events import CallDone, CallFailed, Event, Restored, StorageFailed, StorageRecovered
from agent.core.evse import EvseLimits
from agent.core.firmware import (
    STEPS,
    Activation,
    CheckSigner,
    DropFirmware,
    FetchFirmware,
    FirmwareFetched,
    FirmwareInstalled,
    FirmwareKept,
    FirmwareSeen,
    FirmwareVerified,
    InstallFirmware,
    KeepFirmware,
    LookAtFirmware,
    Phase,
    SignerChecked,
    UpdatePolicy,
    VerifyFirmware,
)
from agent.core.requests import Ref, TriggerRequested, UpdateRequested
from agent.core.types import ConnectorStatus, Instant
from drivers.api import Pilot
from tests.blocks.helpers import Bench, of

ABLE = UpdatePolicy(installer=True)
LOCATION = "https://files.example/v2.raucb"
REBOOT = FirmwareInstalled(1, Activation.REBOOT, "B")


class Updates(Bench):
    """A bench whose charger has an installer; every status is answered by the CSMS as soon as it is told."""

    def __init__(self, policy: UpdatePolicy = ABLE, evses: int = 1, allow_new: bool = False) -> None:
        super().__init__(evses)
        limits = [EvseLimits(n, 32.0, 3, unlocks=True) for n in range(1, evses + 1)]
        self.station = assemble(limits, prefix="t", updates=policy)
        self.variables = self.station.facts.variables
        if allow_new:
            allow = {"ChargingStation.AllowNewSessionsPendingFirmwareUpdate": "true"}
            assert not self.variables.layer("config", allow)
        self.answering = True
        self.told: list[FirmwareStatus] = []
        self.power_up = "boot-1"

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.utc, super().now.quality, self.power_up)

    def feed(self, *events: Event) -> list[Effect]:
        found = super().feed(*events)
        for forgotten in of(found, Forget):
            rows = self.remembered.get(forgotten.table, {})
            for key in list(rows) if forgotten.key is None else [forgotten.key]:
                rows.pop(key, None)
        for ask in of(found, Ask):
            if isinstance(ask.call, FirmwareStatus):
                self.told.append(ask.call)
                if self.answering and not ask.triggered:
                    found += self.feed(CallDone(ask.call))
        return found

    def idle(self, running: str = "A") -> Updates:
        """Started, accepted, the hardware read, the firmware looked at."""
        self.ready()
        self.feed(FirmwareSeen(running), FirmwareKept())
        self.effects.clear()
        return self

    def order(self, **more: Any) -> list[Effect]:
        return self.feed(UpdateRequested(Ref(f"r{len(self.effects)}", "UpdateFirmware"), LOCATION, **more))

    def signed(self, request_id: int = 7, **more: Any) -> list[Effect]:
        return self.order(request_id=request_id, certificate="PEM", signature="c2ln", **more)

    def after_restart(self, power_up: str = "boot-1", running: str = "A", ready: bool = True) -> Updates:
        """The next process, with what this one has had remembered."""
        after = Updates(self.station.blocks[0]._policy)  # type: ignore[attr-defined]
        after.mono, after.utc, after.power_up = self.mono + 60, self.utc + 60, power_up
        after.remembered = {table: dict(rows) for table, rows in self.remembered.items()}
        after.feed(Restored({table: dict(rows) for table, rows in self.remembered.items()}))
        if ready:
            after.online()
            after.read()
            after.meter()
            after.feed(FirmwareSeen(running))
        return after

    @property
    def words(self) -> list[str]:
        return [status.status for status in self.told]

    @property
    def security(self) -> list[str]:
        return [a.call.kind for a in of(self.effects, Ask) if isinstance(a.call, SecurityNotice)]


def last(effects: list[Effect]) -> Any:
    return of(effects, Reply)[-1].answer


def leave(bench: Bench) -> list[Effect]:
    """The car drives away."""
    return bench.read(Pilot.A) + bench.wait(1) + bench.meter() + bench.wait(10)


def fetched() -> Updates:
    bench = Updates().idle()
    bench.order()
    bench.feed(FirmwareFetched(1))
    bench.wait(0)
    return bench


def installed() -> Updates:
    """On the disk, and the board is about to be restarted."""
    bench = fetched()
    bench.feed(REBOOT)
    bench.wait(0)
    return bench


# --- the way ------------------------------------------------------------------------------------------------


def test_every_phase_has_its_row_and_leads_to_an_end() -> None:
    assert set(STEPS) == set(Phase)
    for phase, following in STEPS.items():
        assert phase is Phase.DONE or Phase.DONE in following


def test_an_order_is_fetched_at_once_and_each_status_is_told_once() -> None:
    bench = Updates().idle()
    found = bench.order()
    assert last(found) == StatusAnswer("Accepted")
    assert of(found, FetchFirmware) == [FetchFirmware(1, LOCATION)]
    found = bench.feed(FirmwareFetched(1)) + bench.wait(0)
    assert of(found, InstallFirmware) == [InstallFirmware(1)]
    found = bench.feed(REBOOT) + bench.wait(0)
    assert [r.hard for r in of(found, Restart)] == [True]
    assert bench.words == ["Downloading", "Downloaded", "Installing"]


def test_lesson_22_installed_is_told_after_the_boot_from_the_slot_that_really_runs() -> None:
    before = installed()
    after = before.after_restart("boot-2", running="B")
    assert after.told == []
    assert of(after.effects, KeepFirmware) == [KeepFirmware()]
    after.feed(FirmwareKept())
    assert after.words == ["Installed"]


def test_lesson_22_the_old_firmware_that_came_back_is_a_failed_installation() -> None:
    after = installed().after_restart("boot-2", running="A")
    assert after.words == ["InstallationFailed"]
    assert of(after.effects, DropFirmware)[-1] == DropFirmware(1)


def test_installed_waits_for_the_csms_to_accept_the_new_firmware() -> None:
    after = installed().after_restart("boot-2", ready=False)
    assert of(after.effects, LookAtFirmware) == [LookAtFirmware()]
    assert of(after.feed(FirmwareSeen("B")), KeepFirmware) == []
    after.online()
    assert of(after.effects, KeepFirmware) == [KeepFirmware()]
    after.feed(FirmwareKept())
    assert after.words == ["Installed"]


def test_a_board_that_was_not_restarted_is_told_to_again_and_then_given_up() -> None:
    bench = installed()
    reboots = 1
    for _ in range(5):
        bench = bench.after_restart("boot-1", running="A")
        bench.wait(0)
        reboots += len(of(bench.effects, Restart))
    assert reboots == 3
    assert bench.remembered["firmware"]["state"]["status"] == "InstallationFailed"  # type: ignore[index]


def test_new_firmware_says_in_its_boot_why_it_boots() -> None:
    assert installed().remembered["boot"]["reason"] == "FirmwareUpdate"


def test_an_installer_that_needs_no_restart_is_done_at_once() -> None:
    bench = fetched()
    assert of(bench.feed(FirmwareInstalled(1)), KeepFirmware) == [KeepFirmware()]
    bench.feed(FirmwareKept())
    assert bench.words[-1] == "Installed"


def test_without_an_update_on_trial_the_running_firmware_is_kept_without_the_csms() -> None:
    bench = Updates()
    bench.boot()
    assert of(bench.feed(FirmwareSeen("A")), KeepFirmware) == [KeepFirmware()]


# --- when -----------------------------------------------------------------------------------------------------


def test_the_file_is_fetched_when_it_is_time() -> None:
    bench = Updates().idle()
    bench.order(retrieve_at=bench.utc + 3600)
    assert of(bench.wait(3590), FetchFirmware) == []
    assert of(bench.wait(10), FetchFirmware) == [FetchFirmware(1, LOCATION)]


def test_now_by_a_clock_that_is_a_little_ahead_is_now() -> None:
    bench = Updates().idle()
    assert of(bench.order(request_id=1, retrieve_at=bench.utc + 1.5), FetchFirmware) == [FetchFirmware(1, LOCATION)]
    assert bench.words == ["Downloading"]


def test_a_waiting_order_survives_a_restart() -> None:
    bench = Updates().idle()
    bench.order(retrieve_at=bench.utc + 3600)
    after = bench.after_restart()
    assert of(after.effects, FetchFirmware) == []
    assert of(after.wait(3600), FetchFirmware) == [FetchFirmware(1, LOCATION)]


def test_an_order_with_an_id_tells_what_it_waits_for() -> None:
    bench = Updates().idle()
    bench.order(request_id=3, retrieve_at=bench.utc + 60, install_at=bench.utc + 600)
    bench.wait(60)
    bench.feed(FirmwareFetched(1))
    assert of(bench.wait(530), InstallFirmware) == []
    assert of(bench.wait(10), InstallFirmware) == [InstallFirmware(1)]
    assert bench.words == ["DownloadScheduled", "Downloading", "Downloaded", "InstallScheduled", "Installing"]
    assert {status.request_id for status in bench.told} == {3}


def test_nothing_is_installed_while_somebody_charges() -> None:
    bench = Updates().idle()
    bench.charge()
    bench.order()
    assert of(bench.feed(FirmwareFetched(1)) + bench.wait(3600), InstallFirmware) == []
    assert of(leave(bench), InstallFirmware) == [InstallFirmware(1)]


def test_evses_that_are_free_go_out_of_service_while_others_charge() -> None:
    bench = Updates(evses=2).idle()
    bench.charge()
    bench.order()
    bench.feed(FirmwareFetched(1))
    evses = bench.station.facts.evses
    assert [evse.operative for evse in evses.values()] == [True, False]
    leave(bench)
    assert [evse.operative for evse in evses.values()] == [False, False]


def test_new_charges_may_begin_while_an_update_waits_where_the_csms_allows_it() -> None:
    bench = Updates(evses=2, allow_new=True).idle()
    bench.charge()
    bench.order()
    bench.feed(FirmwareFetched(1))
    assert bench.station.facts.evses[2].operative
    bench.tap(evses=(2,))
    bench.read(Pilot.A)
    assert of(bench.wait(1), InstallFirmware) == []  # the second one is about to charge


def test_evses_come_back_after_an_installation_that_failed() -> None:
    bench = fetched()
    evses = list(bench.station.facts.evses.values())
    assert [evse.operative for evse in evses] == [False]
    bench.feed(FirmwareInstalled(1, why="exit code 1"))
    assert [evse.operative for evse in evses] == [True]
    assert bench.words[-1] == "InstallationFailed"


def test_an_installer_that_disturbs_nobody_works_during_a_charge_but_the_reboot_waits() -> None:
    bench = Updates(UpdatePolicy(installer=True, during_transaction=True)).idle()
    bench.charge()
    bench.order()
    assert of(bench.feed(FirmwareFetched(1)), InstallFirmware) == [InstallFirmware(1)]
    assert bench.evse.operative
    assert of(bench.feed(REBOOT) + bench.wait(60), Restart) == []
    assert of(leave(bench), Restart)


def test_the_connector_is_told_unavailable_meanwhile() -> None:

    bench = fetched()
    told = [a.call.status for a in of(bench.effects, Ask) if isinstance(a.call, Status) and a.call.evse == 1]
    assert told[-1] is ConnectorStatus.UNAVAILABLE


def test_the_restart_waits_for_its_status_to_be_taken_but_not_for_ever() -> None:
    bench = Updates().idle()
    bench.order(request_id=1)
    bench.feed(FirmwareFetched(1))
    bench.wait(0)
    bench.answering = False
    assert of(bench.feed(REBOOT) + bench.wait(9), Restart) == []
    assert of(bench.wait(2), Restart)


def test_who_was_let_in_before_may_still_charge() -> None:
    bench = Updates().idle()
    bench.tap()
    bench.order()
    assert of(bench.feed(FirmwareFetched(1)) + bench.wait(5), InstallFirmware) == []
    bench.read(Pilot.B)
    bench.read(Pilot.C)
    assert bench.evse.tx is not None
    assert of(leave(bench), InstallFirmware) == [InstallFirmware(1)]


def test_nothing_is_installed_while_nothing_can_be_remembered() -> None:
    bench = Updates().idle()
    bench.feed(StorageFailed("full"))
    bench.order()
    assert of(bench.feed(FirmwareFetched(1)) + bench.wait(60), InstallFirmware) == []
    assert of(bench.feed(StorageRecovered()) + bench.wait(0), InstallFirmware) == [InstallFirmware(1)]


# --- what goes wrong --------------------------------------------------------------------------------------------


def test_a_fetch_is_tried_as_often_as_ordered_and_told_once() -> None:
    bench = Updates().idle()
    bench.order(retries=3, retry_interval_s=30)
    tries = 1
    for _ in range(5):
        bench.feed(FirmwareFetched(1, "timed out"))
        assert of(bench.wait(29), FetchFirmware) == []
        tries += len(of(bench.wait(2), FetchFirmware))
    assert tries == 3
    assert bench.words == ["Downloading", "DownloadFailed"]


@pytest.mark.parametrize(("retries", "tries"), [(None, 3), (0, 1), (-5, 1), (10**9, 20)])
def test_tries_are_bounded_whatever_is_ordered(retries: int | None, tries: int) -> None:
    bench = Updates().idle()
    found = bench.order(retries=retries, retry_interval_s=-1)
    for _ in range(50):
        found += bench.feed(FirmwareFetched(1, "timed out"))
    assert len(of(found, FetchFirmware)) == tries


def test_a_probe_with_a_nonsense_location_ends_with_one_failure() -> None:
    """Some CSMS order an update only to see whether that is supported."""
    bench = Updates().idle()
    bench.feed(UpdateRequested(Ref("r", "UpdateFirmware"), "nonsense"))
    bench.feed(FirmwareFetched(1, "no such scheme", permanent=True))
    assert bench.words == ["Downloading", "DownloadFailed"]
    assert bench.evse.operative


def test_a_restart_in_the_middle_goes_on_with_the_same_file() -> None:
    bench = Updates().idle()
    bench.order()
    after = bench.after_restart()
    assert of(after.effects, FetchFirmware) == [FetchFirmware(1, LOCATION)]
    assert after.told == []


def test_a_fetch_that_ends_the_process_each_time_is_given_up() -> None:
    bench = Updates().idle()
    bench.order()
    for _ in range(45):
        bench = bench.after_restart(ready=False)
    state: Any = bench.remembered["firmware"]["state"]
    assert state["status"] == "DownloadFailed"


def test_an_installation_that_was_cut_short_is_done_once_more() -> None:
    bench = fetched()
    after = bench.after_restart("boot-2")
    after.wait(0)
    assert of(after.effects, InstallFirmware) == [InstallFirmware(1)]
    last_one = after.after_restart("boot-3")
    assert of(last_one.effects, InstallFirmware) == []
    assert last_one.words == ["InstallationFailed"]


def test_new_firmware_whose_start_cut_the_installer_short_is_installed() -> None:
    after = fetched().after_restart("boot-2", running="B")
    after.feed(FirmwareKept())
    assert after.words == ["Installed"]


def test_a_power_cut_before_the_ordered_reboot_is_a_reboot() -> None:
    bench = Updates(UpdatePolicy(installer=True, during_transaction=True)).idle()
    bench.charge()
    bench.order()
    bench.feed(FirmwareFetched(1), REBOOT)
    after = bench.after_restart("boot-2", running="B")
    after.feed(FirmwareKept())
    assert after.words == ["Installed"]


def test_news_of_an_update_that_was_replaced_says_nothing() -> None:
    bench = Updates().idle()
    bench.order()
    bench.feed(UpdateRequested(Ref("again", "UpdateFirmware"), "ftp://elsewhere.example/x"))
    told = list(bench.words)
    bench.feed(FirmwareFetched(1), FirmwareVerified(1), FirmwareInstalled(1))
    assert bench.words == told


def test_what_is_remembered_and_cannot_be_read_is_forgotten() -> None:
    bench = Updates()
    bench.boot(firmware={"state": {"phase": "sideways"}, "order": 7})
    bench.online()
    assert bench.words == []


def test_an_update_ends_when_its_installer_was_taken_away() -> None:
    bench = Updates().idle()
    bench.order()
    after = Updates(UpdatePolicy())
    after.restart(bench)
    assert after.words == ["DownloadFailed"]
    assert not of(after.effects, LookAtFirmware)
    assert not of(after.effects, DropFirmware)


# --- refusals and replacements ------------------------------------------------------------------------------------


def test_without_an_installer_an_order_is_not_supported() -> None:
    bench = Updates(UpdatePolicy()).ready()
    assert isinstance(last(bench.order()), RefuseCall)  # type: ignore[attr-defined]


def test_an_unsigned_order_is_not_supported_where_the_installer_does_not_check_signatures() -> None:
    bench = Updates(UpdatePolicy(installer=True, unsigned=False)).idle()
    assert last(bench.order()).code == "NotSupported"
    assert last(bench.order(request_id=1)) == StatusAnswer("Rejected", reason="NotSigned")


def test_a_signed_order_is_rejected_where_signatures_cannot_be_verified() -> None:
    bench = Updates(UpdatePolicy(installer=True, signed=False)).idle()
    assert last(bench.signed()).status == "Rejected"


def test_a_newer_order_replaces_one_that_is_being_fetched() -> None:
    bench = Updates().idle()
    bench.order(request_id=1)
    found = bench.order(request_id=2)
    assert last(found) == StatusAnswer("AcceptedCanceled")
    assert of(found, DropFirmware) == [DropFirmware(1)]
    assert of(found, FetchFirmware) == [FetchFirmware(2, LOCATION)]


def test_the_same_order_once_more_is_taken_and_does_not_begin_again() -> None:
    bench = Updates().idle()
    bench.order()
    found = bench.order()
    assert last(found) == StatusAnswer("Accepted")
    assert of(found, FetchFirmware) == []


@pytest.mark.parametrize("phase", [Phase.INSTALLING, Phase.REBOOTING])
def test_an_order_is_rejected_once_it_is_being_installed(phase: Phase) -> None:
    bench = fetched() if phase is Phase.INSTALLING else installed()
    assert last(bench.order(request_id=9)) == StatusAnswer("Rejected", reason="UpdateInProgress")
    assert last(bench.order(retries=4)) == RefuseCall("GenericError", "UpdateInProgress")  # an empty answer says yes


# --- signatures ---------------------------------------------------------------------------------------------------


def test_a_signed_order_is_answered_when_its_certificate_has_been_checked() -> None:
    bench = Updates().idle()
    found = bench.signed()
    check = of(found, CheckSigner)[0]
    assert of(found, Reply) == []
    found = bench.feed(SignerChecked(check.order))
    assert last(found) == StatusAnswer("Accepted")
    assert of(bench.feed(FirmwareFetched(1)), VerifyFirmware) == [VerifyFirmware(1, "PEM", "c2ln")]
    bench.feed(FirmwareVerified(1))
    bench.wait(0)
    assert bench.words == ["Downloading", "Downloaded", "SignatureVerified", "Installing"]
    assert all(status.signed and status.request_id == 7 for status in bench.told)


@pytest.mark.parametrize(("verdict", "answer"), [("invalid", "InvalidCertificate"), ("revoked", "RevokedCertificate")])
def test_a_certificate_that_is_not_the_manufacturers_is_refused_with_an_alarm(verdict: str, answer: str) -> None:
    bench = Updates().idle()
    check = of(bench.signed(), CheckSigner)[0]
    assert last(bench.feed(SignerChecked(check.order, verdict, "no root"))) == StatusAnswer(answer)
    assert bench.words == []
    assert bench.station.facts.evses[1].operative


def test_a_second_signed_order_while_the_first_is_being_checked_is_rejected() -> None:
    bench = Updates().idle()
    bench.signed()
    assert last(bench.signed(8)).status == "Rejected"


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        ("signature", "InvalidSignature"),
        ("certificate", "InvalidSignature"),
        ("file", "InstallVerificationFailed"),
    ],
)
def test_lesson_33_a_file_that_was_not_signed_is_never_installed(verdict: str, status: str) -> None:
    bench = Updates().idle()
    check = of(bench.signed(), CheckSigner)[0]
    bench.feed(SignerChecked(check.order), FirmwareFetched(1))
    found = bench.feed(FirmwareVerified(1, verdict, "does not match")) + bench.wait(60)
    assert of(found, InstallFirmware) == []
    assert bench.words == ["Downloading", "Downloaded", status]


def test_a_restart_while_the_signature_is_checked_checks_it_again() -> None:
    bench = Updates().idle()
    check = of(bench.signed(), CheckSigner)[0]
    bench.feed(SignerChecked(check.order), FirmwareFetched(1))
    assert of(bench.after_restart().effects, VerifyFirmware) == [VerifyFirmware(1, "PEM", "c2ln")]


def test_an_installer_that_refuses_the_file_is_told_as_a_verification_that_failed() -> None:
    bench = Updates().idle()
    bench.order(request_id=4)
    bench.feed(FirmwareFetched(1))
    bench.wait(0)
    bench.feed(FirmwareInstalled(1, why="not for this charger", refused=True))
    assert bench.words[-1] == "InstallVerificationFailed"


# --- telling --------------------------------------------------------------------------------------------------------


def test_statuses_wait_for_one_another() -> None:
    bench = Updates().idle()
    bench.answering = False
    bench.order()
    bench.feed(FirmwareFetched(1))
    assert bench.words == ["Downloading"]
    bench.feed(CallDone(bench.told[0]))
    assert bench.words == ["Downloading", "Downloaded"]


def test_a_status_whose_answer_was_lost_is_told_again_before_the_next() -> None:
    bench = Updates().idle()
    bench.answering = False
    bench.order()
    bench.feed(FirmwareFetched(1))
    bench.feed(CallFailed(bench.told[0], "offline"))
    assert bench.words == ["Downloading", "Downloading"]
    bench.feed(CallDone(bench.told[0]))
    assert bench.words[-1] == "Downloaded"


def test_a_status_that_is_refused_is_given_up_after_some_tries() -> None:
    bench = Updates().idle()
    bench.answering = False
    bench.order()
    bench.feed(FirmwareFetched(1))
    for _ in range(4):
        bench.feed(CallFailed(bench.told[-1], "NotSupported"))
        bench.wait(30)
    assert bench.words == ["Downloading"] * 4 + ["Downloaded"]


def test_what_was_not_told_before_a_restart_is_told_after_it() -> None:
    bench = Updates().idle()
    bench.answering = False
    bench.order()
    bench.feed(FirmwareFetched(1))
    bench.wait(0)
    bench.feed(REBOOT)
    bench.wait(20)
    after = bench.after_restart("boot-2", running="B")
    after.feed(FirmwareKept())
    assert after.words == ["Downloading", "Downloaded", "Installing", "Installed"]


def trigger(bench: Bench, message: str = "Firmware") -> FirmwareStatus:
    found = bench.feed(TriggerRequested(Ref("t", "TriggerMessage"), message))
    return next(a.call for a in of(found, Ask) if isinstance(a.call, FirmwareStatus) and a.triggered)


def test_a_trigger_gets_the_true_status() -> None:
    bench = Updates().idle()
    assert trigger(bench) == FirmwareStatus("Idle")
    bench.order()
    assert trigger(bench) == FirmwareStatus("Downloading")
    assert trigger(bench, "SignedFirmware") == FirmwareStatus("Downloading", signed=True)


def test_a_trigger_gets_idle_when_all_is_over() -> None:
    bench = Updates().idle()
    bench.order()
    bench.feed(FirmwareFetched(1, "gone", permanent=True))
    assert trigger(bench) == FirmwareStatus("Idle")


def test_a_trigger_after_an_update_with_an_id_gets_the_last_status_unless_it_was_installed() -> None:
    bench = Updates().idle()
    bench.order(request_id=5)
    bench.feed(FirmwareFetched(1, "gone", permanent=True))
    assert trigger(bench) == FirmwareStatus("DownloadFailed", 5)
    bench.order(request_id=6)
    bench.feed(FirmwareFetched(2))
    bench.wait(0)
    bench.feed(FirmwareInstalled(2), FirmwareKept())
    assert trigger(bench) == FirmwareStatus("Idle")


def test_remembering_is_bounded_however_many_orders_come() -> None:
    bench = Updates().idle()
    bench.answering = False
    for n in range(40):
        bench.order(request_id=n)
    untold = [e.value for e in of(bench.effects, Remember) if (e.table, e.key) == ("firmware", "untold")]
    assert max(len(rows) for rows in untold) <= 24


def test_lesson_16_the_connector_is_not_told_unavailable_for_a_moment_after_the_reboot() -> None:
    after = installed().after_restart("boot-2", ready=False)
    after.online()
    after.read()
    after.meter()
    after.feed(FirmwareSeen("B"), FirmwareKept())
    told = [a.call.status for a in of(after.effects, Ask) if isinstance(a.call, Status) and a.call.evse == 1]
    assert told == [ConnectorStatus.AVAILABLE]
