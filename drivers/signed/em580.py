"""Carlo Gavazzi EM580: values by its register map, and sessions that it signs as OCMF (brainpool curves).

It signs at the end only. What it has signed stays in it until 0 is written to its state, and that is done when the next
session begins: so the result can be read again after a power cut in the wrong moment. A power cut ends a session by
itself; then the result waits as after our own order. Our transaction's name stands in the tariff text, so that a
result is known to be the right one. Unverified, since one driver alone tells of it: that the size counts registers, and
the numbers of the kinds of identification.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from drivers.api import IdToken, SignedData, SignedSession
from drivers.bus import Bus
from drivers.mapped_meter import MappedMeter
from drivers.signed import ocmf
from drivers.signed.session import Registers

MAP = "carlo_gavazzi_em580"
SIGNATURE_TYPE, KEY_DER = 0x24FF, 0x2600
KEY_WORDS = {0: 46, 1: 62}  # by signature type: 256 and 384 bits
TARIFF_TEXT, TARIFF_WORDS = 0x6900, 126
ID_STATUS, ID_LEVEL, ID_FLAGS, ID_TYPE, ID_DATA = 0x7000, 0x7001, 0x7002, 0x7006, 0x7007
PLACE_TYPE, PLACE, TEXT_WORDS = 0x701B, 0x701C, 20
ZONE, TIME, MODALITY, COMMAND = 0x7031, 0x7032, 0x7036, 0x7040
STATE, SIZE, FILE, MAX_FILE_WORDS = 0x7100, 0x7101, 0x7110, 2031
NOT_READY, RUNNING, READY, CORRUPTED = range(4)
BEGIN, END, ABORT = 0x42, 0x45, 0x41
CBIDC = 1  # the place is the name of a charge point and the number of a connector
CHARGING = 0  # session modality: a vehicle is charged
CLEAR_S, BEGIN_S, SIGN_S = 5.0, 5.0, 15.0
KINDS: Mapping[str, int] = {
    "NONE": 0,
    "UNDEFINED": 2,
    "ISO14443": 10,
    "ISO15693": 11,
    "EMAID": 20,
    "CENTRAL": 60,
    "LOCAL": 70,
    "KEY_CODE": 90,
}


class Em580(MappedMeter):
    """One meter. `EnergyMeter`, `Identifies`, `Numbered`, `SignsMeterData`."""

    def __init__(self, bus: Bus, unit: int, map: str = MAP) -> None:  # noqa: A002  the word of the configuration
        super().__init__(bus, unit, map, f"meter EM580 unit {unit}")
        self._registers = Registers(bus, unit, self._label)
        self._key = ""

    async def number(self) -> str:
        self._key = ""  # it may be another one, with a key of its own
        return await super().number()

    async def begin(self, session: SignedSession) -> SignedData | None:
        await self._clear()
        await self._set_time(session)
        await self._identify(session.token)
        registers = self._registers
        await registers.write(PLACE_TYPE, [CBIDC])
        await self._write_text(PLACE, ocmf.place(session), TEXT_WORDS)
        await self._write_text(TARIFF_TEXT, ocmf.BETWEEN + session.transaction, TARIFF_WORDS)
        await registers.write(MODALITY, [CHARGING])
        await registers.command(COMMAND, BEGIN, STATE, (RUNNING,))
        state = await registers.until(STATE, lambda state: state != NOT_READY, "beginning a signed session", BEGIN_S)
        if state != RUNNING:
            raise registers.error(f"does not begin a signed session (state {state})")
        return None

    async def end(self, session: SignedSession) -> SignedData:
        registers = self._registers
        state = await registers.one(STATE)
        ordered = state == RUNNING
        if ordered:
            await registers.command(COMMAND, END, STATE, (READY, CORRUPTED))
            state = await registers.until(STATE, lambda state: state != RUNNING, "signing", SIGN_S)
        if state == CORRUPTED:
            raise registers.error("its signed data is corrupted")
        if state != READY:
            raise registers.error("holds no signed session")
        record = await self._result()
        if record.transaction != session.transaction and not (ordered and record.transaction is None):
            raise registers.error("its signed data is another transaction's")
        return record.signed(await self.public_key())

    async def public_key(self) -> str:
        if not self._key:
            kind = await self._registers.one(SIGNATURE_TYPE)
            if kind not in KEY_WORDS:
                raise self._registers.error(f"is set up not to sign (signature type {kind}); set 256 or 384 bits")
            words = await self._registers.block(KEY_DER, KEY_WORDS[kind])
            self._key = b64encode(_der(b"".join(word.to_bytes(2, "big") for word in words))).decode()
        return self._key

    async def _clear(self) -> None:
        """Nobody has fetched what the last session left, or it was never ended: its time is over."""
        registers = self._registers
        if await registers.one(STATE) == RUNNING:
            await registers.command(COMMAND, ABORT, STATE, (NOT_READY, READY, CORRUPTED))
            await registers.until(STATE, lambda state: state != RUNNING, "giving up an old session", CLEAR_S)
        if await registers.one(STATE) != NOT_READY:
            await registers.write(STATE, [NOT_READY])
            await registers.until(STATE, lambda state: state == NOT_READY, "dropping an old result", CLEAR_S)

    async def _set_time(self, session: SignedSession) -> None:
        if session.utc is None:
            return
        utc = int(session.utc)
        await self._registers.write(ZONE, [session.zone_min & 0xFFFF])
        await self._registers.write(TIME, [utc >> shift & 0xFFFF for shift in (0, 16, 32, 48)])

    async def _identify(self, token: IdToken | None) -> None:
        registers = self._registers
        await registers.write(ID_STATUS, [int(token is not None)])
        await registers.write(ID_LEVEL, [0])
        await registers.write(ID_FLAGS, [0, 0, 0, 0])
        await registers.write(ID_TYPE, [KINDS.get(ocmf.kind(token), KINDS["UNDEFINED"])])
        await self._write_text(ID_DATA, ocmf.identification(token), TEXT_WORDS)

    async def _write_text(self, address: int, text: str, words: int) -> None:
        """Ended by a NUL; the rest of its registers may keep what they hold."""
        data = text.encode("ascii")[: 2 * words - 1] + b"\0"
        await self._registers.write(address, ocmf.words_of(data))

    async def _result(self) -> ocmf.Record:
        size = await self._registers.one(SIZE)
        if not 0 < size <= MAX_FILE_WORDS:
            raise self._registers.error(f"its signed data cannot have {size} registers")
        try:
            return ocmf.parse(ocmf.text_of(await self._registers.many(FILE, size)))
        except ValueError as error:
            raise self._registers.error(f"its signed data {error}") from None


def _der(block: bytes) -> bytes:
    """Without what follows the outer sequence."""
    return block[: block[1] + 2] if block[:1] == b"\x30" and block[1] < 0x80 else block
