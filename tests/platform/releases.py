"""Releases of the package that differ from this checkout's, for upgrades and ways back.

They are made of the package itself, by changing what a release changes: its version, and how many layouts of the stored
transactions it knows.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

from tests.platform.host import call
from tests.platform.rootfs import kept

SITE = "usr/lib/chargepoint/site/agent"


def release(deb: Path, version: str, layouts: int = 0) -> Path:
    """The same as another release, which knows so many layouts more."""

    def build(folder: Path) -> None:
        tree = folder / "tree"
        call("dpkg-deb", "--raw-extract", deb, tree)
        _edit(tree / "DEBIAN/control", r"^Version: .*$", f"Version: {version}")
        _edit(tree / SITE / "__init__.py", r'^__version__ = ".*"$', f'__version__ = "{version}"')
        if layouts:
            _know(tree, layouts)
        call("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, folder / f"{version}.deb")
        call("rm", "-r", tree)

    parts = (version, str(layouts), sha256(deb.read_bytes()).hexdigest())
    return next(kept(f"release-{version}", parts, build).glob("*.deb"))


def _know(tree: Path, layouts: int) -> None:
    layout = tree / "usr/share/chargepoint/layout"
    known, more = layout.read_text().strip(), ', "SELECT 1"' * layouts
    layout.write_text(f"{int(known) + layouts}\n")
    _edit(tree / "DEBIAN/preinst", rf'-gt "{known}"', f'-gt "{int(known) + layouts}"')
    _edit(tree / SITE / "store/migrations/__init__.py", r"^MIGRATIONS = \((.*?),?\)$", rf"MIGRATIONS = (\1{more},)")


def _edit(file: Path, pattern: str, text: str) -> None:
    edited, times = re.subn(pattern, text, file.read_text("utf-8"), count=1, flags=re.MULTILINE)
    assert times == 1, f"{file} has no {pattern}"
    file.write_text(edited, "utf-8")
