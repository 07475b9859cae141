"""`chargepoint sim --socket PATH VERB ...`: hands for the simulated hardware that `chargepoint simulate` runs.

Each verb returns when the hardware has changed and never waits for the central system. Exit codes: 0 done, 1 the
hardware could not do it (one line on stderr says why), 2 the command line was wrong. It speaks one JSON line over the
unix socket and needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

DONE, FAILED, USAGE = 0, 1, 2
ANSWER_S = 10.0
MOST_S = 1e6
FAULTS = (
    "other, diode, ground, lock-failure, unlock-failure, meter, contactor, over-temperature, under-voltage, "
    "over-voltage, over-current, rfid-reader, internal, pilot, ventilation, cable, dc-residual, emergency-stop, "
    "cover"
)
KEYS = (
    "lock, offered-ma, contactor, ev-state, relay-count, meter-wh, led, signed-start, signed-stop, power-w, drawn-ma, "
    "order-ma, phases, live-switches"
)


class _Parser(argparse.ArgumentParser):
    """As argparse, with a mistake told in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(argv: Sequence[str]) -> int:
    """Do one verb; the exit code."""
    options = vars(_parser().parse_args(list(argv)))
    path = options.pop("socket")
    try:
        request = _request(options)
        answer = _ask(path, request, ANSWER_S + float(request.get("timeout", 0.0)))
    except ValueError as error:
        return _fail(str(error), USAGE)
    except OSError as error:
        return _fail(f"no simulated hardware answers at {path}: {error.strerror or error}", FAILED)
    if not answer.get("ok"):
        return _fail(str(answer.get("error", "no answer")), FAILED)
    if answer.get("value") or request["verb"] == "get":
        print(answer["value"])
    return DONE


def _fail(why: str, code: int) -> int:
    print(f"chargepoint sim: {why}", file=sys.stderr)
    return code


def _ask(path: str, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(timeout_s)
        link.connect(path)
        link.sendall(json.dumps(request).encode() + b"\n")
        with link.makefile("rb") as lines:
            line = lines.readline()
    found: dict[str, Any] = json.loads(line) if line else {"ok": False, "error": "the simulated hardware has ended"}
    return found


def _request(options: dict[str, Any]) -> dict[str, Any]:
    """What was typed, as a request; ValueError for a word that argparse cannot judge."""
    request = {key: value for key, value in options.items() if value is not None and value is not False}
    if "evses" in request:
        request["evses"] = [_number(text) for text in str(request["evses"]).split(",")]
    if request["verb"] == "wait":
        key, equals, value = str(request.pop("condition")).partition("=")
        if not equals:
            raise ValueError(f"wait takes KEY=VALUE, such as contactor=closed, not {key!r}")
        request.update(key=key, value=value)
    return request


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"--evses takes numbers such as 1,2, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_S:
        raise argparse.ArgumentTypeError(f"a time is 0 to {MOST_S:g} seconds, not {text}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="chargepoint sim", description="Drive the simulated hardware: cable, car, cards, faults.")
    parser.add_argument("--socket", required=True, metavar="PATH", help="the socket given to chargepoint simulate")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _cable_verbs(verbs)
    _fault_verbs(verbs)
    _looking_verbs(verbs)
    return parser


def _verb(verbs: Any, name: str, about: str, evse: bool = True) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=about, description=about)
    if evse:
        parser.add_argument("--evse", type=int, required=True, metavar="N")
    return parser


def _cable_verbs(verbs: Any) -> None:
    plug = _verb(verbs, "plug-in", "plug the cable in; auto draws when offered, hold stays in B, none is cable only")
    plug.add_argument("--ev", choices=("auto", "hold", "none"), default="auto")
    plug.add_argument("--then", metavar="fault:NAME", help="a fault that comes ...")
    plug.add_argument("--after", type=_seconds, metavar="S", help="... so many seconds later")
    _verb(verbs, "unplug", "take the whole cable out")
    _verb(verbs, "ev-unplug", "unplug at the car only; the cable stays in the socket")
    tap = _verb(verbs, "tap", "hold a card to the reader that serves these EVSEs", evse=False)
    tap.add_argument("tag", metavar="TAG")
    tap.add_argument("--evses", metavar="N,M")
    _verb(verbs, "ev-state", "force the control-pilot state").add_argument("state", choices=tuple("ABCDEF"))
    draw = _verb(verbs, "ev-draw", "what the car takes at most")
    draw.add_argument("--amps", type=float, required=True, metavar="A")
    draw.add_argument("--phases", type=int, metavar="P")
    draw.add_argument("--soc", type=float, metavar="PCT")


def _fault_verbs(verbs: Any) -> None:
    for name, about in (("fault", "make a fault"), ("fault-clear", "mend it")):
        _verb(verbs, name, f"{about}: {FAULTS}").add_argument("name", metavar="NAME")
    meter = _verb(verbs, "meter", "set the meter's register, force its power, its signed texts, or make it mute")
    meter.add_argument("--wh", type=float, metavar="X")
    meter.add_argument("--rate-w", type=float, metavar="W")
    meter.add_argument("--signed-start", metavar="TXT")
    meter.add_argument("--signed-stop", metavar="TXT")
    meter.add_argument("--silent", action="store_true", help="ended by: bus --device meter --mode ok")
    button = _verb(verbs, "stop-button", "press the stop button")
    button.add_argument("--reason", choices=("local", "emergency", "other"), default="local")
    contactor = _verb(verbs, "contactor", "whether it closes when its coil pulls (fault contactor welds it)")
    contactor.add_argument("state", choices=("ok", "stuck"))
    bus = _verb(verbs, "bus", "how devices of a kind answer", evse=False)
    bus.add_argument("--device", choices=("evse", "meter", "io"), required=True)
    bus.add_argument("--mode", choices=("ok", "timeout", "garbage", "slow"), required=True)
    bus.add_argument("--evse", type=int, metavar="N", help="only those of this EVSE")
    power = _verb(verbs, "power", "the station's mains", evse=False)
    power.add_argument("to", choices=("fail", "restore"))
    _verb(verbs, "reset", "cable out, faults cleared, meter back to its start", evse=False)


def _looking_verbs(verbs: Any) -> None:
    _verb(verbs, "get", f"print one value: {KEYS}").add_argument("key", metavar="KEY")
    wait = _verb(verbs, "wait", "until the hardware is in that state")
    wait.add_argument("condition", metavar="KEY=VALUE")
    wait.add_argument("--timeout", type=_seconds, required=True, metavar="S")
