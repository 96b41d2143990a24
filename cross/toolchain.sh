# shellcheck shell=bash disable=SC2034
# Sourced by cross/build and cross/test: finds a toolchain for a Rust target, installs what is missing, and
# says so. Decides nothing about what is built. Needs tests/setup.sh (say, die, need_packages).
#
# First choice: a target that rustup has (`rustup target add`), with its std built again from source where
# `rustup component add rust-src` put it: smaller by about a third of what std takes. Second: Debian's
# rustc-web, cargo-web and rust-web-src, a newer compiler with its sources but without prebuilt musl targets.
# Compiler for C, linker and libc are zig's in both cases, at a fixed version from PyPI.

# Of zig's versions the last with musl's own malloc: from 0.16 on it has one of zig's, whose calloc writes to all that it
# hands out, and an idle node holds 28 MiB instead of a few.
ZIG_VERSION=0.15.2
ZIGBUILD_VERSION=0.24.0
# Where tools and patched sources are kept; cross/reproduce shares one place between two trees.
TOOLS="${SKERRY_TOOLS:-${CARGO_TARGET_DIR:-$ROOT/target}/cross}"
ZIG="$TOOLS/zig-$ZIG_VERSION-$ZIGBUILD_VERSION"

# std without the printer of backtraces (0.3 MiB) and built for size. A panic still says what and where.
BUILD_STD=(-Z "build-std=std,panic_abort" -Z build-std-features=optimize_for_size)

# What find_toolchain decides: the cargo command, and options for it.
CARGO_COMMAND=()
CARGO_OPTIONS=()
# The folder of std's sources where it is built, else empty.
STD_SOURCE=""

need_zig() {
    [ ! -x "$ZIG/bin/cargo-zigbuild" ] || return 0
    need_packages '/usr/lib/python3*/ensurepip/__init__.py=python3-venv'
    say "installing zig $ZIG_VERSION and cargo-zigbuild $ZIGBUILD_VERSION from PyPI (80 MB, once)"
    rm -rf "$ZIG.part"
    mkdir -p "$TOOLS"
    python3 -m venv "$ZIG.part"
    "$ZIG.part/bin/pip" install --quiet --disable-pip-version-check \
        "ziglang==$ZIG_VERSION" "cargo-zigbuild==$ZIGBUILD_VERSION"
    rm -rf "$ZIG"
    mv "$ZIG.part" "$ZIG"
    # A virtual environment's scripts name the folder they were made in.
    sed -i "1s|$ZIG.part|$ZIG|" "$ZIG"/bin/*zig*
}

# find_toolchain RUST-TARGET
find_toolchain() {
    local target="$1" sysroot
    need_zig
    # cargo-zigbuild finds zig as python-zig beside itself.
    PATH="$ZIG/bin:$PATH"
    if has_std "$target"; then
        sysroot="$(rustc --print sysroot)"
        CARGO_COMMAND=(cargo-zigbuild)
        CARGO_OPTIONS=()
        STD_SOURCE=""
        if [ -e "$sysroot/lib/rustlib/src/rust/library/std/Cargo.toml" ]; then
            STD_SOURCE="$sysroot/lib/rustlib/src/rust"
            # A released compiler builds std only when told that this is meant.
            CARGO_COMMAND=(env RUSTC_BOOTSTRAP=1 cargo-zigbuild)
            CARGO_OPTIONS=("${BUILD_STD[@]}")
        fi
        say "toolchain for $target: $(rustc --version)${STD_SOURCE:+, std from source}"
        return
    fi
    need_debian_rust
    CARGO_COMMAND=(env RUSTC_BOOTSTRAP=1 CARGO=/usr/bin/cargo RUSTC=/usr/bin/rustc cargo-zigbuild)
    CARGO_OPTIONS=("${BUILD_STD[@]}")
    STD_SOURCE="$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust"
    say "toolchain for $target: Debian's $(/usr/bin/rustc --version), std from source"
}

# Debian's compiler, new enough: it came with a security update, of which old package lists know nothing.
need_debian_rust() {
    local wanted
    wanted="$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")"
    need_packages /usr/share/doc/rustc-web/copyright=rustc-web /usr/share/doc/cargo-web/copyright=cargo-web \
        /usr/share/doc/rust-web-src/copyright=rust-web-src
    ! at_least "$wanted" || return 0
    say "Debian's rustc is older than $wanted: looking for a newer one"
    apt-get update -qq >&2
    apt_install rustc-web cargo-web rust-web-src >&2
    at_least "$wanted" || die "Debian's $(/usr/bin/rustc --version) is older than $wanted.
  cause: no source of apt has a newer rustc-web (bookworm-security has one)
  next:  rustup target add the target's name, or look at /etc/apt/sources.list"
}

at_least() {
    local found
    found="$(/usr/bin/rustc --version | cut -d' ' -f2)"
    [ "$(printf '%s\n' "$1" "$found" | sort -V | head -n 1)" = "$1" ]
}

# Whether the cargo on PATH has a prebuilt std for the target.
has_std() {
    local folder
    command -v rustc >/dev/null 2>&1 || return 1
    folder="$(rustc --print target-libdir --target "$1" 2>/dev/null)" || return 1
    compgen -G "$folder/libstd-*.rlib" >/dev/null
}

# patched_sources NAME PATCH: a copy of a locked crate's source with a patch applied; prints its folder.
# Cargo's `paths` puts it in the crate's place without a change of Cargo.lock.
patched_sources() {
    local name="$1" patch="$2" version source copy
    version="$(locked_version "$name")"
    copy="$TOOLS/$name-$version"
    if [ ! -e "$copy/.patched" ] || [ "$patch" -nt "$copy/.patched" ]; then
        cargo fetch --locked >&2
        source="$(compgen -G "${CARGO_HOME:-$HOME/.cargo}/registry/src/*/$name-$version" | head -n 1)"
        [ -n "$source" ] || die "the source of $name $version is not in cargo's registry folder.
  next:  cargo fetch --locked"
        need_packages patch=patch
        rm -rf "$copy"
        mkdir -p "${copy%/*}"
        cp -R "$source" "$copy"
        patch --quiet --directory "$copy" --strip 1 <"$patch" >&2 || die "$patch does not fit $name $version any more.
  next:  see whether $name still needs it; make it anew or take it out of cross/toolchain.sh"
        touch "$copy/.patched"
    fi
    printf '%s' "$copy"
}

# Prints the folders of all crates that are patched on devices, as cargo's `paths` takes them. The reason opens each patch.
patched_crates() {
    local libcontainer oci_spec
    libcontainer="$(patched_sources libcontainer "$ROOT/cross/patches/libcontainer-32bit.patch")" || return
    oci_spec="$(patched_sources oci-spec "$ROOT/cross/patches/oci-spec.patch")" || return
    printf '["%s", "%s"]' "$libcontainer" "$oci_spec"
}

locked_version() {
    awk -v name="$1" -F'"' '/^name = / { found = ($2 == name) } found && /^version = / { print $2; exit }' "$ROOT/Cargo.lock"
}

# No path of the machine that builds: neither in panic messages nor in what is hashed. Needs find_toolchain.
remap() {
    local cargo_home="${CARGO_HOME:-$HOME/.cargo}"
    printf -- ' --remap-path-prefix=%s=/skerry --remap-path-prefix=%s=/cargo --remap-path-prefix=%s=/tools' "$ROOT" "$cargo_home" "$TOOLS"
    [ -z "$STD_SOURCE" ] || printf -- ' --remap-path-prefix=%s=/rust' "$STD_SOURCE"
}
