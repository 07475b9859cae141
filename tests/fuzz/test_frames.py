"""Frames that are no messages, too many, or too large, to a charger that charges; and what they leave behind."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.rig import Rig, play
from tests.fuzz.shapes import actions, schema, variations
from tests.ocpp.test_rpc_fuzz import cut_frames, frames

BOTH = pytest.mark.parametrize("version", ["1.6", "2.0.1"])
MIB = 1 << 20
GARBAGE = (
    "", " ", "\x00" * 1000, "[" * 100_000, "[2," * 50_000, "{" * 1000 + "}" * 1000, "[2]", "[]", "null", "2", '"2"',
    "[2,null,null,null]", '[2,"x"]', "[2,2,2,2]", "[3]", "[4,5,6,7,8,9]", '[2,"a","Reset",{"type":"Soft"},{}]',
    '[2,"\\ud800","ClearCache",{}]', '[2,"a","ClearCache",{"a":1e999}]', "[9,9,9]", "[-1]", "[2.0,1,1,{}]",
)  # fmt: skip


@BOTH
def test_no_text_at_all_breaks_a_charger(version: str) -> None:
    @settings(max_examples=30, deadline=None, derandomize=True, database=None,
              suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
    @given(st.lists(frames | cut_frames | st.text(max_size=80), min_size=10, max_size=40))
    def texts(many: list[str]) -> None:
        async def story(rig: Rig) -> None:
            for text in many:
                await rig.take(text)

        assert play(version, story).charging or any("Reset" in text for text in many)

    texts()


@BOTH
def test_garbage_is_survived_and_charging_goes_on(version: str) -> None:
    async def story(rig: Rig) -> None:
        for text in GARBAGE:
            await rig.take(text)
        await rig.call("after", "ClearCache", {})

    assert play(version, story).charging


@BOTH
def test_a_frame_of_a_mebibyte_is_refused_and_forgotten(version: str) -> None:
    async def story(rig: Rig) -> None:
        for number in range(20):
            await rig.take(json.dumps([2, f"m{number}", "DataTransfer", {"vendorId": "v", "data": "x" * MIB}]))
            assert rig.answers[f"m{number}"] == 1
        await rig.runtime.received_oversized('[2,"huge","DataTransfer",{"vendorId":"v","data":"xx')
        assert rig.answers["huge"] == 1

    rig = play(version, story)
    assert rig.charging
    assert len(rig.refused) == 21


@BOTH
def test_fifty_calls_at_once_get_fifty_answers(version: str) -> None:
    """They are fed as they would come from the socket: none waits for the answer to another."""

    async def story(rig: Rig) -> None:
        known = [a for a in actions(version) if a != "Reset"]
        for turn in range(10):
            texts = [
                json.dumps([2, f"{turn}-{n}", known[(turn * 50 + n) % len(known)], {} if n % 3 else {"x": n}])
                for n in range(50)
            ]
            await asyncio.gather(*(rig.runtime.received(text) for text in texts))
            await rig.settle()
            rig.check()

    rig = play(version, story)
    assert len(rig.answers) == 500
    assert set(rig.answers.values()) == {1}


@BOTH
def test_memory_does_not_grow_with_what_comes(version: str) -> None:
    """The second round of the same frames finds all that may be kept already there."""
    grown: list[int] = []

    async def story(rig: Rig) -> None:
        texts = [
            json.dumps([2, f"{action}{n}", action, payload])
            for action in actions(version)[::3]
            for n, (_what, payload) in enumerate(variations(schema(version, action)))
            if action != "Reset" and n % 7 == 0
        ]
        for turn in range(4):
            for text in (*texts, *GARBAGE[:3]):
                await rig.take(text)
            rig.answers.clear()
            rig.refused.clear()
            rig.said.clear()
            gc.collect()
            if turn == 1:
                tracemalloc.start()
            if turn >= 1:
                grown.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()

    play(version, story)
    assert grown[-1] - grown[-2] < 100_000, grown
