"""`chargepoint plug-and-test N`: a guided test charge at one EVSE, with the running agent and a real car or test box.

It says what to do, watches what the agent tells, and judges each step: pilot, card, offer, contactor, current against
the offer, the register against the power, the stop. The first step that fails is the answer: what was seen, and what to
do about it. However it ends, nothing is left charging. The report is dated and fit for a handover (--report FILE).

Exit codes: 0 passed, 1 a step failed or the agent refused, 2 the command line was wrong, 69 the agent is not running,
78 the configuration file cannot be used.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from agent.cli import asking
from agent.cli.plug_steps import MEASURE_S, Look, Step, Verdict, fault_of, steps
from agent.errors import AgentError, Exit, NotRunning

LOOK_S = 0.5
WHY = "plug-and-test"
STDIN = "-"
MARKS = {True: "ok", False: "FAIL", None: "note"}


class Done(NamedTuple):
    step: str
    verdict: Verdict
    took_s: float


class Charger:
    """The running agent, as the steps see it."""

    def __init__(self, path: str, evse: int, card: str | None) -> None:
        self._path, self._evse, self._card = path, evse, card

    def look(self) -> Look:
        evse = self._ask("evse", evse=self._evse)["evses"][0]
        meter = self._ask("meter", evse=self._evse)["meters"][0]
        status = self._ask("status")
        values = {(str(v["measurand"]), str(v["phase"] or "")): float(v["value"]) for v in meter["values"]}
        linked = (status.get("link") or {}).get("state") == "connected"
        waiting = int((status.get("queue") or {}).get("rows") or 0)
        return Look(time.monotonic(), evse, values, meter.get("age_s"), waiting, linked)

    def order(self, verb: str) -> None:
        """Raises AgentError when it is refused."""
        more = {"token": self._card} if verb == "start" and self._card else {}
        told = asking.ask(
            self._path, verb, program=WHY, timeout_s=asking.ORDER_S,
            evse=self._evse, why=WHY, sudo=os.environ.get("SUDO_USER"), **more,
        )  # fmt: skip
        if told.get("done") is not True:
            raise AgentError(str(told.get("text")))

    def about(self) -> dict[str, Any]:
        return self._ask("status")

    def _ask(self, verb: str, **more: Any) -> dict[str, Any]:
        return asking.ask(self._path, verb, program=WHY, **more)


def main(argv: Sequence[str]) -> int:
    """Guide through it; the exit code."""
    options = _options(argv)
    card = sys.stdin.readline().strip() if options.card == STDIN else options.card
    charger = Charger(asking.socket_of(options), options.evse, card)
    about = charger.about()
    tell: Callable[[str], None] = (lambda _line: None) if options.json else (lambda line: print(line, flush=True))
    lines = [*_head(about, options.evse)]
    for line in lines:
        tell(line)
    done: list[Done] = []
    try:
        for one in run(
            charger, steps(options.evse, options.local or card is not None, options.measure_s), tell, time.sleep
        ):
            done.append(one)
            for line in _drawn(one):
                lines.append(line)
                tell(line)
    finally:
        if not done or done[-1].step not in ("unplug", "told"):
            _make_safe(charger, tell)
    passed = all(one.verdict.good is not False for one in done)
    lines.append("passed" if passed else f"FAILED at: {done[-1].step}")
    tell(lines[-1])
    if options.json:
        print(json.dumps(_facts(about, options.evse, done, passed=passed), ensure_ascii=False))
    if options.report:
        _write(Path(options.report), lines)
    return Exit.OK if passed else Exit.FAILURE


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = asking.parser("plug-and-test", "Guide through a test charge at one EVSE, and say what is wrong.")
    parser.add_argument("evse", type=int, metavar="N", help="the number of the EVSE")
    let_in = parser.add_mutually_exclusive_group()
    let_in.add_argument(
        "--card", metavar="ID", help="charge with this card, as if it were held to the reader; -: stdin"
    )
    let_in.add_argument("--local", action="store_true", help="charge with the technician_token of [service]")
    parser.add_argument("--report", metavar="FILE", help="write the report there, too")
    parser.add_argument(
        "--measure-s", type=float, default=MEASURE_S, metavar="S",
        help=f"compare the meter's register with its power for so long; default {MEASURE_S:g}",
    )  # fmt: skip
    return parser.parse_args(list(argv))


def run(
    charger: Charger, todo: Sequence[Step], tell: Callable[[str], None], sleep: Callable[[float], None]
) -> Iterator[Done]:
    """One step after the other; the first that fails is the last."""
    for step in todo:
        if step.do:
            tell(f"      -> {step.do}")
        began = charger.look()
        verdict = _ordered(charger, step) or _judged(charger, step, began, sleep)
        yield Done(step.name, verdict, charger.look().mono - began.mono)
        if verdict.good is False:
            return


def _ordered(charger: Charger, step: Step) -> Verdict | None:
    if not step.order:
        return None
    try:
        charger.order(step.order)
    except NotRunning:
        raise
    except AgentError as error:
        return Verdict(False, f"the agent does not {step.order}: {error}", "chargepoint log --lines 20")
    return None


def _judged(charger: Charger, step: Step, began: Look, sleep: Callable[[float], None]) -> Verdict:
    looks = [began]
    while True:
        found = fault_of(looks[-1]) or step.judge(looks)
        if found is not None:
            return found
        if looks[-1].mono - began.mono > step.patience_s:
            return step.late(looks[-1])
        sleep(LOOK_S)
        looks.append(charger.look())


def _make_safe(charger: Charger, tell: Callable[[str], None]) -> None:
    """A test that fails, or is interrupted, leaves nobody charging."""
    with suppress(AgentError):
        if charger.look().evse.get("transaction"):
            tell("      ending the charge")
            charger.order("stop")


# --- what is said -------------------------------------------------------------------------------------------


def _head(about: dict[str, Any], evse: int) -> Iterator[str]:
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    name = " ".join(str(about[key]) for key in ("vendor", "model", "serial") if about.get(key))
    yield f"Test charge at EVSE {evse} of {about.get('identity')} ({name}), {when}"
    yield f"agent {about.get('version')}, OCPP {about.get('protocol') or '- (no link)'}"


def _drawn(done: Done) -> Iterator[str]:
    verdict = done.verdict
    yield asking.printable(f"{MARKS[verdict.good]:<5} {done.step:<10} {verdict.text}")
    if verdict.remedy:
        yield asking.printable(f"      what to do: {verdict.remedy}")


def _facts(about: dict[str, Any], evse: int, done: Sequence[Done], *, passed: bool) -> dict[str, Any]:
    return {
        "passed": passed,
        "evse": evse,
        "utc": round(time.time()),
        **{key: about.get(key) for key in ("identity", "vendor", "model", "serial", "version")},
        "steps": [
            {"name": one.step, "good": one.verdict.good, "text": one.verdict.text, "remedy": one.verdict.remedy}
            | {"took_s": round(one.took_s, 1)}
            for one in done
        ],
    }


def _write(path: Path, lines: Sequence[str]) -> None:
    try:
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    except OSError as error:
        raise AgentError(f"chargepoint plug-and-test: {path}: {error.strerror or error}") from None
