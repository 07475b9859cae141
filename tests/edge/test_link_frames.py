"""What the link does with frames of every kind, and with consumers of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection

from agent.core.record import replace
from agent.edge import link as link_module
from agent.edge.link import Ignored, Link, LinkEvent, Oversized, Received
from agent.edge.reasons import WhyKind
from tests.edge.link_helpers import BASE, DEADLINE_S, Bench, csms, echo, linked


async def test_a_binary_frame_that_is_text_is_taken_as_text() -> None:
    async def binary(ws: ServerConnection) -> None:
        await ws.send(b"[3]")
        await ws.wait_closed()

    async with csms(binary) as url, linked(url) as bench:
        await bench.until(lambda: Received("[3]") in bench.events)


async def test_a_frame_that_is_no_text_is_ignored_and_the_link_stands() -> None:
    async def noise(ws: ServerConnection) -> None:
        await ws.send(b"\xff\xfe")
        await ws.send(b"\xff\xfe", text=True)
        await ws.send("after")
        await ws.wait_closed()

    async with csms(noise) as url, linked(url) as bench:
        await bench.until(lambda: Received("after") in bench.events)
        assert [event for event in bench.events if isinstance(event, Ignored)] == [Ignored(2), Ignored(2)]
        assert bench.link.is_up


async def test_a_frame_over_the_limit_is_told_by_its_head_and_the_link_stands() -> None:
    async def large(ws: ServerConnection) -> None:
        await ws.send('[2,"7","X",' + " " * 2000 + "]")
        await ws.send("after")
        await ws.wait_closed()

    async with csms(large) as url, linked(url, frame_limit=1000) as bench:
        await bench.until(lambda: Received("after") in bench.events)
        over = next(event for event in bench.events if isinstance(event, Oversized))
        assert over.size == 2012
        assert over.head.startswith('[2,"7","X",')


async def test_a_frame_far_beyond_the_limit_closes_the_link() -> None:
    async def huge(ws: ServerConnection) -> None:
        await ws.send("x" * 5000)
        await ws.wait_closed()

    async with csms(huge) as url, linked(url, frame_limit=1000) as bench:
        assert (await bench.loss()).why.kind is WhyKind.TOO_BIG


async def test_a_slow_consumer_slows_the_server_down() -> None:
    sent = 0

    async def flood(ws: ServerConnection) -> None:
        nonlocal sent
        while True:
            await ws.send("x" * 100_000)
            sent += 1

    async with csms(flood) as url, linked(url) as bench:
        gate, taken = asyncio.Event(), asyncio.Event()

        async def wait_for_gate() -> None:
            taken.set()
            await gate.wait()

        bench.link._on_event = lambda event: wait_for_gate() if isinstance(event, Received) else None
        async with asyncio.timeout(DEADLINE_S):
            await taken.wait()
            before = -1
            while sent != before:  # until the kernel's buffers are full
                before = sent
                await asyncio.sleep(0.1)
        assert sent < 200
        gate.set()


async def test_a_consumer_that_hangs_costs_the_connection_and_not_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "CONSUMER_TIMEOUT_S", 0.05)
    async with csms(echo) as url, linked(url) as bench:
        await bench.up()
        bench.link._on_event = lambda event: _hang() if isinstance(event, Received) else bench._hear(event)
        await bench.link.send("x")
        assert (await bench.loss()).why.kind is WhyKind.CONSUMER
        await bench.up()


async def test_a_consumer_at_work_is_let_finish_when_the_link_is_dropped() -> None:
    finished: list[str] = []
    async with csms(echo) as url, linked(url) as bench:
        await bench.up()
        gate, taken = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            taken.set()
            await gate.wait()
            finished.append("work")

        bench.link._on_event = lambda event: work() if isinstance(event, Received) else bench._hear(event)
        await bench.link.send("x")
        async with asyncio.timeout(DEADLINE_S):
            await taken.wait()
        bench.link.drop("enough")
        asyncio.get_running_loop().call_later(0.05, gate.set)
        assert (await bench.loss()).why.text == "enough"
        assert finished == ["work"]


async def test_a_consumer_that_answers_a_deaf_server_is_freed() -> None:
    answers: list[bool] = []

    async def deaf(ws: ServerConnection) -> None:
        await ws.send("x")
        ws.transport.pause_reading()
        await ws.wait_closed()

    async with csms(deaf) as url, linked(url, send_timeout_s=0.1) as bench:

        async def work() -> None:
            while await bench.link.send("x" * 1_000_000):
                pass
            answers.append(False)

        bench.link._on_event = lambda event: work() if isinstance(event, Received) else bench._hear(event)
        assert (await bench.loss()).why.kind is WhyKind.SEND
        assert answers == [False]


async def _hang() -> None:
    await asyncio.Event().wait()


async def test_a_cancelled_loop_says_goodbye() -> None:
    codes: list[int | None] = []

    async def note(ws: ServerConnection) -> None:
        await ws.wait_closed()
        codes.append(ws.close_code)

    async with csms(note) as url:
        bench = Bench(replace(BASE, url=url))
        task = asyncio.create_task(bench.link.run())
        await bench.up()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await bench.until(lambda: codes == [1001])


async def test_a_consumer_may_drop_the_link_from_within() -> None:
    async with csms(echo) as url, linked(url) as bench:
        await bench.up()
        await bench.link.send("x")
        bench.link._on_event = lambda event: (
            bench.link.drop("enough") if isinstance(event, Received) else bench._hear(event)
        )
        assert (await bench.loss()).why.text == "enough"


async def test_an_assertion_of_the_consumer_ends_the_loop() -> None:
    def broken(_event: LinkEvent) -> None:
        raise AssertionError("a bug")

    link = Link(lambda: BASE, broken, rng=lambda: 0.0)
    with pytest.raises(AssertionError, match="a bug"):
        async with asyncio.timeout(DEADLINE_S):
            await link.run()


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after a wait"])
async def test_a_bug_in_what_the_consumer_does_with_a_frame_ends_the_loop(waits: bool) -> None:
    async def breaks() -> None:
        if waits:
            await asyncio.sleep(0)
        raise AssertionError("a bug")

    async with csms(echo) as url:
        bench = Bench(replace(BASE, url=url))
        run = asyncio.create_task(bench.link.run())
        await bench.up()
        bench.link._on_event = lambda event: breaks() if isinstance(event, Received) else bench._hear(event)
        await bench.link.send("x")
        with pytest.raises(AssertionError, match="a bug"):
            async with asyncio.timeout(DEADLINE_S):
                await run


async def test_frames_that_come_while_the_consumer_is_at_work_wait_for_him_in_order() -> None:
    async with csms(echo) as url, linked(url) as bench:
        await bench.up()
        gate = asyncio.Event()
        taken: list[str] = []

        async def work(event: Received) -> None:
            if event.text == "0":
                await gate.wait()
            taken.append(event.text)

        bench.link._on_event = lambda event: work(event) if isinstance(event, Received) else bench._hear(event)
        for number in range(20):
            await bench.link.send(str(number))
        asyncio.get_running_loop().call_later(0.02, gate.set)
        await bench.until(lambda: len(taken) == 20)
        assert taken == [str(number) for number in range(20)]


async def test_a_short_text_may_go_at_once() -> None:
    async with csms(echo) as url, linked(url) as bench:
        await bench.up()
        assert bench.link.takes_at_once("x")


async def test_a_long_text_may_have_to_wait() -> None:
    async with csms(echo) as url, linked(url) as bench:
        await bench.up()
        assert not bench.link.takes_at_once("x" * 10_000)


async def test_nothing_goes_at_once_behind_what_still_waits_to_be_written() -> None:
    async def deaf(ws: ServerConnection) -> None:
        ws.transport.pause_reading()
        await ws.wait_closed()

    async with csms(deaf) as url, linked(url) as bench:
        await bench.up()
        send = asyncio.create_task(bench.link.send("x" * 8_000_000))
        await bench.until(lambda: not bench.link.takes_at_once("x"))
        send.cancel()


async def test_nothing_goes_at_once_without_a_link() -> None:
    link = Link(lambda: BASE, lambda _event: None, rng=lambda: 0.0)
    assert not link.takes_at_once("x")


async def test_a_consumer_may_set_himself_a_limit_while_frames_come_together() -> None:
    late: list[str] = []

    async def work(event: Received) -> None:
        if event.text != "first":
            return
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            late.append(event.text)

    async with csms(together(b"\x81\x05first\x81\x06second")) as url, linked(url) as bench:
        bench.link._on_event = lambda event: work(event) if isinstance(event, Received) else bench._hear(event)
        await bench.until(lambda: late == ["first"])
        assert bench.link.is_up


async def test_a_flood_of_frames_that_come_together_leaves_the_loop_its_turns() -> None:
    heard = asyncio.Event()
    turns = frames = 0

    def tick() -> None:
        nonlocal turns
        turns += 1
        if frames < 1000:
            asyncio.get_running_loop().call_soon(tick)

    def count(event: LinkEvent) -> None:
        nonlocal frames
        if not isinstance(event, Received):
            return
        frames += 1
        if frames == 1:
            tick()
        if frames == 1000:
            heard.set()

    async with csms(together(b"\x81\x00" * 1000)) as url, linked(url) as bench:
        bench.link._on_event = count
        async with asyncio.timeout(DEADLINE_S):
            await heard.wait()
    assert turns >= 500


def together(data: bytes) -> Callable[[ServerConnection], Awaitable[None]]:
    """A server that writes all of this at once."""

    async def handler(ws: ServerConnection) -> None:
        ws.transport.write(data)
        await ws.wait_closed()

    return handler


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "together"])
async def test_after_a_bug_no_other_frame_is_dealt_with(alone: bool) -> None:
    dealt: list[str] = []

    def breaks(event: LinkEvent) -> None:
        if isinstance(event, Received):
            dealt.append(event.text)
            raise AssertionError("a bug")

    async with csms(echo) as url:
        bench = Bench(replace(BASE, url=url))
        run = asyncio.create_task(bench.link.run())
        await bench.up()
        bench.link._on_event = breaks
        wire = bench.link._ws
        assert wire is not None
        for data in (b"\x81\x011", b"\x81\x012") if alone else (b"\x81\x011\x81\x012",):
            wire.data_received(data)
        with pytest.raises(AssertionError, match="a bug"):
            async with asyncio.timeout(DEADLINE_S):
                await run
    assert dealt == ["1"]
