"""Why a port failed, in the system's own few words."""

from __future__ import annotations

import errno
import os


def reason(error: BaseException) -> str:
    """One line without paths and numbers, which the caller's message has already."""
    number = getattr(error, "errno", None)
    if number == errno.EAGAIN:  # pyserial's lock on the port
        return "another program uses it"
    text = os.strerror(number) if isinstance(number, int) and number > 0 else str(error)
    return " ".join(text.split()) or type(error).__name__
