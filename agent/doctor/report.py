"""What a check says, and the whole of them as text and as JSON.

    ok    it is as it should be            note  good to know, or it cannot be seen from here
    warn  it works, and will bite one day  FAIL  it does not work, or is not safe
    skip  was not looked at, and why

A check's name is stable, for scripts: `evse1.contactor`, `bus.rs485`, `csms.tls`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any, NamedTuple


class State(StrEnum):
    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Check(NamedTuple):
    name: str
    state: State
    text: str
    remedy: str = ""


Tell = Callable[[Check], None]
TEXT_AT = 29  # the column in which a check's text begins
GUARD = "the charger needs a guard of its own, such as a relay that drops when the agent falls silent"
DRAWN = {State.OK: "ok", State.NOTE: "note", State.WARN: "WARN", State.FAIL: "FAIL", State.SKIP: "skip"}


def ok(name: str, text: str) -> Check:
    return Check(name, State.OK, text)


def note(name: str, text: str) -> Check:
    return Check(name, State.NOTE, text)


def warn(name: str, text: str, remedy: str = "") -> Check:
    return Check(name, State.WARN, text, remedy)


def fail(name: str, text: str, remedy: str = "") -> Check:
    return Check(name, State.FAIL, text, remedy)


def skip(name: str, text: str) -> Check:
    return Check(name, State.SKIP, text)


def lines(check: Check) -> Iterator[str]:
    """One check for people; what a device said must not command the terminal."""
    yield _clean(f"{DRAWN[check.state]:<5} {check.name:<22} {check.text}")
    if check.remedy:
        yield _clean(f"{'':<28} -> {check.remedy}")


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def stamp(utc_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(utc_s))


def failures(checks: Iterable[Check]) -> int:
    return sum(check.state is State.FAIL for check in checks)


def summary(checks: Iterable[Check]) -> str:
    count = Counter(check.state for check in checks)
    words = {State.FAIL: "failed", State.WARN: "to be looked after", State.SKIP: "skipped", State.OK: "ok"}
    return ", ".join(f"{count[state]} {word}" for state, word in words.items() if count[state] or state is State.FAIL)


def as_text(head: str, checks: list[Check]) -> str:
    """The whole report."""
    return "\n".join([head, *(line for check in checks for line in lines(check)), summary(checks)]) + "\n"


def as_json(about: dict[str, Any], checks: list[Check]) -> dict[str, Any]:
    told = [{"name": c.name, "state": str(c.state), "text": c.text, "remedy": c.remedy or None} for c in checks]
    return {**about, "failed": failures(checks), "checks": told}
