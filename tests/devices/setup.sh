# shellcheck shell=bash
# Sourced by tests/virtual and tests/powercut after tests/setup.sh: gets what virtual devices need.
# Decides nothing about what is tested.

need_device_packages() {
    need_packages git=git mosquitto=mosquitto mosquitto_pub=mosquitto-clients \
        qemu-system-x86_64=qemu-system-x86 qemu-system-aarch64=qemu-system-arm \
        /usr/share/OVMF/OVMF_CODE.fd=ovmf /usr/share/AAVMF/AAVMF_CODE.fd=qemu-efi-aarch64 \
        mke2fs=e2fsprogs dmsetup=dmsetup mcopy=mtools sfdisk=fdisk cpio=cpio depmod=kmod
}

# need_programs ARCH…: static programs for devices, those of the host, and kernels to boot. What is
# named in the environment is taken as it is.
need_programs() {
    local arch variable
    for arch in "$@"; do
        variable="SKERRY_PROGRAMS_${arch^^}"
        if [ -z "${!variable:-}" ]; then
            say "building the programs of $arch devices"
            cross/build "$arch" --package skerry --package skerry-init --package skerry-agent-sensor
            printf -v "$variable" '%s' "$(cross/build "$arch" --where)"
        fi
        export "${variable?}"
        tests/devices/pieces "$arch" >/dev/null
    done
    # The programs of an x86_64 device run here too: they pack images.
    export SKERRY_BIN="${SKERRY_BIN:-$SKERRY_PROGRAMS_X86_64/skerry}"
    if [ -z "${SKERRY_FLEET_BIN:-}" ]; then
        [ -x "$SKERRY_PROGRAMS_X86_64/skerry-fleet" ] || cross/build x86_64 --package skerry-fleet
        SKERRY_FLEET_BIN="$(cross/build x86_64 --where)/skerry-fleet"
        export SKERRY_FLEET_BIN
    fi
}

# need_images ARCH…: the flashable images, built once.
need_images() {
    local arch variable
    [ -z "${SKERRY_IMAGES:-}" ] || return 0
    for arch in "$@"; do
        [ ! -f "target/image/skerry-$arch.img" ] || continue
        variable="SKERRY_PROGRAMS_${arch^^}"
        packaging/image/build "$arch" --programs "${!variable}"
    done
}
