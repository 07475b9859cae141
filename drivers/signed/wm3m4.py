"""Iskra WM3M4 and WM3M4C: packed values, and sessions that it signs as OCMF (ECDSA P-256), at their beginning and end.

The meter signs a text that we write (the metadata), with its own values put in; what it has signed stays readable until
the next command. After a power cut the session goes on, but its clock and the metadata are gone: both are written once
more before the session is ended. Values are refreshed once a second. Sources: the drivers of EVerest and Tinkerforge;
unverified: that exponent n1 belongs to import and n2 to export.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence

from drivers.api import Measurand, Phase, Sample, SignedData, SignedSession
from drivers.bus import Bus
from drivers.signed import ocmf
from drivers.signed.session import POLL_S, Registers

MODEL, MODEL_WORDS, SERIAL, SERIAL_WORDS = 1, 8, 9, 4
STATE, COMMAND, STATUS = 7000, 7051, 7052
ZONE, METADATA_SIZE, DATA_SIZE, SIGNATURE_SIZE, ALGORITHM, SYNCED = 7053, 7056, 7057, 7058, 7059, 7071
METADATA, DATA, KEY, KEY_WORDS, SIGNATURE = 7100, 7612, 8124, 32, 8188
MAX_METADATA, MAX_DATA, MAX_SIGNATURE = 1024, 1024, 128  # bytes
IDLE, ACTIVE = 0, 1  # 2 and 3: active since before a power failure, or a reset
BEGIN, END = 0x4200, 0x7200  # "B" and "r"
SET_BY_US = 2
SIGNED, IN_PROGRESS = 15, (0, 1, 2)
SIGN_S = 15.0
REFUSALS: Mapping[int, str] = {
    128: "its clock is not set",
    129: "a check sum is wrong",
    130: "it does not know the command",
    131: "it is in another state",
    132: "its measurement is not valid",
    133: "it is in test mode",
}
DER_HEAD = bytes.fromhex("3059301306072A8648CE3D020106082A8648CE3D03010703420004")
USUAL = 0  # algorithm: ECDSA P-256

# What is read in each poll: the first register, how many, and what of them is which value.
_T5, _T6, _T7 = "unsigned", "signed", "factor"
_Row = tuple[int, str, Measurand, Phase | None]
_PHASES = (Phase.L1, Phase.L2, Phase.L3)
_LINES = (Phase.L1_N, Phase.L2_N, Phase.L3_N)
_PAIRS = (Phase.L1_L2, Phase.L2_L3, Phase.L3_L1)
VALUES: tuple[tuple[int, int, tuple[_Row, ...]], ...] = (
    (
        105,
        27,
        (
            (105, _T5, Measurand.FREQUENCY, None),
            *((107 + 2 * k, _T5, Measurand.VOLTAGE, phase) for k, phase in enumerate(_LINES)),
            *((118 + 2 * k, _T5, Measurand.VOLTAGE, phase) for k, phase in enumerate(_PAIRS)),
            *((126 + 2 * k, _T5, Measurand.CURRENT_IMPORT, phase) for k, phase in enumerate(_PHASES)),
        ),
    ),
    (
        140,
        32,
        (
            (140, _T6, Measurand.POWER_ACTIVE_IMPORT, None),
            *((142 + 2 * k, _T6, Measurand.POWER_ACTIVE_IMPORT, phase) for k, phase in enumerate(_PHASES)),
            (148, _T6, Measurand.POWER_REACTIVE_IMPORT, None),
            *((150 + 2 * k, _T6, Measurand.POWER_REACTIVE_IMPORT, phase) for k, phase in enumerate(_PHASES)),
            (164, _T7, Measurand.POWER_FACTOR, None),
            *((166 + 2 * k, _T7, Measurand.POWER_FACTOR, phase) for k, phase in enumerate(_PHASES)),
        ),
    ),
)
EXPONENTS, ENERGY_WORDS = 414, 8
IMPORT, EXPORT = 418, 420


class Wm3m4:
    """One meter. `EnergyMeter`, `Identifies`, `Numbered`, `SignsMeterData`."""

    def __init__(self, bus: Bus, unit: int) -> None:
        self._bus, self._unit = bus, unit
        self._label = f"meter WM3M4 unit {unit}"
        self._registers = Registers(bus, unit, self._label)
        self._key = ""
        bus.device(unit, self._label)

    # --- values ---

    async def read(self) -> Sequence[Sample]:
        samples: list[Sample] = []
        for first, count, rows in VALUES:
            words = await self._input(first, count)
            samples += [Sample(m, _value(how, words[at - first : at - first + 2]), phase) for at, how, m, phase in rows]
        words = await self._input(EXPONENTS, ENERGY_WORDS)
        for place, (at, measurand) in enumerate(_COUNTERS):
            exponent, counter = _signed(words[place], 16), words[at - EXPONENTS : at - EXPONENTS + 2]
            if not -9 <= exponent <= 9:
                raise self._registers.error(f"its energy counter has the exponent {exponent}")
            samples.append(Sample(measurand, float(_signed(counter[0] << 16 | counter[1], 32) * 10**exponent)))
        return samples

    async def identity(self) -> str:
        words = await self._input(MODEL, MODEL_WORDS + SERIAL_WORDS)
        model, serial = ocmf.text_of(words[:MODEL_WORDS]).strip(), ocmf.text_of(words[MODEL_WORDS:]).strip()
        if not model.startswith("WM3M4"):
            raise self._registers.error(f"model is {ocmf.plain(model)!r}: another device, or the wrong driver")
        return f"Iskra {ocmf.plain(model)}, serial number {ocmf.plain(serial)}"

    async def number(self) -> str:
        self._key = ""  # it may be another one, with a key of its own
        return ocmf.text_of(await self._input(MODEL + MODEL_WORDS, SERIAL_WORDS)).strip()

    async def _input(self, address: int, count: int) -> list[int]:
        return await self._bus.read(self._unit, "input", address, count)

    # --- signed sessions ---

    async def begin(self, session: SignedSession) -> SignedData | None:
        if await self._registers.one(STATE) != IDLE:
            await self._prepare(session)
            await self._order(END, (IDLE,))  # what somebody left open: its time is over
        await self._prepare(session)
        await self._order(BEGIN, (ACTIVE,))
        record = await self._result()
        if not record.names(session):
            raise self._registers.error("has begun a session with other metadata")
        return record.signed(await self.public_key())

    async def end(self, session: SignedSession) -> SignedData:
        state = await self._registers.one(STATE)
        if state == IDLE and await self._registers.one(STATUS) != SIGNED:
            raise self._registers.error("holds no signed session")
        if state > ACTIVE:
            await self._prepare(session)
        if state != IDLE:
            await self._order(END, (IDLE,))
        record = await self._result()
        if not record.names(session) or not record.ends:
            raise self._registers.error("its signed data is another session's")
        return record.signed(await self.public_key())

    async def public_key(self) -> str:
        if not self._key:
            words = await self._registers.many(KEY, KEY_WORDS)
            if not any(words):
                raise self._registers.error("has no key to sign with")
            self._key = b64encode(DER_HEAD + b"".join(word.to_bytes(2, "big") for word in words)).decode()
        return self._key

    async def _prepare(self, session: SignedSession) -> None:
        """The clock and the metadata, without which nothing is signed."""
        registers = self._registers
        if session.utc is not None:
            utc = int(session.utc)
            await registers.write(ZONE, [session.zone_min & 0xFFFF, utc >> 16 & 0xFFFF, utc & 0xFFFF])
            await registers.write(SYNCED, [SET_BY_US])
        data = metadata(session).encode("ascii")
        await registers.write(METADATA, ocmf.words_of(data))
        await registers.write(METADATA_SIZE, [len(data)])

    async def _order(self, command: int, reached: tuple[int, ...]) -> None:
        registers = self._registers
        await registers.command(COMMAND, command, STATE, reached)
        await asyncio.sleep(POLL_S)  # the status is still that of the command before
        status = await registers.until(STATUS, lambda status: status not in IN_PROGRESS, "signing", SIGN_S)
        if status != SIGNED or await registers.one(STATE) not in reached:
            why = REFUSALS.get(status, "its hardware has failed" if status >= 243 else "it tells no known reason")
            raise registers.error(f"has signed nothing: {why} (status {status})")

    async def _result(self) -> ocmf.Record:
        registers = self._registers
        if await registers.one(ALGORITHM) != USUAL:
            raise registers.error("signs by an unknown algorithm")
        try:
            payload = (await self._bytes(DATA, DATA_SIZE, MAX_DATA)).rstrip(b"\0").decode("ascii")
            signature = tidy_der(await self._bytes(SIGNATURE, SIGNATURE_SIZE, MAX_SIGNATURE))
            return ocmf.parse(f'OCMF|{payload}|{{"SD":"{signature.hex().upper()}"}}')
        except ValueError as error:
            raise registers.error(f"its signed data {error}") from None

    async def _bytes(self, address: int, size_at: int, most: int) -> bytes:
        size = await self._registers.one(size_at)
        if not 0 < size <= most:
            raise self._registers.error(f"its signed data cannot have {size} bytes")
        words = await self._registers.many(address, (size + 1) // 2)
        return b"".join(word.to_bytes(2, "big") for word in words)[:size]


_COUNTERS = ((IMPORT, Measurand.ENERGY_ACTIVE_IMPORT_REGISTER), (EXPORT, Measurand.ENERGY_ACTIVE_EXPORT_REGISTER))


def metadata(session: SignedSession) -> str:
    """What is signed beside the values, in the only order that the meter takes; it fills in what is empty."""
    identified = session.token is not None
    members = {
        "FV": "1.0",
        "GI": "",
        "GS": "",
        "PG": "",
        "MV": "",
        "MM": "",
        "MS": "",
        "MF": "",
        "IS": identified,
        "IF": [],
        "IT": ocmf.kind(session.token),
        "ID": ocmf.identification(session.token),
        "CT": "CBIDC",
        "CI": ocmf.place(session),
        "RD": [],
    }
    return json.dumps(members, separators=(",", ":"))


def tidy_der(signature: bytes) -> bytes:
    """The two integers of an ECDSA signature without superfluous zeros before them; ValueError when it is none."""
    if len(signature) < 8 or signature[0] != 0x30 or signature[1] != len(signature) - 2 or signature[1] >= 0x80:
        raise ValueError("has no ECDSA signature")
    integers, rest = b"", signature[2:]
    for _ in range(2):
        length = rest[1] if len(rest) > 2 and rest[0] == 2 else 0
        number = rest[2 : 2 + length].lstrip(b"\0")
        if not number or length > len(rest) - 2:
            raise ValueError("has no ECDSA signature")
        number = b"\0" + number if number[0] & 0x80 else number
        integers += bytes((2, len(number))) + number
        rest = rest[2 + length :]
    if rest:
        raise ValueError("has no ECDSA signature")
    return bytes((0x30, len(integers))) + integers


def _value(how: str, words: Sequence[int]) -> float:
    high, low = words
    if how == _T7:  # the quadrant is in the high word: it tells import from export, which the power tells too
        return low / 10000
    mantissa = (high & 0xFF) << 16 | low
    exact = _signed(mantissa, 24) if how == _T6 else mantissa
    return float(exact * 10.0 ** _signed(high >> 8, 8))


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
