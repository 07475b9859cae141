"""Every line of the journal at WARNING or above names a fault of the catalogue, or a trouble of the table beside it.

The calls are read from the source: `log.warning`, `log.error` and `log.trouble`, and the `Note`s of the blocks whose
level may be one of these. A new one needs `fault=`, or its event a row in `agent/core/troubles.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.faults import CATALOGUE
from agent.core.troubles import EVENTS, TROUBLES, UNLISTED, Trouble, id_of, remedy_of

AGENT = Path(__file__).parents[2] / "agent"
LOUD = {"warning": 0, "error": 0, "trouble": 1}  # method -> where its event stands
LOGS = ("log", "_log", "book")


def loud(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.Call]]:
    """The event of each call that may write at WARNING or above, and the call."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id == "Note":
            level = node.args[0]
            if not (isinstance(level, ast.Constant) and level.value in ("info", "debug")):
                yield node.args[1], node
        for method in _methods(node.func):
            yield node.args[LOUD[method]], node


def _methods(func: ast.expr) -> Iterator[str]:
    """Also of `(log.error if bug else log.warning)(...)`."""
    if isinstance(func, ast.IfExp):
        yield from _methods(func.body)
        yield from _methods(func.orelse)
    elif isinstance(func, ast.Attribute) and func.attr in LOUD:
        owner = func.value
        name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
        if name in LOGS:
            yield func.attr


def names_its_fault(call: ast.Call) -> bool:
    said = {keyword.arg for keyword in call.keywords}
    words = {node.value for node in ast.walk(call) if isinstance(node, ast.Constant)}
    return "fault" in said or "FAULT" in words


def nameless(source: str) -> list[str]:
    found = []
    for event, call in loud(ast.parse(source)):
        if names_its_fault(call):
            continue
        if not isinstance(event, ast.Constant) or not isinstance(event.value, str):
            found.append(f"line {call.lineno}: {ast.unparse(event)} is no word that can be looked up")
        elif id_of(event.value) == UNLISTED:
            found.append(f"line {call.lineno}: {event.value} needs fault=, or a row in agent/core/troubles.py")
    return found


SOURCES = sorted(path for path in AGENT.rglob("*.py") if path.name != "log.py")


def test_every_warning_in_the_code_has_an_id() -> None:
    found = {str(path.relative_to(AGENT)): nameless(path.read_text("utf-8")) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        'self._log.warning("Nonsense", "x")',
        'd.log.error("Nonsense")',
        'log.trouble("key", "Nonsense")',
        'yield Note("warning", "Nonsense", "x")',
        'yield Note(level, "Nonsense", "x")',
        '(log.error if bug else log.warning)("Nonsense")',
    ],
)
def test_a_planted_warning_without_an_id_is_found(source: str) -> None:
    assert nameless(source)


def test_every_event_of_the_table_is_written_somewhere() -> None:
    written = {
        node.value
        for path in SOURCES
        if path.name != "troubles.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    of_the_log_itself = {"LogLost", "Library"}
    assert set(EVENTS) - written - of_the_log_itself == set()


@pytest.mark.parametrize("row", TROUBLES, ids=lambda row: str(row.id))
def test_every_trouble_says_what_it_is_and_what_to_do(row: Trouble) -> None:
    assert row.text and row.remedy and row.events
    assert row.id not in CATALOGUE
    assert remedy_of(row.id) == row.remedy


def test_no_event_and_no_id_stands_twice() -> None:
    events = [event for row in TROUBLES for event in row.events]
    assert len(events) == len(set(events))
    assert len({row.id for row in TROUBLES}) == len(TROUBLES)
