"""The compiled check against `jsonschema`, over generated and mutated payloads of every message (1.6, 2.0.1, 2.1).

Both measures: outbound must agree with the draft-04 validator to the rule and the path (multipleOf set apart, which the
check leaves out on purpose); inbound must accept all that a lenient oracle accepts, and leave a payload that the strict
oracle accepts but for unknown members. Failing payloads are printed with the seed's message name.
"""

from __future__ import annotations

import copy
import json
import random
from typing import Any, cast

import jsonschema
import pytest

from agent.ocpp.schema import Kind, Validator

ROUNDS = {"v16": 100, "v201": 30, "v21": 8}  # mutated payloads of each message
JUNK: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.0,
    2.5,
    "",
    "x",
    "x" * 10_001,
    [],
    [1],
    {},
    {"vendorId": "x"},
    1e9,
    "Accepted",
)

Path = tuple[str | int, ...]


class Payloads:
    """Random payloads of one schema: right ones, and right ones with a few things made wrong."""

    def __init__(self, schema: dict[str, Any], rng: random.Random) -> None:
        self._schema, self._rng = schema, rng

    def right(self) -> Any:
        return self._value(self._schema)

    def mutated(self) -> Any:
        payload = self.right()
        for _ in range(self._rng.randint(1, 2)):
            payload = self._mutate(payload)
        return payload

    def _value(self, node: dict[str, Any]) -> Any:
        if "$ref" in node:
            return self._value(self._schema["definitions"][node["$ref"].rpartition("/")[2]])
        if "enum" in node:
            return self._rng.choice(node["enum"])
        return getattr(self, "_" + node.get("type", "opaque"))(node)

    def _object(self, node: dict[str, Any]) -> Any:
        required = node.get("required", ())
        members = node.get("properties", {}).items()
        return {name: self._value(member) for name, member in members if name in required or self._rng.random() < 0.5}

    def _array(self, node: dict[str, Any]) -> Any:
        fewest = node.get("minItems", 0)
        most = node.get("maxItems", fewest + 2)
        count = most if self._rng.random() < 0.02 else min(most, self._rng.randint(fewest, fewest + 2))
        return [self._value(node["items"]) for _ in range(count)]

    def _string(self, node: dict[str, Any]) -> Any:
        return "ü" * self._rng.choice((0, 1, node.get("maxLength", 5)))

    def _boolean(self, node: dict[str, Any]) -> Any:
        return self._rng.random() < 0.5

    def _integer(self, node: dict[str, Any]) -> Any:
        return self._rng.randint(int(node.get("minimum", -3)), int(node.get("maximum", 10**6)))

    def _number(self, node: dict[str, Any]) -> Any:
        return self._rng.choice((node.get("minimum", -1.5), node.get("maximum", 10**6)))

    def _opaque(self, node: dict[str, Any]) -> Any:
        return self._rng.choice(JUNK)

    def _mutate(self, payload: Any) -> Any:
        places = list(_places(payload))
        if not places:
            return copy.deepcopy(self._rng.choice(JUNK))
        owner, key = self._rng.choice(places)
        kind = self._rng.choice(("replace", "replace", "remove", "add", "repeat"))
        if kind == "remove":
            del owner[key]
        elif kind == "add" and isinstance(owner, dict):
            owner["unknown"] = copy.deepcopy(self._rng.choice(JUNK))
        elif kind == "repeat" and isinstance(owner[key], list):
            owner[key] = owner[key] * self._rng.choice((2, 5))
        elif isinstance(owner[key], int) and self._rng.random() < 0.4:
            owner[key] = self._rng.choice((float(owner[key]), -owner[key], owner[key] + 10**7))
        else:
            owner[key] = copy.deepcopy(self._rng.choice(JUNK))
        return payload


def _places(value: Any) -> Any:
    """Every place in a payload that can be changed, as (owner, key)."""
    if isinstance(value, dict | list):
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from _places(item)


def _without(schema: Any, *words: str) -> Any:
    if isinstance(schema, dict):
        return {name: _without(item, *words) for name, item in schema.items() if name not in words}
    return schema


def _oracle_says(oracle: Any, payload: Any) -> set[tuple[str, Path]]:
    """Every error as (rule, path), with the name of the member in the path of a missing and of an unknown one."""
    found: set[tuple[str, Path]] = set()
    for error in oracle.iter_errors(payload):
        path = tuple(error.absolute_path)
        if error.validator == "required":
            found |= {("required", (*path, name)) for name in error.validator_value if name not in error.instance}
        elif error.validator == "additionalProperties":
            known = error.schema.get("properties", {})
            found |= {("additionalProperties", (*path, name)) for name in error.instance if name not in known}
        else:
            found.add((cast(str, error.validator), path))
    return found


def _messages(validator: Validator) -> list[tuple[str, Kind, dict[str, Any]]]:
    return [
        (*message, json.loads((validator._folder / name).read_bytes())) for message, name in validator._files.items()
    ]


@pytest.mark.parametrize("folder", ["v16", "v201", "v21"])
def test_outbound_agrees_with_the_oracle(folder: str) -> None:
    validator, rng, wrong = Validator(folder), random.Random(folder), 0
    for action, kind, schema in _messages(validator):
        oracle = jsonschema.Draft4Validator(_without(schema, "multipleOf"))
        payloads = Payloads(schema, rng)
        assert validator.outbound(action, kind, payloads.right()) is None, action
        for _ in range(ROUNDS[folder]):
            payload = payloads.mutated()
            violation, errors = validator.outbound(action, kind, payload), _oracle_says(oracle, payload)
            assert (violation is None) == (not errors), (action, kind, payload, violation, errors)
            if violation is not None:
                wrong += 1
                assert (violation.rule, violation.path) in errors, (action, kind, payload, violation, errors)
    assert wrong > 1000


@pytest.mark.parametrize("folder", ["v16", "v201", "v21"])
def test_inbound_agrees_with_the_oracle(folder: str) -> None:
    validator, rng, mended = Validator(folder), random.Random(folder + "in"), 0
    for action, kind, schema in _messages(validator):
        relaxed = _without(schema, "multipleOf", "additionalProperties")
        strict, lenient = jsonschema.Draft4Validator(relaxed), jsonschema.Draft6Validator(relaxed)
        payloads = Payloads(schema, rng)
        for _ in range(ROUNDS[folder]):
            payload = payloads.mutated()
            before = copy.deepcopy(payload)
            violation = validator.inbound(action, kind, payload)
            if violation is None:
                assert strict.is_valid(payload), (action, kind, before, payload)
                mended += repr(payload) != repr(before)
            else:
                assert not lenient.is_valid(before), (action, kind, before, violation)
    assert mended > 20
