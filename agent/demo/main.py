"""`chargepoint demo`: plays a whole charging session on this machine, and says whether it came out right.

Exit codes: 0 the bill agrees with the meter to the watt-hour, 1 it did not come out right (the line says where, and the
agent's log follows), 2 the command line was wrong, 130 ended by Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agent.cli import Parser
from agent.demo import keys, story
from agent.demo.board import Board, Source
from agent.demo.central import Refused
from agent.demo.charger import Places
from agent.demo.screen import Panel, Screen, choose, tell
from agent.demo.stage import Stage, StoryFailed
from agent.errors import Exit

FRAMES_S = 0.15
INTERRUPTED = 130
LONGEST_FOLDER = 70  # characters; sockets lie in it
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FAILURES = (StoryFailed, Refused, OSError, TimeoutError)


def main(argv: Sequence[str]) -> int:
    """Play the story once; the exit code."""
    parser = Parser(
        prog="chargepoint demo",
        description="Play a whole charging session on this machine, and say whether it came out right.",
        epilog="exit codes: 0 the bill agrees with the meter, 1 it did not come out right, 2 the command line was "
        "wrong, 130 ended by Ctrl-C",
    )
    parser.add_argument("--ocpp", choices=("1.6", "2.0.1"), default="2.0.1", help="protocol version (2.0.1)")
    parser.add_argument("--stay", action="store_true", help="leave charger and central system running for play")
    parser.add_argument("--plain", action="store_true", help="plain lines, no panel")
    options = parser.parse_args(list(argv))
    places = Places(_folder())
    board = Board(f"chargepoint demo: a charging session over OCPP {options.ocpp}", story.steps())
    screen = choose(board, options.plain)
    stage = Stage(board, places, options.ocpp)
    try:
        code = asyncio.run(_guarded(stage, screen, options.stay))
    except BrokenPipeError:  # nobody reads any more, so nobody looks for what would be kept
        shutil.rmtree(places.folder, ignore_errors=True)
        raise
    if code == Exit.FAILURE:
        tell([f"configuration and logs are kept in {places.folder}"], sys.stderr)
    else:
        shutil.rmtree(places.folder, ignore_errors=True)
    return code


def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="chargepoint-")
    if len(folder) <= LONGEST_FOLDER:
        return Path(folder)
    Path(folder).rmdir()
    return Path(tempfile.mkdtemp(prefix="chargepoint-", dir="/tmp"))  # mkdtemp makes it ours alone


async def _guarded(stage: Stage, screen: Screen, stay: bool) -> int:
    """The story with its end: whatever happens, children are stopped and the terminal is given back."""
    task = asyncio.current_task()
    assert task is not None
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    screen.open()
    frames = asyncio.create_task(_frames(screen))
    after: list[str] = []
    code = INTERRUPTED
    try:
        after = await _play(stage, screen)
        code = int(Exit.OK)
        if stay:
            await _stay(stage, screen, after)  # until a signal ends it
    except FAILURES as error:
        code, after = int(Exit.FAILURE), _failure(stage, error)
    except asyncio.CancelledError:  # by a signal; when the charger stays, that is how it ends
        task.uncancel()
        after = after if isinstance(screen, Panel) else []  # plain text has told it before
    finally:
        frames.cancel()
        screen.close()
        await _take_down(stage)
    tell(after)
    return code


async def _take_down(stage: Stage) -> None:
    """To the end, however often Ctrl-C is pressed meanwhile: it takes a few seconds at most."""
    for number in SIGNALS:
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    work = asyncio.create_task(stage.take_down())
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):  # by a signal that came just before
            await asyncio.wait({work})
    with contextlib.suppress(*FAILURES):
        work.result()


async def _frames(screen: Screen) -> None:
    while True:
        screen.draw()
        await asyncio.sleep(FRAMES_S)


async def _play(stage: Stage, screen: Screen) -> list[str]:
    """The story; what is to be told after it."""
    lines = await story.play(stage)
    took = f"The story took {stage.board.now_s():.0f} s."
    return [*(_summary(stage) if isinstance(screen, Panel) else []), "", *lines, "", took]


async def _stay(stage: Stage, screen: Screen, lines: Sequence[str]) -> None:
    """Leave everything running until a signal ends it; the agent is started again whenever it ends."""
    stage.board.tips = tips(stage.places)
    if isinstance(screen, Panel):
        stage.board.say(Source.DEMO, "the receipt agrees to the watt-hour; it is yours now")
    else:
        tell([*lines, "", *stage.board.tips, ""])
    with keys.listening(stage) as usable:
        if usable:
            stage.board.tips = [*stage.board.tips[:-1], *keys.tips()]
        await stage.serve_as_manager()


def _summary(stage: Stage) -> list[str]:
    """What the panel showed, for the screen that comes back."""
    return [f"✓ {number} {step.title} ({step.took_s:.1f} s)" for number, step in enumerate(stage.board.steps, 1)]


def _failure(stage: Stage, error: BaseException) -> list[str]:
    number = next((k for k, step in enumerate(stage.board.steps, 1) if step.doing == "failed"), None)
    where = f"in step {number}, {stage.board.steps[number - 1].title!r}" if number else "at the end"
    last = [f"  {line.at_s:6.1f} s  {line.source:<15}  {line.words}" for line in list(stage.board.lines)[-8:]]
    log = [f"  {line}" for line in stage.agent.tail()]
    return [
        "",
        f"✗ The story did not come out right {where}:",
        f"  {error}",
        *("the last that happened:", *last),
        *("the end of the agent's log:", *(log or ["  (it is empty)"])),
    ]


def tips(places: Places) -> list[str]:
    """What to type in another terminal while the charger stays."""
    command = Path(sys.executable).with_name("chargepoint")
    name = os.path.relpath(command) if command.exists() else f"{sys.executable} -m agent"
    name = name if len(name) < len(str(command)) or " " in name else str(command)
    return [
        "The charger stays. In another terminal, in this folder, type",
        f'  sim() {{ {name} sim --socket {places.sim_socket} "$@"; }}',
        "  sim tap 0100A57C22           (a good card; 0100BADBAD is blocked)",
        "  sim plug-in --evse 1",
        "  sim ev-draw --evse 1 --amps 16",
        "  sim fault over-temperature --evse 1    (fault-clear mends it; sim --help for more)",
        "  sim unplug --evse 1",
        f"  {name} status --watch --socket {places.control_socket}",
        "Ctrl-C here ends it all.",
    ]
