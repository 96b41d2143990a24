################################################################################
#
# skerry
#
################################################################################

# The Buildroot user manual, "Infrastructure for packages with specific build systems" (generic-package): the
# released program is installed, so nothing is compiled. cargo-package would need a Rust of 1.95 in Buildroot.
SKERRY_VERSION = 0.1.0
SKERRY_SITE = $(call qstrip,$(BR2_PACKAGE_SKERRY_RELEASES))/v$(SKERRY_VERSION)
SKERRY_LICENSE = Apache-2.0
SKERRY_LICENSE_FILES = LICENSE

ifeq ($(BR2_x86_64),y)
SKERRY_ARCH = amd64
else ifeq ($(BR2_aarch64),y)
SKERRY_ARCH = arm64
else ifeq ($(BR2_arm),y)
SKERRY_ARCH = armhf
else ifeq ($(BR2_RISCV_64),y)
SKERRY_ARCH = riscv64
endif
SKERRY_SOURCE = skerry_$(SKERRY_VERSION)_$(SKERRY_ARCH).tar.gz

SKERRY_SETTINGS = $(or $(call qstrip,$(BR2_PACKAGE_SKERRY_SETTINGS)),$(@D)/skerry.toml)

# Linux 5.12 or later with these; docs/devices.md says which feature each is for. The same list is in
# board/skerry/linux.fragment, for kernels that Buildroot does not configure by itself.
define SKERRY_LINUX_CONFIG_FIXUPS
	$(call KCONFIG_ENABLE_OPT,CONFIG_NAMESPACES)
	$(call KCONFIG_ENABLE_OPT,CONFIG_UTS_NS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_IPC_NS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_PID_NS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_NET_NS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CGROUPS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_MEMCG)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CGROUP_SCHED)
	$(call KCONFIG_ENABLE_OPT,CONFIG_FAIR_GROUP_SCHED)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CFS_BANDWIDTH)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CGROUP_PIDS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CGROUP_DEVICE)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CGROUP_FREEZER)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CGROUP_CPUACCT)
	$(call KCONFIG_ENABLE_OPT,CONFIG_BPF_SYSCALL)
	$(call KCONFIG_ENABLE_OPT,CONFIG_CGROUP_BPF)
	$(call KCONFIG_ENABLE_OPT,CONFIG_SECCOMP)
	$(call KCONFIG_ENABLE_OPT,CONFIG_SECCOMP_FILTER)
	$(call KCONFIG_ENABLE_OPT,CONFIG_OVERLAY_FS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_PROC_FS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_SYSFS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_TMPFS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_UNIX98_PTYS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_POSIX_MQUEUE)
	$(call KCONFIG_ENABLE_OPT,CONFIG_NET)
	$(call KCONFIG_ENABLE_OPT,CONFIG_INET)
	$(call KCONFIG_ENABLE_OPT,CONFIG_UNIX)
	$(call KCONFIG_ENABLE_OPT,CONFIG_EPOLL)
	$(call KCONFIG_ENABLE_OPT,CONFIG_EVENTFD)
	$(call KCONFIG_ENABLE_OPT,CONFIG_SIGNALFD)
	$(call KCONFIG_ENABLE_OPT,CONFIG_INOTIFY_USER)
	$(call KCONFIG_ENABLE_OPT,CONFIG_EXT4_FS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_RTC_CLASS)
	$(call KCONFIG_ENABLE_OPT,CONFIG_WATCHDOG)
endef

define SKERRY_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/skerry $(TARGET_DIR)/usr/bin/skerry
	$(INSTALL) -D -m 0755 $(@D)/stop-agents $(TARGET_DIR)/usr/lib/skerry/stop-agents
	$(INSTALL) -D -m 0644 $(SKERRY_SETTINGS) $(TARGET_DIR)/etc/skerry/skerry.toml
endef

# Units as in packaging/systemd; Buildroot enables what the preset allows.
define SKERRY_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 0644 -t $(TARGET_DIR)/usr/lib/systemd/system \
		$(@D)/skerry.service $(@D)/skerry-agents.service $(@D)/skerry.slice
endef

define SKERRY_INSTALL_INIT_OPENRC
	$(INSTALL) -D -m 0755 $(@D)/skerry.initd $(TARGET_DIR)/etc/init.d/skerry
	$(INSTALL) -D -m 0644 $(@D)/skerry.confd $(TARGET_DIR)/etc/conf.d/skerry
endef

# BusyBox and System V.
define SKERRY_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 0755 $(SKERRY_PKGDIR)/S90skerry $(TARGET_DIR)/etc/init.d/S90skerry
endef

$(eval $(generic-package))
