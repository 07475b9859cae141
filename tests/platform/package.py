"""The package under test: built from this checkout, and installed once as a layer over a system.

It is kept in the cache under a sum of the files that it is made of, so that a run after a change of tests alone builds
nothing. `installed` lays it over a system as an image builder does: in a chroot, with no systemd running.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from tests.platform.host import MEMORY, ROOT, cache, call
from tests.platform.rootfs import kept

SOURCES = ("agent", "drivers", "etc", "packaging", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md")
BUILD_S = 300.0
_INSTALL = """
set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
cp "$3" "$2/root/tmp/agent.deb"
chroot "$2/root" dpkg -i /tmp/agent.deb
rm "$2/root/tmp/agent.deb"
"""


def package() -> Path:
    """The .deb of this checkout."""

    def build(folder: Path) -> None:
        wheels = cache() / "wheels"
        script = ROOT / "packaging/deb/build"
        call("env", "LINTIAN=no", f"WHEELS={wheels}", script, folder, timeout_s=BUILD_S)

    return next(kept("package", (_sum(),), build).glob("*.deb"))


def _sum() -> str:
    total = sha256()
    for path in sorted(_files()):
        total.update(f"{path.relative_to(ROOT)}\0{path.stat().st_mode:o}\0".encode() + path.read_bytes())
    return total.hexdigest()


def _files() -> Iterator[Path]:
    for name in SOURCES:
        top = ROOT / name
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                yield path


@contextmanager
def installed(base: Path, deb: Path) -> Iterator[tuple[Path, ...]]:
    """The layers of `base` with the package on it, the topmost first."""
    with tempfile.TemporaryDirectory(prefix=f"cp-machine-{os.getpid()}-", dir=MEMORY) as name:
        folder = Path(name)
        folder.chmod(0o755)
        for inner in ("upper", "work", "root"):
            (folder / inner).mkdir()
        call("unshare", "--mount", "--propagation=private", "sh", "-c", _INSTALL, "install", base, folder, deb)
        yield folder / "upper", base
