"""Put the agent into the tree of a system: what the recipes of Debian, Yocto and Buildroot have in common.

    packaging/install.py --root FOLDER                     its modules and command, configuration, man pages
    packaging/install.py --root FOLDER --service [--units FOLDER]   and unit, users, folders, udev rule
    packaging/install.py --root FOLDER --compile           and its modules compiled for the Python that runs this

To be called in an unpacked sdist, which has the wheels of other people's modules with it; no network is used, and of
this machine nothing but Python with setuptools. The same source gives the same bytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).absolute().parents[1]
TOOLS = TOP / "packaging/deb"
SITE = "usr/lib/chargepoint/site"
FILES = (  # what, where, mode
    ("packaging/deb/launcher", "usr/bin/chargepoint", 0o755),
    ("etc/agent.toml", "etc/chargepoint/agent.toml", 0o644),
    ("etc/agent.toml", "usr/share/chargepoint/agent.toml", 0o644),
)
SERVICE = (
    ("packaging/sysusers/chargepoint.conf", "usr/lib/sysusers.d/chargepoint.conf", 0o644),
    ("packaging/tmpfiles/chargepoint.conf", "usr/lib/tmpfiles.d/chargepoint.conf", 0o644),
    ("packaging/udev/70-chargepoint.rules", "usr/lib/udev/rules.d/70-chargepoint.rules", 0o644),
)
GENERATOR = "packaging/systemd/chargepoint-notify-reload"
MADE = (  # by the tools below
    ("pages/chargepoint.1", "usr/share/man/man1/chargepoint.1"),
    ("pages/agent.toml.5", "usr/share/man/man5/agent.toml.5"),
    ("pages/chargepoint.bash", "usr/share/bash-completion/completions/chargepoint"),
    ("layout", "usr/share/chargepoint/layout"),
    ("sbom.cdx.json", "usr/share/chargepoint/sbom.cdx.json"),
)
FOLDERS = ("etc/chargepoint/conf.d", "usr/lib/chargepoint/extensions")


def main() -> None:
    parser = argparse.ArgumentParser(prog="install.py", description="Put the agent into the tree of a system.")
    parser.add_argument("--root", required=True, type=Path, metavar="FOLDER", help="the tree")
    parser.add_argument("--service", action="store_true", help="unit, users, folders and udev rule too")
    parser.add_argument("--units", default="usr/lib/systemd/system", metavar="FOLDER", help="where units lie in it")
    parser.add_argument("--compile", action="store_true", help="for the Python that runs this")
    options = parser.parse_args()
    root = options.root.absolute()
    _modules(root)
    for source, place, mode in (*FILES, *(SERVICE if options.service else ())):
        _put(TOP / source, root / place, mode)
    if options.service:
        for unit in sorted((TOP / "packaging/systemd").glob("chargepoint.*")):
            _put(unit, root / options.units.strip("/") / unit.name)
        _put(
            TOP / GENERATOR,
            (root / options.units.strip("/")).parent / "system-generators" / Path(GENERATOR).name,
            0o755,
        )
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    if options.compile:
        _compile(root)


def _modules(root: Path) -> None:
    """Other people's from their wheels, ours from a wheel that is made here, and what is made of them."""
    with tempfile.TemporaryDirectory() as name:
        made = Path(name)
        wheels = made / "wheels"
        shutil.copytree(TOP / "wheels", wheels)
        shutil.rmtree(TOP / "build/lib", ignore_errors=True)  # of an earlier call
        _python("-c", f"from setuptools import build_meta; build_meta.build_wheel({str(wheels)!r})", quiet=True)
        site = root / SITE
        _python(TOOLS / "unpack.py", wheels, site)
        _python(TOOLS / "pages.py", site, made / "pages")
        (made / "layout").write_text(_python(TOOLS / "layout.py", site))
        (made / "sbom.cdx.json").write_text(_python(TOOLS / "sbom.py", TOOLS / "wheels.txt", site))
        for source, place in MADE:
            _put(made / source, root / place)


def _compile(root: Path) -> None:
    """Not by time of change, which image builders set as they like."""
    _python("-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "-s", root, "-p", "/", root / SITE)


def _put(source: Path, place: Path, mode: int = 0o644) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)
    place.chmod(mode)


def _python(*words: str | Path, quiet: bool = False) -> str:
    """What it prints; the end of this program if it fails."""
    done = subprocess.run(  # noqa: S603  our own scripts
        [sys.executable, *words], cwd=TOP, stdout=subprocess.PIPE, text=True, check=False,
        stderr=subprocess.STDOUT if quiet else None, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"install: {' '.join(map(str, words))} failed\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    os.umask(0o022)
    main()
