# Built from the sdist alone, which lies in files/ beside this recipe: it has unit, udev rule, configuration and the
# wheels of other people's modules with it, so that the versions are those that were tested, whatever the layers have.
SUMMARY = "Agent inside an EV charger (OCPP 1.6 and 2.0.1)"
LICENSE = "Apache-2.0 & BSD-3-Clause & MIT"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

SRC_URI = "file://chargepoint_agent-${PV}.tar.gz"
# UNPACKDIR: from styhead on
S = "${@d.getVar('UNPACKDIR') or d.getVar('WORKDIR')}/chargepoint_agent-${PV}"

inherit python3native systemd useradd allarch

DEPENDS = "python3-setuptools-native python3-wheel-native"

# A number of its own keeps the files of a data partition the agent's over updates of the image.
CHARGEPOINT_UID ?= "789"
USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system dialout; --system --gid ${CHARGEPOINT_UID} chargepoint"
USERADD_PARAM:${PN} = "--system --uid ${CHARGEPOINT_UID} --gid chargepoint --groups dialout --home-dir /var/lib/chargepoint --no-create-home --shell /sbin/nologin chargepoint"

SYSTEMD_SERVICE:${PN} = "chargepoint.service chargepoint.socket"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    ${PYTHON} ${S}/packaging/install.py --root ${D} --service --units ${systemd_system_unitdir} --compile
    rm ${D}${nonarch_libdir}/sysusers.d/chargepoint.conf # the users are those above
    install -d -m 0700 ${D}${sysconfdir}/chargepoint/credentials
    chown root:chargepoint ${D}${sysconfdir}/chargepoint ${D}${sysconfdir}/chargepoint/conf.d ${D}${sysconfdir}/chargepoint/agent.toml
    chmod 0750 ${D}${sysconfdir}/chargepoint ${D}${sysconfdir}/chargepoint/conf.d
    chmod 0640 ${D}${sysconfdir}/chargepoint/agent.toml
}

CONFFILES:${PN} = "${sysconfdir}/chargepoint/agent.toml"
FILES:${PN} += "${systemd_unitdir}/system-generators ${nonarch_libdir}/chargepoint ${nonarch_libdir}/tmpfiles.d ${nonarch_libdir}/udev ${datadir}/chargepoint ${datadir}/bash-completion"

# openembedded-core splits Python's own library: each part that is imported is named.
RDEPENDS:${PN} = "\
    python3-core python3-asyncio python3-compression python3-crypt python3-ctypes python3-datetime python3-difflib \
    python3-email python3-fcntl python3-io python3-json python3-logging python3-math python3-netclient python3-netserver \
    python3-numbers python3-sqlite3 python3-stringold python3-terminal python3-threading \
"
RRECOMMENDS:${PN} = "ca-certificates python3-cryptography python3-systemd"
