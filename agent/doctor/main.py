"""`chargepoint doctor [--config FILE] [--json] [--report FILE]`: a check-up, with a dated report.

While no agent runs, buses, devices, readers and the way to the CSMS are tried; no message is sent to the CSMS, and no
power flows. While one runs it is asked over its control socket. Exit codes: 0 nothing failed (warnings or not), 1
something failed, 2 the command line was wrong, 78 the configuration is wrong (the report says where), 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from agent import __version__, custody
from agent.cli import Parser
from agent.cli.check import complete, summary
from agent.cli.status import Refused, ask
from agent.cli.tables import hanging
from agent.config import Config, load
from agent.config_socket import DEFAULT_FILE, control_socket
from agent.doctor import csms, hardware, host, report, running
from agent.doctor.report import Check, fail, skip
from agent.edge.trust import BUNDLE
from agent.errors import AgentError, ConfigError, Exit, NotRunning
from agent.parts import Parts
from drivers.api import DriverError

MAX_CARD_S = 600.0
WHOLE_S = 600.0  # no check-up takes longer; every part has its own deadline


def main(argv: Sequence[str]) -> int:
    """Look at everything; the exit code."""
    parser = Parser(
        prog="chargepoint doctor",
        description="Check a charger before it is left alone; the running agent is asked, and not disturbed.",
        epilog="exit codes: 0 nothing failed, 1 something failed, 2 the command line was wrong, "
        "78 the configuration is wrong",
    )
    parser.add_argument("--config", metavar="FILE", default=DEFAULT_FILE, help=f"default {DEFAULT_FILE}")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--report", metavar="FILE", help="also write FILE (text) and FILE.json")
    parser.add_argument("--card-s", type=float, default=0.0, metavar="S", help="ask for a card, and wait so long")
    parser.add_argument("--read-only", action="store_true", help="do not order 0 A to prove the contactor")
    parser.add_argument("--no-csms", action="store_true", help="do not dial the central system")
    options = parser.parse_args(list(argv))
    if not 0 <= options.card_s <= MAX_CARD_S:
        parser.error(f"--card-s is {options.card_s:g}; expected 0 to {MAX_CARD_S:g}")
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    now_s = time.time()
    about: dict[str, Any] = {"utc": report.stamp(now_s), "version": __version__, "config": options.config}
    head = f"chargepoint doctor {__version__}, {about['utc']}, {options.config}"
    checks: list[Check] = []

    def told(check: Check) -> None:
        checks.append(check)
        if not options.json:
            print("\n".join(hanging(line, report.TEXT_AT) for line in report.lines(check)), flush=True)

    if not options.json:
        print(head, flush=True)
    try:
        wrong = asyncio.run(_all(options, now_s, told))
    finally:
        if not options.json:
            print(report.summary(checks), flush=True)
    if options.json:
        print(json.dumps(report.as_json(about, checks), ensure_ascii=False))
    if options.report:
        _write(options.report, head, about, checks)
    return Exit.CONFIG if wrong else Exit.FAILURE if report.failures(checks) else Exit.OK


def _write(file: str, head: str, about: dict[str, Any], checks: list[Check]) -> None:
    try:
        Path(file).write_text(report.as_text(head, checks), "utf-8")
        text = json.dumps(report.as_json(about, checks), ensure_ascii=False, indent=1)
        Path(f"{file}.json").write_text(text + "\n", "utf-8")
    except OSError as error:
        raise AgentError(f"chargepoint doctor: {file}: the report cannot be written: {error.strerror}") from None


async def _all(options: argparse.Namespace, now_s: float, told: report.Tell) -> bool:
    """Every check, told as soon as it is known. True: the configuration is wrong."""
    try:
        config = load(options.config)
        warnings = complete(config)
    except ConfigError as error:
        told(fail("configuration", str(error), "chargepoint check-config says the same; see etc/README.md"))
        return True
    for check in (
        *host.configuration(config, warnings, summary(config)),
        *host.permissions(config),
        *host.disk(config),
        *host.clock(now_s),
        host.watchdog(),
    ):
        told(check)
    async with asyncio.timeout(WHOLE_S + options.card_s * len(config.readers)):
        async for check in _outside(config, options):
            told(check)
    return False


async def _outside(config: Config, options: argparse.Namespace) -> AsyncIterator[Check]:
    try:
        answer = await _told(control_socket(options.config))
    except NotRunning as error:
        if "does not answer" in str(error):
            yield fail("agent", str(error).partition(": ")[2], "systemctl restart chargepoint")
            return
    except Refused as error:
        yield fail("agent", f"{str(error).partition(': ')[2]}; nothing more was tried", "ask as root")
        return
    else:
        await asyncio.sleep(running.LISTENS_S)
        for check in running.check(answer, await _told(control_socket(options.config))):
            yield check
        return
    async for check in _hardware(config, options):
        yield check
    if options.no_csms:
        yield skip("csms", "not asked for")
        return
    async for check in csms.check(config.csms, custody.folder(config) / BUNDLE):
        yield check


async def _told(socket: str) -> running.Answer:
    for _ in range(round(running.BEGINS_S)):
        answer = await asyncio.to_thread(ask, socket)
        if not running.settles(answer):
            break
        await asyncio.sleep(1.0)
    return answer


async def _hardware(config: Config, options: argparse.Namespace) -> AsyncIterator[Check]:
    from drivers.wire import make_bus

    try:
        parts = Parts(config, make_bus)
    except DriverError as error:
        yield fail("configuration", str(error))
        return
    if options.card_s and config.readers:
        print(f"Hold a card to each reader in turn when asked; each waits {options.card_s:g} s.", file=sys.stderr)
    try:
        async for check in hardware.check(config, parts, options.read_only, options.card_s):
            yield check
    finally:
        await parts.close()
