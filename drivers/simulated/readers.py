"""Simulated card readers, each on its own pseudo-terminal.

An RDM6300 repeats its frame every 50 ms while the card is in its field; a line reader and a Wiegand converter say a
card once; a PN532, SL025 or ACS reader tells it when it is asked (`asked_readers.py`). What the card bears is sent as
it is: a tag that the reader's format cannot carry is refused, never bent.
"""

from __future__ import annotations

import asyncio
import string
from collections.abc import Callable

from drivers.simulated.asked_readers import ASKED, SENS_RES
from drivers.simulated.plan import SimReader
from drivers.simulated.port import Port

REPEAT_S = 0.05
IN_FIELD_S = 0.5  # how long a hand holds a card there
LINE_MAX = 64
CARD_BYTES = 5
WIEGAND_DIGITS = (6, 8)  # of a card's number in hexadecimal: 26 and 34 bits with their parity


def rdm6300_frame(tag: str, form: str = "hex10") -> bytes:
    """STX, ten hex digits, the XOR of the five bytes as two digits, ETX; ValueError for what is no such card."""
    length, digits_of, example = _FORMS[form]
    try:
        card = bytes.fromhex(digits_of(tag)) if len(tag) == length and tag.isalnum() else b""
    except ValueError:
        card = b""
    if len(card) != CARD_BYTES:
        raise ValueError(f"a card at an rdm6300 reader that tells {form} looks like {example}, not {tag!r}")
    check = 0
    for byte in card:
        check ^= byte
    return b"\x02" + (card + bytes((check,))).hex().upper().encode() + b"\x03"


_FORMS: dict[str, tuple[int, Callable[[str], str], str]] = {  # form -> length of a tag, its ten hex digits, an example
    "hex10": (10, lambda tag: tag, "010063E9AE"),
    "hex8": (8, lambda tag: "01" + tag, "0063E9AE"),
    "decimal10": (10, lambda tag: f"01{int(tag):08x}", "0006547886"),
}


def ascii_line(tag: str, _form: str = "") -> bytes:
    """The tag and CR LF; ValueError for what is no line of printable ASCII."""
    if not tag or len(tag) > LINE_MAX or not tag.isascii() or not tag.isprintable():
        raise ValueError(f"a card at a line reader has 1 to {LINE_MAX} printable ASCII characters")
    return tag.encode() + b"\r\n"


def wiegand_line(tag: str, form: str = "hex") -> bytes:
    """The number in the converter's form, and CR LF."""
    if len(tag) not in WIEGAND_DIGITS or any(c not in string.hexdigits for c in tag):
        raise ValueError(f"a card at a wiegand reader looks like 7B1234 or 04A1B2C3, not {tag!r}")
    number = int(tag, 16)
    shown = {"hex": tag, "decimal": str(number), "facility": f"{number >> 16},{number & 0xFFFF}"}
    return shown[form].encode() + b"\r\n"


def uid_of(tag: str) -> bytes:
    """The bytes of a card's UID; ValueError for what is none."""
    if len(tag) // 2 not in SENS_RES or len(tag) % 2 or any(c not in string.hexdigits for c in tag):
        raise ValueError(f"a card at this reader has a UID of 4, 7 or 10 bytes such as 04A1B2C3, not {tag!r}")
    return bytes.fromhex(tag)


FORMATS: dict[str, tuple[Callable[[str, str], bytes], int]] = {  # kind -> frame, how often a card is said
    "rdm6300": (rdm6300_frame, int(IN_FIELD_S / REPEAT_S)),
    "ascii_line": (ascii_line, 1),
    "wiegand": (wiegand_line, 1),
}
FORMS = {"rdm6300": tuple(_FORMS), "wiegand": ("hex", "decimal", "facility")}


def _reversed(tag: str) -> str:
    """The bytes of a hexadecimal tag turned round; other text as it is."""
    if len(tag) % 2 or any(c not in string.hexdigits for c in tag):
        return tag
    return "".join(tag[k : k + 2] for k in range(len(tag) - 2, -1, -2))


class CardReader:
    """One reader: `tap` puts a card into its field and returns with the first frame sent."""

    def __init__(self, plan: SimReader) -> None:
        if plan.kind not in (*FORMATS, *ASKED):
            raise ValueError(f"reader {plan.kind!r} cannot be simulated; known are {', '.join((*FORMATS, *ASKED))}")
        if plan.form not in FORMS.get(plan.kind, (plan.form,)):
            raise ValueError(f"reader form {plan.form!r} is not known; use one of {', '.join(FORMS[plan.kind])}")
        self.plan = plan
        self.port = Port(plan.port, self._heard)
        self._timer: asyncio.TimerHandle | None = None
        self._stream = b""
        self._uid = b""  # of the card in the field, for a reader that is asked

    def serves(self, evses: tuple[int, ...]) -> bool:
        return not self.plan.evses or set(evses) <= set(self.plan.evses)

    def open(self) -> None:
        self.port.open()

    def close(self) -> None:
        self.take_away()
        self.port.close()

    def take_away(self) -> None:
        """The card leaves the field."""
        self._uid = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tap(self, tag: str) -> None:
        bears = _reversed(tag) if self.plan.reverse else tag
        said = None if self.plan.kind in ASKED else FORMATS[self.plan.kind][0](bears, self.plan.form)
        uid = b"" if said else uid_of(bears)
        if not self.port.is_open:
            raise ValueError(f"the reader at {self.plan.port} is gone")
        self.take_away()
        if said is not None:
            self._say(said, FORMATS[self.plan.kind][1])
            return
        self._uid = uid
        self._timer = asyncio.get_running_loop().call_later(IN_FIELD_S, self.take_away)

    def _heard(self, data: bytes) -> None:
        """A question for a reader that is asked; the others hear nothing."""
        answer = ASKED.get(self.plan.kind)
        if answer is None:
            return
        left, self._stream = None, self._stream + data
        while left != self._stream:
            left = self._stream
            said, self._stream = answer(left, self._uid)
            if said:
                self.port.write(said)

    def _say(self, frame: bytes, times: int) -> None:
        self._timer = None
        self.port.write(frame)
        if times > 1:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(REPEAT_S, self._say, frame, times - 1)
