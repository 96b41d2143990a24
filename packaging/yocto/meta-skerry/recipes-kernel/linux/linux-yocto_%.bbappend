# Kernel Development Manual, "Changing the Configuration" / "Creating Configuration Fragments": a recipe with
# the kernel-yocto class merges *.cfg of SRC_URI. For a board's own kernel recipe, copy these two lines into a
# bbappend of its name; without kernel-yocto, merge the fragment with the kernel's scripts/kconfig/merge_config.sh.
FILESEXTRAPATHS:prepend := "${THISDIR}/files:"
SRC_URI += "file://skerry.cfg"
