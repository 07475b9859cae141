"""The package's own files agree with the project and with one another."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agent import __version__

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PIN = re.compile(r"^([\w.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", re.MULTILINE)
PINS = {name: (version, digest) for name, version, digest in PIN.findall((PACKAGING / "deb/wheels.txt").read_text())}
RULE = re.compile(r'\A(?:[A-Z_]+(?:\{[\w./]+\})?(?:==|!=|\+=|=)"[^"]*"(?:, |$))+\Z')
METADATA = "Metadata-Version: 2.1\nName: {}\nVersion: {}\nLicense: MIT\n"


def lines_of(name: str) -> list[str]:
    return (PACKAGING / name).read_text("utf-8").splitlines()


# --- versions ---


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("debian/changelog", r"\Achargepoint-agent \((.*)\) "),
        ("buildroot/package/chargepoint-agent/chargepoint-agent.mk", r"_VERSION = (.*)"),
    ],
)
def test_the_version_is_that_of_the_project(name: str, pattern: str) -> None:
    found = re.search(pattern, (PACKAGING / name).read_text("utf-8"))
    assert found
    assert found[1] == PROJECT["version"] == __version__


def test_the_yocto_recipe_has_the_version_in_its_name() -> None:
    names = [path.name for path in (PACKAGING / "yocto").rglob("*.bb")]
    assert names == [f"chargepoint-agent_{PROJECT['version']}.bb"]


# --- other people's modules ---


def test_what_is_bundled_is_what_the_project_depends_on() -> None:
    assert set(PINS) == {re.split(r"[^\w-]", wanted)[0] for wanted in PROJECT["dependencies"]}


def test_what_is_bundled_has_the_versions_that_the_tests_ran_with() -> None:
    tested = set(lines_of("constraints.txt"))
    assert {f"{name}=={version}" for name, (version, _digest) in PINS.items()} <= tested


def test_every_line_of_the_list_of_wheels_is_a_pin() -> None:
    rows = [line for line in lines_of("deb/wheels.txt") if not line.startswith("#")]
    assert len(rows) == len(PINS)


def test_the_copyright_names_every_bundled_module() -> None:
    named = re.findall(r"^Files: wheels/(\w+)-\*$", (PACKAGING / "debian/copyright").read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(PINS)


# --- bill of materials ---


def bill(site: Path, **versions: str) -> subprocess.CompletedProcess[str]:
    for name, version in {"chargepoint-agent": __version__, **versions}.items():
        folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(METADATA.format(name, version))
    return subprocess.run(
        [sys.executable, PACKAGING / "deb/sbom.py", PACKAGING / "deb/wheels.txt", site],
        capture_output=True, text=True, check=False, env={"SOURCE_DATE_EPOCH": "0"}, timeout=30,
    )  # fmt: skip


def test_the_bill_of_materials_names_each_module_with_version_and_hash(tmp_path: Path) -> None:
    told = json.loads(bill(tmp_path, **{name: version for name, (version, _) in PINS.items()}).stdout)
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.5")
    assert told["metadata"]["component"]["purl"] == f"pkg:pypi/chargepoint-agent@{__version__}"
    parts = {part["name"]: (part["version"], part["hashes"][0]["content"]) for part in told["components"]}
    assert parts == PINS


def test_there_is_no_bill_where_something_else_was_packed(tmp_path: Path) -> None:
    done = bill(tmp_path, **{name: version for name, (version, _) in PINS.items()} | {"stranger": "1"})
    assert done.returncode == 1
    assert "stranger" in done.stderr


# --- what Debian's tools and udev read ---


@pytest.mark.parametrize("name", ["preinst.in", "chargepoint-agent.postinst", "chargepoint-agent.postrm"])
def test_a_maintainer_script_is_shell(name: str) -> None:
    subprocess.run(["sh", "-n", PACKAGING / "debian" / name], check=True, timeout=10)


@pytest.mark.parametrize("name", ["deb/sdist", "deb/build"])
def test_a_build_script_is_shell(name: str) -> None:
    subprocess.run(["bash", "-n", PACKAGING / name], check=True, timeout=10)


def test_every_exception_from_the_rules_of_debian_has_its_reason() -> None:
    before = ""
    for line in lines_of("debian/chargepoint-agent.lintian-overrides"):
        assert line.startswith("#") or before, "an override without a comment over it"
        before = line


def test_every_line_of_the_udev_rules_is_a_rule() -> None:
    rules = [line for line in lines_of("udev/70-chargepoint.rules") if line and not line.startswith("#")]
    assert rules
    assert [line for line in rules if not RULE.match(line)] == []


def test_the_udev_rules_jump_to_labels_that_come_later() -> None:
    text = (PACKAGING / "udev/70-chargepoint.rules").read_text("utf-8")
    for jump in re.finditer(r'GOTO="(\w+)"', text):
        assert f'LABEL="{jump[1]}"' in text[jump.end() :]


def test_the_package_installs_the_users_and_folders_that_the_unit_wants() -> None:
    unit = (PACKAGING / "systemd/chargepoint.service").read_text("utf-8")
    user = re.search(r"^User=(\w+)$", unit, re.MULTILINE)
    assert user
    assert any(re.match(rf"u\s+{user[1]}\s", line) for line in lines_of("sysusers/chargepoint.conf"))
    assert any("/etc/chargepoint/credentials 0700 root root" in line for line in lines_of("tmpfiles/chargepoint.conf"))


# --- what a manufacturer gets ---


def test_the_sdist_has_all_that_the_recipes_install() -> None:
    manifest = (ROOT / "MANIFEST.in").read_text("utf-8")
    grafted = set(re.findall(r"^graft (\w+)$", manifest, re.MULTILINE))
    included = {name for line in re.findall(r"^include (.*)$", manifest, re.MULTILINE) for name in line.split()}
    wanted = re.findall(r'\("((?:packaging|etc)/[\w./-]+)", "[^"]+", 0o', (PACKAGING / "install.py").read_text("utf-8"))
    assert {"packaging/udev/70-chargepoint.rules", "etc/agent.toml"} <= set(wanted)
    for name in (*wanted, "packaging/systemd/chargepoint.service", "packaging/systemd/chargepoint.socket"):
        assert (ROOT / name).is_file()
        assert name.split("/")[0] in grafted
    assert {"LICENSE", "README.md"} <= included
