"""The device model: every variable that the station has, its rules, and whose value counts.

Layers, the stronger first: pinned by the protocol version in use, set by the CSMS (remembered over restarts), given in
the configuration file, preset by the protocol version, default of the catalogue. Names compare without regard to case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from agent.core.record import record
from agent.core.types import Instant, Mutability, SetStatus, VariableId, VariableView

RO, WO, RW = Mutability.READ_ONLY, Mutability.WRITE_ONLY, Mutability.READ_WRITE
MAX_TEXT = 2500  # the longest attribute value of OCPP


@record
class Row:
    """One variable: `kind` is an OCPP DataEnumType word; `values` limits lists and options; `default` "": unset."""

    id: VariableId
    kind: str
    default: str
    mutability: Mutability = RW
    unit: str = ""
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    reboot: bool = False  # a new value counts after a restart only
    required: bool = False


class Variables:
    """All variables of one station. Typed getters assume what the catalogue promises: a wrong key is a bug."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[str, Row] = {str(row.id).lower(): row for row in rows}
        self._computed: dict[str, Callable[[Instant], str]] = {}
        self._owned: dict[str, Callable[[str], SetStatus]] = {}
        self._layers: dict[str, dict[str, str]] = {name: {} for name in ("pin", "csms", "config", "preset")}
        self.layered = 0  # counts the calls of `layer`: whoever keeps a copy of the layers knows when it is old
        self._found: dict[str, str] = {}  # what `text` has looked up since the last change: each step asks for a dozen

    # --- reading -------------------------------------------------------------------------------------------------

    def text(self, key: str) -> str:
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._look_up(key.lower())
        return found

    def _look_up(self, low: str) -> str:
        for layer in self._layers.values():
            if low in layer:
                return layer[low]
        return self._rows[low].default

    def flag(self, key: str) -> bool:
        return self.text(key) == "true"

    def number(self, key: str) -> float:
        return float(self.text(key) or 0)

    def members(self, key: str) -> tuple[str, ...]:
        return tuple(part for part in self.text(key).split(",") if part)

    def rows(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def row(self, id_: VariableId) -> Row | None:
        return self._rows.get(str(id_).lower())

    def find(self, name: str) -> Row | None:
        """The row that a written name such as "TxCtrlr.EVConnectionTimeOut" means."""
        return self._rows.get(name.lower())

    def source(self, key: str) -> str:
        """Whose value counts: "pin", "csms", "config", "preset" or "default"."""
        return next((name for name, layer in self._layers.items() if key.lower() in layer), "default")

    def compute(self, key: str, value: Callable[[Instant], str]) -> None:
        """Let a read-only variable be worked out when it is asked for."""
        assert key.lower() in self._rows, key
        self._computed[key.lower()] = value

    def own(self, key: str, take: Callable[[str], SetStatus]) -> None:
        """Let writes of the CSMS go to a block, which keeps the value itself and knows when it counts."""
        assert key.lower() in self._rows, key
        self._owned[key.lower()] = take

    def is_owned(self, id_: VariableId) -> bool:
        return str(id_).lower() in self._owned

    def view(self, id_: VariableId, now: Instant) -> VariableView:
        low = str(id_).lower()
        row = self._rows.get(low)
        if row is None:
            return VariableView(id_, self._unknown(id_))
        if row.mutability is WO:
            return VariableView(row.id, SetStatus.REJECTED, None, WO, row.kind)
        value = self._computed[low](now) if low in self._computed else self.text(low)
        return VariableView(
            row.id, SetStatus.ACCEPTED, value, row.mutability, row.kind, row.unit, row.values, row.minimum, row.maximum
        )

    def _unknown(self, id_: VariableId) -> SetStatus:
        component = id_.component.lower()
        known = any(
            row.id.component.lower() == component and (row.id.evse, row.id.connector) == (id_.evse, id_.connector)
            for row in self._rows.values()
        )
        return SetStatus.UNKNOWN_VARIABLE if known else SetStatus.UNKNOWN_COMPONENT

    # --- writing -------------------------------------------------------------------------------------------------

    def layer(self, name: str, values: Mapping[str, str]) -> list[str]:
        """Replace a whole layer; returns a plain sentence for each value that was left out because it does not fit."""
        taken: dict[str, str] = {}
        complaints = []
        for key, value in values.items():
            row = self.find(key)
            fitted = fit(row, value) if row else None
            if fitted is None:
                complaints.append(f"{key}: " + (f"{value!r} is no {expected(row)}" if row else "no such variable"))
            else:
                taken[key.lower()] = fitted
        self._layers[name] = taken
        self.layered += 1
        self._found.clear()
        return complaints

    def layers(self) -> dict[str, dict[str, str]]:
        """Those that `layer` replaces, as they are now."""
        return {name: dict(values) for name, values in self._layers.items() if name != "csms"}

    def write(self, id_: VariableId, value: str) -> SetStatus:
        """A write by the CSMS; on Accepted or RebootRequired the caller remembers `stored(id_)`."""
        row = self.row(id_)
        if row is None:
            return self._unknown(id_)
        low = str(id_).lower()
        fitted = fit(row, value)
        if row.mutability is RO or low in self._layers["pin"] or fitted is None:
            return SetStatus.REJECTED
        if low in self._owned:
            return self._owned[low](fitted)
        self._layers["csms"][low] = fitted
        self._found.clear()
        return SetStatus.REBOOT_REQUIRED if row.reboot else SetStatus.ACCEPTED

    def restore(self, row: Row, value: str) -> bool:
        """Take up what was written in an earlier process, also when it is pinned for now; False if it fits no more."""
        fitted = fit(row, value)
        if row.mutability is RO or fitted is None:
            return False
        self._layers["csms"][str(row.id).lower()] = fitted
        return True

    def unset(self, id_: VariableId) -> bool:
        """Take back what was written; False if nothing was, or a block keeps it."""
        low = str(id_).lower()
        if low in self._owned or self._layers["csms"].pop(low, None) is None:
            return False
        self._found.clear()
        return True

    def stored(self, id_: VariableId) -> str:
        return self._layers["csms"][str(id_).lower()]


def fit(row: Row, value: str) -> str | None:
    """The value in normal form, or None when it breaks the row's rules."""
    if len(value) > MAX_TEXT:
        return None
    return _FITTERS[row.kind](row, value)


def expected(row: Row) -> str:
    """What a value has to be, for people."""
    what = {"boolean": "true or false", "integer": "whole number", "decimal": "number"}.get(row.kind, row.kind)
    if row.values:
        what += " of " + ", ".join(row.values)
    bounds = [
        f"from {row.minimum:g}" if row.minimum is not None else "",
        f"to {row.maximum:g}" if row.maximum is not None else "",
    ]
    return " ".join(part for part in (what, *bounds) if part)


def _fit_boolean(_row: Row, value: str) -> str | None:
    low = value.strip().lower()
    return low if low in ("true", "false") else None


def _fit_number(row: Row, value: str, kind: type[int] | type[float]) -> str | None:
    try:
        number = kind(value.strip())
    except ValueError:
        return None
    if (
        not (row.minimum if row.minimum is not None else -1e12)
        <= number
        <= (row.maximum if row.maximum is not None else 1e12)
    ):
        return None
    return str(number)


def _fit_integer(row: Row, value: str) -> str | None:
    return _fit_number(row, value, int) if len(value) < 20 and value.isascii() and "_" not in value else None


def _fit_decimal(row: Row, value: str) -> str | None:
    return _fit_number(row, value, float) if len(value) < 30 and value.isascii() and "_" not in value else None


def _fit_option(row: Row, value: str) -> str | None:
    canonical = {v.lower(): v for v in row.values}
    return canonical.get(value.strip().lower()) if row.values else value


def _fit_list(row: Row, value: str) -> str | None:
    canonical = {v.lower(): v for v in row.values}
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if row.values and any(part.lower() not in canonical for part in parts):
        return None
    unique = dict.fromkeys(canonical.get(part.lower(), part) for part in parts)
    if not (row.minimum or 0) <= len(unique) <= (row.maximum if row.maximum is not None else MAX_TEXT):
        return None
    return ",".join(unique)


def _fit_string(row: Row, value: str) -> str | None:
    size = len(value)
    short = row.minimum is not None and size < row.minimum
    return None if short or (row.maximum is not None and size > row.maximum) or not value.isprintable() else value


_FITTERS: dict[str, Callable[[Row, str], str | None]] = {
    "boolean": _fit_boolean,
    "integer": _fit_integer,
    "decimal": _fit_decimal,
    "OptionList": _fit_option,
    "MemberList": _fit_list,
    "SequenceList": _fit_list,
    "string": _fit_string,
    "dateTime": _fit_string,
}
