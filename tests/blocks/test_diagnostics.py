"""N: Diagnostics. What the CSMS hears of a log on its way, and what is remembered of it."""

from __future__ import annotations

import pytest

from agent.core.diagnostics import DropLog, LogSent, SendLog
from agent.core.effects import Ask, Effect, Forget, LogAnswer, LogStatus, Remember, Reply
from agent.core.events import CallDone, CallFailed, LinkDown, SecurityEvent
from agent.core.requests import LogRequested, Ref, TriggerRequested
from tests.blocks.helpers import Bench, of

REF = Ref("r1", "GetLog")
WHERE = "ftp://box:word@files.example/logs/"


class Desk(Bench):
    """A bench whose CSMS answers each status at once, unless told otherwise."""

    def want(self, kind: str = "Diagnostics", **more: int | float | None) -> list[Effect]:
        return self.answer(self.feed(LogRequested(REF, kind, WHERE, **more)))  # type: ignore[arg-type]

    def sent(self, number: int = 1, why: str = "", fault: str = "") -> list[Effect]:
        return self.answer(self.feed(LogSent(number, why, fault)))

    def answer(self, effects: list[Effect]) -> list[Effect]:
        for ask in of(effects, Ask):
            effects = effects + self.answer(self.feed(CallDone(ask.call)))
        return effects


@pytest.fixture
def desk() -> Desk:
    bench = Desk(SecurityCtrlr__EventNotificationEnabled="false")
    bench.ready()
    return bench


def statuses(effects: list[Effect]) -> list[LogStatus]:
    return [ask.call for ask in of(effects, Ask) if isinstance(ask.call, LogStatus)]


def words(effects: list[Effect]) -> list[str]:
    return [status.status for status in statuses(effects)]


def the_answer(effects: list[Effect]) -> LogAnswer:
    (reply,) = of(effects, Reply)
    assert isinstance(reply.answer, LogAnswer)
    return reply.answer


def test_the_answer_names_the_file_that_is_sent(desk: Desk) -> None:
    found = desk.want()
    (errand,) = of(found, SendLog)
    assert the_answer(found) == LogAnswer("Accepted", errand.name)
    assert errand.name.endswith(".tar.gz")


def test_lesson_23_one_status_is_told_for_each_change(desk: Desk) -> None:
    found = desk.want(retries=3, retry_interval_s=10)
    for _ in range(2):
        found += desk.sent(why="no")
        found += desk.answer(desk.wait(10))
    found += desk.sent()
    assert words(found) == ["Uploading", "Uploaded"]


def test_the_status_names_the_request(desk: Desk) -> None:
    assert statuses(desk.want(request_id=7)) == [LogStatus("Uploading", 7, True)]


def test_it_is_tried_as_often_as_the_csms_asks_and_no_more(desk: Desk) -> None:
    found = desk.want(retries=2, retry_interval_s=10)
    for _ in range(10):
        found += desk.sent(why="no")
        found += desk.answer(desk.wait(10))
    assert len(of(found, SendLog)) == 3
    assert words(found) == ["Uploading", "UploadFailure"]


def test_the_tries_keep_the_interval_that_the_csms_asks_for(desk: Desk) -> None:
    desk.want(retries=1, retry_interval_s=100)
    desk.sent(why="no")
    assert of(desk.wait(99), SendLog) == []
    assert len(of(desk.wait(1), SendLog)) == 1


@pytest.mark.parametrize(("retries", "tries"), [(0, 1), (-5, 1), (10**9, 21), (None, 4)])
def test_the_number_of_tries_is_bounded(desk: Desk, retries: int | None, tries: int) -> None:
    found = desk.want(retries=retries, retry_interval_s=0)
    for _ in range(50):
        found += desk.sent(why="no")
        found += desk.answer(desk.wait(1))
    assert len(of(found, SendLog)) == tries


def test_each_try_sends_the_same_file(desk: Desk) -> None:
    found = desk.want(retry_interval_s=5)
    found += desk.sent(why="no")
    found += desk.answer(desk.wait(5))
    assert len({errand.name for errand in of(found, SendLog)}) == 1


def test_a_location_that_is_none_is_not_tried_again(desk: Desk) -> None:
    desk.want(request_id=1)
    assert words(desk.sent(why="no URL", fault="malformed")) == ["BadMessage"]


def test_a_login_that_is_refused_is_told_as_such(desk: Desk) -> None:
    desk.want(retries=0, request_id=1)
    assert words(desk.sent(why="no", fault="denied")) == ["PermissionDenied"]


@pytest.mark.parametrize("why", ["", "no"])
def test_the_file_is_removed_when_it_is_over(desk: Desk, why: str) -> None:
    desk.want(retries=0)
    assert of(desk.sent(why=why), DropLog) == [DropLog(1)]


def test_a_newer_request_takes_the_place_of_the_one_under_way(desk: Desk) -> None:
    desk.want(request_id=1)
    found = desk.want(request_id=2)
    assert the_answer(found).status == "AcceptedCanceled"
    assert of(found, DropLog) == [DropLog(1)]
    assert statuses(found) == [LogStatus("AcceptedCanceled", 1, True), LogStatus("Uploading", 2, True)]


def test_what_comes_late_of_a_replaced_upload_says_nothing(desk: Desk) -> None:
    desk.want(request_id=1)
    desk.want(request_id=2)
    assert desk.sent(1) == []
    assert statuses(desk.sent(2)) == [LogStatus("Uploaded", 2, True)]


def test_a_time_range_that_ends_before_it_begins_is_refused(desk: Desk) -> None:
    found = desk.want(oldest=2000.0, latest=1000.0)
    assert the_answer(found) == LogAnswer("Rejected")
    assert of(found, SendLog) == []


def test_the_time_range_goes_with_the_errand(desk: Desk) -> None:
    (errand,) = of(desk.want(oldest=1000.0, latest=2000.0), SendLog)
    assert (errand.oldest, errand.latest) == (1000.0, 2000.0)


def test_the_security_log_is_sent_with_its_lines(desk: Desk) -> None:
    desk.feed(SecurityEvent("TamperDetectionActivated", "the lid"))
    (errand,) = of(desk.want("Security", oldest=desk.utc - 1), SendLog)
    assert [line.split()[-3:] for line in errand.lines][-1] == ["TamperDetectionActivated", "the", "lid"]
    assert errand.name.endswith(".log")


def test_the_name_has_only_what_every_server_takes(desk: Desk) -> None:
    desk.variables.compute("SecurityCtrlr.Identity", lambda _now: "CP 42/../é")
    (errand,) = of(desk.want(), SendLog)
    assert errand.name.startswith("CP-42-diagnostics-20270115T080000Z-1.")


# --- a restart in between -----------------------------------------------------------------------------------


def after_restart(before: Desk) -> tuple[Desk, list[Effect]]:
    bench = Desk(SecurityCtrlr__EventNotificationEnabled="false")
    before.remembered.clear()
    for effect in before.effects:  # what the store holds
        if isinstance(effect, Forget) and effect.key is not None:
            before.remembered.get(effect.table, {}).pop(effect.key, None)
        elif isinstance(effect, Remember):
            before.remembered.setdefault(effect.table, {})[effect.key] = effect.value
    bench.restart(before)
    bench.online()
    return bench, bench.answer(list(bench.effects))


def test_after_a_restart_the_upload_goes_on_with_the_tries_that_are_left(desk: Desk) -> None:
    (first,) = of(desk.want(retries=1, request_id=5), SendLog)
    bench, found = after_restart(desk)
    (errand,) = of(found, SendLog)
    assert (errand.name, words(found)) == (first.name, [])
    assert statuses(bench.sent(why="no")) == [LogStatus("UploadFailure", 5, True)]


def test_an_upload_whose_last_try_brought_the_process_down_has_failed(desk: Desk) -> None:
    desk.want(retries=0, request_id=5)
    _bench, found = after_restart(desk)
    assert of(found, SendLog) == []
    assert statuses(found) == [LogStatus("UploadFailure", 5, True)]


def test_a_status_that_was_not_answered_is_told_after_the_restart(desk: Desk) -> None:
    desk.want(request_id=5)
    desk.feed(LogSent(1))  # told, and never answered
    _bench, found = after_restart(desk)
    assert statuses(found) == [LogStatus("Uploaded", 5, True)]


def test_nothing_is_remembered_of_an_upload_that_is_over(desk: Desk) -> None:
    desk.want(request_id=5)
    desk.sent()
    _bench, found = after_restart(desk)
    assert (of(found, SendLog), statuses(found)) == ([], [])


# --- a CSMS that does not hear ------------------------------------------------------------------------------


def test_a_status_waits_for_the_link(desk: Desk) -> None:
    desk.want(request_id=5)
    desk.feed(LinkDown())
    assert statuses(desk.feed(LogSent(1))) == []
    desk.online()
    assert statuses(desk.effects)[-1:] == [LogStatus("Uploaded", 5, True)]


def test_a_status_that_was_lost_on_the_way_is_told_again(desk: Desk) -> None:
    desk.feed(LogRequested(REF, "Diagnostics", WHERE))
    desk.feed(CallFailed(LogStatus("Uploading"), "timeout"))
    assert statuses(desk.wait(30)) == [LogStatus("Uploading")]


def test_a_status_that_the_csms_refuses_is_told_no_more(desk: Desk) -> None:
    desk.feed(LogRequested(REF, "Diagnostics", WHERE))
    desk.feed(CallFailed(LogStatus("Uploading"), "NotImplemented"))
    assert statuses(desk.wait(3600)) == []
    assert words(desk.sent()) == ["Uploaded"]


def test_a_csms_that_never_answers_a_status_does_not_hear_it_for_ever(desk: Desk) -> None:
    found = desk.feed(LogRequested(REF, "Diagnostics", WHERE))
    for _ in range(20):
        found += desk.feed(CallFailed(LogStatus("Uploading"), "timeout"))
        found += desk.wait(30)
    assert len(statuses(found)) == 5


# --- triggers -----------------------------------------------------------------------------------------------


def triggered(desk: Desk, message: str) -> list[LogStatus]:
    return statuses(desk.feed(TriggerRequested(REF, message)))


def test_a_trigger_hears_that_nothing_is_under_way(desk: Desk) -> None:
    assert triggered(desk, "Diagnostics") == [LogStatus("Idle")]
    assert triggered(desk, "Log") == [LogStatus("Idle", None, True)]


def test_a_trigger_hears_of_a_log_under_way_and_which(desk: Desk) -> None:
    desk.want(request_id=9)
    assert triggered(desk, "Log") == [LogStatus("Uploading", 9, True)]
    assert triggered(desk, "Diagnostics") == [LogStatus("Idle")]


def test_a_trigger_hears_of_diagnostics_under_way(desk: Desk) -> None:
    desk.want()
    desk.sent(why="no")
    assert triggered(desk, "Diagnostics") == [LogStatus("Uploading")]


def test_a_trigger_hears_idle_once_the_upload_is_over(desk: Desk) -> None:
    desk.want()
    desk.sent()
    assert triggered(desk, "Diagnostics") == [LogStatus("Idle")]
