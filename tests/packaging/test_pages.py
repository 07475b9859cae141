"""Man pages and completion, made from this checkout as the package makes them."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest

from agent.__main__ import VERBS, main
from agent.config import TABLES
from agent.config_keys import STATION

ROOT = Path(__file__).parents[2]
ASK = """
source "$1"
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
_chargepoint
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    subprocess.run(
        [sys.executable, ROOT / "packaging/deb/pages.py", ROOT, folder], check=True, timeout=60, capture_output=True
    )
    return folder


def offered(pages: Path, *words: str, cwd: Path = ROOT) -> list[str]:
    """What bash offers for the last word."""
    done = subprocess.run(
        ["bash", "-c", ASK, "ask", pages / "chargepoint.bash", "chargepoint", *words],
        capture_output=True, text=True, check=True, timeout=10, cwd=cwd,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def test_all_verbs_are_offered(pages: Path) -> None:
    assert set(offered(pages, "")) == set(VERBS)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("stat",), {"status"}),
        (("bus", ""), {"scan"}),
        (("evse", ""), {"read", "offer"}),
        (("map", "ch"), {"check"}),
        (("status", "--w"), {"--watch"}),
        (("run", "--"), {"--config", "--help"}),
        (("meter", "read", "--parity", ""), {"N", "E", "O"}),
        (("sim", "--socket", "x", "plug-in", "--e"), {"--ev", "--evse"}),
        (("run", "--config", "READ"), {"README.md"}),
        (("check-config", "READ"), {"README.md"}),
        (("status", "--socket", "x", "--js"), {"--json"}),
        (("doctor", "--card-s", ""), set()),
    ],
    ids=lambda told: " ".join(sorted(told) if isinstance(told, set) else told),
)
def test_what_may_follow_is_offered(pages: Path, words: tuple[str, ...], wanted: set[str]) -> None:
    assert set(offered(pages, *words)) == wanted


def test_the_man_page_of_the_command_explains_every_verb(pages: Path) -> None:
    text = (pages / "chargepoint.1").read_text("utf-8")
    for verb in VERBS:
        assert f".SS chargepoint {verb}".replace("-", "\\-") in text


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def helped(*words: str) -> str:
    """The usage that the program itself prints."""
    out = io.StringIO()
    with redirect_stdout(out), suppress(SystemExit):
        main([*words, "--help"])
    return out.getvalue().partition("\n\n")[0]


def test_page_and_completion_know_each_option_that_the_help_of_a_command_names(pages: Path) -> None:
    page = (pages / "chargepoint.1").read_text("utf-8").replace("\\-", "-")
    sections = re.findall(r"^\.SS chargepoint ([a-z][a-z -]*)\n(.*?)(?=^\.S)", page, re.MULTILINE | re.DOTALL)
    assert len(sections) > 40
    assert {name.split()[0] for name, _ in sections} == set(VERBS)
    for name, section in sections:
        text = helped(*name.split())
        own = set(OPTION.findall(text))
        if name.split()[0] not in ("version", "run"):  # without argparse
            assert text.startswith(f"usage: chargepoint {name}"), text
        assert (name, own - set(OPTION.findall(section))) == (name, set())
        assert (name, own - set(offered(pages, *name.split(), "--"))) == (name, set())


def test_the_man_page_of_the_configuration_explains_every_table(pages: Path) -> None:
    text = (pages / "agent.toml.5").read_text("utf-8").replace("\\-", "-")
    for table in TABLES:
        assert f"[{table}]" in text
    for key in STATION:
        assert f"\\fB{key}\\fR" in text


@pytest.mark.parametrize("name", ["chargepoint.1", "agent.toml.5"])
def test_no_line_of_a_man_page_is_a_request_by_mistake(pages: Path, name: str) -> None:
    known = {".TH", ".nh", ".ad", ".SH", ".SS", ".PP", ".TP", ".IP", ".nf", ".fi", ".RS", ".RE"}
    lines = (pages / name).read_text("utf-8").splitlines()
    assert {line.split()[0] for line in lines if line.startswith((".", "'"))} <= known


def test_the_same_program_gives_the_same_pages(pages: Path, tmp_path: Path) -> None:
    words: list[str | Path] = [sys.executable, ROOT / "packaging/deb/pages.py", ROOT, tmp_path]
    subprocess.run(words, check=True, timeout=60, env={"PYTHONHASHSEED": "7", "COLUMNS": "40"}, capture_output=True)
    for page in pages.iterdir():
        assert (tmp_path / page.name).read_bytes() == page.read_bytes()
