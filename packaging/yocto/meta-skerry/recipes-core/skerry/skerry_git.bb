# Skerry from source, with the crates of its Cargo.lock. Needs Rust 1.95: newer than what oe-core has up to
# whinlatter; there take a newer compiler from a layer such as meta-rust-bin, or use skerry-bin.
require skerry.inc

# Where the sources are; set both to your copy.
SKERRY_GIT ?= "git://git.example.invalid/skerry.git;protocol=https;branch=main"
SRCREV ?= "${AUTOREV}"
PV = "0.1.0+git"

# A name of its own for the folder: its default has changed between releases (Migration notes for 5.3).
SRC_URI = "${SKERRY_GIT};destsuffix=skerry-src file://skerry.init"
S = "${UNPACKDIR}/skerry-src"
LIC_FILES_CHKSUM = "file://LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# Reference Manual, "Classes", sections cargo and cargo-update-recipe-crates: the second writes the list of
# crates with their checksums, from Cargo.lock:  bitbake -c update_crates skerry
# `include`, so that the layer parses before that was done; cargo is called with --frozen and needs it.
inherit cargo cargo-update-recipe-crates
include skerry-crates.inc

# Of the workspace only the device's program, and only its own lock file.
CARGO_BUILD_FLAGS += "--package skerry"
CARGO_LOCK_SRC_DIR = "${S}"
# At a fixed address: see docs/decisions/0002 in the sources. The C library is the image's.
RUSTFLAGS += "-C relocation-model=static -C force-unwind-tables=no"
# Debug symbols go into the -dbg package, which bitbake splits off itself.
CARGO_BUILD_FLAGS += "--config profile.release.strip=false"

SKERRY_FILES = "${S}/packaging"
SKERRY_UNITS = "${S}/packaging/systemd"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/skerry ${D}${bindir}/skerry
    skerry_install_files
}
