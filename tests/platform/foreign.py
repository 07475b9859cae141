"""Run a command among programs of another processor: `foreign.py aarch64 COMMAND ...`.

The command is root of a user, mount and process namespace of its own, with the same ids as outside, and a binfmt_misc
of its own (Linux 6.7 and later) in which the static interpreters of qemu-user are registered. The rest of the machine
does not see it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

NEW_USER, NEW_MOUNTS, NEW_PROCESSES = 0x10000000, 0x00020000, 0x20000000
RECURSIVE_PRIVATE = 0x4000 | 0x40000
ALL_IDS = "0 0 65536\n"
_libc = ctypes.CDLL(None, use_errno=True)


def main(words: list[str]) -> int:
    kind, command = words[0], words[1:]
    apart, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        _enter(apart[1], mapped[0])
        inner = os.fork()  # the first process of the new process namespace
        if inner == 0:
            _register(kind)
            os.execvp(command[0], command)
        os._exit(_code(inner))
    os.read(apart[0], 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{child}/{name}").write_text(ALL_IDS)
    os.write(mapped[1], b".")
    return _code(child)


def _enter(tell: int, wait: int) -> None:
    if _libc.unshare(NEW_USER | NEW_MOUNTS | NEW_PROCESSES):
        raise OSError(ctypes.get_errno(), "a user namespace cannot be made")
    os.write(tell, b".")
    os.read(wait, 1)
    os.setgid(0)
    os.setuid(0)


def _register(kind: str) -> None:
    _mount(None, "/", None, RECURSIVE_PRIVATE)
    _mount("proc", "/proc", "proc")
    _mount("binfmt_misc", "/proc/sys/fs/binfmt_misc", "binfmt_misc")
    line = Path(f"/usr/lib/binfmt.d/qemu-{kind}.conf").read_text().strip()
    Path("/proc/sys/fs/binfmt_misc/register").write_text(line)


def _mount(what: str | None, where: str, kind: str | None, flags: int = 0) -> None:
    if _libc.mount(what and what.encode(), where.encode(), kind and kind.encode(), flags, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), where)


def _code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
