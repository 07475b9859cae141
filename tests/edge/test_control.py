"""The control socket, asked by real clients, polite and otherwise."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.edge.control import CLIENTS, LINE_LIMIT, Control, Peer, Stream
from agent.errors import AgentError, ControlError
from agent.log import DEBUG, Log

DEADLINE_S = 10.0


ended: list[str] = []


async def counting(until: int) -> AsyncIterator[dict[str, Any]]:
    """Lines of a stream: a number, then a refusal at 3 and a bug at 4, and for ever when `until` is 0."""
    try:
        for number in range(1, until + 1):
            if number == 3:
                raise AgentError("no more") if until == 3 else ValueError("hush")
            yield {"number": number}
        if until == 0:
            yield {"number": 0}
            await asyncio.Event().wait()
    finally:
        ended.append(f"until {until}")


async def answer(request: dict[str, Any], _peer: Peer) -> dict[str, Any] | Stream:
    match request.get("verb"):
        case "count":
            return Stream(counting(request["until"]))
        case "refuse":
            raise AgentError("not now")
        case "break":
            raise ValueError("hush")
        case _:
            return {"heard": request}


class Door:
    """A control socket under test and what it logged."""

    def __init__(self, path: Path, deadline_s: float) -> None:
        self.path = path
        self.lines: list[str] = []
        self.levels: list[int] = []
        self.control = Control(path, answer, Log(self._write, DEBUG), deadline_s=deadline_s)

    def _write(self, priority: int, message: str, _fields: dict[str, str]) -> bool:
        self.levels.append(priority)
        self.lines.append(message)
        return True

    async def ask(self, line: bytes) -> Any:
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            async with asyncio.timeout(DEADLINE_S):
                writer.write(line)
                return json.loads(await reader.readline())
        finally:
            writer.close()


@asynccontextmanager
async def opened(path: Path, deadline_s: float = 5.0) -> AsyncIterator[Door]:
    door = Door(path, deadline_s)
    await door.control.start()
    try:
        yield door
    finally:
        async with asyncio.timeout(DEADLINE_S):
            await door.control.close()


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with opened(tmp_path / "control.sock") as door:
        yield door


async def test_one_line_gets_one_answer(door: Door) -> None:
    assert await door.ask(b'{"verb":"status"}\n') == {"heard": {"verb": "status"}}


async def test_who_asked_is_logged(door: Door) -> None:
    await door.ask(b'{"verb":"unlock"}\n')
    assert door.lines == [f"ControlRequest ACTION=unlock UID={os.getuid()} PID={os.getpid()}"]


@pytest.mark.parametrize("verb", ["status", "log"])
async def test_what_is_asked_again_and_again_and_changes_nothing_fills_no_journal(door: Door, verb: str) -> None:
    await door.ask(json.dumps({"verb": verb}).encode() + b"\n")
    assert door.levels == [DEBUG]


async def test_only_owner_and_group_may_ask(door: Door) -> None:
    assert stat.S_IMODE(door.path.stat().st_mode) == 0o660


async def test_a_refusal_is_an_answer(door: Door) -> None:
    assert await door.ask(b'{"verb":"refuse"}\n') == {"error": "not now"}


async def test_a_bug_in_an_answer_ends_nothing_and_is_logged(door: Door) -> None:
    assert "failed to answer" in (await door.ask(b'{"verb":"break"}\n'))["error"]
    assert "ControlFailed: ValueError while answering ACTION=break FAULT=bug" in door.lines
    assert await door.ask(b'{"verb":"status"}\n') == {"heard": {"verb": "status"}}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"nonsense\n", "not JSON"),
        (b"[1]\n", "not a JSON object"),
        (b"[" * 60_000 + b"\n", "not JSON"),
        (b"x" * (LINE_LIMIT + 10) + b"\n", "longer than"),
        (b'{"verb":"set","value":"\\udcfc"}\n', "not Unicode"),
    ],
    ids=["not-json", "not-object", "deep", "long", "half-a-character"],
)
async def test_a_malformed_request_is_told_what_is_wrong(door: Door, line: bytes, words: str) -> None:
    assert words in (await door.ask(line))["error"]


async def test_a_silent_client_is_sent_away(tmp_path: Path) -> None:
    async with opened(tmp_path / "s", deadline_s=0.05) as door:
        reader, writer = await asyncio.open_unix_connection(str(door.path))
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.read() == b""
        writer.close()


async def test_one_client_too_many_is_told_so(door: Door) -> None:
    idle = [await asyncio.open_unix_connection(str(door.path)) for _ in range(CLIENTS)]
    assert await door.ask(b'{"verb":"status"}\n') == {"error": f"more than {CLIENTS} clients at once"}
    for _, writer in idle:
        writer.close()


async def test_a_watcher_gets_answers_until_he_leaves(door: Door) -> None:
    reader, writer = await asyncio.open_unix_connection(str(door.path))
    writer.write(b'{"verb":"status","watch":0.01}\n')
    async with asyncio.timeout(DEADLINE_S):
        for _ in range(2):
            assert json.loads(await reader.readline())["heard"]["verb"] == "status"
        writer.close()
        await writer.wait_closed()
        if door.control._clients:
            await asyncio.wait(door.control._clients)


async def test_closing_takes_the_socket_away_and_lets_clients_go(tmp_path: Path) -> None:
    async with opened(tmp_path / "s") as door:
        reader, writer = await asyncio.open_unix_connection(str(door.path))
        writer.write(b'{"verb":"status","watch":100}\n')
        await reader.readline()
        await door.control.close()
        async with asyncio.timeout(DEADLINE_S):
            assert await reader.read() == b""
        writer.close()
        assert not door.path.exists()


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    async with opened(tmp_path / "s") as door:
        assert await door.ask(b'{"verb":"status"}\n') == {"heard": {"verb": "status"}}


async def test_a_living_agent_is_not_pushed_aside(door: Door) -> None:
    second = Door(door.path, 5.0)
    with pytest.raises(ControlError, match="another agent is running"):
        await second.control.start()


async def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="cannot be made: No such file"):
        await Door(tmp_path / "none" / "s", 5.0).control.start()


async def test_a_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="longer than the 100 characters"):
        await Door(tmp_path / ("x" * 100), 5.0).control.start()


async def test_a_socket_that_was_passed_is_answered_on_and_left_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as managers:
        managers.bind(str(path))
        managers.listen()
        passed = socket.socket(fileno=os.dup(managers.fileno()))
        passed.setblocking(False)
        control = Control(path, answer, Log(lambda *_: True, DEBUG), passed=passed)
        await control.start()
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"verb":"status"}\n')
        assert json.loads(await reader.readline()) == {"heard": {"verb": "status"}}
        writer.close()
        await control.close()
        assert path.is_socket()
        with socket.socket(socket.AF_UNIX) as client:  # the next one waits for the next agent
            client.connect(str(path))


# --- streams ---


async def streamed(door: Door, until: int) -> list[Any]:
    reader, writer = await asyncio.open_unix_connection(str(door.path))
    async with asyncio.timeout(DEADLINE_S):
        writer.write(json.dumps({"verb": "count", "until": until}).encode() + b"\n")
        whole = await reader.read()
    writer.close()
    return [json.loads(line) for line in whole.splitlines()]


async def test_a_stream_is_sent_line_by_line_and_then_the_connection_ends(door: Door) -> None:
    assert await streamed(door, 2) == [{"number": 1}, {"number": 2}]


@pytest.mark.parametrize(("until", "why"), [(3, "no more"), (4, "the agent failed to answer; see its log")])
async def test_what_goes_wrong_in_a_stream_is_its_last_line(door: Door, until: int, why: str) -> None:
    assert await streamed(door, until) == [{"number": 1}, {"number": 2}, {"error": why}]
    assert ("ControlFailed" in "".join(door.lines)) == (until == 4)


async def test_a_stream_ends_when_its_hearer_goes(door: Door) -> None:
    ended.clear()
    _reader, writer = await asyncio.open_unix_connection(str(door.path))
    async with asyncio.timeout(DEADLINE_S):
        writer.write(b'{"verb":"count","until":0}\n')
        await _reader.readline()
        writer.close()
        while not ended:  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(0.01)
    assert ended == ["until 0"]
