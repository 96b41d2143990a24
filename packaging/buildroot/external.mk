# The Buildroot user manual, "Keeping customizations outside of Buildroot", section "The Config.in and
# external.mk files".
include $(sort $(wildcard $(BR2_EXTERNAL_SKERRY_PATH)/package/*/*.mk))
