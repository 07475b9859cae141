"""Keys for the one who plays while the charger stays: one letter each for what central system and network can do.

Letters are taken one by one, without an echo that would spoil the panel; Ctrl-C stays what it is. The terminal gets its
manners back at the end. Without a terminal there are no keys.
"""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from agent.demo.board import Source
from agent.demo.central import Refused
from agent.demo.charger import MAX_A
from agent.demo.stage import Stage
from agent.demo.story import CARD, LOWERED_A

Act = Callable[[Stage], Awaitable[None]]
KEYS: dict[str, tuple[str, Act]] = {
    "b": ("begin a charge from afar", lambda stage: stage.central.start(CARD)),
    "e": ("end it", lambda stage: stage.central.stop()),
    "l": (f"lower to {LOWERED_A:g} A", lambda stage: stage.central.limit_current(LOWERED_A)),
    "r": (f"raise to {MAX_A:g} A", lambda stage: stage.central.limit_current(MAX_A)),
    "c": ("cut the link", lambda stage: stage.central.cut()),
    "m": ("mend it", lambda stage: stage.central.open()),
    "k": ("kill the agent", lambda stage: stage.agent.kill()),
}
MAX_WAITING = 8  # keys pressed while one is being done


def tips() -> list[str]:
    """What there is, in lines that fit any window."""
    words = [f"{key} {about}" for key, (about, _act) in KEYS.items()]
    return [f"Keys here: {', '.join(words[:4])},", f"  {', '.join(words[4:])}, Ctrl-C end it all"]


@contextmanager
def listening(stage: Stage) -> Iterator[bool]:
    """While entered, keys work; False when there is no terminal to press them at."""
    if not sys.stdin.isatty():
        yield False
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    pressed: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(_work(stage, pressed))
    tty.setcbreak(fd)
    loop.add_reader(fd, _read, fd, pressed)
    try:
        yield True
    finally:
        loop.remove_reader(fd)
        work.cancel()
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _read(fd: int, pressed: asyncio.Queue[str]) -> None:
    for letter in os.read(fd, 64).decode(errors="replace").lower():
        if letter in KEYS and not pressed.full():
            pressed.put_nowait(letter)


async def _work(stage: Stage, pressed: asyncio.Queue[str]) -> None:
    while True:
        about, act = KEYS[await pressed.get()]
        stage.board.say(Source.DEMO, f"you: {about}")
        try:
            await act(stage)
        except (Refused, OSError, TimeoutError) as error:
            stage.board.say(Source.DEMO, f"that cannot be done: {error}")
