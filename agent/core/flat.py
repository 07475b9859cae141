"""Any value of the core as JSON types and back: what the flight recorder writes and a replay reads.

Texts, numbers, truth values and None are themselves. Everything else is a list that begins with its kind: `t` tuple,
`l` list, `d` dict (key, value, key, value ...), `s` set, `f` frozenset, `b` bytes in hex, else the class of a record, a
frozen dataclass or an enum, `core.events.Tick` or `api.Sample`, with its fields in their order. Rules kept:

* With a `Mask` no secret comes out: something else is made of every text that it knows as one, of every `Secret`, and
  of every text that stands beside the name of a password. The same text becomes the same mask, so that what is compared
  stays equal.
* What is read back is made of classes that the caller's `find` knows, and of nothing else; `Unreadable` otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from hashlib import sha256
from typing import Any

from agent.core.network import Secret
from agent.core.types import VariableId

Find = Callable[[str], Any]  # the class of this name, or what makes its values; None: not known
PLAIN = frozenset((bool, int, float, type(None)))
_PASSWORDS = ("password", "authorizationkey")
_DEEP = 60


class Unfit(TypeError):
    """A value of a class that has no flat form."""


class Unreadable(ValueError):
    """Not the flat form of a value, or of one that this version does not know."""


class Mask:
    """`secrets`: texts that must not come out, whatever they are part of."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = [secret for secret in secrets if secret]

    def text(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, masked(secret))
        return text


def masked(text: str) -> str:
    """In place of a secret: as long, of digits that say nothing but whether two are the same."""
    return (sha256(text.encode("utf-8", "replace")).hexdigest() * (1 + len(text) // 64))[: len(text)]


def kind_of(cls: type) -> str:
    """`core.events.Tick`, `api.Sample`."""
    return f"{cls.__module__.partition('.')[2]}.{cls.__qualname__}"


# --- out ----------------------------------------------------------------------------------------------------


def flat(value: Any, mask: Mask | None = None, beside_password: bool = False) -> Any:
    """JSON types. Raises `Unfit`."""
    cls = value.__class__
    if cls in PLAIN:
        return value
    if cls is str:
        return value if mask is None else masked(value) if beside_password and value else mask.text(value)
    making = _MAKE.get(cls) or _learn(cls)
    return making(value, mask, beside_password)


Make = Callable[[Any, Mask | None, bool], Any]


def _learn(cls: type) -> Make:
    """How values of this class are flattened; looked at once a class."""
    name = kind_of(cls)
    made: Make
    if issubclass(cls, Enum):
        made = lambda value, _mask, _beside: [name, value.value]  # noqa: E731
    elif hasattr(cls, "_defaults"):
        made = _record(name, cls)
    elif hasattr(cls, "__dataclass_params__") and cls.__dataclass_params__.frozen:
        made = _dataclass(name, cls)
    else:
        raise Unfit(f"{cls.__module__}.{cls.__qualname__}")
    _MAKE[cls] = made
    return made


def _record(name: str, cls: Any) -> Make:
    values, named = cls._values, "value" in cls._fields and any(f in ("variable", "id", "key") for f in cls._fields)

    def make(value: Any, mask: Mask | None, beside: bool) -> Any:
        found = values(value)
        beside = beside or (named and any(map(_names_password, found)))
        return [name, *[flat(one, mask, beside) for one in found]]

    return make


def _dataclass(name: str, cls: Any) -> Make:
    fields = tuple(cls.__dataclass_fields__)
    return lambda value, mask, beside: [name, *[flat(getattr(value, f), mask, beside) for f in fields]]


def _names_password(value: Any) -> bool:
    name = value.variable if isinstance(value, VariableId) else value
    return isinstance(name, str) and any(word in name.lower() for word in _PASSWORDS)


def _dict(value: dict[Any, Any], mask: Mask | None, beside: bool) -> list[Any]:
    out: list[Any] = ["d"]
    for key, one in value.items():
        out.append(flat(key, mask))
        out.append(flat(one, mask, beside or _names_password(key)))
    return out


def _many(kind: str) -> Make:
    return lambda value, mask, beside: [kind, *[flat(one, mask, beside) for one in value]]


def _unordered(kind: str) -> Make:
    return lambda value, mask, beside: [kind, *sorted((flat(one, mask, beside) for one in value), key=repr)]


_MAKE: dict[type, Make] = {
    tuple: _many("t"),
    list: _many("l"),
    dict: _dict,
    set: _unordered("s"),
    frozenset: _unordered("f"),
    bytes: lambda value, _mask, _beside: ["b", value.hex()],
    Secret: lambda value, mask, _beside: [kind_of(Secret), str(value) if mask is None else masked(value)],
}

# --- back ---------------------------------------------------------------------------------------------------


def unflat(value: Any, find: Find, depth: int = 0) -> Any:
    """What was flattened. Raises `Unreadable`."""
    if value.__class__ is not list:
        if value.__class__ is str or value.__class__ in PLAIN:
            return value
        raise Unreadable(f"a {type(value).__name__} in the place of a value")
    if not value or value[0].__class__ is not str or depth > _DEEP:
        raise Unreadable("a list without its kind")
    kind, *parts = value
    try:
        return _make(kind, [unflat(part, find, depth + 1) for part in parts], find)
    except (TypeError, ValueError) as error:
        raise Unreadable(f"{kind}: {error}") from None


def _make(kind: str, parts: list[Any], find: Find) -> Any:
    if kind in _BACK:
        return _BACK[kind](parts)
    cls: Any = find(kind)
    if cls is None or (isinstance(cls, type) and not _is_value(cls)):
        raise Unreadable(f"{kind} is no value that is known here")
    return cls(*parts)


def _is_value(cls: Any) -> bool:
    return issubclass(cls, Enum | Secret) or hasattr(cls, "_defaults") or hasattr(cls, "__dataclass_params__")


_BACK: dict[str, Callable[[list[Any]], Any]] = {
    "t": tuple,
    "l": list,
    "d": lambda parts: dict(zip(parts[::2], parts[1::2], strict=True)),
    "s": set,
    "f": frozenset,
    "b": lambda parts: bytes.fromhex(parts[0]),
}
