# The released program, as it is: static, so it runs on any image of its processor, whatever the C library.
# This is the recipe to use unless your rules want everything built from source (then: skerry_git.bb).
require skerry.inc

# Where releases lie: a folder v0.1.0 with the archives in it. No public place is known to this file.
SKERRY_RELEASES ?= "https://releases.example.invalid/skerry"

# By the machine's processor; others have no release (Reference Manual, COMPATIBLE_HOST). Of 32-bit ARM
# it is ARMv7 with a floating point unit.
SKERRY_ARCH = ""
SKERRY_ARCH:x86-64 = "amd64"
SKERRY_ARCH:aarch64 = "arm64"
SKERRY_ARCH:arm = "armhf"
SKERRY_ARCH:riscv64 = "riscv64"
COMPATIBLE_HOST = "(x86_64|aarch64|arm|riscv64).*-linux.*"

SRC_URI = "${SKERRY_RELEASES}/v${PV}/skerry_${PV}_${SKERRY_ARCH}.tar.gz;name=${SKERRY_ARCH} file://skerry.init"
# One SRC_URI[NAME.sha256sum] for each processor; written by packaging/recipes-release from the release's
# signed SHA256SUMS. `include`, so that the layer parses before the first release; the fetcher then
# refuses what has no checksum.
include skerry-bin-checksums.inc

S = "${UNPACKDIR}/skerry_${PV}_${SKERRY_ARCH}"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

SKERRY_FILES = "${S}"
SKERRY_UNITS = "${S}"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    install -D -m 0755 ${S}/skerry ${D}${bindir}/skerry
    skerry_install_files
}

# It is stripped and static on purpose (Reference Manual, "QA Error and Warning Messages").
INSANE_SKIP:${PN} += "already-stripped"
INHIBIT_PACKAGE_STRIP = "1"
INHIBIT_PACKAGE_DEBUG_SPLIT = "1"

RPROVIDES:${PN} = "skerry"
RCONFLICTS:${PN} = "skerry"
