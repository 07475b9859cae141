"""Man pages and completion, made from this checkout as the package makes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.__main__ import VERBS
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
