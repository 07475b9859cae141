"""What this machine must have for these tests, where they keep things, and the locks between those that run at a time.

All that is made once and used again lies in the cache (`$XDG_CACHE_HOME/chargepoint-platform`, outside of the
repository); all that one run makes lies in memory (`/dev/shm`) and is gone with it. Nothing else of this machine is
touched: mounts, processes and networks live in namespaces that end with the process that made them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")
TOOLS = ("systemd-nspawn", "mmdebstrap", "unshare", "nsenter", "ip", "dpkg-deb")
GUEST_TOOLS = ("qemu-system-aarch64", "qemu-aarch64-static", "depmod", "cpio", "mke2fs")
REMEDY = "packaging/bootstrap.sh platform installs what is missing"


def cache() -> Path:
    """The folder of what is kept between runs."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "chargepoint-platform")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def lacks() -> str:
    """What this machine lacks, in one line; "" if nothing."""
    missing = [tool for tool in (*TOOLS, *GUEST_TOOLS) if shutil.which(tool) is None]
    wants = [f"the programs {', '.join(missing)} ({REMEDY})"] if missing else []
    if os.geteuid() != 0:
        wants.append("root (namespaces, mounts and control groups are made)")
    if cgroup2() is None:
        wants.append("a mounted cgroup2 file system")
    return f"this machine lacks {'; '.join(wants)}" if wants else ""


def cgroup2() -> Path | None:
    """Where the control groups of version 2 are mounted."""
    rows = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return next((Path(row[1]) for row in rows if row[2] == "cgroup2"), None)


@contextmanager
def lock(name: str) -> Iterator[None]:
    """One at a time on this machine, whoever it is."""
    with (cache() / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def call(*words: str | Path, timeout_s: float = 120.0) -> str:
    """Run it and give its stdout; an AssertionError with all that it said if it fails."""
    done = run(words, timeout_s=timeout_s)
    assert done.returncode == 0, f"{_shown(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def run(
    words: Sequence[str | Path], *, timeout_s: float = 120.0, text: str = "", together: bool = False
) -> subprocess.CompletedProcess[str]:
    """`text`: its stdin. `together`: stderr among stdout, as a terminal shows it."""
    return subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        input=text,
        text=True,
        timeout=timeout_s,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        check=False,
    )


def _shown(words: Sequence[str | Path]) -> str:
    return " ".join(map(str, words))[:300]
