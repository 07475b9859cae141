"""Meters that sign, simulated: sessions, clocks and real signatures, by the registers of two meters.

Each has a key of its own for as long as it lives, and needs the package cryptography from then on. Signing
takes a few polls, as on a real one; `stuck` makes it take for ever, `refuses` gives that status instead. A power cut
leaves its traces: the session of the one ends by itself, the other loses its clock and what was written.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from drivers.mapwords import Device
from drivers.regmap import load_meter
from drivers.signed import em580, wm3m4
from drivers.signed.ocmf import text_of, words_of
from drivers.simulated.charging_point import ChargingPoint
from drivers.simulated.evse_registers import ILLEGAL_ADDRESS, ILLEGAL_VALUE
from drivers.simulated.registers import Answer, MeterRegisters, Part, SimDevice

SIGNING_POLLS = 2
MAX_READ = 125
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Signer(ABC):
    """A meter's session, clock and key; `curve` is a name of cryptography's elliptic curves."""

    def __init__(self, point: ChargingPoint, curve: str) -> None:
        self.point = point
        self.words: dict[int, int] = {}
        self.readings: list[dict[str, Any]] = []
        self.pages = 0
        self.stuck = False
        self.refuses = 0
        self._curve = curve
        self._private: Any = None
        self._clock: tuple[float, float] | None = None  # UTC that was set, and when
        self._polls = 0

    # --- what differs from meter to meter ---

    @abstractmethod
    def read(self, table: str, address: int, count: int) -> Answer:
        """None: not ours."""

    @abstractmethod
    def write(self, address: int, words: Sequence[int]) -> int:
        """The exception code, 0 for none."""

    @abstractmethod
    def power_failed(self) -> None:
        """What was not stored is gone."""

    # --- what all have ---

    @property
    def key(self) -> Any:
        if self._private is None:
            from cryptography.hazmat.primitives.asymmetric import ec

            self._private = ec.generate_private_key(getattr(ec, self._curve)())
        return self._private

    def public_der(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return bytes(self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))

    def sign(self, payload: str) -> bytes:
        """DER."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        return bytes(self.key.sign(payload.encode("ascii"), ec.ECDSA(hashes.SHA256())))

    def text(self, address: int, count: int) -> str:
        return text_of([self.words.get(address + k, 0) for k in range(count)])

    def put(self, address: int, words: Sequence[int]) -> None:
        self.words.update({address + k: word for k, word in enumerate(words)})

    def set_clock(self, utc: float | None) -> None:
        self._clock = None if utc is None else (utc, self.point.now_s)

    @property
    def clock_is_set(self) -> bool:
        return self._clock is not None

    def add_reading(self, what: str) -> None:
        utc, at = self._clock or (0.0, self.point.now_s)
        now = _EPOCH + timedelta(seconds=utc + self.point.now_s - at)
        self.readings.append(
            {
                "TM": f"{now.isoformat(timespec='milliseconds')[:-6].replace('.', ',')}+0000 {'S' if utc else 'U'}",
                "TX": what,
                "RV": round(self.point.meter.energy_wh / 1000, 3),
                "RI": "1-b:1.8.0",
                "RU": "kWh",
                "RT": "AC",
                "EF": "",
                "ST": "G",
            }
        )

    def starts_signing(self) -> None:
        self._polls = SIGNING_POLLS

    def has_signed(self) -> bool:
        """Asked in each poll."""
        self._polls = max(0, self._polls - 1)
        return not self._polls and not self.stuck


class Em580Signer(Signer):
    """Ended by us, by a power cut, or given up."""

    def __init__(self, point: ChargingPoint) -> None:
        super().__init__(point, "BrainpoolP256R1")
        self.state, self.file = em580.NOT_READY, ""
        self.signature_type = 0
        self._ends = False

    def read(self, table: str, address: int, count: int) -> Answer:
        if address == em580.KEY_DER and count == em580.KEY_WORDS[0]:
            return words_of(self.public_der())
        if address == em580.STATE and self._ends and self.has_signed():
            self._finish("E")
        file = words_of(self.file.encode("ascii"))
        image = {em580.SIGNATURE_TYPE: self.signature_type, em580.STATE: self.state, em580.SIZE: len(file)}
        image |= {em580.FILE + k: word for k, word in enumerate(file)}
        ours = address == em580.SIGNATURE_TYPE or em580.TARIFF_TEXT <= address < em580.FILE + em580.MAX_FILE_WORDS
        return [image.get(at, self.words.get(at, 0)) for at in range(address, address + count)] if ours else None

    def write(self, address: int, words: Sequence[int]) -> int:
        if address == em580.COMMAND:
            return self._command(words[0])
        if address == em580.STATE:
            if self.state == em580.RUNNING or words[0] != em580.NOT_READY:
                return ILLEGAL_VALUE
            self.state, self.file = em580.NOT_READY, ""
            return 0
        if not em580.TARIFF_TEXT <= address < em580.COMMAND:
            return ILLEGAL_ADDRESS
        self.put(address, words)
        if address == em580.TIME:
            self.set_clock(float(sum(word << 16 * k for k, word in enumerate(words))))
        return 0

    def _command(self, command: int) -> int:
        if command == em580.BEGIN and self.state == em580.NOT_READY:
            self.state, self.readings = em580.CORRUPTED if self.refuses else em580.RUNNING, []
            self.add_reading("B")
        elif command == em580.END and self.state == em580.RUNNING:
            self._ends = True
            self.starts_signing()
        elif command == em580.ABORT and self.state == em580.RUNNING:
            self._finish("A")
        else:
            return ILLEGAL_VALUE
        return 0

    def _finish(self, how: str) -> None:
        self._ends = False
        self.add_reading(how)
        self.pages += 1
        kinds = {number: word for word, number in em580.KINDS.items()}
        payload: Mapping[str, Any] = {
            "FV": "1.2",
            "GI": "EM580",
            "GS": "SIM000580",
            "PG": f"T{self.pages}",
            "MV": "Carlo Gavazzi",
            "MM": "EM580",
            "MS": "SIM000580",
            "IS": bool(self.words.get(em580.ID_STATUS, 0)),
            "IL": "NONE",
            "IF": [],
            "IT": kinds.get(self.words.get(em580.ID_TYPE, 0), "NONE"),
            "ID": self.text(em580.ID_DATA, em580.TEXT_WORDS),
            "TT": self.text(em580.TARIFF_TEXT, em580.TARIFF_WORDS),
            "CT": "CBIDC",
            "CI": self.text(em580.PLACE, em580.TEXT_WORDS),
            "RD": self.readings,
        }
        text = json.dumps(payload, separators=(",", ":"))
        signature = {"SA": "ECDSA-brainpool256r1-SHA256", "SD": self.sign(text).hex().upper()}
        self.file = f"OCMF|{text}|{json.dumps(signature, separators=(',', ':'))}"
        self.state = em580.READY

    def power_failed(self) -> None:
        if self.state == em580.RUNNING:
            self._finish("P")


class Wm3m4Signer(Signer):
    """It signs what was written, with its own values put in."""

    def __init__(self, point: ChargingPoint) -> None:
        super().__init__(point, "SECP256R1")
        self.state, self.status = wm3m4.IDLE, 1
        self.payload, self.signature = b"", b""
        self._result = wm3m4.SIGNED

    def read(self, table: str, address: int, count: int) -> Answer:
        image = self._values() if table == "input" else self._session(address)
        return [image.get(at, 0) for at in range(address, address + count)]

    def _session(self, address: int) -> dict[int, int]:
        if address == wm3m4.STATUS and self.status == 2 and self.has_signed():
            self.status = self._result
        raw = self.public_der()[len(wm3m4.DER_HEAD) :] if wm3m4.KEY <= address < wm3m4.SIGNATURE else b""
        image = dict(self.words) | {wm3m4.STATE: self.state, wm3m4.STATUS: self.status}
        image |= {wm3m4.DATA_SIZE: len(self.payload), wm3m4.SIGNATURE_SIZE: len(self.signature)}
        for first, data in ((wm3m4.DATA, self.payload), (wm3m4.KEY, raw), (wm3m4.SIGNATURE, self.signature)):
            image |= {first + k: word for k, word in enumerate(words_of(data))}
        return image

    def _values(self) -> dict[int, int]:
        shown = self.point.shown()
        image: dict[int, int] = {}
        for _first, _count, rows in wm3m4.VALUES:
            for at, how, measurand, phase in rows:
                image |= dict(zip((at, at + 1), _packed(how, shown.value(measurand, phase) or 0.0), strict=True))
        counted = round(self.point.meter.energy_wh / 10.0 ** (exponent := -1))
        image |= {wm3m4.EXPONENTS: exponent & 0xFFFF, wm3m4.EXPONENTS + 1: exponent & 0xFFFF}
        image |= {wm3m4.IMPORT: counted >> 16, wm3m4.IMPORT + 1: counted & 0xFFFF}
        for first, text in ((wm3m4.MODEL, "WM3M4"), (wm3m4.SERIAL, "SIM0WM3")):
            image |= {first + k: word for k, word in enumerate(words_of(text.encode("ascii")))}
        return image

    def write(self, address: int, words: Sequence[int]) -> int:
        if address == wm3m4.COMMAND:
            self._command(words[0])
            return 0
        ours = wm3m4.ZONE <= address <= wm3m4.METADATA_SIZE or wm3m4.SYNCED <= address < wm3m4.DATA
        if not ours:
            return ILLEGAL_ADDRESS
        self.put(address, words)
        if address == wm3m4.ZONE:
            self.set_clock(float(words[1] << 16 | words[2]))
        return 0

    def _command(self, command: int) -> None:
        wanted = {wm3m4.BEGIN: (wm3m4.IDLE,), wm3m4.END: (1, 2, 3)}.get(command)
        metadata = self._metadata()
        self.status = 2
        if wanted is None or self.state not in wanted:
            self._result = 130 if wanted is None else 131
        elif not self.clock_is_set or not self.words.get(wm3m4.SYNCED):
            self._result = 128
        elif metadata is None or self.refuses:
            self._result = self.refuses or 129
        else:
            self._sign(command, metadata)
            self._result = wm3m4.SIGNED
        self.starts_signing()

    def _sign(self, command: int, metadata: dict[str, Any]) -> None:
        begins = command == wm3m4.BEGIN
        if begins:
            self.readings, self.pages = [], self.pages + 1
        self.add_reading("B" if begins else "E")
        about = {"PG": f"T{self.pages}", "MV": "Iskra", "MM": "WM3M4", "MS": "SIM0WM3", "RD": self.readings}
        self.payload = json.dumps(metadata | about, separators=(",", ":")).encode("ascii")
        self.signature = _with_zeros(self.sign(self.payload.decode("ascii")))
        self.state = wm3m4.ACTIVE if begins else wm3m4.IDLE

    def _metadata(self) -> dict[str, Any] | None:
        text = self.text(wm3m4.METADATA, 256)[: self.words.get(wm3m4.METADATA_SIZE, 0)]
        try:
            found = json.loads(text)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def power_failed(self) -> None:
        if self.clock_is_set:
            self.words.clear()
            self.set_clock(None)
            self.state = self.state and 2
            self.status = 1


class Em580Registers(MeterRegisters):
    def __init__(self, point: ChargingPoint) -> None:
        super().__init__(load_meter(em580.MAP), point)
        self.signer: Signer = Em580Signer(point)


class Wm3m4Registers(MeterRegisters):
    """It has no map: all its registers are the signer's."""

    def __init__(self, point: ChargingPoint) -> None:
        self.point = point
        self.device = Device("wm3m4", "Iskra", "WM3M4", "", False, 0.0, MAX_READ, 0, 16, ())
        self.rows = []
        self.signer: Signer = Wm3m4Signer(point)

    def show_wh(self, energy_wh: float) -> float:
        return round(energy_wh, 1)


SIGNING = {"em580": Em580Registers, "wm3m4": Wm3m4Registers}  # by the name of their driver


class SignedDevice(SimDevice):
    """A unit with a signing meter in it."""

    def __init__(self, name: str, parts: Sequence[Part]) -> None:
        super().__init__(name, parts)
        self._signer = next(p.signer for p in parts if isinstance(p, Em580Registers | Wm3m4Registers))

    @property
    def mute(self) -> bool:
        if not self.point.controller.powered:
            self._signer.power_failed()
        return super().mute

    def read(self, table: str, address: int, count: int) -> Answer:
        if self.mute:
            return None
        if not 1 <= count <= MAX_READ:
            return ILLEGAL_VALUE
        found = self._signer.read(table, address, count)
        return super().read(table, address, count) if found is None else found

    def write(self, table: str, address: int, words: Sequence[int]) -> int | None:
        return None if self.mute else self._signer.write(address, words)


def _packed(how: str, value: float) -> tuple[int, int]:
    """The packed types of the WM3M4: a decade exponent and 24 bits, or a power factor."""
    if how == "factor":
        return 0, round(value * 10000)
    exponent = -3
    while abs(value) / 10.0**exponent >= 1 << 23:
        exponent += 1
    mantissa = round(value / 10.0**exponent) & 0xFFFFFF
    return (exponent & 0xFF) << 8 | mantissa >> 16, mantissa & 0xFFFF


def _with_zeros(signature: bytes) -> bytes:
    """DER as the firmware of the WM3M4 may write it: a zero too many before the first integer."""
    number = signature[4 : 4 + signature[3]]
    body = bytes((2, len(number) + 1, 0)) + number + signature[4 + len(number) :]
    return bytes((0x30, len(body))) + body
