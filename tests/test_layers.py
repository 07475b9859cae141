"""Who may import whom, read from the source itself: imports inside functions and for types only count as well.

The rule of a file is that of the longest prefix of its module name in `RULES`. It names what the layer may use of ours,
of other people's packages, and which parts of the standard library it may not. Whatever is not named is not allowed.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for top in ("agent", "drivers") for path in (ROOT / top).rglob("*.py"))
OURS = ("agent", "drivers")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
LONGER: dict[str, int] = {}
VERSION_WORDS = re.compile(r"\b1\.6\b|2\.0\.1|\bv16\b|\bv201\b|ocpp1|ocpp2", re.IGNORECASE)

OUTSIDE_WORLD = (  # what a pure layer never touches
    *("asyncio", "time", "random", "secrets", "os", "io", "pathlib", "tempfile", "shutil", "sqlite3", "logging"),
    *("socket", "ssl", "select", "selectors", "signal", "subprocess", "threading", "multiprocessing", "concurrent"),
    *("sys", "gc", "uuid"),
)
WIRE = tuple(name for name in OUTSIDE_WORLD if name != "pathlib")  # the schema files are read from the package `ocpp`


@dataclass(frozen=True, slots=True)
class Rule:
    """`ours`: modules or packages of this project; `others`: packages of other people; `not_std`: not of stdlib."""

    ours: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    not_std: tuple[str, ...] = ()
    only_std: tuple[str, ...] | None = None  # if given, nothing else of stdlib


BASE = ("agent.errors", "agent.log", "agent.clock")
CONFIG = ("agent.config", "agent.config_toml", "agent.config_keys", "agent.config_checks", "agent.core.record")
EVERYTHING = Rule(("agent", "drivers"), ("tomli",))
RULES: dict[str, Rule] = {
    "drivers": Rule(("drivers",), ("pymodbus", "serial", "tomli", "gpiod")),
    "drivers.simulated.signed": Rule(("drivers",), ("cryptography",)),  # a simulated meter signs with a real key
    "drivers.record": Rule(only_std=("__future__", "typing", "operator")),
    "drivers.api": Rule(("drivers.record",), only_std=("__future__", "typing", "enum", "dataclasses", "collections")),
    "agent.core": Rule(("agent.core", "drivers.api", "drivers.record"), not_std=OUTSIDE_WORLD),
    "agent.blocks": Rule(("agent.core", "agent.blocks", "drivers.api"), not_std=OUTSIDE_WORLD),
    "agent.ocpp": Rule(("agent.core", "agent.ocpp", "agent.errors", "drivers.api"), not_std=WIRE),
    "agent.store": Rule(
        ("agent.core", "agent.store", "agent.errors", "drivers.api"), not_std=("asyncio", "socket", "ssl", "random")
    ),
    "agent.edge": Rule(
        ("agent.core", "agent.edge", "agent.ocpp.rpc", *BASE, "drivers.api"),
        ("websockets", "systemd", "cryptography", "asyncssh"),
        ("sqlite3",),
    ),
    "agent.runtime": Rule(
        (
            "agent.core",
            "agent.blocks.station",
            "agent.durable",
            "agent.ocpp",
            "agent.orders",
            "agent.store",
            "agent.timekeeping",
            *BASE,
            "drivers.api",
        ),
        not_std=("socket", "ssl", "sqlite3", "random", "time"),
    ),
    "agent.durable": Rule(
        ("agent.core", "agent.ocpp.outbox", "agent.store", "agent.errors"),
        not_std=("socket", "ssl", "sqlite3", "random", "time"),
    ),
    "agent.timekeeping": Rule(
        ("agent.core", "agent.durable"), not_std=("asyncio", "socket", "ssl", "sqlite3", "random", "time")
    ),
    "agent.errors": Rule(not_std=OUTSIDE_WORLD),
    "agent.log": Rule(("agent.errors", "agent.core.troubles"), ("systemd",)),
    "agent.clock": Rule(("agent.core.types",)),
    "agent.worker": Rule(),
    "agent.recording_mask": Rule(not_std=OUTSIDE_WORLD),
    "agent.overhearing": EVERYTHING,
    "agent.resetting": EVERYTHING,
    "agent.workbench": EVERYTHING,
    "agent.recording": Rule(
        (
            *("agent.core", "agent.blocks.station", "agent.blocks.image", "agent.store.recorder"),
            *("agent.recording_mask", "agent.worker"),
        ),
        not_std=("socket", "ssl", "sqlite3", "random", "time"),
    ),
    "agent.recording_bus": Rule(("drivers.busstats", "drivers.overheard"), not_std=OUTSIDE_WORLD),
    "agent.errands": Rule(("agent.core",)),
    "agent.orders": Rule(("agent.core",)),
    "agent.vendors": Rule(("agent.core", "agent.worker")),
    # The configuration knows drivers and maps by name; nothing of a driver runs before the agent is built.
    "agent.config": Rule(
        (*CONFIG, "agent.config_composed", "agent.config_csms", "agent.config_firmware", "agent.errors")
    ),
    "agent.config_composed": Rule((*CONFIG, "agent.errors")),
    "agent.config_csms": Rule((*CONFIG, "agent.config_quirks", "agent.ocpp.quirks", "agent.errors")),
    "agent.config_quirks": Rule(("agent.config_keys", "agent.config_toml", "agent.ocpp.quirks", "drivers.api")),
    "agent.config_checks": Rule((*CONFIG, "agent.config_composed", "agent.errors", "drivers.api", "drivers.registry")),
    "agent.config_firmware": Rule(("agent.config_keys", "agent.config_toml", "agent.core.record")),
    "agent.config_socket": Rule(("agent.config_keys", "agent.config_toml")),
    "agent.config_keys": Rule(("agent.config_toml",)),
    "agent.config_toml": Rule(("agent.errors",), ("tomli",)),
    "agent.config_variables": Rule((*CONFIG, "agent.core", "agent.ocpp.v16.keys", "agent.errors")),
    "agent.cli": Rule(
        ("agent.core.types", "agent.cli", "agent.config_socket", "agent.errors"), not_std=("asyncio", "sqlite3")
    ),
    # Makes the checks of the agent's start without starting it, register maps included.
    "agent.cli.check": Rule(
        (
            *(
                "agent.cli",
                "agent.config",
                "agent.config_socket",
                "agent.config_toml",
                "agent.config_composed",
                "agent.config_variables",
                "agent.errors",
            ),
            *("agent.composing", "agent.core.record"),
            *("drivers.api", "drivers.registry", "drivers.regmap", "drivers.mapwords"),
        )
    ),
    # Where no agent answers, the files are read that it has left.
    "agent.cli.bundle": Rule(
        ("agent.cli", "agent.config_socket", "agent.errors", "agent.support_offline"), not_std=("asyncio", "sqlite3")
    ),
    # The core on a desk, fed from a file.
    "agent.cli.plug_steps": Rule(("agent.core.faults",), not_std=("asyncio", "sqlite3")),
    "agent.cli.log": Rule(("agent.cli", "agent.errors", "agent.core.troubles"), not_std=("asyncio", "sqlite3")),
    "agent.cli.replay": Rule(("agent.cli", "agent.errors", "agent.store.recorder"), not_std=("asyncio", "sqlite3")),
    "agent.cli.replay_run": Rule(("agent.core", "agent.blocks", "drivers.api"), not_std=("asyncio", "sqlite3")),
    "agent.cli.replay_story": Rule(("agent.cli", "agent.core", "drivers.api"), not_std=("asyncio", "sqlite3")),
    **{  # of the running agent, and with a second word a tool for the bench
        f"agent.cli.{verb}": Rule(("agent.cli", "agent.errors"), not_std=("asyncio", "sqlite3"))
        for verb in ("evse", "meter")
    },
    "agent.cli.check_devices": Rule(("agent.config", "agent.errors", "drivers.mapwords")),
    # Tools for a bench without an agent: words and tables around `drivers.probe`.
    "agent.cli.bench": Rule(
        (*("agent.cli", "agent.errors", "drivers.api", "drivers.bus", "drivers.mapwords", "drivers.probe"),),
        not_std=("asyncio", "sqlite3"),
    ),
    # The controller of a configuration is built as the agent builds it.
    "agent.cli.bench.controller": EVERYTHING,
    "agent.doctor": Rule(EVERYTHING.ours, ("websockets",)),
    # The composition root, and what it is cut into.
    "agent.daemon": EVERYTHING,
    "agent.network": EVERYTHING,
    "agent.setup": EVERYTHING,
    "agent.parts": EVERYTHING,
    "agent.composing": EVERYTHING,
    "agent.updates": EVERYTHING,
    "agent.custody": EVERYTHING,
    "agent.report": EVERYTHING,
    "agent.report_details": EVERYTHING,
    "agent.report_access": Rule(("agent.core.types", "agent.blocks", "drivers.api")),
    "agent.support": EVERYTHING,
    "agent.support_offline": EVERYTHING,
    "agent.technician": EVERYTHING,
    "agent.demo": Rule(EVERYTHING.ours, ("tomli", "websockets")),
    "agent.__main__": EVERYTHING,
    "agent.__init__": Rule(),
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def rule_of(module: str) -> Rule | None:
    parts = module.split(".")
    if len(parts) == 2 and parts[0] == "agent" and module not in RULES:
        return None  # a new module directly in agent/ wants a rule of its own
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((RULES[name] for name in names if name in RULES), None)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that this source may load, as fully as it is named."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            assert node.module is not None
            yield from (_fully(node.module, alias.name) for alias in node.names)


def _fully(module: str, name: str) -> str:
    inner = f"{module}.{name}"
    return inner if module.split(".")[0] in OURS and is_module(inner) else module


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def forbidden(module: str, name: str, rule: Rule) -> bool:
    if within(name, OURS):
        return not (within(name, rule.ours) or name in OURS)  # the bare package: its version and its place only
    if name.split(".")[0] in sys.stdlib_module_names:
        return within(name, rule.not_std) or (rule.only_std is not None and not within(name, rule.only_std))
    return not within(name, rule.others)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    module = module_of(path)
    rule = rule_of(module)
    assert rule is not None, f"{module} belongs to no layer: give it a rule"
    tree = ast.parse(path.read_text("utf-8"))
    assert [name for name in imported(tree) if forbidden(module, name, rule)] == []


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_the_heavy_packages_are_never_loaded(path: Path) -> None:
    """Their dataclasses and validators cost more memory than the rest of the agent."""
    heavy = (
        "ocpp",
        "jsonschema",
        "pymodbus.server",
        "inspect",
        "ipaddress",
        "email",
        "urllib.request",
        "logging.config",
    )
    assert [name for name in imported(ast.parse(path.read_text("utf-8"))) if within(name, heavy)] == []


@pytest.mark.parametrize("path", [p for p in FILES if p.parts[-2] in ("core", "blocks")], ids=module_of)
def test_the_core_names_no_protocol_version(path: Path) -> None:
    assert VERSION_WORDS.findall(path.read_text("utf-8")) == []


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_is_not_too_long(path: Path) -> None:
    limit = LONGER.get(str(path.relative_to(ROOT)), MAX_FILE_LINES)
    assert len(path.read_text("utf-8").splitlines()) <= limit


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_function_is_too_long(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", [p for p in FILES if p.name != "__init__.py"], ids=module_of)
def test_a_file_says_at_its_head_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


# --- the test itself can see -------------------------------------------------------------------------------

PLANTED = {
    "a block that speaks": ("agent.blocks.power", "from agent.ocpp import dialect"),
    "a block that reads the clock": ("agent.blocks.power", "def f():\n    import time"),
    "the core in the world": ("agent.core.types", "from os import environ"),
    "a driver that knows the agent": ("drivers.bus", "import agent.errors"),
    "the contract with a friend": ("drivers.api", "from drivers import bus"),
    "the wire that decides": ("agent.ocpp.rpc", "import agent.blocks.station"),
    "the store that speaks": ("agent.store.database", "from agent.ocpp.rpc import Rpc"),
    "the hands that decide": ("agent.edge.link", "if True:\n    from agent.blocks.power import Power"),
    "the loop that knows a driver": ("agent.runtime", "from drivers.bus import Bus"),
    "the technician with a shortcut": ("agent.cli.status", "from agent.store import database"),
    "a package that nobody ordered": ("agent.daemon", "import requests"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_import_is_found(planted: str) -> None:
    module, source = PLANTED[planted]
    rule = rule_of(module)
    assert rule is not None
    assert [name for name in imported(ast.parse(source)) if forbidden(module, name, rule)]


def test_a_new_module_beside_the_layers_needs_a_rule() -> None:
    assert rule_of("agent.helpers") is None
