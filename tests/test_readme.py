"""The manuals tell the truth: their commands exist, their paths lead somewhere, the map shows the house as it is.

Commands of people (`make`, `chargepoint`) are checked against the Makefile and each verb's own help; those that play
with the simulated charger are run for real in `tests/end_to_end`. The excerpt of the demo is held by `test_demo`.
"""

from __future__ import annotations

import io
import re
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from functools import cache
from pathlib import Path

import pytest

from agent.__main__ import VERBS, main

ROOT = Path(__file__).parents[1]
MANUALS = tuple(ROOT / name for name in ("README.md", "drivers/README.md", "etc/README.md", "packaging/README.md"))
TOPS = ("agent", "drivers", "etc", "packaging", "tests")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^(?:[\w./]*/)?(make|chargepoint) ([^|;&#\n]+)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
PATH = re.compile(rf"(?<![\w/.])((?:{'|'.join(TOPS)})/[\w./-]+\w)")


SEVERAL = ("evse", "meter", "queue", "variables")  # verbs whose second word may be one, too


def fences(manual: Path, kind: str) -> list[str]:
    return [text for word, text in FENCE.findall(manual.read_text()) if word == kind]


def code_of(manual: Path) -> Iterator[str]:
    """Everything that stands there as code: inline, indented, fenced as shell."""
    text = FENCE.sub("", manual.read_text())
    yield from fences(manual, "sh")
    yield from (line.strip() for line in text.splitlines() if line.startswith("    "))
    yield from re.findall(r"`([^`\n]+)`", text)


def commands(program: str) -> list[tuple[str, str]]:
    """Manual and words of each mention of a command."""
    found = []
    for manual in MANUALS:
        for code in code_of(manual):
            found += [(manual.name, words.strip()) for name, words in COMMAND.findall(code) if name == program]
    return found


@cache
def help_of(*words: str) -> str:
    """What `chargepoint WORDS --help` prints."""
    out = io.StringIO()
    with redirect_stdout(out), suppress(SystemExit):  # argparse ends so
        main([*words, "--help"])
    return out.getvalue()


# --- commands ---


def test_every_make_target_in_the_manuals_exists() -> None:
    targets = {words.split()[0] for _manual, words in commands("make")}
    assert {"demo", "test"} <= targets
    for target in sorted(targets):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, f"make {target}: {done.stderr}"


def test_both_commands_stand_at_the_top_of_the_readme() -> None:
    first = (ROOT / "README.md").read_text().splitlines()[:12]
    assert any("make demo" in line for line in first)
    assert any("make test" in line for line in first)


def test_every_verb_in_the_manuals_exists() -> None:
    verbs = {words.split()[0] for _manual, words in commands("chargepoint")}
    assert {"run", "check-config", "simulate", "sim", "status"} <= verbs
    assert verbs <= {*VERBS, "VERB"}


def test_every_option_in_the_manuals_is_one_that_the_verb_explains() -> None:
    for manual, words in commands("chargepoint"):
        verb, *rest = words.split()
        if verb == "VERB":
            continue
        second = rest[:1] if verb in SEVERAL and rest and rest[0].isalpha() else []
        explained = _sim_help(rest) if verb == "sim" else help_of(verb, *second)
        for option in (word.partition("=")[0] for word in rest if word.startswith("--")):
            assert option in explained or option == "--help", f"{manual}: chargepoint {words}"


def _sim_help(rest: list[str]) -> str:
    """Of `sim` and of the verb of the hardware that follows its socket."""
    inner = [word for word in rest if word in help_of("sim").split() and not word.startswith("-")]
    return help_of("sim") + (help_of("sim", "--socket", "x", inner[0]) if inner else "")


def test_the_help_of_every_verb_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in VERBS)


@pytest.mark.parametrize("manual", MANUALS, ids=lambda manual: str(manual.relative_to(ROOT)))
def test_every_shell_block_is_shell(manual: Path) -> None:
    for block in fences(manual, "sh"):
        subprocess.run(["bash", "-n"], input=block, text=True, check=True, timeout=10)


def test_the_set_up_script_is_shell_and_refuses_a_word_that_it_does_not_know() -> None:
    script = ROOT / "packaging/bootstrap.sh"
    subprocess.run(["bash", "-n", script], check=True, timeout=10)
    done = subprocess.run([script, "all"], capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: packaging/bootstrap.sh demo|test|platform|deb\n")


def test_every_pinned_version_serves_what_is_declared() -> None:
    pinned = {
        line.partition("==")[0].lower()
        for line in (ROOT / "packaging/constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    declared = {re.split(r"[^\w-]", each)[0].lower() for each in wanted}
    assert {"ocpp", "websockets", "pytest"} <= declared
    assert declared <= pinned


def test_the_continuous_check_is_make_test() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text()


# --- paths ---


@pytest.mark.parametrize("manual", MANUALS, ids=lambda manual: str(manual.relative_to(ROOT)))
def test_every_link_and_path_leads_somewhere(manual: Path) -> None:
    text = manual.read_text()
    for target in LINK.findall(text):
        assert target.startswith("https://") or (manual.parent / target).exists(), target
    for path in PATH.findall(text):
        if "NAME" not in path:
            assert (ROOT / path).exists(), path


# --- the map ---


def shown_folders() -> list[str]:
    """The folders of the map, from its indentation."""
    block = next(text for text in fences(ROOT / "README.md", "") if text.startswith("agent/"))
    path: list[str] = []
    found = []
    for line in block.splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        path = [*path[:depth], name.rstrip("/")]
        found.append("/".join(path))
    return found


def folders(top: Path) -> list[str]:
    """Those that are under version control, or will be: with a file that is not hidden."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=top, capture_output=True, text=True, check=True, timeout=30,
    ).stdout.splitlines()  # fmt: skip
    parents = {str(parent) for line in listed for parent in Path(line).parents if str(parent) != "."}
    return sorted(name for name in parents if not name.startswith("."))


def test_the_map_names_only_what_exists() -> None:
    assert all((ROOT / name).is_dir() for name in shown_folders())


def test_the_map_names_every_folder() -> None:
    unmapped = {"tests"}  # named in one line, checked below
    wanted = {name for name in folders(ROOT) if name.split("/")[0] not in unmapped}
    assert wanted <= set(shown_folders())


def test_the_map_names_every_folder_of_tests() -> None:
    line = next(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("tests/ "))
    wanted = {name.split("/")[1] for name in folders(ROOT) if name.startswith("tests/")}
    assert set(line.split()[1:]) == wanted
