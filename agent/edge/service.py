"""Our life under a service manager: ready, alive, stopping; signals; the way out.

Speaks systemd's notification protocol through its Python binding, or by itself where that is missing; without a manager
all of it does nothing. Rules kept:

* `WATCHDOG=1` is sent only while every part that registered a heart has beaten lately enough. A hung part lets the
  watchdog bite; its name stands in STATUS before that.
* SIGTERM and SIGINT begin an orderly stop, which has `STOP_LIMIT_S`; then the process ends by force, and what every
  thread was doing goes to stderr. That timer lives outside the interpreter, so it works when the loop hangs.
* SIGHUP reloads; the manager is told when that begins and when it is done (Type=notify-reload).
* The control socket may be opened by the manager, which hands it over and keeps it while this process is started again.
* `leave` does not wait for threads: a name lookup that hangs must not delay a restart.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import NoReturn

STOP_LIMIT_S = 5.0
REBOOT_S = 20.0
STATUS_CHARS = 200
FEEDS_PER_WATCHDOG = 3  # two may be late before it bites
UNWATCHED_FEED_S = 10.0  # how often hearts are looked at when no watchdog is set
FIRST_PASSED, MOST_PASSED = 3, 8  # file descriptors


class Notifier:
    """Sends one state string to the service manager; never waits, never fails."""

    def __init__(self, address: str | None = None) -> None:
        """`address`: as in NOTIFY_SOCKET, which is used if None."""
        self._socket: socket.socket | None = None
        self._binding: Callable[[str], bool] | None = None
        wanted = os.environ.get("NOTIFY_SOCKET", "") if address is None else address
        if not wanted:
            return
        if address is None:
            self._binding = _binding()
        if self._binding is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)
            self._address = "\0" + wanted[1:] if wanted.startswith("@") else wanted

    @property
    def listened(self) -> bool:
        return self._binding is not None or self._socket is not None

    def __call__(self, state: str) -> bool:
        """True if somebody was there to be told."""
        with suppress(OSError):
            if self._binding is not None:
                return bool(self._binding(state))
            if self._socket is not None:
                self._socket.sendto(state.encode(), self._address)
                return True
        return False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _binding() -> Callable[[str], bool] | None:
    try:
        from systemd.daemon import notify
    except ImportError:
        return None
    return notify  # type: ignore[no-any-return]


class Service:
    """What the agent tells its manager of itself. `listened`: there is one."""

    def __init__(self, notify: Callable[[str], bool] | None = None) -> None:
        notifier = notify or Notifier()
        self.listened = not isinstance(notifier, Notifier) or notifier.listened
        self._notify = notifier
        self._status = ""

    def ready(self, status: str = "") -> None:
        self._notify("READY=1" + (f"\nSTATUS={self._remember(status)}" if status else ""))

    def status(self, text: str) -> None:
        """One plain line for `systemctl status`; the same text twice is sent once."""
        before = self._status
        if self._remember(text) != before:
            self._notify(f"STATUS={self._status}")

    def reloading(self) -> None:
        """To be followed by `ready` when the new settings hold."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "stopping") -> None:
        self._notify(f"STOPPING=1\nSTATUS={self._remember(status)}")

    def alive(self) -> None:
        self._notify("WATCHDOG=1")

    def _remember(self, text: str) -> str:
        self._status = " ".join(text.split())[:STATUS_CHARS]
        return self._status


def passed_sockets(
    environ: MutableMapping[str, str] = os.environ, first: int = FIRST_PASSED
) -> dict[str, socket.socket]:
    """The UNIX sockets that the manager opened for this process, by their paths. Asked once: they are taken, and no
    program that we start sees them."""
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    found = {}
    for number in range(first, first + min(int(count), MOST_PASSED)):
        with suppress(OSError):
            passed = socket.socket(fileno=number)
            passed.set_inheritable(False)
            if passed.family == socket.AF_UNIX and passed.type == socket.SOCK_STREAM:
                passed.setblocking(False)
                found[str(passed.getsockname())] = passed
    return found


def watchdog_interval_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often to feed; None when nobody watches this process."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6 / FEEDS_PER_WATCHDOG


class Watchdog:
    """`beats`: the hearts by name, and how old the last beat of each may be, in seconds. A heart counts as beating
    from its registration, so that it has that long for its first beat."""

    def __init__(
        self,
        beats: Mapping[str, float],
        service: Service,
        *,
        mono: Callable[[], float] = time.monotonic,
        on_late: Callable[[tuple[str, ...]], None] | None = None,
    ) -> None:
        self._service = service
        self._mono = mono
        self._on_late = on_late
        self._late: tuple[str, ...] = ()
        self._max_age_s = dict(beats)
        self._last = dict.fromkeys(beats, mono())

    def register(self, name: str, max_age_s: float) -> None:
        self._max_age_s[name] = max_age_s
        self._last[name] = self._mono()

    def forget(self, name: str) -> None:
        self._max_age_s.pop(name, None)
        self._last.pop(name, None)

    def beat(self, name: str) -> None:
        """`name` must be registered."""
        assert name in self._max_age_s, name
        self._last[name] = self._mono()

    def late(self) -> tuple[str, ...]:
        now = self._mono()
        return tuple(name for name, limit_s in self._max_age_s.items() if now - self._last[name] > limit_s)

    def feed(self) -> bool:
        """Feed if all hearts beat; else say whose does not. `on_late` hears each change, () when all is well again."""
        late = self.late()
        if late != self._late:
            self._late = late
            if late:
                self._service.status(f"no sign of life from: {', '.join(late)}")
            if self._on_late is not None:
                self._on_late(late)
        if not late:
            self._service.alive()
        return not late

    async def run(self, interval_s: float | None = None) -> None:
        """Until cancelled."""
        interval_s = interval_s or watchdog_interval_s() or UNWATCHED_FEED_S
        while True:
            self.feed()
            await asyncio.sleep(interval_s)


# --- signals and the end ------------------------------------------------------------------------------------


def catch_signals(
    loop: asyncio.AbstractEventLoop,
    stop: Callable[[str], None],
    reload: Callable[[], None],
    *,
    stop_limit_s: float = STOP_LIMIT_S,
) -> None:
    """From now on SIGTERM and SIGINT call `stop(name)` once and start the clock, SIGHUP calls `reload()`."""

    def stopping(name: str) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        limit_stop(stop_limit_s)
        stop(name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping, number.name)
    loop.add_signal_handler(signal.SIGHUP, reload)


def limit_stop(limit_s: float = STOP_LIMIT_S) -> None:
    """End this process by force (exit 1) in `limit_s` if it still runs, and show what its threads were doing."""
    faulthandler.dump_traceback_later(limit_s, exit=True)


def show_crashes() -> None:
    """Print every thread's stack to stderr when the interpreter dies, also of the watchdog's SIGABRT."""
    faulthandler.enable(all_threads=True)


async def reboot(command: Sequence[str]) -> str:
    """Have the board started anew; why that failed, or ""."""
    from agent.edge.installers import InstallerError, run

    try:
        code, _output = await run(command, REBOOT_S)
    except InstallerError as error:
        return str(error)
    return f"{command[0]}: exit code {code}" if code else ""


def leave(code: int) -> NoReturn:
    """End this process now, without waiting for its threads. All that must be kept has been committed before."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
