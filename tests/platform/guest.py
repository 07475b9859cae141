"""The package on another processor: a whole arm64 machine with its own kernel, under QEMU without the help of KVM.

    disk = image(folder, put={"/etc/chargepoint/agent.toml": text})
    with Guest(disk) as guest: ...       # its central system listens on 127.0.0.1 of this process, 10.0.2.2 for it

The package is installed by the system's own dpkg, whose programs run by qemu-user. Kernel and a minimal initramfs,
which loads the modules for a disk and mounts it, come from Debian's packages and are kept; making them runs nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.platform.host import call
from tests.platform.rootfs import BINFMT, BINFMT_NAMESPACE, HOST_SUITE, kept, mirror, rootfs

ARCH = "arm64"
HOST = "10.0.2.2"
BUILD_S = 600.0
DISK_MIB = 900
KERNEL = "linux-image-cloud-arm64"
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4", "crc32c_generic")
QEMU = (
    *("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a53", "-accel", "tcg,thread=multi"),
    *("-smp", "2", "-m", "512", "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"),
)
_INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod "/modules/$module"; done < /modules/order
while [ ! -b /dev/vda ]; do $b sleep 0.05; done
$b mount -t ext4 /dev/vda /system
$b mount --move /dev /system/dev
$b umount /sys /proc
exec $b switch_root /system /sbin/init
"""
_INSTALL = """
set -eu
base=$1 layer=$2 deb=$3; shift 3
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
cp "$deb" "$layer/root/tmp/agent.deb"
"$@" sh -c 'mount -t proc proc "$0/proc" && chroot "$0" dpkg -i /tmp/agent.deb' "$layer/root"
rm "$layer/root/tmp/agent.deb"
"""
_IMAGE = """
set -eu
mkdir "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mke2fs -q -t ext4 -d "$2/root" "$3" "$4M"
"""
_NETWORK = "[Match]\nName=e*\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\n"
_WANTS = "/etc/systemd/system/multi-user.target.wants"


def kernel() -> Path:
    """A folder with `vmlinuz` and `initrd`."""
    words = ["mmdebstrap", "--mode=root", "--variant=extract", "--quiet", f"--architectures={ARCH}"]
    words += ['--aptopt=APT::Install-Recommends "false"', f"--include={KERNEL},busybox-static", HOST_SUITE]

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            tree = Path(name)
            call(*words, tree / "tree.tar", mirror(HOST_SUITE), timeout_s=BUILD_S)
            call("tar", "-xf", tree / "tree.tar", "-C", tree, "./boot", "./lib/modules", "./bin/busybox")
            shutil.copy(next(tree.glob("boot/vmlinuz-*")), folder / "vmlinuz")
            _initramfs(tree, folder / "initrd")

    return kept(f"kernel-{ARCH}", (*words, *MODULES, _INIT), build)


def _initramfs(tree: Path, out: Path) -> None:
    release = next((tree / "lib/modules").iterdir())
    call("depmod", "-b", tree, release.name)
    top = tree / "initramfs"
    for name in ("bin", "proc", "sys", "dev", "system", "modules"):
        (top / name).mkdir(parents=True)
    shutil.copy(tree / "bin/busybox", top / "bin")
    order: dict[str, None] = {}
    rows = [line.split(": ") for line in (release / "modules.dep").read_text().replace(":\n", ": \n").splitlines()]
    needs = {Path(path).name.split(".")[0].replace("-", "_"): (path, wants.split()) for path, wants in rows}
    for module in MODULES:
        if module in needs:  # some kernels have it built in
            path, wants = needs[module]
            order |= dict.fromkeys((*reversed(wants), path))  # the nearest is named first
    for path in order:
        shutil.copy(release / path, top / "modules")
    (top / "modules/order").write_text("".join(f"{Path(path).name}\n" for path in order))
    (top / "init").write_text(_INIT)
    (top / "init").chmod(0o755)
    call("sh", "-c", 'cd "$0" && find . | cpio --quiet -o -H newc | gzip -1 > "$1"', top, out)


def layers(deb: Path) -> tuple[Path, ...]:
    """The system with the package on it, the topmost first."""
    base = rootfs(arch=ARCH)

    def build(folder: Path) -> None:
        words = ("unshare", "--mount", "--propagation=private", "sh", "-c", _INSTALL, "install")
        call(*words, base, folder, deb, *BINFMT_NAMESPACE, BINFMT[ARCH], timeout_s=BUILD_S)

    return kept(f"guest-{ARCH}", (base.parent.name, deb.parent.name), build) / "upper", base


def image(deb: Path, folder: Path, put: Mapping[str, str], wants: tuple[str, ...]) -> Path:
    """A disk with these files besides, and these units started at boot."""
    upper = folder / "upper"
    files = {**put, "/etc/systemd/network/10-guest.network": _NETWORK, "/etc/machine-id": ""}
    for name, text in files.items():
        at = upper / name[1:]
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text)
    (upper / _WANTS[1:]).mkdir(parents=True, exist_ok=True)
    for unit in (*wants, "systemd-networkd.service"):
        (upper / _WANTS[1:] / unit).symlink_to(f"/lib/systemd/system/{unit}")
    disk = folder / "disk"
    lower = ":".join(map(str, layers(deb)))
    words = ("unshare", "--mount", "--propagation=private", "sh", "-c", _IMAGE, "image")
    call(*words, lower, folder, disk, str(DISK_MIB), timeout_s=BUILD_S)
    return disk


class Guest:
    """A machine that is on, until the block ends."""

    def __init__(self, disk: Path, *options: str) -> None:
        tree = kernel()
        self._console = disk.with_name("console")
        words = ["setpriv", "--pdeathsig", "KILL", *QEMU, "-kernel", str(tree / "vmlinuz")]
        words += ["-initrd", str(tree / "initrd"), "-append", "console=ttyAMA0 quiet panic=-1 systemd.show_status=1"]
        words += [
            "-drive",
            f"if=none,id=disk,file={disk},format=raw,cache=unsafe",
            "-device",
            "virtio-blk-pci,drive=disk",
        ]
        words += ["-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-pci,netdev=net,romfile="]
        self._words = [*words, *options]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                self._words, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        if kind is not None:
            print(self.console())

    def is_on(self) -> bool:
        """False once its kernel has given up."""
        return self._process is not None and self._process.poll() is None

    def console(self) -> str:
        """What it said on its serial line."""
        with suppress(OSError):
            return self._console.read_text(errors="replace")
        return ""
