"""The Debian systems on which the package is installed: made once by mmdebstrap, kept as folders in the cache.

A folder is never written to again: whoever boots one lays a layer of its own over it (see `machine`). Its name holds
a sum over all that went into it, so that a change of the list of packages makes a new one. The mirror is that of this
machine. dpkg leaves fsync out, which makes it three times as fast.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from tests.platform.host import cache, call, lock

# What Debian gives a charger, and what the agent's package depends on: dpkg -i needs no network.
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "udev", "kmod", "iproute2"),
    *("python3", "python3-systemd", "python3-cryptography"),
)
SMALL = ("python3", "systemd-standalone-sysusers")  # an image that is being made, a container
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
HOST_SUITE = "bookworm"
BUILD_LIMIT_S = 900.0
UNUSED_S = 24 * 3600.0
BINFMT = {"arm64": "aarch64", "armhf": "arm"}  # as qemu-user calls them
BINFMT_NAMESPACE = (sys.executable, str(Path(__file__).with_name("foreign.py")))


def mirror(suite: str) -> str:
    """A line for apt: the place from which this machine has its own packages."""
    wanted = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(LABEL)"
    rows = call("apt-get", "indextargets", "--format", wanted, "Created-By: Packages").splitlines()
    found = [row.split()[0] for row in rows if row.split()[2:] == ["main", "Debian"]]
    assert found, "apt of this machine has no source of Debian's main section"
    return f"deb [signed-by={KEYRING}] {found[0]} {suite} main"


def rootfs(suite: str = HOST_SUITE, arch: str = "amd64", packages: tuple[str, ...] = PACKAGES) -> Path:
    """The folder of such a system. It takes half a minute the first time (minutes for a foreign machine)."""
    words = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", "--quiet"]
    words += [f"--architectures={arch}", f"--include={','.join(packages)}", "--dpkgopt=force-unsafe-io"]
    words += [f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT]
    foreign = [*BINFMT_NAMESPACE, BINFMT[arch]] if arch in BINFMT else []

    def build(folder: Path) -> None:
        source = folder / "debian"
        call(*foreign, *words, suite, source, mirror(suite), timeout_s=BUILD_LIMIT_S)
        for name in ("etc/machine-id", "etc/resolv.conf", "etc/hostname"):  # what a fresh image does not have
            (source / name).unlink(missing_ok=True)
        (source / "etc/machine-id").touch()

    return kept(f"{suite}-{arch}", tuple(words), build) / "debian"


def kept(name: str, parts: tuple[str, ...], build: Callable[[Path], None]) -> Path:
    """A folder in the cache that `build` filled; `parts`: all that it depends on."""
    folder = cache() / f"{name}-{sha256(repr(parts).encode()).hexdigest()[:12]}"
    with lock(name):
        if not folder.exists():
            _clear_older(name)
            making = Path(tempfile.mkdtemp(prefix=f".making-{name}-", dir=cache()))
            making.chmod(0o755)
            build(making)
            making.rename(folder)
        os.utime(folder)
    return folder


def _clear_older(name: str) -> None:
    """Those of other lists of packages, and what an interrupted run left; another checkout may still use its own."""
    for old in (*cache().glob(f"{name}-????????????"), *cache().glob(f".making-{name}-????????")):
        if old.stat().st_mtime < time.time() - UNUSED_S:
            shutil.rmtree(old)
