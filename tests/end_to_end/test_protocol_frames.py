"""Frames that no central system should send, on a live connection: the right CALLERROR, and the connection stays."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from tests.conformance.csms import SILENCE, Csms, Refusal
from tests.conformance.ledger import begun, read, trigger
from tests.end_to_end.agent_helpers import charger, until

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
# what is sent (message id "x" where it has one), the code of 1.6, the code of 2.0.1; None: silence
FRAMES: dict[str, tuple[str, str | None, str | None]] = {
    "an unknown action": ('[2,"x","MakeCoffee",{}]', "NotImplemented", "NotImplemented"),
    "an action that is ours to send": ('[2,"x","Heartbeat",{}]', "NotSupported", "NotSupported"),
    "a payload that is a list": ('[2,"x","ClearCache",[]]', "FormationViolation", "FormatViolation"),
    "a CALL without payload": ('[2,"x","ClearCache"]', "ProtocolError", "RpcFrameworkError"),
    "a CALL with too much": ('[2,"x","ClearCache",{},{}]', "FormationViolation", "RpcFrameworkError"),
    "a missing member": ('[2,"x","Reset",{}]', "OccurenceConstraintViolation", "OccurrenceConstraintViolation"),
    "a wrong type": ('[2,"x","Reset",{"type":5}]', "TypeConstraintViolation", "TypeConstraintViolation"),
    "a wrong word": ('[2,"x","Reset",{"type":"Soon"}]', "PropertyConstraintViolation", "PropertyConstraintViolation"),
    "text cut off": ('[2,"x","ClearCache",{', "FormationViolation", "FormatViolation"),
    "no JSON at all": ("hello", None, "RpcFrameworkError"),
    "an object": ("{}", None, "RpcFrameworkError"),
    "an unknown message type": ('[9,"x","ClearCache",{}]', None, "MessageTypeNotSupported"),
    "too deep": ('[2,"x","DataTransfer",{"vendorId":"v","data":' + "[" * 5000 + "]" * 5000 + "}]",
                 "FormationViolation", "FormatViolation"),
    "too long": ('[2,"x","DataTransfer",{"vendorId":"v","data":"' + "a" * 600_000 + '"}]',
                 "FormationViolation", "FormatViolation"),
    "a member given twice": ('[2,"x","Reset",{"type":"Soft","type":"Soft"}]', "FormationViolation", "FormatViolation"),
    "not a number": ('[2,"x","DataTransfer",{"vendorId":"v","data":NaN}]', "FormationViolation", "FormatViolation"),
}  # fmt: skip


async def error_to(csms: Csms, text: str, since: int) -> str | None:
    """The code of the CALLERROR to a frame; None when there is none before the answer to a later question."""
    await csms.send(text)
    await read(csms, "HeartbeatInterval")
    errors = [f.message for f in csms.frames[since:] if not f.ours and f.message[0] == 4]
    assert len(errors) <= 1
    if not errors:
        return None
    assert errors[0][1] in ("x", "-1")
    assert len(errors[0]) == 5 and len(errors[0][3]) <= 255
    return str(errors[0][2])


@BOTH
async def test_every_bad_frame_gets_its_error_and_the_connection_stays(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        got, expected = {}, {}
        for name, (text, *codes) in FRAMES.items():
            got[name] = await error_to(c.csms, text, c.csms.mark())
            expected[name] = codes[version == "2.0.1"]
        assert got == expected
        assert c.csms.links == 1


@BOTH
async def test_fifty_calls_at_once_are_all_answered_once(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        mark = c.csms.mark()
        answers = await asyncio.gather(
            *(read(c.csms, "ConnectionTimeOut") for _ in range(40)), *(trigger(c.csms, "Heartbeat") for _ in range(10))
        )
        assert answers == ["120"] * 40 + ["Accepted"] * 10
        await c.csms.until(lambda: len(c.csms.calls("Heartbeat", mark)) == 10, "ten heartbeats")
        answered = Counter(f.message[1] for f in c.csms.frames[mark:] if not f.ours and f.message[0] in (3, 4))
        assert set(answered.values()) == {1}


@BOTH
async def test_lesson_4_late_double_and_foreign_answers_are_survived(version: str) -> None:
    async with charger(version, variables={"MessageTimeout": 1}) as c:
        await c.ready()
        c.csms.on("Authorize", SILENCE)
        mark = c.csms.mark()
        await c.tap()
        await c.csms.hear("Authorize", mark)
        asked = next(f.message[1] for f in c.csms.frames[mark:] if f.message[2:3] == ["Authorize"])
        late: dict[str, Any] = {"idTagInfo" if version == "1.6" else "idTokenInfo": {"status": "Accepted"}}
        await c.wait("offered-ma", "0")
        await until(lambda: "no answer to Authorize" in c.log, "the time for an answer is over")
        await c.csms.send([3, asked, late])
        await c.csms.send([3, asked, late])
        await c.csms.send([3, "never-asked", {"a": 1}])
        await c.csms.send([4, "never-asked", "InternalError", "", {}])
        await c.csms.send("[3, 17, {}]")
        await c.csms.send("[3]")
        c.csms.as_usual("Authorize")
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms)
        assert c.csms.links == 1


@BOTH
async def test_two_calls_are_answered_while_ours_is_open(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        c.csms.on("Authorize", SILENCE)
        await c.tap()
        await c.csms.hear("Authorize")
        answers = await asyncio.gather(*(read(c.csms, "ConnectionTimeOut") for _ in range(2)))
        assert answers == ["120", "120"]
        with pytest.raises(Refusal, match="NotImplemented"):
            await c.csms.call("MakeCoffee")


@BOTH
async def test_a_call_that_comes_twice_is_carried_out_once(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        mark = c.csms.mark()
        frame = [2, "same", "TriggerMessage", {"requestedMessage": "Heartbeat"}]
        await c.csms.send(frame)
        await c.csms.send(json.dumps(frame))
        await read(c.csms, "HeartbeatInterval")
        await c.csms.hear("Heartbeat", mark)
        assert len(c.csms.calls("Heartbeat", mark)) == 1
        answers = [f for f in c.csms.frames[mark:] if not f.ours and f.message[:2] == [3, "same"]]
        assert len(answers) == 2
