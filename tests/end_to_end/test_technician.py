"""The technician's commands against the real agent: what they show of a charge, and what they have done.

The commands run in this process, as a person would type them; hardware, agent and central system are the real ones.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from itertools import product
from typing import Any

import pytest

from agent.__main__ import main
from agent.cli.asking import Refused, ask
from tests.conformance.csms import Refusal
from tests.conformance.ledger import begun, over, status
from tests.end_to_end.agent_helpers import CARD, ROOT, Charger, charger, eventually

ODD: tuple[dict[str, Any], ...] = (
    {"evse": [1], "limit": "x", "names": [7, None, {}], "name": {}, "value": 3, "after": -1},
    {"evse": 1.5, "limit": 10**30, "names": "x", "name": "A" * 5000, "value": "\x00", "after": 10**30},
    {"evse": 1, "limit": 1, "match": ["x"], "kind": 5, "name": "AuthorizationKey", "value": "", "token": "\n"},
    {"evse": 10**30, "token": 5, "letters": -3, "changed": "yes", "name": "a.b[c", "value": "v", "sudo": "x" * 9999},
)
VERBS = ("evse", "meter", "transactions", "queue", "variables", "events", "start", "unlock", "set", "retry")
WHY = ("--reason", "a test")


async def typed(c: Charger, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    argv = [*words, "--socket", str(c.folder / "control.sock")]
    out, err = io.StringIO(), io.StringIO()

    def run() -> int:
        with redirect_stdout(out), redirect_stderr(err):
            try:
                return main(argv)
            except SystemExit as stop:  # argparse ends so
                return int(str(stop.code))

    code = await asyncio.to_thread(run)
    return code, out.getvalue(), err.getvalue()


async def shown(c: Charger, *words: str) -> str:
    """What a command that works prints, within 80 columns."""
    code, out, err = await typed(c, *words)
    assert (code, err) == (0, ""), (words, out, err)
    assert "--json" in words or "--export" in words or max(map(len, out.splitlines())) <= 80, out
    return out


async def told(c: Charger, *words: str) -> Any:
    return json.loads(await shown(c, *words, "--json"))


async def refused(c: Charger, *words: str) -> str:
    code, out, err = await typed(c, *words)
    assert (code, out, err.count("\n")) == (1, "", 1), (words, out, err)
    return err


async def test_a_technician_starts_watches_and_stops_a_charge_on_his_own_account() -> None:
    async with charger("2.0.1", service='technician_token = "SERVICE-1"') as c:
        await c.ready()
        assert "Available" in await shown(c, "status")
        assert "nobody charges here" in await refused(c, "stop", "1", *WHY)
        assert await shown(c, "start", "1", *WHY) == "EVSE 1: ..CE-1 may charge; plug in within 120 s\n"
        await c.do("plug-in", evse=1)
        charge = await begun(c.csms, evse=1)
        assert (charge.tag, c.csms.calls("Authorize")) == ("SERVICE-1", [])
        await c.charging()
        assert "card ..CE-1" in await shown(c, "evse", "1")
        assert "energy to the car in all" in await shown(c, "meter", "1")
        assert "running" in await shown(c, "transactions")
        assert "end it first: chargepoint stop" in await refused(c, "unlock", "1", *WHY)
        assert "a card has been accepted here already" in await refused(c, "start", "1", *WHY)
        assert "it will be so when" in await shown(c, "availability", "out", "1", *WHY)
        assert "has ended with" in await shown(c, "stop", "1", *WHY)
        ended = await over(c.csms, evse=1)
        assert (ended.reason, ended.stop_tag) == ("Local", None)
        await status(c.csms, "Unavailable")
        assert "unlocked" in await shown(c, "unlock", "1", *WHY)
        assert "done" in await shown(c, "availability", "in", *WHY)
        await status(c.csms, "Occupied")
        await _history(c, ended.id)


async def _history(c: Charger, transaction: str) -> None:
    async def delivered() -> Any:
        (row,) = (await told(c, "transactions"))["transactions"]
        return row if row["state"] == "told" else None

    row = await eventually(delivered, "the end is told")
    assert (row["id"], row["card"], row["reason"], row["waiting"]) == (transaction, "..CE-1", "Local", 0)
    assert "by card or button" in await shown(c, "transactions")
    (exported,) = csv.DictReader(io.StringIO(await shown(c, "transactions", "--export", "csv")))
    assert (exported["id"], exported["energy_wh"]) == (transaction, str(row["energy_wh"]))
    assert json.loads(await shown(c, "transactions", "--export", "json"))[0]["id"] == transaction
    orders = [event["text"] for event in (await told(c, "events", "--kind", "order"))["events"]]
    assert len(orders) == 8
    assert orders[0] == "stop: refused: nobody charges here"
    assert "a test" in await shown(c, "events")


async def test_what_the_central_system_refuses_is_shown_exported_and_sent_again() -> None:
    variables = {"TransactionMessageAttempts": 1}
    async with charger("1.6", variables=variables) as c:
        await c.ready()
        c.csms.on("StopTransaction", Refusal("InternalError", "out of order"))
        assert "may charge" in await shown(c, "start", "1", "--card", CARD, *WHY)
        await c.do("plug-in", evse=1)
        assert (await begun(c.csms)).tag == CARD
        await c.do("unplug", evse=1)

        async def letter() -> Any:
            return (await told(c, "queue"))["dead_letters"]

        (given_up,) = await eventually(letter, "a dead letter")
        assert (given_up["kind"], given_up["card"]) == ("Ended", None)
        assert "1 given up" in await shown(c, "queue")
        assert "what to do: chargepoint queue" in await shown(c, "status")
        assert "GIVEN UP" in await shown(c, "transactions")
        file = c.folder / "letters.jsonl"
        assert await shown(c, "queue", "export", str(file)) == f"{file}: 1 message\n"
        assert json.loads(file.read_text())["id"] == given_up["id"]
        assert "File exists" in await refused(c, "queue", "export", str(file))
        c.csms.as_usual("StopTransaction")
        assert await shown(c, "queue", "retry", *WHY) == "1 message goes to the central system once more\n"
        assert (await over(c.csms)).reason == "EVDisconnected"
        assert "empty" in await shown(c, "queue")
        await _settings(c)


async def _settings(c: Charger) -> None:
    """By a key of the older protocol, and by the name of the variable."""
    assert "EVConnectionTimeOut" in await shown(c, "variables", "timeout")
    assert await shown(c, "variables", "set", "ConnectionTimeOut", "33", *WHY) == "TxCtrlr.EVConnectionTimeOut is set\n"
    (view,) = (await told(c, "variables", "get", "TxCtrlr.EVConnectionTimeOut"))["variables"]
    assert (view["value"], view["source"], view["default"]) == ("33", "technician", "120")
    assert await c.csms.call("GetConfiguration", {"key": ["ConnectionTimeOut"]}) == {
        "configurationKey": [{"key": "ConnectionTimeOut", "readonly": False, "value": "33"}]
    }
    assert "[" in await shown(c, "variables", "--changed")
    await c.csms.call("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "44"})
    (view,) = (await told(c, "variables", "get", "ConnectionTimeOut"))["variables"]
    assert (view["value"], view["source"], view["by"]) == ("44", "central system", "central system")
    assert "'120' again" in await shown(c, "variables", "set", "ConnectionTimeOut", "--default", *WHY)
    assert "expected whole number" in await refused(c, "variables", "set", "ConnectionTimeOut", "-1", *WHY)
    assert "did you mean ConnectionTimeOut?" in await refused(c, "variables", "get", "ConnectionTimeOt")
    assert "is a fact of this program" in await refused(c, "variables", "set", "LocalAuthListMaxLength", "5", *WHY)


async def test_orders_want_a_reason_and_an_evse_that_is_there() -> None:
    async with charger("2.0.1") as c:
        await c.ready()
        assert (await typed(c, "stop", "1"))[0] == 2
        assert "there is no EVSE 9; there is 1" in await refused(c, "stop", "9", *WHY)
        assert "needs a card" in await refused(c, "start", "1", *WHY)
        assert "there is no EVSE 9" in await refused(c, "evse", "9")
        c.csms.cards["0100DEAD02"] = ("Blocked", "")
        assert "the card is Blocked" in await refused(c, "start", "1", "--card", "0100DEAD02", *WHY)
        path = str(c.folder / "control.sock")
        with pytest.raises(Refused, match="unknown verb 'frobnicate'; known are status, evse"):
            await asyncio.to_thread(ask, path, "frobnicate")
        with pytest.raises(Refused, match="speaks version 1"):
            await asyncio.to_thread(ask, path, "status", v=2)
        for verb, odd in product(VERBS, ODD):
            with suppress(Refused):
                await asyncio.to_thread(ask, path, verb, why="odd", **odd)
        assert "ControlFailed" not in c.log
        for odd in ({"evse": "1"}, {"evse": True}, {"evse": 0}, {"evse": 1, "why": 7}, {"evse": 1, "why": " "}):
            with pytest.raises(Refused):
                await asyncio.to_thread(ask, path, "stop", **odd)


# --- the manual ---


def manual() -> list[list[str]]:
    """The commands of packaging/README.md's part on the technician's command."""
    text = (ROOT / "packaging/README.md").read_text().split("## The technician's command\n", 1)[1]
    blocks = re.findall(r"^```sh\n(.*?)^```$", text.split("\n### ", 1)[0], re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    table = text.split("\n### It does not charge\n", 1)[1].split("\n\nWith the agent stopped", 1)[0]
    lines += [line.replace(" ID ", " 0100A57C21 ").split() for line in re.findall(r"`(chargepoint [^`]+)`", table)]
    return [words[1:] for words in lines]


# --- for scripts ------------------------------------------------------------------------------------------------


def promised() -> dict[str, Any]:
    """The objects of the manual, by the command; of a key what is in it."""
    text = (ROOT / "packaging/README.md").read_text().split("\n### For scripts\n", 1)[1]
    rows = re.findall(r"^\| (`.*?`) \| `(.*?)`", text, re.MULTILINE)
    return {
        command: _shape(iter(re.findall(r"\w+|[][{}]", told)))
        for commands, told in rows
        for command in re.findall("`(.*?)`", commands)
    }


def _shape(words: Iterator[str]) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    name = ""
    for word in words:
        if word == "{":
            shape[name] = _shape(words)
        elif word == "}":
            break
        elif word not in ("[", "]"):
            name = word
            shape[name] = {}
    return shape


def differs(told: Any, shape: dict[str, Any], where: str = "") -> str:
    """Where an answer has other keys than were promised; what is empty there is not looked into."""
    if isinstance(told, list):
        return next((found for each in told if (found := differs(each, shape, where))), "")
    if not isinstance(told, dict) or not shape:
        return ""
    if set(told) != set(shape):
        return f"{where}: {sorted(set(told) ^ set(shape))}"
    return next((found for key in shape if (found := differs(told[key], shape[key], f"{where}.{key}"))), "")


async def test_every_answer_for_scripts_has_the_keys_that_the_manual_names() -> None:
    objects = promised()
    assert len(objects) >= 19
    more = "phases hardware_limit_a csms_limit_a plugged reserved authorized authorized_s controller meter connector"
    objects["evse"]["evses"] = objects["status"]["evses"] | {name: {} for name in more.split()}
    objects["queue"]["link"] = objects["status"]["link"]
    async with charger("2.0.1") as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await c.charging()
        await c.do("fault", name="over-temperature")
        await c.csms.hear("StatusNotification", connectorStatus="Faulted")
        c.csms.on("TransactionEvent", Refusal("InternalError"))
        words = {
            "start": ["1", "--card", CARD, *WHY], "stop": ["1", *WHY], "unlock": ["1", *WHY],
            "availability": ["in", "1", *WHY], "queue retry": [*WHY],
            "variables set": ["HeartbeatInterval", "77", *WHY],
            "log": ["--lines", "1"], "trace ocpp": ["--count", "1"], "trace modbus": ["--count", "1"],
            "support-bundle": [str(c.folder)],
        }  # fmt: skip
        words |= {"replay": [str(c.folder / "memory" / "recorder")], "doctor": ["--config", str(c.config)]}
        for command, shape in objects.items():
            out = await _of(c, command, *words.get(command, []), "--json")
            assert (command, differs(json.loads(out.splitlines()[0]), shape)) == (command, "")


async def _of(c: Charger, command: str, *more: str) -> str:
    """What it prints, while the central system has something to say."""
    if command in ("replay", "doctor"):  # these take no socket
        out = io.StringIO()
        with redirect_stdout(out):
            await asyncio.to_thread(main, [command, *more])
        return out.getvalue()
    running = asyncio.ensure_future(typed(c, *command.split(), *more))
    while command == "trace ocpp" and not running.done():
        await c.csms.call("GetLocalListVersion")
    _, told, err = await running
    assert told, (command, err)
    return told


async def test_every_command_of_the_manual_does_what_stands_there(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [words for words in manual() if "--watch" not in words and words != ["check-config"]]
    assert len(commands) >= 30
    async with charger("1.6") as c:
        await c.ready()
        monkeypatch.chdir(c.folder)
        c.csms.cards["0100A57C21"] = ("Accepted", "")
        for words in commands:
            assert await shown(c, *words), words
            if words[0] == "start" and c.csms.calls("StartTransaction") == []:
                await c.do("plug-in", evse=1)
                await begun(c.csms)
        assert (c.folder / "given-up.jsonl").read_text() == ""
