"""How well a line works, by its questions and how many of them had no whole answer."""

from __future__ import annotations

from agent.doctor.report import Check, fail, ok, warn

WARN_RATE, FAIL_RATE = 0.02, 0.2
Counted = tuple[int, int]  # questions, and those without a whole answer


def line(name: str, port: str, all_told: Counted, lately: Counted | None = None) -> Check:
    """`lately`: of these the newest; where others were asked before."""
    name, (asked, broken) = f"bus.{name}", all_told
    text = f"{port}: {asked} questions, {broken} without a whole answer"
    if lately is not None:
        text += f"; just now {lately[1]} of {lately[0]}"
    now_asked, now_broken = lately or all_told
    if now_asked and now_broken == now_asked:
        return fail(name, f"{text}: nobody is there", "power, A and B, speed: chargepoint bus scan")
    if now_broken > max(1, FAIL_RATE * now_asked) or broken > FAIL_RATE * asked:
        return fail(name, text, "termination, A and B, shield, two devices with one unit number")
    if broken > WARN_RATE * asked:
        return warn(name, text, "termination, length, shield; or a device that is slower than timeout_ms")
    return ok(name, text)
