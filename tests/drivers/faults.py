"""Faults of a line for any driver that asks over a `Bus`: whatever the line does, no wrong value comes out.

    METER = Subject(lambda bus: MyMeter(bus, 1), MyMeter.read, (bank(1.0), bank(2.0), bank(3.0)))

    @every_fault
    async def test_my_meter_never_lies(fault: str, tmp_path: Path) -> None:
        await never_lies(METER, fault, tmp_path)

A `Subject` has three moments of its device, which should differ in all that is asked. In the first the driver is asked
on a good line; the second comes and the fault with it, where a `DriverError` or the truth of that moment is right, and
nothing else (a late answer would be the truth of the moment before); the third comes on a good line again, and has to
be told within `HEALS_S`, and nothing else in the meantime. The truth is what a second driver of the same kind says on a
line without faults: whether that is right is for other tests.
"""

from __future__ import annotations

import asyncio
import itertools
import operator
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.api import DriverError
from drivers.bus import Bus, Policy, SerialSettings, TcpSettings
from drivers.record import replace
from drivers.wire import make_bus
from tests.drivers.bus_helpers import (
    Misdeed,
    Request,
    Slave,
    bad_crc,
    busy,
    exception,
    fewer_registers,
    garbage_first,
    late,
    line,
    refuses,
    silent,
    with_crc,
    wrong_function,
)

UNIT = 1
HEALS_S = 10.0
THINKS_S = 0.03  # so long the device takes after the fault: time for an earlier answer to come in between
PATIENT = Policy(timeout_s=1.0, retries=0, deadline_s=9.0, quarantine_s=0.15)  # on a good line
HASTY = Policy(timeout_s=0.06, retries=0, deadline_s=2.0, quarantine_s=0.15)
RETRYING = replace(HASTY, retries=2)
Bank = dict[int, int]  # address -> word, of input and holding registers alike


@dataclass(frozen=True)
class Subject:
    """How a driver is made, what it is asked, and three moments of its device (unit 1)."""

    make: Callable[[Bus], Any]
    ask: Callable[[Any], Awaitable[Any]]
    moments: tuple[Bank, Bank, Bank]
    agrees: Callable[[Any, Any], bool] = operator.eq  # (told, truth)


Opens = Callable[[Bank], AbstractAsyncContextManager[tuple[Slave, SerialSettings | TcpSettings]]]


async def never_lies(subject: Subject, fault: str, folder: Path) -> None:
    """On a serial line the fault strikes each of the driver's requests in turn, with and without repeating."""
    number = itertools.count()

    @asynccontextmanager
    async def opens(bank: Bank) -> AsyncIterator[tuple[Slave, SerialSettings]]:
        async with line(folder / f"tty{next(number)}", {UNIT: bank}) as (_, slave, settings):
            yield slave, replace(settings, baud=115200)

    await strikes(subject, FAULTS[fault], opens, (HASTY, RETRYING))


async def strikes(subject: Subject, misdeed: Misdeed, opens: Opens, policies: Sequence[Policy]) -> None:
    """The same on whatever `opens` opens, each time anew: so all go side by side, as they do little but wait."""
    truths, requests = await _truths(subject, opens)
    async with asyncio.TaskGroup() as strokes:
        for policy in policies:
            for struck in range(requests):
                strokes.create_task(_struck(subject, truths, [_behave] * struck + [misdeed], policy, opens))


async def _truths(subject: Subject, opens: Opens) -> tuple[list[Any], int]:
    """What is told of each moment on a good line, and in how many requests."""
    truths, requests = [], 0
    for moment in subject.moments:
        async with opens(dict(moment)) as (slave, settings):
            bus = make_bus(settings, PATIENT)
            truths.append(await subject.ask(subject.make(bus)))
            requests = len(slave.requests)
            await bus.close()
    assert all(truths[0] != truth for truth in truths[1:]), "the moments must differ, or a lie would not show"
    return truths, requests


async def _struck(subject: Subject, truths: list[Any], misdeeds: list[Misdeed], policy: Policy, opens: Opens) -> None:
    async with opens(dict(subject.moments[0])) as (slave, settings):
        bus = make_bus(settings, policy)
        driver = subject.make(bus)
        try:
            await _heals(subject, driver, truths[0])
            slave.words[UNIT].update(subject.moments[1])
            slave.misdeeds = list(misdeeds)
            await _asked(subject, driver, truths[1])
            slave.misdeeds = [late(THINKS_S)] * 200
            slave.words[UNIT].update(subject.moments[2])
            await _heals(subject, driver, truths[2])
        finally:
            await bus.close()


async def _asked(subject: Subject, driver: Any, truth: Any) -> bool:
    """Whether the truth was told; an error is no lie."""
    try:
        told = await subject.ask(driver)
    except DriverError:
        return False
    assert subject.agrees(told, truth), f"told {told}, where {truth} is true"
    return True


async def _heals(subject: Subject, driver: Any, truth: Any) -> None:
    async with asyncio.timeout(HEALS_S):
        while not await _asked(subject, driver, truth):  # noqa: ASYNC110  (the driver, not an event)
            await asyncio.sleep(0.02)


# ---- what a line may do to an answer


def _behave(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(answer)


def one_bit_flipped(slave: Slave, request: Request, answer: bytes) -> None:
    middle = len(answer) // 2
    slave.send(answer[:middle] + bytes([answer[middle] ^ 0x10]) + answer[middle + 1 :])


def cut_short(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(answer[: len(answer) // 2])


def more_registers(slave: Slave, request: Request, answer: bytes) -> None:
    """A whole frame with two bytes too many; of a write it confirms another register."""
    if request.is_read:
        slave.send(with_crc(answer[:2] + bytes([answer[2] + 2]) + answer[3:-2] + b"\x12\x34"))
    else:
        slave.send(with_crc(answer[:3] + bytes([answer[3] ^ 1]) + answer[4:-2]))


def noise_behind(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(answer + b"\x00\xff\x7e\x01\x04")


def said_twice(slave: Slave, request: Request, answer: bytes) -> None:
    """At once: one that a device says unasked when the next request is under way, RTU has no means to tell."""
    slave.send(answer + answer)


def foreign(slave: Slave, request: Request, answer: bytes) -> None:
    """Another unit's answer of just our kind, and none of ours."""
    slave.send(with_crc(bytes([99]) + answer[1:-2]))


def foreign_first(slave: Slave, request: Request, answer: bytes) -> None:
    data = bytes(byte ^ 0x5A for byte in answer[3:-2])
    slave.send(with_crc(bytes([99]) + answer[1:3] + data))
    slave.send_later(0.01, answer)


def echoed(slave: Slave, request: Request, answer: bytes) -> None:
    """The adapter hears what it sends."""
    slave.send(sent(request) + answer)


def echoed_alone(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(sent(request))


def in_pieces(slave: Slave, request: Request, answer: bytes) -> None:
    for index in range(0, len(answer), 5):
        slave.send_later(index * 0.001, answer[index : index + 5])


def gateway(slave: Slave, request: Request, answer: bytes) -> None:
    slave.send(exception(request, 11))


def sent(request: Request) -> bytes:
    """The frame of a request, as it came."""
    frame = bytes([request.unit, request.function]) + request.address.to_bytes(2, "big")
    frame += request.count.to_bytes(2, "big")
    if request.function == 16:
        frame += bytes([2 * len(request.words)]) + b"".join(word.to_bytes(2, "big") for word in request.words)
    return with_crc(frame)


FAULTS: Mapping[str, Misdeed] = {
    "bad crc": bad_crc,
    "one bit flipped": one_bit_flipped,
    "silence": silent,
    "no such register": refuses(2),
    "failure of its own": refuses(4),
    "busy": busy,
    "gateway without device": gateway,
    "short answer": fewer_registers,
    "long answer": more_registers,
    "cut short": cut_short,
    "answer to another function": wrong_function,
    "answer of another unit": foreign,
    "answer of another unit first": foreign_first,
    "echo before the answer": echoed,
    "echo and no answer": echoed_alone,
    "noise before the answer": garbage_first,
    "noise behind the answer": noise_behind,
    "answer in pieces": in_pieces,
    "answer said twice": said_twice,
    "late by a little": late(0.08),
    "late by more": late(0.18),
}
every_fault = pytest.mark.parametrize("fault", list(FAULTS))
