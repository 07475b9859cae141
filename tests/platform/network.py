"""A network with nothing in it but its own loopback, for this thread and what it starts.

    with Network():
        async with Csms("1.6") as csms: ...   # listens on 127.0.0.1, where a booted machine finds it
        machine.boot(network=network)

A socket stays where it was made, so that a central system in the test's own process is the neighbour of the agent in
the container. To a guest of QEMU that loopback is 10.0.2.2.
"""

from __future__ import annotations

import ctypes
import os
from typing import Self

from tests.platform.host import call

NEW_NETWORK = 0x40000000


class Network:
    """While it lasts, there is no way out of this process either."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._before = -1

    def __enter__(self) -> Self:
        self._before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._must(self._libc.unshare(NEW_NETWORK))
        call("ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        self._must(self._libc.setns(self._before, NEW_NETWORK))
        os.close(self._before)

    def cable(self, plugged: bool) -> None:
        """Pull it, or plug it in again."""
        call("ip", "link", "set", "lo", "up" if plugged else "down")

    def _must(self, result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), "a network namespace cannot be entered")
