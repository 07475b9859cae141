"""A sample of the same to the agent as a process of its own, over a real socket, while it charges."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.csms import Csms
from tests.conformance.ledger import begun, charges, over, read
from tests.end_to_end.agent_helpers import Charger, charger
from tests.fuzz.shapes import actions, schema, variations
from tests.fuzz.test_frames import GARBAGE

EACH = 8  # variations of each message in one round
AT_ONCE = 50
ROUNDS = 7
LARGE = 2  # frames of a mebibyte in each round
# From the first round to the last: twelve mebibytes come, and none may stay. The allocator's own steps, and the ring
# that the flight recorder fills, are 5 MiB in ten rounds and nothing in the thirty after. What stays of a small frame
# is judged to the byte in test_frames.
MOST_GROWN_KIB = 8 * 1024
# These may end the charge, the process or the link by right, when they are as they should be.
NOT_THESE = ("Reset", "UnlockConnector", "SetNetworkProfile")


def frames(version: str, turn: int) -> list[tuple[str, str]]:
    """Message id and text of each: the same sample in each round, under other ids."""
    found = []
    for action in actions(version):
        if action in NOT_THESE:
            continue
        many = list(variations(schema(version, action)))
        for number, (_what, payload) in enumerate(islice(many[:: max(1, len(many) // EACH)], EACH)):
            message_id = f"{turn}-{action[:25]}-{number}"
            found.append((message_id, json.dumps([2, message_id, action, payload])))
    return found


def answers(csms: Csms, since: int) -> Counter[Any]:
    return Counter(f.message[1] for f in csms.frames[since:] if not f.ours and f.message[0] in (3, 4))


async def answered(csms: Csms, wanted: set[str], since: int) -> None:
    """Until each of these has an answer."""
    await csms.until(lambda: wanted <= answers(csms, since).keys(), f"an answer to each of {sorted(wanted)}", 60.0)


async def throw(csms: Csms, turn: int) -> None:
    """One round, many at a time; each is answered exactly once."""
    all_of, mark = frames(csms.version, turn), csms.mark()
    for start in range(0, len(all_of), AT_ONCE):
        part = all_of[start : start + AT_ONCE]
        for _message_id, text in part:
            await csms.send(text)
        await answered(csms, {message_id for message_id, _text in part}, mark)
    for text in GARBAGE:
        await csms.send(text)
    assert csms._ws is not None
    await csms._ws.send(b"\x00\xff" * 1000)
    for number in range(LARGE):
        large = {"vendorId": "v", "data": "x" * (1 << 20)}
        await csms.send(json.dumps([2, f"{turn}-mebibyte-{number}", "DataTransfer", large]))
    await read(csms, "HeartbeatInterval")
    counted = answers(csms, mark)
    assert {message_id: counted[message_id] for message_id, _ in all_of if counted[message_id] != 1} == {}


def rss_kib(c: Charger) -> int:
    assert c.process is not None
    lines = Path(f"/proc/{c.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_charge_survives_all_that_a_csms_can_throw_at_the_process(version: str) -> None:
    async with charger(version) as c:
        await c.ready()
        await c.do("plug-in")
        await c.tap()
        await begun(c.csms)
        await c.charging()
        grown = []
        for turn in range(ROUNDS):
            await throw(c.csms, turn)
            grown.append(rss_kib(c))
        await c.csms.call("ClearChargingProfile", {})
        await c.charging()
        assert c.csms.links == 1
        assert len(charges(c.csms)) == 1
        assert charges(c.csms)[0].ended is None
        assert grown[-1] - grown[0] < MOST_GROWN_KIB, grown
        await c.do("unplug")
        assert (await over(c.csms)).reason == "EVDisconnected"
