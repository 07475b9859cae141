"""A Debian with systemd as its first process, booted in a second: what an installed charger is, but for its kernel.

    with Machine(rootfs()) as m:
        m.boot()
        m.run("dpkg", "-i", "/root/agent.deb")
        m.until(lambda: m.show("chargepoint", "ActiveState") == "active", "the agent is up")

The system's folder is not written to: what is written lies in a layer over it, in memory, and is gone afterwards. One
script (`_BOOT`) makes the namespaces: mounts and processes of its own, so that whatever ends it (`off`, a failure of
the test, SIGINT, even SIGKILL of the test's process) ends all in it and leaves no mount. What a killed test leaves, an
empty control group and the layer, is removed by the next one.

`root` is the system's tree as seen from here, before the boot and after it: files are put and looked at there.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.platform.host import MEMORY, cgroup2, run
from tests.platform.network import Network

T = TypeVar("T")
BOOT_S = 60.0
PATIENCE_S = 30.0
OFF_S = 20.0
LOOK_S = 0.05
GROUP = "chargepoint-test"
# nspawn asks the kernel for device and address rules only if it may use BPF; without this they would do nothing.
BPF = ("--capability=CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON,CAP_SYS_RESOURCE", "--system-call-filter=bpf")
_ENTER = 'echo "$$" > "$1/cgroup.procs"; shift; exec setpriv --pdeathsig KILL "$@"'
_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--propagation=private")
_BOOT = """
set -eu
layers=$1 top=$2; shift 2
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd
mount -t tmpfs -o mode=755 tmpfs /run/systemd
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$top/upper,workdir=$top/work" "$top/root"
systemd-nspawn --quiet --directory="$top/root" --boot --register=no --keep-unit --link-journal=no --timezone=off \\
    --resolv-conf=off --console=pipe "$@" &
echo "$!" > "$top/nspawn"
wait "$!"
"""


class Machine:
    """`layers`: folders that make the system, the topmost first. Nothing runs before `boot`."""

    def __init__(self, *layers: Path) -> None:
        self.layers = layers
        for old in _orphans(MEMORY, "cp-machine"):
            shutil.rmtree(old, ignore_errors=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"cp-machine-{os.getpid()}-", dir=MEMORY))
        self.folder.chmod(0o755)
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        self.pid = 0  # of its first process, as seen from here
        self._outer: subprocess.Popen[bytes] | None = None
        self._group: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None and self.pid:
            print(self.said())
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- its life -----------------------------------------------------------------------------------------------

    def boot(self, *options: str, network: Network | None = None, wait: bool = True) -> None:
        """`options`: of systemd-nspawn. `network`: the one in which we are, else it gets one of its own with lo."""
        assert self._outer is None
        self._group = _new_group()
        net = [] if network else ["--private-network"]
        layers = ":".join(map(str, self.layers))
        words = ["sh", "-c", _ENTER, "enter", str(self._group), *_NAMESPACES]
        words += ["sh", "-c", _BOOT, "boot", layers, str(self.folder), *net, *BPF, *options]
        with (self.folder / "console").open("ab") as console:
            self._outer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        self.pid = self.until(self._first_process, "its first process", BOOT_S)
        if wait:
            self.until(self.is_up, "the system is up", BOOT_S)

    def _first_process(self) -> int:
        assert self._outer is not None
        assert self._outer.poll() is None, f"it ended: {self.console()}"
        for shell in _children(self._outer.pid):
            for nspawn in _children(shell):
                for child in _children(nspawn):
                    if _name_of(child) == "systemd":
                        return child
        return 0

    def is_up(self) -> bool:
        return self.run("systemctl", "is-system-running", code=None).strip() in ("running", "degraded")

    def off(self) -> int:
        """An orderly power-off; the exit code of nspawn (133: it wanted to reboot)."""
        assert self._outer is not None
        self.run("systemctl", "poweroff", "--no-block", code=None)
        return self.ended()

    def ended(self, timeout_s: float = OFF_S) -> int:
        """Wait until it has ended by itself."""
        assert self._outer is not None
        code = self._outer.wait(timeout_s)
        self.kill()
        return code

    def kill(self) -> None:
        """As by a power cut, with all that runs in it; it can be booted again, with what it wrote."""
        if self._outer is None:
            return
        self._outer.kill()  # its child, and with that the process namespace, dies with it
        self._outer.wait(OFF_S)
        self._outer, self.pid = None, 0
        assert self._group is not None
        _remove_group(self._group)

    # --- in it --------------------------------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """Its files. Before the boot: what will lie over the layers."""
        return Path(f"/proc/{self.pid}/root") if self.pid else self.folder / "upper"

    def put(self, path: str, text: str | bytes, mode: int = 0o644, group: str = "root") -> None:
        """A file of root's; folders that are missing are made as the layers have them."""
        at = self.root / path.lstrip("/")
        self._make_folders(Path(path.lstrip("/")).parent)
        at.write_bytes(text.encode() if isinstance(text, str) else text)
        os.chown(at, 0, self._number(group))
        at.chmod(mode)

    def link(self, path: str, target: str) -> None:
        self._make_folders(Path(path.lstrip("/")).parent)
        (self.root / path.lstrip("/")).symlink_to(target)

    def _number(self, group: str) -> int:
        """Of a group of the system, which is not one of ours."""
        for folder in (self.root, *self.layers):
            if (folder / "etc/group").exists():
                rows = [row.split(":") for row in (folder / "etc/group").read_text().splitlines()]
                return next(int(row[2]) for row in rows if row[0] == group)
        raise AssertionError(f"no group {group}")

    def _make_folders(self, inner: Path) -> None:
        for folder in (*reversed(inner.parents), inner):
            at = self.root / folder
            if at.exists():
                continue
            at.mkdir()
            assert not any((layer / folder).is_symlink() for layer in self.layers), f"/{folder} is a link"
            for layer in self.layers:
                if (layer / folder).is_dir():
                    status = (layer / folder).stat()
                    at.chmod(status.st_mode & 0o7777)
                    shutil.chown(at, status.st_uid, status.st_gid)
                    break

    def run(self, *words: str, code: int | None = 0, timeout_s: float = PATIENCE_S, text: str = "") -> str:
        """stdout and stderr of a command of root's; an AssertionError if it does not end with `code` (None: any)."""
        done = run([*self._inside(), *words], timeout_s=timeout_s, text=text, together=True)
        assert code is None or done.returncode == code, f"{' '.join(words)} ended with {done.returncode}: {done.stdout}"
        return done.stdout

    def code(self, *words: str) -> int:
        """With which code a command ends."""
        return run([*self._inside(), *words]).returncode

    def _inside(self) -> Sequence[str]:
        assert self.pid, "it is not booted"
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        settings = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
        return ("nsenter", "-t", str(self.pid), *spaces, "env", "-i", *settings, "TERM=dumb")

    def show(self, unit: str, what: str) -> str:
        """A property of a unit, as `systemctl show` has it."""
        return self.run("systemctl", "show", "-P", what, unit).strip()

    def is_active(self, unit: str) -> bool:
        return self.run("systemctl", "is-active", unit, code=None).strip() == "active"

    def journal(self, *words: str) -> list[dict[str, Any]]:
        """Its entries, oldest first, with all fields; `words`: as journalctl takes them."""
        lines = self.run("journalctl", "-o", "json", "--no-pager", "-q", *words).splitlines()
        return [json.loads(line) for line in lines]

    def log(self, unit: str = "chargepoint") -> str:
        """What a unit said, and what systemd said of it."""
        return self.run("journalctl", "-u", unit, "-o", "cat", "--no-pager", "-q")

    def console(self) -> str:
        return (self.folder / "console").read_text(errors="replace")

    def said(self) -> str:
        """For whoever looks at a test that failed."""
        with suppress(AssertionError, OSError, subprocess.TimeoutExpired):
            journal = self.run("journalctl", "-b", "-o", "short-monotonic", "--no-pager", "-n", "120")
            return f"--- console ---\n{self.console()}\n--- journal ---\n{journal}"
        return f"--- console ---\n{self.console()}"

    async def seen(self, look: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
        """The same for a test in which a central system goes on meanwhile."""
        return await asyncio.to_thread(self.until, look, what, timeout_s)

    def until(self, look: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
        """The first true thing that `look` gives; looked for often, with a deadline."""
        ends = time.monotonic() + timeout_s
        while not (seen := look()):
            assert time.monotonic() < ends, f"not seen within {timeout_s:g} s: {what}"
            time.sleep(LOOK_S)
        return seen


# --- control groups and processes -------------------------------------------------------------------------------


def _new_group() -> Path:
    root = cgroup2()
    assert root is not None
    for old in _orphans(root, GROUP):
        with suppress(OSError):
            _remove_tree(old)
    return Path(tempfile.mkdtemp(prefix=f"{GROUP}-{os.getpid()}-", dir=root))


def _orphans(folder: Path, prefix: str) -> list[Path]:
    """What belonged to test processes that were killed."""
    found = folder.glob(f"{prefix}-*-*")
    return [path for path in found if not Path("/proc", path.name.removeprefix(f"{prefix}-").split("-")[0]).exists()]


def _remove_group(group: Path) -> None:
    """The kernel lets go of it once its last process has been waited for."""
    ends = time.monotonic() + OFF_S
    while group.exists() and time.monotonic() < ends:
        with suppress(OSError):
            _remove_tree(group)
            return
        time.sleep(LOOK_S)


def _remove_tree(group: Path) -> None:
    if any(int(row.split()[1]) for row in (group / "cgroup.events").read_text().splitlines() if "populated" in row):
        raise OSError("somebody lives there")
    for folder in sorted((path for path in group.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)):
        folder.rmdir()
    group.rmdir()


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
