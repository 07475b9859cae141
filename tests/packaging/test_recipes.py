"""The recipes of Yocto and Buildroot, as far as they can be checked without either: they parse, name what is there, and
ask for all that the agent imports."""

from __future__ import annotations

import re
import subprocess
import sys
from hashlib import md5
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPE = next((ROOT / "packaging/yocto").rglob("*.bb")).read_text("utf-8")
MAKEFILE = (ROOT / "packaging/buildroot/package/chargepoint-agent/chargepoint-agent.mk").read_text("utf-8")
CONFIG = (ROOT / "packaging/buildroot/package/chargepoint-agent/Config.in").read_text("utf-8")

ASSIGNMENT = re.compile(r'^[A-Z_a-z]+(?::[${}A-Za-z]+)*(?:\[noexec\])? (?:=|\?=|\+=|\.=) "[^"]*"$')
# Where openembedded-core puts the parts of Python's library; what is not named here is in python3-core.
PARTS = {
    "asyncio": "asyncio", "concurrent": "asyncio", "gzip": "compression", "tarfile": "compression",
    "zipfile": "compression", "hashlib": "crypt", "ctypes": "ctypes", "calendar": "datetime", "datetime": "datetime",
    "difflib": "difflib", "email": "email", "fcntl": "fcntl", "socket": "io", "ssl": "io", "tempfile": "io",
    "termios": "io", "json": "json", "logging": "logging", "random": "math", "base64": "netclient",
    "ftplib": "netclient", "hmac": "netclient", "http": "netclient", "secrets": "netclient", "urllib": "netclient",
    "uuid": "netclient", "socketserver": "netserver", "contextvars": "numbers", "decimal": "numbers",
    "fractions": "numbers", "numbers": "numbers", "sqlite3": "sqlite3", "string": "stringold", "pty": "terminal",
    "tty": "terminal", "queue": "threading",
}  # fmt: skip
CORE = {
    "__future__", "abc", "argparse", "array", "atexit", "binascii", "bisect", "collections", "codecs", "contextlib",
    "copy", "csv", "dataclasses", "enum", "errno", "faulthandler", "functools", "gc", "glob", "grp", "heapq",
    "importlib", "inspect", "io", "ipaddress", "itertools", "math", "operator", "os", "pathlib", "platform", "pwd",
    "re", "readline", "select", "selectors", "shutil", "signal", "stat", "struct", "subprocess", "sys", "textwrap",
    "threading", "time", "traceback", "types", "typing", "unicodedata", "warnings", "weakref", "zlib",
}  # fmt: skip


def imported() -> set[str]:
    """Modules of Python's own library that any file of ours may import."""
    words = re.compile(r"^\s*(?:from|import) ([a-z_]\w*)", re.MULTILINE)
    files = (path for top in ("agent", "drivers") for path in (ROOT / top).rglob("*.py"))
    return {word for path in files for word in words.findall(path.read_text("utf-8"))} & sys.stdlib_module_names


def statements() -> list[str]:
    """Of the recipe, without comments, continued lines joined, functions left out."""
    text = re.sub(r"\\\n\s*", "", RECIPE)
    text = re.sub(r"^do_\w+\(\) \{\n(?:    .*\n)*\}$", "", text, flags=re.MULTILINE)
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_every_statement_of_the_yocto_recipe_is_one() -> None:
    odd = [line for line in statements() if not ASSIGNMENT.match(line) and not line.startswith("inherit ")]
    assert odd == []


def test_the_yocto_recipe_knows_the_licence() -> None:
    found = re.search(r"file://LICENSE;md5=(\w+)", RECIPE)
    assert found
    assert found[1] == md5((ROOT / "LICENSE").read_bytes(), usedforsecurity=False).hexdigest()


def test_the_yocto_recipe_asks_for_all_of_python_that_is_imported() -> None:
    modules = imported()
    assert modules <= PARTS.keys() | CORE, "say in which package of openembedded-core it is"
    wanted = {f"python3-{PARTS[module]}" for module in modules & PARTS.keys()}
    asked = next(line for line in statements() if line.startswith("RDEPENDS")).split('"')[1].split()
    assert wanted <= set(asked)


# What a package of openembedded-core has without being told, as far as this one has such things.
OF_ITSELF = ("usr/bin/", "etc/", "usr/share/man/", "usr/lib/systemd/system/", "usr/lib/sysusers.d/")
FOLDERS = {"nonarch_libdir": "usr/lib", "datadir": "usr/share", "systemd_unitdir": "usr/lib/systemd"}


def test_the_yocto_recipe_packs_all_that_is_installed() -> None:
    """What no package takes would be an error there; the list of the users alone is removed."""
    told = re.search(r'^FILES:\$\{PN\} \+= "(.*)"$', RECIPE, re.MULTILINE)
    assert told
    packed = [re.sub(r"\$\{(\w+)\}", lambda name: FOLDERS[name[1]], each) + "/" for each in told[1].split()]
    script = (ROOT / "packaging/install.py").read_text("utf-8")
    placed = [*re.findall(r'^    \("[^"]+", "([^"]+)"', script, re.MULTILINE), "usr/lib/systemd/system-generators/x"]
    assert len(placed) > 10
    assert [path for path in placed if not path.startswith((*OF_ITSELF, *packed))] == []


def test_both_recipes_make_the_same_user() -> None:
    yocto = re.search(r'CHARGEPOINT_UID \?= "(\d+)"', RECIPE)
    buildroot = re.search(r"^\tchargepoint (\d+) chargepoint (\d+) ", MAKEFILE, re.MULTILINE)
    assert yocto
    assert buildroot
    assert yocto[1] == buildroot[1] == buildroot[2]


def test_both_recipes_build_by_the_common_script() -> None:
    script = ROOT / "packaging/install.py"
    options = set(re.findall(r'"(--[a-z]+)"', script.read_text("utf-8")))
    for recipe in (RECIPE, MAKEFILE):
        line = next(line for line in recipe.splitlines() if "packaging/install.py" in line)
        assert set(re.findall(r"--[a-z]+", line)) <= options


def test_the_external_tree_of_buildroot_finds_the_unpacked_sdist() -> None:
    assert "$(realpath $(BR2_EXTERNAL_CHARGEPOINT_PATH)/../..)" in MAKEFILE
    assert (ROOT / "packaging/buildroot/../../pyproject.toml").is_file()
    for name in re.findall(r"_LICENSE_FILES = (.*)", MAKEFILE)[0].split():
        assert (ROOT / name).is_file()


# What Buildroot gives a package, as far as this one uses it: the variables of its manual, and rules that run the steps.
BUILDROOT = """
D := {tree}
TARGET_DIR := {target}
HOST_DIR := /host
INSTALL := install
BR2_EXTERNAL_CHARGEPOINT_PATH := {tree}/packaging/buildroot
generic-package =
include {tree}/packaging/buildroot/external.mk
build:
\t$(CHARGEPOINT_AGENT_INSTALL_TARGET_CMDS)
init:
\t$(CHARGEPOINT_AGENT_INSTALL_INIT_SYSTEMD)
facts:
\t@echo "$(CHARGEPOINT_AGENT_SITE) $(CHARGEPOINT_AGENT_DEPENDENCIES)"
.PHONY: build init facts
"""


def make(tmp_path: Path, *words: str) -> str:
    makefile = tmp_path / "Makefile"
    makefile.write_text(BUILDROOT.format(tree=ROOT, target=tmp_path / "target"))
    command = ["make", "-C", str(tmp_path), "--no-print-directory", "--warn-undefined-variables", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert done.stderr == ""
    return done.stdout


def test_make_reads_the_package_of_buildroot_and_finds_its_source_and_the_tools_that_are_there(tmp_path: Path) -> None:
    assert make(tmp_path, "facts").split() == [str(ROOT), "host-python3", "host-python-setuptools"]
    (tmp_path / "package/python-wheel").mkdir(parents=True)
    (tmp_path / "package/python-wheel/python-wheel.mk").touch()
    assert make(tmp_path, "facts").split()[1:] == ["host-python3", "host-python-setuptools", "host-python-wheel"]


def test_the_steps_of_the_buildroot_package_are_commands_for_the_tree_of_the_target(tmp_path: Path) -> None:
    told = make(tmp_path, "--dry-run", "build")
    assert "/host/bin/python3 " in told
    assert f"--root {tmp_path}/target --service --compile" in told
    make(tmp_path, "init")
    preset = (tmp_path / "target/usr/lib/systemd/system-preset/50-chargepoint.preset").read_text()
    assert preset == "enable chargepoint.service\nenable chargepoint.socket\n"


def test_every_block_of_the_buildroot_package_ends() -> None:
    assert MAKEFILE.count("\ndefine ") == MAKEFILE.count("\nendef\n")
    assert MAKEFILE.rstrip().endswith("$(eval $(generic-package))")


def test_the_buildroot_package_selects_what_python_lacks_otherwise() -> None:
    for part in ("SQLITE", "SSL", "UNICODEDATA", "ZLIB"):
        assert f"select BR2_PACKAGE_PYTHON3_{part}" in CONFIG
