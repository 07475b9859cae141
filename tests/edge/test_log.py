"""What leaves the process as log: fields, levels, and no secrets; and that nothing can make it wait."""

from __future__ import annotations

import logging
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import log as log_module
from agent.log import (
    DEBUG,
    ERROR,
    INFO,
    RECENT_BUDGET,
    TEXT_LIMIT,
    WARNING,
    JournalSink,
    Log,
    best_sink,
    hook_libraries,
    last4,
    redact,
    stderr_sink,
    told_journal,
)
from drivers.api import shorten

Line = tuple[int, str, dict[str, str]]


class Paper:
    """A sink that keeps what it gets, and may refuse."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.full = False

    def __call__(self, priority: int, message: str, fields: dict[str, str]) -> bool:
        if not self.full:
            self.lines.append((priority, message, fields))
        return not self.full


@pytest.fixture
def paper() -> Paper:
    return Paper()


def test_fields_stand_in_the_message_and_beside_it(paper: Paper) -> None:
    Log(paper).info("PilotChanged", "a car was plugged in", evse=1, tx="b3-1-7", state="C")
    assert paper.lines == [
        (
            INFO,
            "PilotChanged: a car was plugged in EVSE=1 TX=b3-1-7 STATE=C",
            {"EVENT": "PilotChanged", "EVSE": "1", "TX": "b3-1-7", "STATE": "C"},
        )
    ]


def test_what_warns_names_the_fault_or_the_trouble_that_it_is_about(paper: Paper) -> None:
    book = Log(paper)
    book.warning("LinkDown")
    book.error("StorageFailed", fault="storage")
    assert [fields["FAULT"] for _, _, fields in paper.lines] == ["link", "storage"]


def test_an_unlisted_field_stays_in_the_message(paper: Paper) -> None:
    Log(paper).info("X", colour="green", size=None)
    assert paper.lines == [(INFO, "X COLOUR=green", {"EVENT": "X"})]


def test_what_is_below_the_level_is_not_written(paper: Paper) -> None:
    Log(paper, WARNING).info("X")
    assert paper.lines == []


def test_a_value_cannot_begin_a_line_of_its_own(paper: Paper) -> None:
    Log(paper).info("X", why="a\nMESSAGE=forged")
    assert paper.lines[0][2]["WHY"] == "a MESSAGE=forged"


def test_trouble_warns_once_then_whispers_then_is_over(paper: Paper) -> None:
    book = Log(paper, DEBUG)
    for _ in range(3):
        book.trouble("meter 1", "DeviceLost", device="meter")
    book.recovered("meter 1", "DeviceFound", device="meter")
    book.recovered("meter 1", "DeviceFound", device="meter")
    assert [priority for priority, _, _ in paper.lines] == [WARNING, DEBUG, DEBUG, INFO]
    assert paper.lines[-1][1] == "DeviceFound DEVICE=meter COUNT=3"


def test_troubles_are_bounded(paper: Paper) -> None:
    book = Log(paper, ERROR)
    for key in range(1000):
        book.trouble(str(key), "X")
    assert len(book._troubles) == log_module.TROUBLES


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("wss://cp1:hush@host/x", "wss://***@host/x"),
        ('{"location": "https://host/x?sig=abc&e=1"}', '{"location": "https://host/x?***"}'),
        ("to ftp://me:hush@host/x?y then ws://other?", "to ftp://***@host/x?*** then ws://other?"),
        ("Authorization: Basic aHVzaDpodXNo", "Authorization: *** ***"),
        ("{'password': 'hush', 'a': 1}", "{'password': ***, 'a': 1}"),
        ('{"key":"AuthorizationKey","value":"hu\\"sh"}', '{"key":"AuthorizationKey","value":"***"}'),
        (
            '{"attributeValue":"hush","variable":{"name":"BasicAuthPassword"}}',
            '{"attributeValue":"***","variable":{"name":"BasicAuthPassword"}}',
        ),
        ('{"idTag":"04A1B2C3D4"}', '{"idTag":"*C3D4"}'),
        ('{"idToken":{"idToken":"04A1B2C3","type":"ISO14443"}}', '{"idToken":{"idToken":"*B2C3","type":"ISO14443"}}'),
        ("nothing to hide: http://host/x", "nothing to hide: http://host/x"),
    ],
)
def test_secrets_are_cut_out_of_text(text: str, clean: str) -> None:
    assert redact(text) == clean


@pytest.mark.parametrize(("token", "shown"), [("04A1B2C3D4", "*C3D4"), ("ABCD", "*CD"), ("A", "*"), ("", "*")])
def test_tokens_show_four_characters_and_never_most_of_them(token: str, shown: str) -> None:
    assert last4(token) == shown


def test_fields_are_redacted_by_their_name(paper: Paper) -> None:
    Log(paper).info("X", token="04A1B2C3D4", password="hush")
    assert paper.lines[0] == (INFO, "X TOKEN=*C3D4 PASSWORD=***", {"EVENT": "X", "TOKEN": "*C3D4"})


def test_a_token_that_was_shortened_already_is_searched_for_as_it_is_shown(paper: Paper) -> None:
    Log(paper).info("X", token=shorten("04A1B2C3D4"))
    assert paper.lines[0][2]["TOKEN"] == "..C3D4"


def test_a_hidden_value_never_leaves(paper: Paper) -> None:
    book = Log(paper)
    book.hide("correct-horse")
    book.info("X", "it is correct-horse", why="correct-horse!")
    assert "horse" not in str(paper.lines)


def test_lost_lines_are_counted_and_told(paper: Paper) -> None:
    book = Log(paper)
    paper.full = True
    book.info("A")
    book.info("B")
    paper.full = False
    book.info("C")
    assert [message for _, message, _ in paper.lines] == ["LogLost COUNT=2 FAULT=log-lost", "C"]


# --- the journal and stderr ---


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        server.settimeout(5)
        yield str(tmp_path / "journal"), server


@pytest.fixture
def sink(journal: tuple[str, socket.socket]) -> Iterator[JournalSink]:
    sink = JournalSink(journal[0])
    yield sink
    sink.close()


def test_the_journal_gets_its_own_fields(journal: tuple[str, socket.socket], sink: JournalSink) -> None:
    Log(sink).warning("LinkDown", evse=2)
    assert journal[1].recv(4096).decode().splitlines() == [
        "MESSAGE=LinkDown EVSE=2 FAULT=link",
        "PRIORITY=4",
        "SYSLOG_IDENTIFIER=chargepoint",
        "EVENT=LinkDown",
        "EVSE=2",
        "FAULT=link",
    ]


def test_a_hung_journal_does_not_hang_the_agent(sink: JournalSink) -> None:
    book = Log(sink)
    for number in range(5000):
        book.info("X", count=number)
    assert book.lost > 0


def test_systemds_binding_is_asked_only_while_the_journal_takes_data(sink: JournalSink) -> None:
    calls: list[tuple[str, ...]] = []
    sink._sendv = lambda *fields: calls.append(fields)
    book = Log(sink)
    book.info("X")
    assert calls == [("MESSAGE=X", "PRIORITY=6", "SYSLOG_IDENTIFIER=chargepoint", "EVENT=X")]
    while sink._send_native({"MESSAGE": "filling"}):
        pass
    book.info("Y")
    assert (len(calls), book.lost) == (1, 1)


def test_a_line_that_systemds_binding_could_not_send_is_lost_and_no_more(sink: JournalSink) -> None:
    def refuses(*_fields: str) -> None:
        raise ConnectionRefusedError

    sink._sendv = refuses
    book = Log(sink)
    book.info("X")
    assert book.lost == 1


def test_a_journal_that_was_restarted_is_found_again(journal: tuple[str, socket.socket], sink: JournalSink) -> None:
    path, server = journal
    server.close()
    Path(path).unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(path)
        again.settimeout(5)
        Log(sink).info("X")
        assert b"MESSAGE=X" in again.recv(4096)


def test_a_line_is_never_longer_than_a_pipe_takes_at_once() -> None:
    reading, writing = os.pipe()
    try:
        Log(stderr_sink(writing)).info("X", "\U0001f50c" * TEXT_LIMIT)
        told = os.read(reading, 1 << 16)
        assert len(told) <= select.PIPE_BUF
        assert told.endswith(b"\n")
    finally:
        os.close(reading)
        os.close(writing)


def test_a_hung_reader_of_stderr_does_not_hang_the_agent() -> None:
    reading, writing = os.pipe()
    try:
        book = Log(stderr_sink(writing))
        for number in range(5000):
            book.info("X", "y" * 500, count=number)
        assert book.lost > 0
    finally:
        os.close(reading)
        os.close(writing)


def test_a_service_manager_gets_priorities(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    monkeypatch.setenv("INVOCATION_ID", "x")
    Log(best_sink()).warning("X", evse=1)
    assert capfd.readouterr().err == "<4>X EVSE=1 FAULT=unlisted\n"


def test_a_person_gets_time_and_level(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    monkeypatch.delenv("INVOCATION_ID", raising=False)
    Log(best_sink()).error("X", evse=1)
    time, level, rest = capfd.readouterr().err.split(maxsplit=2)
    assert (len(time), level, rest) == (20, "ERROR", "X EVSE=1 FAULT=unlisted\n")


def test_a_missing_journal_leaves_stderr(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    Log(best_sink(str(tmp_path / "none"))).warning("X")
    assert capfd.readouterr().err == "<4>X FAULT=unlisted\n"


def test_an_error_of_a_command_of_the_service_manager_has_its_id_in_the_journal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log_module.best_sink, "__defaults__", (str(tmp_path / "none"),))
    at = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{at.st_dev}:{at.st_ino}")
    assert told_journal("Configuration", "a.toml: is wrong")
    assert capfd.readouterr().err == "<3>Configuration: a.toml: is wrong FAULT=configuration\n"


def test_what_a_person_is_told_is_not_told_to_the_journal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")  # of a terminal that the user's service manager has started
    assert not told_journal("Configuration", "a.toml: is wrong")
    assert capfd.readouterr().err == ""


# --- the libraries ---


@pytest.fixture
def libraries() -> Iterator[None]:
    """Leave the libraries' loggers as they were."""
    loggers = [logging.getLogger(name) for name in (*log_module.LIBRARIES, "pymodbus.logging")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    logging.getLogger("pymodbus.logging").setLevel(logging.NOTSET)  # the bus silences it wherever it was loaded
    yield
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate, logger.level = handlers, propagate, level


@pytest.mark.usefixtures("libraries")
def test_a_librarys_warning_comes_without_its_arguments(paper: Paper) -> None:
    hook_libraries(Log(paper))
    logging.getLogger("websockets.client").warning("got %r", '[2,"1","Authorize",{"idTag":"04A1"}]')
    fields = {"EVENT": "Library", "DEVICE": "websockets", "FAULT": "library"}
    assert paper.lines == [(WARNING, "Library: got %r DEVICE=websockets FAULT=library", fields)]


@pytest.mark.usefixtures("libraries")
def test_a_librarys_bytes_are_left_out(paper: Paper) -> None:
    hook_libraries(Log(paper))
    logging.getLogger("pymodbus.logging").error("frame 0x1 0x3 0x0 0x2a 0x5 lost")
    assert paper.lines[0][1] == "Library: frame ... lost DEVICE=pymodbus FAULT=library"


@pytest.mark.usefixtures("libraries")
def test_an_exception_is_told_by_kind_and_place(paper: Paper) -> None:
    hook_libraries(Log(paper))
    try:
        raise ValueError("hush")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    assert "(ValueError at test_log.py:" in paper.lines[0][1]
    assert "hush" not in paper.lines[0][1]


@pytest.mark.usefixtures("libraries")
def test_a_talkative_library_is_cut_short_until_the_period_is_over(paper: Paper) -> None:
    now = 0.0
    hook_libraries(Log(paper), lambda: now)
    for _ in range(100):
        logging.getLogger("pymodbus").warning("again")
    assert len(paper.lines) == log_module.LIBRARY_LINES
    now = log_module.LIBRARY_PERIOD_S
    logging.getLogger("pymodbus").warning("again")
    assert len(paper.lines) == log_module.LIBRARY_LINES + 1


# --- the last lines -----------------------------------------------------------------------------------------


def test_the_last_lines_are_kept_without_secrets_whatever_the_sink_does(paper: Paper) -> None:
    book = Log(paper)
    book.hide("s3cret-word")
    paper.full = True
    book.info("X", "the word is s3cret-word")
    (line,) = book.recent()
    assert line.endswith("Z INFO    X: the word is ***")


def test_the_last_lines_are_bounded_and_the_oldest_go_first(paper: Paper) -> None:
    book = Log(paper)
    for number in range(5000):
        book.info(f"Event{number}", "x" * 500)
    kept = book.recent()
    assert "Event4999:" in kept[-1]
    assert sum(map(len, kept)) < RECENT_BUDGET


def test_the_last_lines_can_be_asked_for_by_time(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Log(paper)
    for moment in (1000.0, 2000.0, 3000.0):
        monkeypatch.setattr("agent.log.time.time", lambda moment=moment: moment)
        book.info(f"At{moment:.0f}")
    assert [line.split()[-1] for line in book.recent(1500.0, 2500.0)] == ["At2000"]
    assert book.recent(oldest=3000.0)[0].startswith("1970-01-01T00:50:00Z")
