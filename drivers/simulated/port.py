"""A pseudo-terminal that stands where the agent expects a serial port.

The configured path becomes a symbolic link to it, replaced atomically, and goes away with us. We keep the terminal's
other end open ourselves, so an agent that closes it or dies is no hang-up and finds the same port again.

A link that was left behind is taken over, one that is served is not: a name that the kernel lets one process hold at a
time, and takes back when it dies, tells the two apart.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from socket import AF_UNIX, SOCK_DGRAM, socket

READ_BYTES = 4096


class Port:
    """`open()` makes it, `close()` removes it; `heard(data)` is called with what the other end writes."""

    def __init__(self, path: str, heard: Callable[[bytes], None]) -> None:
        self.path = Path(path)
        self._heard = heard
        self._fds: tuple[int, int] | None = None
        self._name = ""
        self._claim: socket | None = None

    @property
    def is_open(self) -> bool:
        return self._fds is not None

    def open(self) -> None:
        """OSError when the path cannot be ours: it is no link, is served already, or its folder cannot be written."""
        if self._fds is not None:
            return
        if self.path.exists() and not self.path.is_symlink():
            raise FileExistsError(f"{self.path} exists and is no link; simulated hardware never replaces a real port")
        self._claim = _claim(self.path)
        ours, theirs = os.openpty()
        self._fds = (ours, theirs)
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._name = os.ttyname(theirs)
        self._link()
        asyncio.get_running_loop().add_reader(ours, self._readable)

    def _link(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self._name)
        fresh.replace(self.path)

    def _readable(self) -> None:
        assert self._fds is not None
        try:
            data = os.read(self._fds[0], READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        self._heard(data)

    def write(self, data: bytes) -> None:
        """Onto the line; what nobody takes from a full line is lost, as on a wire."""
        if self._fds is None:
            return
        try:
            os.write(self._fds[0], data)
        except BlockingIOError:
            return

    def close(self) -> None:
        """The port is gone: the link too, unless somebody else has put theirs there."""
        if self._fds is None:
            return
        ours, theirs = self._fds
        self._fds = None
        assert self._claim is not None
        self._claim.close()
        asyncio.get_running_loop().remove_reader(ours)
        if self.path.is_symlink() and str(self.path.readlink()) == self._name:
            self.path.unlink()
        os.close(theirs)
        os.close(ours)


def _claim(path: Path) -> socket:
    place = path.parent.resolve() / path.name
    claim = socket(AF_UNIX, SOCK_DGRAM)
    try:
        claim.bind(f"\0simulated-port-{sha256(os.fsencode(place)).hexdigest()}")
    except OSError:
        claim.close()
        raise FileExistsError(f"{path}: other simulated hardware serves it; end it first") from None
    return claim
