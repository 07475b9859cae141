"""Why a port failed, in the system's own few words; and why a Modbus device refused."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from drivers.api import DriverError

NO_SUCH_REGISTER = 2
BUSY = (5, 6)  # acknowledge, server device busy: ask again
EXCEPTIONS = {
    1: "does not know this function",
    NO_SUCH_REGISTER: "has no such register",
    3: "refuses this value",
    4: "reports a failure of its own",
    **dict.fromkeys(BUSY, "is busy"),
    8: "reports a memory parity error",
    10: "gateway path unavailable",
    11: "gateway: the device behind it did not answer",
}
FAILURES: dict[str, Callable[[Exception, float], str]] = {
    "timeout": lambda error, timeout_s: f"no answer in {timeout_s:.2g} s",
    "garbage": lambda error, timeout_s: f"garbled answer ({error})",
    "closed": lambda error, timeout_s: f"the port {error}",
}


class NoSuchRegister(DriverError):
    """The device is there, and does not have what was asked for."""


def reason(error: BaseException) -> str:
    """One line without paths and numbers, which the caller's message has already."""
    number = getattr(error, "errno", None)
    if number == errno.EAGAIN:  # pyserial's lock on the port
        return "another program uses it"
    text = os.strerror(number) if isinstance(number, int) and number > 0 else str(error)
    return " ".join(text.split()) or type(error).__name__
