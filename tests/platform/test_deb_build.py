"""How the package is built: the same bytes anywhere, without a network, clean by Debian's own rules."""

from __future__ import annotations

import tarfile
import tomllib
from pathlib import Path

import pytest

from tests.platform.host import ROOT, cache, call
from tests.platform.package import SOURCES

BUILD_S = 300.0
WANTED = (  # what a manufacturer needs besides the modules
    "LICENSE",
    "etc/agent.toml",
    "packaging/systemd/chargepoint.service",
    "packaging/systemd/chargepoint.socket",
    "packaging/sysusers/chargepoint.conf",
    "packaging/tmpfiles/chargepoint.conf",
    "packaging/udev/70-chargepoint.rules",
    "packaging/install.py",
    "packaging/yocto/conf/layer.conf",
    "packaging/buildroot/external.desc",
    "pyproject.toml",
)


@pytest.fixture(scope="module")
def elsewhere(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a build gives: in another place, at another time, by a network that leads nowhere."""
    folder = tmp_path_factory.mktemp("elsewhere")
    source, out = folder / "a b", folder / "out"
    source.mkdir()
    call("cp", "-r", *(ROOT / name for name in (*SOURCES, "Makefile")), source)
    words = ("LINTIAN=no", f"WHEELS={cache() / 'wheels'}", "TZ=Asia/Tokyo", "LC_ALL=C", source / "packaging/deb/build")
    call("unshare", "--net", "env", *words, out, timeout_s=BUILD_S)
    return out


def test_two_builds_give_the_same_bytes(deb: Path, elsewhere: Path) -> None:
    names = sorted(path.name for path in deb.parent.iterdir())
    assert names == sorted(path.name for path in elsewhere.iterdir())
    assert len(names) == 3
    for name in names:
        assert (deb.parent / name).read_bytes() == (elsewhere / name).read_bytes(), name


def test_debians_own_check_finds_nothing(deb: Path) -> None:
    said = call("lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", deb)
    assert [line for line in said.splitlines() if line[:2] in ("E:", "W:")] == []


def test_one_package_serves_every_machine(deb: Path) -> None:
    assert call("dpkg-deb", "--field", deb, "Architecture").strip() == "all"
    depends = call("dpkg-deb", "--field", deb, "Depends")
    assert {part.split()[0] for part in depends.split(", ")} == {"python3:any", "systemd"}


def test_the_version_of_the_package_is_that_of_the_project(deb: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert call("dpkg-deb", "--field", deb, "Version").strip() == version


def test_the_sdist_has_what_a_manufacturer_needs(elsewhere: Path) -> None:
    with tarfile.open(next(elsewhere.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert set(WANTED) <= names
    maps = {str(path.relative_to(ROOT)) for path in (ROOT / "drivers/maps").rglob("*.toml")}
    assert maps <= names
    assert not [name for name in names if name.startswith("tests/") or "__pycache__" in name]


def test_the_sdist_installs_into_a_tree_as_the_recipes_do_it(elsewhere: Path, tmp_path: Path) -> None:
    call("tar", "-xf", next(elsewhere.glob("*.tar.gz")), "-C", tmp_path)
    source, root = next(tmp_path.glob("chargepoint_agent-*")), tmp_path / "root"
    install = source / "packaging/install.py"
    call("unshare", "--net", "/usr/bin/python3", install, "--root", root, "--service", "--compile", timeout_s=BUILD_S)
    units = root / "usr/lib/systemd/system"
    assert {unit.name for unit in units.iterdir()} == {"chargepoint.service", "chargepoint.socket"}
    generators = units.parent / "system-generators"
    assert [(path.name, path.stat().st_mode & 0o777) for path in generators.iterdir()] == [
        ("chargepoint-notify-reload", 0o755)
    ]
    sources = list((root / "usr/lib/chargepoint/site").rglob("*.py"))
    assert len(list(root.rglob("*.pyc"))) == len(sources) > 200
    call("/usr/bin/python3", "-I", "-S", "-c", CHECK.format(root=root))


CHECK = """
import sys
sys.path.insert(0, "{root}/usr/lib/chargepoint/site")
from agent.__main__ import main
sys.exit(main(["check-config", "{root}/etc/chargepoint/agent.toml"]))
"""
