#!/bin/bash
# Make this checkout ready to run: what `make demo`, `make test` and their kin do first.
#
#   packaging/bootstrap.sh demo    what the agent and the demo need
#   packaging/bootstrap.sh test    and what the tests need besides
#   packaging/bootstrap.sh platform    and what those on booted systems need
#   packaging/bootstrap.sh deb     what `make deb` needs: Debian's own tools, and no .venv
#
# On Debian 12 or 13 it installs the system packages that are missing (as root, or with sudo), makes .venv, and installs
# the Python packages into it. Nothing is installed that is there already, and all but the system packages stays in
# this folder. Run as often as you like: an interrupted run is made good by the next, and of two at a time one waits.
# PYTHON=/path/to/python3 chooses the interpreter.

set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-demo}
case $kind in
    demo) extras="" ;;
    test | platform) extras="[dev]" ;;
    deb) ;;
    *) echo "usage: packaging/bootstrap.sh demo|test|platform|deb" >&2; exit 2 ;;
esac
venv=.venv
building=$venv/.building # there while packages go in: a run that was interrupted leaves it behind

say() { echo "set-up: $*"; }
fail() { echo "set-up: $*" >&2; exit 1; }

# --- Python ---

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local found
    for found in ${PYTHON:-python3 /usr/bin/python3 python3.13 python3.12 python3.11}; do
        if command -v "$found" >/dev/null && is_new_enough "$found"; then
            "$found" -c 'import sys; print(sys.executable)' # the interpreter itself, not a wrapper of it
            return
        fi
    done
    fail "Python 3.11 or later is needed (Debian 12 has it); ${PYTHON:-python3} is $("${PYTHON:-python3}" -V 2>&1 || echo missing)." \
        "Choose another with PYTHON=/path/to/python3"
}

# --- system packages ---

missing_for_venv() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
}

missing_for_systemd() {
    command -v gcc >/dev/null || echo gcc libc6-dev
    if command -v pkg-config >/dev/null; then
        pkg-config --exists libsystemd || echo libsystemd-dev
    else
        echo pkg-config libsystemd-dev
    fi
    "$python" -c 'import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())' || echo python3-dev
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

refreshed=""
apt_install() { # false when it cannot be done
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || return 1
    say "installing Debian packages: $*"
    local apt="env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
    if [ -z "$refreshed" ]; then
        as_root $apt update || say "the package lists could not be refreshed; trying with those that are here"
        refreshed=yes
    fi
    as_root $apt install -y --no-install-recommends "$@" >/dev/null
}

# --- the virtual environment ---

make_venv() {
    if [ -e "$building" ]; then
        say "an earlier set-up was interrupted; starting anew"
    elif "$venv/bin/python" -c 'import pip' 2>/dev/null && is_new_enough "$venv/bin/python"; then
        return
    fi
    local missing
    missing=$(missing_for_venv)
    if [ -n "$missing" ]; then
        apt_install $missing || fail "please install $missing, then say it again"
    fi
    say "making $venv with $("$python" -V)"
    "$python" -m venv --clear "$venv"
}

pip_install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --constraint packaging/constraints.txt "$@"
}

install_systemd() { # the binding to the journal and the service manager; the agent can do without
    "$venv/bin/python" -c 'import systemd.journal' 2>/dev/null && return
    local missing
    missing=$(missing_for_systemd | xargs)
    if [ -z "$missing" ] || apt_install $missing; then
        say "building systemd-python"
        pip_install systemd-python 2>/dev/null && return
    fi
    say "systemd-python cannot be built here; going on without it (the agent then speaks to systemd by itself)"
}

# --- strangers, for the tests alone ---

missing_strangers() {
    command -v gcc >/dev/null || echo gcc libc6-dev
    if command -v pkg-config >/dev/null; then
        pkg-config --exists libmodbus || echo libmodbus-dev
    else
        echo pkg-config libmodbus-dev
    fi
    command -v mbpoll >/dev/null || echo mbpoll
}

install_strangers() { # a Modbus slave and a master that are not ours; the tests that want them are skipped without, or fail where CI is set
    local missing
    missing=$(missing_strangers | xargs)
    [ -z "$missing" ] || apt_install $missing ||
        say "$missing cannot be installed here; the tests against other Modbus programs are skipped"
}

# --- tools of Debian ---

BUILDERS="dpkg-dev debhelper dh-python lintian python3 python3-pip python3-setuptools python3-wheel"

install_missing() { # of these Debian packages
    local package missing=""
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
    done
    [ -z "$missing" ] || apt_install $missing || fail "please install$missing, then say it again"
}

if [ "$kind" = deb ]; then
    command -v dpkg >/dev/null || fail "the Debian package is built on Debian 12 or 13"
    install_missing $BUILDERS
    exit 0
fi

# --- booted systems, for the tests of the package alone ---

missing_for_platform() { # program and the package that has it
    while read -r program package; do
        command -v "$program" >/dev/null || [ -e "$program" ] || echo "$package"
    done <<'LIST'
systemd-nspawn systemd-container
mmdebstrap mmdebstrap
arch-test arch-test
newuidmap uidmap
ip iproute2
qemu-system-aarch64 qemu-system-arm
qemu-aarch64-static qemu-user-static
/usr/lib/ipxe/qemu/efi-virtio.rom ipxe-qemu
depmod kmod
cpio cpio
mke2fs e2fsprogs
LIST
}

install_platform() { # what still lacks then is said by the tests, in one line
    install_missing $BUILDERS
    local missing
    missing=$(missing_for_platform | sort -u | xargs)
    [ -z "$missing" ] || apt_install $missing || say "please install $missing, as root"
}

# --- do it ---

exec 9<pyproject.toml
flock 9 || fail "the lock on pyproject.toml cannot be had"

state=$(cat pyproject.toml packaging/constraints.txt packaging/bootstrap.sh | cksum)
stamp=$venv/.ready-$kind
if [ -e "$stamp" ] && [ ! -e "$building" ] && [ "$(cat "$stamp")" = "$state" ]; then
    touch "$stamp" # newer than what it depends on: make need not ask again
    exit 0
fi

python=$(find_python)
[ "$kind" != platform ] || install_platform
make_venv
touch "$building"
say "installing Python packages into $venv (the first time takes a minute or two)"
pip_install --editable ".$extras" || fail "pip could not install the packages; see above"
install_systemd
[ "$kind" = demo ] || install_strangers
echo "$state" >"$venv/.ready-demo"
echo "$state" >"$stamp"
rm "$building"
say "ready"
