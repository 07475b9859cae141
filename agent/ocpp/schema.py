"""The payload check: the JSON schemas inside the package `ocpp`, compiled to closures as each message is first met.

Rules this file keeps
* Two measures. *Outbound* is the schema to the letter: what we send must be right by the specification. *Inbound* is
  calm: unknown members are let be, `300.0` is an integer, `null` in an optional member is the member's absence. In a
  response, where a refusal cannot be told to the peer and would lose the answer, a number in quotes is a number too.
* Inbound mends the payload in place (`300.0` becomes `300`, the optional `null` leaves), so a reader needs no care of
  its own. Members that no schema describes, thus the inside of `customData` and of DataTransfer `data`, stay untouched.
* Formats (date-time, uri) and multipleOf are not checked: times are read, and refused, where they are converted, and no
  float is a multiple of 0.1. Integers and numbers are held to 64 bits, so nothing behind this door can overflow.
* A reason never quotes the value: it may be a password.
* Equal sub-schemas become one closure, descriptions are dropped: a message costs a few kilobytes, once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from agent.core.record import record
from agent.ocpp.codes import Rule

Kind = Literal["request", "response"]

_LIMIT = 2**63
_NUMERAL = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?")


@record
class Violation:
    """The first thing wrong with a payload: the schema's word for the rule, why in words, and where."""

    rule: Rule
    why: str
    path: tuple[str | int, ...] = ()

    def under(self, key: str | int) -> Violation:
        return Violation(self.rule, self.why, (key, *self.path))

    def __str__(self) -> str:
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return f"{where[1:] or 'payload'} {self.why}"


Check = Callable[[object], Violation | None]
Schema = dict[str, Any]  # a JSON schema as the package ships it: trusted input


class Validator:
    """All messages of one version, by the name of the folder in the package `ocpp`: "v16", "v201"."""

    def __init__(self, folder: str, longest: Mapping[str, int] | None = None) -> None:
        """`longest`: texts in members of these names may be so long in what comes in."""
        self._longest = dict(longest or {})
        self._folder = _schemas(folder)
        self._files = {_message(path.stem): path.name for path in sorted(self._folder.glob("*.json"))}
        self._inbound: dict[tuple[str, Kind], Check] = {}
        self._outbound: dict[tuple[str, Kind], Check] = {}

    def knows(self, action: str) -> bool:
        """Whether the version has this action at all, done by this station or not."""
        return (action, "request") in self._files

    def inbound(self, action: str, kind: Kind, payload: object) -> Violation | None:
        """What is wrong with a payload that came in; mends it in place where that is all it needs."""
        check = self._inbound.get((action, kind))
        if check is None:
            if (action, kind) not in self._files:
                return Violation("unknown-action", "is of an unknown action")
            check = self._inbound[action, kind] = self._compile(action, kind, "mend" if kind == "request" else "coerce")
        return check(payload)

    def outbound(self, action: str, kind: Kind, payload: object) -> Violation | None:
        """What is wrong with a payload of our own making, to the letter of the schema."""
        check = self._outbound.get((action, kind))
        if check is None:
            if (action, kind) not in self._files:
                return Violation("unknown-action", "is of an unknown action")
            check = self._outbound[action, kind] = self._compile(action, kind, "strict")
        return check(payload)

    def _compile(self, action: str, kind: Kind, measure: Measure) -> Check:
        schema: Schema = json.loads((self._folder / self._files[action, kind]).read_bytes())
        return _Compiler(schema, measure, {} if measure == "strict" else self._longest).check


def _schemas(folder: str) -> Path:
    """The schema folder of an installed package that is found, and never imported: its dataclasses cost megabytes."""
    spec = find_spec("ocpp")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package 'ocpp', which carries the message schemas, is not installed")
    return Path(spec.submodule_search_locations[0]) / folder / "schemas"


def _message(stem: str) -> tuple[str, Kind]:
    """1.6 calls its files `Reset` and `ResetResponse`, later versions `ResetRequest` and `ResetResponse`."""
    if stem.endswith("Response"):
        return stem.removesuffix("Response"), "response"
    return stem.removesuffix("Request"), "request"


# --- the leaves: one constant for each way to be wrong, so that a healthy station allocates nothing here ---

Measure = Literal["strict", "mend", "coerce"]

_NOT_OBJECT = Violation("type", "must be an object")
_NOT_ARRAY = Violation("type", "must be an array")
_NOT_STRING = Violation("type", "must be a string")
_NOT_BOOLEAN = Violation("type", "must be a boolean")
_NOT_INTEGER = Violation("type", "must be an integer")
_NOT_NUMBER = Violation("type", "must be a number")


def _anything(value: object) -> None:
    """Opaque: the two parties agree on it elsewhere."""


def _boolean(value: object) -> Violation | None:
    return None if isinstance(value, bool) else _NOT_BOOLEAN


@cache
def _string(longest: int | None) -> Check:
    too_long = Violation("maxLength", f"must be at most {longest} characters")

    def check(value: object) -> Violation | None:
        if not isinstance(value, str):
            return _NOT_STRING
        return too_long if longest is not None and len(value) > longest else None

    return check


@cache
def _enumeration(words: tuple[str, ...]) -> Check:
    allowed = frozenset(words)
    sample = ", ".join(words[:5]) + (", ..." if len(words) > 5 else "")
    not_one = Violation("enum", f"must be one of {sample}")

    def check(value: object) -> Violation | None:
        if not isinstance(value, str):
            return _NOT_STRING
        return None if value in allowed else not_one

    return check


@cache
def _numeric(integer: bool, least: float | None, most: float | None) -> Check:
    wanted = int if integer else (int, float)
    wrong = _NOT_INTEGER if integer else _NOT_NUMBER
    low, high = -_LIMIT if least is None else least, _LIMIT - 1 if most is None else most
    below = Violation("minimum", f"must be at least {low}")
    above = Violation("maximum", f"must be at most {high}")

    def check(value: object) -> Violation | None:
        if not isinstance(value, wanted) or isinstance(value, bool):
            return wrong
        if low <= value <= high:
            return None
        if value < low:
            return below
        return above if value > high else wrong  # NaN is neither

    return check


# --- the branches ---


@cache
def _array(item_check: Check, fewest: int, most: int | None, measure: Measure) -> Check:
    too_few = Violation("minItems", f"must have at least {fewest} items")
    too_many = Violation("maxItems", f"must have at most {most} items")

    def check(value: object) -> Violation | None:
        if not isinstance(value, list):
            return _NOT_ARRAY
        if len(value) < fewest:
            return too_few
        if most is not None and len(value) > most:
            return too_many
        for index, item in enumerate(value):
            bad = item_check(item)
            if bad is not None:
                bad = _mended(value, index, item, bad, item_check, measure)
                if bad is not None:
                    return bad.under(index)
        return None

    return check


@cache
def _object(members: tuple[tuple[str, Check], ...], required: tuple[str, ...], closed: bool, measure: Measure) -> Check:
    checks = dict(members)
    closed = closed and measure == "strict"
    optional = frozenset() if measure == "strict" else frozenset(checks).difference(required)
    missing = {name: Violation("required", "is missing", (name,)) for name in required}

    def check(value: object) -> Violation | None:
        if not isinstance(value, dict):
            return _NOT_OBJECT
        for name in required:
            if name not in value:
                return missing[name]
        empty: list[str] = []
        for name, item in value.items():
            member_check = checks.get(name)
            if member_check is None:
                if closed:
                    return Violation("additionalProperties", "is not a member of this message", (name,))
                continue
            bad = member_check(item)
            if bad is None:
                continue
            if item is None and name in optional:
                empty.append(name)
                continue
            bad = _mended(value, name, item, bad, member_check, measure)
            if bad is not None:
                return bad.under(name)
        for name in empty:
            del value[name]
        return None

    return check


def _mended(
    owner: Any, key: str | int, item: object, bad: Violation, check: Check, measure: Measure
) -> Violation | None:
    """Put the number that was meant in the place of a float or a string if it then passes; else what is wrong."""
    if measure == "strict" or (bad is not _NOT_INTEGER and bad is not _NOT_NUMBER):
        return bad
    number: object = item
    if measure == "coerce" and isinstance(number, str) and _NUMERAL.fullmatch(number):
        number = float(number) if "." in number else int(number)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if number is item:
        return bad
    bad_still = check(number)
    if bad_still is None:
        owner[key] = number
    return bad_still


class _Compiler:
    """One schema to one closure. `$ref` points into `definitions`, which know no cycles."""

    def __init__(self, schema: Schema, measure: Measure, longest: Mapping[str, int]) -> None:
        self._longest = longest
        self._definitions: dict[str, Schema] = schema.get("definitions", {})
        self._compiled: dict[str, Check] = {}
        self._measure: Measure = measure
        self.check = self._of(schema)

    def _of(self, node: Schema) -> Check:
        if "$ref" in node:
            return self._reference(node["$ref"])
        if "enum" in node:
            return _enumeration(tuple(node["enum"]))
        return self._BY_TYPE[node.get("type")](self, node)

    def _reference(self, pointer: str) -> Check:
        name = pointer.removeprefix("#/definitions/")
        check = self._compiled.get(name)
        if check is None:
            check = self._compiled[name] = self._of(self._definitions[name])
        return check

    def _object(self, node: Schema) -> Check:
        members = tuple((name, self._member(name, member)) for name, member in node.get("properties", {}).items())
        closed = node.get("additionalProperties") is False
        return _object(members, tuple(node.get("required", ())), closed, self._measure)

    def _member(self, name: str, node: Schema) -> Check:
        longest = self._longest.get(name)
        return self._of(node) if longest is None or "maxLength" not in node else _string(longest)

    def _array(self, node: Schema) -> Check:
        return _array(self._of(node["items"]), node.get("minItems", 0), node.get("maxItems"), self._measure)

    def _string(self, node: Schema) -> Check:
        return _string(node.get("maxLength"))

    def _boolean(self, node: Schema) -> Check:
        return _boolean

    def _integer(self, node: Schema) -> Check:
        return _numeric(True, node.get("minimum"), node.get("maximum"))

    def _number(self, node: Schema) -> Check:
        return _numeric(False, node.get("minimum"), node.get("maximum"))

    def _opaque(self, node: Schema) -> Check:
        return _anything

    _BY_TYPE: ClassVar[dict[str | None, Callable[[_Compiler, Schema], Check]]] = {
        "object": _object,
        "array": _array,
        "string": _string,
        "boolean": _boolean,
        "integer": _integer,
        "number": _number,
        None: _opaque,
    }
