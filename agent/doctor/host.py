"""The machine that the agent runs on: permissions, disk, clock, watchdog. Reads, and writes one small file of its own.

A missing battery clock or watchdog is a note: the charger may be built so. What endangers data or keys is more.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from agent.config import Config
from agent.doctor.report import Check, fail, note, ok, skip, warn

LEAST_FREE_BYTES = 16 << 20
FSYNCS = 5
FSYNC_WARN_S, FSYNC_FAIL_S = 2.0, 10.0
BLOCK_BYTES = 4096
RTC = Path("/sys/class/rtc/rtc0/since_epoch")
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")
WATCHDOG = Path("/dev/watchdog")
RTC_OFF_S = 30.0
FACTORY = "leaves the factory with"  # whether a device was set to the line's speed shows when it answers
NOT_OURS = "has no watchdog"
LOGIN = re.compile(r"//[^/@\s]*@")  # of a URL: a report is sent to others
KEYS = ("*.key", "*key*.pem")


def permissions(config: Config) -> Iterator[Check]:
    """Who may read what is secret, and whether the agent may use what it needs."""
    secret = [csms.client_key_file for csms in (config.csms, *config.csms.fallback) if csms.client_key_file]
    folder = Path(config.security.dir or Path(config.storage.dir) / "certificates")
    secret += [str(path) for pattern in KEYS for path in folder.glob(pattern)]
    open_to_all = [file for file in dict.fromkeys(secret) if _others_read(file)]
    for file in open_to_all:
        yield fail("permissions.keys", f"{file}: everybody on this system can read this key", f"chmod o-rwx {file}")
    if secret and not open_to_all:
        yield ok("permissions.keys", "private keys are closed to others")
    for bus in config.buses:
        if bus.port is not None:
            yield from _port(f"permissions.{bus.name}", bus.port)
    for place, reader in enumerate(config.readers, 1):
        if reader.port is not None:
            yield from _port(f"permissions.reader{place}", reader.port)


def _others_read(file: str) -> bool:
    try:
        return bool(Path(file).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _port(name: str, port: str) -> Iterator[Check]:
    if not Path(port).exists():
        yield fail(name, f"{port} is not there", "plug it in; see dmesg, and ls -l /dev/serial/by-path")
    elif not os.access(port, os.R_OK | os.W_OK):
        yield fail(name, f"{port} may not be used by this user", "join the group that owns it: see ls -l, adduser")
    else:
        yield ok(name, f"{port} may be used")


def disk(config: Config) -> Iterator[Check]:
    """Room, and how long it takes until something is really written: a worn card shows here first."""
    folder = Path(config.storage.dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        room = os.statvfs(folder)
        worst_s = _written_s(folder)
    except OSError as error:
        yield fail("disk", f"{folder}: cannot be written: {error.strerror}", "see [storage] dir, mount, and df")
        return
    free = room.f_bavail * room.f_frsize
    text = f"{folder}: {free >> 20} MiB free"
    if free < LEAST_FREE_BYTES:
        yield fail("disk.space", text, "make room; transactions must be kept until the CSMS has them")
    elif free < config.storage.max_mib << 20:
        yield warn("disk.space", f"{text}; [storage] max_mib is {config.storage.max_mib}", "make room, or lower it")
    else:
        yield ok("disk.space", text)
    took = f"{worst_s * 1000:.0f} ms until a write was safe, the worst of {FSYNCS}"
    if worst_s > FSYNC_WARN_S:
        check = fail if worst_s > FSYNC_FAIL_S else warn
        yield check("disk.write", took, "the card may be worn or busy; try another one")
    else:
        yield ok("disk.write", took)


def _written_s(folder: Path) -> float:
    """The longest of some small writes with fsync."""
    path, worst_s = folder / f".doctor-{os.getpid()}", 0.0
    try:
        with path.open("wb") as file:
            for _ in range(FSYNCS):
                began = time.monotonic()
                file.write(b"\0" * BLOCK_BYTES)
                file.flush()
                os.fsync(file.fileno())
                worst_s = max(worst_s, time.monotonic() - began)
    finally:
        path.unlink(missing_ok=True)
    return worst_s


def clock(now_s: float) -> Iterator[Check]:
    """Bills have times. The CSMS's own clock is compared in `csms`."""
    installed_s = Path(__file__).stat().st_mtime
    if now_s < installed_s - 86400:
        yield fail("clock", f"is {time.strftime('%Y-%m-%d', time.gmtime(now_s))}, before this program was installed",
                   "set the time; look after NTP and the battery of the clock")  # fmt: skip
    elif SYNCHRONIZED.exists():
        yield ok("clock", "is kept by NTP")
    else:
        yield note("clock", "nothing here says that NTP keeps it; the agent takes the CSMS's time")
    try:
        off_s = now_s - float(RTC.read_text())
    except (OSError, ValueError):
        yield note("clock.rtc", "no battery clock: after a power cut the time is unknown until there is a network")
        return
    if abs(off_s) > RTC_OFF_S:
        yield warn("clock.rtc", f"the battery clock is {off_s:+.0f} s off", "hwclock --systohc; look after its battery")
    else:
        yield ok("clock.rtc", "the battery clock agrees")


def watchdog() -> Check:
    """Of the computer; those of the controllers are in `hardware`."""
    if not WATCHDOG.exists():
        return note("watchdog", f"no {WATCHDOG}: nobody restarts this computer when its kernel hangs")
    return ok("watchdog", f"{WATCHDOG} is there")


def configuration(config: Config, warnings: list[str], summary: str) -> Iterator[Check]:
    yield ok("configuration", LOGIN.sub("//", summary))
    for warning in warnings:
        if NOT_OURS in warning:  # `hardware` says of a controller what guards it
            continue
        yield note("configuration", warning) if FACTORY in warning else warn("configuration", warning)
    if not config.readers:
        yield skip("reader", "none is configured")
