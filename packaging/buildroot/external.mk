include $(sort $(wildcard $(BR2_EXTERNAL_CHARGEPOINT_PATH)/package/*/*.mk))
