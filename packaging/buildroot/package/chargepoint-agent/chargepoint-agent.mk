################################################################################
#
# chargepoint-agent
#
################################################################################

# Built from the unpacked sdist in which this file lies: it has unit, udev rule, configuration and the wheels of other
# people's modules with it.
CHARGEPOINT_AGENT_VERSION = 0.1.0
CHARGEPOINT_AGENT_SITE = $(realpath $(BR2_EXTERNAL_CHARGEPOINT_PATH)/../..)
CHARGEPOINT_AGENT_SITE_METHOD = local
CHARGEPOINT_AGENT_LICENSE = Apache-2.0, BSD-3-Clause (modules), MIT (modules)
CHARGEPOINT_AGENT_LICENSE_FILES = LICENSE packaging/debian/copyright
# Until setuptools 70.1 a wheel is made with the help of the package wheel; later releases of Buildroot may be without it.
CHARGEPOINT_AGENT_DEPENDENCIES = host-python3 host-python-setuptools \
	$(if $(wildcard package/python-wheel/python-wheel.mk),host-python-wheel)

# A number of its own keeps the files of a data partition the agent's over updates of the image.
define CHARGEPOINT_AGENT_USERS
	chargepoint 789 chargepoint 789 * /var/lib/chargepoint - dialout Charge point agent
endef

define CHARGEPOINT_AGENT_PERMISSIONS
	/etc/chargepoint d 750 0 789 - - - - -
	/etc/chargepoint/conf.d d 750 0 789 - - - - -
	/etc/chargepoint/credentials d 700 0 0 - - - - -
	/etc/chargepoint/agent.toml f 640 0 789 - - - - -
endef

define CHARGEPOINT_AGENT_INSTALL_TARGET_CMDS
	PYTHONNOUSERSITE=1 $(HOST_DIR)/bin/python3 $(@D)/packaging/install.py --root $(TARGET_DIR) --service --compile
	rm $(TARGET_DIR)/usr/lib/sysusers.d/chargepoint.conf
	$(INSTALL) -d -m 700 $(TARGET_DIR)/etc/chargepoint/credentials
endef

# Buildroot enables units by presets, when the image is made: so also where the image disables what is not named.
define CHARGEPOINT_AGENT_INSTALL_INIT_SYSTEMD
	$(INSTALL) -d $(TARGET_DIR)/usr/lib/systemd/system-preset
	printf 'enable chargepoint.service\nenable chargepoint.socket\n' > $(TARGET_DIR)/usr/lib/systemd/system-preset/50-chargepoint.preset
endef

$(eval $(generic-package))
