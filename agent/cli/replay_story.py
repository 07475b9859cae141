"""A flight recording in words: a line for what happened, and one for each thing that followed from it.

Values are shown by the names of their fields; card numbers lose all but their end, as everywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from agent.core.effects import Ask, Effect, Forget, Note, Offer, Record, Remember, Reply
from agent.core.events import MeterRead, Tick
from agent.core.types import Instant
from drivers.api import IdToken, Measurand, shorten

if TYPE_CHECKING:
    from agent.cli.replay_run import Played

WIDTH = 118
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = 253402300799.0
_WAYS = {"<": "from the CSMS", ">": "to the CSMS", "=": "link"}


def moment(utc: float, digits: str = "seconds") -> str:
    at = _EPOCH + timedelta(seconds=min(max(utc, 0.0), _LATEST) if utc == utc else 0.0)  # NaN differs from itself
    return at.replace(tzinfo=None).isoformat(" ", digits)


def told(played: Played, *, everything: bool, evse: int | None) -> str:
    """Its lines, or "" when it is not worth any."""
    try:
        if evse is not None and not _is_about(played, evse):
            return ""
        return "\n".join(line[:WIDTH].rstrip() for line in _KINDS[played.kind](played, everything))
    except Exception as error:  # noqa: BLE001  the values of a doctored file may be anything
        return f"    a {played.kind} that cannot be told: {_clean(str(error))}"[:WIDTH]


def _is_about(played: Played, evse: int) -> bool:
    if played.kind == "head":
        return True
    if played.kind == "bus":
        return re.search(rf"\bEVSE {evse}\b", played.text) is not None
    values = (played.event, *played.effects)
    return any(evse == getattr(value, "evse", None) or evse in getattr(value, "evses", ()) for value in values)


def _head(played: Played, _everything: bool) -> Iterator[str]:
    yield f"--- {moment(played.utc)} UTC, version {played.version}: the recording begins here"
    if played.text:
        yield f"    it cannot be replayed: {played.text}"


def _step(played: Played, everything: bool) -> Iterator[str]:
    follows = [text for effect in played.effects if (text := _effect(effect, everything))]
    event = played.event
    quiet = isinstance(event, MeterRead | Tick)
    if not (everything or follows or not quiet):
        return
    yield f"{_clock(played.utc)}  {_shown(event)}"
    yield from (f"              -> {text}" for text in follows)


def _bug(played: Played, _everything: bool) -> Iterator[str]:
    yield f"{_clock(played.utc)}  {_shown(played.event)}"
    yield f"              !! the agent met a bug here and ended: {played.text}"


def _frame(played: Played, _everything: bool) -> Iterator[str]:
    yield f"{_clock(played.utc)}  {_WAYS.get(played.way, '?')}: {_frame_words(played)}"


def _frame_words(played: Played) -> str:
    if played.way == "=":
        return _clean(played.text)
    try:
        parts = json.loads(played.text)
        words = [str(part) for part in parts[2:-1]] if parts[0] in (2, 4) else ["answer"]
        return _clean(" ".join([*words, json.dumps(parts[-1], ensure_ascii=False, separators=(",", ":"))]))
    except (ValueError, TypeError, IndexError, KeyError, RecursionError):
        return _clean(played.text)


def _bus(played: Played, everything: bool) -> Iterator[str]:
    """What went well is for whoever looks closely."""
    if everything or played.way:
        yield f"{_clock(played.utc)}  device: {_clean(played.text)}"


def _unreadable(played: Played, _everything: bool) -> Iterator[str]:
    yield f"    not to be read, and nothing after it can be replayed: {_clean(played.text)}"


_KINDS: dict[str, Any] = {
    "head": _head,
    "step": _step,
    "bug": _bug,
    "frame": _frame,
    "bus": _bus,
    "unreadable": _unreadable,
}


def _clock(utc: float) -> str:
    return moment(utc, "milliseconds")[11:]


# --- values -------------------------------------------------------------------------------------------------


def _effect(effect: Effect, everything: bool) -> str:
    if isinstance(effect, Note):
        return "" if effect.level == "debug" and not everything else f"{effect.level}: {_clean(effect.text)}"
    if isinstance(effect, Offer):
        return f"offers {effect.current_a:g} A at EVSE {effect.evse}"
    if isinstance(effect, Record):
        event = effect.event
        return f"journal: {event.kind} {event.seq} of {event.transaction}, {event.trigger}, {event.energy_wh} Wh"
    if isinstance(effect, Ask):
        return f"to tell the CSMS: {_shown(effect.call)}"
    if isinstance(effect, Reply):
        return f"answers: {_shown(effect.answer)}"
    if isinstance(effect, Remember | Forget):
        return _shown(effect) if everything else ""
    return _shown(effect)


def _shown(value: Any) -> str:
    return _clean(_words(value, 0))


def _words(value: Any, depth: int) -> str:
    """`Name field=value ...`, of a record and of those within it."""
    if isinstance(value, IdToken):
        return f"card {shorten(value.value)}"
    if isinstance(value, MeterRead):
        return f"MeterRead evse={value.evse} {_meter(value)}"
    names = getattr(value, "_fields", None) or tuple(getattr(value, "__dataclass_fields__", ()))
    if names and depth < 4:
        fields = ((name, getattr(value, name)) for name in names)
        shown = [f"{name}={_words(one, depth + 1)}" for name, one in fields if not _is_dull(one)]
        return f"{type(value).__name__}{' ' if depth == 0 else '('}{' '.join(shown)}{'' if depth == 0 else ')'}"
    if isinstance(value, tuple | list):
        return f"[{' '.join(_words(one, depth + 1) for one in value[:8])}{' ...' if len(value) > 8 else ''}]"
    if isinstance(value, float):
        return f"{value:.10g}"
    return str(value) if isinstance(value, str | int) or value is None else type(value).__name__


def _is_dull(value: Any) -> bool:
    """Not worth its place in a line; the moment stands at its beginning."""
    return value is None or value == "" or value == () or isinstance(value, Instant)


def _meter(value: MeterRead) -> str:
    wanted = {Measurand.ENERGY_ACTIVE_IMPORT_REGISTER: "Wh", Measurand.POWER_ACTIVE_IMPORT: "W"}
    return " ".join(
        f"{sample.value:.0f} {wanted[sample.measurand]}"
        for sample in value.samples
        if sample.measurand in wanted and sample.phase is None
    )


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
