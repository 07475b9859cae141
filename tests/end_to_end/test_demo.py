"""The demo from outside: it comes right in both versions, draws its panel on a terminal, and gives everything back.

Each run takes half a minute, nearly all of it waiting for energy to flow; runs share nothing and go side by side. The
excerpt in README.md is held against a run: the same lines, whatever the numbers.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_S = 60.0  # what the story may take
FENCE = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBERS = ((r"\b[0-9a-f]{12}-\d+-\d+\b", "#"), (r"\d+(\.\d+)?", "#"), (r"\s+", " "))


class Folder:
    """A folder for temporary files with a short path: sockets lie in it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="d-", dir="/tmp"))
        self.environ = {**os.environ, "TMPDIR": str(self.path), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}

    def left(self) -> list[str]:
        return [str(path) for path in self.path.iterdir()]


@pytest.fixture
def folder() -> Iterator[Folder]:
    made = Folder()
    yield made
    subprocess.run(["rm", "-rf", made.path], check=True, timeout=10)


def demo(folder: Folder, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", "demo", *words],
        cwd=ROOT, env=folder.environ, capture_output=True, text=True, timeout=LONGEST_S + 20, check=False,
    )  # fmt: skip


def normal(text: str) -> set[str]:
    """Lines without their numbers and blanks."""
    lines = set()
    for line in text.splitlines():
        for pattern, put in NUMBERS:
            line = re.sub(pattern, put, line.strip())
        lines.add(line)
    return lines


def assert_right(text: str) -> None:
    """The receipt stands there, and its figures agree."""
    counted = re.search(r"the meter counted\s+(\d+) Wh", text)
    billed = re.search(r"the central system bills\s+(\d+) Wh", text)
    took = re.search(r"The story took (\d+) s", text)
    assert counted, text
    assert billed, text
    assert took, text
    assert int(counted[1]) == int(billed[1]) > 30
    assert int(took[1]) < LONGEST_S
    assert "they agree to the watt-hour" in text


def test_the_demo_comes_right_over_2_0_1_and_prints_what_the_readme_shows(folder: Folder) -> None:
    done = demo(folder, "--plain")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_right(done.stdout)
    assert folder.left() == []
    excerpt = next(text for text in FENCE.findall((ROOT / "README.md").read_text()) if "RECEIPT" in text)
    shown = [line for line in excerpt.splitlines() if line.strip() not in ("", "...")]
    assert len(shown) > 20
    assert normal("\n".join(shown)) <= normal(done.stdout)


def test_the_demo_comes_right_over_1_6(folder: Folder) -> None:
    done = demo(folder, "--plain", "--ocpp", "1.6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert_right(done.stdout)
    assert all(word in done.stdout for word in ("[StartTransaction]", "[MeterValues]", "[StopTransaction]"))
    assert folder.left() == []


def test_a_pipe_gets_no_control_characters(folder: Folder) -> None:
    child = start(folder, stdout=subprocess.PIPE)
    assert child.stdout is not None
    first = b"".join(child.stdout.readline() for _ in range(8))
    child.send_signal(signal.SIGINT)
    rest, _ = child.communicate(timeout=20)
    assert b"\x1b" not in first + rest
    assert b"[1/9]" in first


def test_ctrl_c_pressed_again_and_again_ends_everything_and_leaves_nothing(folder: Folder) -> None:
    child = start(folder, "--plain", stdout=subprocess.PIPE)
    assert child.stdout is not None
    while b"BootNotification" not in child.stdout.readline():
        assert child.poll() is None
    while child.poll() is None:
        child.send_signal(signal.SIGINT)
        time.sleep(0.02)
    told, _ = child.communicate(timeout=20)
    assert b"Traceback" not in told
    assert child.returncode == 130
    assert folder.left() == []
    assert not processes_of(folder)


def test_a_reader_who_has_seen_enough_ends_everything_too(folder: Folder) -> None:
    child = start(folder, "--plain", stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(20) == 141
    assert folder.left() == []
    assert not processes_of(folder)


def test_a_killed_demo_leaves_no_process_behind(folder: Folder) -> None:
    child = start(folder, "--plain", stdout=subprocess.PIPE)
    assert child.stdout is not None
    while b"BootNotification" not in child.stdout.readline():
        assert child.poll() is None
    assert len(processes_of(folder)) == 2
    child.kill()
    child.communicate(timeout=20)
    ends = time.monotonic() + 10
    while processes_of(folder):
        assert time.monotonic() < ends, processes_of(folder)
        time.sleep(0.05)


def test_a_killed_agent_in_the_wrong_place_fails_the_demo_in_plain_words(folder: Folder) -> None:
    child = start(folder, "--plain", stdout=subprocess.PIPE)
    assert child.stdout is not None
    while b"charge began" not in child.stdout.readline():
        assert child.poll() is None
    (agent,) = (pid for pid, words in processes_of(folder).items() if "run" in words)
    os.kill(agent, signal.SIGTERM)
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "did not come out right in step" in out.decode()
    assert "Signal: SIGTERM" in out.decode()  # the agent's log
    assert len(folder.left()) == 1  # kept, for who wants to know why


def start(folder: Folder, *words: str, stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent", "demo", *words],
        cwd=ROOT, env=folder.environ, stdout=stdout, stderr=subprocess.STDOUT,
    )  # fmt: skip


def processes_of(folder: Folder) -> dict[int, list[str]]:
    """Processes whose command line names the folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue  # it has ended meanwhile
            if any(str(folder.path) in word for word in words):
                found[int(entry.name)] = words
    return found


# --- on a terminal ---


class Terminal:
    """A terminal with the demo on it, as wide and high as one likes."""

    def __init__(self, folder: Folder, columns: int, rows: int, *words: str) -> None:
        environ = {**folder.environ, "TERM": "xterm-256color"}
        environ.pop("NO_COLOR", None)
        self.ours, theirs = pty.openpty()
        self.resize(columns, rows)
        self.seen = b""
        self.child = subprocess.Popen(
            [sys.executable, "-m", "agent", "demo", *words],
            cwd=ROOT, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, done: str, deadline_s: float) -> str:
        """Everything shown until a text has been seen, or until the demo has ended."""
        ends = time.monotonic() + deadline_s
        while done.encode() not in self.seen:
            assert time.monotonic() < ends, self.seen[-2000:].decode(errors="replace")
            if select.select([self.ours], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.ours, 65536)
                except OSError:  # nobody holds the other end any more
                    break
        return self.seen.decode(errors="replace")

    def close(self) -> None:
        os.close(self.ours)


def test_on_a_terminal_the_panel_is_drawn_keys_work_and_the_receipt_stays(folder: Folder) -> None:
    terminal = Terminal(folder, 80, 24, "--stay")
    manners = termios.tcgetattr(terminal.ours)
    terminal.read_until("Keys here:", LONGEST_S + 20)
    os.write(terminal.ours, b"?c")  # a key that is none, and one that is
    terminal.read_until("you: cut the link", 10)
    terminal.child.send_signal(signal.SIGINT)
    shown = terminal.read_until("The story took", 20)
    assert terminal.child.wait(timeout=20) == 0
    assert termios.tcgetattr(terminal.ours) == manners
    terminal.close()
    panel, _, after = shown.rpartition("\x1b[?1049l")
    assert panel.startswith("\x1b[?1049h\x1b[?25l")  # alternate screen, no cursor ...
    assert panel.endswith("\x1b[?25h")  # ... and the cursor again
    assert all(word in panel for word in ("POWER", "CURRENT", "ENERGY", "QUEUE", "█"))
    assert all(len(line) <= 80 for frame in frames(panel) for line in frame)
    assert all(len(frame) <= 24 for frame in frames(panel))
    assert_right(re.sub(r"\x1b\[[\d;]*m", "", after))


def test_ctrl_c_gives_the_terminal_back(folder: Folder) -> None:
    terminal = Terminal(folder, 100, 30, "--ocpp", "1.6")
    terminal.read_until("BootNotification", 20)
    terminal.resize(60, 12)
    terminal.child.send_signal(signal.SIGINT)
    shown = terminal.read_until("\x1b[?25h\x1b[?1049l", 20)
    assert terminal.child.wait(timeout=20) == 130
    terminal.close()
    assert shown.endswith("\x1b[?1049l")
    assert folder.left() == []


def frames(panel: str) -> list[list[str]]:
    """Each picture as the lines of plain text that stood on the screen."""
    plain = re.sub(r"\x1b\[(?:[\d;]*m|K|J|2J|\?\w+)", "", panel)
    return [[line.rstrip("\r") for line in frame.split("\n")] for frame in plain.split("\x1b[H")[1:]]
