"""The demo's story, step by step. Each step does one thing and then waits, with a deadline, until it has come right.

Nothing is faked: energy is integrated by the simulated meter second by second, the link is a socket that is gone, the
agent is killed by the kernel. The short rests are there so that people can follow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.demo.board import Doing, Source, Step
from agent.demo.central import short
from agent.demo.charger import MAX_A, SAMPLE_S
from agent.demo.ledger import Transaction
from agent.demo.stage import RESTART_S, Stage, StoryFailed

CARD = "0100A57C21"
LOWERED_A = 10.0
SEEN_WH = 30  # of the first, fast part of the charge
SOON_S, LATER_S = 10.0, 20.0
REST_S = 1.5


@dataclass(slots=True)
class Memory:
    """What one step leaves for a later one."""

    start_wh: int = 0
    queued: int = 0
    closings: str = ""


async def play(stage: Stage) -> list[str]:
    """The whole story; the lines of the receipt. StoryFailed when it does not come right."""
    memory = Memory()
    for number, (_title, _about, act) in enumerate(STEPS):
        stage.board.begin(number)
        try:
            await act(stage, memory)
        except BaseException:
            stage.board.end(number, Doing.FAILED)
            raise
        stage.board.end(number)
    return await receipt(stage, memory)


def steps() -> list[Step]:
    return [Step(title, about) for title, about, _act in STEPS]


def _say(stage: Stage, words: str) -> None:
    stage.board.say(Source.DEMO, words)


# --- the steps ---


async def boot(stage: Stage, memory: Memory) -> None:
    await stage.set_up()
    memory.start_wh = round(float(await stage.see("meter-wh")))
    _say(stage, f"the meter stands at {memory.start_wh} Wh; I start the agent")
    await stage.agent.start()
    await stage.until(lambda: stage.central.boots == 1, "the charger registers with the central system", LATER_S)
    await stage.until(lambda: stage.evse().get("status") == "Available", "the socket is free", SOON_S)
    await asyncio.sleep(REST_S)


async def tap(stage: Stage, _memory: Memory) -> None:
    _say(stage, f"I hold card {short(CARD)} to the reader")
    await stage.do("tap", tag=CARD)
    await stage.until(lambda: CARD in stage.central.asked_for, "the central system is asked about the card", SOON_S)
    await asyncio.sleep(REST_S)


async def plug_in(stage: Stage, _memory: Memory) -> None:
    _say(stage, f"I plug in a car that takes {MAX_A:g} A on three phases")
    await stage.do("plug-in", evse=1)
    await stage.until(lambda: bool(stage.board.gauges.contactor), "the contactor closes", SOON_S)
    await stage.until(lambda: stage.central.ledger.open() is not None, "the central system hears of the charge", SOON_S)


async def charge(stage: Stage, _memory: Memory) -> None:
    def flows() -> bool:
        return (stage.board.gauges.power_w or 0) > 20_000 and _running(stage).energy_wh >= SEEN_WH

    await stage.until(flows, f"22 kW flow, and the central system has heard of {SEEN_WH} Wh", LATER_S + SOON_S)


async def lower(stage: Stage, _memory: Memory) -> None:
    _say(stage, f"the grid is busy: {LOWERED_A:g} A must do for a while")
    await stage.central.limit_current(LOWERED_A)
    await stage.until(lambda: stage.board.gauges.offered_a == LOWERED_A, f"{LOWERED_A:g} A are offered", SOON_S)
    await stage.until(lambda: 0 < (stage.board.gauges.drawn_a or 0) <= LOWERED_A, "the car follows", SOON_S)
    await asyncio.sleep(REST_S)


async def cut(stage: Stage, memory: Memory) -> None:
    _say(stage, "I cut the link; the car must not notice")
    await stage.central.cut()
    await stage.until(lambda: (stage.board.gauges.queued or 0) >= 3, "messages wait on the agent's disk", LATER_S)
    _still_charging(stage)
    memory.queued = stage.board.gauges.queued or 0
    memory.closings = await stage.see("relay-count")


async def kill(stage: Stage, memory: Memory) -> None:
    _say(stage, f"I kill the agent (SIGKILL); {memory.queued} messages are on its disk")
    await stage.agent.kill()
    await stage.until(lambda: stage.board.gauges.agent_pid is None, "the agent is gone", SOON_S)
    await asyncio.sleep(RESTART_S)
    _say(stage, "I start it again, as a service manager does")
    await stage.agent.start()
    await stage.until(lambda: _found_again(stage, memory), "the agent goes on with the charge that it finds", LATER_S)
    await stage.until(lambda: (stage.board.gauges.queued or 0) > memory.queued, "new messages queue up", LATER_S)
    _still_charging(stage)
    if await stage.see("relay-count") == memory.closings:
        _say(stage, "the contactor stayed closed: the driver noticed nothing")


def _found_again(stage: Stage, memory: Memory) -> bool:
    goes_on = stage.evse().get("transaction") is not None and stage.evse().get("status") == "Charging"
    return goes_on and (stage.board.gauges.queued or 0) >= memory.queued


async def mend(stage: Stage, _memory: Memory) -> None:
    waiting, heard_wh = stage.board.gauges.queued or 0, _running(stage).energy_wh
    _say(stage, f"I mend the link; {heard_wh} Wh are known, {waiting} messages wait")
    await stage.central.open()
    await stage.until(lambda: stage.central.boots == 2, "the restarted agent registers again", LATER_S)
    await stage.until(lambda: stage.board.gauges.queued == 0, "all messages that waited arrive", LATER_S)
    late = _running(stage).told_offline
    more = f", {late} messages written offline" if late else ""
    _say(stage, f"it has caught up: {_running(stage).energy_wh} Wh{more}")
    await asyncio.sleep(REST_S)


async def unplug(stage: Stage, _memory: Memory) -> None:
    _say(stage, "the driver unplugs the car")
    await stage.do("unplug", evse=1)
    await stage.until(lambda: stage.central.ledger.open() is None, "the central system hears of the end", LATER_S)
    await stage.until(lambda: stage.board.gauges.queued == 0, "nothing waits any more", SOON_S)
    await stage.until(lambda: stage.evse().get("status") == "Available", "the socket is free again", SOON_S)


def _running(stage: Stage) -> Transaction:
    found = stage.central.ledger.latest()
    if found is None:
        raise StoryFailed("the central system knows of no transaction")
    return found


def _still_charging(stage: Stage) -> None:
    gauges = stage.board.gauges
    if not gauges.contactor or not 0 < (gauges.drawn_a or 0) <= LOWERED_A:
        raise StoryFailed(f"the car should draw up to {LOWERED_A:g} A all the time; it draws {gauges.drawn_a:g} A")


STEPS: tuple[tuple[str, str, Callable[[Stage, Memory], Awaitable[None]]], ...] = (
    (
        "The charger starts and registers",
        "The agent finds its hardware over Modbus and greets the CSMS that bills.",
        boot,
    ),
    ("A card is tapped", "May this card charge? The agent asks the CSMS.", tap),
    (
        "The car is plugged in",
        "The charger offers a current, the car asks for it, the contactor closes.",
        plug_in,
    ),
    ("Energy flows", f"The meter counts, and every {SAMPLE_S} seconds the CSMS hears of it.", charge),
    (
        f"The central system lowers the current to {LOWERED_A:g} A",
        "A command from afar: less is offered now, and the car follows.",
        lower,
    ),
    (
        "The link is cut while the car charges",
        "The car goes on. What the CSMS should hear waits on the agent's disk.",
        cut,
    ),
    (
        "The agent is killed, and comes back",
        "kill -9 in mid-charge: the agent finds the charge on its disk and goes on.",
        kill,
    ),
    (
        "The link returns, and everything that waited arrives",
        "In order, once, with the times at which it happened.",
        mend,
    ),
    ("The car is unplugged", "The charge ends, and the CSMS writes the bill.", unplug),
)


# --- the receipt ---


async def receipt(stage: Stage, memory: Memory) -> list[str]:
    """What the meter counted against what the central system bills; StoryFailed when they differ."""
    end_wh = round(float(await stage.see("meter-wh")))
    used_wh, bill = end_wh - memory.start_wh, _running(stage)
    checks = (
        (bill.energy_wh == used_wh, f"the meter counted {used_wh} Wh, the bill says {bill.energy_wh} Wh"),
        (len(stage.central.ledger) == 1, f"{len(stage.central.ledger)} transactions instead of one"),
        (bill.card == CARD, f"the bill is for card {short(bill.card)}, not {short(CARD)}"),
        (not bill.missing, f"events {bill.missing} never came"),
    )
    for right, wrong in checks:
        if not right:
            raise StoryFailed(f"the receipt is wrong: {wrong}")
    return _receipt(memory.start_wh, end_wh, bill)


def _receipt(start_wh: int, end_wh: int, bill: Transaction) -> list[str]:
    twice = f"{bill.told_twice} of them twice and counted once" if bill.told_twice else "each once"
    return [
        "RECEIPT",
        f"  the meter before        {start_wh:>9} Wh",
        f"  the meter after         {end_wh:>9} Wh",
        f"  the meter counted       {end_wh - start_wh:>9} Wh",
        f"  the central system bills{bill.energy_wh:>9} Wh",
        f"  told in {len(bill.marks)} messages, {twice}, none missing",
        f"  billed once: transaction {bill.id}, card {short(bill.card)}",
        "  ✓ they agree to the watt-hour",
    ]
